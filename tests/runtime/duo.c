/* SPDX-License-Identifier: Apache-2.0 */
#include "duo.h"

#include <string.h>

enum { FRONT_MAGIC = KVR_MAGIC('F', 'R', 'N', 'T'), BACK_MAGIC = KVR_MAGIC('B', 'A', 'C', 'K') };

static const char *const state_name[] = { "IDLE", "BUSY" };

/* ---- front ---- */

static unsigned
front_start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct duo_front *me = self;

	kvr_touch(out, me, 64);
	me->magic = FRONT_MAGIC;
	me->rand = ev->msg.START.seed;
	return KVR_STAY;
}

static unsigned
front_submit(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_front, me, self, FRONT_MAGIC);
	uint32_t slot = (uint32_t)ev->msg.op % DUO_SLOTS, n = ev->msg.n_rows;
	uint32_t first = kvr_part_rows(slot);
	struct kvr_row *rows = kvr_rows(out, first, n);
	struct kvr_msg part = { .type = KVR_MSG_PART,
		.op = ev->msg.op,
		.rows = first,
		.n_rows = (uint16_t)n,
		.part = slot | 1U << 16 };

	KVR_CHECK(me->slot[slot].op == 0);
	kvr_touch(out, me, 64);
	kvr_touch(out, &me->slot[slot], sizeof(me->slot[slot]));
	me->slot[slot].op = ev->msg.op;
	me->slot[slot].first = ev->msg.rows;
	me->slot[slot].n = n;
	me->in_flight++;
	for (uint32_t i = 0; i < n; i++) {
		rows[i] = ev->rows[i];
		rows[i].buf = (uint32_t)(kvr_rand(&me->rand) % 1000);
	}
	part.PART.cls = ev->msg.SUBMIT.kind;
	kvr_send(out, KVR_ID_TIER_OF(0), &part);
	if (ev->msg.deadline_ns != 0)
		kvr_later(out, slot, ++me->slot[slot].timer_gen, ev->msg.deadline_ns);
	return DUO_BUSY;
}

static unsigned
front_part_done(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_front, me, self, FRONT_MAGIC);
	uint32_t slot = (uint32_t)ev->msg.op % DUO_SLOTS;
	struct kvr_msg done = { .type = KVR_MSG_COMPLETE,
		.op = ev->msg.op,
		.rows = me->slot[slot].first,
		.n_rows = (uint16_t)me->slot[slot].n };

	KVR_CHECK(me->slot[slot].op == ev->msg.op && ev->msg.n_rows == done.n_rows);
	struct kvr_row *rows = kvr_rows(out, done.rows, done.n_rows);
	kvr_touch(out, me, 64);
	kvr_touch(out, &me->slot[slot], sizeof(me->slot[slot]));
	for (uint32_t i = 0; i < done.n_rows; i++) {
		rows[i] = ev->rows[i];
		me->slot[slot].sum += ev->rows[i].len + ev->rows[i].buf;
	}
	done.COMPLETE.bytes = me->slot[slot].sum;
	me->slot[slot].op = 0;
	me->in_flight--;
	me->done++;
	kvr_send(out, KVR_ID_API, &done);
	return me->in_flight == 0 ? DUO_IDLE : KVR_STAY;
}

static unsigned
front_timer(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_front, me, self, FRONT_MAGIC);
	struct kvr_msg count = { .type = KVR_MSG_COUNT, .op = ev->now_ns };

	if (ev->msg.TIMER.gen != me->slot[ev->msg.TIMER.timer].timer_gen)
		return KVR_STAY;
	kvr_touch(out, me, 64);
	count.COUNT.tier = ev->msg.TIMER.timer;
	count.COUNT.n = ++me->fired;
	kvr_send(out, KVR_ID_API, &count);
	return KVR_STAY;
}

static unsigned
front_continue(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_front, me, self, FRONT_MAGIC);
	struct kvr_msg m = { .op = ev->msg.op, .part = ev->msg.part };

	if (ev->msg.CONTINUE.what > 0) {
		m.type = KVR_MSG_CONTINUE;
		m.CONTINUE.what = ev->msg.CONTINUE.what - 1;
		kvr_send(out, KVR_ID_ROUTER, &m);
	} else {
		m.type = KVR_MSG_COUNT;
		kvr_send(out, KVR_ID_API, &m);
	}
	return KVR_STAY;
}

static unsigned
front_cancel(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_front, me, self, FRONT_MAGIC);
	kvr_touch(out, me, 64);
	me->in_flight += 1000;
	KVR_CHECK(ev->msg.CANCEL.reason == 0);
	return KVR_STAY;
}

static unsigned
front_forgetful(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_front, me, self, FRONT_MAGIC);
	(void)ev;
	(void)out;
	me->slot[DUO_SLOTS - 1].spare++;
	return KVR_STAY;
}

/* Goes where its cell does not let it go. */
static unsigned
front_wander(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	(void)self;
	(void)ev;
	(void)out;
	return DUO_BUSY;
}

