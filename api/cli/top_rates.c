/* SPDX-License-Identifier: Apache-2.0 */
/* Rates and quantiles from two copies of a page. */
#include "kvr_top.h"

#include <string.h>

/* Adds the bucket counts that came after before. */
static void
add_between(const struct kvr_metrics_times *now, const struct kvr_metrics_times *before,
    uint64_t sum[KVR_BOUNDS_MAX + 1])
{
	for (uint32_t i = 0; i <= KVR_BOUNDS_MAX; i++)
		sum[i] += now->bucket[i] - (before == NULL ? 0 : before->bucket[i]);
}

/* The quantile in microseconds, linear within a bucket. < 0: no samples. */
static double
quantile(const struct kvr_metrics_state *m, const uint64_t sum[KVR_BOUNDS_MAX + 1], double of_all)
{
	uint64_t n = 0, below = 0;

	for (uint32_t i = 0; i <= m->n_bounds && i <= KVR_BOUNDS_MAX; i++)
		n += sum[i];
	if (n == 0 || m->n_bounds == 0)
		return -1;
	for (uint32_t i = 0; i < m->n_bounds && i < KVR_BOUNDS_MAX; i++) {
		double low = i == 0 ? 0 : m->bound_us[i - 1], want = of_all * (double)n;

		if ((double)(below + sum[i]) >= want && sum[i] > 0)
			return low + (m->bound_us[i] - low) * (want - (double)below) / (double)sum[i];
		below += sum[i];
	}
	return m->bound_us[m->n_bounds - 1]; /* beyond the last bound */
}

static uint64_t
all(const uint64_t by_error[KVR_METRICS_ERRS])
{
	uint64_t n = 0;

	for (uint32_t e = 0; e < KVR_METRICS_ERRS; e++)
		n += by_error[e];
	return n;
}

struct sums {
	uint64_t keys, in, out, found, asked, error, dropped;
};

static struct sums
sums_of(const struct kvr_metrics_tier *t)
{
	struct sums s = { 0 };

	for (uint32_t v = 0; v < KVR_METRICS_VERBS; v++) {
		const struct kvr_metrics_verb *verb = &t->verb[v];

		s.keys += verb->keys;
		s.error += all(verb->error);
		s.dropped += all(verb->dropped);
		if (v == KVR_VERB_GET || v == KVR_VERB_EXISTS) {
			s.found += verb->ok;
			s.asked += verb->ok + verb->miss;
		}
	}
	s.in = t->verb[KVR_VERB_GET].bytes;
	s.out = t->verb[KVR_VERB_PUT].bytes;
	return s;
}

static void
one_tier(const struct top_row *r, uint32_t t, double seconds, struct top_tier *ret)
{
	const struct kvr_metrics_state *m = &r->now->s.metrics;
	const struct kvr_metrics_tier *now = &m->tier[t];
	const struct kvr_metrics_tier *before =
	    r->before == NULL ? NULL : &r->before->s.metrics.tier[t];
	struct sums a = before == NULL ? (struct sums){ 0 } : sums_of(before), b = sums_of(now);
	uint64_t times[KVR_BOUNDS_MAX + 1] = { 0 };

	for (uint32_t v = 0; v < KVR_METRICS_VERBS; v++)
		add_between(
		    &now->verb[v].times, before == NULL ? NULL : &before->verb[v].times, times);
	*ret = (struct top_tier){ .keys_s = (double)(b.keys - a.keys) / seconds,
		.in_s = (double)(b.in - a.in) / seconds,
		.out_s = (double)(b.out - a.out) / seconds,
		.p50_us = quantile(m, times, 0.5),
		.p99_us = quantile(m, times, 0.99),
		.hit = b.asked == a.asked ? -1
		                          : (double)(b.found - a.found) / (double)(b.asked - a.asked),
		.error_s = (double)(b.error - a.error) / seconds,
		.drop_s = (double)(b.dropped - a.dropped) / seconds,
		.dropped = b.dropped,
		.failed = b.error,
		.corrupt = now->count[KVR_COUNT_VERIFY_FAILED] };
}

void
top_rates(struct top_row *r)
{
	uint64_t from_ns = r->before == NULL ? r->now->s.head.opened_mono_ns : r->before->at_ns;
	double seconds = KVR_MAX((double)(r->now->at_ns - from_ns) / 1e9, 1e-3);

	for (uint32_t t = 0; t < r->now->s.head.n_tiers; t++)
		one_tier(r, t, seconds, &r->tier[t]);
}
