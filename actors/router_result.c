/* SPDX-License-Identifier: Apache-2.0 */
/* What a part says about one key, and how that adds up to one outcome over all its tiers. */
#include "kvr_router_own.h"

/* The n-th hit of a key promotes it. Counted in a small table, so two keys may share a count. */
static bool
hot_enough(struct step *s, const struct key *k, uint32_t after)
{
	if (after <= 1)
		return true;
	uint8_t *heat = &s->me->heat[k->digest.hi % HEAT];

	kvr_touch(s->out, heat, 1);
	if (++*heat < after)
		return false;
	*heat = 0;
	return true;
}

/* A hit in a slower tier: the faster ones that should have it, too. */
static uint8_t
promotions(struct step *s, const struct key *k, uint32_t found_in)
{
	uint8_t mask = 0;

	for (uint32_t t = 0; t < found_in; t++) {
		const struct kvr_router_tier *tier = &s->me->config.tier[t];

		if (tier->promote && hot_enough(s, k, tier->promote_after))
			mask |= (uint8_t)(1U << t);
	}
	return mask;
}

static void
read_hit(struct step *s, struct op *op, struct key *k, const struct outcome *o)
{
	k->err = KVR_OK;
	k->found = o->len;
	k->tier = o->tier;
	op->pending--;
	if (op->only == 0 && (op->kind == KVR_OP_GET || op->kind == KVR_OP_PREFETCH)) {
		k->back = promotions(s, k, o->tier);
		if (k->back != 0) {
			op->saving++;
			kvr_router_enter(s, o->key, KEY_PROMOTES);
		}
	}
}

static void
read_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)
{
	bool moved = op->kind == KVR_OP_GET;

	if (o->err == KVR_OK && moved && (k->flags & KEY_AT_MOST) == 0 && o->len != k->len) {
		if (k->fail == 0)
			k->fail = KVR_E_LENGTH;
	} else if (o->err == KVR_OK) {
		read_hit(s, op, k, o);
	} else if (o->err == KVR_E_MISS) {
		k->n_miss++;
	} else if (k->fail == 0) {
		k->fail = (int8_t)o->err;
	}
}

static void
settle(struct step *s, struct op *op, struct key *k, uint32_t slot, int32_t err)
{
	k->err = (int8_t)err;
	op->pending--;
	kvr_router_put_settled(s, slot);
}

static void
ask_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)
{
	if (o->err != KVR_OK)
		return; /* not known to exist: it will be written */
	k->tier = o->tier;
	if (k->back != 0) {
		k->back = 0;
		op->saving--;
	}
	settle(s, op, k, o->key, op->kind == KVR_OP_PUT ? KVR_E_EXISTS : KVR_OK);
}

static void
note_tier(struct key *k, int32_t err)
{
	if (err == KVR_OK)
		k->n_ok++;
	else if (err == KVR_E_MISS)
		k->n_miss++;
	else
		k->n_fail++;
	if (err != KVR_OK && err != KVR_E_MISS && k->fail == 0)
		k->fail = (int8_t)err;
}

static void
write_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)
{
	note_tier(k, o->err);
	if (o->err == KVR_OK && k->tier == UINT8_MAX)
		k->tier = o->tier;
	uint8_t asked = of_op(op, kvr_router_through(s->me));

	if (k->n_ok + k->n_fail + k->n_miss < __builtin_popcount(asked))
		return;
	settle(s, op, k, o->key, k->n_fail == 0 ? KVR_OK : k->n_ok > 0 ? KVR_E_PARTIAL : k->fail);
}

static void
del_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)
{
	note_tier(k, o->err);
	if (k->n_ok + k->n_fail + k->n_miss < (op->only != 0 ? 1 : (int)s->me->config.n_tiers))
		return;
	settle(s, op, k, o->key, k->n_fail > 0 ? k->fail : k->n_ok > 0 ? KVR_OK : KVR_E_MISS);
}

/* If the save succeeded, the slot passes to the key right after this (keep_slot). */
static void
save_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)
{
	if (o->err != KVR_OK && k->back != 0) {
		k->back = 0;
		op->saving--;
	}
	/* No tier is written through: for a put, being kept for write-back counts as OK. */
	if (op->kind == KVR_OP_PUT && k->err == KVR_PENDING && kvr_router_through(s->me) == 0)
		settle(s, op, k, o->key, o->err == KVR_OK ? KVR_OK : KVR_E_NOMEM);
}

static void
back_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)
{
	k->back &= (uint8_t)~(1U << o->tier);
	/* For a put these counters are about write-through tiers, which may not be done yet. */
	if (op->kind == KVR_OP_PREFETCH)
		note_tier(k, o->err);
	if (k->back != 0)
		return;
	if (op->kind == KVR_OP_PREFETCH && k->n_ok == 0 && k->fail != 0)
		k->err = k->fail;
	kvr_router_unkeep(s, k);
	op->saving--;
}

void
kvr_router_key_result(struct step *s, struct op *op, const struct outcome *o)
{
	struct key *k = key_of(s, o->key);

	switch ((enum phase)o->phase) {
	case PHASE_ASK:
		ask_result(s, op, k, o);
		return;
	case PHASE_READ:
		read_result(s, op, k, o);
		return;
	case PHASE_WRITE:
		write_result(s, op, k, o);
		return;
	case PHASE_DEL:
		del_result(s, op, k, o);
		return;
	case PHASE_SAVE:
		save_result(s, op, k, o);
		return;
	case PHASE_BACK:
		back_result(s, op, k, o);
		return;
	case PHASE_NONE:
		break;
	}
	KVR_WRONG("result for an operation without a phase");
}

void
kvr_router_revise(struct op *op, struct key *k, int32_t err)
{
	k->err = (int8_t)err;
	k->found = 0;
	k->tier = UINT8_MAX;
	if (k->back != 0) {
		k->back = 0;
		op->saving--;
	}
}
