/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lane: the life of one connection, as far as it can be known without touching it. The link
 * does what its tier decides (dial, ping, give a part away), counts what the worker holds, and says
 * what each answer means for the connection.
 *
 * It never refuses silently: a part that reaches it while it is not UP goes back UNFINISHED, and
 * the LINK_STATE that explains why was sent earlier. It never waits for ever: a worker that is
 * stuck_ns late with any answer is reported once, and once more when it comes back.
 */
#include "kvr_link_own.h"

#include <string.h>

static void
tell_metrics(const struct link *me, struct kvr_out *out, enum kvr_stage_kind stage, int32_t err,
    uint32_t took_us)
{
	kvr_send(out, KVR_ID_METRICS,
	    &(struct kvr_msg){ .type = KVR_MSG_STAGE_STAT,
		.STAGE_STAT = { .stage = (uint8_t)stage,
		    .tier = (uint8_t)me->tier,
		    .err = (int8_t)err,
		    .took_us = took_us } });
}

/* A store that has no ping refuses it; that says nothing about the store. */
static void
tell_pong(const struct link *me, const struct kvr_event *ev, struct kvr_out *out)
{
	if (ev->msg.PONG.err != KVR_E_UNSUPPORTED)
		tell_metrics(me, out, KVR_STAGE_PING, ev->msg.PONG.err, ev->msg.PONG.took_us);
}

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct link *me = self;
	struct kvr_link_config config;

	KVR_CHECK(ev->rows != NULL && ev->msg.n_rows == KVR_CONFIG_ROWS(struct kvr_link_config));
	memcpy(&config, ev->rows, sizeof(config));
	KVR_CHECK(config.size == sizeof(config) && config.tier < KVR_TIERS_MAX);
	KVR_CHECK(config.lane < KVR_LANES_MAX && config.places <= KVR_PLACES_MAX);
	KVR_CHECK(config.places > 0 && config.connect_ns > 0);
	kvr_touch(out, me, sizeof(*me));
	me->magic = LINK_MAGIC;
	me->tier = config.tier;
	me->lane = config.lane;
	me->places = config.places;
	me->connect_ns = config.connect_ns;
	me->stuck_ns = config.stuck_ns;
	me->told = KVR_LINK_DOWN;
	return KVR_STAY;
}

static void
send_ping(struct link *me, const struct kvr_event *ev, struct kvr_out *out, uint64_t timeout_ns,
    uint32_t deep)
{
	KVR_CHECK(me->ping_ns == 0); /* the tier waits for the answer; a dial flushes older ones */
	kvr_link_asks(me, ev->now_ns);
	me->ping_ns = kvr_link_later(ev->now_ns, timeout_ns == 0 ? me->connect_ns : timeout_ns);
	kvr_link_to_worker(me, out,
	    &(struct kvr_msg){ .type = KVR_MSG_PING, .deadline_ns = me->ping_ns, .PING.deep = deep });
	kvr_link_watch(me, out, me->ping_ns);
}

/*
 * Also dials when the link is UP and the breaker has opened over it: a new connection shows best
 * whether the store works, because an old one may be broken without knowing it.
 */
static unsigned
dial(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	kvr_touch(out, me, sizeof(*me));
	kvr_link_asks(me, ev->now_ns);
	me->dial_ns = kvr_link_later(ev->now_ns, me->connect_ns);
	me->probe = ev->msg.DIAL.probe;
	me->told = KVR_LINK_DOWN; /* the tier asked for it, so it no longer counts on this link */
	kvr_link_to_worker(me, out,
	    &(struct kvr_msg){ .type = KVR_MSG_DIAL,
		.deadline_ns = me->dial_ns,
		.DIAL.probe = ev->msg.DIAL.probe });
	kvr_link_watch(me, out, me->dial_ns);
	return KVR_LINK_DIALING;
}

static unsigned
dialed(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	int32_t err = ev->msg.DIALED.err;

	kvr_touch(out, me, sizeof(*me));
	me->dial_ns = 0;
	kvr_link_heard(me, ev, out);
	enum kvr_link_state next = err != KVR_OK ? KVR_LINK_DOWN :
	    me->probe                            ? KVR_LINK_HALF_OPEN :
						   KVR_LINK_UP;

	if (next == KVR_LINK_HALF_OPEN)
		send_ping(me, ev, out, 0, 0);
	else
		kvr_link_tell(me, out, next, err, err != KVR_OK ? KVR_BLAME_STORE : KVR_BLAME_NONE);
	tell_metrics(me, out, KVR_STAGE_DIAL, err, ev->msg.DIALED.took_us);
	return next;
}

