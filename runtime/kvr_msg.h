/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary: one table of messages, each 64 bytes, and the rows that go with some of them.
 *
 * Payload bytes never travel in a message. A part holds payload, and its rows say where it is, key
 * by key. Key text and caller memory stay outside the deciders, which know them as key slots.
 *
 *   row     what a decider may know of one key
 *   part    up to KVR_PART_KEYS rows (a wide part: KVR_WIDE_KEYS) of one operation on their way
 *           through one tier: the unit that tiers queue, lanes run and serdes work on. Its rows
 *           have a fixed place in the row table, so whoever holds the part holds the rows, the
 *           staging slots named in them, and the loan of the caller's memory.
 *
 * Row table: rows [0, KVR_KEYS_MAX) belong to operations, index = key slot; the facade writes them
 * before SUBMIT and the router before COMPLETE. Behind them are the rows of parts, then those in
 * which START carries configurations.
 */
#ifndef KVR_MSG_H
#define KVR_MSG_H

#include "kvr_hash.h"
#include "kvr_limits.h"

#define KVR_PART_SLOT(id) ((id) & 0xffffU)

enum kvr_row_flag {
	KVR_ROW_AT_MOST = 1, /* GET: len is the room; a shorter value is a hit */
	KVR_ROW_STAGED = 2,  /* the payload is (or goes) in buf, not in the caller's memory */
	KVR_ROW_ENCODED = 4, /* a serde has encoded it: body says which */
	KVR_ROW_DUP = 8,     /* the outcome is that of another put of this key */
	KVR_ROW_SECOND = 16  /* ENCODE, DECODE: body.other is a staging slot, too */
};

#define KVR_NOWHERE 0xffffU

struct kvr_row {
	union {
		kvr_digest digest; /* SUBMIT, and parts on their way out */
		struct {           /* parts that went through a serde or came from a store */
			uint32_t raw_len;
			uint32_t serde;
			uint32_t other; /* a second slot, to read from when encoding, to write to
			                   when decoding; 0: the caller's memory */
			uint32_t spare;
		} body;
	};
	uint32_t len;   /* payload bytes: on the way out wanted, on the way back found or stored */
	uint32_t key;   /* key slot */
	uint32_t buf;   /* staging: first page + 1; 0: none */
	int8_t   err;   /* KVR_PENDING, then a kvr_err */
	uint8_t  flags; /* kvr_row_flag */
	uint16_t where; /* the tier of the result, or KVR_NOWHERE */
};
_Static_assert(sizeof(struct kvr_row) == 32, "two rows a cache line");

enum {
	KVR_ROWS_PARTS = KVR_KEYS_MAX,
	KVR_ROWS_WIDE = KVR_ROWS_PARTS + KVR_PARTS_SMALL * KVR_PART_KEYS,
	KVR_ROWS_CONFIG = KVR_ROWS_WIDE + KVR_PARTS_WIDE * KVR_WIDE_KEYS,
	KVR_ROWS_MAX = KVR_ROWS_CONFIG + 1024 /* START carries its struct in rows */
};

/* The index of a part's first row. */
static inline uint32_t
kvr_part_rows(uint32_t part)
{
	uint32_t slot = KVR_PART_SLOT(part);

	return slot < KVR_PARTS_SMALL
	    ? (uint32_t)KVR_ROWS_PARTS + slot * KVR_PART_KEYS
	    : (uint32_t)KVR_ROWS_WIDE + (slot - KVR_PARTS_SMALL) * KVR_WIDE_KEYS;
}

/* What the facade asks for. The numbers are those in kvrelay.h. */
enum kvr_op_kind {
	KVR_OP_LOOKUP,
	KVR_OP_GET,
	KVR_OP_PUT,
	KVR_OP_REMOVE,
	KVR_OP_SIZE,
	KVR_OP_PREFETCH,
	KVR_OP_N
};

enum kvr_op_flag {
	KVR_OPF_PREFIX = 1,
	KVR_OPF_AT_MOST = 2,
	KVR_OPF_HOLD = 4,
	KVR_OPF_IF_ABSENT = 8,
	KVR_OPF_EARLY = 16,
	KVR_OPF_FORCE = 32,
	KVR_OPF_DUP_ERROR = 64, /* a key that is being put already fails at once: KVR_E_DUPLICATE */
	KVR_OPF_PAGED = 128,    /* the payload is tokens of a cache: only the copy worker reaches it */
	KVR_OPF_DEVICE = 256,   /* the payload lies in a device's memory */
	KVR_OPF_LAYERS = 512,   /* it is copied layer by layer, and each layer is announced */
	KVR_OPF_RECORD = 1024   /* GET, PUT: completes as soon as every copy has begun */
};

