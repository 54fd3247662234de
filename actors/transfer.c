/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies between callers' memory and staging slots. The copy worker holds `places` parts at a time,
 * the rest wait here in order of arrival, so that what is cancelled or late never reaches it. Each
 * COPY is answered with one COPIED.
 */
#include "kvr_actors.h"
#include "kvr_err.h"

#include <string.h>

#define TRANSFER_MAGIC KVR_MAGIC('C', 'O', 'P', 'Y')

enum { OPEN, CLOSED, STATES };
static const char *const state_name[STATES] = { "OPEN", "CLOSED" };

enum place { PLACE_FREE, PLACE_QUEUED, PLACE_WORKER };

struct copy {
	uint64_t op, deadline_ns;
	uint32_t part, rows, bytes;
	uint16_t next, n_rows; /* next: slot + 1 */
	uint8_t  place, to_caller;
	int8_t   reason; /* of a cancel */
	uint8_t  spare[5];
	uint64_t spare64[3];
};
_Static_assert(sizeof(struct copy) == 64, "one line");

struct transfer {
	uint32_t magic, places;
	uint32_t n_queued, n_worker;
	uint32_t continuing, stopped;
	uint16_t head, tail; /* slot + 1 */
	uint32_t spare;
	uint64_t spare64[4];
	struct copy copy[KVR_PARTS_MAX];
};
_Static_assert(offsetof(struct transfer, copy) == 64, "whole lines, no padding");

enum { PUMP_MAX = KVR_FX_MAX - 4 };

static void
answer(struct transfer *me, struct kvr_out *out, struct copy *c, int32_t err, uint32_t took_us)
{
	struct kvr_msg msg = { .type = KVR_MSG_COPIED,
		.n_rows = c->n_rows,
		.op = c->op,
		.deadline_ns = c->deadline_ns,
		.rows = c->rows,
		.part = c->part,
		.COPIED = { .err = err, .took_us = took_us } };

	(void)me;
	memset(c, 0, sizeof(*c));
	kvr_send(out, KVR_ID_ROUTER, &msg);
}

static struct copy *
pop(struct transfer *me, struct kvr_out *out)
{
	struct copy *c = &me->copy[me->head - 1];

	kvr_touch(out, c, sizeof(*c));
	me->head = c->next;
	if (me->head == 0)
		me->tail = 0;
	c->next = 0;
	me->n_queued--;
	return c;
}

static void
to_worker(struct transfer *me, struct kvr_out *out, struct copy *c)
{
	c->place = PLACE_WORKER;
	me->n_worker++;
	kvr_send(out, KVR_ID_COPY,
	    &(struct kvr_msg){ .type = KVR_MSG_COPY,
		.n_rows = c->n_rows,
		.op = c->op,
		.deadline_ns = c->deadline_ns,
		.rows = c->rows,
		.part = c->part,
		.COPY = { .to_caller = c->to_caller, .bytes = c->bytes } });
}

/* What will not be copied any more; KVR_OK: it will. */
static int32_t
why_not(const struct copy *c, bool closed, uint64_t now_ns)
{
	if (c->reason != KVR_OK)
		return c->reason;
	if (closed)
		return KVR_E_SHUTDOWN;
	return c->deadline_ns != 0 && c->deadline_ns <= now_ns ? KVR_E_TIMEOUT : KVR_OK;
}

static void
finish(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out, bool closed)
{
	while (me->head != 0 && out->n < PUMP_MAX) {
		int32_t err = why_not(&me->copy[me->head - 1], closed, ev->now_ns);

		if (err != KVR_OK)
			answer(me, out, pop(me, out), err, 0);
		else if (me->n_worker < me->places)
			to_worker(me, out, pop(me, out));
		else
			break;
	}
	if (out->n >= PUMP_MAX && me->head != 0 && !me->continuing) {
		me->continuing = 1;
		kvr_send(out, KVR_ID_TRANSFER, &(struct kvr_msg){ .type = KVR_MSG_CONTINUE });
	}
	if (closed && !me->stopped && me->n_queued + me->n_worker == 0) {
		me->stopped = 1;
		kvr_send(out, KVR_ID_ROUTER, &(struct kvr_msg){ .type = KVR_MSG_STOPPED });
	}
}

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct transfer *me = self;
	struct kvr_transfer_config config;

	KVR_CHECK(ev->rows != NULL);
	KVR_CHECK(ev->msg.n_rows == KVR_CONFIG_ROWS(struct kvr_transfer_config));
	memcpy(&config, ev->rows, sizeof(config));
	KVR_CHECK(config.size == sizeof(config) && config.places > 0);
	kvr_touch(out, me, offsetof(struct transfer, copy));
	me->magic = TRANSFER_MAGIC;
	me->places = config.places;
	return KVR_STAY;
}

