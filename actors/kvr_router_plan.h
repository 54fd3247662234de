/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two files that make a part: what it would be, and what it becomes. */
#ifndef KVR_ROUTER_PLAN_H
#define KVR_ROUTER_PLAN_H

#include "kvr_router_own.h"

/* What a part would be: decided before anything is taken. */
struct plan {
	uint32_t keys_max, n;
	uint64_t bytes_max, bytes;
	uint64_t until_ns;
	uint32_t serde;  /* encode before, or decode after; 0: neither */
	bool     wide, staged, moves;
	uint8_t  verb, cls;
	uint32_t dropped; /* keys that get no background write: no slot was free */
	uint32_t key[KVR_WIDE_KEYS];
	uint32_t buf[KVR_PART_KEYS];
	bool     twice; /* a prefetch through a serde: a second slot for what is decoded */
};

/* router_plan.c */
/* From the operation's phase and tier, before its keys are looked at. */
void kvr_router_plan_part(const struct step *, const struct op *, struct plan *);
/*
 * Moves the cursor over keys that this phase does not want and past those it takes, with their slots.
 * False: it stands before one that has to wait for a slot, or would be too much.
 */
bool kvr_router_gather(struct step *, struct op *, struct plan *);

#endif
