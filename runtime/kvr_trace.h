/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace: a ring in a mapped file that is always written, one record per step; it is the
 * complete input of a replay. It survives abort, SIGKILL and SIGSEGV without a signal handler.
 *
 * File: a head of whole pages (struct kvr_trace_head, then the table of actors, then the
 * configuration as read, without secrets), then the ring. Records are 8-aligned, never cross the
 * end of the ring, and begin with struct kvr_rec; if not even that fits before the end, nothing is
 * written there. A record is complete when its `len` word, which is written last, is not zero. A
 * reader stops at the first incomplete one, so a torn tail is normal.
 *
 * The writer holds the domain's guard: one writer, no lock, no clock, no allocation.
 *
 * A replay needs nothing but the file: rows are recorded once, with the first event that brings
 * them, and a snapshot holds the states and also the rows of parts, as pieces of actor 0.
 */
#ifndef KVR_TRACE_H
#define KVR_TRACE_H

#include "kvr_actor.h"
#include "kvr_err.h"

#define KVR_TRACE_MAGIC UINT64_C(0x314543415254564b) /* "KVTRACE1" */
enum { KVR_TRACE_VERSION = 2 };

enum kvr_rec_kind {
	KVR_REC_STEP = 1, /* struct kvr_rec_step, then n_rows rows when rows_here */
	KVR_REC_STATE,    /* a piece of a decider's state: snapshots are split over records */
	KVR_REC_MARK,     /* a snapshot begins or is complete; a panic; closed in order */
	KVR_REC_PAD,      /* the unused rest of the ring up to its end */
	KVR_REC_TEXT      /* the text of a key or a request; only when the trace was asked for texts */
};

struct kvr_rec {
	uint32_t len; /* bytes of the record, including this word; 0: not complete */
	uint32_t sum; /* kvr_rec_sum: tells a damaged record from a different decision */
	uint64_t number; /* of the record in the file, from 1, without gaps */
	uint16_t kind;
	uint16_t actor;
	uint32_t spare;
};

struct kvr_rec_step {
	struct kvr_rec rec;
	uint64_t       now_ns;
	uint64_t       step;   /* of the domain */
	uint64_t       digest; /* what kvr_step returned */
	uint8_t        before, after; /* after: KVR_STATE_BROKEN when the step did not end */
	uint8_t        n_fx, rows_here;
	uint32_t       n_wrote; /* runs of rows that it wrote */
	struct kvr_msg msg;
};
_Static_assert(sizeof(struct kvr_rec_step) == 120, "24 of record, 32 of step, 64 of message");

enum { KVR_STATE_BROKEN = 0xff };

struct kvr_rec_state {
	struct kvr_rec rec;
	uint32_t       state; /* the actor's */
	uint32_t       off;   /* of this piece in the actor's state; lines of zeros are left out */
	/* The last piece of an actor is empty. Actor 0: the row table, from KVR_ROWS_PARTS on. */
	uint64_t       digest, steps;
};

/* A text that deciders do not see, padded with zeros to a multiple of 8. */
enum kvr_text_of { KVR_TEXT_OF_KEY = 1, KVR_TEXT_OF_REQUEST };
struct kvr_rec_text {
	struct kvr_rec rec;
	uint64_t       op;
	uint32_t       of, key; /* key: slot; 0 for a request */
	uint32_t       len, spare;
};

enum kvr_mark {
	KVR_MARK_SNAPSHOT_BEGIN = 1,
	KVR_MARK_SNAPSHOT_END,
	KVR_MARK_PANIC,
	KVR_MARK_CLOSED
};
struct kvr_rec_mark {
	struct kvr_rec rec;
	uint32_t       mark, len; /* len bytes of text follow */
	uint64_t       now_ns;
};

struct kvr_trace_actor {
	char     name[24];
	uint16_t id;
	uint16_t n_states;
	uint32_t self_size;
	uint64_t spec_hash;   /* of states and cells */
	uint64_t layout_hash; /* of the fields of the state */
};

