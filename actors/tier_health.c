/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's health check of one store, for deployments in its flat form: every interval a ping, and
 * a count of gets that failed since the last one. It is a second gate behind the breaker. While it
 * is shut the tier answers DOWN, as if it were cooling down, and nobody else hears of it.
 *
 *   a ping that fails    shut until one succeeds
 *   too many failed gets shut until more than the waiting time has passed, and then a value has
 *                        been written, read back, compared and deleted
 *
 * What is no failure of the store does not count: misses, what a caller cancelled, what was
 * refused while the gate was shut.
 */
#include "kvr_tier_own.h"

enum { ASK_NONE, ASK_PING, ASK_PROBE };

void
kvr_tier_health_start(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	if (me->config.health_ns != 0)
		kvr_later(out, TIMER_HEALTH, ++me->gen[TIMER_HEALTH], ev->now_ns + me->config.health_ns);
}

/*
 * With every change of any option all are said again: an interval that is as it was must not put the
 * check off, or it would never come where options are changed more often than it is due.
 */
void
kvr_tier_health_every(
    struct tier *me, const struct kvr_event *ev, struct kvr_out *out, uint64_t interval_ns)
{
	if (me->config.health_ns == interval_ns)
		return;
	me->config.health_ns = interval_ns;
	me->gen[TIMER_HEALTH]++;
	if (interval_ns == 0) { /* nobody would open the gate again, nor believe an answer to it */
		kvr_touch(out, &me->health, sizeof(me->health));
		me->why = me->health.shut ? KVR_OK : me->why;
		me->health = (struct tier_health){ .asking = ASK_NONE };
	}
	kvr_tier_health_start(me, ev, out);
}

/* A part of a get is answered. An operation of many parts fails once. */
void
kvr_tier_health_note(
    struct tier *me, struct kvr_out *out, const struct part *p, int32_t err)
{
	struct tier_health *h = &me->health;
	bool failed = err == KVR_E_TIMEOUT || kvr_err_blame(err) >= KVR_BLAME_LANE;

	if (me->config.health_ns == 0 || p->verb != KVR_VERB_GET || !failed || h->shut ||
	    p->op == h->last_op)
		return;
	kvr_touch(out, h, sizeof(*h));
	h->last_op = p->op;
	h->last_err = err;
	h->failures++;
}

/* A lane with nothing to do. One that works proves as much by it. */
static struct lane *
idle_lane(struct tier *me)
{
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		struct lane *lane = &me->lane[i];

		if (lane->state == KVR_LINK_UP && !lane->stuck && lane->n_parts == 0 && lane->ping_ns == 0)
			return lane;
	}
	return NULL;
}

/* False: nobody has time. */
static bool
ask(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, uint32_t what)
{
	struct lane *lane = idle_lane(me);

	if (me->health.asking != ASK_NONE)
		return true;
	if (lane == NULL)
		return false;
	kvr_touch(out, lane, sizeof(*lane));
	kvr_touch(out, &me->health, sizeof(me->health));
	lane->ping_ns = ev->now_ns + me->config.health_ping_ns;
	me->health.asking = what;
	me->health.lane = (uint32_t)(lane - me->lane);
	kvr_send(out, KVR_ID_LINK_OF(me->config.tier, me->health.lane),
	    &(struct kvr_msg){ .type = KVR_MSG_PING,
		.PING = { .deep = what == ASK_PROBE, .timeout_ns = me->config.health_ping_ns } });
	return true;
}

/*
 * The breaker asks all lanes too. With the same interval it does so in the same instant every time,
 * and a gate that waited for its own next interval would stay shut for ever.
 */
static void
again_soon(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	uint64_t most_ns = KVR_MIN(me->config.health_ping_ns, me->config.health_ns / 2);

	kvr_touch(out, &me->rand, sizeof(me->rand));
	kvr_later(out, TIMER_HEALTH, ++me->gen[TIMER_HEALTH],
	    ev->now_ns + 1 + kvr_rand(&me->rand) % (most_ns + 1));
}

void
kvr_tier_health_check(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	struct tier_health *h = &me->health;
	uint32_t failures = h->failures;
	bool asked = true;

	kvr_touch(out, h, sizeof(*h));
	h->failures = 0;
	kvr_tier_health_start(me, ev, out);
	if (me->state != KVR_TIER_UP)
		return; /* the breaker has it */
	if (h->failed_ns != 0) {
		if (ev->now_ns - h->failed_ns > me->config.health_wait_ns)
			asked = ask(me, ev, out, ASK_PROBE);
	} else if (failures >= me->config.health_failed) {
		h->failed_ns = ev->now_ns;
		h->shut = 1;
		me->why = h->last_err;
	} else {
		asked = ask(me, ev, out, ASK_PING);
	}
	if (h->shut && !asked)
		again_soon(me, ev, out);
}

/* LMCache's codes of a ping. */
static int32_t
code_of(int32_t err)
{
	return err == KVR_OK ? 0 : err == KVR_E_TIMEOUT ? -1 : -2;
}

void
kvr_tier_health_heard(
    struct tier *me, struct kvr_out *out, const struct lane *lane, int32_t err)
{
	struct tier_health *h = &me->health;

	if (h->asking == ASK_NONE || h->lane != (uint32_t)(lane - me->lane))
		return;
	kvr_touch(out, h, sizeof(*h));
	h->code = code_of(err);
	if (err == KVR_OK) {
		/* What failed meanwhile belongs to what is over: it must not shut the gate again. */
		h->failures = 0;
		h->failed_ns = 0;
		h->shut = 0;
		me->why = KVR_OK;
	} else {
		h->shut = 1;
		me->why = err;
	}
	h->asking = ASK_NONE;
}

/* A new connection: who waits for a ping need not wait for the next interval. */
void
kvr_tier_health_up(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	if (me->health.shut && me->health.failed_ns == 0 && me->state == KVR_TIER_UP)
		(void)!ask(me, ev, out, ASK_PING);
}

/* The lane is dialled again: what it was asked is never answered. */
void
kvr_tier_health_lost(struct tier *me, struct kvr_out *out, const struct lane *lane)
{
	if (me->health.lane != (uint32_t)(lane - me->lane))
		return;
	kvr_touch(out, &me->health, sizeof(me->health));
	me->health.asking = ASK_NONE;
}
