/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of operations: per class, those that can make parts, first come first served; and those
 * that wait for others' puts while their own keys hold staging slots.
 *
 * No operation may hold slots and wait for more: two that did would wait for each other until a
 * deadline. So an operation that finds no slot makes a waiting holder write what it holds. That
 * depends on no other operation: a background write leaves from the slot that it has, and half of
 * all slots are never kept, so its serde finds one. This is also how more goes through than fits at
 * once.
 */
#include "kvr_router_own.h"

static enum kvr_class
class_of(const struct op *op)
{
	if (op->only != 0)
		return KVR_CLASS_BACKGROUND;
	/* It gives slots back, so it must never stand behind operations that wait for one. */
	if (op->phase == PHASE_BACK)
		return KVR_CLASS_BACKGROUND;
	switch ((enum kvr_op_kind)op->kind) {
	case KVR_OP_PUT:
		return op->phase == PHASE_ASK ? KVR_CLASS_LOOKUP : KVR_CLASS_PUT;
	case KVR_OP_GET:
		return KVR_CLASS_GET;
	case KVR_OP_PREFETCH:
		return KVR_CLASS_PREFETCH;
	case KVR_OP_LOOKUP:
	case KVR_OP_REMOVE:
	case KVR_OP_SIZE:
	case KVR_OP_N:
		break;
	}
	return KVR_CLASS_LOOKUP;
}

static void
append(struct step *s, uint32_t slot, uint32_t list)
{
	struct op *op = op_of(s, slot);
	struct router *me = s->me;

	if (op->listed != LIST_NONE)
		return;
	kvr_touch(s->out, me->list_head, sizeof(me->list_head));
	kvr_touch(s->out, me->list_tail, sizeof(me->list_tail));
	op->listed = (uint8_t)(list + 1);
	op->prev = me->list_tail[list];
	op->next = 0;
	if (op->prev == 0)
		me->list_head[list] = slot + 1;
	else
		op_of(s, op->prev - 1)->next = slot + 1;
	me->list_tail[list] = slot + 1;
}

void
kvr_router_enlist(struct step *s, uint32_t slot)
{
	append(s, slot, class_of(&s->me->op[slot]));
}

void
kvr_router_enlist_holder(struct step *s, uint32_t slot)
{
	append(s, slot, LIST_HOLDERS);
}

void
kvr_router_unlist(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	struct router *me = s->me;

	if (op->listed == LIST_NONE)
		return;
	uint32_t list = op->listed - 1U;

	kvr_touch(s->out, me->list_head, sizeof(me->list_head));
	kvr_touch(s->out, me->list_tail, sizeof(me->list_tail));
	if (op->prev == 0)
		me->list_head[list] = op->next;
	else
		op_of(s, op->prev - 1)->next = op->next;
	if (op->next == 0)
		me->list_tail[list] = op->prev;
	else
		op_of(s, op->next - 1)->prev = op->prev;
	op->next = op->prev = 0;
	op->listed = LIST_NONE;
}

/* The first in the list that holds slots and has no part on its way, so it waits. 0: none. */
static uint32_t
holder_in(const struct router *me, uint32_t list)
{
	uint32_t at = me->list_head[list];

	while (at != 0 && (me->op[at - 1].kept == 0 || me->op[at - 1].parts > 0))
		at = me->op[at - 1].next;
	return at;
}

uint32_t
kvr_router_waiting_holder(const struct router *me)
{
	static const uint32_t lists[] = { KVR_CLASS_PREFETCH, KVR_CLASS_PUT, LIST_HOLDERS };
	uint32_t at = 0;

	for (uint32_t i = 0; i < KVR_LEN(lists) && at == 0 && me->n_slots_back > 0; i++)
		at = holder_in(me, lists[i]);
	return at;
}
