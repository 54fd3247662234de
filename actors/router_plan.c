/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a part would be: which keys go together, and which staging slots they get.
 *
 * A part takes all its staging slots when it is made, and nothing that it waits for later takes
 * one. So a holder of slots can always go on, and waiting for slots cannot become a circle.
 */
#include "kvr_router_plan.h"

/* Payload leaves half of the wide parts to lookups of many keys. */
enum {
	PARTS_LONG = KVR_PARTS_WIDE / 2,
	LONG_KEYS = 256, /* 16 MiB of the smallest usual chunks */
	ENCODE_KEYS = 4
};
_Static_assert(PARTS_LONG *LONG_KEYS <= KVR_TOUCH_MAX / 2, "one step may make all of them");

static bool
selects(const struct op *op, const struct key *k)
{
	switch ((enum phase)op->phase) {
	case PHASE_ASK:
	case PHASE_READ:
	case PHASE_DEL:
		return k->err == KVR_PENDING && (k->flags & KEY_BLOCKED) == 0;
	case PHASE_WRITE:
		return k->err == KVR_PENDING && (k->flags & (KEY_OWNER | KEY_BLOCKED)) == KEY_OWNER;
	case PHASE_SAVE:
		return k->back != 0 && k->buf == 0 && (k->flags & KEY_BLOCKED) == 0;
	case PHASE_BACK:
		return k->buf != 0 && (k->back & 1U << op->tier) != 0;
	case PHASE_NONE:
		break;
	}
	return false;
}

static enum kvr_verb
verb_of(const struct op *op)
{
	switch ((enum phase)op->phase) {
	case PHASE_ASK:
		return KVR_VERB_EXISTS;
	case PHASE_READ:
		return op->kind == KVR_OP_LOOKUP ? KVR_VERB_EXISTS :
		    op->kind == KVR_OP_SIZE      ? KVR_VERB_STAT :
		                                   KVR_VERB_GET;
	case PHASE_DEL:
		return KVR_VERB_DEL;
	case PHASE_WRITE:
	case PHASE_BACK:
		return KVR_VERB_PUT;
	case PHASE_SAVE:
	case PHASE_NONE:
		break;
	}
	return KVR_VERB_N;
}

static uint8_t
class_of(const struct op *op, uint8_t verb)
{
	if (op->only != 0 || (op->phase == PHASE_BACK && op->kind != KVR_OP_PREFETCH))
		return KVR_CLASS_BACKGROUND;
	if (verb == KVR_VERB_PUT)
		return KVR_CLASS_PUT;
	if (op->kind == KVR_OP_PREFETCH)
		return KVR_CLASS_PREFETCH;
	return verb == KVR_VERB_GET ? KVR_CLASS_GET : KVR_CLASS_LOOKUP;
}

uint64_t
kvr_router_until(const struct step *s, const struct op *op, uint32_t tier)
{
	const struct kvr_router_config *c = &s->me->config;
	uint64_t left = op->deadline_ns > s->ev->now_ns ? op->deadline_ns - s->ev->now_ns : 0;
	uint64_t mine = c->tier[tier].timeout_ns;

	/* If more tiers follow: half of the time left, so that a slow one leaves time for the next. */
	if (mine == 0 && op->phase == PHASE_READ && (op->tiers & (op->tiers - 1)) != 0)
		mine = left / 2;
	return mine == 0 || mine > left ? op->deadline_ns : s->ev->now_ns + mine;
}

/*
 * How much a lane gets at a time: little enough that every lane gets two parts, enough that a part
 * is worth its messages.
 *
 * A store with a window of requests is idle from the end of a part until the next one has gone
 * through two threads and a round trip: 60 to 100 us and more. 16 keys of 64 KiB are too little
 * work for that. So it gets its lane's whole share at once, whatever the number of keys.
 */
static void
plan_size(
    const struct step *s, const struct op *op, const struct kvr_router_tier *t, struct plan *p)
{
	bool windows = p->moves && !p->staged && t->long_bytes != 0;
	uint64_t shares = KVR_MAX(t->bulk_lanes, 1U) * (windows ? 1U : 2U), all = 0;
	uint32_t seen = KVR_MIN(op->n, 64U);

	p->wide = op->n - op->cursor > KVR_PART_KEYS && s->me->free_wide != 0 &&
	    (!p->moves || (windows && s->me->n_long < PARTS_LONG));
	p->keys_max = p->serde != 0 ? ENCODE_KEYS : KVR_PART_KEYS;
	if (p->wide)
		p->keys_max = p->moves ? LONG_KEYS : KVR_WIDE_KEYS;
	for (uint32_t i = 0; p->moves && i < seen; i++)
		all += s->me->key[op->first + i].len;
	if (op->n > seen)
		all = all / seen * op->n;
	p->bytes_max = KVR_MIN(all / shares, windows ? t->long_bytes : KVR_PART_BYTES);
	p->bytes_max = KVR_MAX(p->bytes_max, KVR_MIB(1));
}