enum kvr_done_bit {
	KVR_DONEB_QUIET = 1,
	KVR_DONEB_HELD = 2,
	KVR_DONEB_DUPLICATE = 4,
	KVR_DONEB_DEGRADED = 8,
	KVR_DONEB_RECORDED = 16
};
/* Behind these a bit per tier, not for the caller: tiers left out, or without an answer in time. */
enum { KVR_DONEB_ALL = 31, KVR_DONEB_TIERS = 8 };
_Static_assert(KVR_DONEB_TIERS + KVR_TIERS_MAX <= 16,
    "they fit into what the router keeps of an operation");

/* Order of service in a tier; a waiting part rises one class per 100 ms, unless configured. */
enum kvr_class {
	KVR_CLASS_LOOKUP,
	KVR_CLASS_PREFETCH,
	KVR_CLASS_GET,
	KVR_CLASS_PUT,
	KVR_CLASS_BACKGROUND,
	KVR_CLASS_N
};

enum kvr_link_state {
	KVR_LINK_DOWN,
	KVR_LINK_DIALING,
	KVR_LINK_HALF_OPEN,
	KVR_LINK_UP,
	KVR_LINK_CLOSED,
	KVR_LINK_STATES
};
enum kvr_tier_state {
	KVR_TIER_OPENING,
	KVR_TIER_UP,
	KVR_TIER_COOLING,
	KVR_TIER_PROBING,
	KVR_TIER_CLOSED,
	KVR_TIER_STATES
};

/* "lookup"; "HALF_OPEN"; "COOLING". */
extern const char *const kvr_op_kind_name[KVR_OP_N];
extern const char *const kvr_link_state_name[KVR_LINK_STATES];
extern const char *const kvr_tier_state_name[KVR_TIER_STATES];

/* What metrics count besides operations and parts; each COUNT message adds n. */
#define KVR_COUNT_TABLE(X) \
	X(PROMOTE_DROPPED, "hits that were not promoted: no staging slot was free") \
	X(WRITEBACK_DROPPED, "keys that a write-back tier did not get") \
	X(WRITEBACK_OK, "keys written back") \
	X(PROMOTE_OK, "keys promoted") \
	X(ENCODE_RAW, "payloads stored raw because they did not shrink or not fit") \
	X(RECONNECT, "connections made after the first one") \
	X(DIAL_FAILED, "dials that failed") \
	X(BREAKER_OPENED, "times a breaker opened") \
	X(DEADLINE, "operations that ended at their deadline") \
	X(VERIFY_FAILED, "values that failed their seal") \
	X(RETRIED, "parts sent again after a lost connection") \
	X(LATE, "parts that came back after their operation was answered")

/* The step at which a canary ended. */
enum kvr_canary_step {
	KVR_CANARY_PUT,
	KVR_CANARY_GET,
	KVR_CANARY_COMPARE,
	KVR_CANARY_REMOVE,
	KVR_CANARY_STEPS
};

/* Stages whose time STAGE_STAT reports. */
enum kvr_stage_kind {
	KVR_STAGE_ENCODE,
	KVR_STAGE_DECODE,
	KVR_STAGE_COPY,
	KVR_STAGE_DIAL,
	KVR_STAGE_PING,
	KVR_STAGE_N
};

/* Microseconds in 16 bits: 12 of value, 4 of shift. Too low by less than one part in 2,048. */
static inline uint16_t
kvr_short_us(uint64_t us)
{
	uint32_t shift = 0;

	while (us > 4095 && shift < 15) {
		us >>= 1;
		shift++;
	}
	return (uint16_t)(shift << 12 | (us > 4095 ? 4095 : us));
}

static inline uint32_t
kvr_long_us(uint16_t us)
{
	return (us & 4095U) << (us >> 12);
}

enum kvr_count {
#define X(name, text) KVR_COUNT_##name,
	KVR_COUNT_TABLE(X)
#undef X
	KVR_COUNT_N
};

/*
 *   name
 *   rows: NONE; IN: from outside, recorded with the event that brings them; NAMED: known already
 *   owner of the part after the send: SAME (no part, or only mentioned), RECEIVER
 *   fields (at most 24 bytes)
 */
