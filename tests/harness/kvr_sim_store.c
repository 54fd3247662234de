/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stores hold. A value is a number that stands for its bytes: whoever gets a value can be
 * asked whether it is the one that belongs to the key.
 */
#include "kvr_sim_own.h"

#include <stdlib.h>

void
kvr_sim_store_init(struct kvr_sim *sim)
{
	for (uint32_t i = 0; i < KVR_TIERS_MAX; i++) {
		sim->tier[i].store = (struct kvr_sim_store){ .dial_min_ns = KVR_MS(1),
			.dial_max_ns = KVR_MS(1),
			.run_min_ns = KVR_MS(1),
			.run_max_ns = KVR_MS(1),
			.kick_ns = 20000,
			.stick_ns = KVR_SEC(5) };
		sim->tier[i].values = calloc(SIM_VALUES, sizeof(struct sim_value));
		KVR_CHECK(sim->tier[i].values != NULL);
	}
}

void
kvr_sim_store_free(struct kvr_sim *sim)
{
	for (uint32_t i = 0; i < KVR_TIERS_MAX; i++)
		free(sim->tier[i].values);
}

struct sim_value *
kvr_sim_value(struct kvr_sim *sim, uint32_t tier, uint64_t name)
{
	struct sim_value *values = sim->tier[tier].values;
	uint64_t i = kvr_hash64(&name, sizeof(name)) % SIM_VALUES;

	KVR_CHECK(name != 0);
	for (uint32_t n = 0; n < SIM_VALUES; n++) {
		if (values[i].name == 0)
			values[i].name = name;
		if (values[i].name == name)
			return &values[i];
		i = (i + 1) % SIM_VALUES;
	}
	kvr_sim_broken(sim, "more names than this world has room for");
}

void
kvr_sim_stored(struct kvr_sim *sim, uint32_t tier, uint64_t name, uint32_t len, uint64_t value)
{
	struct sim_value *v = kvr_sim_value(sim, tier, name);

	v->present = true;
	v->len = v->raw_len = len;
	v->serde = 0;
	v->value = value;
}

void
kvr_sim_evict(struct kvr_sim *sim, uint32_t tier, uint64_t name)
{
	kvr_sim_value(sim, tier, name)->present = false;
}

int64_t
kvr_sim_has(struct kvr_sim *sim, uint32_t tier, uint64_t name)
{
	const struct sim_value *v = kvr_sim_value(sim, tier, name);

	return v->present ? (int64_t)v->len : -1;
}

static void
found(struct kvr_row *row, const struct sim_value *v, uint32_t len)
{
	row->len = len;
	row->body.raw_len = v->raw_len;
	row->body.serde = v->serde;
	row->body.other = 0;
	row->body.spare = 0;
	row->err = KVR_OK;
}

static uint32_t
get(struct kvr_sim *sim, struct kvr_row *row, const struct sim_value *v)
{
	bool wrong = row->flags & KVR_ROW_AT_MOST ? v->len > row->len : v->len != row->len;

	if (wrong || (v->serde != 0 && (row->flags & KVR_ROW_STAGED) == 0)) {
		row->err = wrong ? KVR_E_LENGTH : KVR_E_IDENTITY;
		return 0;
	}
	found(row, v, v->len);
	*kvr_sim_api_place(sim, row) = v->value;
	return v->len;
}

static uint32_t
put(struct kvr_sim *sim, const struct kvr_sim_store *s, struct kvr_row *row, struct sim_value *v)
{
	bool encoded = row->flags & KVR_ROW_ENCODED;

	if (kvr_sim_chance(sim, s->full)) {
		row->err = KVR_E_NOSPACE;
		return 0;
	}
	v->present = true;
	v->len = row->len;
	v->serde = encoded ? row->body.serde : 0;
	v->raw_len = encoded ? row->body.raw_len : row->len;
	v->value = *kvr_sim_api_place(sim, row);
	row->err = KVR_OK;
	return row->len;
}

uint32_t
kvr_sim_store_row(struct kvr_sim *sim, uint32_t tier, enum kvr_verb verb, struct kvr_row *row)
{
	const struct kvr_sim_store *s = &sim->tier[tier].store;
	struct sim_value *v = kvr_sim_value(sim, tier, kvr_sim_api_name(sim, row->key));
	bool changes = verb == KVR_VERB_PUT || verb == KVR_VERB_DEL;
	bool refuses = kvr_sim_chance(sim, s->refuses) || (s->read_only && changes);
	bool evicts = kvr_sim_chance(sim, s->evicts);
	bool corrupts = kvr_sim_chance(sim, s->corrupts);

	bool sick = s->node_down > 0 && kvr_sim_chance(sim, s->node_down);

	if (sick || refuses) {
		row->err = sick ? KVR_E_DOWN : KVR_E_REFUSED;
		return 0;
	}
	if (evicts)
		v->present = false;
	if (verb == KVR_VERB_PUT)
		return put(sim, s, row, v);
	if (!v->present) {
		row->err = KVR_E_MISS;
		return 0;
	}
	if (verb == KVR_VERB_GET && corrupts) {
		row->err = KVR_E_CORRUPT;
		return 0;
	}
	if (verb == KVR_VERB_GET)
		return get(sim, row, v);
	if (verb == KVR_VERB_DEL)
		v->present = false;
	if (verb == KVR_VERB_STAT)
		found(row, v, v->raw_len);
	row->err = KVR_OK;
	return 0;
}
