/* SPDX-License-Identifier: Apache-2.0 */
/* What statistics show of a tier. Runs after each of its steps, so it costs only a few stores. */
#include "kvr_stats.h"
#include "kvr_tier_own.h"

static uint64_t
oldest(const struct tier *me)
{
	uint64_t at_ns = 0;

	/* Each list is in order of arrival. */
	for (uint32_t i = 0; i < LISTS && me->n_queued > 0; i++) {
		uint16_t head = me->list[i].head;

		if (head != 0 && (at_ns == 0 || me->part[head - 1].queued_ns < at_ns))
			at_ns = me->part[head - 1].queued_ns;
	}
	return at_ns;
}

void
kvr_tier_stats(const void *self, struct kvr_stats_tier *ret)
{
	const struct tier *me = self;
	uint32_t n_stuck = 0;

	if (me->magic != TIER_MAGIC)
		return;
	ret->oldest_ns = oldest(me);
	ret->bytes = me->bytes;
	ret->backoff_ns = me->backoff_ns;
	ret->cool_ns = me->cool_ns;
	ret->puts_ns = me->puts_at_ns;
	ret->away_ns = me->away_ns;
	ret->full_len =
	    me->config.faults != 0 && me->n_full >= me->config.faults ? me->full_len : 0;
	ret->n_queued = me->n_queued;
	ret->n_in_lanes = me->n_parts;
	ret->n_lanes = me->config.n_links;
	ret->faults = me->faults;
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		const struct lane *lane = &me->lane[i];

		ret->lane[i].bytes = lane->bytes;
		ret->lane[i].state = lane->state;
		ret->lane[i].n_parts = lane->n_parts;
		ret->lane[i].stuck = lane->stuck;
		ret->lane[i].stuck_ns = lane->stuck_ns;
		n_stuck += lane->stuck;
	}
	ret->n_stuck = n_stuck;
}
