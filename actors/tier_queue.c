/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parts wait, and which is next. There is one list per class, in order of arrival, and one
 * for parts that are tried again: such a part may have to wait for a connection that is being made,
 * and must not hold up its class meanwhile.
 *
 * A waiting part rises one class per ageing_ns. In other words, each part has a number that does
 * not change while it waits, arrival + class * ageing_ns, and the smallest number is next. So
 * nothing starves, and the next part is the best of a few heads.
 */
#include "kvr_tier_own.h"

#define AGEING_NS KVR_MS(100)

static struct part *
at(struct tier *me, uint16_t link)
{
	return link == 0 ? NULL : &me->part[link - 1];
}

static uint16_t
link_of(const struct tier *me, const struct part *p)
{
	return (uint16_t)(p - me->part + 1);
}

/*
 * Keeps the order of arrival. A new part goes straight to the end; one that comes back from a link
 * walks from the front, past those that came back before it.
 */
void
kvr_tier_enqueue(struct tier *me, struct kvr_out *out, struct part *p)
{
	p->list = p->retried ? LIST_RETRY : p->cls;
	p->place = PLACE_QUEUED;
	struct list *list = &me->list[p->list];
	struct part *before = at(me, list->tail), *after = NULL;

	if (before != NULL && before->queued_ns > p->queued_ns) {
		after = at(me, list->head);
		while (after->queued_ns <= p->queued_ns)
			after = at(me, after->next);
		before = at(me, after->prev);
	}
	p->prev = before == NULL ? 0 : link_of(me, before);
	p->next = after == NULL ? 0 : link_of(me, after);
	if (before != NULL) {
		kvr_touch(out, before, sizeof(*before));
		before->next = link_of(me, p);
	} else {
		list->head = link_of(me, p);
	}
	if (after != NULL) {
		kvr_touch(out, after, sizeof(*after));
		after->prev = link_of(me, p);
	} else {
		list->tail = link_of(me, p);
	}
	me->n_queued++;
}

void
kvr_tier_unlink(struct tier *me, struct kvr_out *out, struct part *p)
{
	struct list *list = &me->list[p->list];
	struct part *before = at(me, p->prev), *after = at(me, p->next);

	KVR_CHECK(p->place == PLACE_QUEUED && me->n_queued > 0);
	if (before != NULL) {
		kvr_touch(out, before, sizeof(*before));
		before->next = p->next;
	} else {
		list->head = p->next;
	}
	if (after != NULL) {
		kvr_touch(out, after, sizeof(*after));
		after->prev = p->prev;
	} else {
		list->tail = p->prev;
	}
	kvr_touch(out, p, sizeof(*p));
	p->next = p->prev = 0;
	me->n_queued--;
}

/*
 * Control lanes stay free of payload, so that a lookup never waits behind any. But when no other
 * lane is up or being dialed, slow is better than not at all.
 */
static bool
control_only(const struct tier *me, uint32_t lane)
{
	if (lane >= me->config.n_control)
		return false;
	for (uint32_t i = me->config.n_control; i < me->config.n_links; i++) {
		if (kvr_tier_alive(&me->lane[i]))
			return true;
	}
	return false;
}

static uint64_t
deadline(const struct part *p)
{
	return p->deadline_ns == 0 ? UINT64_MAX : p->deadline_ns;
}

/*
 * A part that waits inside a worker cannot be called back before the worker is done with the part
 * that runs. So it waits there only behind parts that end by its own deadline; otherwise it would
 * be answered at another part's deadline.
 */
static bool
in_time(const struct lane *lane, const struct part *p)
{
	return (lane->n_parts == 0 || lane->until_ns <= deadline(p)) &&
	    lane->ping_ns <= deadline(p);
}

static uint32_t
load(const struct lane *lane)
{
	return (uint32_t)lane->n_parts + (lane->ping_ns != 0);
}

/*
 * The lane with the least to do. A part whose connection was lost goes to a connection made after
 * that, because the others were most likely lost with it; to an older one only when none is being
 * made. NULL: no lane can take it now. ret_waits: one could, but has something to do first.
 */
static struct lane *
lane_for(struct tier *me, const struct part *p, bool *ret_waits)
{
	struct lane *best = NULL, *old = NULL;
	bool dialing = false, waits = false;

	for (uint32_t i = 0; i < me->config.n_links; i++) {
		struct lane *lane = &me->lane[i];

		if (!kvr_tier_alive(lane) || (p->cls != KVR_CLASS_LOOKUP && control_only(me, i)))
			continue;
		dialing = dialing || lane->state == KVR_LINK_DIALING;
		if (lane->state != KVR_LINK_UP)
			continue;
		if (!in_time(lane, p)) {
			waits = true;
			continue;
		}
		if (lane->n_parts >= me->config.places)
			continue;
		if (p->retried && lane->conn <= p->after) {
			if (old == NULL || load(lane) < load(old))
				old = lane;
		} else if (best == NULL || load(lane) < load(best)) {
			best = lane;
		}
	}
	if (best == NULL && !dialing)
		best = old;
	*ret_waits = best == NULL && waits;
	return best;
}

static uint64_t
turn(const struct tier *me, const struct part *p)
{
	uint64_t ageing_ns = me->config.ageing_ns == 0 ? AGEING_NS : me->config.ageing_ns;

	return p->queued_ns + p->cls * ageing_ns;
}

static bool
fits(const struct tier *me, const struct part *p)
{
	/* Alone it always fits: a part larger than the budget must not wait for ever. */
	return me->config.budget_bytes == 0 || me->bytes == 0 || p->bytes == 0 ||
	    p->bytes + me->bytes <= me->config.budget_bytes;
}

/*
 * The next part that some lane can take. If the part whose turn it is does not fit into the budget,
 * no other payload passes it, or a stream of small parts would starve it. If it waits for a lane to
 * become idle, no later part is put into a busy lane.
 */
struct part *
kvr_tier_next(struct tier *me, struct lane **ret_lane)
{
	struct part *best = NULL;
	struct lane *best_lane = NULL;
	uint64_t over_budget = UINT64_MAX, waiting = UINT64_MAX;

	for (uint32_t i = 0; i < LISTS; i++) {
		struct part *p = at(me, me->list[i].head);

		for (; p != NULL; p = i == LIST_RETRY ? at(me, p->next) : NULL) {
			bool waits;
			struct lane *lane = lane_for(me, p, &waits);

			if (waits)
				waiting = KVR_MIN(waiting, turn(me, p));
			if (lane == NULL)
				continue;
			if (!fits(me, p)) {
				over_budget = KVR_MIN(over_budget, turn(me, p));
				continue;
			}
			if (best == NULL || turn(me, p) < turn(me, best)) {
				best = p;
				best_lane = lane;
			}
		}
	}
	if (best == NULL || (best->bytes > 0 && turn(me, best) > over_budget) ||
	    (load(best_lane) > 0 && turn(me, best) > waiting))
		return NULL;
	*ret_lane = best_lane;
	return best;
}
