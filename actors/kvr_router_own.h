/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router's state, and what its files share. The router answers every operation exactly once: it
 * knows what each key waits for, which tiers are asked in which order, which staging slots are held
 * by whom, and which keys are being put.
 *
 *   router.c        the table of cells
 *   router_load.c   an operation comes in: its keys
 *   router_puts.c   the table of keys that are being written: which key waits for which
 *   router_turn.c   phases: what an operation does next
 *   router_list.c   lists of operations; which one must give slots back
 *   router_plan.c   what a part would be: which keys go together, and their slots
 *   router_part.c   the table of parts, and their rows
 *   router_staging.c  staging slots
 *   router_send.c   sends a part to the transfer actor or to its tier
 *   router_second.c payloads that need a slot on each side of a serde
 *   router_return.c a part comes back: its next stage, or its end
 *   router_result.c what a part means for one key
 *   router_end.c    deadlines, cancelling: when an operation ends
 *   router_answer.c answering and releasing it then
 *   router_stats.c  what statistics show of the router
 */
#ifndef KVR_ROUTER_OWN_H
#define KVR_ROUTER_OWN_H

#include "kvr_actors.h"
#include "kvr_connector.h" /* the verbs */

#define ROUTER_MAGIC KVR_MAGIC('R', 'O', 'U', 'T')

enum { NO_KEY = 0 }; /* links between keys are slot + 1, so that zero bytes are an empty table */

enum key_flag {
	KEY_AT_MOST = 1,
	KEY_OWNER = 2,     /* it is in the table of puts as a put */
	KEY_BLOCKED = 4,   /* waits behind another operation's key */
	KEY_DUP = 8,       /* takes the outcome of another put of the same key */
	KEY_PROMOTES = 16, /* it is in that table as a hit that is being written to faster tiers */
	KEY_TELLS = 32,    /* it is in the list of keys whose waiters must be told */
	KEY_GONE = 64,     /* a later remove of the key has overtaken it */
	KEY_BEGUN = 128,   /* its copy has begun; it has the outcome that holds if the copy succeeds */
	KEY_IN_TABLE = KEY_OWNER | KEY_PROMOTES
};

/* One key of one operation. Zero bytes when its slot is free. */
struct key {
	kvr_digest digest;
	uint32_t   len;   /* wanted */
	uint32_t   found; /* outcome */
	uint32_t   hnext; /* next in the bucket of puts */
	uint32_t   dup;   /* first put that waits behind this one, or the next waiter */
	uint32_t   dprev; /* the key that points to this one with dup or behind */
	uint32_t   snext; /* next owner whose waiters must be told */
	uint32_t   buf;   /* staging slot with the payload for background writes */
	uint32_t   op;
	int8_t     err;  /* outcome; KVR_PENDING */
	int8_t     fail; /* first error of a tier other than a miss */
	uint8_t    tier; /* where it was found */
	uint8_t    flags;
	uint8_t    n_ok, n_fail, n_miss; /* of a write: tiers that answered so */
	uint8_t    back;                 /* tiers to be written after the answer, a bit each */
	uint32_t   behind; /* first remove that waits until no part with this key is on its way */
	uint8_t    sent;   /* tiers that a part with it is on its way to, a bit each */
	uint8_t    spare[3];
};
_Static_assert(sizeof(struct key) == 64, "one line");

enum op_state {
	OP_FREE,
	OP_LOADING,
	OP_RUNNING,
	OP_AHEAD,
	OP_ENDING,
	OP_ANSWERING,
	OP_BACK,
	OP_ANSWERED,
	OP_RELEASING
};

/*
 * READ and ASK go through tiers one by one, only for keys that are still open; WRITE, DEL and BACK
 * go to all tiers at once.
 */
enum phase { PHASE_NONE, PHASE_ASK, PHASE_READ, PHASE_SAVE, PHASE_WRITE, PHASE_DEL, PHASE_BACK };

struct op {
	uint64_t id, deadline_ns, start_ns, bytes;
	uint32_t first, n;
	uint32_t loaded;  /* keys whose rows have been read */
	uint32_t cursor;  /* next key to be looked at in this phase, for tier */
	uint32_t parts;   /* on their way */
	uint32_t pending; /* keys without outcome */
	uint32_t blocked; /* pending keys that wait behind another operation's put */
	uint32_t telling; /* its puts whose waiters are being told */
	uint32_t saving;  /* keys with background tiers */
	uint32_t n_ok;
	uint32_t cut_at;  /* if cut: the first key that is no hit */
	uint32_t next, prev; /* in the list of its class: slot + 1 */
	uint32_t gen;        /* of its timer */
	uint32_t flags;      /* kvr_op_flag */
	int32_t  err, ending;
	uint16_t done_bits;  /* kvr_done_bit, as far as known */
	uint8_t  begun;      /* parts of it whose copies have all begun */
	uint8_t  ahead;      /* it has been decided to tell it ahead: RECORD */
	uint16_t per_chunk;
	uint8_t  kind, state, phase, tier, listed, tiers; /* tiers: still to do in this phase */
	uint8_t  cut;     /* some key is no hit */
	uint8_t  early;   /* the first of two completions is out */
	int8_t   skipped; /* error of a tier that was left out; 0: none */
	/* A phase that was interrupted to write kept slots, and where it goes on afterwards. */
	uint8_t  rest_phase, rest_tier, rest_tiers;
	uint8_t  only; /* tier + 1: only that tier is asked, as background work; 0: all */
	uint8_t  hung; /* copies on its device have outlived the grace and get a last chance */
	uint32_t rest_cursor;
	uint32_t kept; /* staging slots that its keys hold */
};
_Static_assert(sizeof(struct op) == 128, "no padding");

