/* SPDX-License-Identifier: Apache-2.0 */
/* Which tiers do what by their configuration, as masks: a bit per tier. */
#include "kvr_router_own.h"

uint8_t
kvr_router_all_tiers(const struct router *me)
{
	return (uint8_t)((1U << me->config.n_tiers) - 1);
}

uint8_t
kvr_router_written(const struct router *me, enum kvr_write_policy policy)
{
	uint8_t mask = 0;

	for (uint32_t t = 0; t < me->config.n_tiers; t++) {
		if (me->config.tier[t].write == (uint8_t)policy)
			mask |= (uint8_t)(1U << t);
	}
	return mask;
}

uint8_t
kvr_router_promoted(const struct router *me)
{
	uint8_t mask = 0;

	for (uint32_t t = 0; t < me->config.n_tiers; t++) {
		if (me->config.tier[t].promote)
			mask |= (uint8_t)(1U << t);
	}
	return mask;
}
