/* SPDX-License-Identifier: Apache-2.0 */
/* An operation comes in: its keys are read slice by slice, and puts are entered in one table. */
#include "kvr_router_own.h"

static uint32_t *
bucket_of(struct step *s, kvr_digest d)
{
	uint32_t *b = &s->me->bucket[d.lo % PUT_BUCKETS];

	kvr_touch(s->out, b, sizeof(*b));
	return b;
}

/* The key whose put of this digest is in flight, or NO_KEY. */
static uint32_t
find_put(const struct router *me, kvr_digest d)
{
	uint32_t at = me->bucket[d.lo % PUT_BUCKETS];

	while (at != NO_KEY) {
		const struct key *k = &me->key[at - 1];

		if (k->digest.hi == d.hi && k->digest.lo == d.lo)
			break;
		at = k->hnext;
	}
	return at;
}

/* Behind the put of owner: its outcome becomes ours (put), or is what we wait for (remove). */
static void
wait_behind(struct step *s, struct op *op, struct key *k, uint32_t slot, uint32_t owner)
{
	struct key *o = key_of(s, owner - 1);

	k->flags |= KEY_BLOCKED;
	k->dup = o->dup;
	k->dprev = owner;
	if (k->dup != NO_KEY)
		key_of(s, k->dup - 1)->dprev = slot + 1;
	o->dup = slot + 1;
	op->blocked++;
}

static void
finish_key(struct op *op, struct key *k, int32_t err)
{
	k->err = (int8_t)err;
	op->pending--;
}

static uint8_t
tiers_that(const struct router *me, enum kvr_write_policy policy)
{
	uint8_t mask = 0;

	for (uint32_t t = 0; t < me->config.n_tiers; t++) {
		if (me->config.tier[t].write == (uint8_t)policy)
			mask |= (uint8_t)(1U << t);
	}
	return mask;
}

static void
load_put(struct step *s, struct op *op, struct key *k, uint32_t slot)
{
	uint32_t owner = find_put(s->me, k->digest);
	uint8_t back = op->only != 0 ? 0 : tiers_that(s->me, KVR_WRITE_BACK);

	if (op->only == 0 && kvr_router_through(s->me) == 0 && back == 0) { /* nobody would ever settle it */
		finish_key(op, k, KVR_E_UNSUPPORTED);
		return;
	}
	if (owner != NO_KEY) {
		const struct key *o = &s->me->key[owner - 1];

		op->done_bits |= KVR_DONEB_DUPLICATE;
		k->flags |= KEY_DUP;
		if (op->flags & KVR_OPF_DUP_ERROR) {
			finish_key(op, k, KVR_E_DUPLICATE);
		} else if (o->err != KVR_PENDING) { /* only its write-back goes on */
			k->found = o->found;
			k->tier = o->tier;
			finish_key(op, k, o->err);
		} else {
			wait_behind(s, op, k, slot, owner);
		}
		return;
	}
	uint32_t *b = bucket_of(s, k->digest);

	k->flags |= KEY_OWNER;
	k->found = k->len;
	k->hnext = *b;
	*b = slot + 1;
	k->back = back;
	if (k->back != 0)
		op->saving++;
}

static void
load_key(struct step *s, struct op *op, uint32_t slot, const struct kvr_row *row)
{
	struct key *k = key_of(s, slot);

	*k = (struct key){ .digest = row->digest, .len = row->len, .op = (uint32_t)(op - s->me->op),
		.err = row->err, .tier = UINT8_MAX };
	if (row->flags & KVR_ROW_AT_MOST)
		k->flags |= KEY_AT_MOST;
	if (row->err != KVR_PENDING) /* the facade knew the outcome: SKIPPED_MLA, NOMEM */
		return;
	op->pending++;
	if (op->kind == KVR_OP_PUT) {
		load_put(s, op, k, slot);
	} else if (op->kind == KVR_OP_REMOVE) {
		uint32_t owner = find_put(s->me, k->digest);

		if (owner != NO_KEY && s->me->key[owner - 1].err == KVR_PENDING)
			wait_behind(s, op, k, slot, owner);
	}
}

/* Takes in the rows of this event; the next slice comes as a message to myself. */
void
kvr_router_load(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	uint32_t n = s->ev->msg.n_rows;

	KVR_CHECK(op->state == OP_LOADING && n > 0 && n <= op->n - op->loaded);
	kvr_touch(s->out, &s->me->key[op->first + op->loaded], n * sizeof(struct key));
	for (uint32_t i = 0; i < n; i++)
		load_key(s, op, op->first + op->loaded + i, &s->ev->rows[i]);
	op->loaded += n;
	if (op->loaded == op->n) {
		kvr_router_begin(s, slot);
		return;
	}
	struct kvr_msg m = { .type = KVR_MSG_SLICE, .op = op->id, .rows = op->first + op->loaded };

	m.n_rows = (uint16_t)KVR_MIN(op->n - op->loaded, (uint32_t)KVR_SLICE_KEYS);
	m.SLICE.first = op->first + op->loaded;
	m.SLICE.n = m.n_rows;
	send(s, KVR_ID_ROUTER, &m);
}