enum stage {
	STAGE_FREE,
	STAGE_ENCODE,
	STAGE_COPY_IN,
	STAGE_TIER,
	STAGE_DECODE,
	STAGE_COPY_OUT,
	STAGE_SAVE
};

struct part {
	uint64_t until_ns;
	uint32_t op;
	uint32_t next;  /* free list: slot + 1 */
	uint32_t bytes;
	uint16_t gen, n;
	uint8_t  stage, phase, tier, verb, cls;
	uint8_t  borrowed; /* its worker touches the caller's memory */
	uint8_t  late;     /* its operation has been answered */
	uint8_t  cancelled;
	uint8_t  refuse;   /* its tier must refuse it: the payload is nowhere a store may read */
	uint8_t  begun;    /* all its copies have begun */
	uint8_t  spare[6];
	uint64_t spare64[3];
};
_Static_assert(sizeof(struct part) == 64, "one line");

struct tier_view {
	uint8_t state; /* enum kvr_tier_state */
	uint8_t spare[7];
};

/* One list per class, and one of operations that hold staging slots and wait for others' puts. */
enum {
	PUT_BUCKETS = 65536,
	HEAT = 16384,
	OP_PARTS_MAX = 32,
	LIST_NONE = 0,
	LIST_HOLDERS = KVR_CLASS_N,
	LISTS
};

enum stopping { STOPPING_NOT, STOPPING_DRAIN, STOPPING_ABORT, STOPPING_OTHERS };

struct router {
	uint32_t magic;
	uint32_t n_ops, n_parts, n_small_writes; /* in use */
	uint32_t free_small, free_wide;          /* slot + 1 */
	uint32_t n_long, spare32;                /* wide parts that move payload */
	uint32_t stopping, stopped; /* enum stopping; how many of the other actors have stopped */
	uint32_t going_on;    /* a CONTINUE is on its way */
	uint32_t stop_cursor; /* next operation that an abort ends */
	uint32_t sweep_head;  /* operations in the middle of a long pass: slot + 1 */
	uint32_t tell_head, tell_tail; /* owners whose waiters must be told: key slot + 1 */
	uint32_t slot_pages, n_slots, n_slots_free, n_slots_back, grow_pages;
	uint32_t list_head[LISTS], list_tail[LISTS]; /* operations that can make parts: slot + 1 */
	struct tier_view tier[KVR_TIERS_MAX];
	struct kvr_router_config config;
	uint64_t spare64[3];

	uint32_t slot_free[KVR_STAGING_MAX]; /* stack of page numbers + 1 */
	uint8_t  heat[HEAT];                 /* hits of keys, for promotion on the n-th */
	uint32_t bucket[PUT_BUCKETS];        /* key slot + 1 */
	uint32_t part_buf[KVR_PARTS_SMALL][KVR_PART_KEYS]; /* staging slots, freed with the part */
	struct part part[KVR_PARTS_MAX];
	struct op   op[KVR_OPS_MAX];
	struct key  key[KVR_KEYS_MAX];
};
/* A key that spans two lines costs twice the hashing, in every step that touches it. */
_Static_assert(offsetof(struct router, key) % KVR_ACTOR_LINE == 0, "a key is one line");
_Static_assert(offsetof(struct router, op) % KVR_ACTOR_LINE == 0, "an operation is two");
_Static_assert(offsetof(struct router, part) % KVR_ACTOR_LINE == 0, "a part is one");

/* With two slots per key, the second ones are in the upper half of the part's part_buf. */
enum { ROUTER_ROOM = 56, KVR_PART_SECOND = KVR_PART_KEYS / 2 };

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
void kvr_router_tell(struct step *);

/* router_turn.c */
void kvr_router_begin(struct step *, uint32_t slot);
void kvr_router_begin_back(struct step *, uint32_t slot);
void kvr_router_turn(struct step *, uint32_t slot);
void kvr_router_pump(struct step *);
void kvr_router_go_on(struct step *);
/* Interrupts what the operation does, writes what its keys hold, and then goes on where it was. */
void kvr_router_write_kept(struct step *, uint32_t slot);

/* router_list.c */
void kvr_router_enlist(struct step *, uint32_t slot);
void kvr_router_enlist_holder(struct step *, uint32_t slot);
void kvr_router_unlist(struct step *, uint32_t slot);
/* For an operation that finds no slot: makes a waiting holder give its slots back. False: none. */
bool kvr_router_relieve(struct step *, uint32_t slot);

/* router_part.c */
enum made { MADE_PART, MADE_NOTHING, MADE_NO_PART, MADE_NO_STAGING };
enum made kvr_router_make_part(struct step *, uint32_t slot);
void      kvr_router_retire(struct step *, uint32_t part_slot);
uint32_t  kvr_router_part_id(const struct router *, uint32_t part_slot);
/* router_plan.c: the deadline of what this tier gets now. */
uint64_t  kvr_router_until(const struct step *, const struct op *, uint32_t tier);
/* router_send.c */
void kvr_router_send_part(struct step *, uint32_t part_slot);

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
uint32_t kvr_router_through(const struct router *);

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

/* router_fields.c */
extern const struct kvr_fields kvr_router_fields;

#endif
