/* SPDX-License-Identifier: Apache-2.0 */
/* Callers of every kind with every flag, in a world where everything goes wrong. */
#include "kvr_swarm.h"

static uint64_t
draw(struct swarm *s, uint64_t min, uint64_t max)
{
	return min + kvr_sim_rand(s->in.sim, max - min + 1);
}

uint32_t
swarm_ask(struct swarm *s, const struct kvr_sim_ask *ask)
{
	uint32_t number = kvr_sim_ask(s->in.sim, ask);

	if (number != UINT32_MAX)
		swarm_rules_asked(s, number, ask->deadline_ns);
	return number;
}

static uint64_t
draw_deadline(struct swarm *s)
{
	uint64_t now_ns = kvr_sim_now(s->in.sim);
	uint64_t what = draw(s, 0, 99), wait_ns = draw(s, KVR_MS(1), s->plan.patience_ns);

	if (what == 0)
		return 1; /* long over */
	if (what == 1)
		return now_ns + draw(s, 0, 1000);
	return now_ns + wait_ns;
}

static uint32_t
draw_flags(struct swarm *s, enum kvr_op_kind kind)
{
	static const uint32_t of_kind[KVR_OP_N] = {
		[KVR_OP_LOOKUP] = KVR_OPF_PREFIX,
		[KVR_OP_GET] = KVR_OPF_PREFIX | KVR_OPF_AT_MOST | KVR_OPF_PAGED | KVR_OPF_DEVICE |
			KVR_OPF_RECORD | KVR_OPF_LAYERS,
		[KVR_OP_PUT] = KVR_OPF_IF_ABSENT | KVR_OPF_DUP_ERROR | KVR_OPF_PAGED | KVR_OPF_DEVICE |
			KVR_OPF_RECORD | KVR_OPF_LAYERS,
		[KVR_OP_PREFETCH] = KVR_OPF_PREFIX,
	};
	uint32_t some = (uint32_t)draw(s, 0, UINT32_MAX - 1);

	uint32_t flags = some & (of_kind[kind] | KVR_OPF_EARLY);

	return flags & KVR_OPF_PAGED ? flags : flags & ~(uint32_t)(KVR_OPF_DEVICE | KVR_OPF_LAYERS);
}

static uint32_t
draw_len(struct swarm *s)
{
	bool other = kvr_sim_chance(s->in.sim, s->plan.other_len);
	uint64_t which = draw(s, 1, 2);

	return s->plan.len[other ? which : 0];
}

static void
ask_any(struct swarm *s)
{
	static uint64_t names[KVR_KEYS_MAX];
	bool big = kvr_sim_chance(s->in.sim, s->plan.big);
	uint32_t n = (uint32_t)(big ? draw(s, 500, 3000) : draw(s, 1, s->plan.n_max));
	uint64_t n_names = big ? 6000 : s->plan.n_names;
	uint64_t kind = draw(s, 0, KVR_OP_N + 1); /* puts and gets more often */
	struct kvr_sim_ask ask = { .n = n, .names = names };

	ask.kind = kind == KVR_OP_N ? KVR_OP_PUT : kind > KVR_OP_N ? KVR_OP_GET : (uint32_t)kind;
	ask.flags = draw_flags(s, (enum kvr_op_kind)ask.kind);
	ask.nomem = ask.kind == KVR_OP_GET ? s->plan.nomem : 0;
	ask.len = draw_len(s);
	ask.per_chunk = (uint32_t)draw(s, 0, 3);
	ask.deadline_ns = draw_deadline(s);
	ask.layers = (uint32_t)draw(s, 1, 6);
	ask.layers_ns = draw(s, 0, s->plan.patience_ns);
	for (uint32_t i = 0; i < n; i++)
		names[i] = draw(s, 1, n_names);
	(void)swarm_ask(s, &ask);
}