static unsigned
first_pong(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	int32_t err = ev->msg.PONG.err;

	kvr_touch(out, me, sizeof(*me));
	me->ping_ns = 0;
	kvr_link_heard(me, ev, out);
	if (err == KVR_OK || err == KVR_E_UNSUPPORTED) {
		me->silent_ns = 0;
		kvr_link_tell(me, out, KVR_LINK_UP, KVR_OK, KVR_BLAME_NONE);
		return KVR_LINK_UP;
	}
	kvr_link_tell(me, out, KVR_LINK_DOWN, err, KVR_BLAME_STORE);
	return KVR_LINK_DOWN;
}

/* The answer to a ping of an idle connection. */
static unsigned
idle_pong(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	int32_t err = ev->msg.PONG.err;

	kvr_touch(out, me, sizeof(*me));
	me->ping_ns = 0;
	kvr_link_heard(me, ev, out);
	if (err == KVR_OK)
		me->silent_ns = 0;
	if (err == KVR_OK || err == KVR_E_UNSUPPORTED) {
		/* Until it hears this, the tier gives the lane no part with a short deadline. */
		kvr_link_tell(me, out, KVR_LINK_UP, KVR_OK, KVR_BLAME_NONE);
		return KVR_STAY;
	}
	if (kvr_err_stream(err) == KVR_STREAM_CLOSE) {
		/* The deadline was ours, not a caller's: an unanswered ping is the lane's fault. */
		kvr_link_tell(me, out, KVR_LINK_DOWN, err, KVR_BLAME_LANE);
		return KVR_LINK_DOWN;
	}
	kvr_link_tell(me, out, KVR_LINK_UP, err, kvr_err_blame(err));
	return KVR_STAY;
}

static unsigned
pong_half_open(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	unsigned next = first_pong(self, ev, out);

	tell_pong(self, ev, out);
	return next;
}

static unsigned
pong_up(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	unsigned next = idle_pong(self, ev, out);

	tell_pong(self, ev, out);
	return next;
}

/* The answer to a ping of a connection that is gone. */
static unsigned
pong_late(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	kvr_touch(out, me, sizeof(*me));
	me->ping_ns = 0;
	kvr_link_heard(me, ev, out);
	return KVR_STAY;
}

static unsigned
ping(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	kvr_touch(out, me, sizeof(*me));
	send_ping(me, ev, out, ev->msg.PING.timeout_ns, ev->msg.PING.deep);
	return KVR_STAY;
}

static unsigned
timer(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	if (ev->msg.TIMER.gen != me->watch_gen)
		return KVR_STAY;
	kvr_touch(out, me, sizeof(*me));
	me->watch_ns = 0;
	uint64_t until_ns = kvr_link_owed(me);

	if (until_ns == 0 || me->stuck)
		return KVR_STAY;
	if (kvr_link_later(until_ns, me->stuck_ns) > ev->now_ns) {
		kvr_link_watch(me, out, until_ns);
		return KVR_STAY;
	}
	me->stuck = 1;
	kvr_link_tell(me, out, (enum kvr_link_state)me->told, KVR_E_STUCK, KVR_BLAME_LANE);
	return KVR_STAY;
}

static unsigned
stop(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	(void)ev;
	kvr_touch(out, me, sizeof(*me));
	kvr_link_cancel_all(me, out, KVR_E_SHUTDOWN);
	kvr_link_to_worker(me, out, &(struct kvr_msg){ .type = KVR_MSG_HANG_UP });
	me->told = KVR_LINK_CLOSED;
	return KVR_LINK_CLOSED;
}

/* The worker's last message: it has answered everything before. */
static unsigned
stopped(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	(void)ev;
	KVR_CHECK(me->n_parts == 0);
	kvr_send(out, KVR_ID_TIER_OF(me->tier),
	    &(struct kvr_msg){ .type = KVR_MSG_STOPPED,
		.STOPPED = { .tier = me->tier, .lane = me->lane } });
	return KVR_STAY;
}

