/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: the slots they take, the outcomes that arrive for them, and what a caller sees of
 * these.
 *
 * Life of an operation. Two parties hold its slot: the router, until RELEASE, and the teller, until
 * the last completion has been fetched. The last one to let go gives slots and texts back. If
 * several threads fetch, each also holds the slot while it reports what it has fetched.
 */
#ifndef KVR_CALL_H
#define KVR_CALL_H

#include "kvrelay.h"

#include "kvr_hash.h"
#include "kvr_limits.h"

#include <stdatomic.h>

struct kvr_msg;
struct kvr_row;

/* The members that results had before layers were supported: older callers keep working. */
#define KVR_RESULTS_LEAST offsetof(struct kvr_results, layers)

enum {
	KVR_TEXT_UNIT = 64,
	KVR_TEXT_UNITS = KVR_TEXT_MAX / KVR_TEXT_UNIT,
	KVR_RUN_UNIT = 16,
	KVR_RUN_UNITS = KVR_RUNS_MAX / KVR_RUN_UNIT,
	KVR_OUTCOMES = 3 /* ahead of the copies, at the deadline, and when the memory is quiet */
};

/*
 * An operation's word, on which waiters sleep: generation << 6 | told << 5 | quiet << 4 | fetched
 * << 2 | arrived. A completion can be fetched while arrived is more than fetched. told is set when
 * the last one has been handed to its queue or thread. Told and not quiet: the instance has ended,
 * and a thread that hangs may touch the memory for ever.
 */
enum {
	KVR_WORD_ARRIVED = 1,
	KVR_WORD_FETCHED = 4,
	KVR_WORD_QUIET = 16,
	KVR_WORD_TOLD = 32,
	KVR_WORD_OVER = KVR_WORD_QUIET | KVR_WORD_TOLD, /* either: no completion comes any more */
	KVR_WORD_GEN = 6
};
#define KVR_WORD_N_ARRIVED(w) ((w) & 3U)
#define KVR_WORD_N_FETCHED(w) ((w) >> 2 & 3U)
#define KVR_WORD_GEN_OF(w) ((w) >> KVR_WORD_GEN)
#define KVR_WORD_GEN_MASK (UINT32_MAX >> KVR_WORD_GEN)

enum kvr_teller { KVR_TELL_WAIT, KVR_TELL_QUEUE, KVR_TELL_CALLBACK, KVR_TELL_NOBODY };

struct kvr_outcome {
	uint32_t row;   /* its first row */
	bool     ahead; /* copies have begun, and the outcome will follow */
	int32_t  err;
	uint32_t flags, n_ok, prefix;
	uint64_t bytes, end_ns;
};

struct kvr_call {
	_Atomic uint32_t word;
	_Atomic uint32_t holds;     /* router, teller, and temporary users */
	_Atomic uint32_t sleepers;  /* threads that sleep on word */
	_Atomic uint32_t cancelled; /* a CANCEL was sent: one is enough, and their number is bounded */
	_Atomic uint64_t request;   /* hash of the request id; 0: none */
	uint32_t         slot, next_free;
	/* Key slots; n 0: none. Those beyond n are rows for what is told ahead. */
	uint32_t         first, n, n_slots;
	uint32_t         text, n_text; /* units of key text */
	uint32_t         run, n_runs;  /* units of runs */
	struct kvr_cache *cache;       /* the cache whose tokens are moved; NULL: none */
	/* One bit for each region that its places are in, until its memory is quiet. */
	uint64_t         regions;
	uint32_t         kind, flags, per_chunk;
	_Atomic uint32_t teller;     /* enum kvr_teller */
	bool             objects, puts;
	bool             released; /* by the router */
	uint32_t         places;   /* in the notifier, reserved for its completions */
	uint64_t         bytes;      /* requested */
	uint64_t         tag, since_ns;
	/* With KVR_LAYERS, else 0. n_ready: layers of a put that are ready; under lock. */
	uint32_t         n_layers, n_ready;
	struct kvr_queue *queue;
	kvr_done_fn      *done;
	void             *done_arg;
	/* Written before the arrival in word with release order; read after it with acquire order. */
	struct kvr_outcome outcome[KVR_OUTCOMES];
};

/* What the facade keeps about a key besides ledger and row. */
struct kvr_side {
	kvr_digest digest;
	kvr_obj    obj;
	uint32_t   next, prev; /* in its chain of puts: key slot + 1 */
	uint32_t   call;
	uint32_t   made; /* 1: obj was made for this batch */
};

/* What an operation needs from the tables. */
struct kvr_need {
	uint32_t kind, keys, runs;
	bool     ahead; /* something is told before its end */
	uint64_t text;  /* bytes */
};
/* An operation with slots for all of this. BUSY, TOO_BIG. */
KVR_MUST_USE enum kvr_err kvr_call_take(struct kvr *, const struct kvr_need *,
    struct kvr_call **ret);
/* Nothing was posted for it and nobody knows about it. */
void   kvr_call_undo(struct kvr *, struct kvr_call *);
kvr_op kvr_call_op(const struct kvr_call *);
/* The operation behind a handle, if it still has the handle's generation. */
struct kvr_call *kvr_call_find(struct kvr *, kvr_op);
/*
 * Holds its slot, so that it is not given back if another thread fetches the last completion
 * meanwhile. NULL: it is gone. Ends with kvr_call_drop.
 */
struct kvr_call *kvr_call_hold(struct kvr *, kvr_op);
/* Counts the operations under way: from the launch to the last outcome. */
void kvr_call_begins(struct kvr *, const struct kvr_call *);
void kvr_call_ends(struct kvr *, const struct kvr_call *);
/* Adds an outcome. Under the domain's guard, or for an operation that the router never saw. */
void kvr_call_arrive(struct kvr *, struct kvr_call *, const struct kvr_outcome *);
/* The previous outcome was the last one, and its memory will not become quiet. */
void kvr_call_abandon(struct kvr_call *);
/* Takes the next outcome, if there is one; the caller then reports it and calls kvr_call_told. */
bool kvr_call_fetch(struct kvr_call *, uint32_t gen, struct kvr_outcome *ret, bool *ret_last);
void kvr_call_told(struct kvr *, struct kvr_call *, bool last);
void kvr_call_drop(struct kvr *, struct kvr_call *, bool under_guard);
/* Gives back the slots of operations that were released under the guard; any caller may do so. */
void kvr_call_reap(struct kvr *);
/* The outcome of keys whose rows all have their err. */
void kvr_call_sum(struct kvr *, const struct kvr_call *, struct kvr_outcome *ret);
void kvr_outside(void *kvr, const struct kvr_msg *, const struct kvr_row *rows);

/* Writes what a caller sees. place: index of the first entry in res. res may be NULL. */
void kvr_call_tell(struct kvr *, const struct kvr_call *, const struct kvr_outcome *,
    uint32_t place, struct kvr_done *ret, struct kvr_results *res);

#endif
