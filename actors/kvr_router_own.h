/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the router share. The router answers every operation exactly once: it knows
 * what each key waits for, which tiers are asked in which order, which staging slots are held by
 * whom, and which keys are being put.
 *
 *   router.c          the table of cells
 *   router_load.c     an operation comes in: its keys
 *   router_return.c   a part comes back: its next stage, or its end
 *   router_second.c   payloads that need a slot on each side of a serde
 *   router_tell.c     keys that have waited for another key are told
 *
 *   router_turn.c     phases: what an operation does next
 *   router_end.c      deadlines, cancelling: when an operation ends
 *   router_answer.c   answering and releasing it then
 *
 *   router_part.c     the table of parts, and their rows
 *   router_plan.c     what a part would be: which keys go together, and their slots
 *   router_result.c   what a part means for one key
 *   router_puts.c     the table of keys that are being written: which key waits for which
 *   router_list.c     lists of operations; which one can give slots back
 *   router_staging.c  staging slots
 *   router_tiers.c    which tiers do what
 *   router_send.c     sends a part to the transfer actor or to its tier
 *
 *   router_stats.c    what statistics show of the router
 *
 * A file calls those below it. Only turn, end and answer call each other in both directions: they
 * are the life of an operation, which may go on after its answer.
 */
#ifndef KVR_ROUTER_OWN_H
#define KVR_ROUTER_OWN_H

#include "kvr_router_state.h"

/* What the functions of one step share. room: effects that the step may still ask for. */
struct step {
	struct router          *me;
	const struct kvr_event *ev;
	struct kvr_out         *out;
	uint32_t                room;
};

/* router_load.c */
void kvr_router_submit(struct step *, uint32_t slot);
void kvr_router_load(struct step *, uint32_t slot);

/* router_puts.c. owner: key slot + 1 */
void     kvr_router_puts_soon(const struct router *, kvr_digest); /* PUTS_AHEAD keys ahead */
enum { PUTS_AHEAD = 8 };
uint32_t kvr_router_find_put(const struct router *, kvr_digest);
void kvr_router_enter(struct step *, uint32_t key, enum key_flag as);
void kvr_router_wait_behind(struct step *, uint32_t key, uint32_t owner);
/* A key of a remove: cancels or waits for earlier writes of the key. */
void kvr_router_overtake(struct step *, uint32_t key);
void kvr_router_put_settled(struct step *, uint32_t key);
void kvr_router_came_back(struct step *, uint32_t key, uint32_t tier);
void kvr_router_put_forget(struct step *, uint32_t key);
void kvr_router_unblock(struct step *, uint32_t key);
void kvr_router_claim(struct step *, struct op *, uint32_t key);
KVR_MUST_USE bool kvr_router_inherit(struct step *, uint32_t key, const struct key *owner);
KVR_MUST_USE bool kvr_router_has_inherited(const struct router *, const struct op *);
KVR_MUST_USE bool kvr_router_adopt(struct step *, struct op *);
/* Who waits behind this key and may go on now. */
uint32_t kvr_router_next_waiter(const struct key *owner);

/* router_tell.c */
void kvr_router_tell(struct step *);

/* router_turn.c */
void kvr_router_begin(struct step *, uint32_t slot);
void kvr_router_begin_back(struct step *, uint32_t slot);
void kvr_router_turn(struct step *, uint32_t slot);
void kvr_router_pump(struct step *);

/* router_list.c */
void kvr_router_enlist(struct step *, uint32_t slot);
void kvr_router_enlist_holder(struct step *, uint32_t slot);
void kvr_router_unlist(struct step *, uint32_t slot);
/* An operation that holds staging slots and has no part on its way: slot + 1. 0: there is none. */
uint32_t kvr_router_waiting_holder(const struct router *);

/* router_part.c */
enum made { MADE_PART, MADE_NOTHING, MADE_NO_PART, MADE_NO_STAGING };
enum made kvr_router_make_part(struct step *, uint32_t slot);
void      kvr_router_retire(struct step *, uint32_t part_slot);
/* router_plan.c: the deadline of what this tier gets now. */
uint64_t  kvr_router_until(const struct step *, const struct op *, uint32_t tier);
/* router_send.c */
void kvr_router_send_part(struct step *, uint32_t part_slot);
/* The router gets another step, whatever comes. */
void kvr_router_go_on(struct step *);

/* router_tiers.c */
uint8_t kvr_router_all_tiers(const struct router *);
uint8_t kvr_router_written(const struct router *, enum kvr_write_policy);
uint8_t kvr_router_promoted(const struct router *);

/* router_staging.c */
void      kvr_router_staging_init(struct step *, uint32_t slot_pages);
/* gives: taking this slot lets others come back; allowed even while slots are being resized. */
uint32_t  kvr_router_staging_take(struct step *, uint64_t len, bool gives);
void      kvr_router_staging_give(struct step *, uint32_t buf);
/* A slot with a payload for background writes: keep moves it from part to key, unkeep frees it. */
void      kvr_router_keep(struct step *, struct key *, uint32_t *buf);
void      kvr_router_unkeep(struct step *, struct key *);

