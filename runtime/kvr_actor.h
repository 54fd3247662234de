/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decider: a table of pure steps. A handler reads its own state and the event, writes its own
 * state and what it asks of the world, and does nothing else: no clock, no allocation, no log, no
 * call out. So one and the same code runs in production, in simulation and in replay.
 *
 * State is plain data: fixed width, no pointers, no padding, tables of fixed size. The whole state
 * starts as zero bytes. Before a handler changes bytes of its state it names them with kvr_touch;
 * that keeps the digest of a state of megabytes at the price of the few lines a step changed.
 */
#ifndef KVR_ACTOR_H
#define KVR_ACTOR_H

#include "kvr_msg.h"

/* All that a step may know of the world. rows: those that msg names, NULL when it names none. */
struct kvr_event {
	uint64_t              now_ns;
	struct kvr_msg        msg;
	const struct kvr_row *rows;
};

/* All that a step may ask of the world: send this, send me this later. */
enum kvr_fx_kind { KVR_FX_SEND, KVR_FX_LATER };

struct kvr_fx {
	uint64_t       kind;
	uint64_t       at_ns; /* LATER: when */
	struct kvr_msg msg;
};

enum {
	KVR_FX_MAX = 64,
	KVR_TOUCH_MAX = 8192, /* lines of 64 bytes that one step may change */
	KVR_WROTE_MAX = 96    /* runs of rows that one step may write */
};

struct kvr_wrote {
	uint32_t first, n;
};

/* Written by kvr_step before and by the handler's calls; a handler never looks inside. */
struct kvr_out {
	uint32_t         n, n_wrote;
	struct kvr_fx    fx[KVR_FX_MAX];
	struct kvr_wrote wrote[KVR_WROTE_MAX];
	struct kvr_row  *row_table;
	struct kvr_actor *actor;
	uint64_t         step; /* number of this step, the cause of what it sends */
};

/* Returns the next state, or KVR_STAY. */
typedef unsigned kvr_handler(void *self, const struct kvr_event *ev, struct kvr_out *out);

/* For an event that comes too late to matter in this state, and must not be a bug. */
kvr_handler kvr_ignore;

struct kvr_cell {
	kvr_handler *fn; /* NULL: this message in this state is a bug */
	uint64_t     to; /* states the handler may return */
};
#define KVR_TO(state) (UINT64_C(1) << (state))
#define KVR_STAY 63U

/*
 * A field of a state, for people who look at a replay and for the hash that tells one layout from
 * another. "op[].err": an array's place is dim[0], that of an array in it dim[1], and so on.
 */
enum kvr_field_kind {
	KVR_FIELD_NUM,
	KVR_FIELD_ERR,  /* a kvr_err */
	KVR_FIELD_AT,   /* an instant, in nanoseconds; 0: none */
	KVR_FIELD_NS,   /* a duration */
	KVR_FIELD_OP,   /* slot | generation << 32 */
	KVR_FIELD_HEX,
	KVR_FIELD_SPARE /* said so that every byte of a state is said */
};
enum { KVR_FIELD_DIMS = 3 };

