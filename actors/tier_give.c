/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump runs at the end of every step: while the breaker is closed it gives waiting parts to
 * links that have a place; while it is open it answers them. What does not fit into one step goes
 * on in the next, by CONTINUE.
 */
#include "kvr_tier_own.h"

#include <string.h>

void
kvr_tier_count(const struct tier *me, struct kvr_out *out, enum kvr_count what, uint32_t n)
{
	kvr_send(out, KVR_ID_METRICS,
	    &(struct kvr_msg){ .type = KVR_MSG_COUNT,
		.COUNT = { .what = what, .tier = me->config.tier, .n = n } });
}

void
kvr_tier_drop(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct part *p,
    int32_t err)
{
	struct kvr_msg done = { .type = KVR_MSG_PART_DONE,
		.n_rows = p->n_rows,
		.op = p->op,
		.deadline_ns = p->deadline_ns,
		.rows = p->rows,
		.part = p->part,
		.PART_DONE = { .err = err,
		    .n_ok = p->n_ok,
		    .bytes = p->moved,
		    .verb = p->verb,
		    .tier = (uint8_t)me->config.tier,
		    .lane = p->lane,
		    .cls = p->cls } };
	struct kvr_msg stat = { .type = KVR_MSG_PART_STAT,
		.op = p->op,
		.PART_STAT = { .tier = (uint8_t)me->config.tier,
		    .verb = p->verb,
		    .err = (int8_t)err,
		    .dropped = p->retried == 0,
		    .n = p->n_rows,
		    .n_ok = p->n_ok,
		    .waited_us = kvr_tier_waited(ev->now_ns, p, 0),
		    .bytes = p->moved } };

	kvr_tier_unlink(me, out, p);
	if (err == KVR_E_TIMEOUT)
		kvr_tier_health_note(me, out, p, err);
	memset(p, 0, sizeof(*p));
	kvr_send(out, KVR_ID_ROUTER, &done);
	kvr_send(out, KVR_ID_METRICS, &stat);
}

void
kvr_tier_sweep_at(struct tier *me, struct kvr_out *out, uint64_t deadline_ns)
{
	if (deadline_ns == 0 || (me->sweep_ns != 0 && me->sweep_ns <= deadline_ns))
		return;
	me->sweep_ns = deadline_ns;
	kvr_later(out, TIMER_SWEEP, ++me->gen[TIMER_SWEEP], deadline_ns);
}

static bool
expired(const struct part *p, uint64_t now_ns)
{
	return p->deadline_ns != 0 && p->deadline_ns <= now_ns;
}

/* True when all waiting parts have been looked at. */
static bool
sweep(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	uint64_t next_ns = UINT64_MAX;

	for (uint32_t i = 0; i < LISTS; i++) {
		uint16_t link = me->list[i].head;

		while (link != 0) {
			struct part *p = &me->part[link - 1];

			link = p->next;
			if (expired(p, ev->now_ns)) {
				if (out->n >= PUMP_MAX)
					return false;
				kvr_tier_drop(me, ev, out, p, KVR_E_TIMEOUT);
			} else if (p->deadline_ns != 0) {
				next_ns = KVR_MIN(next_ns, p->deadline_ns);
			}
		}
	}
	me->sweeping = 0;
	if (next_ns != UINT64_MAX)
		kvr_tier_sweep_at(me, out, next_ns);
	return true;
}

static void
give(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct part *p,
    struct lane *lane)
{
	kvr_tier_unlink(me, out, p);
	kvr_touch(out, lane, sizeof(*lane));
	p->place = PLACE_LINK;
	p->lane = (uint8_t)(lane - me->lane);
	lane->until_ns = KVR_MAX(lane->n_parts == 0 ? 0 : lane->until_ns,
	    p->deadline_ns == 0 ? UINT64_MAX : p->deadline_ns);
	lane->n_parts++;
	lane->bytes += p->bytes;
	lane->active_ns = ev->now_ns;
	me->n_parts++;
	me->bytes += p->bytes;
	kvr_send(out, KVR_ID_LINK_OF(me->config.tier, p->lane),
	    &(struct kvr_msg){ .type = KVR_MSG_PART,
		.n_rows = p->n_rows,
		.op = p->op,
		.deadline_ns = p->deadline_ns,
		.rows = p->rows,
		.part = p->part,
		.PART = { .bytes = p->bytes,
		    .verb = p->verb,
		    .cls = p->cls,
		    .tier = (uint8_t)me->config.tier } });
}

/* True when nothing more can be given now. */
static bool
dispatch(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	struct lane *lane;
	struct part *p;

	while ((p = kvr_tier_next(me, &lane)) != NULL) {
		if (out->n >= PUMP_MAX)
			return false;
		if (expired(p, ev->now_ns))
			kvr_tier_drop(me, ev, out, p, KVR_E_TIMEOUT);
		else
			give(me, ev, out, p, lane);
	}
	return true;
}

static bool
answer_all(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, int32_t err)
{
	for (uint32_t i = 0; i < LISTS; i++) {
		while (me->list[i].head != 0) {
			if (out->n >= PUMP_MAX)
				return false;
			kvr_tier_drop(me, ev, out, &me->part[me->list[i].head - 1], err);
		}
	}
	me->sweeping = 0;
	return true;
}

void
kvr_tier_pump(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	bool ready = true;

	if (me->state == KVR_TIER_CLOSED) {
		ready = answer_all(me, ev, out, KVR_E_SHUTDOWN);
	} else if (me->state == KVR_TIER_COOLING || me->state == KVR_TIER_PROBING || me->health.shut) {
		/* Probing still counts as cooling: a store that swallows the probe must not cost
		 * callers their deadlines, and one that is back answers in a round trip. */
		ready = answer_all(me, ev, out, KVR_E_DOWN);
	} else {
		if (me->sweeping)
			ready = sweep(me, ev, out);
		if (ready && me->state == KVR_TIER_UP)
			ready = dispatch(me, ev, out);
	}
	if (ready || me->continuing)
		return;
	me->continuing = 1;
	kvr_send(out, KVR_ID_TIER_OF(me->config.tier),
	    &(struct kvr_msg){ .type = KVR_MSG_CONTINUE });
}
