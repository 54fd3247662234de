/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The faults are over. Everything that was asked comes to its end, every lane comes back within a
 * cool-down, and then each call has exactly one right answer: see swarm_model.c.
 */
#include "kvr_swarm.h"

enum { CALM_CALLS = 16, SHAKE_ROUNDS = 10, CROWD_CALLS = 6, CROWD_KEYS = 16 };

static bool
all_released(void *arg)
{
	const struct swarm *s = arg;

	return kvr_sim_open(s->in.sim) == 0;
}

static bool
is_up(void *arg)
{
	const struct swarm *s = arg;

	return kvr_sim_instance_is_up(&s->in);
}

static void
comes_up(struct swarm *s)
{
	uint64_t longest_ns = 0;

	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		const struct kvr_tier_config *c = &s->in.tier[t];

		uint64_t gate_ns = c->health_ns == 0 ? 0
		    : c->health_wait_ns + 3 * c->health_ns + 2 * c->health_ping_ns;

		longest_ns = KVR_MAX(longest_ns,
		    c->backoff_max_ns + c->backoff_max_ns / 8 + 2 * c->connect_ns + gate_ns);
	}
	if (!kvr_sim_run_until(
	        s->in.sim, kvr_sim_now(s->in.sim) + longest_ns + KVR_MS(10), is_up, s))
		swarm_broken(s, "the stores are well, and a lane does not come back");
}

void
swarm_calm_wait(struct swarm *s, uint64_t within_ns)
{
	if (!kvr_sim_run_until(s->in.sim, kvr_sim_now(s->in.sim) + within_ns, all_released, s))
		swarm_broken(s, "the stores are well, and a call does not come to its end");
}

/*
 * Connections that broke before are found broken at their next use, each once. So that nobody pays
 * for that later, every lane is used: as many calls at once as all lanes have places.
 */
static bool
shake(struct swarm *s)
{
	uint32_t first = kvr_sim_asked(s->in.sim), n = 0, places = 0;
	bool clean = true;

	for (uint32_t t = 0; t < s->in.router.n_tiers; t++)
		places = KVR_MAX(places, s->in.tier[t].n_links * s->in.tier[t].places);
	for (uint32_t i = 0; i < 2 * places; i++) {
		uint64_t name = SWARM_CALM_NAME + SWARM_CALM_NAMES + i;
		struct kvr_sim_ask ask = { .kind = i % 2 == 0 ? KVR_OP_LOOKUP : KVR_OP_GET,
			.n = 1,
			.len = 1,
			.names = &name };

		ask.deadline_ns = kvr_sim_now(s->in.sim) + KVR_SEC(5);
		n += swarm_ask(s, &ask) != UINT32_MAX;
	}
	swarm_calm_wait(s, KVR_SEC(6));
	for (uint32_t i = 0; i < n; i++)
		clean = clean && kvr_sim_answer_to(s->in.sim, first + i)->err == KVR_E_MISS;
	return clean;
}

/*
 * Many at once with the same few keys, in orders that cross, and with what little staging this
 * world has: they wait for each other's keys and for each other's slots. Nobody may wait for his
 * deadline, for that would be a circle. False: a connection was found broken.
 */
static bool
crowd(struct swarm *s)
{
	static const uint32_t kinds[] = { KVR_OP_PUT, KVR_OP_PUT, KVR_OP_PREFETCH, KVR_OP_GET };
	uint32_t first = kvr_sim_asked(s->in.sim), asked = 0;
	uint64_t names[CROWD_KEYS];
	bool clean = true;

	for (uint32_t i = 0; i < CROWD_CALLS; i++) {
		uint64_t kind = kvr_sim_rand(s->in.sim, KVR_LEN(kinds));
		uint64_t n = 1 + kvr_sim_rand(s->in.sim, CROWD_KEYS);
		uint64_t from = kvr_sim_rand(s->in.sim, CROWD_KEYS);
		bool back = kvr_sim_chance(s->in.sim, 512);
		struct kvr_sim_ask ask = { .kind = kinds[kind],
			.n = (uint32_t)n,
			.len = s->plan.len[0],
			.names = names };

		for (uint32_t k = 0; k < n; k++)
			names[k] = SWARM_CALM_NAME + 1000 +
			           (from + (back ? CROWD_KEYS - k : k)) % CROWD_KEYS;
		ask.deadline_ns = kvr_sim_now(s->in.sim) + KVR_SEC(20);
		asked += swarm_ask(s, &ask) != UINT32_MAX;
	}
	swarm_calm_wait(s, KVR_SEC(20) + s->in.router.background_ns);
	for (uint32_t i = first; i < first + asked; i++) {
		const struct kvr_sim_answer *a = kvr_sim_answer_to(s->in.sim, i);

		if (a->answered_ns - a->asked_ns > KVR_SEC(5))
			swarm_broken(s, "all is well; %s: it waits for its deadline", swarm_name(a));
		for (uint32_t k = 0; k < a->n; k++)
			clean = clean && a->rows[k].err != KVR_E_DOWN;
	}
	return clean;
}

static void
recovers(struct swarm *s)
{
	for (uint32_t i = 0; i < SHAKE_ROUNDS; i++) {
		comes_up(s);
		if (shake(s) && crowd(s) && kvr_sim_instance_is_up(&s->in))
			return;
	}
	swarm_broken(s, "the stores are well, and calls fail all the same");
}

/* With so little staging that keys wait for it or go without, the model does not know all. */
static bool
is_ample(const struct swarm *s)
{
	const struct router *me = kvr_sim_actor(s->in.sim, KVR_ID_ROUTER)->self;
	uint32_t pages = (uint32_t)((s->plan.len[0] + KVR_PAGE - 1) / KVR_PAGE);

	/* Long values in the chaos may have left few slots, each of them long. */
	return s->in.router.staging_pages >= 512 && pages <= 4 &&
	       (me->n_slots == 0 || me->n_slots >= 100) &&
	       s->in.router.background_ns >= KVR_MS(500);
}

void
swarm_calm(struct swarm *s)
{
	swarm_calm_wait(s, s->plan.patience_ns + s->in.router.background_ns + KVR_SEC(5));
	swarm_be_patient(s);
	/* A worker may still be stuck with a ping or a dial that began before. */
	kvr_sim_run(s->in.sim, kvr_sim_now(s->in.sim) + KVR_SEC(5));
	recovers(s);
	swarm_tables_empty(s);
	for (uint32_t i = 0; i < CALM_CALLS && is_ample(s); i++)
		swarm_model_call(s);
}
