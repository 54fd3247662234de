/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decider: answers every operation exactly once. It decides which tiers are asked in which order,
 * whose put comes first and which key waits for which. kvr_router_own.h lists its files.
 */
#include "kvr_router_own.h"

#include <string.h>

enum { FRESH, OPEN, CLOSING, CLOSED, N_STATES };
static const char *const state_name[N_STATES] = { "FRESH", "OPEN", "CLOSING", "CLOSED" };

enum { ROOM = 56 }; /* of KVR_FX_MAX: what would be more goes on in the next step */

static struct step
begin(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct router, me, self, ROUTER_MAGIC);
	return (struct step){ .me = me, .ev = ev, .out = out, .room = ROOM };
}

static uint32_t
slot_of(const struct kvr_msg *m)
{
	uint32_t slot = (uint32_t)m->op;

	KVR_CHECK(slot < KVR_OPS_MAX && m->op >> 32 != 0);
	return slot;
}

/* ---- stopping ---- */

static uint32_t
n_to_stop(const struct router *me)
{
	return me->config.n_tiers + 2; /* plus transfer and metrics */
}

static void
stop_others(struct step *s)
{
	struct kvr_msg m = { .type = KVR_MSG_STOP };

	for (uint32_t t = 0; t < s->me->config.n_tiers; t++)
		send(s, KVR_ID_TIER_OF(t), &m);
	send(s, KVR_ID_TRANSFER, &m);
	send(s, KVR_ID_METRICS, &m);
}

/* An abort ends one operation per step: each may have dozens of parts to cancel. */
static void
abort_next(struct step *s)
{
	struct router *me = s->me;

	if (me->stopping != STOPPING_ABORT || me->stop_cursor >= KVR_OPS_MAX)
		return;
	kvr_touch(s->out, &me->stop_cursor, sizeof(me->stop_cursor));
	while (me->stop_cursor < KVR_OPS_MAX) {
		uint32_t slot = me->stop_cursor++;
		uint8_t state = me->op[slot].state;

		if (state == OP_LOADING || state == OP_RUNNING || state == OP_AHEAD || state == OP_BACK) {
			kvr_router_end(s, slot, KVR_E_SHUTDOWN);
			break;
		}
	}
	if (me->stop_cursor < KVR_OPS_MAX)
		kvr_router_go_on(s);
}

/* Every step ends with this: waiters are told, long passes go on, operations make parts. */
static unsigned
end(struct step *s, unsigned stay)
{
	if (s->room > 20)
		kvr_router_tell(s);
	if (s->room > 14)
		kvr_router_pump(s);
	else
		kvr_router_go_on(s);
	if (s->me->tell_head != NO_KEY) /* the pump may have settled more keys */
		kvr_router_go_on(s);
	if (s->me->stopping != 0 && s->me->stopping != STOPPING_OTHERS && s->me->n_ops == 0) {
		kvr_touch(s->out, &s->me->stopping, sizeof(s->me->stopping));
		s->me->stopping = STOPPING_OTHERS;
		stop_others(s);
		return CLOSING;
	}
	return stay;
}

/* ---- handlers ---- */

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct router *me = self; /* zero bytes: START sets the magic */
	struct kvr_router_config c;

	KVR_CHECK(ev->rows != NULL && ev->msg.n_rows == KVR_CONFIG_ROWS(struct kvr_router_config));
	memcpy(&c, ev->rows, sizeof(c));
	KVR_CHECK(c.version == 1 && c.size == sizeof(c) && c.n_tiers >= 1 &&
	    c.n_tiers <= KVR_TIERS_MAX);
	kvr_touch(out, me, offsetof(struct router, slot_free));
	kvr_touch(out, me->part, sizeof(me->part));
	me->magic = ROUTER_MAGIC;
	me->config = c;
	for (uint32_t i = KVR_PARTS_SMALL; i-- > 0;) {
		me->part[i].next = me->free_small;
		me->free_small = i + 1;
	}
	for (uint32_t i = KVR_PARTS_MAX; i-- > KVR_PARTS_SMALL;) {
		me->part[i].next = me->free_wide;
		me->free_wide = i + 1;
	}
	struct step s = begin(self, ev, out);

	kvr_router_staging_init(&s, c.slot_pages);
	return OPEN;
}

static unsigned
submit(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_submit(&s, slot_of(&ev->msg));
	return end(&s, KVR_STAY);
}

