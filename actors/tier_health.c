/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's health check of one store, for deployments in its flat form: a ping in every interval,
 * and a count of gets that failed since the last check. It is a second gate behind the breaker.
 * While it is shut the tier answers DOWN, as if it were cooling down; nobody sees a difference.
 *
 *   a ping that fails    shut until one succeeds
 *   too many failed gets shut until more than the waiting time has passed, and then a value has
 *                        been written, read back, compared and deleted
 *
 * What is no failure of the store does not count: misses, gets that a caller cancelled, and gets
 * that were refused while the gate was shut.
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
 * Every change of any option sends all options again. An unchanged interval must not postpone the
 * check, or it would never come if options change more often than it is due.
 */
void
kvr_tier_health_every(
    struct tier *me, const struct kvr_event *ev, struct kvr_out *out, uint64_t interval_ns)
{
	if (me->config.health_ns == interval_ns)
		return;
	me->config.health_ns = interval_ns;
	me->gen[TIMER_HEALTH]++;
	if (interval_ns == 0) { /* nothing would open the gate again or wait for an answer */
		kvr_touch(out, &me->health, sizeof(me->health));
		me->why = me->health.shut ? KVR_OK : me->why;
		me->health = (struct tier_health){ .asking = ASK_NONE };
	}
	kvr_tier_health_start(me, ev, out);
}

/* A part of a get has been answered. An operation of many parts fails only once. */
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

/* An idle lane. A busy one needs no ping: its work shows whether the store answers. */
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

/* False: no lane is idle. */
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
 * The breaker pings idle lanes, too. With the same interval it does so at the same time every time,
 * and if a shut gate waited for its own next interval it would stay shut for ever.
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
		return; /* the breaker is in charge */
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

void
kvr_tier_health_heard(
    struct tier *me, struct kvr_out *out, const struct lane *lane, int32_t err)
{
	struct tier_health *h = &me->health;

	if (h->asking == ASK_NONE || h->lane != (uint32_t)(lane - me->lane))
		return;
	kvr_touch(out, h, sizeof(*h));
	if (err == KVR_OK) {
		/* Failures from before this answer are over: they must not shut the gate again. */
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

/* A new connection: a shut gate that waits for a ping need not wait for the next interval. */
void
kvr_tier_health_up(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	if (me->health.shut && me->health.failed_ns == 0 && me->state == KVR_TIER_UP)
		(void)ask(me, ev, out, ASK_PING);
}

/* The lane is dialed again: its question will not be answered. */
void
kvr_tier_health_lost(struct tier *me, struct kvr_out *out, const struct lane *lane)
{
	if (me->health.lane != (uint32_t)(lane - me->lane))
		return;
	kvr_touch(out, &me->health, sizeof(me->health));
	me->health.asking = ASK_NONE;
}