/* Any of the last calls, also one that is answered: the cancel then crosses the answer. */
static void
cancel_any(struct swarm *s)
{
	uint32_t asked = kvr_sim_asked(s->in.sim);
	uint64_t back = draw(s, 1, 20);

	if (back > asked)
		return;
	uint32_t number = asked - (uint32_t)back;

	kvr_sim_cancel(s->in.sim, number, KVR_E_CANCELLED);
	swarm_rules_cancelled(s, number);
}

/* Somebody else writes into the same store. */
static void
stranger(struct swarm *s)
{
	uint64_t tier = draw(s, 0, s->in.router.n_tiers - 1), name = draw(s, 1, s->plan.n_names);
	uint32_t len = draw_len(s);

	kvr_sim_stored(s->in.sim, (uint32_t)tier, name, len, kvr_sim_content(name));
}

/* What a lookup has found may be gone before it is read. */
static void
evict(struct swarm *s)
{
	uint64_t n = draw(s, 1, s->plan.n_names);

	for (; n > 0; n--) {
		uint64_t tier = draw(s, 0, s->in.router.n_tiers - 1);
		uint64_t name = draw(s, 1, s->plan.n_names);

		kvr_sim_evict(s->in.sim, (uint32_t)tier, name);
	}
}

static void
outage(struct swarm *s)
{
	uint64_t tier = draw(s, 0, s->in.router.n_tiers - 1);
	bool down = draw(s, 0, 1) == 0;

	kvr_sim_down(s->in.sim, (uint32_t)tier, down);
}

static bool
at_stop_step(void *arg)
{
	const struct swarm *s = arg;

	return kvr_sim_steps(s->in.sim) >= s->stop_at_step;
}

/* Between any two steps, also of one operation. */
static void
stop(struct swarm *s)
{
	bool abort = s->plan.stop == SWARM_ABORT;

	s->stop_at_step = kvr_sim_steps(s->in.sim) + s->plan.stop_step;
	(void)kvr_sim_run_until(
	    s->in.sim, kvr_sim_now(s->in.sim) + s->plan.pause_ns, at_stop_step, s);
	kvr_sim_instance_stop(&s->in, !abort);
	if (s->plan.stop == SWARM_DRAIN_THEN_ABORT) {
		kvr_sim_run(s->in.sim, kvr_sim_now(s->in.sim) + draw(s, 0, s->plan.pause_ns));
		kvr_sim_instance_stop(&s->in, false);
		abort = true;
	}
	if (abort)
		s->stopped_ns = kvr_sim_now(s->in.sim);
}

void
swarm_chaos(struct swarm *s)
{
	for (uint32_t i = 0; i < s->plan.rounds; i++) {
		bool stopped = s->plan.stop != SWARM_GOES_ON && i >= s->plan.stop_round;
		uint64_t n = draw(s, 0, s->plan.asks_max), pause_ns = draw(s, 0, s->plan.pause_ns);

		for (; n > 0 && !stopped; n--)
			ask_any(s);
		if (kvr_sim_chance(s->in.sim, s->plan.changes))
			swarm_change(s);
		if (!stopped && kvr_sim_chance(s->in.sim, s->plan.canaries))
			swarm_canary(s);
		if (!stopped && s->plan.flood && i == s->plan.rounds / 2)
			swarm_flood(s);
		if (kvr_sim_chance(s->in.sim, s->plan.cancels))
			cancel_any(s);
		if (kvr_sim_chance(s->in.sim, s->plan.strangers))
			stranger(s);
		if (kvr_sim_chance(s->in.sim, s->plan.evictions))
			evict(s);
		if (kvr_sim_chance(s->in.sim, s->plan.outages))
			outage(s);
		if (stopped && i == s->plan.stop_round)
			stop(s);
		kvr_sim_run(s->in.sim, kvr_sim_now(s->in.sim) + pause_ns);
		if (i % 8 == 0)
			swarm_tables_check(s);
	}
}
