/* SPDX-License-Identifier: Apache-2.0 */
/* What metrics have counted, field by field, for people who read a replay. */
#include "kvr_metrics_state.h"

#define U64 sizeof(uint64_t)
#define OFF(member) offsetof(struct kvr_metrics_state, member)
#define OPS { KVR_OP_N, sizeof(struct kvr_metrics_op) }
#define TIERS { KVR_TIERS_MAX, sizeof(struct kvr_metrics_tier) }
#define VERBS { KVR_METRICS_VERBS, sizeof(struct kvr_metrics_verb) }
#define STAGES { KVR_STAGE_DIAL, sizeof(struct kvr_metrics_stage) }
#define BUCKETS (KVR_BOUNDS_MAX + 1)
/* Arrays in arrays: name, first element, kind, then the sizes of the arrays around it. */
#define IN(name, member, kind, ...) \
	{ name, OFF(member), sizeof(((struct kvr_metrics_state *)0)->member), KVR_FIELD_##kind, \
		{ __VA_ARGS__ } }
#define OF_OP(m) IN("op[]." #m, op[0].m, NUM, OPS)
#define ALL_OF_OP(m, n) IN("op[]." #m "[]", op[0].m[0], NUM, OPS, { n, U64 })
#define OF_VERB(m) IN("tier[].verb[]." #m, tier[0].verb[0].m, NUM, TIERS, VERBS)
#define ALL_OF_VERB(m, kind, n) \
	IN("tier[].verb[]." #m "[]", tier[0].verb[0].m[0], kind, TIERS, VERBS, { n, U64 })
#define OF_TIER(m, kind) IN("tier[]." #m, tier[0].m, kind, TIERS)
#define ALL_OF_TIER(m, n) IN("tier[]." #m "[]", tier[0].m[0], NUM, TIERS, { n, U64 })
#define STAGE_OF_TIER(m) \
	OF_TIER(m.n, NUM), OF_TIER(m.failed, NUM), OF_TIER(m.last_us, NUM), OF_TIER(m.last_err, ERR), \
	    OF_TIER(m.times.sum_us, NUM), ALL_OF_TIER(m.times.bucket, BUCKETS)

static const struct kvr_field field[] = {
	KVR_F(struct kvr_metrics_state, magic, HEX),
	KVR_F(struct kvr_metrics_state, n_tiers, NUM),
	KVR_F(struct kvr_metrics_state, n_bounds, NUM),
	KVR_F(struct kvr_metrics_state, canary_tiers, HEX),
	KVR_F(struct kvr_metrics_state, canary_ns, NS),
	KVR_F(struct kvr_metrics_state, canary_round, NUM),
	KVR_F(struct kvr_metrics_state, canary_gen, NUM),
	KVR_F(struct kvr_metrics_state, canary_runs, NUM),
	KVR_F(struct kvr_metrics_state, spare32, SPARE),
	KVR_FA(struct kvr_metrics_state, spare, SPARE),
	KVR_FA(struct kvr_metrics_state, bound_us, NUM),
	KVR_FA(struct kvr_metrics_state, count, NUM),
	OF_OP(keys),
	OF_OP(keys_ok),
	OF_OP(bytes),
	OF_OP(with_bytes),
	OF_OP(none_ok),
	IN("op[].spare[]", op[0].spare[0], SPARE, OPS, { 3, U64 }),
	ALL_OF_OP(result, KVR_METRICS_ERRS),
	OF_OP(times.sum_us),
	ALL_OF_OP(times.bucket, BUCKETS),
	IN("stage[].n", stage[0].n, NUM, STAGES),
	IN("stage[].failed", stage[0].failed, NUM, STAGES),
	IN("stage[].last_us", stage[0].last_us, NUM, STAGES),
	IN("stage[].last_err", stage[0].last_err, ERR, STAGES),
	IN("stage[].times.sum_us", stage[0].times.sum_us, NUM, STAGES),
	IN("stage[].times.bucket[]", stage[0].times.bucket[0], NUM, STAGES, { BUCKETS, U64 }),
	OF_VERB(parts),
	OF_VERB(keys),
	OF_VERB(ok),
	OF_VERB(miss),
	OF_VERB(bytes),
	ALL_OF_VERB(spare, SPARE, 3),
	ALL_OF_VERB(error, NUM, KVR_METRICS_ERRS),
	ALL_OF_VERB(dropped, NUM, KVR_METRICS_ERRS),
	OF_VERB(times.sum_us),
	ALL_OF_VERB(times.bucket, NUM, BUCKETS),
	OF_TIER(wait.sum_us, NUM),
	ALL_OF_TIER(wait.bucket, BUCKETS),
	STAGE_OF_TIER(dial),
	STAGE_OF_TIER(ping),
	OF_TIER(canary.ok, NUM),
	OF_TIER(canary.failed, NUM),
	OF_TIER(canary.at_ns, AT),
	OF_TIER(canary.took_us, NUM),
	OF_TIER(canary.err, ERR),
	OF_TIER(canary.step, NUM),
	OF_TIER(canary.spare, SPARE),
	ALL_OF_TIER(count, KVR_COUNT_N),
	ALL_OF_TIER(entered, KVR_TIER_STATES),
	OF_TIER(state, NUM),
	OF_TIER(links_up, NUM),
	OF_TIER(why, ERR),
	OF_TIER(spare, SPARE),
};

const struct kvr_fields kvr_metrics_fields = { field, KVR_LEN(field) };
