/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVR_CHECK and not ck_assert: that one writes its place to a file each time, a thousand times a
 * run.
 */
#include "router_bed.h"

#include "kvr_check.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct kvr_router_config
bed_config(uint32_t n_tiers)
{
	struct kvr_router_config c = { .version = 1, .size = sizeof(c), .n_tiers = n_tiers,
		.staging_pages = 64, .slot_pages = 1, .background_ns = KVR_SEC(60), .grace_ns = KVR_MS(2) };

	for (uint32_t t = 0; t < n_tiers; t++)
		c.tier[t] = (struct kvr_router_tier){ .write = KVR_WRITE_THROUGH, .give_up = 1, .bulk_lanes = 2 };
	return c;
}

void
bed_post(struct bed *b, const struct kvr_msg *m)
{
	KVR_CHECK(b->n_to_router < BED_QUEUE);
	b->to_router[b->n_to_router++] = *m;
}

/* Copies in of a put that tells: none may come, or begin, after it was told. */
static void
check_source(const struct bed *b, const struct bed_op *op)
{
	for (uint32_t i = 0; i < b->n_world; i++)
		KVR_CHECK(KVR_IMPLIES(b->world[i].type == KVR_MSG_COPY && b->world[i].op == op->id,
		    b->world[i].COPY.tells == 0));
}

/* What is known by then stays: of a get also that a key is not found, of a put what is not open. */
static void
check_told(const struct bed *b, const struct bed_op *op)
{
	for (uint32_t i = 0; i < op->n && op->ahead > 0; i++) {
		int32_t told = b->rows[op->first + op->n + i].err, err = b->rows[op->first + i].err;

		if (op->kind == KVR_OP_PUT)
			KVR_CHECK(told == KVR_E_UNFINISHED || told == err);
		else
			KVR_CHECK(KVR_IMPLIES(err == KVR_OK, told == KVR_OK));
	}
}

/* What is told ahead comes once and first. */
static void
completes(struct bed *b, struct bed_op *op, const struct kvr_msg *m)
{
	KVR_CHECK(op->id == m->op);
	KVR_CHECK(op->released == 0);
	if (m->rows != op->first) {
		KVR_CHECK(m->rows == op->first + op->n && op->rows == 2 * op->n);
		KVR_CHECK(op->ahead == 0 && op->completed == 0);
		KVR_CHECK((m->COMPLETE.flags & KVR_DONEB_QUIET) == 0);
		KVR_CHECK((m->COMPLETE.flags & KVR_DONEB_RECORDED) != 0);
		op->ahead++;
		op->told = *m;
		if (op->kind == KVR_OP_PUT)
			check_source(b, op);
		return;
	}
	check_told(b, op);
	op->completed++;
	op->done = *m;
}

static void
from_router(struct bed *b, const struct kvr_msg *m)
{
	struct bed_op *op = &b->op[(uint32_t)m->op % BED_OPS];

	switch (m->type) {
	case KVR_MSG_COMPLETE:
		completes(b, op, m);
		break;
	case KVR_MSG_RELEASE:
		KVR_CHECK(op->id == m->op);
		KVR_CHECK(op->completed > 0);
		op->released++;
		break;
	case KVR_MSG_STOPPED:
		b->n_stopped++;
		break;
	case KVR_MSG_OP_STAT:
		b->n_op_stat++;
		b->stat_bytes += m->OP_STAT.bytes;
		break;
	case KVR_MSG_COUNT:
		b->counted[m->COUNT.what] += (uint32_t)m->COUNT.n;
		break;
	default:
		if (m->to == KVR_ID_ROUTER) {
			bed_post(b, m);
			break;
		}
		KVR_CHECK(b->n_world < BED_QUEUE);
		KVR_CHECK(m->type != KVR_MSG_COPY || op->kind != KVR_OP_PUT || op->ahead == 0);
		b->world[b->n_world++] = *m;
	}
}

