/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a deployment needs, as a sum with a line per term: for one process, and for a node that runs
 * several. Arenas grow up to their limits, so the sum says "at most".
 */
#include "kvr_config.h"

#include "kvr_option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct sum {
	struct kvr_text_out out;
	uint64_t bytes, threads;
};

static const char *
human(uint64_t bytes, char *ret_text)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	uint32_t u = 0;
	double value = (double)bytes;

	while (value >= 1024 && u + 1 < KVR_LEN(unit)) {
		value /= 1024;
		u++;
	}
	snprintf(ret_text, KVR_VALUE_MAX, "%.*f %s", u == 0 ? 0 : 1, value, unit[u]);
	return ret_text;
}

static void
term(struct sum *s, const char *name, uint64_t bytes, const char *how)
{
	char text[KVR_VALUE_MAX];

	s->bytes += bytes;
	kvr_out(&s->out, "  %-14s %12s  %s\n", name, human(bytes, text), how);
}

static void
counted(struct sum *s, const char *name, uint64_t n, const char *what, uint64_t each)
{
	char how[96];

	snprintf(how, sizeof(how), "%" PRIu64 " %s of %" PRIu64 " bytes", n, what, each);
	term(s, name, n * each, how);
}

static bool
any_tier(const struct kvr_config_tier *tier)
{
	(void)tier;
	return true;
}

static bool
is_cluster(const struct kvr_config_tier *tier)
{
	return kvr_scheme_is_cluster(tier->url);
}

static bool
is_direct(const struct kvr_config_tier *tier)
{
	return tier->direct;
}

static bool
has_replicas(const struct kvr_config_tier *tier)
{
	return tier->replicas;
}

static bool
is_doubled(const struct kvr_config_tier *tier)
{
	return tier->replicas && is_cluster(tier);
}

static uint64_t
lanes_of(const struct kvr_config *cfg, bool (*which)(const struct kvr_config_tier *))
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < cfg->n_tiers; i++)
		if (which(&cfg->tier[i]))
			n += cfg->tier[i].lanes.control + cfg->tier[i].lanes.bulk;
	return n;
}

/*
 * Threads of stores: one that gives leases back, and those that talk to a cluster's nodes for a
 * lane.
 */
static uint64_t
store_threads(const struct kvr_config *cfg)
{
	uint64_t n = lanes_of(cfg, is_cluster) * KVR_CLUSTER_HELPERS;

	for (uint32_t i = 0; i < cfg->n_tiers; i++)
		n += kvr_scheme_is(cfg->tier[i].url, "sagemaker-hyperpod");
	return n;
}

static void
thread_terms(struct sum *s, const struct kvr_config *cfg, const struct kvr_config_costs *costs)
{
	uint32_t fixed = costs->fixed_threads + (cfg->metrics.listen != NULL ? 1 : 0) +
	    (cfg->metrics.canary_ns != 0 ? 1 : 0);
	uint64_t of_stores = store_threads(cfg);
	uint64_t own = lanes_of(cfg, any_tier) + kvr_config_serde_threads(cfg) + of_stores + fixed;
	char stores[40] = "";

	s->threads = own + costs->queue_threads;
	if (of_stores > 0)
		snprintf(stores, sizeof(stores), " %" PRIu64 " of stores,", of_stores);
	kvr_out(&s->out,
	    "  threads %" PRIu64 ": %" PRIu64 " lanes, %" PRIu32 " serde,%s %u of the runtime, %u "
	    "of the queues\n",
	    s->threads, lanes_of(cfg, any_tier), kvr_config_serde_threads(cfg), stores, fixed,
	    costs->queue_threads);
	counted(s, "stacks", own, "threads, reserved,", costs->stack_bytes);
}

/* What memory tiers hold belongs to the process, like its staging. */
static void
tier_terms(struct sum *s, const struct kvr_config *cfg)
{
	for (uint32_t i = 0; i < cfg->n_tiers; i++) {
		if (kvr_scheme_is(cfg->tier[i].url, "memory"))
			term(s, cfg->tier[i].name, cfg->tier[i].capacity_bytes,
			    "values of this tier, at most");
	}
}

size_t
kvr_config_sum(const struct kvr_config *cfg, const struct kvr_config_costs *costs, uint32_t ranks,
    char *ret_text, size_t cap)
{
	struct sum s = { .out = { ret_text, cap, 0 } };
	char text[KVR_VALUE_MAX], node[KVR_VALUE_MAX];

	if (cap > 0)
		ret_text[0] = '\0';
	ranks = KVR_MAX(ranks, 1U);
	kvr_out(&s.out, "per process\n");
	term(&s, "staging", cfg->memory.staging_bytes, "at most, grows as needed");
	term(&s, "objects", cfg->memory.objects_bytes, "at most, grows as needed");
	tier_terms(&s, cfg);
	counted(&s, "operations", cfg->limits.ops, "operations", costs->op_bytes);
	counted(&s, "keys", cfg->limits.keys, "keys", costs->key_bytes);
	counted(&s, "rows", cfg->limits.keys, "rows", costs->row_bytes);
	counted(&s, "tiers", cfg->n_tiers, "tiers", costs->tier_bytes);
	counted(&s, "lanes", lanes_of(cfg, any_tier), "lanes", costs->lane_bytes);
	if (lanes_of(cfg, is_direct) > 0)
		counted(&s, "direct", lanes_of(cfg, is_direct), "lanes past the page cache,",
		    KVR_DIRECT_STAGE_BYTES);
	if (lanes_of(cfg, is_cluster) > 0)
		counted(&s, "nodes",
		    (lanes_of(cfg, is_cluster) + lanes_of(cfg, is_doubled)) * KVR_CLUSTER_NODES,
		    "connections of clusters at most,", KVR_CLUSTER_NODE_BYTES);
	if (lanes_of(cfg, has_replicas) > 0)
		counted(&s, "replicas", lanes_of(cfg, has_replicas),
		    "lanes that ask replicas first,", KVR_REPLICA_BYTES);
	term(&s, "runtime", costs->fixed_bytes, "tables of fixed size");
	term(&s, "trace", cfg->trace.size_bytes,
	    "ring, in shared memory unless trace.dir says else");
	thread_terms(&s, cfg, costs);
	kvr_out(&s.out, "  sum %s\n", human(s.bytes, text));
	/* Not in the sum, because it is not host memory. */
	if (cfg->memory.device != KVR_CONFIG_DEVICE_NONE)
		kvr_out(&s.out, "  and of the device's memory, where it has them free: %s\n",
		    human(UINT64_C(2) * KVR_DEVICE_STAGE_SLOTS * (KVR_DEVICE_STAGE_BYTES + KVR_DEVICE_STAGE_SPARE),
		        text));
	kvr_out(&s.out, "per node of %u processes: %s, %" PRIu64 " threads\n", ranks,
	    human(s.bytes * ranks, node), s.threads * ranks);
	return s.out.len;
}
