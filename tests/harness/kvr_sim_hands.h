/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulator's callers and its serde and copy workers know. */
#ifndef KVR_HARNESS_SIM_HANDS_H
#define KVR_HARNESS_SIM_HANDS_H

#include "kvr_sim_own.h"

struct sim_key {
	uint64_t name, memory; /* name 0: free; memory: what stands in the caller's */
	uint32_t number, room;
	uint16_t landed; /* leading layers that the engine of a get was told of */
	bool     quiet;
	bool     paged; /* nobody but the copy worker can reach it */
	bool     taken_back; /* of a put: its caller was told that it may overwrite it, and has */
};

struct sim_asked {
	struct kvr_sim_answer answer;
	struct kvr_row       *rows;
	bool                  ahead; /* told once, ahead of its copies */
	uint32_t              n_asked, n_begun, n_copied; /* copies of a put that tells */
	uint32_t              layers, ready; /* by layers: so many; that the engine of a put has */
};

/* What has been fetched into a staging slot, by which part. */
struct sim_layers {
	uint32_t part, n;
};

struct sim_op {
	uint32_t number, gen; /* number + 1 of what was asked; 0: free */
};

struct sim_api {
	struct kvr_sim_hands hands;
	uint64_t busy_ns[KVR_ID_TIER]; /* by id: until when; one thread each, first come first served */
	struct sim_key   *keys;  /* KVR_KEYS_MAX */
	uint64_t         *stage; /* SIM_STAGES: by row.buf */
	struct sim_layers *stage_layers; /* the same */
	struct sim_asked *asked;
	uint32_t          n_asked, cap_asked, n_open;
	struct sim_op     op[KVR_OPS_MAX];
};

/* How far a copy is. */
enum sim_copy { SIM_COPY_ASKED, SIM_COPY_BEGUN, SIM_COPY_OVER };
/*
 * A copy that tells. The caller of a put that was told ahead overwrites its memory as soon as the
 * copies are over that had begun by then: behind the event, and not a moment later.
 */
void kvr_sim_tells(struct kvr_sim *, const struct kvr_msg *copy, enum sim_copy);

/* kvr_sim_api.c: what was asked; NULL, or broken: it is not open. */
struct sim_asked *kvr_sim_find(struct kvr_sim *, uint64_t op);
struct sim_asked *kvr_sim_live(struct kvr_sim *, const struct kvr_msg *, const char *what);

/* kvr_sim_hands.c: the caller's memory, for the copy worker */
uint64_t *kvr_sim_lent(struct kvr_sim *, const struct kvr_row *);

/* kvr_sim_layers.c */
void kvr_sim_layers_asked(struct kvr_sim *, struct sim_asked *, const struct kvr_sim_ask *);
/* The copy worker has it, from then to then. */
void kvr_sim_layers_take(struct kvr_sim *, const struct kvr_msg *copy, uint64_t from_ns, uint64_t to_ns);
/* What stands in staging afterwards, where the caller's memory has whole. */
uint64_t kvr_sim_layers_in(
    struct kvr_sim *, const struct kvr_row *, const struct kvr_msg *copy, uint64_t whole);
/* Leading layers of a row have come. */
void kvr_sim_layers_out(struct kvr_sim *, const struct kvr_row *, uint32_t end);

#endif
