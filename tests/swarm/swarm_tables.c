/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router's tables against what really is under way: which keys are being put, where parts are,
 * who has which staging slot. The router's own check compares its tables with each other.
 */
#include "kvr_swarm.h"

#include "kvr_sim_own.h"

#include <string.h>

static const struct router *
router_of(const struct swarm *s)
{
	return kvr_sim_actor(s->in.sim, KVR_ID_ROUTER)->self;
}

static bool
same(kvr_digest a, kvr_digest b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* A key in the table of puts belongs to a put that lives, or to a read that promotes it. */
static bool
may_stand(const struct router *me, const struct key *k)
{
	const struct op *op = &me->op[k->op];

	if (op->state == OP_FREE)
		return false;
	return op->kind == KVR_OP_PUT ? (k->flags & KEY_OWNER) != 0
	                              : (k->flags & KEY_PROMOTES) != 0 &&
	                                    (op->kind == KVR_OP_GET || op->kind == KVR_OP_PREFETCH);
}

static bool
is_put(const struct key *k)
{
	bool broken_off = k->err == KVR_E_CANCELLED || k->err == KVR_E_TIMEOUT || k->err == KVR_E_STUCK ||
	                  k->err == KVR_E_DEVICE;

	return (k->flags & (KEY_OWNER | KEY_GONE)) == KEY_OWNER && !broken_off;
}

/* No two puts of one key are in the table, but for those that have been broken off or that a remove has come after. */
static uint32_t
check_bucket(const struct swarm *s, const struct router *me, uint32_t bucket)
{
	uint32_t n = 0;

	for (uint32_t at = me->bucket[bucket]; at != NO_KEY; at = me->key[at - 1].hnext) {
		const struct key *k = &me->key[at - 1];

		if (++n > KVR_KEYS_MAX)
			swarm_broken(s, "the table of puts has a circle");
		if (!may_stand(me, k) || k->digest.lo % PUT_BUCKETS != bucket)
			swarm_broken(s, "the table of puts has a key that is not being put");
		for (uint32_t b = k->hnext; b != NO_KEY && is_put(k); b = me->key[b - 1].hnext) {
			if (same(me->key[b - 1].digest, k->digest) && is_put(&me->key[b - 1]))
				swarm_broken(s, "one key is in the table of puts twice");
		}
	}
	return n;
}

/* Every put of a key that is not told yet is in the table, or waits behind one that is; not behind none. */
static uint32_t
check_puts(const struct swarm *s, const struct router *me, const struct op *op)
{
	uint32_t owners = 0;

	for (uint32_t i = 0; i < op->loaded; i++) {
		const struct key *k = &me->key[op->first + i];

		owners += (k->flags & (KEY_OWNER | KEY_PROMOTES)) != 0;
		if (op->state >= OP_ANSWERING || op->kind != KVR_OP_PUT)
			continue;
		bool waits = (k->flags & KEY_BLOCKED) != 0 && k->dprev != NO_KEY;

		/* One that ends does not take over what it waited for: its answer closes the key. */
		if (k->err == KVR_PENDING && op->state == OP_ENDING && (k->flags & (KEY_OWNER | KEY_BLOCKED)) == 0)
			continue;
		if (k->err == KVR_PENDING && ((k->flags & KEY_OWNER) != 0) == waits)
			swarm_broken(s, "a put that neither goes on nor waits behind another");
	}
	return owners;
}

/* What a part writes is in the table of puts, under its operation, and known to be on its way. */
static void
check_part(const struct swarm *s, const struct router *me, uint32_t slot)
{
	const struct part *part = &me->part[slot];
	const struct op *op = &me->op[part->op];
	const struct kvr_row *rows = &s->in.sim->rows[kvr_part_rows(slot)];

	if (op->state == OP_FREE)
		swarm_broken(s, "a part of an operation that is gone");
	if (s->in.sim->holder[slot].part != part_id(me, slot))
		swarm_broken(s, "a part that nobody holds");
	for (uint32_t i = 0; i < part->n; i++) {
		const struct key *k = &me->key[rows[i].key];

		if (rows[i].key < op->first || rows[i].key >= op->first + op->n)
			swarm_broken(s, "a part with a key of another operation");
		if (part->verb == KVR_VERB_PUT && (k->flags & (KEY_OWNER | KEY_PROMOTES)) == 0)
			swarm_broken(s, "a key is written that is not in the table of puts");
		if (part->verb == KVR_VERB_PUT && (k->sent >> part->tier & 1) == 0)
			swarm_broken(s, "a key is on its way to a tier, and nobody knows");
	}
}

/* Each staging slot is free, with one part or with one key. */
static void
check_staging(const struct swarm *s, const struct router *me)
{
	static uint8_t seen[KVR_STAGING_MAX + 1]; /* by page + 1: a plan has no more of them */
	uint32_t n = 0;

	KVR_CHECK(me->config.staging_pages <= KVR_STAGING_MAX);
	memset(seen, 0, me->config.staging_pages + 1);
	for (uint32_t i = 0; i < me->n_slots_free; i++) {
		if (seen[me->slot_free[i]]++ != 0)
			swarm_broken(s, "a staging slot is free twice");
	}
	for (uint32_t i = 0; i < KVR_PARTS_SMALL * KVR_PART_KEYS && me->n_parts > 0; i++) {
		uint32_t buf = me->part_buf[i / KVR_PART_KEYS][i % KVR_PART_KEYS];

		if (buf != 0 && seen[buf]++ != 0)
			swarm_broken(s, "a part has a staging slot of somebody else");
	}
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++) {
		const struct op *op = &me->op[i];

		for (uint32_t k = 0; op->state != OP_FREE && k < op->loaded; k++) {
			uint32_t buf = me->key[op->first + k].buf;

			n += buf != 0;
			if (buf != 0 && seen[buf]++ != 0)
				swarm_broken(s, "a key has a staging slot of somebody else");
		}
	}
	if (n != me->n_slots_back)
		swarm_broken(s, "kept staging slots are not those of the keys");
}

