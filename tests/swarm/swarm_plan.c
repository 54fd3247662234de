/* SPDX-License-Identifier: Apache-2.0 */
/* Some seeds have one kind of trouble, some have all, some none: each finds other bugs. */
#include "kvr_swarm.h"

uint64_t
swarm_pick(uint64_t *draw, uint64_t min, uint64_t max)
{
	uint64_t n = kvr_rand(draw);

	return min + n % (max - min + 1);
}

static bool
one_in(uint64_t *draw, uint64_t n)
{
	return swarm_pick(draw, 1, n) == 1;
}

static uint32_t
trouble(uint64_t *draw, uint32_t at_most)
{
	bool there = one_in(draw, 3);
	uint64_t n = swarm_pick(draw, 1, at_most);

	return there ? (uint32_t)n : 0;
}

static void
draw_tier(uint64_t *d, struct kvr_tier_config *c, struct kvr_link_config *link)
{
	c->n_links = (uint32_t)swarm_pick(d, 1, 4);
	c->n_control = (uint32_t)swarm_pick(d, 0, c->n_links);
	c->places = (uint32_t)swarm_pick(d, 1, 3);
	c->faults = (uint32_t)swarm_pick(d, 0, 6);
	c->fixed_backoff = one_in(d, 5);
	c->budget_bytes = swarm_pick(d, 0, 2) * KVR_KIB(100);
	c->ageing_ns = KVR_MS(swarm_pick(d, 0, 50));
	bool pings = one_in(d, 2);
	uint64_t ping_ms = swarm_pick(d, 20, 500);

	c->ping_ns = pings ? KVR_MS(ping_ms) : 0;
	bool checks = one_in(d, 4);

	c->health_ns = checks ? KVR_MS(swarm_pick(d, 20, 500)) : 0;
	c->health_ping_ns = KVR_MS(swarm_pick(d, 5, 300));
	c->health_wait_ns = KVR_MS(swarm_pick(d, 10, 1000));
	c->health_failed = (uint32_t)swarm_pick(d, 1, 10);
	c->connect_ns = link->connect_ns = KVR_MS(swarm_pick(d, 5, 300));
	c->backoff_max_ns = KVR_MS(swarm_pick(d, 100, 2000));
	c->seed = kvr_rand(d);
	link->stuck_ns = KVR_MS(swarm_pick(d, 10, 500));
}

static void
draw_router_tier(uint64_t *d, struct kvr_router_tier *t, uint32_t n_links)
{
	static const uint8_t policy[] = { KVR_WRITE_THROUGH, KVR_WRITE_THROUGH, KVR_WRITE_BACK,
		KVR_WRITE_NEVER };
	uint64_t write = swarm_pick(d, 0, KVR_LEN(policy) - 1);
	bool encodes = one_in(d, 3), limited = one_in(d, 3);
	uint64_t timeout_ms = swarm_pick(d, 5, 100);

	t->write = policy[write];
	t->serde = encodes ? (uint32_t)swarm_pick(d, 1, 2) : 0;
	t->promote = one_in(d, 2);
	t->promote_after = (uint8_t)swarm_pick(d, 0, 3);
	t->give_up = !one_in(d, 3);
	t->timeout_ns = limited ? KVR_MS(timeout_ms) : 0;
	t->bulk_lanes = n_links;
	t->long_bytes = one_in(d, 2) ? KVR_LONG_BYTES : 0;
}

static void
draw_router(uint64_t *d, struct kvr_router_config *c)
{
	bool tight = one_in(d, 3), by_length = one_in(d, 2);
	uint64_t few = swarm_pick(d, 1, 24), many = swarm_pick(d, 512, 4096);

	c->staging_pages = (uint32_t)(tight ? few : many);
	c->slot_pages = by_length ? 0 : (uint32_t)swarm_pick(d, 1, KVR_MIN(c->staging_pages, 4U));
	c->background_ns = KVR_MS(swarm_pick(d, 5, 2000));
	c->grace_ns = KVR_MS(swarm_pick(d, 1, 2));
}