static void
step(struct bed *b, const struct kvr_msg *m)
{
	struct kvr_event ev = { .now_ns = b->now_ns, .msg = *m,
		.rows = m->n_rows == 0 ? NULL : &b->rows[m->rows] };

	b->out->step = ++b->step;
	b->out->row_table = b->rows;
	b->digest = b->digest * 31 + kvr_step(&b->actor, &ev, b->out);
	uint32_t n = b->out->n;

	for (uint32_t i = 0; i < n; i++) {
		const struct kvr_fx *fx = &b->out->fx[i];

		if (fx->kind == KVR_FX_SEND) {
			from_router(b, &fx->msg);
		} else {
			b->timer_at[fx->msg.TIMER.timer] = fx->at_ns;
			b->timer[fx->msg.TIMER.timer] = fx->msg;
		}
	}
}

static void answer_part(struct bed *b, const struct kvr_msg *q);

/* A part comes back in front of what the router wants to go on with. */
static void
interrupt(struct bed *b)
{
	uint32_t i = 0;

	b->interrupts = false;
	while (i < b->n_world && b->world[i].type != KVR_MSG_PART)
		i++;
	ck_assert_uint_lt(i, b->n_world);
	struct kvr_msg q = b->world[i];

	b->world[i] = b->world[--b->n_world];
	answer_part(b, &q);
	struct kvr_msg m = b->to_router[--b->n_to_router];

	memmove(b->to_router + 1, b->to_router, b->n_to_router++ * sizeof(m));
	b->to_router[0] = m;
}

void
bed_local(struct bed *b)
{
	while (b->n_to_router > 0) {
		if (b->interrupts && b->to_router[0].type == KVR_MSG_CONTINUE)
			interrupt(b);
		struct kvr_msg m = b->to_router[0];

		memmove(b->to_router, b->to_router + 1, --b->n_to_router * sizeof(m));
		step(b, &m);
	}
}

struct bed *
bed_new(const struct kvr_router_config *c)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct kvr_msg m = { .type = KVR_MSG_START, .to = KVR_ID_ROUTER, .rows = KVR_ROWS_CONFIG,
		.n_rows = KVR_CONFIG_ROWS(*c) };

	b->rows = calloc(KVR_ROWS_MAX, sizeof(b->rows[0]));
	b->out = calloc(1, sizeof(*b->out));
	/* Megabytes of zeros, of which a test touches little. */
	b->memory = mmap(NULL, kvr_actor_bytes(&kvr_router_spec), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	KVR_CHECK(b->memory != MAP_FAILED);
	kvr_actor_init(&b->actor, &kvr_router_spec, KVR_ID_ROUTER, b->memory);
	b->now_ns = KVR_SEC(1);
	b->rand = 1;
	b->len = 100;
	memcpy(&b->rows[m.rows], c, sizeof(*c));
	step(b, &m);
	return b;
}

void
bed_free(struct bed *b)
{
	free(b->rows);
	free(b->out);
	munmap(b->memory, kvr_actor_bytes(&kvr_router_spec));
	free(b);
}

/* Key slots like the facade's: an operation gets a range that no living one has. */
static uint32_t
free_range(const struct bed *b, uint32_t n)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < BED_OPS; i++) {
		const struct bed_op *op = &b->op[i];

		if (op->id == 0 || op->released || op->first >= first + n || op->first + op->rows <= first)
			continue;
		first = op->first + op->rows;
		i = UINT32_MAX; /* look at all of them again */
	}
	KVR_CHECK(first + n <= KVR_KEYS_MAX);
	return first;
}

static uint32_t
free_slot(const struct bed *b)
{
	for (uint32_t i = 0; i < BED_OPS; i++) {
		if (b->op[i].id == 0 || b->op[i].released)
			return i;
	}
	ck_abort_msg("no operation is free");
	return 0;
}