struct kvr_field {
	const char *name;
	uint32_t    off, size;
	uint32_t    kind;
	struct {
		uint32_t n, stride; /* n 0: no array */
	} dim[KVR_FIELD_DIMS];
};
/* Of the whole state, in any order. */
struct kvr_fields {
	const struct kvr_field *at;
	size_t n;
};
/* F: a member; FA: an array of numbers; FS: a member of an array of structs. */
#define KVR_F(type, member, kind_) \
	{ #member, offsetof(type, member), sizeof(((type *)0)->member), KVR_FIELD_##kind_, { { 0, 0 } } }
#define KVR_FA(type, member, kind_) \
	{ #member "[]", offsetof(type, member), sizeof(((type *)0)->member[0]), KVR_FIELD_##kind_, \
		{ { KVR_LEN(((type *)0)->member), sizeof(((type *)0)->member[0]) } } }
#define KVR_FS(type, array, member, kind_) \
	{ #array "[]." #member, \
		offsetof(type, array[0].member), sizeof(((type *)0)->array[0].member), KVR_FIELD_##kind_, \
		{ { KVR_LEN(((type *)0)->array), sizeof(((type *)0)->array[0]) } } }

struct kvr_spec {
	const char            *name;
	const char *const     *state_name;
	unsigned               n_states;
	size_t                 self_size; /* a multiple of 64 */
	const struct kvr_cell (*table)[KVR_MSG_N];
	/*
	 * Panics when an invariant is broken. full: walk everything (tests, snapshots); else what
	 * can be said at once, for it runs after every step in every build.
	 */
	void (*check)(const void *self, unsigned state, bool full);
	const struct kvr_fields *fields; /* NULL: nobody has described them */
};

enum { KVR_ACTOR_LINE = 64 }; /* bytes of state that are hashed together */

/* One decider that lives: in a domain, in the simulator or in a replay. */
struct kvr_actor {
	const struct kvr_spec *spec;
	void    *self;      /* spec->self_size zero bytes at first, 64-aligned */
	uint32_t *stamp;    /* one per 64 bytes of self, zero at first */
	uint64_t *counts;   /* what each of these 64 bytes adds to digest */
	uint32_t *touched;  /* KVR_TOUCH_MAX lines of the running step */
	uint32_t n_touched;
	uint32_t round;     /* what stamp holds for lines of the running step */
	uint16_t id;
	uint16_t spare;
	uint32_t state;
	uint32_t lines;     /* of self */
	uint64_t digest;    /* of self: 0 for zero bytes, independent of the way there */
	uint64_t steps;
};

/* Memory comes from the caller: a domain maps it, the simulator uses calloc. */
size_t kvr_actor_bytes(const struct kvr_spec *);
void   kvr_actor_init(struct kvr_actor *, const struct kvr_spec *, uint16_t id, void *zero_bytes);

/*
 * The only place in the program where an actor's state changes. The caller has set out->row_table
 * and out->step. Returns the digest of the step: state, state bytes, effects, rows written.
 */
uint64_t kvr_step(struct kvr_actor *, const struct kvr_event *, struct kvr_out *);

/* A replay begins with bytes of a snapshot; what was there before counts no more. */
void kvr_actor_put(struct kvr_actor *, uint64_t off, const void *from, size_t len);

/* The digest of the whole state, the slow way; differs from ->digest when a touch was forgotten. */
uint64_t kvr_actor_digest(const struct kvr_actor *);
/* Hash of the names of states and the filled cells, and of the fields of the state: traces carry them. */
uint64_t kvr_spec_hash(const struct kvr_spec *);
uint64_t kvr_layout_hash(const struct kvr_spec *);

/* ---- what a handler may call ---- */

/* Before changing [at, at + len), which lies in self. */
void kvr_touch(struct kvr_out *, const void *at, size_t len);
/*
 * The same for what lies in a line or two, as keys and operations do: a step names the same ones
 * again and again, and only the first time costs a call.
 */
static inline void
kvr_touch_few(struct kvr_out *out, const void *at, size_t len)
{
	const struct kvr_actor *a = out->actor;
	uintptr_t off = (uintptr_t)at - (uintptr_t)a->self;
	uintptr_t first = off / KVR_ACTOR_LINE, last = (off + len - 1) / KVR_ACTOR_LINE;

	if (last - first > 1 || last >= a->lines || a->stamp[first] != a->round ||
	    a->stamp[last] != a->round)
		kvr_touch(out, at, len);
}
/* Lines that this step may still change: who has a lot to do stops in time, and goes on in the next one. */
static inline uint32_t
kvr_touch_left(const struct kvr_out *out)
{
	return KVR_TOUCH_MAX - out->actor->n_touched;
}
/* op, deadline and part are the message's own; from and cause are filled in. */
void kvr_send(struct kvr_out *, uint16_t to, const struct kvr_msg *);
/*
 * A TIMER for me at at_ns. One timer per number: set again, it moves, and the generation says
 * which one fired. There is no way to cancel: raise the generation and ignore the old one.
 */
void kvr_later(struct kvr_out *, uint32_t timer, uint32_t gen, uint64_t at_ns);
/* The place of n rows to be written whole, in this step only. first: kvr_part_rows or a key slot. */
struct kvr_row *kvr_rows(struct kvr_out *, uint32_t first, uint32_t n);
/* splitmix64: the same numbers on every machine. The state lies in self and is touched. */
uint64_t kvr_rand(uint64_t *state);

#endif
