/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for deciders: virtual time, a queue of events, the row table, and everything around them
 * as models: connector workers in front of a store, serde workers, the copy worker, callers. All
 * chance comes from one seed, so a seed is a run, byte by byte, on every machine and compiler.
 *
 * It watches while it runs: a part has one holder and comes back to the router once, digests of
 * states are what they claim to be, check(full) holds, an operation gets one COMPLETE and one
 * RELEASE. What is broken panics with the seed in the message.
 *
 * Verbs: post and post_at put a message in, run and run_idle let time pass, store changes how a
 * store behaves from now on, expect compares the transcript with a file (KVR_BLESS=1 writes it).
 */
#ifndef KVR_HARNESS_SIM_H
#define KVR_HARNESS_SIM_H

#include "kvr_actors.h"
#include "kvr_connector.h"
#include "kvr_err.h"

struct kvr_sim;

/* A message that no decider of this world and no model takes: a test plays that actor. */
typedef void kvr_sim_outside_fn(void *arg, struct kvr_sim *, const struct kvr_msg *);

/* Sees every step from both sides: before it rows are what the decider will read. */
struct kvr_sim_watch {
	void (*before)(void *arg, struct kvr_sim *, const struct kvr_event *);
	void (*after)(void *arg, struct kvr_sim *, const struct kvr_actor *, uint32_t state_before,
	    uint64_t digest, const struct kvr_out *);
	void *arg;
};

struct kvr_sim_options {
	uint64_t seed;
	/*
	 * Deciders' messages to each other take up to this long, in order. 0: none. What comes from
	 * outside then gets between them, as it does between threads.
	 */
	uint64_t hop_ns;
	uint32_t verify_every; /* steps between two full verifications; 0: 64 */
	bool     transcript;
	kvr_sim_outside_fn *outside; /* NULL: such messages are a bug */
	void    *arg;
	const struct kvr_sim_watch *watch; /* NULL: nobody; lives as long as the world */
};

/* How the store of a tier behaves. Chances are out of 1024. */
struct kvr_sim_store {
	uint64_t dial_min_ns, dial_max_ns;
	uint64_t run_min_ns, run_max_ns; /* one part or ping */
	uint64_t kick_ns;   /* from a kick to the answer */
	uint64_t stick_ns;  /* how much too late a stuck worker is */
	uint32_t dial_fails, dial_hangs;
	uint32_t loses;     /* the connection, in the middle of a part */
	uint32_t garbles;   /* the same with PROTO */
	uint32_t stalls;    /* silence until the deadline or a kick */
	uint32_t drips;     /* it goes on, a hundred times slower */
	uint32_t sticks;    /* silence beyond the deadline, and no kick helps */
	uint32_t ping_fails;
	uint32_t corrupts, refuses, evicts, full; /* single keys */
	uint32_t node_down; /* single keys, of a node of the store that is DOWN while the others live */
	uint32_t no_ping;   /* 1: PING is UNSUPPORTED */
	bool     read_only; /* puts and removals are refused; everything else is answered */
	bool     down;      /* nobody listens; set it with kvr_sim_down */
};

struct kvr_sim *kvr_sim_new(const struct kvr_sim_options *);
void            kvr_sim_free(struct kvr_sim *take);

void kvr_sim_add(struct kvr_sim *, uint16_t id, const struct kvr_spec *);
/* START with config as rows, at once. */
void kvr_sim_start(struct kvr_sim *, uint16_t id, const void *config, size_t len, uint64_t seed);
/* from, deadline, part and rows as given. Owned parts must be held by msg->from. */
void kvr_sim_post(struct kvr_sim *, uint16_t to, const struct kvr_msg *);
void kvr_sim_post_at(struct kvr_sim *, uint64_t at_ns, uint16_t to, const struct kvr_msg *);
/* Until time is at_ns, or until nothing is left to happen; returns the number of steps. */
uint64_t kvr_sim_run(struct kvr_sim *, uint64_t at_ns);
/* Until done(arg) or until_ns; true when done. */
bool     kvr_sim_run_until(struct kvr_sim *, uint64_t until_ns, bool (*done)(void *), void *arg);

