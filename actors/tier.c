/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tier: the queue in front of a store's lanes, and the breaker over them. Every PART that comes
 * in goes out once, as a PART_DONE: from a lane, or from here when its deadline passes, the breaker
 * is open, it is cancelled, or everything ends.
 *
 * A tier does not guess: the columns of an error say what it costs, a caller's own deadline counts
 * against nothing, and a part is tried again at most once, on another connection.
 */
#include "kvr_tier_own.h"

#include <string.h>

/* Every handler ends with this: parts that can go on do, and changes of state are reported. */
static unsigned
finish(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, uint32_t before)
{
	struct kvr_msg msg = { .type = KVR_MSG_TIER_STATE };
	uint32_t n_stopped = 0;

	kvr_tier_pump(me, ev, out);
	if (me->told_state != kvr_tier_seen(me) + 1 || me->told_links != me->links_up) {
		me->told_state = kvr_tier_seen(me) + 1; /* 0: nothing said yet */
		me->told_links = me->links_up;
		msg.TIER_STATE.err = me->why;
		msg.TIER_STATE.tier = (uint8_t)me->config.tier;
		msg.TIER_STATE.state = (uint8_t)kvr_tier_seen(me);
		msg.TIER_STATE.links_up = (uint16_t)me->links_up;
		kvr_send(out, KVR_ID_ROUTER, &msg);
		kvr_send(out, KVR_ID_METRICS, &msg);
	}
	if (me->state == KVR_TIER_CLOSED && !me->stopped && me->n_queued + me->n_parts == 0) {
		for (uint32_t i = 0; i < me->config.n_links; i++)
			n_stopped += me->lane[i].stopped;
		if (n_stopped == me->config.n_links) {
			me->stopped = 1;
			kvr_send(out, KVR_ID_ROUTER,
			    &(struct kvr_msg){ .type = KVR_MSG_STOPPED,
				.STOPPED.tier = me->config.tier });
		}
	}
	return me->state == before ? KVR_STAY : me->state;
}

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct tier *me = self;
	struct kvr_tier_config *config = &me->config;

	KVR_CHECK(ev->rows != NULL && ev->msg.n_rows == KVR_CONFIG_ROWS(struct kvr_tier_config));
	kvr_tier_touch(me, out);
	kvr_touch(out, config, sizeof(*config));
	memcpy(config, ev->rows, sizeof(*config));
	KVR_CHECK(config->size == sizeof(*config) && config->tier < KVR_TIERS_MAX);
	KVR_CHECK(config->n_links > 0 && config->n_links <= KVR_LANES_MAX);
	KVR_CHECK(config->places > 0 && config->places <= KVR_PLACES_MAX);
	KVR_CHECK(config->backoff_min_ns > 0 && config->backoff_min_ns <= config->backoff_max_ns);
	me->magic = TIER_MAGIC;
	me->rand = config->seed;
	me->state = KVR_TIER_OPENING;
	for (uint32_t i = 0; i < config->n_links; i++)
		kvr_tier_dial(me, out, &me->lane[i]);
	if (config->ping_ns != 0)
		kvr_later(out, TIMER_PING, ++me->gen[TIMER_PING], ev->now_ns + config->ping_ns);
	kvr_tier_health_start(me, ev, out);
	return finish(me, ev, out, KVR_TIER_OPENING);
}

static unsigned
part(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	const struct kvr_msg *msg = &ev->msg;
	uint32_t before = me->state, slot = KVR_PART_SLOT(msg->part);

	KVR_CHECK(msg->part != 0 && slot < KVR_PARTS_MAX && msg->PART.cls < KVR_CLASS_N);
	struct part *p = &me->part[slot];

	KVR_CHECK(p->place == PLACE_FREE && msg->n_rows > 0);
	kvr_tier_touch(me, out);
	kvr_touch(out, p, sizeof(*p));
	p->op = msg->op;
	p->deadline_ns = msg->deadline_ns;
	p->queued_ns = ev->now_ns;
	p->part = msg->part;
	p->rows = msg->rows;
	p->bytes = msg->PART.bytes;
	p->n_rows = msg->n_rows;
	p->verb = msg->PART.verb;
	p->cls = msg->PART.cls;
	kvr_tier_enqueue(me, out, p);
	/* It was made for a tier that refuses everything, which may have changed since. */
	if (msg->PART.refuse)
		kvr_tier_drop(me, ev, out, p,
		    me->state == KVR_TIER_CLOSED ? KVR_E_SHUTDOWN : KVR_E_DOWN);
	else if (me->state == KVR_TIER_UP && p->verb == KVR_VERB_PUT && ev->now_ns < me->puts_at_ns)
		kvr_tier_drop(me, ev, out, p, KVR_E_DOWN);
	unsigned next = finish(me, ev, out, before);

	if (p->place == PLACE_QUEUED)
		kvr_tier_sweep_at(me, out, p->deadline_ns);
	return next;
}

