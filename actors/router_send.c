/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent: a part to the actor that does its next stage, CONTINUE to the router itself. */
#include "kvr_router_own.h"

static void
send_to_serde(struct step *s, const struct part *part, struct kvr_msg *m)
{
	const struct kvr_router_tier *tier = &s->me->config.tier[part->tier];

	if (part->stage == STAGE_ENCODE) {
		m->type = KVR_MSG_ENCODE;
		m->ENCODE.serde = tier->serde;
		m->ENCODE.slot_pages = s->me->slot_pages;
		m->ENCODE.keep_staged = tier->give_up == 0;
	} else {
		m->type = KVR_MSG_DECODE;
		m->DECODE.serde = tier->serde;
		m->DECODE.slot_pages = s->me->slot_pages;
	}
	send(s, KVR_ID_TRANSFER, m);
}

static void
send_to_transfer(struct step *s, const struct part *part, const struct op *op, struct kvr_msg *m)
{
	bool to_caller = part->stage == STAGE_COPY_OUT;

	m->type = KVR_MSG_COPY;
	m->COPY.to_caller = to_caller;
	m->COPY.bytes = part->bytes;
	m->COPY.device = (op->flags & KVR_OPF_DEVICE) != 0;
	/* What a get keeps for another tier is copied out of the cache once all of it is there. */
	m->COPY.by_layer = (op->flags & KVR_OPF_LAYERS) != 0 && (to_caller || op->kind == KVR_OP_PUT);
	/* That copy reads the cache only after the get was told, so it tells nothing. */
	m->COPY.tells = (op->flags & KVR_OPF_RECORD) != 0 && to_caller == (op->kind == KVR_OP_GET);
	send(s, KVR_ID_TRANSFER, m);
}

static void
send_to_tier(struct step *s, const struct part *part, struct kvr_msg *m)
{
	m->type = KVR_MSG_PART;
	m->PART.bytes = part->bytes;
	m->PART.verb = part->verb;
	m->PART.cls = part->cls;
	m->PART.tier = part->tier;
	m->PART.refuse = part->refuse;
	send(s, KVR_ID_TIER_OF(part->tier), m);
}

void
kvr_router_send_part(struct step *s, uint32_t slot)
{
	struct part *part = &s->me->part[slot];
	const struct op *op = &s->me->op[part->op];
	struct kvr_msg m = { .op = op->id, .deadline_ns = part->until_ns, .rows = kvr_part_rows(slot),
		.n_rows = part->n, .part = part_id(s->me, slot) };

	kvr_touch(s->out, part, sizeof(*part));
	switch ((enum stage)part->stage) {
	case STAGE_ENCODE:
	case STAGE_DECODE:
		part->borrowed = part->phase != PHASE_BACK && op->kind != KVR_OP_PREFETCH && !is_paged(op);
		send_to_serde(s, part, &m);
		return;
	case STAGE_COPY_IN:
	case STAGE_SAVE:
	case STAGE_COPY_OUT:
		part->borrowed = 1;
		send_to_transfer(s, part, op, &m);
		return;
	case STAGE_TIER:
		send_to_tier(s, part, &m);
		return;
	case STAGE_FREE:
		break;
	}
	KVR_WRONG("stage of a part that is sent");
}

void
kvr_router_go_on(struct step *s)
{
	if (s->me->going_on)
		return;
	kvr_touch(s->out, &s->me->going_on, sizeof(s->me->going_on));
	s->me->going_on = 1;
	struct kvr_msg m = { .type = KVR_MSG_CONTINUE };

	send(s, KVR_ID_ROUTER, &m);
}