void
swarm_tables_check(struct swarm *s)
{
	const struct router *me = router_of(s);
	uint32_t in_table = 0, owners = 0;

	for (uint32_t i = 0; i < PUT_BUCKETS; i++) {
		if (me->bucket[i] != NO_KEY)
			in_table += check_bucket(s, me, i);
	}
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++) {
		const struct op *op = &me->op[i];

		if (op->state != OP_FREE)
			owners += check_puts(s, me, op);
	}
	if (in_table != owners)
		swarm_broken(s, "the table of puts has lost a key, or kept one");
	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		if (me->part[i].stage != STAGE_FREE)
			check_part(s, me, i);
	}
	check_staging(s, me);
}

/* Whether what this operation writes must not arrive after the remove: it came before. */
static bool
came_before(const struct swarm *s, uint32_t op, const struct kvr_sim_answer *remove)
{
	uint32_t number = s->number[op];
	uint64_t first_ns = s->calls[number].first_ns;

	if (kvr_sim_answer_to(s->in.sim, number)->kind == KVR_OP_PUT)
		return kvr_sim_answer_to(s->in.sim, number)->asked_ns < remove->asked_ns;
	return first_ns != 0 && first_ns < remove->asked_ns;
}

/*
 * A remove has its answer: no put that was asked for before it, and no hit that was answered before
 * it, may still be on its way to a store with one of its keys.
 */
void
swarm_tables_removed(struct swarm *s, uint32_t number)
{
	const struct kvr_sim_answer *a = kvr_sim_answer_to(s->in.sim, number);
	const struct kvr_row *answer = &s->in.sim->rows[a->first];
	const struct router *me = router_of(s);

	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		const struct part *part = &me->part[i];
		const struct kvr_row *rows = &s->in.sim->rows[kvr_part_rows(i)];

		if (part->stage == STAGE_FREE || part->verb != KVR_VERB_PUT ||
		    !came_before(s, part->op, a))
			continue;
		for (uint32_t k = 0; k < part->n * a->n; k++) {
			const struct kvr_row *row = &answer[k / part->n];

			if ((row->err == KVR_OK || row->err == KVR_E_MISS) &&
			    same(me->key[rows[k % part->n].key].digest, row->digest))
				swarm_broken(s, "%s: a key that is gone is still being written",
				    swarm_name(a));
		}
	}
}

void
swarm_tables_empty(struct swarm *s)
{
	const struct router *me = router_of(s);
	uint32_t lists = 0, n_keys = 0;

	swarm_tables_check(s);
	for (uint32_t i = 0; i < LISTS; i++)
		lists |= me->list_head[i] | me->list_tail[i];
	for (uint32_t i = 0; i < KVR_KEYS_MAX; i++)
		n_keys += me->key[i].digest.lo != 0;
	if (me->n_ops != 0 || me->n_parts != 0 || me->n_small_writes != 0)
		swarm_broken(s, "nothing is under way, and the router counts something");
	if (me->n_slots_free != me->n_slots || me->n_slots_back != 0)
		swarm_broken(s, "a staging slot is lost");
	if (lists != 0 || me->sweep_head != 0 || me->tell_head != 0 || me->tell_tail != 0 ||
	    n_keys != 0)
		swarm_broken(s, "nothing is under way, and a table is not empty");
	for (uint32_t i = 0; i < PUT_BUCKETS; i++) {
		if (me->bucket[i] != NO_KEY)
			swarm_broken(s, "a put that is over is still in the table");
	}
}
