/* SPDX-License-Identifier: Apache-2.0 */
/* Phases: what an operation does next, and which operations may make parts now. */
#include "kvr_router_own.h"

/* Whom ASK asks: the tiers that a prefetch writes to, or write-through tiers, or else all. */
static uint8_t
ask_tiers(const struct router *me, const struct op *op)
{
	uint8_t mask = op->kind == KVR_OP_PREFETCH ? kvr_router_promoted(me) : kvr_router_through(me);

	return mask == 0 && op->kind == KVR_OP_PUT ? kvr_router_all_tiers(me) : mask;
}

static enum phase
first_phase(const struct op *op)
{
	switch ((enum kvr_op_kind)op->kind) {
	case KVR_OP_PUT:
		return op->flags & KVR_OPF_IF_ABSENT ? PHASE_ASK : op->saving > 0 ? PHASE_SAVE : PHASE_WRITE;
	case KVR_OP_REMOVE:
		return PHASE_DEL;
	case KVR_OP_PREFETCH:
		return PHASE_ASK;
	case KVR_OP_LOOKUP:
	case KVR_OP_GET:
	case KVR_OP_SIZE:
		return PHASE_READ;
	case KVR_OP_N:
		break;
	}
	KVR_WRONG("kind of operation");
}

/* PHASE_NONE: every key that will get an outcome has it. */
static enum phase
next_phase(const struct op *op)
{
	switch ((enum phase)op->phase) {
	case PHASE_ASK:
		return op->kind == KVR_OP_PREFETCH ? PHASE_READ : op->saving > 0 ? PHASE_SAVE : PHASE_WRITE;
	case PHASE_SAVE:
		return op->kind == KVR_OP_PUT ? PHASE_WRITE : PHASE_NONE;
	case PHASE_READ:
		if (op->saving == 0)
			return PHASE_NONE;
		return op->kind == KVR_OP_PREFETCH ? PHASE_BACK : PHASE_SAVE;
	case PHASE_BACK:
		return (enum phase)op->rest_phase;
	case PHASE_WRITE:
	case PHASE_DEL:
	case PHASE_NONE:
		return PHASE_NONE;
	}
	KVR_WRONG("phase");
}

static bool
one_by_one(const struct op *op)
{
	return op->phase == PHASE_READ || op->phase == PHASE_ASK;
}

static bool
is_sick(const struct router *me, uint32_t tier)
{
	return me->tier[tier].state == KVR_TIER_COOLING || me->tier[tier].state == KVR_TIER_PROBING;
}

/*
 * The next tier of this phase. Reads skip a sick tier: its keys may be elsewhere, and waiting for
 * it would make the others as slow. Writes do go to it, because its refusal is each key's outcome.
 */
static void
choose_tier(const struct router *me, struct op *op)
{
	while (op->tiers != 0) {
		op->tier = (uint8_t)__builtin_ctz(op->tiers);
		if (!one_by_one(op) || !is_sick(me, op->tier))
			return;
		op->tiers &= (uint8_t)~(1U << op->tier);
		op->skipped = KVR_E_DOWN;
		op->done_bits |= KVR_DONEB_DEGRADED;
		blame_tier(op, op->tier);
	}
	op->tier = UINT8_MAX;
}

static void
enter(struct step *s, struct op *op, enum phase phase)
{
	op->phase = (uint8_t)phase;
	op->cursor = 0;
	switch (phase) {
	case PHASE_ASK:
		op->tiers = of_op(op, ask_tiers(s->me, op));
		break;
	case PHASE_WRITE:
		op->tiers = of_op(op, kvr_router_through(s->me));
		break;
	case PHASE_SAVE:
		op->tiers = 1; /* no real tier: one pass over the keys */
		break;
	case PHASE_READ:
	case PHASE_DEL:
	case PHASE_BACK:
		op->tiers = of_op(op, kvr_router_all_tiers(s->me));
		break;
	case PHASE_NONE:
		op->tiers = 0;
		break;
	}
	choose_tier(s->me, op);
}

/* Interrupts what the operation does, writes what its keys hold, and then goes on where it was. */
static void
write_kept(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	kvr_router_unlist(s, slot);
	op->rest_phase = op->tiers == 0 ? PHASE_NONE : op->phase;
	op->rest_tier = op->tier;
	op->rest_tiers = op->tiers;
	op->rest_cursor = op->cursor;
	enter(s, op, PHASE_BACK);
	kvr_router_turn(s, slot);
}

/* Goes back to where it was interrupted; that tier may have become sick since. */
static void
resume(const struct router *me, struct op *op)
{
	op->phase = op->rest_phase;
	op->rest_phase = PHASE_NONE;
	op->tiers = op->rest_tiers;
	choose_tier(me, op);
	op->cursor = op->tier == op->rest_tier ? op->rest_cursor : 0;
}

/* After the last key for this tier. False when the phase has no tier left. */
static bool
next_tier(const struct router *me, struct op *op)
{
	op->tiers &= (uint8_t)~(1U << op->tier);
	if (one_by_one(op) && op->pending == 0)
		op->tiers = 0;
	choose_tier(me, op);
	op->cursor = 0;
	return op->tiers != 0;
}

