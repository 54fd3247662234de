/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When an operation ends: nothing of it is on its way any more, its deadline passes, or it is
 * cancelled. Parts that workers still have are called back, and waited for as long as they may
 * touch the caller's memory. Then router_answer.c answers.
 */
#include "kvr_router_own.h"

/*
 * How long copies of a device may outlive the grace. There a copy that has begun cannot be called
 * back, and none takes that long unless it waits for an event that does not come or its driver
 * hangs.
 */
static const uint64_t hang_ns = KVR_MS(100);

/*
 * Asks every part of the operation that has not been cancelled yet to come back soon. At a
 * deadline, the tiers that have such parts are the reason.
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
		m.part = part_id(s->me, i);
		m.PART_CANCEL.reason = reason;
		m.PART_CANCEL.tier = part->tier;
		/* A running copy or codec is done in a moment; one that waits comes back at once. */
		bool away = part->stage == STAGE_TIER;

		if (away && reason == KVR_E_TIMEOUT)
			blame_tier(op, part->tier);
		send(s, away ? KVR_ID_TIER_OF(part->tier) : (uint16_t)KVR_ID_TRANSFER, &m);
	}
}

/* Looks at the table of parts only if the operation has any. */
static bool
may_answer(const struct router *me, uint32_t slot)
{
	const struct op *op = &me->op[slot];

	return op->parts == 0 || (op->flags & KVR_OPF_EARLY) != 0 || kvr_router_is_quiet(me, slot);
}

/* Called when nothing is on its way that the operation must wait for. */
void
kvr_router_ended(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	if (op->state == OP_RUNNING || op->state == OP_ENDING) {
		if (op->parts > 0)
			return; /* a deadline has passed, and they have been called back */
		kvr_router_answer(s, slot);
		return;
	}
	if (op->early && (op->parts == 0 || kvr_router_is_quiet(s->me, slot)))
		kvr_router_tell_quiet(s, op);
	if (op->parts > 0 || op->telling > 0)
		return; /* workers still read the operation's key texts */
	kvr_router_release(s, slot);
}

void
kvr_router_end(struct step *s, uint32_t slot, int32_t reason)
{
	struct op *op = op_of(s, slot);

	if (op->state == OP_LOADING || op->state == OP_AHEAD) {
		op->ending = (int8_t)reason; /* its last slice ends it */
		return;
	}
	if (op->state != OP_RUNNING && op->state != OP_BACK)
		return;
	kvr_router_unlist(s, slot);
	op->tiers = 0;
	op->ending = (int8_t)reason;
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
		later(s, slot, s->ev->now_ns + s->me->config.grace_ns);
	}
	kvr_router_ended(s, slot);
}

/*
 * A part that had the caller's memory is back. If it was the last of these and later than the
 * grace, parts whose payload lies in staging are not waited for any longer: their worker may be
 * stuck.
 */
void
kvr_router_eased(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	if (op->state != OP_ENDING || op->parts == 0 || !kvr_router_is_quiet(s->me, slot))
		return;
	/* The timer of the end itself may be due and on its way already: a new gen tells them apart. */
	op->gen++;
	later(s, slot, s->ev->now_ns + s->me->config.grace_ns);
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
	later(s, slot, s->ev->now_ns + hang_ns);
	return false;
}

/* The deadline, or the grace after it: answers if no worker touches the caller's memory. */
void
kvr_router_timer(struct step *s)
{
	uint32_t slot = s->ev->msg.TIMER.timer;

	KVR_CHECK(slot < KVR_OPS_MAX);
	const struct op *op = &s->me->op[slot];

	if (op->state == OP_FREE || op->gen != s->ev->msg.TIMER.gen)
		return; /* set for a past operation, or for an earlier purpose */
	if (op->state != OP_ENDING) {
		kvr_router_end(s, slot, KVR_E_TIMEOUT);
		return;
	}
	/* A worker still touches the caller's memory: its return answers. A device may never return. */
	if (!may_answer(s->me, slot) && ((op->flags & KVR_OPF_DEVICE) == 0 || !hangs(s, slot)))
		return;
	kvr_router_answer(s, slot);
}
