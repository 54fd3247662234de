/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metrics actor has counted since the start: its whole state, plain data. Whoever wants
 * to show it takes a copy under the domain's guard and renders the copy.
 *
 * Conservation: of the keys of all answered parts, n = ok + miss + sum(error) + sum(dropped).
 */
#ifndef KVR_METRICS_STATE_H
#define KVR_METRICS_STATE_H

#include "kvr_actors.h"
#include "kvr_connector.h"
#include "kvr_err.h"

/* Upper bounds in microseconds, and how they are written in seconds; the last bucket has none. */
#define KVR_METRICS_BOUNDS(X) \
	X(50, "0.00005") X(100, "0.0001") X(250, "0.00025") X(500, "0.0005") X(1000, "0.001") \
	X(2500, "0.0025") X(5000, "0.005") X(10000, "0.01") X(25000, "0.025") X(50000, "0.05") \
	X(100000, "0.1") X(250000, "0.25") X(500000, "0.5") X(1000000, "1") X(2500000, "2.5") \
	X(5000000, "5") X(10000000, "10")

enum {
#define X(us, seconds) +1
	KVR_METRICS_BUCKETS = 1 KVR_METRICS_BOUNDS(X),
#undef X
	KVR_METRICS_ERRS = -KVR_E_DEVICE + 1 /* index is the negated error; 0 is OK */
};

struct kvr_metrics_times {
	uint64_t sum_us;
	uint64_t bucket[KVR_METRICS_BUCKETS]; /* not summed up */
};

/* One kind of operation. */
struct kvr_metrics_op {
	uint64_t keys, keys_ok, bytes;
	uint64_t result[KVR_METRICS_ERRS]; /* operations by their error, OK and MISS among them */
	struct kvr_metrics_times times;
};

/* One verb at one tier; the unit is keys. */
struct kvr_metrics_verb {
	uint64_t parts, keys, ok, miss, bytes;
	uint64_t error[KVR_METRICS_ERRS];
	uint64_t dropped[KVR_METRICS_ERRS]; /* never handed to a lane */
	struct kvr_metrics_times times;
};

struct kvr_metrics_tier {
	struct kvr_metrics_verb verb[KVR_VERB_PING]; /* PING moves no keys */
	uint64_t count[KVR_COUNT_N];
	uint64_t entered[KVR_TIER_STATES]; /* times each state was entered */
	uint32_t state, links_up;
	int32_t  why; /* last fault; OK: none */
	uint32_t spare;
};

struct kvr_metrics_state {
	uint32_t magic, n_tiers;
	uint64_t spare[7];
	struct kvr_metrics_op   op[KVR_OP_N];
	uint64_t                count[KVR_COUNT_N]; /* that belong to no tier */
	struct kvr_metrics_tier tier[KVR_TIERS_MAX];
};

/*
 * Prometheus text or JSON, NUL-terminated when it fits; bytes needed, NUL included. Every series is
 * there from the start, at zero. names: of the tiers, any bytes.
 */
size_t kvr_metrics_text(const struct kvr_metrics_state *, const char *const *names,
    uint32_t n_tiers, bool json, char *ret, size_t cap);

/* metrics_fields.c */
extern const struct kvr_fields kvr_metrics_fields;

#endif