#define KVR_MSG_TABLE(X) \
	/* life */ \
	X(START,       IN,    SAME,     uint64_t seed;) \
	/* one value of the configuration has changed; what: enum kvr_setting */ \
	X(CONFIG,      NONE,  SAME,     uint32_t what; uint32_t tier; uint64_t value;) \
	X(STOP,        NONE,  SAME,     uint32_t drain; uint32_t spare;) \
	X(STOPPED,     NONE,  SAME,     uint32_t tier; uint32_t lane;) \
	X(TIMER,       NONE,  SAME,     uint32_t timer; uint32_t gen;) \
	X(CONTINUE,    NONE,  SAME,     uint32_t what; uint32_t spare;) \
	/* facade and router; the operation is .op: slot | generation << 32 */ \
	X(SUBMIT,      IN,    SAME,     uint32_t first; uint32_t n; uint32_t flags; \
	    uint16_t per_chunk; uint8_t kind; uint8_t only; uint64_t request;) \
	X(SLICE,       IN,    SAME,     uint32_t first; uint32_t n;) \
	X(CANCEL,      NONE,  SAME,     int32_t reason; uint32_t spare;) \
	X(COMPLETE,    NAMED, SAME,     int32_t err; uint32_t flags; uint32_t n_ok; \
	    uint32_t prefix; uint64_t bytes;) \
	X(RELEASE,     NONE,  SAME,     uint32_t first; uint32_t n;) \
	/* parts: router -> tier -> link -> connector worker and back */ \
	X(PART,        NAMED, RECEIVER, uint32_t bytes; uint8_t verb; uint8_t cls; uint8_t tier; \
	    uint8_t refuse;) \
	X(PART_DONE,   IN,    RECEIVER, int32_t err; uint32_t n_ok; uint64_t bytes; \
	    uint32_t took_us; uint8_t verb; uint8_t tier; uint8_t lane; uint8_t cls;) \
	X(PART_CANCEL, NONE,  SAME,     int32_t reason; uint8_t tier; uint8_t lane; \
	    uint16_t spare;) \
	/* parts: router -> transfer -> serde worker or copy worker, and back */ \
	X(ENCODE,      NAMED, RECEIVER, uint32_t serde; uint32_t slot_pages; uint32_t keep_staged; \
	    uint32_t spare;) \
	X(ENCODED,     IN,    RECEIVER, int32_t err; uint32_t took_us;) \
	X(DECODE,      NAMED, RECEIVER, uint32_t serde; uint32_t slot_pages;) \
	X(DECODED,     IN,    RECEIVER, int32_t err; uint32_t took_us;) \
	/* by_layer: layer by layer; to a worker: n_layers of them from layer on, 0: all */ \
	X(COPY,        NAMED, RECEIVER, uint32_t to_caller; uint32_t bytes; uint32_t device; \
	    uint16_t by_layer; uint16_t layer; uint16_t n_layers; uint16_t tells;) \
	/* of a COPY with tells, before its COPIED: all copies have begun; rows as they will end up */ \
	X(BEGUN,       IN,    SAME,     uint64_t spare64;) \
	X(COPIED,      IN,    RECEIVER, int32_t err; uint32_t took_us; uint32_t lost; \
	    uint32_t spare;) \
	/* facade -> transfer: how many leading layers of the operation's tokens may be fetched */ \
	X(LAYERS,      NONE,  SAME,     uint16_t ready; uint16_t of; uint32_t spare;) \
	/* connections */ \
	X(DIAL,        NONE,  SAME,     uint32_t probe; uint32_t spare;) \
	X(DIALED,      NONE,  SAME,     int32_t err; uint32_t took_us;) \
	/* deep: with a value that makes the round trip; timeout_ns 0: as long as a dial may take */ \
	X(PING,        NONE,  SAME,     uint64_t timeout_ns; uint32_t deep; uint32_t spare;) \
	X(PONG,        NONE,  SAME,     int32_t err; uint32_t took_us;) \
	X(HANG_UP,     NONE,  SAME,     uint64_t spare64;) \
	/* since_ns: with STUCK, since when the worker has owed an answer and given none */ \
	X(LINK_STATE,  NONE,  SAME,     int32_t err; uint8_t lane; uint8_t state; uint8_t blame; \
	    uint8_t was_up; uint64_t since_ns;) \
	X(TIER_STATE,  NONE,  SAME,     int32_t err; uint8_t tier; uint8_t state; \
	    uint16_t links_up;) \
	/* metrics */ \
	X(OP_STAT,     NONE,  SAME,     uint8_t kind; int8_t err; uint16_t spare; uint32_t n; \
	    uint32_t n_ok; uint32_t took_us; uint64_t bytes;) \
	X(COUNT,       NONE,  SAME,     uint32_t what; uint32_t tier; uint64_t n;) \
	/* one per PART_DONE to the router: n = ok + miss + error{err}, or dropped{err} if no lane \
	   had it; waited_us: see kvr_short_us */ \
	X(PART_STAT,   NONE,  SAME,     uint8_t tier; uint8_t verb; int8_t err; uint8_t dropped; \
	    uint16_t n; uint16_t n_ok; uint16_t n_miss; uint16_t waited_us; uint32_t took_us; \
	    uint64_t bytes;) \
	/* the canary: metrics tells the facade when, the facade answers with the result */ \
	X(CANARY,      NONE,  SAME,     uint32_t tier; uint32_t round;) \
	X(CANARY_DONE, NONE,  SAME,     int32_t err; uint32_t took_us; uint32_t round; \
	    uint16_t tier; uint16_t step;) \
	/* time spent outside a part's work in a lane; tier: KVR_TIERS_MAX if it belongs to none */ \
	X(STAGE_STAT,  NONE,  SAME,     uint8_t stage; uint8_t tier; int8_t err; uint8_t spare; uint32_t took_us;)

