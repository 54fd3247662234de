/* SPDX-License-Identifier: Apache-2.0 */
/* The router's state: its operations, their keys, the parts on their way, and lists of all these. */
#ifndef KVR_ROUTER_STATE_H
#define KVR_ROUTER_STATE_H

#include "kvr_actors.h"
#include "kvr_connector.h" /* the verbs */

#define ROUTER_MAGIC KVR_MAGIC('R', 'O', 'U', 'T')

enum { NO_KEY = 0 }; /* links between keys are slot + 1, so that zero bytes are an empty table */

enum key_flag {
	KEY_AT_MOST = 1,
	KEY_OWNER = 2,     /* it is in the table of puts as a put */
	KEY_BLOCKED = 4,   /* waits behind another operation's key; an owner: for its operation's next pass */
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
	uint64_t joined;  /* of bytes: those that another operation's put has stored */
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
	uint16_t flags;      /* kvr_op_flag */
	int8_t   err, ending;
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

/* With two slots per key, the second ones are in the upper half of the part's part_buf. */
enum { KVR_PART_SECOND = KVR_PART_KEYS / 2 };

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

/* router_fields.c */
extern const struct kvr_fields kvr_router_fields;

#endif
