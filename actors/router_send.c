/* SPDX-License-Identifier: Apache-2.0 */
/* Sends a part to the actor that has to do its next stage. */
#include "kvr_router_own.h"

static void
send_to_serde(struct step *s, uint32_t slot, const struct op *op, bool encode)
{
	struct router *me = s->me;
	const struct part *part = &me->part[slot];
	struct kvr_msg m = { .type = encode ? KVR_MSG_ENCODE : KVR_MSG_DECODE,
		.op = op->id,
		.deadline_ns = part->until_ns,
		.rows = kvr_part_rows(slot),
		.n_rows = part->n,
		.part = kvr_router_part_id(me, slot) };

	if (encode) {
		m.ENCODE.serde = me->config.tier[part->tier].serde;
		m.ENCODE.slot_pages = me->slot_pages;
		m.ENCODE.keep_staged = me->config.tier[part->tier].give_up == 0;
	} else {
		m.DECODE.serde = me->config.tier[part->tier].serde;
		m.DECODE.slot_pages = me->slot_pages;
	}
	send(s, KVR_ID_TRANSFER, &m);
}

static void
send_to_transfer(struct step *s, uint32_t slot, const struct op *op, bool to_caller)
{
	const struct part *part = &s->me->part[slot];
	struct kvr_msg m = { .type = KVR_MSG_COPY, .op = op->id, .deadline_ns = part->until_ns,
		.rows = kvr_part_rows(slot), .n_rows = part->n, .part = kvr_router_part_id(s->me, slot) };

	m.COPY.to_caller = to_caller;
	m.COPY.bytes = part->bytes;
	m.COPY.device = (op->flags & KVR_OPF_DEVICE) != 0;
	/* What a get keeps for another tier is copied out of the cache once all of it is there. */
	m.COPY.by_layer = (op->flags & KVR_OPF_LAYERS) != 0 && (to_caller || op->kind == KVR_OP_PUT);
	/* That copy reads the cache only after the get was told, so it tells nothing. */
	m.COPY.tells = (op->flags & KVR_OPF_RECORD) != 0 && to_caller == (op->kind == KVR_OP_GET);
	send(s, KVR_ID_TRANSFER, &m);
}

/* Depending on its stage: to the transfer actor or to its tier. */
void
kvr_router_send_part(struct step *s, uint32_t slot)
{
	struct part *part = &s->me->part[slot];
	const struct op *op = &s->me->op[part->op];
	struct kvr_msg m = { .type = KVR_MSG_PART, .op = op->id, .deadline_ns = part->until_ns,
		.rows = kvr_part_rows(slot), .n_rows = part->n, .part = kvr_router_part_id(s->me, slot) };

	kvr_touch(s->out, part, sizeof(*part));
	switch ((enum stage)part->stage) {
	case STAGE_ENCODE:
	case STAGE_DECODE:
		part->borrowed = part->phase != PHASE_BACK && op->kind != KVR_OP_PREFETCH &&
		    (op->flags & KVR_OPF_PAGED) == 0;
		send_to_serde(s, slot, op, part->stage == STAGE_ENCODE);
		return;
	case STAGE_COPY_IN:
	case STAGE_SAVE:
	case STAGE_COPY_OUT:
		part->borrowed = 1;
		send_to_transfer(s, slot, op, part->stage == STAGE_COPY_OUT);
		return;
	case STAGE_TIER:
		m.PART.bytes = part->bytes;
		m.PART.verb = part->verb;
		m.PART.cls = part->cls;
		m.PART.tier = part->tier;
		m.PART.queued_ns = s->ev->now_ns;
		m.PART.refuse = part->refuse;
		send(s, KVR_ID_TIER_OF(part->tier), &m);
		return;
	case STAGE_FREE:
		break;
	}
	KVR_WRONG("stage of a part that is sent");
}