struct kvr_trace_head {
	uint64_t magic;
	uint32_t version, head_bytes; /* where the ring begins */
	uint64_t ring_bytes;
	uint64_t written;  /* bytes ever written to the ring; the newest record ends there */
	uint64_t oldest;   /* offset (in bytes ever written) of a record that is still whole */
	uint64_t snapshot; /* offset of the newest complete snapshot's first record; ~0: none */
	uint64_t opened_mono_ns, opened_real_ns;
	uint32_t pid, n_actors;
	uint32_t config_off, config_len;
	uint32_t actors_off, spare;
	uint64_t msg_hash;      /* of the names and fields of all messages */
	char     build[128];    /* version, commit, compiler */
	char     instance[64];
};

struct kvr_trace;

struct kvr_trace_options {
	const char *dir;      /* NULL or "auto": this user's folder in /dev/shm; "none": memory only */
	uint64_t    size;     /* bytes of the ring; at least 1 MiB */
	/* Files of earlier runs that are left in dir, of instances whose names differ only in their
	 * number; 256 MiB in all at most. */
	uint32_t    keep;
	const char *instance;
	const char *build;    /* version and commit; the compiler is added */
	const char *config;   /* text, without secrets; NULL: none */
	size_t      config_len;
};

/*
 * Falls back to a smaller ring, then to anonymous memory, when the file cannot be allocated in full
 * (a sparse map on a full /dev/shm would be SIGBUS in the engine); why says so then.
 */
KVR_MUST_USE enum kvr_err kvr_trace_open(const struct kvr_trace_options *, struct kvr_trace **ret,
    char *why, size_t why_cap);
void        kvr_trace_close(struct kvr_trace *take);
const char *kvr_trace_path(const struct kvr_trace *); /* "" for anonymous memory */
/* All of it, head and ring, for a reader in this process. */
const void *kvr_trace_bytes(const struct kvr_trace *, uint64_t *ret_len);
/* Checksum of all that follows the word `sum`. len: the record's. */
uint32_t    kvr_rec_sum(const struct kvr_rec *, uint32_t len);

/* Once, before the first step: the actors of the domain, in order of their ids. */
void kvr_trace_actors(struct kvr_trace *, const struct kvr_actor *const *, uint32_t n);
/*
 * After a step, with what it asked for. When kvr_trace_wants_rows, ev->rows must be a copy from
 * before the step, because a step may overwrite those rows itself.
 */
void kvr_trace_step(struct kvr_trace *, const struct kvr_actor *, const struct kvr_event *,
    uint32_t state_before, uint64_t digest, const struct kvr_out *);
bool kvr_trace_wants_rows(const struct kvr_msg *);
/* A text of the operation, before the step that brings the operation in. */
void kvr_trace_text(struct kvr_trace *, enum kvr_text_of, uint64_t op, uint32_t key,
    const char *text, size_t len);
/* For a step that broke off: its event, and why. */
void kvr_trace_broken(struct kvr_trace *, const struct kvr_actor *, const struct kvr_event *,
    uint32_t state_before, uint64_t step, const char *why);
/*
 * True when half the ring has been written since the last snapshot, and while one is being written:
 * then call kvr_trace_snapshot between two steps.
 */
bool kvr_trace_wants_snapshot(const struct kvr_trace *);
/*
 * Writes a share of a snapshot, so that nobody waits for all of it: 32 KiB, or twice what steps
 * have written since the last share. True when that was its end. The shares add up to one state,
 * that at the end, because a line that a step changes meanwhile is written again. Lines that no
 * step has touched, or that are zero, are left out.
 */
bool kvr_trace_snapshot(
    struct kvr_trace *, const struct kvr_actor *const *, uint32_t n, uint64_t now_ns);
/* All of it at once. */
void kvr_trace_snapshot_whole(
    struct kvr_trace *, const struct kvr_actor *const *, uint32_t n, uint64_t now_ns);
/* Between kvr_trace_snapshot's first call and its last. */
bool kvr_trace_in_snapshot(const struct kvr_trace *);
void kvr_trace_mark(struct kvr_trace *, enum kvr_mark, uint64_t now_ns, const char *text);

/* For a trace in memory that becomes a file: number of the next record; the same record again. */
void kvr_trace_number(struct kvr_trace *, uint64_t number);
void kvr_trace_again(struct kvr_trace *, const struct kvr_rec *, const struct kvr_row *rows);
/* Saves only what is in use, including the head: some KiB for a short run. False: see errno. */
KVR_MUST_USE bool kvr_trace_save(const struct kvr_trace *, const char *path);

#endif