static unsigned
part_done(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	uint32_t before = me->state, slot = KVR_PART_SLOT(ev->msg.part);

	KVR_CHECK(slot < KVR_PARTS_MAX && ev->rows != NULL);
	struct part *p = &me->part[slot];
	struct lane *lane = &me->lane[p->lane];

	KVR_CHECK(p->place == PLACE_LINK && p->part == ev->msg.part && p->n_rows == ev->msg.n_rows);
	KVR_CHECK(ev->msg.PART_DONE.lane == p->lane && lane->n_parts > 0);
	kvr_tier_touch(me, out);
	kvr_touch(out, p, sizeof(*p));
	kvr_touch(out, lane, sizeof(*lane));
	lane->n_parts--;
	lane->bytes -= p->bytes;
	lane->active_ns = ev->now_ns;
	me->n_parts--;
	me->bytes -= p->bytes;
	kvr_tier_done(me, ev, out, p);
	unsigned next = finish(me, ev, out, before);

	if (p->place == PLACE_QUEUED)
		kvr_tier_sweep_at(me, out, p->deadline_ns);
	return next;
}

/*
 * A part that has been answered meanwhile is no longer here. Nor can its successor be: the router
 * reuses its place only after that answer, and messages between deciders keep their order.
 */
static unsigned
part_cancel(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	uint32_t slot = KVR_PART_SLOT(ev->msg.part);
	int32_t reason = ev->msg.PART_CANCEL.reason;
	struct kvr_msg msg = ev->msg;

	KVR_CHECK(slot < KVR_PARTS_MAX);
	struct part *p = &me->part[slot];

	if (p->place == PLACE_FREE || p->reason != KVR_OK)
		return KVR_STAY;
	KVR_CHECK(p->part == ev->msg.part);
	kvr_tier_touch(me, out);
	kvr_touch(out, p, sizeof(*p));
	p->reason = (int8_t)(reason == KVR_OK ? KVR_E_CANCELLED : reason);
	if (p->place == PLACE_QUEUED) {
		kvr_tier_drop(me, ev, out, p, p->reason);
	} else {
		msg.PART_CANCEL.lane = p->lane;
		kvr_send(out, KVR_ID_LINK_OF(me->config.tier, p->lane), &msg);
	}
	return finish(me, ev, out, me->state);
}

static unsigned
link_state(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	uint32_t before = me->state;

	kvr_tier_touch(me, out);
	kvr_tier_link_state(me, ev, out);
	return finish(me, ev, out, before);
}

static unsigned
timer(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	uint32_t before = me->state, which = ev->msg.TIMER.timer;

	KVR_CHECK(which < TIMERS);
	if (ev->msg.TIMER.gen != me->gen[which])
		return KVR_STAY;
	kvr_tier_touch(me, out);
	if (which == TIMER_SWEEP) {
		me->sweep_ns = 0;
		me->sweeping = 1;
	} else if (which == TIMER_COOL) {
		kvr_tier_cooled(me, ev, out);
	} else if (which == TIMER_REDIAL) {
		kvr_tier_redial(me, ev, out);
	} else if (which == TIMER_PING) {
		kvr_tier_ping(me, ev, out);
	} else if (which == TIMER_HEALTH) {
		kvr_tier_health_check(me, ev, out);
	}
	return finish(me, ev, out, before);
}

static unsigned
config(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	struct kvr_tier_config *c = &me->config;
	uint64_t value = ev->msg.CONFIG.value;

	kvr_tier_touch(me, out);
	kvr_touch(out, c, sizeof(*c));
	switch ((enum kvr_setting)ev->msg.CONFIG.what) {
	/* If so many faults have been counted already, the next one opens the breaker, not this. */
	case KVR_SET_FAULTS:
		c->faults = (uint32_t)value;
		if (c->faults != 0)
			me->faults = KVR_MIN(me->faults, c->faults - 1);
		me->refusals = KVR_MIN(me->refusals, c->faults);
		me->n_full = KVR_MIN(me->n_full, c->faults);
		break;
	/* The two come one after the other, and must never be in the wrong order in between. */
	case KVR_SET_BACKOFF_MIN:
		c->backoff_min_ns = value;
		c->backoff_max_ns = KVR_MAX(c->backoff_max_ns, value);
		break;
	case KVR_SET_BACKOFF_MAX:
		c->backoff_max_ns = KVR_MAX(c->backoff_min_ns, value);
		c->fixed_backoff = c->backoff_min_ns == c->backoff_max_ns;
		break;
	case KVR_SET_PING_TIMEOUT:
		c->health_ping_ns = value;
		break;
	case KVR_SET_PING_INTERVAL:
		kvr_tier_health_every(me, ev, out, value);
		break;
	case KVR_SET_FAILED:
		c->health_failed = (uint32_t)value;
		break;
	case KVR_SET_RECOVERY:
		c->health_wait_ns = value;
		break;
	case KVR_SET_TIMEOUT:
		KVR_WRONG("a setting of the router");
	}
	return finish(me, ev, out, me->state);
}

