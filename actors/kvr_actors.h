/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deciders' specs, and the plain-data structs that configure them. A configuration reaches a
 * decider as the rows of START (so the trace has it in full), never by another way.
 *
 * How a part travels
 *
 *   router --PART--> tier --PART--> link --PART--> connector worker
 *   router <-PART_DONE- tier <-PART_DONE- link <-PART_DONE-- connector worker
 *
 *   The router owns the table of parts and writes a part's rows before the first PART. A tier
 *   queues parts by class and gives them to links that are UP and have a place free. Exactly one
 *   PART_DONE comes back to the router for each PART, whatever happens. PART_DONE.err is about the
 *   whole part: OK when the worker went through it (each row then has its own err), else why rows
 *   that are still KVR_PENDING were not reached. .deadline_ns of a PART is the instant at which
 *   the worker must give up and after which a tier no longer hands it out.
 *
 *   PART_CANCEL follows the same way down. A tier answers a part that is still queued at once; a
 *   link passes it to its worker as a kick. The answer is the part's one PART_DONE.
 *
 * How a connection lives
 *
 *   tier --DIAL--> link --DIAL--> worker --DIALED--> link --LINK_STATE--> tier
 *   The tier decides when to dial (it has the breaker), the link knows what its connection is
 *   doing and counts what is in flight on it, the worker does it. After an error whose stream
 *   column says CLOSE the worker has hung up by itself.
 *
 *   LINK_STATE says where the link is now. err OK: connected, or a stuck worker has come back.
 *   DOWN with was_up 0: a dial failed. STUCK: the worker is stuck_ns late, state is as it was. It
 *   always comes before the PART_DONEs of the parts that it explains.
 *
 * What a connector worker owes its link. It takes messages in order and answers each once:
 *
 *   DIAL         DIALED. A connection that is still open is closed first.
 *   PING         PONG, until .deadline_ns. UNSUPPORTED counts as good.
 *   PART         PART_DONE. UNFINISHED: not begun, for there is no connection, or the deadline or a
 *                kick came first; no row was touched and the stream is as it was. bytes: payload
 *                bytes that moved, so that a silent lane can be told from a slow one.
 *   PART_CANCEL  no answer of its own; whoever posts it kicks the worker when that part runs, and
 *                the worker does not begin a part that was cancelled while it waited.
 *   HANG_UP      the last message. Whoever posts it kicks whatever runs, a dial too; what waits is
 *                answered UNFINISHED; then STOPPED, and nothing after it.
 *
 * START: metrics, transfer, router, then links before their tier, for START of a tier dials and tells.
 */
#ifndef KVR_ACTORS_H
#define KVR_ACTORS_H

#include "kvr_actor.h"

extern const struct kvr_spec kvr_router_spec, kvr_tier_spec, kvr_link_spec, kvr_transfer_spec,
    kvr_metrics_spec;

/* By actor id; NULL for workers. For the simulator and the replay. */
const struct kvr_spec *kvr_spec_of(uint16_t id);

enum { KVR_PLACES_MAX = 8 }; /* parts that one link can hold at a time */

enum kvr_write_policy { KVR_WRITE_THROUGH, KVR_WRITE_BACK, KVR_WRITE_NEVER };

/* What the router has to know of a tier. */
struct kvr_router_tier {
	uint64_t timeout_ns;    /* longest time for one part; 0: half of what is left, the last tier all */
	uint32_t serde;         /* 0: naive: payloads go as they are */
	uint8_t  write;         /* enum kvr_write_policy */
	uint8_t  promote;       /* 1: hits in slower tiers are written here */
	uint8_t  promote_after; /* on the n-th hit of a key; 0 and 1: the first */
	uint8_t  give_up;       /* KVR_CAP(GIVE_UP): caller memory may be handed to it */
	uint32_t bulk_lanes;
	uint32_t max_value;     /* longest stored payload; 0: no limit of its own */
	uint64_t long_bytes;    /* KVR_CAP(WINDOW): of a part without staging; 0: KVR_PART_BYTES */
};

struct kvr_router_config {
	uint32_t version, size;
	uint32_t n_tiers, spare;
	uint32_t staging_pages; /* of the whole arena */
	uint32_t slot_pages;    /* 0: by the largest length seen, in powers of two */
	uint64_t background_ns; /* deadline of write-back and promotion after the completion */
	uint64_t grace_ns;      /* how long a part may outlive its operation's deadline before the
	                           answer goes out without it (staged parts only) */
	struct kvr_router_tier tier[KVR_TIERS_MAX];
};

struct kvr_tier_config {
	uint32_t version, size;
	uint32_t tier;          /* my number */
	uint32_t n_links;       /* lanes 0 to n_links - 1 */
	uint32_t n_control;     /* the first n_control lanes take lookups, stats, deletes only; 0: all take all */
	uint32_t places;        /* parts that one link holds at a time (2) */
	uint64_t budget_bytes;  /* payload bytes in all links together */
	uint32_t faults;        /* lane or store faults in a row that open the breaker */
	uint32_t fixed_backoff; /* 1: backoff_min always (LMCache's 10 s rule) */
	uint64_t backoff_min_ns, backoff_max_ns;
	uint64_t ageing_ns;     /* a waiting part rises one class per this long; 0: 100 ms */
	uint64_t connect_ns;    /* longest time for one dial */
	uint64_t ping_ns;       /* an idle tier is pinged this often; 0: never */
	uint64_t seed;
	/* LMCache's health check, which only its flat form has: see tier_health.c. */
	uint64_t health_ns;      /* between two checks; 0: there is none */
	uint64_t health_ping_ns; /* longest time of a ping or a probe */
	uint64_t health_wait_ns; /* after too many failed gets */
	uint32_t health_failed;  /* failed gets between two checks that are too many */
	uint32_t spare;
};

/* What CONFIG changes: TIMEOUT for the router, the others for a tier. */
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
	uint64_t stuck_ns; /* a worker that is this late after its deadline is reported as stuck */
};

struct kvr_transfer_config {
	uint32_t version, size;
	uint32_t places;       /* parts in the copy worker at a time, each way */
	uint32_t n_serde;
	uint64_t budget_bytes; /* payload bytes in there at a time, each way; one part always may */
};

struct kvr_metrics_config {
	uint32_t version, size;
	uint32_t n_tiers;
	uint32_t n_bounds;
	uint64_t canary_ns;    /* each tier of canary_tiers gets one this often; 0: never */
	uint32_t canary_tiers; /* a bit each */
	uint32_t spare;
	uint32_t bound_us[KVR_BOUNDS_MAX + 1]; /* of histograms, rising: see kvr_config_bounds */
};

/* START's rows are these bytes, filled up to whole rows with zeros. */
#define KVR_CONFIG_ROWS(type) ((uint16_t)((sizeof(type) + sizeof(struct kvr_row) - 1) / sizeof(struct kvr_row)))

#endif
