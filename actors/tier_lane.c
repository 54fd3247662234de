/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes and the breaker. The tier alone decides when something is dialed:
 *
 *   - a lost connection is made again at once, but only once;
 *   - if that fails and another lane is up, the lane waits alone, longer each time, and idle lanes
 *     are pinged to see whether they still work;
 *   - if no lane is up, or too many faults came in a row, the tier cools down: everything is
 *     answered DOWN until one lane, and only one, has tried and succeeded.
 *
 * Connections are numbered. A fault on a connection made before the last counted fault is the same
 * event seen again: a server that restarts costs every lane its connection but counts once.
 */
#include "kvr_tier_own.h"

static uint16_t
link_id(const struct tier *me, const struct lane *lane)
{
	return KVR_ID_LINK_OF(me->config.tier, (uint32_t)(lane - me->lane));
}

void
kvr_tier_dial(struct tier *me, struct kvr_out *out, struct lane *lane)
{
	kvr_touch(out, lane, sizeof(*lane));
	if (lane->state == KVR_LINK_UP)
		me->links_up--;
	lane->state = KVR_LINK_DIALING;
	lane->redial_ns = 0;
	lane->ping_ns = 0;
	kvr_tier_health_lost(me, out, lane);
	kvr_send(out, link_id(me, lane),
	    &(struct kvr_msg){ .type = KVR_MSG_DIAL, .DIAL.probe = me->state == KVR_TIER_PROBING });
}

static void
dial_all(struct tier *me, struct kvr_out *out)
{
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		if (me->lane[i].state == KVR_LINK_DOWN && !me->lane[i].stuck)
			kvr_tier_dial(me, out, &me->lane[i]);
	}
}

static bool
any_alive(const struct tier *me)
{
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		if (kvr_tier_alive(&me->lane[i]))
			return true;
	}
	return false;
}

static bool
any_up(const struct tier *me)
{
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		if (me->lane[i].state == KVR_LINK_UP && !me->lane[i].stuck)
			return true;
	}
	return false;
}

/* Pings lanes that have had nothing to do since before_ns. */
static void
ping_idle(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, uint64_t before_ns)
{
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		struct lane *lane = &me->lane[i];

		if (lane->state != KVR_LINK_UP || lane->stuck || lane->n_parts > 0 ||
		    lane->ping_ns != 0 || lane->active_ns > before_ns)
			continue;
		kvr_touch(out, lane, sizeof(*lane));
		lane->ping_ns = ev->now_ns + me->config.connect_ns;
		kvr_send(out, link_id(me, lane), &(struct kvr_msg){ .type = KVR_MSG_PING });
	}
}

/* base_ns and up to 1/8 more; with a fixed backoff exactly backoff_min. */
static uint64_t
backoff(struct tier *me, uint64_t base_ns)
{
	uint64_t late_ns;

	if (me->config.fixed_backoff)
		return me->config.backoff_min_ns;
	/* Workers that lost the same server must not all return at once. */
	late_ns = kvr_rand(&me->rand) % (base_ns / 8 + 1);
	return base_ns + late_ns;
}

/* After a pause of last_ns; 0: there was none. */
static uint64_t
next_backoff(const struct tier *me, uint64_t last_ns)
{
	if (last_ns == 0 || me->config.fixed_backoff)
		return me->config.backoff_min_ns;
	return KVR_MIN(last_ns * 2, me->config.backoff_max_ns);
}

static void
cool(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, int32_t err)
{
	if (me->state == KVR_TIER_UP || me->state == KVR_TIER_OPENING)
		kvr_tier_count(me, out, KVR_COUNT_BREAKER_OPENED, 1);
	me->backoff_ns = next_backoff(me, me->backoff_ns);
	me->state = KVR_TIER_COOLING;
	me->why = err;
	me->cool_ns = ev->now_ns + backoff(me, me->backoff_ns);
	me->faults = 0;
	kvr_later(out, TIMER_COOL, ++me->gen[TIMER_COOL], me->cool_ns);
}

void
kvr_tier_fault(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, int32_t err)
{
	if (me->state != KVR_TIER_UP)
		return;
	me->faults++;
	me->why = err;
	if (me->config.faults != 0 && me->faults >= me->config.faults)
		cool(me, ev, out, err);
}

void
kvr_tier_took_put(struct tier *me)
{
	me->refusals = 0;
	me->puts_at_ns = 0;
	me->puts_backoff_ns = 0;
}

