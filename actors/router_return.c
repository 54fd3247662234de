/* SPDX-License-Identifier: Apache-2.0 */
/* A part comes back: it goes on to its next stage, or its keys get their outcomes. */
#include "kvr_router_own.h"

#define STAGE_BIT(name) (1U << STAGE_##name)

/* Of the part that the message is about. stages: a STAGE_BIT each of those it may be in. */
static uint32_t
slot_of(struct step *s, uint32_t stages)
{
	uint32_t slot = KVR_PART_SLOT(s->ev->msg.part);

	KVR_CHECK(slot < KVR_PARTS_MAX && part_id(s->me, slot) == s->ev->msg.part);
	KVR_CHECK((stages >> s->me->part[slot].stage & 1) != 0);
	KVR_CHECK(s->ev->msg.n_rows == s->me->part[slot].n && s->ev->rows != NULL);
	kvr_touch(s->out, &s->me->part[slot], sizeof(struct part));
	return slot;
}

/* How a part ended: an error for rows that were not reached, and one for those that were. */
struct end {
	int32_t err;
	int32_t hit; /* for a payload that its tier gave and that did not get where it was wanted */
};

static int32_t
row_err(const struct kvr_row *r, const struct end *end, uint8_t stage)
{
	if (r->err == KVR_OK)
		return end->hit;
	if (r->err != KVR_PENDING)
		return r->err;
	if (end->err == KVR_OK && stage != STAGE_SAVE) /* a save has no err per row */
		return KVR_E_PROTO;
	return end->err;
}

/*
 * Keeps a payload beyond its part: the slot passes from the part to the key. Only if some tier is
 * still to be written with it.
 */
static void
keep_slot(struct step *s, uint32_t part_slot, uint32_t i, uint32_t key_slot)
{
	struct key *k = key_of(s, key_slot);
	bool second = s->me->part[part_slot].stage == STAGE_DECODE;
	uint32_t *buf = &s->me->part_buf[part_slot][i + (second ? KVR_PART_SECOND : 0)];

	if (k->back != 0)
		kvr_router_keep(s, k, buf);
}

static void
count_back(struct step *s, const struct op *op, const struct part *part, uint32_t n_ok)
{
	if (n_ok > 0)
		count(s, op->kind == KVR_OP_PUT ? KVR_COUNT_WRITEBACK_OK : KVR_COUNT_PROMOTE_OK,
		    part->tier, n_ok);
	count_dropped(s, op, part->tier, part->n - n_ok);
}

static struct outcome
outcome_of(const struct part *part, const struct kvr_row *r, const struct end *end)
{
	bool encoded = (r->flags & KVR_ROW_ENCODED) != 0 || part->stage == STAGE_DECODE;

	return (struct outcome){ .key = r->key, .len = encoded ? r->body.raw_len : r->len,
		.err = row_err(r, end, part->stage), .phase = part->phase, .tier = part->tier };
}

/* The copies have ended whose keys got their outcomes when the copies began. */
static void
confirm(struct step *s, const struct outcome *o)
{
	struct key *k = key_of(s, o->key);

	KVR_CHECK(k->flags & KEY_BEGUN);
	k->flags &= (uint8_t)~KEY_BEGUN;
	if (o->err != KVR_OK && k->err == KVR_OK)
		kvr_router_revise(op_of(s, k->op), k, o->err);
}

/* The part has been everywhere: its keys get their outcomes, and it is retired. */
static void
finish(struct step *s, uint32_t slot, struct end end)
{
	struct part *part = &s->me->part[slot];
	uint32_t op_slot = part->op, n_ok = 0;
	struct op *op = op_of(s, op_slot);

	for (uint32_t i = 0; i < part->n; i++) {
		const struct kvr_row *r = &s->ev->rows[i];

		if (part->verb == KVR_VERB_PUT)
			kvr_router_came_back(s, r->key, part->tier);
		if (part->late)
			continue;
		struct outcome o = outcome_of(part, r, &end);

		n_ok += o.err == KVR_OK;
		if (part->begun && part->stage == STAGE_COPY_OUT)
			confirm(s, &o);
		else
			kvr_router_key_result(s, op, &o);
		bool fetched = op->kind == KVR_OP_PREFETCH && part->phase == PHASE_READ;

		if (o.err == KVR_OK && (part->phase == PHASE_SAVE || fetched))
			keep_slot(s, slot, i, r->key);
	}
	if (end.err == KVR_E_TIMEOUT && part->stage == STAGE_TIER && !part->late)
		blame_tier(op, part->tier);
	if (part->late)
		count(s, KVR_COUNT_LATE, part->tier, 1);
	else if (part->phase == PHASE_BACK)
		count_back(s, op, part, n_ok);
	bool borrowed = part->borrowed;

	op->parts--;
	op->begun = (uint8_t)(op->begun - part->begun);
	kvr_router_retire(s, slot);
	if (borrowed)
		kvr_router_eased(s, op_slot);
	kvr_router_turn(s, op_slot);
}

static bool
any_ok(const struct step *s)
{
	for (uint32_t i = 0; i < s->ev->msg.n_rows; i++) {
		if (s->ev->rows[i].err == KVR_OK)
			return true;
	}
	return false;
}

static bool
over(const struct part *part)
{
	return part->late || part->cancelled;
}

/* The reason why the operation was ended. */
static int32_t
why_over(const struct step *s, const struct part *part)
{
	int32_t ending = s->me->op[part->op].ending;

	return ending != KVR_OK ? ending : KVR_E_CANCELLED;
}

