/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvrelay's own set: what operations and tiers have done. Units are seconds, bytes, keys. Every
 * series exists from the first scrape on, at zero: one that only appears with the first fault could
 * not raise an alarm about it.
 */
#include "kvr_stats_own.h"

static const char *const verb_name[KVR_METRICS_VERBS] = { "exists", "get", "put", "delete",
	"stat" };

#define EACH_KIND(k) for (uint32_t k = 0; k < KVR_OP_N; k++)
#define EACH_VERB(t, v) EACH_TIER(t) for (uint32_t v = 0; v < KVR_METRICS_VERBS; v++)

static void
times(struct kvr_stats_walk *x, const struct kvr_label *labels, const struct kvr_metrics_times *t)
{
	kvr_put_times(&x->w, labels, &x->s->metrics, t, x->own.us, x->own.n, 1000000);
}

enum op_column { OP_KEYS, OP_OK, OP_BYTES };

static void
op_column(struct kvr_stats_walk *x, const char *name, const char *help, enum op_column column)
{
	kvr_family(&x->w, name, "counter", help);
	EACH_KIND(k)
	{
		const struct kvr_metrics_op *op = &x->s->metrics.op[k];

		kvr_put_u64(&x->w, L({ "kind", kvr_op_kind_name[k] }),
		    column == OP_KEYS ? op->keys : column == OP_OK ? op->keys_ok : op->bytes);
	}
}

static void
operations(struct kvr_stats_walk *x)
{
	kvr_family(&x->w, "operations", "counter", "Operations answered, by their result");
	EACH_KIND(k)
	for (int32_t e = 0; e < KVR_METRICS_ERRS; e++)
		kvr_put_u64(&x->w, L({ "kind", kvr_op_kind_name[k] }, { "result", kvr_err_name(-e) }),
		    x->s->metrics.op[k].result[e]);
	kvr_family(&x->w, "operations_refused", "counter",
	    "Operations that no tier saw: refused at once, or another rank's to do");
	EACH_KIND(k)
	for (int32_t e = 1; e < KVR_METRICS_ERRS; e++)
		kvr_put_u64(&x->w, L({ "kind", kvr_op_kind_name[k] }, { "reason", kvr_err_name(-e) }),
		    x->more->refused[k][e]);
	op_column(x, "operation_keys", "Keys of answered operations", OP_KEYS);
	op_column(x, "operation_keys_ok", "Keys of them that were found or done", OP_OK);
	op_column(x, "operation_bytes",
	    "Payload bytes of answered operations; of puts that share an outcome, once", OP_BYTES);
	kvr_family(&x->w, "operation_seconds", "histogram", "Time from submission to answer");
	EACH_KIND(k)
	times(x, L({ "kind", kvr_op_kind_name[k] }), &x->s->metrics.op[k].times);
}

static void
reasons(struct kvr_stats_walk *x, const char *name, const char *help, bool dropped)
{
	kvr_family(&x->w, name, "counter", help);
	EACH_VERB(t, v)
	{
		const struct kvr_metrics_verb *verb = &x->s->metrics.tier[t].verb[v];

		/* 0 is OK and 1 is MISS: neither is an error. */
		for (int32_t e = 2; e < KVR_METRICS_ERRS; e++)
			kvr_put_u64(&x->w,
			    L(OF_TIER(t), { "verb", verb_name[v] }, { "reason", kvr_err_name(-e) }),
			    dropped ? verb->dropped[e] : verb->error[e]);
	}
}

enum verb_column { KEYS, FOUND, MISSED, BYTES, PARTS };

static void
verb_column(struct kvr_stats_walk *x, const char *name, const char *help, enum verb_column column)
{
	kvr_family(&x->w, name, "counter", help);
	EACH_VERB(t, v)
	{
		const struct kvr_metrics_verb *verb = &x->s->metrics.tier[t].verb[v];
		uint64_t n = column == KEYS     ? verb->keys
		             : column == FOUND  ? verb->ok
		             : column == MISSED ? verb->miss
		             : column == BYTES  ? verb->bytes
		                                : verb->parts;

		kvr_put_u64(&x->w, L(OF_TIER(t), { "verb", verb_name[v] }), n);
	}
}

