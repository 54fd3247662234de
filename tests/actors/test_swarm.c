/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier and its links under everything that a store and a caller can do to them, one seed a run:
 * first chaos, then the store is well again and all has to come to its end. KVR_SEEDS says how many
 * (300), KVR_SEED which one alone. The digest that is printed is the same for every compiler.
 */
#include "kvr_check.h"
#include "kvr_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct kvr_rig rig;
static uint64_t running;

static uint64_t
draw(uint64_t min, uint64_t max)
{
	return min + kvr_sim_rand(rig.sim, max - min + 1);
}

/* Settings come from a generator of their own: the world does not exist yet. */
static uint64_t
pick(uint64_t *r, uint64_t min, uint64_t max)
{
	uint64_t n = kvr_rand(r);

	return min + n % (max - min + 1);
}

static void
settings(uint64_t *r)
{
	kvr_rig_defaults(&rig);
	rig.tier.tier = (uint32_t)pick(r, 0, KVR_TIERS_MAX - 1);
	rig.tier.n_links = (uint32_t)pick(r, 1, 5);
	rig.tier.n_control = (uint32_t)pick(r, 0, rig.tier.n_links);
	rig.tier.places = (uint32_t)pick(r, 1, 4);
	rig.tier.faults = (uint32_t)pick(r, 0, 6);
	rig.tier.fixed_backoff = pick(r, 0, 4) == 0;
	rig.tier.budget_bytes = pick(r, 0, 2) * KVR_KIB(100);
	rig.tier.ageing_ns = KVR_MS(pick(r, 0, 50));
	rig.tier.ping_ns = KVR_MS(pick(r, 0, 1) * pick(r, 20, 500));
	rig.tier.connect_ns = rig.link.connect_ns = KVR_MS(pick(r, 5, 300));
	rig.tier.backoff_max_ns = KVR_MS(pick(r, 100, 2000));
	rig.link.stuck_ns = KVR_MS(pick(r, 10, 500));
	rig.tier.seed = *r;
}

/* Some seeds have one kind of trouble, some have all, some none. */
static uint32_t
trouble(uint64_t *r, uint32_t at_most)
{
	bool there = pick(r, 0, 2) == 0;
	uint64_t n = pick(r, 1, at_most);

	return there ? (uint32_t)n : 0;
}

static void
store(uint64_t *r)
{
	struct kvr_sim_store *s = kvr_sim_store(rig.sim, rig.tier.tier);

	s->dial_max_ns = KVR_MS(pick(r, 1, 30));
	s->run_min_ns = 10000;
	s->run_max_ns = KVR_MS(pick(r, 1, 30));
	s->stick_ns = KVR_MS(pick(r, 1, 2000));
	s->dial_fails = trouble(r, 700);
	s->dial_hangs = trouble(r, 300);
	s->loses = trouble(r, 300);
	s->garbles = trouble(r, 200);
	s->stalls = trouble(r, 200);
	s->sticks = trouble(r, 100);
	s->ping_fails = trouble(r, 500);
	s->corrupts = trouble(r, 200);
	s->refuses = trouble(r, 1000);
	s->evicts = trouble(r, 300);
	s->full = trouble(r, 800);
	s->no_ping = pick(r, 0, 3) == 0;
}

static void
well(void)
{
	struct kvr_sim_store *s = kvr_sim_store(rig.sim, rig.tier.tier);

	*s = (struct kvr_sim_store){ .dial_min_ns = 1000000,
		.dial_max_ns = 1000000,
		.run_min_ns = 1000000,
		.run_max_ns = 1000000,
		.kick_ns = 20000,
		.no_ping = s->no_ping };
	kvr_sim_down(rig.sim, rig.tier.tier, false);
}

static void
give(void)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_GET, KVR_VERB_PUT,
		KVR_VERB_DEL, KVR_VERB_STAT };
	struct kvr_rig_ask ask = { .len = 4096 };
	uint64_t verb = draw(0, KVR_LEN(verbs) - 1);
	uint64_t cls = draw(0, KVR_CLASS_N - 1);
	uint64_t n = draw(1, KVR_PART_KEYS);
	uint64_t wait_ns = draw(100000, KVR_MS(400));

	ask.verb = verbs[verb];
	ask.cls = ask.verb == KVR_VERB_GET || ask.verb == KVR_VERB_PUT ? (enum kvr_class)cls
	                                                               : KVR_CLASS_LOOKUP;
	ask.n = (uint32_t)n;
	if (ask.verb == KVR_VERB_EXISTS)
		ask.n *= (uint32_t)draw(1, 8);
	ask.key = draw(0, 200);
	ask.deadline_ns = kvr_sim_now(rig.sim) + wait_ns;
	kvr_rig_give(&rig, &ask);
}

static void
cancel_any(void)
{
	uint64_t slot = (rig.n_given + KVR_PARTS_SMALL - draw(1, 40)) % KVR_PARTS_SMALL;

	if (rig.part[slot].id !=
	    0) /* also of those that are answered: it then crosses the answer */
		kvr_rig_cancel(&rig, (uint32_t)slot, KVR_E_CANCELLED);
}