static unsigned
slice(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_load(&s, slot_of(&ev->msg));
	return end(&s, KVR_STAY);
}

static unsigned
cancel(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);
	uint32_t slot = slot_of(&ev->msg);

	if (s.me->op[slot].id == ev->msg.op && s.me->op[slot].state != OP_BACK)
		kvr_router_end(&s, slot, ev->msg.CANCEL.reason);
	return end(&s, KVR_STAY);
}

static unsigned
timer(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_timer(&s);
	return end(&s, KVR_STAY);
}

static unsigned
go_on(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_touch(out, &s.me->going_on, sizeof(s.me->going_on));
	s.me->going_on = 0;
	kvr_router_sweep(&s);
	if (s.room > 44)
		abort_next(&s);
	else if (s.me->stopping == STOPPING_ABORT)
		kvr_router_go_on(&s);
	return end(&s, KVR_STAY);
}

static unsigned
part_done(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_part_done(&s);
	return end(&s, KVR_STAY);
}

static unsigned
encoded(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_encoded(&s);
	return end(&s, KVR_STAY);
}

static unsigned
decoded(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_decoded(&s);
	return end(&s, KVR_STAY);
}

static unsigned
copied(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_copied(&s);
	return end(&s, KVR_STAY);
}

static unsigned
begun(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_router_begun(&s);
	return end(&s, KVR_STAY);
}

static unsigned
tier_state(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	KVR_CHECK(ev->msg.TIER_STATE.tier < s.me->config.n_tiers);
	kvr_touch(out, s.me->tier, sizeof(s.me->tier));
	s.me->tier[ev->msg.TIER_STATE.tier].state = ev->msg.TIER_STATE.state;
	return KVR_STAY;
}

static unsigned
config(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);
	uint32_t tier = ev->msg.CONFIG.tier;

	KVR_CHECK(ev->msg.CONFIG.what == KVR_SET_TIMEOUT && tier < s.me->config.n_tiers);
	kvr_touch(out, &s.me->config.tier[tier], sizeof(s.me->config.tier[tier]));
	s.me->config.tier[tier].timeout_ns = ev->msg.CONFIG.value;
	return KVR_STAY;
}

static unsigned
stop(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);

	kvr_touch(out, &s.me->stopping, sizeof(s.me->stopping));
	s.me->stopping = ev->msg.STOP.drain ? STOPPING_DRAIN : STOPPING_ABORT;
	if (!ev->msg.STOP.drain)
		kvr_router_go_on(&s);
	return end(&s, KVR_STAY);
}

static unsigned
stopped(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct step s = begin(self, ev, out);
	struct kvr_msg m = { .type = KVR_MSG_STOPPED };

	kvr_touch(out, &s.me->stopped, sizeof(s.me->stopped));
	if (++s.me->stopped < n_to_stop(s.me))
		return KVR_STAY;
	send(&s, KVR_ID_API, &m);
	return CLOSED;
}

/* The facade does not submit after it has sent STOP; a SUBMIT still on its way is ended at once. */
#define ON(msg, fn, to) [KVR_MSG_##msg] = { fn, to }
#define TO KVR_TO
#define STAY KVR_TO(KVR_STAY)
static const struct kvr_cell table[N_STATES][KVR_MSG_N] = {
	[FRESH] = {
		ON(START,      start,      TO(OPEN)),
	},
	[OPEN] = {
		ON(SUBMIT,     submit,     TO(CLOSING) | STAY),
		ON(SLICE,      slice,      TO(CLOSING) | STAY),
		ON(CANCEL,     cancel,     TO(CLOSING) | STAY),
		ON(TIMER,      timer,      TO(CLOSING) | STAY),
		ON(CONTINUE,   go_on,      TO(CLOSING) | STAY),
		ON(PART_DONE,  part_done,  TO(CLOSING) | STAY),
		ON(ENCODED,    encoded,    TO(CLOSING) | STAY),
		ON(DECODED,    decoded,    TO(CLOSING) | STAY),
		ON(BEGUN,      begun,      TO(CLOSING) | STAY),
		ON(COPIED,     copied,     TO(CLOSING) | STAY),
		ON(TIER_STATE, tier_state, STAY),
		ON(CONFIG,     config,     STAY),
		ON(STOP,       stop,       TO(CLOSING) | STAY),
	},
	[CLOSING] = {
		ON(STOPPED,    stopped,    TO(CLOSED) | STAY),
		ON(STOP,       kvr_ignore,     STAY), /* an abort after a drain that has ended already */
		ON(CANCEL,     kvr_ignore,     STAY),
		ON(TIMER,      kvr_ignore,     STAY),
		ON(CONTINUE,   kvr_ignore,     STAY),
		ON(TIER_STATE, tier_state, STAY),
		ON(CONFIG,     kvr_ignore,     STAY),
	},
	[CLOSED] = {
		ON(STOP,       kvr_ignore,     STAY),
		ON(CANCEL,     kvr_ignore,     STAY),
		ON(TIMER,      kvr_ignore,     STAY),
		ON(CONTINUE,   kvr_ignore,     STAY),
		ON(CONFIG,     kvr_ignore,     STAY),
	},
};