static bool
wants_parts(const struct op *op)
{
	return op->tiers != 0 && op->cursor < op->n && op->parts < OP_PARTS_MAX;
}

/*
 * Nothing more will be requested for it, and every copy has begun. A get is not told while keys are
 * open that a slower tier may have, because the event would not stand behind their copies. Nor is a
 * put while another tier has yet to make a copy of its own, or a key that it has inherited: that copy
 * would read memory which the engine may already have overwritten.
 */
static bool
goes_ahead(const struct router *me, const struct op *op)
{
	bool last = (op->tiers & (op->tiers - 1)) == 0;
	bool writes = op->phase == PHASE_WRITE ||
	    (op->phase == PHASE_SAVE && kvr_router_through(me) == 0);

	if ((op->flags & KVR_OPF_RECORD) == 0 || op->ahead != 0 || op->parts == 0 ||
	    op->begun != op->parts)
		return false;
	if (op->kind == KVR_OP_PUT)
		return writes && last && !kvr_router_has_inherited(me, op);
	return op->phase == PHASE_READ && (op->pending == 0 || last);
}

void
kvr_router_begin(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	op->state = OP_RUNNING;
	if (op->ending != 0 || op->deadline_ns <= s->ev->now_ns) {
		kvr_router_end(s, slot, op->ending != 0 ? op->ending : KVR_E_TIMEOUT);
		return;
	}
	enter(s, op, first_phase(op));
	kvr_router_turn(s, slot);
}

/* After the answer: what was kept is written to the remaining tiers. */
void
kvr_router_begin_back(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	op->state = OP_BACK;
	op->rest_phase = PHASE_NONE;
	op->deadline_ns = s->ev->now_ns + s->me->config.background_ns;
	op->gen++;
	later(s, slot, op->deadline_ns);
	enter(s, op, PHASE_BACK);
	kvr_router_turn(s, slot);
}

/* A phase is done: the next one. False: it has to wait before that. */
static bool
move_on(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	enum phase next = next_phase(op);

	if (op->parts > 0 || op->telling > 0)
		return false;
	if (op->phase == PHASE_BACK && next != PHASE_NONE) {
		resume(s->me, op);
		return true;
	}
	/* Only the end waits for others' puts: the put it waits for may be its own. */
	if (next == PHASE_NONE && op->blocked > 0) {
		if (!kvr_router_adopt(s, op)) {
			if (op->kept > 0)
				kvr_router_enlist_holder(s, slot);
			return false;
		}
		next = first_phase(op);
	}
	enter(s, op, next);
	return true;
}

/*
 * Checks whether the operation has something to do now, and puts it there: into the list of those
 * that make parts, into its next phase, or to its end. Called after every change of what it waits
 * for; calling it too often is harmless.
 */
void
kvr_router_turn(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);

	if (op->state == OP_ENDING || op->state == OP_ANSWERED) {
		kvr_router_ended(s, slot);
		return;
	}
	if (op->state != OP_RUNNING && op->state != OP_BACK)
		return;
	/* Its last key may have got its outcome: an operation must not end while it is in a list. */
	if (!wants_parts(op))
		kvr_router_unlist(s, slot);
	for (;;) {
		if (op->phase == PHASE_DEL && op->blocked > 0)
			return; /* a remove must come after the put of its key */
		if (wants_parts(op)) {
			kvr_router_enlist(s, slot);
			return;
		}
		if (op->tiers != 0 && op->cursor < op->n)
			return; /* it has as many parts on their way as it may have */
		if (goes_ahead(s->me, op)) {
			kvr_router_go_ahead(s, slot);
			return;
		}
		if (op->parts > 0 && (one_by_one(op) || op->tiers == 0))
			return;
		if (op->tiers != 0 && next_tier(s->me, op))
			continue;
		if (!move_on(s, slot))
			return;
		if (op->phase == PHASE_NONE)
			break;
	}
	kvr_router_ended(s, slot);
}

/* For an operation that finds no slot: makes one that waits give its slots back. False: none. */
static bool
relieve(struct step *s, const struct op *op)
{
	uint32_t holder = op->phase == PHASE_BACK ? 0 : kvr_router_waiting_holder(s->me);

	if (holder != 0)
		write_kept(s, holder - 1);
	return holder != 0;
}

/* Lets operations make parts, lookups first, while this step has effects left and there is room. */
void
kvr_router_pump(struct step *s)
{
	for (uint32_t c = 0; c < KVR_CLASS_N; c++) {
		while (s->me->list_head[c] != 0) {
			uint32_t slot = s->me->list_head[c] - 1;
			struct op *op = op_of(s, slot);

			if (s->room <= 12 || is_full(s)) {
				kvr_router_go_on(s);
				return;
			}
			if (!wants_parts(op)) {
				kvr_router_unlist(s, slot);
				kvr_router_turn(s, slot);
				continue;
			}
			enum made made = kvr_router_make_part(s, slot);

			s->room--; /* also for a pass over keys that found nothing: it is work */
			if (made == MADE_NO_STAGING && relieve(s, op))
				continue;
			if (made == MADE_NO_PART || made == MADE_NO_STAGING)
				break; /* what comes back pumps again */
		}
	}
}
