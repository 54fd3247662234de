/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants between two steps of a tier. full walks all parts; the rest looks at a few lanes. */
#include "kvr_tier_own.h"

static void
check_list(const struct tier *me, uint32_t i, uint32_t *queued)
{
	const struct list *list = &me->list[i];
	uint16_t prev = 0;
	uint64_t queued_ns = 0;

	for (uint16_t link = list->head; link != 0; link = me->part[link - 1].next) {
		const struct part *p = &me->part[link - 1];

		KVR_CHECK(p->place == PLACE_QUEUED && p->list == i && p->prev == prev);
		KVR_CHECK(p->queued_ns >= queued_ns && ++*queued <= me->n_queued);
		KVR_CHECK(p->list == (p->retried ? LIST_RETRY : p->cls));
		queued_ns = p->queued_ns;
		prev = link;
	}
	KVR_CHECK(list->tail == prev);
}

static void
check_parts(const struct tier *me)
{
	uint32_t queued = 0, n_queued = 0, in_lane[KVR_LANES_MAX] = { 0 };
	uint64_t bytes[KVR_LANES_MAX] = { 0 };

	for (uint32_t i = 0; i < LISTS; i++)
		check_list(me, i, &queued);
	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		const struct part *p = &me->part[i];

		KVR_CHECK((p->part != 0) == (p->place != PLACE_FREE));
		KVR_CHECK(KVR_IMPLIES(p->part != 0, KVR_PART_SLOT(p->part) == i));
		n_queued += p->place == PLACE_QUEUED;
		if (p->place != PLACE_LINK)
			continue;
		in_lane[p->lane]++;
		bytes[p->lane] += p->bytes;
	}
	KVR_CHECK(queued == me->n_queued && n_queued == queued);
	for (uint32_t i = 0; i < KVR_LANES_MAX; i++)
		KVR_CHECK(me->lane[i].n_parts == in_lane[i] && me->lane[i].bytes == bytes[i]);
}

/* A lane that is being dialed, or waits for that, expects no old answers. */
static void
check_lane(const struct lane *lane)
{
	KVR_CHECK(KVR_IMPLIES(lane->redial_ns != 0, lane->state == KVR_LINK_DOWN && !lane->stuck));
	KVR_CHECK(KVR_IMPLIES(lane->ping_ns != 0, lane->state == KVR_LINK_UP));
}

void
kvr_tier_check(const void *self, unsigned state, bool full)
{
	KVR_SELF(const struct tier, me, self, TIER_MAGIC);
	uint32_t n_parts = 0, n_up = 0, n_alive = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < me->config.n_links; i++) {
		const struct lane *lane = &me->lane[i];

		KVR_CHECK(lane->n_parts <= me->config.places);
		n_parts += lane->n_parts;
		bytes += lane->bytes;
		n_up += lane->state == KVR_LINK_UP;
		n_alive += kvr_tier_alive(lane);
		if (state != KVR_TIER_CLOSED)
			check_lane(lane);
	}
	KVR_CHECK(me->state == state && me->n_parts == n_parts && me->bytes == bytes);
	KVR_CHECK(KVR_IMPLIES(state != KVR_TIER_CLOSED, me->links_up == n_up));
	KVR_CHECK(KVR_IMPLIES(state == KVR_TIER_OPENING || state == KVR_TIER_UP, n_alive > 0));
	KVR_CHECK(KVR_IMPLIES(state != KVR_TIER_CLOSED && me->health.asking != 0,
	    me->lane[me->health.lane].state == KVR_LINK_UP));
	KVR_CHECK((state == KVR_TIER_COOLING) == (me->cool_ns != 0));
	KVR_CHECK(KVR_IMPLIES(state == KVR_TIER_PROBING, kvr_tier_alive(&me->lane[me->probe])));
	KVR_CHECK(KVR_IMPLIES(state != KVR_TIER_UP && state != KVR_TIER_OPENING,
	    me->n_queued == 0 || me->continuing));
	KVR_CHECK(KVR_IMPLIES(state == KVR_TIER_UP && me->config.faults != 0,
	    me->faults < me->config.faults));
	KVR_CHECK(me->refusals <= me->config.faults && me->n_full <= me->config.faults);
	KVR_CHECK(KVR_IMPLIES(me->puts_at_ns != 0, me->puts_backoff_ns != 0));
	if (full)
		check_parts(me);
}