static void
check(const void *self, unsigned state, bool full)
{
	KVR_SELF(const struct link, me, self, LINK_MAGIC);
	uint32_t n = 0, n_puts = 0;

	(void)full; /* the whole state is small */
	for (uint32_t i = 0; i < KVR_PLACES_MAX; i++) {
		n += me->flight[i].part != 0;
		n_puts += me->flight[i].part != 0 && me->flight[i].verb == KVR_VERB_PUT;
	}
	KVR_CHECK(n == me->n_parts && n_puts == me->n_puts && n <= me->places);
	KVR_CHECK(KVR_IMPLIES(state == KVR_LINK_UP || state == KVR_LINK_DOWN, me->told == state));
	KVR_CHECK(KVR_IMPLIES(state == KVR_LINK_CLOSED, me->told == state));
	KVR_CHECK(KVR_IMPLIES(state == KVR_LINK_DIALING, me->dial_ns != 0));
	KVR_CHECK(KVR_IMPLIES(state == KVR_LINK_HALF_OPEN, me->dial_ns == 0 && me->ping_ns != 0));
	/* Every owed answer is watched, unless the tier knows already that it is late. */
	KVR_CHECK(KVR_IMPLIES(state != KVR_LINK_CLOSED && !me->stuck && kvr_link_owed(me) != 0,
	    me->watch_ns != 0));
}

#define ON(msg, fn, to) [KVR_MSG_##msg] = { fn, to }
#define TO(state) KVR_TO(KVR_LINK_##state)
#define STAY KVR_TO(KVR_STAY)
/*
 * Empty cells are bugs elsewhere: START twice, STOP twice, a DIAL while one runs, an answer that
 * was not asked for (a worker answers the parts that it held before it says DIALED). Messages that
 * can cross each other have cells.
 */
static const struct kvr_cell table[KVR_LINK_STATES][KVR_MSG_N] = {
	[KVR_LINK_DOWN] = {
		ON(START, start, STAY),
		ON(DIAL, dial, TO(DIALING)),
		ON(PART, kvr_link_bounce, STAY),
		ON(PART_DONE, kvr_link_done, STAY), /* follows the one that took the link down */
		ON(PART_CANCEL, kvr_link_cancel, STAY),
		ON(PING, kvr_ignore, STAY), /* the tier has not yet heard that we are down */
		ON(PONG, pong_late, STAY),
		ON(TIMER, timer, STAY),
		ON(STOP, stop, TO(CLOSED)),
	},
	[KVR_LINK_DIALING] = {
		ON(DIALED, dialed, TO(UP) | TO(HALF_OPEN) | TO(DOWN)),
		ON(PART, kvr_link_bounce, STAY),
		ON(PART_DONE, kvr_link_done, STAY),
		ON(PART_CANCEL, kvr_link_cancel, STAY),
		ON(PONG, pong_late, STAY),
		ON(TIMER, timer, STAY),
		ON(STOP, stop, TO(CLOSED)),
	},
	[KVR_LINK_HALF_OPEN] = {
		ON(PONG, pong_half_open, TO(UP) | TO(DOWN)),
		ON(PART, kvr_link_bounce, STAY),
		ON(PART_CANCEL, kvr_link_cancel, STAY),
		ON(TIMER, timer, STAY),
		ON(STOP, stop, TO(CLOSED)),
	},
	[KVR_LINK_UP] = {
		ON(DIAL, dial, TO(DIALING)),
		ON(PART, kvr_link_give, STAY),
		ON(PART_DONE, kvr_link_done_up, TO(DOWN) | STAY),
		ON(PART_CANCEL, kvr_link_cancel, STAY),
		ON(PING, ping, STAY),
		ON(PONG, pong_up, TO(DOWN) | STAY),
		ON(TIMER, timer, STAY),
		ON(STOP, stop, TO(CLOSED)),
	},
	[KVR_LINK_CLOSED] = {
		ON(PART_DONE, kvr_link_done, STAY),
		ON(PART_CANCEL, kvr_ignore, STAY), /* all are cancelled */
		ON(DIALED, kvr_ignore, STAY),
		ON(PONG, kvr_ignore, STAY),
		ON(TIMER, kvr_ignore, STAY),
		ON(STOPPED, stopped, STAY),
	},
};

const struct kvr_spec kvr_link_spec = {
	.name = "link",
	.state_name = kvr_link_state_name,
	.n_states = KVR_LINK_STATES,
	.self_size = sizeof(struct link),
	.table = table,
	.check = check,
	.fields = &kvr_link_fields,
};