/*
 * A full store goes on getting puts, because it may make room at any time; it is only told of. What
 * is shorter may fit all the while (the canary does), and says nothing about values like these.
 */
void
kvr_tier_room(struct tier *me, uint32_t taken, uint32_t refused)
{
	if (taken != 0 && taken >= me->full_len)
		me->n_full = me->full_len = 0;
	if (refused == 0)
		return;
	me->full_len = me->full_len == 0 ? refused : KVR_MIN(me->full_len, refused);
	me->n_full = KVR_MIN(me->n_full + 1, me->config.faults);
}

/*
 * So many in a row, and puts are left out for a while, for each would send its payload to be
 * refused. After that the first one that is refused again is enough. A lane is dialled anew each
 * time, in turn: who refuses may have become a replica, and another server may have his name by
 * now.
 */
void
kvr_tier_refused_put(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	if (me->state != KVR_TIER_UP || me->config.faults == 0 || ev->now_ns < me->puts_at_ns)
		return;
	me->refusals = KVR_MIN(me->refusals + 1, me->config.faults);
	if (me->refusals < me->config.faults)
		return;
	me->puts_backoff_ns = next_backoff(me, me->puts_backoff_ns);
	me->puts_at_ns = ev->now_ns + backoff(me, me->puts_backoff_ns);
	struct lane *lane = &me->lane[me->probe_next % me->config.n_links];

	me->probe_next = (me->probe_next + 1) % me->config.n_links;
	if (lane->state == KVR_LINK_UP && !lane->stuck)
		kvr_tier_dial(me, out, lane);
}

static void
redial_at(struct tier *me, struct kvr_out *out, uint64_t at_ns)
{
	if (me->redial_ns != 0 && me->redial_ns <= at_ns)
		return;
	me->redial_ns = at_ns;
	kvr_later(out, TIMER_REDIAL, ++me->gen[TIMER_REDIAL], at_ns);
}

/* The lane waits alone, because others are up. */
static void
redial_later(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct lane *lane)
{
	uint64_t wait_ns = me->config.backoff_min_ns;

	for (uint32_t i = 1; i < lane->dials_failed && wait_ns < me->config.backoff_max_ns; i++)
		wait_ns = KVR_MIN(wait_ns * 2, me->config.backoff_max_ns);
	lane->redial_ns = ev->now_ns + backoff(me, wait_ns);
	redial_at(me, out, lane->redial_ns);
}

void
kvr_tier_redial(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	uint64_t next_ns = UINT64_MAX;

	me->redial_ns = 0;
	if (me->state != KVR_TIER_UP)
		return; /* when the breaker closes, all lanes are dialed */
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		struct lane *lane = &me->lane[i];

		if (lane->redial_ns == 0)
			continue;
		if (lane->redial_ns <= ev->now_ns)
			kvr_tier_dial(me, out, lane);
		else
			next_ns = KVR_MIN(next_ns, lane->redial_ns);
	}
	if (next_ns != UINT64_MAX)
		redial_at(me, out, next_ns);
}

/*
 * Exactly one lane tries; lanes take turns, so that one that is broken for good cannot keep the
 * tier down. A dial that still runs from before the breaker opened is as good as a new one.
 */
void
kvr_tier_cooled(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	struct lane *found = NULL;

	KVR_CHECK(me->state == KVR_TIER_COOLING); /* only this timer ends it, and there is one */
	me->cool_ns = 0;
	for (uint32_t i = 0; i < me->config.n_links; i++) {
		struct lane *lane = &me->lane[(me->probe_next + i) % me->config.n_links];

		if (lane->stuck)
			continue;
		if (found == NULL || found->state == KVR_LINK_DIALING)
			found = lane;
		if (lane->state != KVR_LINK_DIALING)
			break;
	}
	if (found == NULL) {
		cool(me, ev, out, KVR_E_STUCK);
		return;
	}
	me->state = KVR_TIER_PROBING;
	me->probe = (uint32_t)(found - me->lane);
	me->probe_next = (me->probe + 1) % me->config.n_links;
	if (found->state != KVR_LINK_DIALING)
		kvr_tier_dial(me, out, found);
}

static void
up(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct lane *lane)
{
	if (lane->conn != 0)
		kvr_tier_count(me, out, KVR_COUNT_RECONNECT, 1);
	lane->state = KVR_LINK_UP;
	lane->conn = ++me->conn;
	lane->dials_failed = 0;
	me->links_up++;
	if (me->state == KVR_TIER_OPENING ||
	    (me->state == KVR_TIER_PROBING && lane == &me->lane[me->probe])) {
		me->state = KVR_TIER_UP;
		me->faults = 0;
		me->why = KVR_OK;
		dial_all(me, out);
	}
	kvr_tier_health_up(me, ev, out);
}