uint32_t
bed_submit(struct bed *b, enum kvr_op_kind kind, const uint32_t *keys, uint32_t n, uint32_t flags,
    uint64_t deadline_ns)
{
	uint32_t rows = flags & KVR_OPF_RECORD ? 2 * n : n;
	uint32_t slot = free_slot(b), first = free_range(b, rows);
	uint64_t gen = (b->op[slot].id >> 32) + 1;
	struct kvr_msg m = { .type = KVR_MSG_SUBMIT, .to = KVR_ID_ROUTER, .op = slot | gen << 32,
		.deadline_ns = b->now_ns + deadline_ns, .rows = first,
		.n_rows = (uint16_t)KVR_MIN(n, (uint32_t)KVR_SLICE_KEYS) };

	b->op[slot] = (struct bed_op){
		.id = m.op, .first = first, .n = n, .rows = rows, .kind = kind
	};
	for (uint32_t i = 0; i < n; i++) {
		b->rows[first + i] = (struct kvr_row){ .digest = { .hi = keys[i] + 1000, .lo = keys[i] },
			.len = b->len, .key = first + i, .err = KVR_PENDING };
	}
	m.SUBMIT.first = first;
	m.SUBMIT.n = n;
	m.SUBMIT.flags = flags;
	m.SUBMIT.kind = (uint8_t)kind;
	bed_post(b, &m);
	bed_local(b);
	return slot;
}

void
bed_cancel(struct bed *b, uint32_t slot)
{
	struct kvr_msg m = { .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER, .op = b->op[slot].id };

	if (m.op == 0)
		return;
	m.CANCEL.reason = KVR_E_CANCELLED;
	bed_post(b, &m);
	bed_local(b);
}

void
bed_stop(struct bed *b, bool drain)
{
	struct kvr_msg m = { .type = KVR_MSG_STOP, .to = KVR_ID_ROUTER };

	m.STOP.drain = drain;
	bed_post(b, &m);
	bed_local(b);
}

void
bed_tier_state(struct bed *b, uint32_t tier, enum kvr_tier_state state)
{
	struct kvr_msg m = { .type = KVR_MSG_TIER_STATE, .to = KVR_ID_ROUTER };

	m.TIER_STATE.tier = (uint8_t)tier;
	m.TIER_STATE.state = (uint8_t)state;
	bed_post(b, &m);
	bed_local(b);
}

static int32_t
store_row(struct bed *b, uint32_t tier, uint8_t verb, struct kvr_row *r)
{
	bool *has = &b->has[tier][(b->rows[r->key].digest.lo) % BED_KEYS];
	int32_t err = *has ? KVR_OK : KVR_E_MISS;

	if (b->errors_per_1000 != 0 && kvr_rand(&b->rand) % 1000 < b->errors_per_1000)
		return KVR_E_CORRUPT;
	switch (verb) {
	case KVR_VERB_PUT:
		*has = true;
		return KVR_OK;
	case KVR_VERB_DEL:
		*has = false;
		return err;
	case KVR_VERB_GET:
	case KVR_VERB_STAT:
		if (err == KVR_OK) {
			r->len = b->len;
			r->body.raw_len = b->len;
			r->body.serde = 0;
		}
		return err;
	default:
		return err;
	}
}

static void
answer_part(struct bed *b, const struct kvr_msg *q)
{
	struct kvr_msg m = *q;

	m.type = KVR_MSG_PART_DONE;
	m.from = q->to;
	m.to = KVR_ID_ROUTER;
	memset(m.word, 0, sizeof(m.word));
	m.PART_DONE.err = b->sick[q->PART.tier];
	for (uint32_t i = 0; i < q->n_rows && m.PART_DONE.err == KVR_OK; i++) {
		struct kvr_row *r = &b->rows[q->rows + i];

		KVR_CHECK(r->err == KVR_PENDING);
		r->err = (int8_t)store_row(b, q->PART.tier, q->PART.verb, r);
	}
	bed_post(b, &m);
}

