/* SPDX-License-Identifier: Apache-2.0 */
/* Tells waiters that a key in the table of puts has its outcome: some in each step. */
#include "kvr_router_own.h"

static void
tell_one(struct step *s, const struct key *owner, uint32_t slot)
{
	struct key *k = key_of(s, slot);
	struct op *op = op_of(s, k->op);
	bool inherited = false;

	if (op->kind == KVR_OP_PUT) {
		inherited = kvr_router_inherit(s, slot, owner);
	} else {
		kvr_router_unblock(s, slot);
		kvr_router_overtake(s, slot);
	}
	if (op->blocked == 0 || inherited)
		kvr_router_turn(s, k->op);
}

void
kvr_router_tell(struct step *s)
{
	struct router *me = s->me;
	uint32_t left = KVR_SLICE_KEYS;

	while (me->tell_head != NO_KEY && left > 0 && s->room > 12 && !is_full(s)) {
		uint32_t slot = me->tell_head - 1;
		struct key *owner = key_of(s, slot);
		uint32_t next = kvr_router_next_waiter(owner);

		if (next != NO_KEY) {
			tell_one(s, owner, next - 1);
			left--;
			continue;
		}
		kvr_touch(s->out, &me->tell_head, sizeof(me->tell_head));
		kvr_touch(s->out, &me->tell_tail, sizeof(me->tell_tail));
		me->tell_head = owner->snext;
		owner->snext = NO_KEY;
		owner->flags &= (uint8_t)~KEY_TELLS;
		if (me->tell_head == NO_KEY)
			me->tell_tail = NO_KEY;
		op_of(s, owner->op)->telling--;
		kvr_router_turn(s, owner->op);
	}
	if (me->tell_head != NO_KEY)
		kvr_router_go_on(s);
}
