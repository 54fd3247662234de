/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what is being written: puts, from their submission until the last write-back tier
 * has them, and hits that are promoted after their answer. It orders operations on the same key:
 *
 *   A put of a key that is being put takes the first put's outcome; unless that one was broken off,
 *   which says nothing of the store: then one of those that waited writes it.
 *   A remove comes after the put of its key. Of writes that go on behind an answer, those not sent
 *   yet are called off, and those on their way are waited for. Otherwise one could arrive after the
 *   remove, and a key that is gone would be back.
 */
#include "kvr_router_own.h"

enum { ADOPT_KEYS = 256 }; /* in one step, which may change only so many lines */

static uint32_t *
bucket_of(struct step *s, kvr_digest d)
{
	uint32_t *b = &s->me->bucket[d.lo % PUT_BUCKETS];

	kvr_touch(s->out, b, sizeof(*b));
	return b;
}

/*
 * A loop over many keys prefetches the bucket of each some keys ahead. Buckets are spread over
 * 256 KiB, and the payload that goes through the caches meanwhile evicts them. Puts of 64 KiB spent
 * a tenth of the library's time waiting for them.
 */
void
kvr_router_puts_soon(const struct router *me, kvr_digest d)
{
	__builtin_prefetch(&me->bucket[d.lo % PUT_BUCKETS], 1);
}

