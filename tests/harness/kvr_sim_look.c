/* SPDX-License-Identifier: Apache-2.0 */
/* What a test may ask of a simulated world. */
#include "kvr_sim_own.h"

uint64_t
kvr_sim_now(const struct kvr_sim *sim)
{
	return sim->now_ns;
}

uint64_t
kvr_sim_rand(struct kvr_sim *sim, uint64_t below)
{
	uint64_t r = kvr_rand(&sim->rand);

	return below == 0 ? 0 : r % below;
}

bool
kvr_sim_chance(struct kvr_sim *sim, uint32_t of_1024)
{
	return kvr_sim_rand(sim, 1024) < of_1024;
}

struct kvr_row *
kvr_sim_rows(struct kvr_sim *sim, uint32_t first)
{
	KVR_CHECK(first < KVR_ROWS_MAX);
	return &sim->rows[first];
}

const struct kvr_actor *
kvr_sim_actor(const struct kvr_sim *sim, uint16_t id)
{
	KVR_CHECK(id < KVR_ID_N && sim->decider[id].present);
	return &sim->decider[id].actor;
}

uint32_t
kvr_sim_state(const struct kvr_sim *sim, uint16_t id)
{
	return kvr_sim_actor(sim, id)->state;
}

uint64_t
kvr_sim_digest(const struct kvr_sim *sim)
{
	return sim->digest;
}

uint64_t
kvr_sim_steps(const struct kvr_sim *sim)
{
	return sim->steps;
}

uint64_t
kvr_sim_seen(const struct kvr_sim *sim, uint16_t to, enum kvr_msg_type type)
{
	return sim->seen[to][type];
}

uint32_t
kvr_sim_parts_out(const struct kvr_sim *sim)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++)
		n += sim->holder[i].part != 0 && sim->holder[i].id != KVR_ID_ROUTER;
	return n;
}

struct kvr_sim_store *
kvr_sim_store(struct kvr_sim *sim, uint32_t tier)
{
	KVR_CHECK(tier < KVR_TIERS_MAX);
	return &sim->tier[tier].store;
}

void
kvr_sim_down(struct kvr_sim *sim, uint32_t tier, bool down)
{
	sim->tier[tier].store.down = down;
	sim->tier[tier].epoch++;
}
