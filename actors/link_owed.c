/* SPDX-License-Identifier: Apache-2.0 */
/* What a link sends to its worker and to its tier, and the answers that the worker owes it. */
#include "kvr_link_own.h"

enum { TIMER_WATCH };

void
kvr_link_to_worker(const struct link *me, struct kvr_out *out, const struct kvr_msg *msg)
{
	kvr_send(out, KVR_ID_WORKER_OF(me->tier, me->lane), msg);
}

void
kvr_link_tell(struct link *me, struct kvr_out *out, enum kvr_link_state state, int32_t err,
    enum kvr_blame blame)
{
	bool was_up = me->told == KVR_LINK_UP;

	me->told = state;
	kvr_send(out, KVR_ID_TIER_OF(me->tier),
	    &(struct kvr_msg){ .type = KVR_MSG_LINK_STATE,
		.LINK_STATE = { .err = err,
		    .lane = (uint8_t)me->lane,
		    .state = (uint8_t)state,
		    .blame = (uint8_t)blame,
		    .was_up = was_up,
		    .since_ns = err == KVR_E_STUCK ? me->owes_ns : 0 } });
}

/* One timer for all owed answers: it fires for the earliest. */
void
kvr_link_watch(struct link *me, struct kvr_out *out, uint64_t until_ns)
{
	uint64_t at_ns = kvr_link_later(until_ns, me->stuck_ns);

	if (until_ns == 0 || (me->watch_ns != 0 && me->watch_ns <= at_ns))
		return;
	me->watch_ns = at_ns;
	kvr_later(out, TIMER_WATCH, ++me->watch_gen, at_ns);
}

uint64_t
kvr_link_owed(const struct link *me)
{
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < me->places; i++) {
		if (me->flight[i].part != 0 && me->flight[i].until_ns != 0)
			first = KVR_MIN(first, me->flight[i].until_ns);
	}
	if (me->dial_ns != 0)
		first = KVR_MIN(first, me->dial_ns);
	if (me->ping_ns != 0)
		first = KVR_MIN(first, me->ping_ns);
	return first == UINT64_MAX ? 0 : first;
}

void
kvr_link_heard(struct link *me, const struct kvr_event *ev, struct kvr_out *out)
{
	me->heard_ns = me->owes_ns = ev->now_ns;
	if (!me->stuck)
		return;
	me->stuck = 0;
	kvr_link_tell(me, out, me->told, KVR_OK, KVR_BLAME_NONE);
	kvr_link_watch(me, out, kvr_link_owed(me));
}
