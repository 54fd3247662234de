/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that write statistics as text share.
 *
 *   stats_writer.c   families and samples, in Prometheus text, OpenMetrics or JSON
 *   stats_text.c     kvrelay's own set: tiers, operations, histograms
 *   stats_now.c      its gauges: what is at this moment
 *   stats_lmcache.c  the same under LMCache's names
 */
#ifndef KVR_STATS_OWN_H
#define KVR_STATS_OWN_H

#include "kvr_config.h"
#include "kvr_stats.h"

enum { KVR_LABELS = 5 };

struct kvr_label {
	const char *name, *value; /* name NULL: the end */
};

struct kvr_writer {
	char *at;
	size_t cap, len; /* len: bytes that the whole text needs */
	enum kvr_stats_form form;
	const char *prefix; /* of names: "kvrelay_", "lmcache:" */
	const char *family; /* without prefix and without _total */
	bool counter, first_family, first_sample;
};

struct kvr_stats_walk {
	struct kvr_writer w;
	const struct kvr_stats *s;
	const struct kvr_config *config;
	const struct kvr_stats_more *more;
	const char *tier[KVR_TIERS_MAX];
	struct {
		uint32_t n;
		const uint32_t *us;
	} own; /* bounds that kvrelay's histograms show */
};

/* A family: its samples follow. type: "counter", "gauge", "histogram". */
void kvr_family(struct kvr_writer *, const char *name, const char *type, const char *help);
void kvr_put_u64(struct kvr_writer *, const struct kvr_label *, uint64_t n);
void kvr_put_i64(struct kvr_writer *, const struct kvr_label *, int64_t n);
/* micros: millionths of the unit; 1,500,000 is written as "1.500000". */
void kvr_put_micros(struct kvr_writer *, const struct kvr_label *, uint64_t micros);
/*
 * The histogram at these bounds, each of which must be one of the state's. unit_us: microseconds
 * per unit (1000000: seconds, 1000: milliseconds).
 */
void kvr_put_times(struct kvr_writer *, const struct kvr_label *, const struct kvr_metrics_state *,
    const struct kvr_metrics_times *, const uint32_t *bound_us, uint32_t n_bounds,
    uint32_t unit_us);
void kvr_writer_begin(struct kvr_writer *);
size_t kvr_writer_end(struct kvr_writer *);

/* For a walk x: labels, the label that names a tier, and a loop over the tiers. */
#define L(...) ((const struct kvr_label[KVR_LABELS]){ __VA_ARGS__ })
#define OF_TIER(t) { "tier", x->tier[t] }
#define EACH_TIER(t) for (uint32_t t = 0; t < x->s->metrics.n_tiers; t++)

void kvr_stats_now(struct kvr_stats_walk *);
void kvr_stats_lmcache(struct kvr_stats_walk *);

#endif
