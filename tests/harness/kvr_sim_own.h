/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the simulator's files say to each other.
 *
 *   kvr_sim.c         time, events, steps, ownership
 *   kvr_sim_worker.c  connector workers
 *   kvr_sim_store.c   what stores hold
 *   kvr_sim_text.c    transcripts
 *   kvr_sim_look.c    what a test may ask
 *   kvr_sim_api.c     callers
 *   kvr_sim_hands.c   serde and copy workers
 *   kvr_sim_layers.c  engines that go layer by layer
 */
#ifndef KVR_HARNESS_SIM_OWN_H
#define KVR_HARNESS_SIM_OWN_H

#include "kvr_sim.h"

enum { SIM_QUEUE = 64, SIM_LANES = KVR_TIERS_MAX * KVR_LANES_MAX, SIM_VALUES = 1 << 16 };
enum { SIM_STAGES = 1 << 20 };

/* WORD: an engine has layers; LAND: one has come. */
enum sim_event_kind { SIM_MSG, SIM_TIMER, SIM_WAKE, SIM_SERVE, SIM_WORD, SIM_LAND };

struct sim_event {
	uint64_t       at_ns, seq;
	uint32_t       kind;
	uint32_t       worker; /* WAKE */
	uint64_t       tag;    /* WAKE: of the job it ends; TIMER: of the setting */
	struct kvr_msg msg;
};

struct sim_job {
	struct kvr_msg msg;
	bool           cancelled;
};

struct sim_worker {
	bool     connected, hanging, stopped, busy, kickable;
	uint64_t epoch; /* of the store when it connected */
	uint64_t tag;   /* of the running job */
	uint64_t begun_ns;
	bool     sticking; /* the running job */
	uint64_t stuck_ns; /* when the last one that was stuck came back; 0: never */
	int32_t  outcome;
	uint32_t n_rows; /* that the running job will do */
	uint32_t n;
	struct sim_job running, queue[SIM_QUEUE];
};

struct sim_value {
	uint64_t name, value; /* name 0: free */
	uint32_t len, raw_len, serde;
	bool     present;
};

struct sim_tier {
	struct kvr_sim_store store;
	uint64_t             epoch;
	struct sim_value    *values; /* SIM_VALUES */
};

/* The newest setting of a timer. */
struct sim_timer {
	uint64_t tag;
	uint32_t gen;
};

struct sim_decider {
	struct kvr_actor  actor;
	void             *memory;
	struct sim_timer *timer; /* by their numbers */
	uint32_t          n_timers;
	bool              present;
};

struct sim_holder {
	uint32_t part;
	uint16_t id;
};

struct sim_text {
	char  *at;
	size_t len, cap;
};

struct sim_api;

struct kvr_sim {
	struct kvr_sim_options options;
	uint64_t          rand, now_ns, seq, steps, digest, local_ns;
	struct sim_event *heap;
	size_t            n_heap, cap_heap;
	struct kvr_row   *rows;
	struct kvr_out   *out;
	struct sim_decider decider[KVR_ID_N];
	struct sim_worker  worker[SIM_LANES];
	struct sim_tier    tier[KVR_TIERS_MAX];
	struct sim_holder  holder[KVR_PARTS_MAX];
	uint64_t (*seen)[KVR_MSG_N];
	struct sim_text text;
	uint64_t        plain; /* all payloads of a world without callers */
	struct sim_api *api;   /* NULL: no callers in this world */
};

/* kvr_sim.c */
void kvr_sim_at(struct kvr_sim *, uint64_t at_ns, const struct sim_event *);
/* A model answers: from and to are set, ownership moves, it arrives now. */
void kvr_sim_reply(struct kvr_sim *, uint16_t from, uint16_t to, const struct kvr_msg *);
_Noreturn void kvr_sim_broken(const struct kvr_sim *, const char *what);
uint16_t kvr_sim_holder_of(const struct kvr_sim *, uint32_t part);

/* kvr_sim_worker.c */
void kvr_sim_worker_take(struct kvr_sim *, const struct kvr_msg *);
void kvr_sim_worker_wake(struct kvr_sim *, uint32_t worker, uint64_t tag);

/* kvr_sim_store.c */
void kvr_sim_store_init(struct kvr_sim *);
void kvr_sim_store_free(struct kvr_sim *);
/* Does the row and says what it did; payload bytes that moved. */
uint32_t kvr_sim_store_row(struct kvr_sim *, uint32_t tier, enum kvr_verb, struct kvr_row *);
struct sim_value *kvr_sim_value(struct kvr_sim *, uint32_t tier, uint64_t name);

/* kvr_sim_text.c */
void kvr_sim_line(struct kvr_sim *, const struct kvr_actor *, uint32_t before,
    const struct kvr_event *);

/* kvr_sim_api.c: false when it is not for it. */
bool kvr_sim_api_take(struct kvr_sim *, const struct kvr_msg *);
void kvr_sim_api_serve(struct kvr_sim *, const struct kvr_msg *);
void kvr_sim_api_free(struct kvr_sim *);
/* kvr_sim_layers.c */
void kvr_sim_layers_word(struct kvr_sim *, const struct kvr_msg *);
void kvr_sim_layers_land(struct kvr_sim *, const struct kvr_msg *);
uint64_t kvr_sim_api_name(const struct kvr_sim *, uint32_t key);
/* Where a row's payload is: staging or the caller's memory. */
uint64_t *kvr_sim_api_place(struct kvr_sim *, const struct kvr_row *);

#endif