#define ON(msg, fn, to) [KVR_MSG_##msg] = { fn, to }
#define STAY            KVR_TO(KVR_STAY)
static const struct kvr_cell front_table[][KVR_MSG_N] = {
	[DUO_IDLE] = {
		ON(START, front_start, STAY),
		ON(SUBMIT, front_submit, KVR_TO(DUO_BUSY)),
		ON(TIMER, front_timer, STAY),
		ON(CONTINUE, front_continue, STAY),
		ON(CANCEL, front_cancel, STAY),
		ON(HANG_UP, front_forgetful, STAY),
		ON(DIALED, front_wander, STAY),
	},
	[DUO_BUSY] = {
		ON(SUBMIT, front_submit, KVR_TO(DUO_BUSY)),
		ON(PART_DONE, front_part_done, KVR_TO(DUO_IDLE) | STAY),
		ON(TIMER, front_timer, STAY),
		ON(CONTINUE, front_continue, STAY),
		ON(CANCEL, front_cancel, STAY),
	},
};

static void
front_check(const void *self, unsigned state, bool full)
{
	const struct duo_front *me = self;
	uint32_t n = 0;

	KVR_CHECK((state == DUO_BUSY) == (me->in_flight > 0));
	for (uint32_t i = 0; full && i < DUO_SLOTS; i++)
		n += me->slot[i].op != 0;
	KVR_CHECK(!full || n == me->in_flight);
}

const struct kvr_spec duo_front_spec = { "front", state_name, 2, sizeof(struct duo_front),
	front_table, front_check, NULL };

/* ---- back ---- */

static unsigned
back_start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct duo_back *me = self;

	(void)ev;
	kvr_touch(out, me, 64);
	me->magic = BACK_MAGIC;
	return KVR_STAY;
}

static unsigned
back_part(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_back, me, self, BACK_MAGIC);
	struct kvr_msg on = ev->msg;
	uint64_t *was = &me->history[me->parts % KVR_LEN(me->history)];

	kvr_touch(out, me, 64);
	kvr_touch(out, was, sizeof(*was));
	me->parts++;
	for (uint32_t i = 0; i < ev->msg.n_rows; i++)
		me->sum += ev->rows[i].len * UINT64_C(31) + ev->rows[i].buf;
	*was = me->sum;
	if (ev->msg.PART.cls != 0) {
		me->in_flight++;
		kvr_send(out, KVR_ID_WORKER_OF(0, 0), &on);
		return DUO_BUSY;
	}
	on = duo_part_done(&ev->msg);
	kvr_send(out, KVR_ID_ROUTER, &on);
	return KVR_STAY;
}

static unsigned
back_part_done(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct duo_back, me, self, BACK_MAGIC);

	kvr_touch(out, me, 64);
	me->in_flight--;
	kvr_send(out, KVR_ID_ROUTER, &ev->msg);
	return me->in_flight == 0 ? DUO_IDLE : KVR_STAY;
}

static const struct kvr_cell back_table[][KVR_MSG_N] = {
	[DUO_IDLE] = {
		ON(START, back_start, STAY),
		ON(PART, back_part, KVR_TO(DUO_BUSY) | STAY),
	},
	[DUO_BUSY] = {
		ON(PART, back_part, KVR_TO(DUO_BUSY) | STAY),
		ON(PART_DONE, back_part_done, KVR_TO(DUO_IDLE) | STAY),
	},
};

static void
back_check(const void *self, unsigned state, bool full)
{
	const struct duo_back *me = self;

	(void)full;
	KVR_CHECK((state == DUO_BUSY) == (me->in_flight > 0));
}

const struct kvr_spec duo_back_spec = { "back", state_name, 2, sizeof(struct duo_back), back_table,
	back_check, NULL };

const struct kvr_spec *
duo_find(uint16_t id)
{
	return id == KVR_ID_ROUTER       ? &duo_front_spec
	       : id == KVR_ID_TIER_OF(0) ? &duo_back_spec
	                                 : NULL;
}

/* ---- messages ---- */

struct kvr_msg
duo_start(uint16_t to, uint64_t seed)
{
	struct kvr_msg m = { .type = KVR_MSG_START, .from = KVR_ID_API, .to = to };

	m.START.seed = seed;
	return m;
}

struct kvr_msg
duo_submit(uint32_t slot, uint32_t gen, uint32_t n, int by_worker, uint64_t until_ns)
{
	struct kvr_msg m = { .type = KVR_MSG_SUBMIT,
		.from = KVR_ID_API,
		.to = KVR_ID_ROUTER,
		.op = slot | (uint64_t)gen << 32,
		.rows = slot * DUO_ROWS,
		.n_rows = (uint16_t)n,
		.deadline_ns = until_ns };

	m.SUBMIT.first = m.rows;
	m.SUBMIT.n = n;
	m.SUBMIT.kind = by_worker != 0;
	return m;
}

struct kvr_msg
duo_continue(uint32_t what, uint64_t op)
{
	struct kvr_msg m = {
		.type = KVR_MSG_CONTINUE, .from = KVR_ID_API, .to = KVR_ID_ROUTER, .op = op
	};

	m.CONTINUE.what = what;
	return m;
}

struct kvr_msg
duo_part_done(const struct kvr_msg *part)
{
	struct kvr_msg m = { .type = KVR_MSG_PART_DONE,
		.from = part->to,
		.to = KVR_ID_TIER_OF(0),
		.op = part->op,
		.rows = part->rows,
		.n_rows = part->n_rows,
		.part = part->part };

	m.PART_DONE.n_ok = part->n_rows;
	return m;
}
