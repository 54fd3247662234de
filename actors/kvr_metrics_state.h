/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metrics actor has counted since the start: its whole state, as plain data. It lies in
 * the page of statistics that other processes map (kvr_stats.h), so its layout is part of that
 * page's version.
 *
 * Conservation: over all answered parts, keys = ok + miss + sum(error) + sum(dropped).
 */
#ifndef KVR_METRICS_STATE_H
#define KVR_METRICS_STATE_H

#include "kvr_actors.h"
#include "kvr_connector.h"
#include "kvr_err.h"

enum {
#define X(name, value, stream, blame, pass, text) +1
	KVR_METRICS_ERRS = 1 KVR_ERR_TABLE(X), /* index is the negated error; 0 is OK */
#undef X
	KVR_METRICS_VERBS = KVR_VERB_PING /* PING moves no keys */
};

/*
 * One histogram serves everybody: its bounds are the union of theirs, so that kvrelay's and
 * LMCache's buckets are exact sums of these.
 */
struct kvr_metrics_times {
	uint64_t sum_us;
	uint64_t bucket[KVR_BOUNDS_MAX + 1]; /* not cumulative; the one behind the last bound: longer */
};

/* One kind of operation. */
struct kvr_metrics_op {
	uint64_t keys, keys_ok, bytes;
	uint64_t with_bytes; /* operations that moved some bytes */
	uint64_t none_ok;    /* operations with no key OK */
	uint64_t spare[3];
	uint64_t result[KVR_METRICS_ERRS]; /* operations by error, including OK and MISS */
	struct kvr_metrics_times times;
};

/* One verb at one tier; the unit is keys. */
struct kvr_metrics_verb {
	uint64_t parts, keys, ok, miss, bytes;
	uint64_t spare[3];
	uint64_t error[KVR_METRICS_ERRS];
	uint64_t dropped[KVR_METRICS_ERRS]; /* keys that were never handed to a lane */
	struct kvr_metrics_times times;     /* time at work in a lane */
};

struct kvr_metrics_stage {
	uint64_t n, failed;
	uint32_t last_us;
	int32_t  last_err;
	struct kvr_metrics_times times;
};

/* The canary: a value that is written, read, compared and deleted to see whether a tier works. */
struct kvr_metrics_canary {
	uint64_t ok, failed;
	uint64_t at_ns;   /* when the last one ended; 0: there was none */
	uint32_t took_us; /* of the last one */
	int32_t  err;     /* of the last one; OK: every byte came back */
	uint32_t step;    /* enum kvr_canary_step: where it ended */
	uint32_t spare;
};

struct kvr_metrics_tier {
	struct kvr_metrics_verb verb[KVR_METRICS_VERBS];
	struct kvr_metrics_times wait; /* of a part: all its time at the tier except its work */
	struct kvr_metrics_stage dial, ping;
	struct kvr_metrics_canary canary;
	uint64_t count[KVR_COUNT_N];
	uint64_t entered[KVR_TIER_STATES]; /* times each state was entered */
	uint32_t state, links_up;
	int32_t  why; /* last fault; OK: none */
	uint32_t spare;
};

struct kvr_metrics_state {
	uint32_t magic, n_tiers, n_bounds;
	uint32_t canary_tiers; /* a bit per tier */
	uint64_t canary_ns;    /* interval; 0: never, or no longer */
	uint32_t canary_round; /* 24 bits */
	uint32_t canary_gen;   /* of its timer */
	uint32_t canary_runs;  /* tier + 1 whose canary is running; 0: none */
	uint32_t spare32;
	uint64_t spare[3];
	uint32_t bound_us[KVR_BOUNDS_MAX + 1]; /* n_bounds of them, rising */
	struct kvr_metrics_op    op[KVR_OP_N];
	struct kvr_metrics_stage stage[KVR_STAGE_DIAL]; /* without a tier: serdes, copies */
	uint64_t                 count[KVR_COUNT_N];    /* without a tier */
	struct kvr_metrics_tier  tier[KVR_TIERS_MAX];
};

#define KVR_METRICS_MAGIC KVR_MAGIC('M', 'E', 'T', 'R')

/* metrics_canary.c */
void     kvr_canary_start(struct kvr_metrics_state *, const struct kvr_event *, struct kvr_out *);
unsigned kvr_canary_due(void *self, const struct kvr_event *, struct kvr_out *);
unsigned kvr_canary_done(void *self, const struct kvr_event *, struct kvr_out *);

/* metrics_fields.c */
extern const struct kvr_fields kvr_metrics_fields;

#endif