static void
tiers(struct kvr_stats_walk *x)
{
	verb_column(x, "tier_keys", "Keys asked of a tier: the sum of ok, miss, error and dropped",
	    KEYS);
	verb_column(x, "tier_keys_ok", "Keys of them that were found or done", FOUND);
	verb_column(x, "tier_keys_miss", "Keys of them that the tier does not have", MISSED);
	reasons(x, "tier_keys_error", "Keys of them that failed at a lane", false);
	reasons(x, "tier_keys_dropped", "Keys of them that no lane was given", true);
	verb_column(x, "tier_bytes", "Payload bytes moved", BYTES);
	verb_column(x, "tier_parts", "Parts answered", PARTS);
	kvr_family(&x->w, "tier_part_seconds", "histogram", "Time of a part at work in a lane");
	EACH_VERB(t, v)
	times(x, L(OF_TIER(t), { "verb", verb_name[v] }), &x->s->metrics.tier[t].verb[v].times);
	kvr_family(&x->w, "tier_wait_seconds", "histogram",
	    "Time of a part at a tier beyond its work: the queue, and the hops between threads");
	EACH_TIER(t)
	times(x, L(OF_TIER(t)), &x->s->metrics.tier[t].wait);
}

static void
stages(struct kvr_stats_walk *x)
{
	static const char *const stage_name[KVR_STAGE_DIAL] = { "encode", "decode", "copy" };

	kvr_family(&x->w, "stage_seconds", "histogram",
	    "Time of a part in a serde or in a copy within the process");
	for (uint32_t i = 0; i < KVR_STAGE_DIAL; i++)
		times(x, L({ "stage", stage_name[i] }), &x->s->metrics.stage[i].times);
	kvr_family(&x->w, "stage_failed", "counter", "Parts that failed there");
	for (uint32_t i = 0; i < KVR_STAGE_DIAL; i++)
		kvr_put_u64(
		    &x->w, L({ "stage", stage_name[i] }), x->s->metrics.stage[i].failed);
	kvr_family(&x->w, "dial_seconds", "histogram", "Time to connect and sign in, failures too");
	EACH_TIER(t)
	times(x, L(OF_TIER(t)), &x->s->metrics.tier[t].dial.times);
	kvr_family(&x->w, "ping_seconds", "histogram", "Round trip of a ping, failures too");
	EACH_TIER(t)
	times(x, L(OF_TIER(t)), &x->s->metrics.tier[t].ping.times);
	kvr_family(&x->w, "ping_failed", "counter", "Pings that failed");
	EACH_TIER(t)
	kvr_put_u64(&x->w, L(OF_TIER(t)), x->s->metrics.tier[t].ping.failed);
}

static const struct {
	const char *name, *help;
} count_entry[KVR_COUNT_N] = {
#define X(name, text) { #name, text },
	KVR_COUNT_TABLE(X)
#undef X
};

static void
events(struct kvr_stats_walk *x)
{
	char name[48];

	for (uint32_t c = 0; c < KVR_COUNT_N; c++) {
		uint32_t n = 0;

		for (const char *p = count_entry[c].name; *p != '\0' && n < sizeof(name) - 1; p++)
			name[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		name[n] = '\0';
		kvr_family(&x->w, name, "counter", count_entry[c].help);
		/* Without a tier: of the whole instance. */
		kvr_put_u64(&x->w, L({ "tier", "" }), x->s->metrics.count[c]);
		EACH_TIER(t)
		kvr_put_u64(&x->w, L(OF_TIER(t)), x->s->metrics.tier[t].count[c]);
	}
}

static void
traffic(struct kvr_stats_walk *x)
{
	operations(x);
	tiers(x);
	stages(x);
	events(x);
}

size_t
kvr_stats_text(const struct kvr_stats *s, const struct kvr_config *config,
    const struct kvr_stats_more *more, enum kvr_stats_form form, char *ret, size_t cap)
{
	struct kvr_stats_walk x = { .s = s, .config = config, .more = more };

	x.w = (struct kvr_writer){ .at = ret, .cap = cap, .form = form, .prefix = "kvrelay_" };
	for (uint32_t t = 0; t < config->n_tiers; t++)
		x.tier[t] = config->tier[t].name;
	KVR_CHECK(config->n_tiers >= s->metrics.n_tiers);
	x.own.us = kvr_config_own_bounds(config, &x.own.n);
	kvr_writer_begin(&x.w);
	kvr_stats_now(&x);
	traffic(&x);
	x.w.prefix = "lmcache:";
	kvr_stats_lmcache(&x);
	return kvr_writer_end(&x.w);
}
