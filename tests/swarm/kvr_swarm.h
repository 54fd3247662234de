/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One seed is one run: a whole instance in a simulated world. Which tiers, policies, limits and
 * faults there are is drawn from the seed; callers ask at random; then the faults stop, all has to
 * come to its end and to be exactly right again.
 *
 *   swarm_plan.c   what this seed's world is like
 *   swarm_chaos.c  callers, faults, cancels, stops
 *   swarm_change.c options that are changed meanwhile, canaries, a flood of calls
 *   swarm_calm.c   the faults are over: all comes back
 *   swarm_model.c  and then each call has one right answer
 *   swarm_rules.c  what must be true all the time
 *   swarm_tables.c the router's tables against what really is under way
 *   swarm_tape.c   each run is recorded and replayed
 *   swarm_run.c    a run from its beginning to its end
 *
 * Whatever is broken panics: kvr_on_panic says who hears of it.
 */
#ifndef KVR_SWARM_H
#define KVR_SWARM_H

#include "kvr_router_own.h"
#include "kvr_sim_instance.h"
#include "kvr_tape.h"

enum swarm_stop { SWARM_GOES_ON, SWARM_DRAIN, SWARM_ABORT, SWARM_DRAIN_THEN_ABORT };

/* What callers do in this world, and how long. */
struct swarm_plan {
	uint64_t seed, draw; /* draw: the generator that all of this comes from */
	uint32_t rounds, asks_max; /* per round */
	uint32_t n_names, n_max;   /* keys that exist; keys of one call */
	uint32_t big;              /* chance of 1024: a call of hundreds or thousands of keys */
	uint32_t len[3];
	uint32_t other_len; /* chance of 1024: another length than most values have */
	uint32_t cancels, outages, strangers, evictions; /* chances of 1024 per round */
	uint32_t changes, canaries; /* chances of 1024 per round */
	bool     flat;              /* LMCache's form: options of its health check are changed, too */
	bool     flood;             /* once, more calls than there are parts */
	uint32_t nomem; /* chance of 1024 per key of a get: the pool had no object for it */
	uint64_t patience_ns; /* longest deadline */
	uint64_t pause_ns;    /* longest time between two rounds */
	uint64_t hop_ns;
	uint64_t ring_bytes; /* of the trace */
	enum swarm_stop stop;
	uint32_t stop_round, stop_step; /* after so many steps of that round */
};

/* What the rules know of a call beyond the answer. */
struct swarm_call {
	uint64_t deadline_ns;
	uint64_t until_ns;   /* deadline, or when it was cancelled */
	uint64_t first_ns;   /* first COMPLETE; 0: none yet */
	uint64_t excused_ns; /* a stuck worker gave the caller's memory back then; 0: none had it */
	bool     cancelled;
	uint64_t waited_ns;  /* a worker gave a part back then that it had not begun; 0: none */
};

struct swarm {
	struct swarm_plan plan;
	struct kvr_sim_instance in;
	struct kvr_sim_watch watch;
	struct kvr_tape tape;
	struct swarm_call *calls; /* by the simulator's number */
	uint32_t cap_calls;
	uint32_t number[KVR_OPS_MAX]; /* of the call that has this operation's slot */
	uint64_t instant_ns, n_instant; /* steps at one instant */
	uint64_t stop_at_step;
	uint64_t stopped_ns; /* when an abort was asked for; 0: never */
	bool     in_step, show;
};

/* swarm_plan.c */
void swarm_plan_draw(struct swarm *, uint64_t seed);
/* Stores and hands of the open world: as bad as this seed has them, or well. */
void swarm_plan_faults(struct swarm *);
void swarm_plan_well(struct swarm *);
uint64_t swarm_pick(uint64_t *draw, uint64_t min, uint64_t max);

/* swarm_chaos.c */
void swarm_chaos(struct swarm *);
/* Asks and remembers. UINT32_MAX: no place is free. */
uint32_t swarm_ask(struct swarm *, const struct kvr_sim_ask *);

/* swarm_change.c */
enum { SWARM_CANARY_NAME = 2000000 }; /* names that no caller uses */
void swarm_change(struct swarm *);
void swarm_be_patient(struct swarm *);
void swarm_canary(struct swarm *);
void swarm_canaries_end(struct swarm *);
void swarm_flood(struct swarm *);

/* swarm_calm.c */
void swarm_calm(struct swarm *);
/* Until all that was asked is released. */
void swarm_calm_wait(struct swarm *, uint64_t within_ns);

/* swarm_model.c */
enum { SWARM_CALM_NAME = 1000000, SWARM_CALM_NAMES = 24 }; /* keys that the chaos does not use */
void swarm_model_call(struct swarm *);

/* swarm_rules.c */
void swarm_rules_watch(struct swarm *);
void swarm_rules_asked(struct swarm *, uint32_t number, uint64_t deadline_ns);
void swarm_rules_cancelled(struct swarm *, uint32_t number);
/* After the last event: of all calls and of what was counted. */
void swarm_rules_end(struct swarm *);
_Noreturn void KVR_PRINTF(2, 3) swarm_broken(const struct swarm *, const char *format, ...);
/* "put of 3 keys, EARLY | AT_MOST" */
const char *swarm_name(const struct kvr_sim_answer *);

/* swarm_tables.c */
void swarm_tables_check(struct swarm *);
void swarm_tables_removed(struct swarm *, uint32_t number);
/* Nothing is under way: nothing may be left in them. */
void swarm_tables_empty(struct swarm *);

/* swarm_tape.c */
/* Replays what was recorded; a difference is broken. */
void swarm_tape_replay(struct swarm *);
void swarm_tape_close(struct swarm *);
/* Of a run that broke: the recorded steps, the one that did not end too. False: not written. */
bool swarm_tape_keep(struct swarm *, const char *path, const char *why);

/* swarm_run.c */
/* keep: where the trace is put, NULL: it is not. */
uint64_t swarm_run(struct swarm *, uint64_t seed, bool record, bool show, const char *keep);

#endif