static void
chaos(bool stop_early)
{
	uint64_t rounds = draw(20, 200), calm = draw(0, 3);

	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t what = draw(0, 99), wait_ns = draw(0, KVR_MS(20) << calm);

		if (what < 70 && rig.n_open < 800)
			for (uint64_t n = draw(1, 6); n > 0; n--)
				give();
		else if (what < 85)
			cancel_any();
		else if (what < 88)
			kvr_sim_down(rig.sim, rig.tier.tier, true);
		else if (what < 94)
			kvr_sim_down(rig.sim, rig.tier.tier, false);
		kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + wait_ns);
		if (stop_early && i == rounds / 2)
			kvr_rig_stop(&rig);
	}
}

static bool
all_answered(void *arg)
{
	(void)arg;
	return rig.n_open == 0;
}

static bool
is_up(void *arg)
{
	(void)arg;
	return kvr_rig_tier(&rig) == KVR_TIER_UP && rig.links_up == rig.tier.n_links;
}

static bool
is_stopped(void *arg)
{
	(void)arg;
	return rig.stopped == 1;
}

/*
 * The store is well. Connections that broke before may be found broken now, one after the other,
 * and may be the one fault too many that opens the breaker; but each of them only once. Without a
 * limit of faults, the try on a new connection has to do.
 */
static void
recovers(void)
{
	uint32_t slot = 0;

	for (uint32_t i = 0; i <= rig.tier.n_links; i++) {
		uint64_t until_ns = kvr_sim_now(rig.sim) + KVR_SEC(5);

		ck_assert_msg(kvr_sim_run_until(rig.sim, until_ns, is_up, NULL),
		    "seed %" PRIu64 ": the store is well, and the tier does not come up", running);
		slot = kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_SEC(5));
		until_ns = kvr_sim_now(rig.sim) + KVR_SEC(5);
		ck_assert(kvr_sim_run_until(rig.sim, until_ns, all_answered, NULL));
		if (rig.part[slot].err == KVR_OK)
			return;
		ck_assert_msg(rig.tier.faults != 0, "seed %" PRIu64 ": a get says %s", running,
		    kvr_err_name(rig.part[slot].err));
	}
	ck_abort_msg("seed %" PRIu64 ": every get fails", running);
}

/* Whatever breaks, the seed is what a person needs first. */
static void
on_panic(void *arg, const char *file, int line, const char *what)
{
	(void)arg;
	fprintf(stderr, "KVR_SEED=%" PRIu64 " shows it: %s:%d: %s\n", running, file, line, what);
}

static uint64_t
run_seed(uint64_t seed)
{
	uint64_t r = seed * UINT64_C(0x9e3779b97f4a7c15);

	running = seed;
	kvr_on_panic(on_panic, NULL);
	settings(&r);
	bool stop_early = pick(&r, 0, 4) == 0;

	kvr_rig_open(
	    &rig, &(struct kvr_sim_options){ .seed = seed, .hop_ns = pick(&r, 0, 1) * 50000 });
	store(&r);
	chaos(stop_early);
	if (!stop_early) {
		well();
		ck_assert(kvr_sim_run_until(
		    rig.sim, kvr_sim_now(rig.sim) + KVR_SEC(10), all_answered, NULL));
		/* A worker may still be stuck with a ping or a dial that began in the chaos. */
		kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + KVR_SEC(5));
		recovers();
		kvr_rig_stop(&rig);
	}
	ck_assert(kvr_sim_run_until(rig.sim, kvr_sim_now(rig.sim) + KVR_SEC(10), is_stopped, NULL));
	kvr_sim_run(rig.sim, UINT64_MAX);
	kvr_rig_settled(&rig);
	uint64_t digest = kvr_sim_digest(rig.sim);

	kvr_rig_close(&rig);
	return digest;
}

static uint64_t
number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 10);
}

START_TEST(every_part_is_answered_once_whatever_happens)
{
	uint64_t n = number("KVR_SEEDS", 300), only = number("KVR_SEED", 0), digest = 0;

	for (uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : n); seed++) {
		uint64_t d = run_seed(seed);

		digest = kvr_hash64_seed(&d, sizeof(d), digest);
		if (seed % 16 == 0)
			ck_assert_msg(
			    run_seed(seed) == d, "seed %" PRIu64 ": twice, and not the same", seed);
	}
	printf("actors.swarm: %" PRIu64 " seeds, digest %016" PRIx64 "\n", n, digest);
}
END_TEST

START_TEST(seeds_are_different_runs)
{
	uint64_t seen[20];

	for (uint64_t i = 0; i < KVR_LEN(seen); i++) {
		seen[i] = run_seed(i + 1);
		for (uint64_t k = 0; k < i; k++)
			ck_assert_uint_ne(seen[i], seen[k]);
	}
}
END_TEST

KVR_CHECK_MAIN(
    "actors.swarm", every_part_is_answered_once_whatever_happens, seeds_are_different_runs)