void
kvr_router_plan_part(const struct step *s, const struct op *op, struct plan *p)
{
	const struct kvr_router_tier *t = &s->me->config.tier[op->phase == PHASE_SAVE ? 0 : op->tier];

	p->n = 0;
	p->bytes = 0;
	p->dropped = 0;
	p->verb = (uint8_t)verb_of(op);
	p->moves = p->verb == KVR_VERB_GET || p->verb == KVR_VERB_PUT || op->phase == PHASE_SAVE;
	p->cls = class_of(op, p->verb);
	/* The tier's time starts when it gets the part: the engine may compute as long as it likes. */
	bool waits = op->phase == PHASE_SAVE || (op->phase == PHASE_WRITE && comes_by_layers(op));

	p->until_ns = waits ? op->deadline_ns : kvr_router_until(s, op, op->tier);
	p->serde = p->moves && op->phase != PHASE_SAVE ? t->serde : 0;
	/* A store that cannot be interrupted while it waits never sees the caller's memory. */
	p->staged = p->moves &&
	    (p->serde != 0 || op->phase == PHASE_SAVE || (!t->give_up && op->phase != PHASE_BACK) ||
	        op->kind == KVR_OP_PREFETCH || is_paged(op));
	if (op->phase == PHASE_BACK && p->serde == 0)
		p->staged = false; /* it leaves from the slot that it has */
	/* If the serde has no span of the caller's to read or write: one slot before it, one after. */
	p->twice = p->serde != 0 && ((op->kind == KVR_OP_PREFETCH && op->phase == PHASE_READ) ||
	    (is_paged(op) && op->phase != PHASE_BACK));
	plan_size(s, op, t, p);
}

/* How long the slot must be: an encoded value may need all of it. */
static uint64_t
slot_len(const struct router *me, const struct plan *p, const struct key *k)
{
	uint64_t len = k->len;

	if (p->serde != 0 && p->verb == KVR_VERB_GET) /* the stored value may be longer */
		len = KVR_MAX(len, (uint64_t)me->slot_pages * KVR_PAGE);
	return len;
}

/* Whether the slots outlive their part, until the background write is done. */
static bool
keeps(const struct op *op)
{
	return op->phase == PHASE_SAVE || (op->kind == KVR_OP_PREFETCH && op->phase == PHASE_READ);
}

/*
 * Staging is for everybody; slots that are kept beyond an answer must leave half of it free. The
 * check is on free slots and not on kept ones, because many parts under way could all end as kept
 * slots: then the background write that has to encode them would wait for a slot that only it can
 * free.
 */
static uint32_t
take_slot(struct step *s, const struct op *op, const struct plan *p, const struct key *k)
{
	struct router *me = s->me;

	/* Before the first length is known there are no slots; the first take makes them. */
	if (keeps(op) && me->n_slots != 0 && me->n_slots_free <= (me->n_slots + 1) / 2)
		return 0;
	return kvr_router_staging_take(s, slot_len(me, p, k), op->phase == PHASE_BACK);
}

/*
 * All slots are free, and half of them, or those that one key needs, are still too few: waiting
 * would end only at its deadline.
 */
static bool
never_fits(const struct router *me, const struct op *op, const struct plan *p)
{
	return (keeps(op) || p->twice) && p->n == 0 && me->n_slots_free == me->n_slots;
}

/* This tier can never take or give this key: that is an outcome like any other. */
static bool
refuse(struct step *s, struct op *op, uint32_t slot, int32_t err)
{
	kvr_router_key_result(s, op, &(struct outcome){ .key = slot, .err = err, .phase = op->phase,
	    .tier = op->tier });
	return true;
}

/* If other tiers hold the payload, writing it back or promoting it need not wait for a slot. */
static bool
may_drop(const struct router *me, const struct op *op)
{
	return op->phase == PHASE_SAVE && (op->kind != KVR_OP_PUT || kvr_router_through(me) > 0);
}

static bool
drop_background(struct step *s, struct op *op, struct plan *p, uint32_t slot)
{
	key_of(s, slot)->back = 0;
	op->saving--;
	p->dropped++;
	return true;
}

static bool
take_second(struct step *s, const struct op *op, struct plan *p, const struct key *k)
{
	uint32_t *second = &p->buf[KVR_PART_SECOND + p->n];

	*second = take_slot(s, op, p, k);
	if (*second == 0)
		kvr_router_staging_give(s, p->buf[p->n]);
	return *second != 0;
}

/* True if the key was taken, or need not be. */
static bool
gather_key(struct step *s, struct op *op, struct plan *p, uint32_t slot)
{
	const struct key *k = &s->me->key[slot];

	if (!selects(op, k))
		return true;
	if (p->moves && p->n > 0 && p->bytes + k->len > p->bytes_max)
		return false;
	if (p->staged) {
		if (k->len > (uint64_t)s->me->config.staging_pages * KVR_PAGE)
			return refuse(s, op, slot, KVR_E_TOO_BIG);
		p->buf[p->n] = take_slot(s, op, p, k);
		if (p->buf[p->n] == 0 && may_drop(s->me, op))
			return drop_background(s, op, p, slot);
		if (p->buf[p->n] != 0 && p->twice && !take_second(s, op, p, k))
			p->buf[p->n] = 0;
		if (p->buf[p->n] == 0 && never_fits(s->me, op, p))
			return refuse(s, op, slot, KVR_E_NOMEM);
		if (p->buf[p->n] == 0)
			return false;
	} else if (!p->wide) {
		p->buf[p->n] = 0;
	}
	p->key[p->n++] = slot;
	if (p->moves)
		p->bytes += k->len;
	return true;
}

bool
kvr_router_gather(struct step *s, struct op *op, struct plan *p)
{
	uint32_t looked = 0;

	while (op->cursor < op->n && p->n < p->keys_max && looked < KVR_SLICE_KEYS) {
		if (!gather_key(s, op, p, op->first + op->cursor))
			return false;
		op->cursor++;
		looked++;
	}
	return true;
}
