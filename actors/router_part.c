/* SPDX-License-Identifier: Apache-2.0 */
/* The table of parts: a place for one that is planned, its rows, and its end. */
#include "kvr_router_plan.h"

/* Puts and background writes leave a quarter of the parts to lookups and gets. */
enum { PARTS_FOR_WRITES = KVR_PARTS_SMALL * 3 / 4 };

static uint32_t
take_part(struct step *s, const struct plan *p)
{
	struct router *me = s->me;
	uint32_t *head = p->wide ? &me->free_wide : &me->free_small;
	bool write = p->verb == KVR_VERB_PUT || p->verb == KVR_VERB_N;

	if (*head == 0 || (write && me->n_small_writes >= PARTS_FOR_WRITES))
		return UINT32_MAX;
	uint32_t slot = *head - 1;
	struct part *part = &me->part[slot];
	uint16_t gen = (uint16_t)(part->gen + 1);

	kvr_touch(s->out, me, offsetof(struct router, tier));
	kvr_touch(s->out, part, sizeof(*part));
	*head = part->next;
	me->n_parts++;
	if (write)
		me->n_small_writes++;
	if (p->wide && p->moves)
		me->n_long++;
	*part = (struct part){ .gen = gen == 0 ? 1 : gen, .verb = p->verb, .cls = p->cls };
	return slot;
}

/* The part is done: frees its slots and its place. Does not look at the operation. */
void
kvr_router_retire(struct step *s, uint32_t slot)
{
	struct router *me = s->me;
	struct part *part = &me->part[slot];
	bool wide = slot >= KVR_PARTS_SMALL;
	bool moves = part->verb == KVR_VERB_PUT || part->verb == KVR_VERB_GET;
	uint32_t *head = wide ? &me->free_wide : &me->free_small;

	kvr_touch(s->out, me, offsetof(struct router, tier));
	kvr_touch(s->out, part, sizeof(*part));
	KVR_CHECK(part->stage != STAGE_FREE);
	if (part->verb == KVR_VERB_PUT || part->verb == KVR_VERB_N)
		me->n_small_writes--;
	if (wide && moves)
		me->n_long--;
	if (!wide) {
		uint32_t *buf = me->part_buf[slot];

		kvr_touch(s->out, buf, sizeof(me->part_buf[slot]));
		for (uint32_t i = 0; i < KVR_PART_KEYS; i++) {
			if (buf[i] != 0)
				kvr_router_staging_give(s, buf[i]);
			buf[i] = 0;
		}
	}
	*part = (struct part){ .gen = part->gen, .next = *head };
	*head = slot + 1;
	me->n_parts--;
}

/* What is read or written for the key, and which of its slots it goes through. */
static void
write_payload(struct step *s, const struct op *op, const struct plan *p, uint32_t slot, uint32_t i,
    struct kvr_row *r)
{
	struct router *me = s->me;
	const struct key *k = &me->key[p->key[i]];
	bool back = op->phase == PHASE_BACK;

	if (p->verb == KVR_VERB_PUT)
		key_of(s, p->key[i])->sent |= (uint8_t)(1U << op->tier);
	r->buf = p->staged ? p->buf[i] : back ? k->buf : 0;
	if (p->staged && p->verb != KVR_VERB_PUT)
		r->flags |= KVR_ROW_STAGED;
	if (p->verb == KVR_VERB_GET && p->serde != 0) {
		r->len = me->slot_pages * KVR_PAGE;
		r->flags |= KVR_ROW_AT_MOST;
	}
	if (back || op->phase == PHASE_SAVE)
		r->len = k->found;
	if (back && p->staged) {
		r->body.other = k->buf;
		r->flags |= KVR_ROW_SECOND;
	} else if (back) {
		r->flags |= KVR_ROW_STAGED;
	}
	if (p->staged)
		me->part_buf[slot][i] = p->buf[i];
	if (p->twice)
		me->part_buf[slot][KVR_PART_SECOND + i] = p->buf[KVR_PART_SECOND + i];
}

static void
write_rows(struct step *s, const struct op *op, const struct plan *p, uint32_t slot)
{
	struct kvr_row *rows = kvr_rows(s->out, kvr_part_rows(slot), p->n);

	for (uint32_t i = 0; i < p->n; i++) {
		const struct key *k = &s->me->key[p->key[i]];
		struct kvr_row *r = &rows[i];

		r->digest = k->digest;
		r->len = k->len;
		r->key = p->key[i];
		r->err = KVR_PENDING;
		r->where = KVR_NOWHERE;
		if (k->flags & KEY_AT_MOST)
			r->flags |= KVR_ROW_AT_MOST;
		if (p->moves)
			write_payload(s, op, p, slot, i, r);
	}
}

/*
 * A tier that is known to be sick refuses at once, so nothing is encoded for it. It may be well
 * again when the part gets there, so the part says that it must be refused: otherwise the store
 * would read where nothing has been written, or memory that was not lent.
 */
static bool
is_to_be_refused(const struct step *s, const struct op *op, const struct plan *p)
{
	return op->phase != PHASE_SAVE && p->verb == KVR_VERB_PUT && p->staged &&
	    s->me->tier[op->tier].state == KVR_TIER_COOLING;
}

static enum stage
first_stage(const struct op *op, const struct plan *p, bool refuse)
{
	if (op->phase == PHASE_SAVE)
		return STAGE_SAVE;
	if (p->verb != KVR_VERB_PUT || !p->staged || refuse)
		return STAGE_TIER;
	return p->serde != 0 && !(is_paged(op) && op->phase != PHASE_BACK) ? STAGE_ENCODE :
	                                                                    STAGE_COPY_IN;
}

enum made
kvr_router_make_part(struct step *s, uint32_t op_slot)
{
	struct op *op = op_of(s, op_slot);
	struct plan p;

	kvr_router_plan_part(s, op, &p);
	bool full = !kvr_router_gather(s, op, &p);

	count_dropped(s, op, KVR_NOWHERE, p.dropped);
	if (p.n == 0)
		return full ? MADE_NO_STAGING : MADE_NOTHING;
	uint32_t slot = take_part(s, &p);

	if (slot == UINT32_MAX) { /* give back what was gathered, newest first */
		for (uint32_t i = p.n; i-- > 0;) {
			if (p.twice)
				kvr_router_staging_give(s, p.buf[KVR_PART_SECOND + i]);
			if (p.staged)
				kvr_router_staging_give(s, p.buf[i]);
		}
		op->cursor = p.key[0] - op->first;
		return MADE_NO_PART;
	}
	struct part *part = &s->me->part[slot];

	part->op = op_slot;
	part->phase = op->phase;
	part->tier = op->tier;
	part->n = (uint16_t)p.n;
	part->bytes = (uint32_t)KVR_MIN(p.bytes, (uint64_t)UINT32_MAX);
	part->until_ns = p.until_ns;
	part->refuse = is_to_be_refused(s, op, &p);
	part->stage = (uint8_t)first_stage(op, &p, part->refuse);
	part->borrowed = p.moves && !p.staged && op->phase != PHASE_BACK;
	if (!p.wide)
		kvr_touch(s->out, s->me->part_buf[slot], sizeof(s->me->part_buf[slot]));
	write_rows(s, op, &p, slot);
	op->parts++;
	kvr_router_send_part(s, slot);
	return MADE_PART;
}
