/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who ends an operation, and when: nothing of it is on its way any more, its deadline passes, or somebody
 * wants it ended. What it still has with workers is called back, and waited for as long as they may
 * touch the caller's memory. What is told then: router_answer.c.
 */
#include "kvr_router_own.h"

/*
 * How long copies of a device may outlive the grace. What is begun cannot be called back there, and none
 * takes so long: it waits for an event that does not come, or its driver hangs.
 */
static const uint64_t hang_ns = KVR_MS(100);

/*
 * Every part of the operation that has not been given up yet is asked to come back soon. Where time is
 * over, whoever has one is why.
 */
static void
cancel_parts(struct step *s, uint32_t slot, int32_t reason)
{
	struct op *op = op_of(s, slot);

	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		struct part *part = &s->me->part[i];
		struct kvr_msg m = { .type = KVR_MSG_PART_CANCEL };

		if (part->stage == STAGE_FREE || part->op != slot || part->cancelled)
			continue;
		kvr_touch(s->out, part, sizeof(*part));
		part->cancelled = 1;
		m.op = op->id;
		m.part = kvr_router_part_id(s->me, i);
		m.PART_CANCEL.reason = reason;
		m.PART_CANCEL.tier = part->tier;
		/* A copy or a codec that runs is over in a moment; what waits for one comes at once. */
		bool away = part->stage == STAGE_TIER;

		if (away && reason == KVR_E_TIMEOUT)
			blame_tier(op, part->tier);
		send(s, away ? KVR_ID_TIER_OF(part->tier) : (uint16_t)KVR_ID_TRANSFER, &m);
	}
}

/* What has to be read off the part table only when parts are out. */
static bool
may_answer(const struct router *me, uint32_t slot)
{
	const struct op *op = &me->op[slot];

	return op->parts == 0 || (op->flags & KVR_OPF_EARLY) != 0 || kvr_router_is_quiet(me, slot);
}

/* Called when nothing of the operation is on its way that it has to wait for. */
void
kvr_router_ended(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	if (op->state == OP_RUNNING || op->state == OP_ENDING) {
		if (op->parts > 0)
			return; /* a deadline passed and they have been called back */
		kvr_router_answer(s, slot);
		return;
	}
	if (op->early && (op->parts == 0 || kvr_router_is_quiet(s->me, slot)))
		kvr_router_tell_quiet(s, op);
	if (op->parts > 0 || op->telling > 0)
		return; /* workers still read its key texts */
	kvr_router_release(s, slot);
}

void
kvr_router_end(struct step *s, uint32_t slot, int32_t reason)
{
	struct op *op = op_of(s, slot);

	if (op->state == OP_LOADING || op->state == OP_AHEAD) {
		op->ending = reason; /* its last slice ends it */
		return;
	}
	if (op->state != OP_RUNNING && op->state != OP_BACK)
		return;
	kvr_router_unlist(s, slot);
	op->tiers = 0;
	op->ending = reason;
	op->gen++;
	if (op->state == OP_BACK) {
		op->state = OP_ANSWERED;
		cancel_parts(s, slot, reason);
		kvr_router_ended(s, slot);
		return;
	}
	op->state = OP_ENDING;
	if (op->parts > 0) {
		cancel_parts(s, slot, reason);
		kvr_later(s->out, slot, op->gen, s->ev->now_ns + s->me->config.grace_ns);
		s->room--;
	}
	kvr_router_ended(s, slot);
}

/*
 * Somebody who had the caller's memory is back. If he was the last one, and later than the grace,
 * those whose payload lies in staging are not waited for any longer: their worker may be stuck.
 */
void
kvr_router_eased(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	if (op->state != OP_ENDING || op->parts == 0 || !kvr_router_is_quiet(s->me, slot))
		return;
	/* The timer of the end itself may be due already and on its way: it is not to be this one. */
	kvr_later(s->out, slot, ++op->gen, s->ev->now_ns + s->me->config.grace_ns);
	s->room--;
}

/* False: its copies get some more time. */
static bool
hangs(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	if (op->hung) {
		op->ending = KVR_E_STUCK;
		return true;
	}
	op->hung = 1;
	kvr_later(s->out, slot, op->gen, s->ev->now_ns + hang_ns);
	s->room--;
	return false;
}

/* The deadline, or the grace after it: whoever can be answered without their memory is. */
void
kvr_router_timer(struct step *s)
{
	uint32_t slot = s->ev->msg.TIMER.timer;

	KVR_CHECK(slot < KVR_OPS_MAX);
	const struct op *op = &s->me->op[slot];

	if (op->state == OP_FREE || op->gen != s->ev->msg.TIMER.gen)
		return; /* set for an operation that is gone, or for an earlier purpose */
	if (op->state != OP_ENDING) {
		kvr_router_end(s, slot, KVR_E_TIMEOUT);
		return;
	}
	/* A worker still touches the caller's memory: its return answers. A device may never return. */
	if (!may_answer(s->me, slot) && ((op->flags & KVR_OPF_DEVICE) == 0 || !hangs(s, slot)))
		return;
	kvr_router_answer(s, slot);
}
