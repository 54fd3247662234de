/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what the other deciders report, and decides when a canary is due (metrics_canary.c). It
 * answers nobody: a scrape reads a copy of its state, and other processes read the state itself.
 */
#include "kvr_metrics_state.h"

#include <string.h>

_Static_assert(sizeof(struct kvr_metrics_state) == 64 + (KVR_BOUNDS_MAX + 1) * 4 +
	KVR_OP_N * sizeof(struct kvr_metrics_op) + KVR_STAGE_DIAL * sizeof(struct kvr_metrics_stage) +
	KVR_COUNT_N * 8 + KVR_TIERS_MAX * sizeof(struct kvr_metrics_tier),
    "no padding");

enum { ONLY, STATES };
static const char *const state_name[STATES] = { "COUNTING" };

static void
add(struct kvr_out *out, uint64_t *to, uint64_t n)
{
	kvr_touch(out, to, sizeof(*to));
	*to += n;
}

/* Touches only the two words that change: every line touched is hashed. */
static void
took(const struct kvr_metrics_state *me, struct kvr_out *out, struct kvr_metrics_times *times,
    uint32_t took_us)
{
	uint32_t low = 0, high = me->n_bounds;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (took_us > me->bound_us[mid])
			low = mid + 1;
		else
			high = mid;
	}
	add(out, &times->bucket[low], 1);
	add(out, &times->sum_us, took_us);
}

/* An error that is not in the list would be a bug elsewhere; it is counted as PROTO. */
static uint32_t
index_of(int32_t err)
{
	return err > 0 || -err >= KVR_METRICS_ERRS ? (uint32_t)-KVR_E_PROTO : (uint32_t)-err;
}

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct kvr_metrics_state *me = self;
	struct kvr_metrics_config config;

	KVR_CHECK(ev->rows != NULL && ev->msg.n_rows == KVR_CONFIG_ROWS(struct kvr_metrics_config));
	memcpy(&config, ev->rows, sizeof(config));
	KVR_CHECK(config.size == sizeof(config) && config.n_tiers <= KVR_TIERS_MAX);
	KVR_CHECK(config.n_bounds <= KVR_BOUNDS_MAX);
	kvr_touch(out, me, offsetof(struct kvr_metrics_state, op));
	me->magic = KVR_METRICS_MAGIC;
	me->n_tiers = config.n_tiers;
	me->n_bounds = config.n_bounds;
	for (uint32_t i = 0; i < config.n_bounds; i++) {
		KVR_CHECK(i == 0 || config.bound_us[i] > config.bound_us[i - 1]);
		me->bound_us[i] = config.bound_us[i];
	}
	me->canary_ns = config.canary_ns;
	me->canary_tiers = config.canary_tiers;
	kvr_canary_start(me, ev, out);
	return KVR_STAY;
}

static unsigned
op_stat(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	KVR_CHECK(ev->msg.OP_STAT.kind < KVR_OP_N);
	struct kvr_metrics_op *op = &me->op[ev->msg.OP_STAT.kind];

	kvr_touch(out, op, offsetof(struct kvr_metrics_op, result));
	op->keys += ev->msg.OP_STAT.n;
	op->keys_ok += ev->msg.OP_STAT.n_ok;
	op->bytes += ev->msg.OP_STAT.bytes;
	op->with_bytes += ev->msg.OP_STAT.bytes > 0;
	op->none_ok += ev->msg.OP_STAT.n_ok == 0;
	add(out, &op->result[index_of(ev->msg.OP_STAT.err)], 1);
	took(me, out, &op->times, ev->msg.OP_STAT.took_us);
	return KVR_STAY;
}