/* ---- rules ---- */

/* Each part belongs to an operation that counts it, and each staging slot has one holder. */
static void
check_parts(const struct router *me)
{
	uint32_t of_op[KVR_OPS_MAX] = { 0 }, begun[KVR_OPS_MAX] = { 0 }, held = 0, n = 0, writes = 0,
	         longs = 0;

	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		const struct part *p = &me->part[i];

		if (p->stage == STAGE_FREE)
			continue;
		n++;
		of_op[p->op]++;
		begun[p->op] += p->begun;
		writes += p->verb == KVR_VERB_PUT || p->verb == KVR_VERB_N;
		longs += i >= KVR_PARTS_SMALL && (p->verb == KVR_VERB_PUT || p->verb == KVR_VERB_GET);
		for (uint32_t k = 0; i < KVR_PARTS_SMALL && k < KVR_PART_KEYS; k++)
			held += me->part_buf[i][k] != 0;
	}
	KVR_CHECK(n == me->n_parts && writes == me->n_small_writes && longs == me->n_long);
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++)
		KVR_CHECK(of_op[i] == me->op[i].parts && begun[i] == me->op[i].begun);
	KVR_CHECK(held + me->n_slots_back + me->n_slots_free == me->n_slots);
}

/* Returns how many writes of the operation's keys are on their way. */
static uint32_t
check_op(const struct router *me, const struct op *op)
{
	uint32_t pending = 0, blocked = 0, saving = 0, kept = 0, sent = 0;

	if (op->state == OP_FREE || op->state == OP_RELEASING)
		return 0;
	for (uint32_t i = 0; i < op->loaded; i++) {
		const struct key *k = &me->key[op->first + i];

		pending += k->err == KVR_PENDING;
		blocked += (k->flags & KEY_BLOCKED) != 0;
		saving += k->back != 0;
		kept += k->buf != 0;
		sent += (uint32_t)__builtin_popcount(k->sent);
	}
	KVR_CHECK(pending == op->pending);
	KVR_CHECK(blocked == op->blocked);
	KVR_CHECK(saving == op->saving);
	KVR_CHECK(kept == op->kept);
	return sent;
}

static void
check(const void *self, unsigned state, bool full)
{
	const struct router *me = self;

	KVR_CHECK(KVR_IMPLIES(state != FRESH, me->magic == ROUTER_MAGIC));
	KVR_CHECK(me->n_ops <= KVR_OPS_MAX && me->n_parts <= KVR_PARTS_MAX);
	KVR_CHECK(me->n_slots_free + me->n_slots_back <= me->n_slots);
	KVR_CHECK(KVR_IMPLIES(me->n_ops == 0, me->n_parts == 0 && me->n_slots_back == 0));
	if (!full || state == FRESH)
		return;
	uint32_t n = 0, sent = 0, puts = 0;

	check_parts(me);
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++) {
		n += me->op[i].state != OP_FREE;
		sent += check_op(me, &me->op[i]);
	}
	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++)
		puts += me->part[i].verb == KVR_VERB_PUT && me->part[i].stage != STAGE_FREE ?
		    me->part[i].n : 0;
	KVR_CHECK(n == me->n_ops && sent == puts);
}

const struct kvr_spec kvr_router_spec = {
	.name = "router",
	.state_name = state_name,
	.n_states = N_STATES,
	.self_size = (sizeof(struct router) + 63) / 64 * 64,
	.table = table,
	.check = check,
	.fields = &kvr_router_fields,
};