static void
answer_hand(struct bed *b, const struct kvr_msg *q)
{
	struct kvr_msg m = *q;

	m.type = q->type == KVR_MSG_ENCODE   ? KVR_MSG_ENCODED
	         : q->type == KVR_MSG_DECODE ? KVR_MSG_DECODED
	                                     : KVR_MSG_COPIED;
	m.from = q->to;
	m.to = KVR_ID_ROUTER;
	memset(m.word, 0, sizeof(m.word));
	if (q->type == KVR_MSG_COPY && q->COPY.tells != 0) { /* it has begun, and ends another time */
		b->world[b->n_world] = *q;
		b->world[b->n_world++].COPY.tells = 0;
		m.type = KVR_MSG_BEGUN;
		bed_post(b, &m);
		return;
	}
	if (q->type == KVR_MSG_COPY)
		m.COPIED.err = b->copies;
	if (q->type == KVR_MSG_COPY && b->errors_per_1000 != 0 &&
	    kvr_rand(&b->rand) % 1000 < b->errors_per_1000)
		m.COPIED.err = KVR_E_DEVICE;
	for (uint32_t i = 0; i < q->n_rows; i++) {
		struct kvr_row *r = &b->rows[q->rows + i];

		KVR_CHECK(r->buf != 0);
		if (q->type == KVR_MSG_ENCODE) {
			memset(&r->body, 0, sizeof(r->body));
			r->body.raw_len = r->len;
			r->body.serde = 1;
			r->flags |= KVR_ROW_STAGED | KVR_ROW_ENCODED;
		} else if (q->type == KVR_MSG_COPY && !q->COPY.to_caller) {
			r->flags |= KVR_ROW_STAGED;
		}
	}
	bed_post(b, &m);
}

bool
bed_answer(struct bed *b, uint32_t i)
{
	if (i >= b->n_world)
		return false;
	struct kvr_msg q = b->world[i];

	b->world[i] = b->world[--b->n_world];
	switch (q.type) {
	case KVR_MSG_PART:
		answer_part(b, &q);
		break;
	case KVR_MSG_ENCODE:
	case KVR_MSG_DECODE:
	case KVR_MSG_COPY:
		answer_hand(b, &q);
		break;
	case KVR_MSG_STOP: {
		struct kvr_msg m = { .type = KVR_MSG_STOPPED, .from = q.to, .to = KVR_ID_ROUTER };

		bed_post(b, &m);
		break;
	}
	case KVR_MSG_PART_CANCEL:
		break; /* its part is answered on its own */
	default:
		ck_abort_msg("the router sent %s to %u", kvr_msg_info[q.type].name, q.to);
	}
	bed_local(b);
	return true;
}

void
bed_settle(struct bed *b)
{
	while (b->n_world > 0)
		bed_answer(b, (uint32_t)(kvr_rand(&b->rand) % b->n_world));
}

void
bed_advance(struct bed *b, uint64_t ns)
{
	b->now_ns += ns;
	for (uint32_t i = 0; i < BED_OPS; i++) {
		if (b->timer_at[i] == 0 || b->timer_at[i] > b->now_ns)
			continue;
		b->timer_at[i] = 0;
		bed_post(b, &b->timer[i]);
		bed_local(b);
	}
}

void
bed_check(struct bed *b)
{
	kvr_router_spec.check(b->actor.self, b->actor.state, true);
	KVR_CHECK(kvr_actor_digest(&b->actor) == b->actor.digest);
}

void
bed_is_over(struct bed *b, uint32_t slot, int32_t err, uint32_t n_ok)
{
	ck_assert_uint_eq(b->op[slot].completed, 1);
	ck_assert_uint_eq(b->op[slot].released, 1);
	ck_assert_int_eq(b->op[slot].done.COMPLETE.err, err);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.n_ok, n_ok);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.flags & KVR_DONEB_QUIET, KVR_DONEB_QUIET);
	bed_check(b);
}

/* After everything is over the state is what it was after START: nothing is kept. */
void
bed_is_home(struct bed *b)
{
	const struct router *me = b->actor.self;

	ck_assert_uint_eq(me->n_ops, 0);
	ck_assert_uint_eq(me->n_parts, 0);
	ck_assert_uint_eq(me->n_slots_free, me->n_slots);
	uint32_t n = 0;

	for (uint32_t i = 0; i < PUT_BUCKETS; i++)
		n += me->bucket[i] != 0;
	ck_assert_uint_eq(n, 0);
}