static unsigned
copy(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	uint32_t slot = KVR_PART_SLOT(ev->msg.part);

	KVR_CHECK(ev->msg.part != 0 && slot < KVR_PARTS_MAX);
	struct copy *c = &me->copy[slot];

	KVR_CHECK(c->place == PLACE_FREE);
	kvr_touch(out, me, offsetof(struct transfer, copy));
	kvr_touch(out, c, sizeof(*c));
	c->op = ev->msg.op;
	c->deadline_ns = ev->msg.deadline_ns;
	c->part = ev->msg.part;
	c->rows = ev->msg.rows;
	c->bytes = ev->msg.COPY.bytes;
	c->to_caller = ev->msg.COPY.to_caller != 0;
	c->n_rows = ev->msg.n_rows;
	c->place = PLACE_QUEUED;
	if (me->tail != 0) {
		kvr_touch(out, &me->copy[me->tail - 1], sizeof(*c));
		me->copy[me->tail - 1].next = (uint16_t)(slot + 1);
	} else {
		me->head = (uint16_t)(slot + 1);
	}
	me->tail = (uint16_t)(slot + 1);
	me->n_queued++;
	finish(me, ev, out, false);
	return KVR_STAY;
}

/* COPY in CLOSED: answered at once, like what waited when the end came. */
static unsigned
copy_closed(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	struct copy c = { .op = ev->msg.op,
		.deadline_ns = ev->msg.deadline_ns,
		.part = ev->msg.part,
		.rows = ev->msg.rows,
		.n_rows = ev->msg.n_rows };

	answer(me, out, &c, KVR_E_SHUTDOWN, 0);
	return KVR_STAY;
}

static void
take_back(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out)
{
	uint32_t slot = KVR_PART_SLOT(ev->msg.part);

	KVR_CHECK(slot < KVR_PARTS_MAX);
	struct copy *c = &me->copy[slot];

	KVR_CHECK(c->place == PLACE_WORKER && c->part == ev->msg.part && me->n_worker > 0);
	kvr_touch(out, me, offsetof(struct transfer, copy));
	kvr_touch(out, c, sizeof(*c));
	me->n_worker--;
	answer(me, out, c, ev->msg.COPIED.err, ev->msg.COPIED.took_us);
}

static unsigned
copied(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	take_back(me, ev, out);
	finish(me, ev, out, false);
	return KVR_STAY;
}

static unsigned
copied_closed(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	take_back(me, ev, out);
	finish(me, ev, out, true);
	return KVR_STAY;
}

/* It is answered when its turn comes; the worker, which copies memory, is not disturbed. */
static unsigned
cancel(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	uint32_t slot = KVR_PART_SLOT(ev->msg.part);
	int32_t reason = ev->msg.PART_CANCEL.reason;

	KVR_CHECK(slot < KVR_PARTS_MAX);
	struct copy *c = &me->copy[slot];

	if (c->place != PLACE_QUEUED || c->part != ev->msg.part || c->reason != KVR_OK)
		return KVR_STAY;
	kvr_touch(out, me, offsetof(struct transfer, copy));
	kvr_touch(out, c, sizeof(*c));
	c->reason = (int8_t)(reason == KVR_OK ? KVR_E_CANCELLED : reason);
	finish(me, ev, out, false);
	return KVR_STAY;
}

static unsigned
go_on(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	kvr_touch(out, me, offsetof(struct transfer, copy));
	me->continuing = 0;
	finish(me, ev, out, false);
	return KVR_STAY;
}

static unsigned
go_on_closed(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	kvr_touch(out, me, offsetof(struct transfer, copy));
	me->continuing = 0;
	finish(me, ev, out, true);
	return KVR_STAY;
}

static unsigned
stop(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	kvr_touch(out, me, offsetof(struct transfer, copy));
	finish(me, ev, out, true);
	return CLOSED;
}

static unsigned
ignore(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	(void)self;
	(void)ev;
	(void)out;
	return KVR_STAY;
}

static void
check(const void *self, unsigned state, bool full)
{
	KVR_SELF(const struct transfer, me, self, TRANSFER_MAGIC);
	uint32_t n_queued = 0, n_worker = 0, n_list = 0;

	KVR_CHECK(state < STATES && me->n_worker <= me->places);
	KVR_CHECK((me->head == 0) == (me->tail == 0) && (me->head == 0) == (me->n_queued == 0));
	KVR_CHECK(KVR_IMPLIES(me->stopped, me->n_queued + me->n_worker == 0));
	if (!full)
		return;
	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		n_queued += me->copy[i].place == PLACE_QUEUED;
		n_worker += me->copy[i].place == PLACE_WORKER;
	}
	for (uint16_t link = me->head; link != 0; link = me->copy[link - 1].next)
		KVR_CHECK(++n_list <= n_queued && me->copy[link - 1].place == PLACE_QUEUED);
	KVR_CHECK(n_queued == me->n_queued && n_list == n_queued && n_worker == me->n_worker);
}

#define ON(msg, fn, to) [KVR_MSG_##msg] = { fn, to }
#define STAY KVR_TO(KVR_STAY)
static const struct kvr_cell table[STATES][KVR_MSG_N] = {
	[OPEN] = {
		ON(START, start, STAY),
		ON(COPY, copy, STAY),
		ON(COPIED, copied, STAY),
		ON(PART_CANCEL, cancel, STAY),
		ON(CONTINUE, go_on, STAY),
		ON(STOP, stop, KVR_TO(CLOSED)),
	},
	[CLOSED] = {
		ON(COPY, copy_closed, STAY),
		ON(COPIED, copied_closed, STAY),
		ON(PART_CANCEL, ignore, STAY),
		ON(CONTINUE, go_on_closed, STAY),
	},
};

const struct kvr_spec kvr_transfer_spec = {
	.name = "transfer",
	.state_name = state_name,
	.n_states = STATES,
	.self_size = sizeof(struct transfer),
	.table = table,
	.check = check,
};
