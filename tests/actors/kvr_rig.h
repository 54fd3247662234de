/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tier with its links in a simulated world, and the test in the router's place: it makes parts
 * and keeps what became of them.
 */
#ifndef KVR_RIG_H
#define KVR_RIG_H

#include "kvr_sim.h"

struct kvr_rig_part {
	uint32_t id; /* 0: never made */
	uint32_t rows, n_rows;
	uint32_t number;  /* how many were given before */
	uint32_t answers;
	int32_t  err;
	uint32_t n_ok;
	uint8_t  lane, verb;
	uint64_t given_ns, answered_ns;
};

struct kvr_rig {
	struct kvr_sim *sim;
	struct kvr_tier_config tier;
	struct kvr_link_config link;
	struct kvr_rig_part part[KVR_PARTS_MAX];
	uint32_t gen[KVR_PARTS_MAX];
	uint32_t next[2]; /* small, wide: where to look for a free slot: the oldest is taken last */
	uint32_t n_open;
	uint32_t n_given, n_answered;
	uint32_t stopped, n_given_at_stop;
	uint64_t stat_n, stat_ok, stat_miss, stat_err, stat_dropped; /* sums of PART_STAT, keys */
	uint64_t count[KVR_COUNT_N];
	uint32_t tier_state, links_up; /* as last told */
};

/* What a test usually wants: one control lane, two others, 2 places, 5 faults, 100 ms to 10 s. */
void kvr_rig_defaults(struct kvr_rig *);
/* Starts links and tier; nothing has happened yet. */
void kvr_rig_open(struct kvr_rig *, const struct kvr_sim_options *);
void kvr_rig_close(struct kvr_rig *);

struct kvr_rig_ask {
	enum kvr_verb verb;
	enum kvr_class cls;
	uint32_t n, len;
	uint64_t deadline_ns, key; /* keys are key, key + 1, ... */
	bool refuse;
};
/* Slot of a part that is on its way. */
uint32_t kvr_rig_give(struct kvr_rig *, const struct kvr_rig_ask *);
/* An OK-looking get of one key with this deadline. */
uint32_t kvr_rig_get(struct kvr_rig *, uint64_t deadline_ns);
void     kvr_rig_cancel(struct kvr_rig *, uint32_t slot, int32_t reason);
void     kvr_rig_stop(struct kvr_rig *);
/* A word of a link that arrives now, whatever the link thinks. */
void     kvr_rig_says(struct kvr_rig *, uint32_t lane, enum kvr_link_state, int32_t err, bool was_up);
uint32_t kvr_rig_tier(const struct kvr_rig *);
/* How many messages of this type the workers of all lanes were sent. */
uint64_t kvr_rig_sent(const struct kvr_rig *, enum kvr_msg_type);
/* All that was given is answered, nothing is held by anybody, all keys are accounted for. */
void     kvr_rig_settled(struct kvr_rig *);
/* Stops it, waits until that is over and all of that holds, and frees the world. */
void     kvr_rig_end(struct kvr_rig *);

#endif
