/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deciders' specs, and the plain-data structs that configure them. A decider gets its
 * configuration only as the rows of START, so the trace has it in full.
 *
 * How a part travels
 *
 *   router --PART--> tier --PART--> link --PART--> connector worker
 *   router <-PART_DONE- tier <-PART_DONE- link <-PART_DONE-- connector worker
 *
 *   The router owns the table of parts and writes a part's rows before the first PART. A tier
 *   queues parts by class and gives them to links that are UP and have a free place. For each PART
 *   exactly one PART_DONE comes back to the router, whatever happens. PART_DONE.err is about the
 *   whole part: OK if the worker went through it (each row then has its own err), otherwise the
 *   reason why rows that are still KVR_PENDING were not reached. .deadline_ns of a PART is the time
 *   at which the worker must give up, and after which a tier no longer hands it out.
 *
 *   PART_CANCEL goes down the same way. A tier answers a part that is still queued at once; a link
 *   passes the message to its worker with a kick. The answer is the part's one PART_DONE.
 *
 * How a connection lives
 *
 *   tier --DIAL--> link --DIAL--> worker --DIALED--> link --LINK_STATE--> tier
 *   The tier decides when to dial (it has the breaker), the link knows what its connection is doing
 *   and counts what is in flight on it, the worker does the work. After an error whose stream
 *   column says CLOSE the worker has already hung up.
 *
 *   LINK_STATE says where the link is now. err OK: connected, or a stuck worker has come back.
 *   was_up: the tier last heard that it was UP, so this is no answer to a dial. STUCK: the worker is
 *   stuck_ns late; state is unchanged. It always comes before the PART_DONEs that it explains.
 *
 * What a connector worker owes its link. It takes messages in order and answers each once:
 *
 *   DIAL         DIALED. A connection that is still open is closed first.
 *   PING         PONG, until .deadline_ns. UNSUPPORTED counts as good.
 *   PART         PART_DONE. UNFINISHED: not begun, because there is no connection or the deadline
 *                or a kick came first; no row was touched and the stream is as before. bytes: the
 *                payload bytes that moved, which tells a silent lane from a slow one.
 *   PART_CANCEL  no answer of its own. Posting it kicks the worker if that part is running; the
 *                worker does not begin a part that was cancelled while it waited.
 *   HANG_UP      the last message. Posting it kicks whatever is running, even a dial; what waits is
 *                answered UNFINISHED; then STOPPED, and nothing after it.
 *
 * START goes to metrics, transfer, router, then to links before their tier, because a tier that
 * starts dials at once and reports to the others.
 */
#ifndef KVR_ACTORS_H
#define KVR_ACTORS_H

#include "kvr_actor.h"

extern const struct kvr_spec kvr_router_spec, kvr_tier_spec, kvr_link_spec, kvr_transfer_spec,
    kvr_metrics_spec;

/* The spec for an actor id; NULL for workers. For the simulator and the replay. */
const struct kvr_spec *kvr_spec_of(uint16_t id);

enum { KVR_PLACES_MAX = 8 }; /* parts that one link can hold at a time */
/* And one serde worker: one runs, one waits. What waits there can no longer be cancelled. */
enum { KVR_SERDE_PLACES = 2 };

enum kvr_write_policy { KVR_WRITE_THROUGH, KVR_WRITE_BACK, KVR_WRITE_NEVER };

/* What the router must know of a tier. */
struct kvr_router_tier {
	uint64_t timeout_ns;    /* longest time for one part; 0: half of the time left, all of it for
	                           the last tier */
	uint32_t serde;         /* 0: naive: payloads go as they are */
	uint8_t  write;         /* enum kvr_write_policy */
	uint8_t  promote;       /* 1: hits in slower tiers are written here, too */
	uint8_t  promote_after; /* on the n-th hit of a key; 0 and 1: on the first */
	uint8_t  give_up;       /* KVR_CAP(GIVE_UP): it may be given the caller's memory */
	uint32_t bulk_lanes;
	uint32_t spare;
	uint64_t long_bytes;    /* KVR_CAP(WINDOW): of a part without staging; 0: KVR_PART_BYTES */
};

struct kvr_router_config {
	uint32_t version, size;
	uint32_t n_tiers, spare;
	uint32_t staging_pages; /* in the whole arena */
	uint32_t slot_pages;    /* 0: from the longest length seen, in powers of two */
	uint64_t background_ns; /* deadline of write-back and promotion, counted from the completion */
	uint64_t grace_ns;      /* how long a part may outlive its operation's deadline before the
	                           answer goes out without it (staged parts only) */
	struct kvr_router_tier tier[KVR_TIERS_MAX];
};

struct kvr_tier_config {
	uint32_t version, size;
	uint32_t tier;          /* my number */
	uint32_t n_links;       /* lanes 0 to n_links - 1 */
	uint32_t n_control;     /* lanes 0 to n_control - 1 take only lookups, stats and deletes; 0:
	                           all lanes take everything */
	uint32_t places;        /* parts that one link holds at a time (2) */
	uint64_t budget_bytes;  /* payload bytes in all links together */
	uint32_t faults;        /* lane or store faults in a row that open the breaker */
	uint32_t fixed_backoff; /* 1: always backoff_min (LMCache's 10 s rule) */
	uint64_t backoff_min_ns, backoff_max_ns;
	uint64_t ageing_ns;     /* a waiting part rises one class in this time; 0: 100 ms */
	uint64_t connect_ns;    /* longest time for one dial */
	uint64_t ping_ns;       /* an idle tier is pinged this often; 0: never */
	uint64_t seed;
	/* LMCache's health check, which exists only in its flat form: see tier_health.c. */
	uint64_t health_ns;      /* between two checks; 0: no check */
	uint64_t health_ping_ns; /* longest time of a ping or a probe */
	uint64_t health_wait_ns; /* to wait after too many failed gets */
	uint32_t health_failed;  /* failed gets between two checks that shut the gate */
	uint32_t spare;
};

/* What CONFIG can change: TIMEOUT in the router, the others in a tier. */
enum kvr_setting {
	KVR_SET_TIMEOUT,
	KVR_SET_FAULTS,
	KVR_SET_BACKOFF_MIN,
	KVR_SET_BACKOFF_MAX,
	KVR_SET_PING_TIMEOUT,
	KVR_SET_PING_INTERVAL,
	KVR_SET_FAILED,
	KVR_SET_RECOVERY
};

struct kvr_link_config {
	uint32_t version, size;
	uint32_t tier, lane;
	uint32_t places;
	uint32_t spare;
	uint64_t connect_ns;
	uint64_t stuck_ns; /* a worker this much later than its deadline is reported as stuck */
};

struct kvr_transfer_config {
	uint32_t version, size;
	uint32_t places;       /* parts in the copy worker at a time, per way */
	uint32_t n_serde;
	uint64_t budget_bytes; /* payload bytes in it at a time, per way; a single part always may */
};

struct kvr_metrics_config {
	uint32_t version, size;
	uint32_t n_tiers;
	uint32_t n_bounds;
	uint64_t canary_ns;    /* each tier of canary_tiers gets one in this interval; 0: never */
	uint32_t canary_tiers; /* a bit per tier */
	uint32_t spare;
	uint32_t bound_us[KVR_BOUNDS_MAX + 1]; /* of histograms, rising: see kvr_config_bounds */
};

/* START's rows are these bytes, padded with zeros to whole rows. */
#define KVR_CONFIG_ROWS(type) \
	((uint16_t)((sizeof(type) + sizeof(struct kvr_row) - 1) / sizeof(struct kvr_row)))

#endif
