/* SPDX-License-Identifier: Apache-2.0 */
/* What metrics have counted, field by field, for people who look at a replay. */
#include "kvr_metrics_state.h"

#define U64 sizeof(uint64_t)
#define OFF(member) offsetof(struct kvr_metrics_state, member)
#define OPS { KVR_OP_N, sizeof(struct kvr_metrics_op) }
#define TIERS { KVR_TIERS_MAX, sizeof(struct kvr_metrics_tier) }
#define VERBS { KVR_VERB_PING, sizeof(struct kvr_metrics_verb) }
/* Arrays in arrays: name, place of the first, kind, then the counts of what is around it. */
#define ALL_OF(name, member, n) { name, OFF(member), U64, KVR_FIELD_NUM, { OPS, { n, U64 } } }
#define OF_TIER(name, member, n) { name, OFF(member), U64, KVR_FIELD_NUM, { TIERS, { n, U64 } } }
#define OF_VERB(member) \
	{ "tier[].verb[]." #member, OFF(tier[0].verb[0].member), U64, KVR_FIELD_NUM, { TIERS, VERBS } }
#define ALL_OF_VERB(member, n) \
	{ "tier[].verb[]." #member "[]", OFF(tier[0].verb[0].member), U64, KVR_FIELD_NUM, \
		{ TIERS, VERBS, { n, U64 } } }

static const struct kvr_field field[] = {
	KVR_F(struct kvr_metrics_state, magic, HEX),
	KVR_F(struct kvr_metrics_state, n_tiers, NUM),
	KVR_FA(struct kvr_metrics_state, spare, SPARE),
	KVR_FA(struct kvr_metrics_state, count, NUM),
	KVR_FS(struct kvr_metrics_state, op, keys, NUM),
	KVR_FS(struct kvr_metrics_state, op, keys_ok, NUM),
	KVR_FS(struct kvr_metrics_state, op, bytes, NUM),
	KVR_FS(struct kvr_metrics_state, op, times.sum_us, NUM),
	ALL_OF("op[].result[]", op[0].result, KVR_METRICS_ERRS),
	ALL_OF("op[].times.bucket[]", op[0].times.bucket, KVR_METRICS_BUCKETS),
	OF_VERB(parts),
	OF_VERB(keys),
	OF_VERB(ok),
	OF_VERB(miss),
	OF_VERB(bytes),
	OF_VERB(times.sum_us),
	ALL_OF_VERB(error, KVR_METRICS_ERRS),
	ALL_OF_VERB(dropped, KVR_METRICS_ERRS),
	ALL_OF_VERB(times.bucket, KVR_METRICS_BUCKETS),
	OF_TIER("tier[].count[]", tier[0].count, KVR_COUNT_N),
	OF_TIER("tier[].entered[]", tier[0].entered, KVR_TIER_STATES),
	KVR_FS(struct kvr_metrics_state, tier, state, NUM),
	KVR_FS(struct kvr_metrics_state, tier, links_up, NUM),
	KVR_FS(struct kvr_metrics_state, tier, why, ERR),
	KVR_FS(struct kvr_metrics_state, tier, spare, SPARE),
};

const struct kvr_fields kvr_metrics_fields = { field, KVR_LEN(field) };
