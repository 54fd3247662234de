/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulator's callers and its serde and copy workers know. */
#ifndef KVR_HARNESS_SIM_HANDS_H
#define KVR_HARNESS_SIM_HANDS_H

#include "kvr_sim_own.h"

struct sim_key {
	uint64_t name, memory; /* name 0: free; memory: what stands in the caller's */
	uint32_t number, room;
	bool     quiet;
	bool     paged; /* nobody but the copy worker can reach it */
};

struct sim_asked {
	struct kvr_sim_answer answer;
	struct kvr_row       *rows;
	bool                  ahead; /* told once, ahead of its copies */
};

struct sim_op {
	uint32_t number, gen; /* number + 1 of what was asked; 0: free */
};

struct sim_api {
	struct kvr_sim_hands hands;
	uint64_t busy_ns[KVR_ID_TIER]; /* by id: until when; one thread each, first come first served */
	struct sim_key   *keys;  /* KVR_KEYS_MAX */
	uint64_t         *stage; /* SIM_STAGES: by row.buf */
	struct sim_asked *asked;
	uint32_t          n_asked, cap_asked, n_open;
	struct sim_op     op[KVR_OPS_MAX];
};

#endif
