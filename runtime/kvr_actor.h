/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decider: a table of pure steps. A handler reads its own state and the event, writes its own
 * state and what it asks of the world, and does nothing else: no clock, no allocation, no log, no
 * call out. So the same code runs in production, in simulation and in replay.
 *
 * State is plain data: fixed width, no pointers, no padding, tables of fixed size. It starts as all
 * zero bytes. Before a handler changes bytes of its state it names them with kvr_touch. So the
 * digest of a state of megabytes costs only a hash of the lines that the step has changed.
 */
#ifndef KVR_ACTOR_H
#define KVR_ACTOR_H

#include "kvr_msg.h"

/* All that a step may know of the world. rows: those that msg names; NULL if it names none. */
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

/* kvr_step prepares it and the calls below fill it in; a handler never looks inside. */
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

/* For an event that comes too late to matter in this state, and is no bug. */
kvr_handler kvr_ignore;

struct kvr_cell {
	kvr_handler *fn; /* NULL: this message in this state is a bug */
	uint64_t     to; /* states the handler may return */
};
#define KVR_TO(state) (UINT64_C(1) << (state))
#define KVR_STAY 63U

/*
 * A field of a state: for people who read a replay, and for the hash that tells one layout from
 * another. In "op[].err" dim[0] is the array op; dim[1] would be an array inside it, and so on.
 */
enum kvr_field_kind {
	KVR_FIELD_NUM,
	KVR_FIELD_ERR,  /* a kvr_err */
	KVR_FIELD_AT,   /* an instant, in nanoseconds; 0: none */
	KVR_FIELD_NS,   /* a duration */
	KVR_FIELD_OP,   /* an operation: slot | generation << 32 */
	KVR_FIELD_HEX,
	KVR_FIELD_SPARE /* unused bytes; they are listed so that every byte of a state is described */
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
/* All fields of a state, in any order. */
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
	 * Panics when an invariant is broken. full: walks everything (tests, snapshots). Otherwise
	 * only what is cheap to check, because it runs after every step in every build.
	 */
	void (*check)(const void *self, unsigned state, bool full);
	const struct kvr_fields *fields; /* NULL: not described */
};

enum { KVR_ACTOR_LINE = 64 }; /* bytes of state that are hashed together */

/* One live decider: in a domain, in the simulator or in a replay. */
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
	uint64_t digest;    /* of self: 0 for zero bytes; depends on the bytes only, not on history */
	uint64_t steps;
};

/* The caller provides the memory: a domain maps it, the simulator uses calloc. */
size_t kvr_actor_bytes(const struct kvr_spec *);
void   kvr_actor_init(struct kvr_actor *, const struct kvr_spec *, uint16_t id, void *zero_bytes);

/*
 * The only place in the program where an actor's state changes. The caller has set out->row_table
 * and out->step. Returns the digest of the step: state, state bytes, effects, rows written.
 */
uint64_t kvr_step(struct kvr_actor *, const struct kvr_event *, struct kvr_out *);

/* For a replay that begins at a snapshot: replaces bytes of the state by recorded ones. */
void kvr_actor_put(struct kvr_actor *, uint64_t off, const void *from, size_t len);

/* The digest of the whole state, recomputed; differs from ->digest when a touch was forgotten. */
uint64_t kvr_actor_digest(const struct kvr_actor *);
/* Hashes of the states' names and filled cells, and of the state's fields. Traces carry both. */
uint64_t kvr_spec_hash(const struct kvr_spec *);
uint64_t kvr_layout_hash(const struct kvr_spec *);

/* ---- what a handler may call ---- */

/* Call it before changing [at, at + len), which must lie in self. */
void kvr_touch(struct kvr_out *, const void *at, size_t len);
/*
 * The same for something that spans a line or two, like a key or an operation. A step touches the
 * same ones again and again, and only the first time costs a call.
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
/* Lines that this step may still change. A long job stops in time and goes on in the next step. */
static inline uint32_t
kvr_touch_left(const struct kvr_out *out)
{
	return KVR_TOUCH_MAX - out->actor->n_touched;
}
/* Sends op, deadline and part as msg has them; fills in from and cause. */
void kvr_send(struct kvr_out *, uint16_t to, const struct kvr_msg *);
/*
 * Sends me a TIMER at at_ns. There is one timer per number: setting it again moves it, and the
 * generation says which setting has fired. Timers cannot be cancelled: raise the generation and
 * ignore the old one.
 */
void kvr_later(struct kvr_out *, uint32_t timer, uint32_t gen, uint64_t at_ns);
/* n zeroed rows for this step to fill in. first: kvr_part_rows or a key slot. */
struct kvr_row *kvr_rows(struct kvr_out *, uint32_t first, uint32_t n);
/* splitmix64: the same numbers on every machine. The state lies in self; touch it first. */
uint64_t kvr_rand(uint64_t *state);

#endif
