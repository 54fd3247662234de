/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a canary is due: a value that is written to one tier, read, compared and deleted. It goes
 * through the router like any other operation, as background work. Here it is only decided when,
 * one tier after the other, and the result is kept.
 */
#include "kvr_metrics_state.h"

enum { TIMER_CANARY, ROUNDS = 0xffffff };

/* The first one comes soon: a user who opens an instance wants to know whether it works. */
static const uint64_t first_ns = KVR_SEC(1);

static void
wait_for(struct kvr_metrics_state *me, const struct kvr_event *ev, struct kvr_out *out, uint64_t ns)
{
	kvr_later(out, TIMER_CANARY, ++me->canary_gen, ev->now_ns + ns);
}

void
kvr_canary_start(struct kvr_metrics_state *me, const struct kvr_event *ev, struct kvr_out *out)
{
	if (me->canary_ns != 0 && me->canary_tiers != 0)
		wait_for(me, ev, out, KVR_MIN(me->canary_ns, first_ns));
}

/* The next tier from this one on, or the end of the round. */
static void
next(struct kvr_metrics_state *me, const struct kvr_event *ev, struct kvr_out *out, uint32_t tier)
{
	while (tier < me->n_tiers && (me->canary_tiers & 1U << tier) == 0)
		tier++;
	if (tier == me->n_tiers) {
		me->canary_runs = 0;
		wait_for(me, ev, out, me->canary_ns);
		return;
	}
	me->canary_runs = tier + 1;
	me->canary_round = (me->canary_round + 1) & ROUNDS;
	kvr_send(out, KVR_ID_API,
	    &(struct kvr_msg){ .type = KVR_MSG_CANARY,
		.CANARY = { .tier = tier, .round = me->canary_round } });
}

unsigned
kvr_canary_due(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	/* The timer is only set at the start and at the end of a round, so it is never stale. */
	KVR_CHECK(ev->msg.TIMER.gen == me->canary_gen && me->canary_runs == 0);
	if (me->canary_ns == 0)
		return KVR_STAY;
	kvr_touch(out, me, offsetof(struct kvr_metrics_state, bound_us));
	next(me, ev, out, 0);
	return KVR_STAY;
}

unsigned
kvr_canary_done(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	uint32_t tier = ev->msg.CANARY_DONE.tier;

	KVR_CHECK(tier < me->n_tiers && ev->msg.CANARY_DONE.step < KVR_CANARY_STEPS);
	KVR_CHECK(me->canary_runs == tier + 1 && ev->msg.CANARY_DONE.round == me->canary_round);
	struct kvr_metrics_canary *c = &me->tier[tier].canary;

	kvr_touch(out, me, offsetof(struct kvr_metrics_state, bound_us));
	kvr_touch(out, c, sizeof(*c));
	c->ok += ev->msg.CANARY_DONE.err == KVR_OK;
	c->failed += ev->msg.CANARY_DONE.err != KVR_OK;
	c->at_ns = ev->now_ns;
	c->took_us = ev->msg.CANARY_DONE.took_us;
	c->err = ev->msg.CANARY_DONE.err;
	c->step = ev->msg.CANARY_DONE.step;
	if (me->canary_ns != 0)
		next(me, ev, out, tier + 1);
	else
		me->canary_runs = 0;
	return KVR_STAY;
}