/* router_second.c: each of these sends the part on */
void kvr_router_decode_second(struct step *, uint32_t part_slot);
void kvr_router_copy_out_second(struct step *, uint32_t part_slot);
void kvr_router_encode_second(struct step *, uint32_t part_slot);

/* router_return.c */
void kvr_router_part_done(struct step *);
void kvr_router_encoded(struct step *);
void kvr_router_decoded(struct step *);
void kvr_router_copied(struct step *);
void kvr_router_begun(struct step *);

/* router_result.c */
/* An outcome that was given too early is replaced by err. */
void kvr_router_revise(struct op *, struct key *, int32_t err);
struct outcome {
	uint32_t key, len;
	int32_t  err;
	uint8_t  phase, tier;
};
/* op: the key's, already touched. */
void kvr_router_key_result(struct step *, struct op *, const struct outcome *);

/* router_answer.c */
/* Whether no worker touches the caller's memory any more. */
bool kvr_router_is_quiet(const struct router *, uint32_t slot);
/* The second completion, after an early one. */
void kvr_router_tell_quiet(struct step *, struct op *);
/* All its copies have begun: completes it ahead of their end. */
void kvr_router_go_ahead(struct step *, uint32_t slot);
/* Once per operation. Parts that are not back yet no longer count. */
void kvr_router_answer(struct step *, uint32_t slot);
void kvr_router_release(struct step *, uint32_t slot);
void kvr_router_sweep(struct step *);

/* router_end.c */
void kvr_router_eased(struct step *, uint32_t slot);
void kvr_router_timer(struct step *);
void kvr_router_end(struct step *, uint32_t slot, int32_t reason);
void kvr_router_ended(struct step *, uint32_t slot);

/* The tiers that decide the outcome of a write. */
static inline uint8_t
kvr_router_through(const struct router *me)
{
	return kvr_router_written(me, KVR_WRITE_THROUGH);
}

static inline uint32_t
part_id(const struct router *me, uint32_t slot)
{
	return slot | (uint32_t)me->part[slot].gen << 16;
}

/* Those of these tiers that the operation may use. */
static inline uint8_t
of_op(const struct op *op, uint32_t tiers)
{
	return (uint8_t)(op->only == 0 ? tiers : 1U << (op->only - 1));
}

/* Only the copy worker can reach the payload, so it goes through a slot, whatever the tier. */
static inline bool
is_paged(const struct op *op)
{
	return (op->flags & KVR_OPF_PAGED) != 0;
}

/* A put that is fetched layer by layer, as the engine finishes them. */
static inline bool
comes_by_layers(const struct op *op)
{
	return op->kind == KVR_OP_PUT && (op->flags & KVR_OPF_LAYERS) != 0;
}

static inline struct op *
op_of(struct step *s, uint32_t slot)
{
	KVR_CHECK(slot < KVR_OPS_MAX);
	struct op *op = &s->me->op[slot];

	kvr_touch_few(s->out, op, sizeof(*op));
	return op;
}

/* The outcome is due to this tier: it was left out, or had not answered in time. */
static inline void
blame_tier(struct op *op, uint32_t tier)
{
	op->done_bits |= (uint16_t)(1U << (KVR_DONEB_TIERS + tier));
}

static inline struct key *
key_of(struct step *s, uint32_t slot)
{
	KVR_CHECK(slot < KVR_KEYS_MAX);
	struct key *key = &s->me->key[slot];

	kvr_touch_few(s->out, key, sizeof(*key));
	return key;
}

static inline void
send(struct step *s, uint16_t to, const struct kvr_msg *msg)
{
	kvr_send(s->out, to, msg);
	s->room--;
}

/* Sets the operation's timer. */
static inline void
later(struct step *s, uint32_t slot, uint64_t at_ns)
{
	kvr_later(s->out, slot, s->me->op[slot].gen, at_ns);
	s->room--;
}

/*
 * One more pass over keys might change more lines than this step has left: each key that finds no
 * slot, or is refused, is a line, and so is every waiter that is told.
 */
static inline bool
is_full(const struct step *s)
{
	return kvr_touch_left(s->out) < 3 * KVR_SLICE_KEYS;
}

static inline void
count(struct step *s, enum kvr_count what, uint32_t tier, uint64_t n)
{
	struct kvr_msg m = { .type = KVR_MSG_COUNT };

	m.COUNT.what = what;
	m.COUNT.tier = tier;
	m.COUNT.n = n;
	send(s, KVR_ID_METRICS, &m);
}

/* Keys that get no background write. */
static inline void
count_dropped(struct step *s, const struct op *op, uint32_t tier, uint32_t n)
{
	bool put = op->kind == KVR_OP_PUT;

	if (n > 0)
		count(s, put ? KVR_COUNT_WRITEBACK_DROPPED : KVR_COUNT_PROMOTE_DROPPED, tier, n);
}

#endif