/* The serde cannot read or write the caller's memory: the payload has a slot on each side of it. */
static bool
has_second(const struct op *op)
{
	return op->kind == KVR_OP_PREFETCH || is_paged(op);
}

static bool
is_staged(const struct step *s)
{
	return (s->ev->rows[0].flags & KVR_ROW_STAGED) != 0;
}

/* A payload from a tier goes on: to its serde, or to the copy worker. */
static void
pass_on(struct step *s, uint32_t slot, bool decode)
{
	struct part *part = &s->me->part[slot];

	if (decode && has_second(&s->me->op[part->op])) {
		kvr_router_decode_second(s, slot);
		return;
	}
	part->stage = decode ? STAGE_DECODE : STAGE_COPY_OUT;
	kvr_router_send_part(s, slot);
}

void
kvr_router_part_done(struct step *s)
{
	uint32_t slot = slot_of(s, STAGE_BIT(TIER));
	struct part *part = &s->me->part[slot];
	const struct op *op = &s->me->op[part->op];

	struct end end = { .err = s->ev->msg.PART_DONE.err };
	bool decode = s->me->config.tier[part->tier].serde != 0;

	if (part->verb == KVR_VERB_GET && is_staged(s) && any_ok(s) &&
	    (decode || op->kind != KVR_OP_PREFETCH)) {
		if (!over(part)) {
			pass_on(s, slot, decode);
			return;
		}
		end.hit = why_over(s, part);
	}
	finish(s, slot, end);
}

void
kvr_router_encoded(struct step *s)
{
	uint32_t slot = slot_of(s, STAGE_BIT(ENCODE));
	struct part *part = &s->me->part[slot];
	int32_t err = s->ev->msg.ENCODED.err;
	uint64_t bytes = 0;
	uint32_t raw = 0;

	if (err != KVR_OK || over(part)) {
		finish(s, slot, (struct end){ .err = err != KVR_OK ? err : why_over(s, part) });
		return;
	}
	part->borrowed = 0;
	for (uint32_t i = 0; i < part->n; i++) {
		bytes += s->ev->rows[i].len;
		if ((s->ev->rows[i].flags & KVR_ROW_STAGED) == 0)
			part->borrowed = 1;
		raw += (s->ev->rows[i].flags & KVR_ROW_ENCODED) == 0;
	}
	if (raw > 0)
		count(s, KVR_COUNT_ENCODE_RAW, part->tier, raw);
	part->bytes = (uint32_t)KVR_MIN(bytes, (uint64_t)UINT32_MAX);
	part->stage = STAGE_TIER;
	kvr_router_send_part(s, slot);
}

void
kvr_router_decoded(struct step *s)
{
	uint32_t slot = slot_of(s, STAGE_BIT(DECODE));

	struct part *part = &s->me->part[slot];
	const struct op *op = &s->me->op[part->op];
	struct end end = { .err = s->ev->msg.DECODED.err, .hit = s->ev->msg.DECODED.err };

	if (end.err == KVR_OK && (op->flags & KVR_OPF_PAGED) != 0 && any_ok(s)) {
		if (!over(part)) {
			kvr_router_copy_out_second(s, slot);
			return;
		}
		end.hit = why_over(s, part);
	}
	finish(s, slot, end);
}

void
kvr_router_copied(struct step *s)
{
	uint32_t slot = slot_of(s, STAGE_BIT(COPY_IN) | STAGE_BIT(COPY_OUT) | STAGE_BIT(SAVE));
	struct part *part = &s->me->part[slot];
	int32_t err = s->ev->msg.COPIED.err;

	if (part->stage != STAGE_COPY_IN || err != KVR_OK || over(part)) {
		bool given_up = over(part) && part->stage == STAGE_COPY_IN;
		struct end end = { .err = err, .hit = err };

		if (err == KVR_OK && given_up)
			end.err = why_over(s, part);
		finish(s, slot, end);
		return;
	}
	part->borrowed = 0;
	if (comes_by_layers(&s->me->op[part->op]))
		part->until_ns = kvr_router_until(s, &s->me->op[part->op], part->tier);
	if (s->me->config.tier[part->tier].serde != 0) {
		kvr_router_encode_second(s, slot);
		return;
	}
	part->stage = STAGE_TIER;
	kvr_router_send_part(s, slot);
}

/*
 * All copies of the part are queued: unless they fail, the keys of a get have what the rows say.
 * For a put, nothing has happened to its keys, but no later copy will read its memory for this
 * part.
 */
void
kvr_router_begun(struct step *s)
{
	uint32_t slot = slot_of(s, STAGE_BIT(COPY_IN) | STAGE_BIT(COPY_OUT) | STAGE_BIT(SAVE));
	struct part *part = &s->me->part[slot];
	struct op *op = op_of(s, part->op);
	const struct end end = { 0 };

	if (over(part) || op->state != OP_RUNNING)
		return; /* its end is waited for in the usual way */
	part->begun = 1;
	op->begun++;
	for (uint32_t i = 0; i < part->n && part->stage == STAGE_COPY_OUT; i++) {
		struct outcome o = outcome_of(part, &s->ev->rows[i], &end);

		kvr_router_key_result(s, op, &o);
		key_of(s, o.key)->flags |= KEY_BEGUN;
	}
	kvr_router_turn(s, part->op);
}