static void
draw_callers(uint64_t *d, struct swarm_plan *p)
{
	static const uint32_t n_names[] = { 4, 20, 60, 300 }, n_max[] = { 1, 4, 20, 60 };
	static const uint64_t patience_ms[] = { 20, 100, 500, 2000 };

	p->rounds = (uint32_t)swarm_pick(d, 10, 100);
	p->asks_max = (uint32_t)swarm_pick(d, 1, 5);
	p->n_names = n_names[swarm_pick(d, 0, 3)];
	p->n_max = n_max[swarm_pick(d, 0, 3)];
	p->big = one_in(d, 12) ? 40 : 0;
	p->len[0] = (uint32_t)swarm_pick(d, 1, 4 * KVR_PAGE);
	p->len[1] = (uint32_t)swarm_pick(d, 1, 4 * KVR_PAGE);
	p->len[2] = one_in(d, 4) ? (uint32_t)swarm_pick(d, 1, 64 * KVR_PAGE) : p->len[0];
	p->other_len = trouble(d, 300);
	p->cancels = trouble(d, 300);
	p->outages = trouble(d, 120);
	p->strangers = trouble(d, 300);
	p->evictions = trouble(d, 600);
	p->nomem = trouble(d, 200);
	p->changes = trouble(d, 300);
	p->canaries = trouble(d, 600);
	p->flood = one_in(d, 40);
	p->patience_ns = KVR_MS(patience_ms[swarm_pick(d, 0, 3)]);
	p->pause_ns = KVR_MS(swarm_pick(d, 1, 60));
	p->stop = (enum swarm_stop)(one_in(d, 4) ? swarm_pick(d, 1, 3) : SWARM_GOES_ON);
	p->stop_round = (uint32_t)swarm_pick(d, 0, p->rounds - 1);
	p->stop_step = (uint32_t)swarm_pick(d, 0, 100);
}

void
swarm_plan_draw(struct swarm *s, uint64_t seed)
{
	static const uint32_t n_tiers[] = { 1, 1, 2, 2, 2, 3, 3, 4, 8 };
	struct swarm_plan *p = &s->plan;
	uint64_t *d = &p->draw;

	p->seed = seed;
	p->draw = seed * UINT64_C(0x9e3779b97f4a7c15);
	kvr_sim_instance_defaults(&s->in, n_tiers[swarm_pick(d, 0, KVR_LEN(n_tiers) - 1)]);
	draw_router(d, &s->in.router);
	p->flat = one_in(d, 4);
	s->in.transfer.places = (uint32_t)swarm_pick(d, 1, 2);
	s->in.transfer.n_serde = (uint32_t)swarm_pick(d, 1, 4);
	s->in.transfer.budget_bytes = swarm_pick(d, 0, 2) * KVR_KIB(40);
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		draw_tier(d, &s->in.tier[t], &s->in.link[t]);
		draw_router_tier(d, &s->in.router.tier[t], s->in.tier[t].n_links);
	}
	draw_callers(d, p);
	p->hop_ns = one_in(d, 2) ? 0 : 20000;
	p->ring_bytes = one_in(d, 16) ? KVR_MIB(2) : KVR_MIB(16);
}

static void
draw_store(uint64_t *d, struct kvr_sim_store *store)
{
	store->dial_max_ns = KVR_MS(swarm_pick(d, 1, 30));
	store->run_min_ns = 10000;
	store->run_max_ns = KVR_MS(swarm_pick(d, 1, 30));
	store->stick_ns = KVR_MS(swarm_pick(d, 1, 2000));
	store->kick_ns = swarm_pick(d, 1, 500) * 1000;
	store->dial_fails = trouble(d, 700);
	store->dial_hangs = trouble(d, 300);
	store->loses = trouble(d, 300);
	store->garbles = trouble(d, 200);
	store->stalls = trouble(d, 200);
	store->drips = trouble(d, 200);
	store->sticks = one_in(d, 2) ? trouble(d, 100) : 0;
	store->ping_fails = trouble(d, 500);
	store->corrupts = trouble(d, 200);
	store->refuses = trouble(d, 1000);
	store->evicts = trouble(d, 300);
	store->full = trouble(d, 800);
	store->no_ping = one_in(d, 4);
	store->read_only = one_in(d, 6);
}

void
swarm_plan_faults(struct swarm *s)
{
	uint64_t *d = &s->plan.draw;

	bool slow = one_in(d, 8);
	uint64_t most_ns = slow ? KVR_MS(2) : 500000;

	s->in.hands->max_ns = swarm_pick(d, 1000, most_ns);
	s->in.hands->raw = trouble(d, 1024);
	s->in.hands->corrupts = trouble(d, 200);
	s->in.hands->breaks = trouble(d, 200);
	s->in.hands->lost = one_in(d, 16);
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		struct kvr_sim_store *store = kvr_sim_store(s->in.sim, t);
		bool good = one_in(d, 4);

		draw_store(d, store);
		if (good) /* one store is well while others are not */
			*store = (struct kvr_sim_store){ .dial_max_ns = store->dial_max_ns,
				.run_min_ns = store->run_min_ns,
				.run_max_ns = store->run_max_ns,
				.kick_ns = store->kick_ns,
				.no_ping = store->no_ping };
	}
}

void
swarm_plan_well(struct swarm *s)
{
	s->in.hands->raw = s->in.hands->corrupts = s->in.hands->breaks = 0;
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		struct kvr_sim_store *store = kvr_sim_store(s->in.sim, t);
		bool down = store->down;

		*store = (struct kvr_sim_store){ .dial_min_ns = KVR_MS(1),
			.dial_max_ns = KVR_MS(1),
			.run_min_ns = 100000,
			.run_max_ns = 100000,
			.kick_ns = 20000,
			.no_ping = store->no_ping };
		if (down)
			kvr_sim_down(s->in.sim, t, false);
	}
}
