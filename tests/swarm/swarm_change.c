/* SPDX-License-Identifier: Apache-2.0 */
/* What does not come from callers: options that are changed in the middle of everything, and canaries. */
#include "kvr_swarm.h"

static uint64_t
draw(struct swarm *s, uint64_t min, uint64_t max)
{
	return min + kvr_sim_rand(s->in.sim, max - min + 1);
}

static void
tell(struct swarm *s, uint16_t to, enum kvr_setting what, uint32_t tier, uint64_t value)
{
	struct kvr_msg m = { .type = KVR_MSG_CONFIG, .from = KVR_ID_API };

	m.CONFIG.what = what;
	m.CONFIG.tier = tier;
	m.CONFIG.value = value;
	kvr_sim_post(s->in.sim, to, &m);
}

/* A new value, or the one that it has: all are said again with every change. */
static uint64_t
again_or(struct swarm *s, uint64_t is, uint64_t min, uint64_t max)
{
	uint64_t other = draw(s, min, max);

	return kvr_sim_chance(s->in.sim, 512) ? is : other;
}

/* As kvr_change does it for one tier. What is drawn is remembered, for what waits until all is well. */
void
swarm_change(struct swarm *s)
{
	uint32_t t = (uint32_t)draw(s, 0, s->in.router.n_tiers - 1);
	struct kvr_tier_config *c = &s->in.tier[t];
	struct kvr_router_tier *r = &s->in.router.tier[t];
	uint16_t to = KVR_ID_TIER_OF(t);

	r->timeout_ns = again_or(s, r->timeout_ns, KVR_MS(5), KVR_MS(100));
	c->faults = (uint32_t)again_or(s, c->faults, 1, 6);
	c->backoff_min_ns = again_or(s, c->backoff_min_ns, KVR_MS(1), KVR_MS(100));
	c->backoff_max_ns = again_or(s, c->backoff_max_ns, c->backoff_min_ns, KVR_SEC(2));
	c->backoff_max_ns = KVR_MAX(c->backoff_max_ns, c->backoff_min_ns);
	tell(s, KVR_ID_ROUTER, KVR_SET_TIMEOUT, t, r->timeout_ns);
	tell(s, to, KVR_SET_FAULTS, t, c->faults);
	tell(s, to, KVR_SET_BACKOFF_MIN, t, c->backoff_min_ns);
	tell(s, to, KVR_SET_BACKOFF_MAX, t, c->backoff_max_ns);
	if (!s->plan.flat)
		return;
	bool off = kvr_sim_chance(s->in.sim, 100);

	c->health_ns = off ? 0 : again_or(s, c->health_ns, KVR_MS(20), KVR_MS(500));
	c->health_ping_ns = again_or(s, c->health_ping_ns, KVR_MS(5), KVR_MS(300));
	c->health_failed = (uint32_t)again_or(s, c->health_failed, 1, 10);
	c->health_wait_ns = again_or(s, c->health_wait_ns, KVR_MS(10), KVR_SEC(1));
	tell(s, to, KVR_SET_PING_TIMEOUT, t, c->health_ping_ns);
	tell(s, to, KVR_SET_PING_INTERVAL, t, c->health_ns);
	tell(s, to, KVR_SET_FAILED, t, c->health_failed);
	tell(s, to, KVR_SET_RECOVERY, t, c->health_wait_ns);
}

/* For what asks that all is well: a batch passes eight tiers one after the other, and waits for its copies. */
void
swarm_be_patient(struct swarm *s)
{
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		struct kvr_router_tier *r = &s->in.router.tier[t];

		if (r->timeout_ns == 0 || r->timeout_ns >= KVR_MS(100))
			continue;
		r->timeout_ns = KVR_MS(100);
		tell(s, KVR_ID_ROUTER, KVR_SET_TIMEOUT, t, r->timeout_ns);
	}
}

/* A value of its own through one tier. Its three steps, and more of them at once than one canary has. */
void
swarm_canary(struct swarm *s)
{
	static const uint32_t kinds[] = { KVR_OP_PUT, KVR_OP_GET, KVR_OP_REMOVE };
	uint32_t t = (uint32_t)draw(s, 0, s->in.router.n_tiers - 1);
	uint64_t name = SWARM_CANARY_NAME + t, wait_ns = draw(s, KVR_MS(1), s->plan.patience_ns);
	uint64_t kind = draw(s, 0, KVR_LEN(kinds) - 1);
	const struct kvr_sim_ask ask = { .kind = kinds[kind],
		.n = 1,
		.len = s->plan.len[0],
		.only = t + 1,
		.deadline_ns = kvr_sim_now(s->in.sim) + wait_ns,
		.names = &name };

	/* What is never written has none. */
	if (s->in.router.tier[t].write != KVR_WRITE_NEVER)
		(void)swarm_ask(s, &ask);
}

/* What asks for one tier alone has reached no other. */
void
swarm_canaries_end(struct swarm *s)
{
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		for (uint32_t u = 0; u < s->in.router.n_tiers; u++) {
			if (u != t && kvr_sim_has(s->in.sim, u, SWARM_CANARY_NAME + t) >= 0)
				swarm_broken(s, "the canary of tier %u is in tier %u", t, u);
		}
	}
}

/* More parts than there are, so that operations wait for the table and not only for tiers. */
void
swarm_flood(struct swarm *s)
{
	enum { CALLS = 60, KEYS = 400 };
	static uint64_t names[KEYS];

	for (uint32_t i = 0; i < CALLS; i++) {
		uint64_t from = draw(s, 1, 6000), wait_ns = draw(s, KVR_MS(1), s->plan.patience_ns);
		bool put = draw(s, 0, 3) == 0;
		const struct kvr_sim_ask ask = { .kind = put ? KVR_OP_PUT : KVR_OP_GET,
			.n = KEYS,
			.len = s->plan.len[0],
			.deadline_ns = kvr_sim_now(s->in.sim) + wait_ns,
			.names = names };

		for (uint32_t k = 0; k < KEYS; k++)
			names[k] = from + k;
		(void)swarm_ask(s, &ask);
	}
}