uint64_t        kvr_sim_now(const struct kvr_sim *);
uint64_t        kvr_sim_rand(struct kvr_sim *, uint64_t below);
bool            kvr_sim_chance(struct kvr_sim *, uint32_t of_1024);
struct kvr_row *kvr_sim_rows(struct kvr_sim *, uint32_t first);
const struct kvr_actor *kvr_sim_actor(const struct kvr_sim *, uint16_t id);
uint32_t        kvr_sim_state(const struct kvr_sim *, uint16_t id);
/* Of every step so far: actor, time, what kvr_step returned. */
uint64_t        kvr_sim_digest(const struct kvr_sim *);
uint64_t        kvr_sim_steps(const struct kvr_sim *);
/* Full digests and check(full) of all deciders, now. */
void            kvr_sim_verify(struct kvr_sim *);
/* Parts that are held by somebody other than the router. */
uint32_t        kvr_sim_parts_out(const struct kvr_sim *);

/* Times that this message reached this actor. */
uint64_t kvr_sim_seen(const struct kvr_sim *, uint16_t to, enum kvr_msg_type);

/* The store of a tier, to be changed at will. */
struct kvr_sim_store *kvr_sim_store(struct kvr_sim *, uint32_t tier);
/* down: connections are dead at their next use and dials are refused; up again: dials work. */
void kvr_sim_down(struct kvr_sim *, uint32_t tier, bool down);
/* Puts a value under a name, as if somebody else had written it. */
void kvr_sim_stored(struct kvr_sim *, uint32_t tier, uint64_t name, uint32_t len, uint64_t value);
/* The store has lost it. */
void kvr_sim_evict(struct kvr_sim *, uint32_t tier, uint64_t name);
/* Length of what the tier's store has under this name; -1: nothing. */
int64_t kvr_sim_has(struct kvr_sim *, uint32_t tier, uint64_t name);

/*
 * Callers, serde workers and the copy worker, for worlds with a router. A key of these callers is a
 * number, its payload is what kvr_sim_content says: a get that hands over anything else, and
 * anybody who touches memory after it was said to be quiet, is broken.
 */
struct kvr_sim_ask {
	uint32_t        kind, flags; /* enum kvr_op_kind, kvr_op_flag */
	uint32_t        n, len;      /* keys; bytes of each payload or destination */
	uint32_t        per_chunk;   /* 0: 1 */
	uint32_t        nomem;       /* GET: chance of 1024 that there was no object for a key */
	uint32_t        only;        /* tier + 1 that alone is asked, as the canary's; 0: all */
	uint32_t        layers;      /* with KVR_OPF_LAYERS: of a chunk */
	uint64_t        layers_ns;   /* of a put: its engine has them all by then, one at any time */
	uint64_t        deadline_ns;
	const uint64_t *names; /* n of them, not 0 */
};

struct kvr_sim_answer {
	uint32_t kind, flags, n, first;
	uint32_t per_chunk;
	uint64_t op, asked_ns, answered_ns, released_ns; /* 0: not yet */
	uint32_t n_complete;
	int32_t  err;
	uint32_t done_bits, n_ok, prefix;
	uint64_t bytes;
	const struct kvr_row *rows; /* n, as they were at the last COMPLETE */
};

struct kvr_sim_hands { /* serde and copy workers */
	uint64_t min_ns, max_ns;
	uint32_t raw;      /* chances of 1024: a payload that does not shrink */
	uint32_t corrupts; /* one that cannot be decoded */
	uint32_t breaks;   /* a copy of the device's that fails */
	bool     lost;     /* the device: none of its copies works any more */
};

struct kvr_sim_hands *kvr_sim_callers(struct kvr_sim *); /* makes them */
/* A number for the others; UINT32_MAX: no slot is free, nothing was asked. */
uint32_t kvr_sim_ask(struct kvr_sim *, const struct kvr_sim_ask *);
void     kvr_sim_cancel(struct kvr_sim *, uint32_t number, int32_t reason);
/* Valid until the next ask. */
const struct kvr_sim_answer *kvr_sim_answer_to(const struct kvr_sim *, uint32_t number);
uint32_t kvr_sim_asked(const struct kvr_sim *);
uint32_t kvr_sim_open(const struct kvr_sim *); /* asked and not yet released */
uint64_t kvr_sim_content(uint64_t name);

/* The transcript so far; tests/actors/<name>.txt must say the same. */
const char *kvr_sim_text(const struct kvr_sim *);
void        kvr_sim_note(struct kvr_sim *, const char *line);
void        kvr_sim_expect(struct kvr_sim *, const char *name);

#endif