static unsigned
go_on(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	kvr_tier_touch(me, out);
	me->continuing = 0;
	return finish(me, ev, out, me->state);
}

static unsigned
stop(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	uint32_t before = me->state;

	kvr_tier_touch(me, out);
	me->state = KVR_TIER_CLOSED;
	me->cool_ns = 0;
	me->why = KVR_E_SHUTDOWN;
	me->links_up = 0;
	for (uint32_t i = 0; i < me->config.n_links; i++)
		kvr_send(out, KVR_ID_LINK_OF(me->config.tier, i),
		    &(struct kvr_msg){ .type = KVR_MSG_STOP });
	return finish(me, ev, out, before);
}

static unsigned
stopped(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct tier, me, self, TIER_MAGIC);
	KVR_CHECK(ev->msg.STOPPED.lane < me->config.n_links);
	struct lane *lane = &me->lane[ev->msg.STOPPED.lane];

	KVR_CHECK(!lane->stopped);
	kvr_tier_touch(me, out);
	kvr_touch(out, lane, sizeof(*lane));
	lane->stopped = 1;
	lane->state = KVR_LINK_CLOSED;
	return finish(me, ev, out, me->state);
}

#define ON(msg, fn, to) [KVR_MSG_##msg] = { fn, to }
#define TO(state) KVR_TO(KVR_TIER_##state)
#define STAY KVR_TO(KVR_STAY)
/* The same in every state but CLOSED. A part can open the breaker; only a link can close it. */
#define ALWAYS(opens) \
	ON(PART, part, STAY), ON(PART_DONE, part_done, (opens) | STAY), \
	ON(PART_CANCEL, part_cancel, STAY), ON(CONTINUE, go_on, STAY), ON(CONFIG, config, STAY), \
	ON(STOP, stop, TO(CLOSED))

/* Empty cells are bugs elsewhere: START or STOP twice, STOPPED of a link that nobody stopped. */
static const struct kvr_cell table[KVR_TIER_STATES][KVR_MSG_N] = {
	[KVR_TIER_OPENING] = {
		ON(START, start, STAY),
		ALWAYS(0),
		ON(LINK_STATE, link_state, TO(UP) | TO(COOLING) | STAY),
		ON(TIMER, timer, STAY),
	},
	[KVR_TIER_UP] = {
		ALWAYS(TO(COOLING)),
		ON(LINK_STATE, link_state, TO(COOLING) | STAY),
		ON(TIMER, timer, STAY),
	},
	[KVR_TIER_COOLING] = {
		ALWAYS(0),
		ON(LINK_STATE, link_state, STAY),
		ON(TIMER, timer, TO(PROBING) | STAY),
	},
	[KVR_TIER_PROBING] = {
		ALWAYS(0),
		ON(LINK_STATE, link_state, TO(UP) | TO(COOLING) | STAY),
		ON(TIMER, timer, STAY),
	},
	[KVR_TIER_CLOSED] = {
		ON(PART, part, STAY), /* answered SHUTDOWN */
		ON(PART_DONE, part_done, STAY),
		ON(PART_CANCEL, part_cancel, STAY),
		ON(CONTINUE, go_on, STAY),
		ON(LINK_STATE, kvr_ignore, STAY),
		ON(TIMER, kvr_ignore, STAY),
		ON(CONFIG, kvr_ignore, STAY),
		ON(STOPPED, stopped, STAY),
	},
};

const struct kvr_spec kvr_tier_spec = {
	.name = "tier",
	.state_name = kvr_tier_state_name,
	.n_states = KVR_TIER_STATES,
	.self_size = sizeof(struct tier),
	.table = table,
	.check = kvr_tier_check,
	.fields = &kvr_tier_fields,
};