static void
lost(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct lane *lane)
{
	uint8_t blame = ev->msg.LINK_STATE.blame;

	lane->state = KVR_LINK_DOWN;
	lane->ping_ns = 0;
	me->links_up--;
	if ((blame == KVR_BLAME_LANE || blame == KVR_BLAME_STORE) && lane->conn > me->fault_conn) {
		me->fault_conn = me->conn;
		kvr_tier_fault(me, ev, out, ev->msg.LINK_STATE.err);
	}
	if (me->state == KVR_TIER_UP)
		kvr_tier_dial(me, out, lane);
}

static void
dial_failed(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct lane *lane)
{
	kvr_tier_count(me, out, KVR_COUNT_DIAL_FAILED, 1);
	lane->state = KVR_LINK_DOWN;
	if (lane->dials_failed < UINT16_MAX)
		lane->dials_failed++;
	if (me->state == KVR_TIER_PROBING && lane == &me->lane[me->probe]) {
		cool(me, ev, out, ev->msg.LINK_STATE.err);
	} else if (me->state == KVR_TIER_UP && any_up(me)) {
		redial_later(me, ev, out, lane);
		ping_idle(me, ev, out, ev->now_ns); /* they may be dead, too, without knowing it */
	} else if (me->state == KVR_TIER_UP || (me->state == KVR_TIER_OPENING && !any_alive(me))) {
		/* Only at the start, when all dials begin together, are the others waited for.
		 * Later, dials that hang in turn would keep callers waiting for ever. */
		cool(me, ev, out, ev->msg.LINK_STATE.err);
	}
}

static void
stuck(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct lane *lane)
{
	lane->stuck = 1;
	lane->stuck_ns = ev->msg.LINK_STATE.since_ns;
	kvr_tier_fault(me, ev, out, KVR_E_STUCK);
	if (me->state == KVR_TIER_PROBING && lane == &me->lane[me->probe])
		cool(me, ev, out, KVR_E_STUCK);
	else if ((me->state == KVR_TIER_UP || me->state == KVR_TIER_OPENING) && !any_alive(me))
		cool(me, ev, out, KVR_E_STUCK);
}

void
kvr_tier_link_state(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_CHECK(ev->msg.LINK_STATE.lane < me->config.n_links);
	struct lane *lane = &me->lane[ev->msg.LINK_STATE.lane];
	int32_t err = ev->msg.LINK_STATE.err;

	kvr_touch(out, lane, sizeof(*lane));
	/* A lane that was stuck first says that it is back, and then answers what it was asked. */
	if (err != KVR_E_STUCK && !lane->stuck)
		kvr_tier_health_heard(me, out, lane, err);
	if (err == KVR_E_STUCK) {
		stuck(me, ev, out, lane);
	} else if (ev->msg.LINK_STATE.state == KVR_LINK_UP) {
		lane->stuck = 0;
		lane->ping_ns = 0;
		if (err != KVR_OK)
			kvr_tier_fault(me, ev, out, err); /* an idle ping was refused */
		else if (lane->state == KVR_LINK_DIALING && !ev->msg.LINK_STATE.was_up)
			up(me, ev, out, lane);
		/* else it answered a ping, maybe on a connection that is being replaced now */
	} else if (err == KVR_OK) {
		lane->stuck = 0; /* the late answer follows */
		if (lane->state == KVR_LINK_DOWN && me->state == KVR_TIER_UP)
			kvr_tier_dial(me, out, lane); /* was skipped when others were dialed */
	} else if (!ev->msg.LINK_STATE.was_up) {
		dial_failed(me, ev, out, lane);
	} else if (lane->state == KVR_LINK_UP) {
		lost(me, ev, out, lane);
	} /* else it was lost while our probe was on its way to it, and is being dialed now */
}

/* Pings idle connections now and then, so that a dead one is found before a caller needs it. */
void
kvr_tier_ping(struct tier *me, const struct kvr_event *ev, struct kvr_out *out)
{
	if (me->state == KVR_TIER_UP && ev->now_ns >= me->config.ping_ns)
		ping_idle(me, ev, out, ev->now_ns - me->config.ping_ns);
	kvr_later(out, TIMER_PING, ++me->gen[TIMER_PING], ev->now_ns + me->config.ping_ns);
}
