/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what routers and tiers say happened. It answers nobody and knows no time: a scrape reads
 * a copy of its state.
 */
#include "kvr_metrics_state.h"

#include <string.h>

#define METRICS_MAGIC KVR_MAGIC('M', 'E', 'T', 'R')

_Static_assert(sizeof(struct kvr_metrics_state) ==
	64 + KVR_OP_N * sizeof(struct kvr_metrics_op) + KVR_COUNT_N * 8 +
	    KVR_TIERS_MAX * sizeof(struct kvr_metrics_tier),
    "no padding");

enum { ONLY, STATES };
static const char *const state_name[STATES] = { "COUNTING" };

static const uint32_t bound_us[KVR_METRICS_BUCKETS - 1] = {
#define X(us, seconds) us,
	KVR_METRICS_BOUNDS(X)
#undef X
};

static void
took(struct kvr_metrics_times *times, uint32_t took_us)
{
	uint32_t i = 0;

	while (i < KVR_METRICS_BUCKETS - 1 && took_us > bound_us[i])
		i++;
	times->bucket[i]++;
	times->sum_us += took_us;
}

/* An error that is not in the list would be a bug elsewhere; it is counted as the first one. */
static uint32_t
index_of(int32_t err)
{
	return err > 0 || err < KVR_E_TOO_SMALL ? (uint32_t)-KVR_E_PROTO : (uint32_t)-err;
}

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct kvr_metrics_state *me = self;
	struct kvr_metrics_config config;

	KVR_CHECK(ev->rows != NULL && ev->msg.n_rows == KVR_CONFIG_ROWS(struct kvr_metrics_config));
	memcpy(&config, ev->rows, sizeof(config));
	KVR_CHECK(config.size == sizeof(config) && config.n_tiers <= KVR_TIERS_MAX);
	kvr_touch(out, me, 64);
	me->magic = METRICS_MAGIC;
	me->n_tiers = config.n_tiers;
	return KVR_STAY;
}

static unsigned
op_stat(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, METRICS_MAGIC);
	KVR_CHECK(ev->msg.OP_STAT.kind < KVR_OP_N);
	struct kvr_metrics_op *op = &me->op[ev->msg.OP_STAT.kind];

	kvr_touch(out, op, sizeof(*op));
	op->keys += ev->msg.OP_STAT.n;
	op->keys_ok += ev->msg.OP_STAT.n_ok;
	op->bytes += ev->msg.OP_STAT.bytes;
	op->result[index_of(ev->msg.OP_STAT.err)]++;
	took(&op->times, ev->msg.OP_STAT.took_us);
	return KVR_STAY;
}

static unsigned
part_stat(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, METRICS_MAGIC);
	uint32_t ok = ev->msg.PART_STAT.n_ok, miss = ev->msg.PART_STAT.n_miss;
	uint32_t n = ev->msg.PART_STAT.n;

	KVR_CHECK(ev->msg.PART_STAT.tier < KVR_TIERS_MAX && ev->msg.PART_STAT.verb < KVR_VERB_PING);
	KVR_CHECK(ok + miss <= n);
	struct kvr_metrics_verb *verb =
	    &me->tier[ev->msg.PART_STAT.tier].verb[ev->msg.PART_STAT.verb];
	uint32_t err = index_of(ev->msg.PART_STAT.err);

	kvr_touch(out, verb, sizeof(*verb));
	verb->parts++;
	verb->keys += n;
	verb->ok += ok;
	verb->miss += miss;
	verb->bytes += ev->msg.PART_STAT.bytes;
	if (ev->msg.PART_STAT.dropped) {
		verb->dropped[err] += n - ok - miss;
	} else {
		verb->error[err] += n - ok - miss;
		took(&verb->times, ev->msg.PART_STAT.took_us);
	}
	return KVR_STAY;
}

static unsigned
count(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, METRICS_MAGIC);
	uint32_t tier = ev->msg.COUNT.tier;

	KVR_CHECK(ev->msg.COUNT.what < KVR_COUNT_N);
	uint64_t *n = tier < KVR_TIERS_MAX ? &me->tier[tier].count[ev->msg.COUNT.what] :
					     &me->count[ev->msg.COUNT.what];

	kvr_touch(out, n, sizeof(*n));
	*n += ev->msg.COUNT.n;
	return KVR_STAY;
}

static unsigned
tier_state(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, METRICS_MAGIC);
	KVR_CHECK(ev->msg.TIER_STATE.tier < KVR_TIERS_MAX);
	KVR_CHECK(ev->msg.TIER_STATE.state < KVR_TIER_STATES);
	struct kvr_metrics_tier *tier = &me->tier[ev->msg.TIER_STATE.tier];

	kvr_touch(out, tier->entered, sizeof(*tier) - offsetof(struct kvr_metrics_tier, entered));
	if (tier->state != ev->msg.TIER_STATE.state || tier->entered[KVR_TIER_OPENING] == 0)
		tier->entered[ev->msg.TIER_STATE.state]++;
	tier->state = ev->msg.TIER_STATE.state;
	tier->links_up = ev->msg.TIER_STATE.links_up;
	tier->why = ev->msg.TIER_STATE.err;
	return KVR_STAY;
}

/* What is counted stays readable, and what still comes in is counted, to the end. */
static unsigned
stop(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	(void)self;
	(void)ev;
	kvr_send(out, KVR_ID_ROUTER, &(struct kvr_msg){ .type = KVR_MSG_STOPPED });
	return KVR_STAY;
}

static void
check(const void *self, unsigned state, bool full)
{
	KVR_SELF(const struct kvr_metrics_state, me, self, METRICS_MAGIC);
	KVR_CHECK(state == ONLY);
	for (uint32_t t = 0; t < KVR_TIERS_MAX && full; t++) {
		for (uint32_t v = 0; v < KVR_VERB_PING; v++) {
			const struct kvr_metrics_verb *verb = &me->tier[t].verb[v];
			uint64_t sum = verb->ok + verb->miss;

			for (uint32_t e = 0; e < KVR_METRICS_ERRS; e++)
				sum += verb->error[e] + verb->dropped[e];
			KVR_CHECK(sum == verb->keys && verb->error[0] + verb->dropped[0] == 0);
		}
	}
}

#define ON(msg, fn) [KVR_MSG_##msg] = { fn, KVR_TO(KVR_STAY) }
static const struct kvr_cell table[STATES][KVR_MSG_N] = {
	[ONLY] = {
		ON(START, start),
		ON(OP_STAT, op_stat),
		ON(PART_STAT, part_stat),
		ON(COUNT, count),
		ON(TIER_STATE, tier_state),
		ON(STOP, stop),
	},
};

const struct kvr_spec kvr_metrics_spec = {
	.name = "metrics",
	.state_name = state_name,
	.n_states = STATES,
	/* Up to whole lines: nobody writes beyond the struct. */
	.self_size = (sizeof(struct kvr_metrics_state) + 63) / 64 * 64,
	.table = table,
	.check = check,
	.fields = &kvr_metrics_fields,
};
