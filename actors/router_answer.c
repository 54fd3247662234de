/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when an operation ends: its keys get their outcomes, it is answered once, promised
 * writes are done, and when no worker needs its key texts any more, its place is freed. A pass over
 * many keys takes several steps. When an operation ends: router_end.c.
 */
#include "kvr_router_own.h"

static bool
is_read(const struct op *op)
{
	return op->kind == KVR_OP_LOOKUP || op->kind == KVR_OP_GET || op->kind == KVR_OP_SIZE ||
	    op->kind == KVR_OP_PREFETCH;
}

bool
kvr_router_is_quiet(const struct router *me, uint32_t slot)
{
	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		const struct part *part = &me->part[i];

		if (part->stage != STAGE_FREE && part->op == slot && part->borrowed)
			return false;
	}
	return true;
}

static void
leave_parts(struct step *s, uint32_t slot)
{
	for (uint32_t i = 0; s->me->op[slot].parts > 0 && i < KVR_PARTS_MAX; i++) {
		struct part *part = &s->me->part[i];

		if (part->stage == STAGE_FREE || part->op != slot)
			continue;
		kvr_touch(s->out, part, sizeof(*part));
		part->late = 1;
	}
}

static void
pass_later(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	kvr_touch(s->out, &s->me->sweep_head, sizeof(s->me->sweep_head));
	op->next = s->me->sweep_head;
	s->me->sweep_head = slot + 1;
	kvr_router_go_on(s);
}

static int32_t
outcome_of_open_key(const struct op *op, const struct key *k)
{
	if (!is_read(op) && k->n_ok > 0)
		return KVR_E_PARTIAL;
	if (op->ending != 0)
		return op->ending;
	if (k->fail != 0)
		return k->fail;
	return op->skipped != 0 ? op->skipped : is_read(op) ? KVR_E_MISS : KVR_E_DOWN;
}

static void
close_key(struct step *s, struct op *op, uint32_t slot)
{
	if (s->me->key[slot].err != KVR_PENDING && (s->me->key[slot].flags & KEY_BEGUN) == 0)
		return; /* most keys of a read: they have their outcomes */
	struct key *k = key_of(s, slot);

	/* Its copy has begun but not ended, so the final answer must not say that it succeeded. */
	if ((k->flags & KEY_BEGUN) != 0 && op->state == OP_ANSWERING && k->err == KVR_OK)
		kvr_router_revise(op, k, op->ending);
	if (k->err != KVR_PENDING)
		return;
	if (k->flags & KEY_BLOCKED)
		kvr_router_unblock(s, slot);
	k->err = (int8_t)outcome_of_open_key(op, k);
	op->pending--;
	kvr_router_put_settled(s, slot);
}

/* With PREFIX nothing behind the first chunk that is not whole counts, and no bytes of it. */
static int32_t
tell_key(struct op *op, uint32_t i, const struct key *k)
{
	int32_t err = k->err == KVR_PENDING ? KVR_E_UNFINISHED : k->err;

	if (op->cut && (op->flags & KVR_OPF_PREFIX) != 0 && is_read(op) &&
	    i / op->per_chunk > op->cut_at / op->per_chunk)
		return KVR_E_UNASKED;
	if (err == KVR_OK) {
		op->n_ok++;
		if (op->kind == KVR_OP_GET || op->kind == KVR_OP_PUT)
			op->bytes += k->found;
		if (k->flags & KEY_DUP)
			op->joined += k->found;
		return err;
	}
	if (!op->cut) {
		op->cut = 1;
		op->cut_at = i;
	}
	if (op->err == KVR_OK)
		op->err = (int8_t)err;
	return err;
}

/*
 * What is told ahead has rows of its own, behind the final ones, because a reader may still read
 * them while the final ones are written.
 */
static uint32_t
first_row(const struct op *op)
{
	return op->first + (op->state == OP_AHEAD ? op->n : 0);
}

static void
complete(struct step *s, struct op *op, uint32_t bits)
{
	uint32_t whole = op->cut ? op->cut_at : op->n;
	struct kvr_msg m = { .type = KVR_MSG_COMPLETE, .op = op->id,
		.rows = first_row(op),
		.n_rows = (uint16_t)KVR_MIN(op->n, (uint32_t)KVR_SLICE_KEYS) };

	m.COMPLETE.err = op->err;
	m.COMPLETE.flags = op->done_bits | bits;
	m.COMPLETE.n_ok = op->n_ok;
	m.COMPLETE.prefix = whole / op->per_chunk;
	m.COMPLETE.bytes = op->bytes;
	send(s, KVR_ID_API, &m);
}

void
kvr_router_tell_quiet(struct step *s, struct op *op)
{
	op->early = 0;
	complete(s, op, KVR_DONEB_QUIET);
}

static void
tell_metrics(struct step *s, const struct op *op)
{
	struct kvr_msg m = { .type = KVR_MSG_OP_STAT, .op = op->id };
	uint64_t took_us = (s->ev->now_ns - op->start_ns) / 1000;

	m.OP_STAT.kind = op->kind;
	m.OP_STAT.err = (int8_t)op->err;
	m.OP_STAT.n = op->n;
	m.OP_STAT.n_ok = op->n_ok;
	m.OP_STAT.bytes = op->bytes - op->joined; /* the other put counts those */
	m.OP_STAT.took_us = (uint32_t)KVR_MIN(took_us, (uint64_t)UINT32_MAX);
	send(s, KVR_ID_METRICS, &m);
	if (op->ending == KVR_E_TIMEOUT)
		count(s, KVR_COUNT_DEADLINE, KVR_NOWHERE, 1);
}