static bool
is_same(kvr_digest a, kvr_digest b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* The operation was called back, was late, or lost its payload: the next one need not. */
static bool
is_broken_off(int32_t err)
{
	return err == KVR_E_CANCELLED || err == KVR_E_TIMEOUT || err == KVR_E_STUCK || err == KVR_E_DEVICE;
}

/*
 * The key whose put of this digest is in flight, or NO_KEY. Puts removed since do not count, nor do
 * those that have been broken off, though a part with them may still be on its way: what that may
 * yet write is the same value.
 */
uint32_t
kvr_router_find_put(const struct router *me, kvr_digest d)
{
	uint32_t at = me->bucket[d.lo % PUT_BUCKETS];

	while (at != NO_KEY) {
		const struct key *k = &me->key[at - 1];

		if (is_same(k->digest, d) && (k->flags & (KEY_OWNER | KEY_GONE)) == KEY_OWNER &&
		    !is_broken_off(k->err))
			break;
		at = k->hnext;
	}
	return at;
}

void
kvr_router_enter(struct step *s, uint32_t slot, enum key_flag as)
{
	struct key *k = key_of(s, slot);
	uint32_t *b = bucket_of(s, k->digest);

	KVR_CHECK((k->flags & KEY_IN_TABLE) == 0);
	k->flags |= (uint8_t)as;
	k->hnext = *b;
	*b = slot + 1;
}

/* Takes a key out of the table. Its waiters must have been told. */
void
kvr_router_put_forget(struct step *s, uint32_t slot)
{
	struct key *k = key_of(s, slot);

	KVR_CHECK((k->flags & KEY_IN_TABLE) != 0);
	KVR_CHECK(k->dup == NO_KEY && k->behind == NO_KEY && (k->flags & KEY_TELLS) == 0);
	uint32_t *link = bucket_of(s, k->digest);

	while (*link != slot + 1) {
		KVR_CHECK(*link != NO_KEY);
		link = &key_of(s, *link - 1)->hnext;
	}
	*link = k->hnext;
	k->hnext = NO_KEY;
	k->flags &= (uint8_t)~KEY_IN_TABLE;
}

/* ---- who waits ---- */

/* A put waits for the owner's outcome; a remove also until no part with the owner is on its way. */
void
kvr_router_wait_behind(struct step *s, uint32_t slot, uint32_t owner)
{
	struct key *k = key_of(s, slot), *o = key_of(s, owner - 1);
	struct op *op = op_of(s, k->op);
	uint32_t *head = op->kind == KVR_OP_REMOVE ? &o->behind : &o->dup;

	k->flags |= KEY_BLOCKED;
	k->dup = *head;
	k->dprev = owner;
	if (k->dup != NO_KEY)
		key_of(s, k->dup - 1)->dprev = slot + 1;
	*head = slot + 1;
	op->blocked++;
}

static void
leave_owner(struct step *s, struct key *k, uint32_t slot)
{
	struct key *before = key_of(s, k->dprev - 1);

	if (before->behind == slot + 1)
		before->behind = k->dup;
	else
		before->dup = k->dup;
	if (k->dup != NO_KEY)
		key_of(s, k->dup - 1)->dprev = k->dprev;
	k->dup = k->dprev = NO_KEY;
}

/* A key no longer waits: it has been told, or its operation ends first. */
void
kvr_router_unblock(struct step *s, uint32_t slot)
{
	struct key *k = key_of(s, slot);

	KVR_CHECK((k->flags & KEY_BLOCKED) != 0);
	if (k->dprev != NO_KEY)
		leave_owner(s, k, slot);
	k->flags &= (uint8_t)~KEY_BLOCKED;
	op_of(s, k->op)->blocked--;
}

/* ---- who writes ---- */

static void
finish_key(struct op *op, struct key *k, int32_t err)
{
	k->err = (int8_t)err;
	op->pending--;
}

static void
take_outcome(struct op *op, struct key *k, const struct key *owner)
{
	k->found = owner->found;
	k->tier = owner->tier;
	finish_key(op, k, owner->err);
}

/* A key of a put is written by its operation, or takes what becomes of another one. */
void
kvr_router_claim(struct step *s, struct op *op, uint32_t slot)
{
	struct key *k = key_of(s, slot);
	uint32_t owner = kvr_router_find_put(s->me, k->digest);
	uint8_t back = op->only != 0 ? 0 : kvr_router_written(s->me, KVR_WRITE_BACK);

	if (op->only == 0 && kvr_router_through(s->me) == 0 && back == 0) {
		finish_key(op, k, KVR_E_UNSUPPORTED); /* no tier would ever settle it */
		return;
	}
	if (owner != NO_KEY) {
		const struct key *o = &s->me->key[owner - 1];

		op->done_bits |= KVR_DONEB_DUPLICATE;
		k->flags |= KEY_DUP;
		if (op->flags & KVR_OPF_DUP_ERROR) {
			finish_key(op, k, KVR_E_DUPLICATE);
		} else if (o->err != KVR_PENDING) { /* it is answered, and only its write-back goes on */
			take_outcome(op, k, o);
		} else {
			kvr_router_wait_behind(s, slot, owner);
		}
		return;
	}
	kvr_router_enter(s, slot, KEY_OWNER);
	k->flags &= (uint8_t)~KEY_DUP;
	k->found = k->len;
	k->back = back;
	if (k->back != 0)
		op->saving++;
}

/*
 * The key that a put has waited behind has its outcome, and the put takes it; also one that has been
 * told ahead, for its memory is the engine's again. Behind one that was broken off it is claimed anew,
 * unless its operation is about to close it. If it is an owner now, others wait behind it at once, and
 * a remove does not overtake it, but it stays blocked until its operation is between two passes: in the
 * middle of one it would not be written to the tiers that the pass has behind it. True: it is.
 */
bool
kvr_router_inherit(struct step *s, uint32_t slot, const struct key *owner)
{
	struct key *k = key_of(s, slot);
	struct op *op = op_of(s, k->op);

	kvr_router_unblock(s, slot);
	if (!is_broken_off(owner->err) || op->ahead != 0) {
		take_outcome(op, k, owner);
		return false;
	}
	if (op->state == OP_LOADING || op->state == OP_RUNNING)
		kvr_router_claim(s, op, slot);
	if ((k->flags & KEY_OWNER) == 0)
		return false;
	k->flags |= KEY_BLOCKED;
	op->blocked++;
	return true;
}

static bool
is_inherited(const struct key *k)
{
	return (k->flags & (KEY_BLOCKED | KEY_OWNER)) == (KEY_BLOCKED | KEY_OWNER);
}

/* Whether the operation has such keys. */
bool
kvr_router_has_inherited(const struct router *me, const struct op *op)
{
	uint32_t end = op->blocked > 0 ? op->first + op->n : 0;

	for (uint32_t i = op->first; i < end; i++) {
		if (is_inherited(&me->key[i]))
			return true;
	}
	return false;
}

/* Between two passes: what it has inherited is written in the next. False: there is nothing. */
bool
kvr_router_adopt(struct step *s, struct op *op)
{
	uint32_t left = ADOPT_KEYS;

	for (uint32_t i = op->first; i < op->first + op->n && left > 0; i++) {
		if (is_inherited(&s->me->key[i])) {
			kvr_router_unblock(s, i);
			left--;
		}
	}
	return left < ADOPT_KEYS;
}

uint32_t
kvr_router_next_waiter(const struct key *owner)
{
	if (owner->err == KVR_PENDING)
		return NO_KEY;
	if (owner->dup != NO_KEY)
		return owner->dup;
	return owner->sent == 0 ? owner->behind : NO_KEY;
}

/* The key has its outcome, or a part with it is back: its waiters are told, some in each step. */
void
kvr_router_put_settled(struct step *s, uint32_t slot)
{
	struct key *k = key_of(s, slot);
	struct router *me = s->me;

	if ((k->flags & KEY_IN_TABLE) == 0 || (k->flags & KEY_TELLS) != 0 ||
	    kvr_router_next_waiter(k) == NO_KEY)
		return;
	kvr_touch(s->out, &me->tell_head, sizeof(me->tell_head));
	kvr_touch(s->out, &me->tell_tail, sizeof(me->tell_tail));
	if (me->tell_tail == NO_KEY)
		me->tell_head = slot + 1;
	else
		key_of(s, me->tell_tail - 1)->snext = slot + 1;
	me->tell_tail = slot + 1;
	k->flags |= KEY_TELLS;
	op_of(s, k->op)->telling++;
}

/* The part that wrote the key to this tier is back, with whatever result. */
void
kvr_router_came_back(struct step *s, uint32_t slot, uint32_t tier)
{
	key_of(s, slot)->sent &= (uint8_t) ~(1U << tier);
	kvr_router_put_settled(s, slot);
}

/*
 * Background writes of this key that have not been sent are not sent any more. Nobody misses them,
 * so they do not count as dropped; and a later put is no duplicate of this one.
 */
static void
call_off(struct step *s, uint32_t slot)
{
	struct key *k = key_of(s, slot);

	k->flags |= KEY_GONE;
	if ((k->back & ~k->sent) == 0)
		return;
	k->back &= k->sent;
	if (k->back != 0)
		return; /* the last part that comes back also gives the slot back */
	op_of(s, k->op)->saving--;
	if (k->buf != 0)
		kvr_router_unkeep(s, k);
}

void
kvr_router_overtake(struct step *s, uint32_t slot)
{
	const struct key *k = &s->me->key[slot];
	uint32_t owner = NO_KEY;

	for (uint32_t at = s->me->bucket[k->digest.lo % PUT_BUCKETS]; at != NO_KEY;) {
		const struct key *o = &s->me->key[at - 1];

		if (is_same(o->digest, k->digest)) {
			if (o->err != KVR_PENDING)
				call_off(s, at - 1);
			if (o->err == KVR_PENDING || o->sent != 0)
				owner = at; /* one after the other: it looks again after this one */
		}
		at = o->hnext;
	}
	if (owner != NO_KEY)
		kvr_router_wait_behind(s, slot, owner);
}
