/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's names, labels, units and buckets, so that its dashboards work. Each series is computed
 * from what kvrelay counts. Where LMCache's number is known to mislead, ours is right: a failed put
 * writes no bytes, a miss is no failure, and the last ping is not forgotten after ten seconds.
 * remote_cache_usage, which LMCache never sets, and the series of its engine are not here.
 */
#include "kvr_stats_own.h"

#include <stdio.h>

struct own {
	struct kvr_stats_walk *x;
	const struct kvr_metrics_state *m;
	struct kvr_label labels[KVR_LABELS];
};

static void
counter(struct own *o, const char *name, const char *help, uint64_t n)
{
	kvr_family(&o->x->w, name, "counter", help);
	kvr_put_u64(&o->x->w, o->labels, n);
}

static void
gauge(struct own *o, const char *name, const char *help, int64_t n)
{
	kvr_family(&o->x->w, name, "gauge", help);
	kvr_put_i64(&o->x->w, o->labels, n);
}

static void
histogram(
    struct own *o, enum kvr_histogram_id which, const char *help, const struct kvr_metrics_times *t)
{
	const struct kvr_histogram *h = &kvr_histograms[which];
	uint32_t n;
	const uint32_t *us = kvr_config_lmcache_bounds(o->x->config, which, &n);

	kvr_family(&o->x->w, h->name, "histogram", help);
	kvr_put_times(&o->x->w, o->labels, o->m, t, us, n, h->unit_us);
}

/* Operations that ended in an error other than MISS. */
static int64_t
failed(const struct kvr_metrics_op *op)
{
	uint64_t n = 0;

	for (int32_t e = 2; e < KVR_METRICS_ERRS; e++)
		n += op->result[e];
	return (int64_t)n;
}

static void
traffic(struct own *o)
{
	const struct kvr_metrics_op *get = &o->m->op[KVR_OP_GET], *put = &o->m->op[KVR_OP_PUT];
	const struct kvr_metrics_op *lookup = &o->m->op[KVR_OP_LOOKUP];
	struct kvr_metrics_times at_stores = { 0 };

	for (uint32_t t = 0; t < o->m->n_tiers; t++) {
		const struct kvr_metrics_times *one = &o->m->tier[t].verb[KVR_VERB_GET].times;

		at_stores.sum_us += one->sum_us;
		for (uint32_t i = 0; i <= o->m->n_bounds; i++)
			at_stores.bucket[i] += one->bucket[i];
	}
	counter(o, "num_remote_read_requests", "Gets that brought bytes, one per batch",
	    get->with_bytes);
	counter(o, "num_remote_read_bytes", "Bytes that they brought", get->bytes);
	counter(o, "num_remote_write_requests", "Puts that stored bytes, one per batch",
	    put->with_bytes);
	counter(o, "num_remote_write_bytes", "Bytes of the keys that were stored", put->bytes);
	histogram(o, KVR_HISTOGRAM_GET, "Time of a get in milliseconds", &get->times);
	histogram(o, KVR_HISTOGRAM_PUT, "Time of a put in milliseconds", &put->times);
	histogram(o, KVR_HISTOGRAM_GET_SYNC,
	    "Time of a get as its caller sees it, in milliseconds", &get->times);
	histogram(o, KVR_HISTOGRAM_GET_BATCH, "Time of a batch of gets in seconds", &get->times);
	histogram(o, KVR_HISTOGRAM_GET_AT_STORES, "Time of its parts at the stores in seconds",
	    &at_stores);
	histogram(o, KVR_HISTOGRAM_LOOKUP, "Time of a lookup in seconds", &lookup->times);
	counter(o, "lookup_0_hit_requests", "Lookups that found nothing", lookup->none_ok);
	gauge(o, "get_blocking_failed_count", "Gets that failed; a miss is no failure", failed(get));
	gauge(o, "put_failed_count", "Puts that failed", failed(put));
	gauge(o, "remote_put_task_num", "Keys that are being put", (int64_t)o->x->more->n_puts);
}

/* LMCache's codes: it tells only these apart. */
static int64_t
ping_code(int32_t err)
{
	return err == KVR_OK ? 0 : err == KVR_E_TIMEOUT ? -1 : -2;
}

/* LMCache has one remote store. With several tiers this shows the last one that has been pinged. */
static void
health(struct own *o)
{
	const struct kvr_stats_router *r = &o->x->s->router;
	const struct kvr_metrics_stage *ping = &o->m->tier[0].ping;
	uint64_t ok = 0, bad = 0;

	for (uint32_t t = 0; t < o->m->n_tiers; t++) {
		const struct kvr_metrics_stage *p = &o->m->tier[t].ping;

		ok += p->n - p->failed;
		bad += p->failed;
		if (p->n > 0)
			ping = p;
	}
	kvr_family(&o->x->w, "remote_ping_latency", "gauge", "The last ping, in milliseconds");
	kvr_put_micros(&o->x->w, o->labels, (uint64_t)ping->last_us * 1000);
	counter(o, "remote_ping_errors", "Pings that failed", bad);
	counter(o, "remote_ping_successes", "Pings that were answered", ok);
	gauge(o, "remote_ping_error_code", "Of the last ping: 0, -1 timeout, -2 other",
	    ping_code(ping->last_err));
	gauge(o, "lmcache_is_healthy", "The verdict of kvrelay_healthy", o->x->more->healthy);
	gauge(o, "local_cache_usage", "Bytes of staging in use",
	    (int64_t)((uint64_t)(r->n_slots - r->n_slots_free) * r->slot_pages * KVR_PAGE));
}

void
kvr_stats_lmcache(struct kvr_stats_walk *x)
{
	char rank[16];

	/* The labels of every LMCache series; unknown values are empty. */
	snprintf(rank, sizeof(rank), "%d", KVR_MAX(x->s->head.rank, 0));
	struct own o = { .x = x,
		.m = &x->s->metrics,
		.labels = { { "model_name", x->s->head.model }, { "worker_id", rank },
		    { "role", x->more->role }, { "served_model_name", "" } } };

	traffic(&o);
	health(&o);
}