enum kvr_msg_type {
#define X(name, rows, owner, fields) KVR_MSG_##name,
	KVR_MSG_TABLE(X)
#undef X
	KVR_MSG_N
};

enum kvr_msg_rows { KVR_ROWS_NONE, KVR_ROWS_IN, KVR_ROWS_NAMED };
enum kvr_msg_owner { KVR_OWNER_SAME, KVR_OWNER_RECEIVER };

struct kvr_msg {
	uint16_t type;
	uint16_t from, to;    /* actor ids */
	uint16_t n_rows;      /* 0 to KVR_WIDE_KEYS */
	uint64_t op;          /* assigned at the API, never changes; 0: none */
	uint64_t cause;       /* step that sent this; in a worker's answer: step that asked for it */
	uint64_t deadline_ns; /* 0: none */
	uint32_t rows;        /* index of the first row */
	uint32_t part;        /* slot | generation << 16; who holds it says the table; 0: none */
	union {
#define X(name, rows, owner, fields) struct { fields } name;
		KVR_MSG_TABLE(X)
#undef X
		uint64_t word[3];
	};
};
_Static_assert(sizeof(struct kvr_msg) == 64, "one cache line, no padding");

struct kvr_msg_info {
	const char *name, *fields; /* fields: their declarations as text */
	uint8_t     rows, owner, size; /* size: bytes of the type's own fields */
};
extern const struct kvr_msg_info kvr_msg_info[KVR_MSG_N];
/* Of all names and fields: two programs with the same hash mean the same by every message. */
uint64_t kvr_msg_hash(void);

/* Actor ids. Workers are no deciders, but have ids too, for traces and mailboxes. */
enum {
	KVR_ID_NONE,
	KVR_ID_API,
	KVR_ID_ROUTER,
	KVR_ID_TRANSFER,
	KVR_ID_METRICS,
	KVR_ID_COPY,
	KVR_ID_NOTIFIER,
	KVR_ID_SERDE = 8,
	KVR_ID_TIER = KVR_ID_SERDE + KVR_SERDE_MAX,
	KVR_ID_LINK = KVR_ID_TIER + KVR_TIERS_MAX,
	KVR_ID_WORKER = KVR_ID_LINK + KVR_TIERS_MAX * KVR_LANES_MAX,
	KVR_ID_N = KVR_ID_WORKER + KVR_TIERS_MAX * KVR_LANES_MAX
};
#define KVR_ID_TIER_OF(t) ((uint16_t)(KVR_ID_TIER + (t)))
#define KVR_ID_LINK_OF(t, l) ((uint16_t)(KVR_ID_LINK + (t) * KVR_LANES_MAX + (l)))
#define KVR_ID_WORKER_OF(t, l) ((uint16_t)(KVR_ID_WORKER + (t) * KVR_LANES_MAX + (l)))

/* "router", "tier 2", "link 2.0", "worker 2.0"; writes at most cap bytes with the NUL. */
const char *kvr_id_name(uint16_t id, char *ret, size_t cap);

#endif
