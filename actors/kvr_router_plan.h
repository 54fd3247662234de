/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files that make a part share: the plan of a part, and who makes it. */
#ifndef KVR_ROUTER_PLAN_H
#define KVR_ROUTER_PLAN_H

#include "kvr_router_own.h"

/* A part to be: decided before anything is taken for it. */
struct plan {
	uint32_t keys_max, n;
	uint64_t bytes_max, bytes;
	uint64_t until_ns;
	uint32_t serde;  /* encode before, or decode after; 0: no serde */
	bool     wide, staged, moves;
	uint8_t  verb, cls;
	uint32_t dropped; /* keys that get no background write: no slot was free */
	uint32_t key[KVR_WIDE_KEYS];
	uint32_t buf[KVR_PART_KEYS];
	bool     twice; /* a second slot per key, for the other side of the serde */
};

/* router_plan.c */
/* From the operation's phase and tier, before its keys are looked at. */
void kvr_router_plan_part(const struct step *, const struct op *, struct plan *);
/*
 * Moves the cursor over keys that this phase does not want, and past those that the part takes,
 * with their slots. False: it stopped before a key that must wait for a slot, or that would be too
 * much.
 */
bool kvr_router_gather(struct step *, struct op *, struct plan *);

#endif