void
kvr_router_submit(struct step *s, uint32_t slot)
{
	const struct kvr_msg *m = &s->ev->msg;
	struct op *op = op_of(s, slot);
	uint32_t gen = op->gen + 1;

	KVR_CHECK(op->state == OP_FREE && m->deadline_ns != 0);
	KVR_CHECK(m->SUBMIT.n > 0 && m->SUBMIT.first < KVR_KEYS_MAX &&
	    m->SUBMIT.n <= KVR_KEYS_MAX - m->SUBMIT.first && m->SUBMIT.kind < KVR_OP_N);
	KVR_CHECK(m->SUBMIT.only <= s->me->config.n_tiers);
	*op = (struct op){ .id = m->op, .deadline_ns = m->deadline_ns, .start_ns = s->ev->now_ns,
		.first = m->SUBMIT.first, .n = m->SUBMIT.n, .gen = gen, .flags = m->SUBMIT.flags,
		.per_chunk = m->SUBMIT.per_chunk == 0 ? 1 : m->SUBMIT.per_chunk,
		.kind = m->SUBMIT.kind, .only = m->SUBMIT.only, .state = OP_LOADING };
	kvr_touch(s->out, &s->me->n_ops, sizeof(s->me->n_ops));
	s->me->n_ops++;
	kvr_later(s->out, slot, gen, m->deadline_ns);
	s->room--;
	kvr_router_load(s, slot);
}

/* The put of this key has its outcome: whoever waits behind it is told, a slice at a time. */
void
kvr_router_put_settled(struct step *s, uint32_t slot)
{
	struct key *k = key_of(s, slot);
	struct router *me = s->me;

	if ((k->flags & KEY_OWNER) == 0 || k->dup == NO_KEY)
		return;
	kvr_touch(s->out, &me->tell_head, sizeof(me->tell_head));
	kvr_touch(s->out, &me->tell_tail, sizeof(me->tell_tail));
	if (me->tell_tail == NO_KEY)
		me->tell_head = slot + 1;
	else
		key_of(s, me->tell_tail - 1)->snext = slot + 1;
	me->tell_tail = slot + 1;
	op_of(s, k->op)->telling++;
}

/* A key waits no longer: it has been told, or its operation ends first. */
void
kvr_router_unblock(struct step *s, uint32_t slot)
{
	struct key *k = key_of(s, slot);

	KVR_CHECK((k->flags & KEY_BLOCKED) != 0 && k->dprev != NO_KEY);
	key_of(s, k->dprev - 1)->dup = k->dup;
	if (k->dup != NO_KEY)
		key_of(s, k->dup - 1)->dprev = k->dprev;
	k->dup = k->dprev = NO_KEY;
	k->flags &= (uint8_t)~KEY_BLOCKED;
	op_of(s, k->op)->blocked--;
}

static void
tell_one(struct step *s, const struct key *owner, uint32_t slot)
{
	struct key *k = key_of(s, slot);
	struct op *op = op_of(s, k->op);

	kvr_router_unblock(s, slot);
	if (op->kind == KVR_OP_PUT) {
		k->found = owner->found;
		k->tier = owner->tier;
		finish_key(op, k, owner->err);
	}
	if (op->blocked == 0)
		kvr_router_turn(s, k->op);
}

void
kvr_router_tell(struct step *s)
{
	struct router *me = s->me;
	uint32_t left = KVR_SLICE_KEYS;

	while (me->tell_head != NO_KEY && left > 0 && s->room > 12) {
		uint32_t slot = me->tell_head - 1;
		struct key *owner = key_of(s, slot);

		if (owner->dup != NO_KEY) {
			tell_one(s, owner, owner->dup - 1);
			left--;
			continue;
		}
		kvr_touch(s->out, &me->tell_head, sizeof(me->tell_head));
		kvr_touch(s->out, &me->tell_tail, sizeof(me->tell_tail));
		me->tell_head = owner->snext;
		owner->snext = NO_KEY;
		if (me->tell_head == NO_KEY)
			me->tell_tail = NO_KEY;
		op_of(s, owner->op)->telling--;
		kvr_router_turn(s, owner->op);
	}
	if (me->tell_head != NO_KEY)
		kvr_router_go_on(s);
}

/* Takes a put out of the table. Its waiters have been told. */
void
kvr_router_put_forget(struct step *s, uint32_t slot)
{
	struct key *k = key_of(s, slot);

	if ((k->flags & KEY_OWNER) == 0)
		return;
	KVR_CHECK(k->dup == NO_KEY && k->snext == NO_KEY);
	uint32_t *link = bucket_of(s, k->digest);

	while (*link != slot + 1) {
		KVR_CHECK(*link != NO_KEY);
		link = &key_of(s, *link - 1)->hnext;
	}
	*link = k->hnext;
	k->hnext = NO_KEY;
	k->flags &= (uint8_t)~KEY_OWNER;
}
