/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that a link's worker holds. The worker answers each exactly once, even after the
 * connection is gone, so the count here bounds what its mailbox must hold.
 */
#include "kvr_link_own.h"

/* Touches only what a part changes: every line touched is hashed. */
static void
touch(struct link *me, struct kvr_out *out, struct flight *f)
{
	kvr_touch(out, me, offsetof(struct link, flight));
	kvr_touch(out, f, sizeof(*f));
}

unsigned
kvr_link_give(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	struct flight *f = me->flight;

	KVR_CHECK(me->n_parts < me->places && ev->msg.part != 0);
	while (f->part != 0)
		f++;
	touch(me, out, f);
	kvr_link_asks(me, ev->now_ns);
	*f = (struct flight){ .given_ns = ev->now_ns,
		.until_ns = ev->msg.deadline_ns,
		.part = ev->msg.part,
		.verb = ev->msg.PART.verb };
	me->n_parts++;
	me->n_puts += f->verb == KVR_VERB_PUT;
	kvr_link_to_worker(me, out, &ev->msg);
	kvr_link_watch(me, out, f->until_ns);
	return KVR_STAY;
}

unsigned
kvr_link_bounce(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(const struct link, me, self, LINK_MAGIC);
	struct kvr_msg msg = { .type = KVR_MSG_PART_DONE,
		.n_rows = ev->msg.n_rows,
		.op = ev->msg.op,
		.deadline_ns = ev->msg.deadline_ns,
		.rows = ev->msg.rows,
		.part = ev->msg.part };

	msg.PART_DONE.err = KVR_E_UNFINISHED;
	msg.PART_DONE.verb = ev->msg.PART.verb;
	msg.PART_DONE.cls = ev->msg.PART.cls;
	msg.PART_DONE.tier = (uint8_t)me->tier;
	msg.PART_DONE.lane = (uint8_t)me->lane;
	kvr_send(out, KVR_ID_TIER_OF(me->tier), &msg);
	return KVR_STAY;
}

static struct flight *
find(struct link *me, uint32_t part)
{
	for (uint32_t i = 0; i < me->places; i++) {
		if (me->flight[i].part == part)
			return &me->flight[i];
	}
	return NULL;
}

/*
 * A caller's short deadline proves nothing about the lane. But a lane that stays silent through all
 * its work for as long as a dial may take has failed, however short each deadline was. A new
 * connection does not end the silence: a file system that hangs can be "dialed" at any time.
 */
static enum kvr_blame
blame_of(struct link *me, const struct kvr_event *ev, const struct flight *f)
{
	uint64_t since_ns = KVR_MAX(f->given_ns, me->heard_ns);

	if (ev->msg.PART_DONE.bytes > 0 || ev->msg.PART_DONE.n_ok > 0)
		me->silent_ns = 0;
	else if (ev->msg.PART_DONE.err == KVR_E_TIMEOUT)
		me->silent_ns += ev->now_ns - since_ns;
	else if (ev->msg.PART_DONE.err == KVR_OK)
		me->silent_ns = 0;
	if (ev->msg.PART_DONE.err == KVR_E_TIMEOUT)
		return me->silent_ns >= me->connect_ns ? KVR_BLAME_LANE : KVR_BLAME_NONE;
	return kvr_err_blame(ev->msg.PART_DONE.err);
}

static void
forward_done(struct link *me, const struct kvr_event *ev, struct kvr_out *out)
{
	struct kvr_msg msg = ev->msg;

	msg.PART_DONE.tier = (uint8_t)me->tier;
	msg.PART_DONE.lane = (uint8_t)me->lane;
	kvr_send(out, KVR_ID_TIER_OF(me->tier), &msg);
}

static enum kvr_blame
take_back(struct link *me, const struct kvr_event *ev, struct kvr_out *out)
{
	struct flight *f = find(me, ev->msg.part);

	KVR_CHECK(f != NULL && me->n_parts > 0);
	touch(me, out, f);
	enum kvr_blame blame = blame_of(me, ev, f);

	me->n_parts--;
	me->n_puts -= f->verb == KVR_VERB_PUT;
	*f = (struct flight){ .part = 0 };
	kvr_link_heard(me, ev, out);
	return blame;
}

unsigned
kvr_link_done(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	(void)take_back(me, ev, out);
	forward_done(me, ev, out);
	return KVR_STAY;
}

unsigned
kvr_link_done_up(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	enum kvr_blame blame = take_back(me, ev, out);
	int32_t err = ev->msg.PART_DONE.err;
	bool lost = err != KVR_OK && kvr_err_stream(err) == KVR_STREAM_CLOSE;

	/* First, so that the tier does not give the next part to the place that becomes free. */
	if (lost)
		kvr_link_tell(me, out, KVR_LINK_DOWN, err, blame);
	forward_done(me, ev, out);
	return lost ? KVR_LINK_DOWN : KVR_STAY;
}

static void
cancel(struct link *me, struct kvr_out *out, struct flight *f, int32_t reason)
{
	if (f->part == 0 || f->cancelled)
		return;
	f->cancelled = 1;
	kvr_link_to_worker(me, out,
	    &(struct kvr_msg){ .type = KVR_MSG_PART_CANCEL,
		.part = f->part,
		.PART_CANCEL = { .reason = reason,
		    .tier = (uint8_t)me->tier,
		    .lane = (uint8_t)me->lane } });
}

/* A part that has come back, or was bounced, is no longer here: its answer is on its way. */
unsigned
kvr_link_cancel(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct link, me, self, LINK_MAGIC);
	struct flight *f = ev->msg.part == 0 ? NULL : find(me, ev->msg.part);

	if (f == NULL)
		return KVR_STAY;
	kvr_touch(out, me, sizeof(*me));
	cancel(me, out, f, ev->msg.PART_CANCEL.reason);
	return KVR_STAY;
}

void
kvr_link_cancel_all(struct link *me, struct kvr_out *out, int32_t reason)
{
	for (uint32_t i = 0; i < me->places; i++)
		cancel(me, out, &me->flight[i], reason);
}