/*
 * Whether kept payload is written after the answer. Where being kept is all that makes a put OK,
 * that OK is a promise, which the deadline of its other keys does not take back. But a late part
 * may still read a slot, and writing it a second time would give that slot back too soon. An abort
 * ends background work, and may have passed an operation that was still being answered.
 */
static bool
goes_on(const struct router *me, const struct op *op)
{
	bool promised = op->kind == KVR_OP_PUT && kvr_router_through(me) == 0 &&
	    op->ending != KVR_E_SHUTDOWN && op->parts == 0;

	return op->kept > 0 && (op->ending == 0 || promised) && me->stopping != STOPPING_ABORT;
}

static void
answered(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	/* Also two completions if a device hangs: the memory is not the caller's yet. */
	bool early = (op->flags & KVR_OPF_EARLY) != 0 ||
	    (op->hung && !kvr_router_is_quiet(s->me, slot));

	/* Also if nothing was told ahead: all copies are done, or in front of the recorded event. */
	if ((op->flags & KVR_OPF_RECORD) != 0 && op->kind == KVR_OP_GET && op->n_ok > 0)
		op->done_bits |= KVR_DONEB_RECORDED;
	leave_parts(s, slot);
	complete(s, op, early ? 0 : KVR_DONEB_QUIET);
	tell_metrics(s, op);
	op->early = early;
	op->gen++;
	if (goes_on(s->me, op)) {
		if (early)
			complete(s, op, KVR_DONEB_QUIET);
		op->early = 0;
		kvr_router_begin_back(s, slot);
		return;
	}
	op->state = OP_ANSWERED;
	kvr_router_ended(s, slot);
}

/* It goes on as before, except for keys that no tier will be asked for any more. */
static void
told_ahead(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	int32_t reason = op->ending;

	op->done_bits |= KVR_DONEB_RECORDED;
	complete(s, op, 0);
	op->bytes = op->joined = op->n_ok = op->cut_at = 0;
	op->cut = 0;
	op->err = KVR_OK;
	op->state = OP_RUNNING;
	op->ending = 0;
	if (reason != 0)
		kvr_router_end(s, slot, reason);
	else
		kvr_router_turn(s, slot);
}

static void
tell_slice(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	uint32_t n = KVR_MIN(op->n - op->cursor, (uint32_t)KVR_SLICE_KEYS);
	struct kvr_row *rows = kvr_rows(s->out, first_row(op) + op->cursor, n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t key = op->first + op->cursor + i;
		const struct key *k = &s->me->key[key];

		/* For a put told ahead, every store still decides its keys' outcomes. */
		if (op->state != OP_AHEAD || op->kind != KVR_OP_PUT)
			close_key(s, op, key);
		rows[i].digest = k->digest;
		rows[i].key = key;
		rows[i].err = (int8_t)tell_key(op, op->cursor + i, k);
		rows[i].len = rows[i].err == KVR_OK ? k->found : 0;
		rows[i].where = rows[i].err == KVR_E_UNASKED || k->tier == UINT8_MAX ? KVR_NOWHERE : k->tier;
		rows[i].flags = k->flags & KEY_DUP ? KVR_ROW_DUP : 0;
	}
	op->cursor += n;
	if (op->cursor < op->n)
		pass_later(s, slot);
	else if (op->state == OP_AHEAD)
		told_ahead(s, slot);
	else
		answered(s, slot);
}

void
kvr_router_answer(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	/* Before the first slice: a part that comes back before the last one is late, too. */
	leave_parts(s, slot);
	op->state = OP_ANSWERING;
	op->cursor = 0;
	tell_slice(s, slot);
}

void
kvr_router_go_ahead(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	op->ahead = 1;
	op->tiers = 0;
	op->state = OP_AHEAD;
	op->cursor = 0;
	tell_slice(s, slot);
}

static void
release_slice(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	uint32_t n = KVR_MIN(op->n - op->cursor, (uint32_t)KVR_SLICE_KEYS), dropped = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = op->first + op->cursor + i;
		struct key *k = key_of(s, at);

		if (op->kind == KVR_OP_PUT && i + PUTS_AHEAD < n)
			kvr_router_puts_soon(s->me, s->me->key[at + PUTS_AHEAD].digest);
		if (k->buf != 0) { /* kept, but not written after all */
			kvr_router_unkeep(s, k);
			dropped++;
		}
		if ((k->flags & KEY_IN_TABLE) != 0)
			kvr_router_put_forget(s, at);
		*k = (struct key){ 0 };
	}
	count_dropped(s, op, KVR_NOWHERE, dropped);
	op->cursor += n;
	if (op->cursor < op->n) {
		pass_later(s, slot);
		return;
	}
	struct kvr_msg m = { .type = KVR_MSG_RELEASE, .op = op->id };

	m.RELEASE.first = op->first;
	m.RELEASE.n = op->n;
	send(s, KVR_ID_API, &m);
	*op = (struct op){ .gen = op->gen + 1 };
	kvr_touch(s->out, &s->me->n_ops, sizeof(s->me->n_ops));
	s->me->n_ops--;
}

void
kvr_router_release(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	op->state = OP_RELEASING;
	op->cursor = 0;
	release_slice(s, slot);
}

/* Continues a pass that was too long for one step. */
void
kvr_router_sweep(struct step *s)
{
	uint32_t at = s->me->sweep_head;

	if (at == 0)
		return;
	struct op *op = op_of(s, at - 1);

	kvr_touch(s->out, &s->me->sweep_head, sizeof(s->me->sweep_head));
	s->me->sweep_head = op->next;
	op->next = 0;
	if (s->me->sweep_head != 0)
		kvr_router_go_on(s);
	if (op->state == OP_ANSWERING || op->state == OP_AHEAD)
		tell_slice(s, at - 1);
	else
		release_slice(s, at - 1);
}