static unsigned
part_stat(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	uint32_t ok = ev->msg.PART_STAT.n_ok, miss = ev->msg.PART_STAT.n_miss;
	uint32_t n = ev->msg.PART_STAT.n;

	KVR_CHECK(ev->msg.PART_STAT.tier < KVR_TIERS_MAX && ev->msg.PART_STAT.verb < KVR_METRICS_VERBS);
	KVR_CHECK(ok + miss <= n);
	struct kvr_metrics_tier *tier = &me->tier[ev->msg.PART_STAT.tier];
	struct kvr_metrics_verb *verb = &tier->verb[ev->msg.PART_STAT.verb];
	uint32_t err = index_of(ev->msg.PART_STAT.err);

	kvr_touch(out, verb, offsetof(struct kvr_metrics_verb, error));
	verb->parts++;
	verb->keys += n;
	verb->ok += ok;
	verb->miss += miss;
	verb->bytes += ev->msg.PART_STAT.bytes;
	if (n > ok + miss)
		add(out, ev->msg.PART_STAT.dropped ? &verb->dropped[err] : &verb->error[err],
		    n - ok - miss);
	if (!ev->msg.PART_STAT.dropped)
		took(me, out, &verb->times, ev->msg.PART_STAT.took_us);
	took(me, out, &tier->wait, kvr_long_us(ev->msg.PART_STAT.waited_us));
	return KVR_STAY;
}

static unsigned
stage_stat(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	uint32_t tier = ev->msg.STAGE_STAT.tier, kind = ev->msg.STAGE_STAT.stage;
	struct kvr_metrics_stage *stage;

	KVR_CHECK(kind < KVR_STAGE_N && (tier < KVR_TIERS_MAX) == (kind >= KVR_STAGE_DIAL));
	if (kind == KVR_STAGE_DIAL)
		stage = &me->tier[tier].dial;
	else if (kind == KVR_STAGE_PING)
		stage = &me->tier[tier].ping;
	else
		stage = &me->stage[kind];
	kvr_touch(out, stage, offsetof(struct kvr_metrics_stage, times));
	stage->n++;
	stage->failed += ev->msg.STAGE_STAT.err != KVR_OK;
	stage->last_us = ev->msg.STAGE_STAT.took_us;
	stage->last_err = ev->msg.STAGE_STAT.err;
	took(me, out, &stage->times, ev->msg.STAGE_STAT.took_us);
	return KVR_STAY;
}

static unsigned
count(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	uint32_t tier = ev->msg.COUNT.tier;

	KVR_CHECK(ev->msg.COUNT.what < KVR_COUNT_N);
	uint64_t *n = tier < KVR_TIERS_MAX ? &me->tier[tier].count[ev->msg.COUNT.what] :
					     &me->count[ev->msg.COUNT.what];

	add(out, n, ev->msg.COUNT.n);
	return KVR_STAY;
}

static unsigned
tier_state(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
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

/* Counters stay readable, and late events are counted, to the end. */
static unsigned
stop(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	(void)ev;
	kvr_touch(out, &me->canary_ns, sizeof(me->canary_ns));
	me->canary_ns = 0; /* a canary that is running is the last */
	kvr_send(out, KVR_ID_ROUTER, &(struct kvr_msg){ .type = KVR_MSG_STOPPED });
	return KVR_STAY;
}

static void
check(const void *self, unsigned state, bool full)
{
	KVR_SELF(const struct kvr_metrics_state, me, self, KVR_METRICS_MAGIC);
	KVR_CHECK(state == ONLY);
	for (uint32_t t = 0; t < KVR_TIERS_MAX && full; t++) {
		for (uint32_t v = 0; v < KVR_METRICS_VERBS; v++) {
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
		ON(STAGE_STAT, stage_stat),
		ON(TIMER, kvr_canary_due),
		ON(CANARY_DONE, kvr_canary_done),
		ON(TIER_STATE, tier_state),
		ON(STOP, stop),
	},
};

const struct kvr_spec kvr_metrics_spec = {
	.name = "metrics",
	.state_name = state_name,
	.n_states = STATES,
	/* Rounded up to whole lines; the bytes behind the struct stay zero. */
	.self_size = (sizeof(struct kvr_metrics_state) + 63) / 64 * 64,
	.table = table,
	.check = check,
	.fields = &kvr_metrics_fields,
};
