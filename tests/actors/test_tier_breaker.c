/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker: what opens it, how long it stays open, who probes, what closes it. */
#include "kvr_check.h"
#include "kvr_rig.h"
#include "kvr_stats.h"

static struct kvr_rig rig;

static void
open_rig(bool transcript)
{
	kvr_rig_open(&rig,
	    &(struct kvr_sim_options){ .seed = 1, .verify_every = 1, .transcript = transcript });
}

static void
pass(uint64_t ns)
{
	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + ns);
}

static int32_t
outcome(uint32_t slot)
{
	ck_assert_uint_eq(rig.part[slot].answers, 1);
	return rig.part[slot].err;
}

static int32_t
get_now(void)
{
	uint32_t slot = kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_SEC(2));

	pass(KVR_MS(5));
	return outcome(slot);
}

static uint64_t
dials(void)
{
	return kvr_rig_sent(&rig, KVR_MSG_DIAL);
}

static bool
cooling(void *arg)
{
	(void)arg;
	return kvr_rig_tier(&rig) == KVR_TIER_COOLING;
}

static bool
probing(void *arg)
{
	(void)arg;
	return kvr_rig_tier(&rig) == KVR_TIER_PROBING;
}

START_TEST(a_store_that_is_down_fails_fast_and_is_probed_by_one_lane)
{
	kvr_rig_defaults(&rig);
	open_rig(false);
	kvr_sim_down(rig.sim, 0, true);
	pass(KVR_MS(10));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_COOLING);
	ck_assert_uint_eq(rig.count[KVR_COUNT_BREAKER_OPENED], 1);
	uint32_t slot = kvr_rig_get(&rig, KVR_SEC(5));

	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim));
	ck_assert_int_eq(outcome(slot), KVR_E_DOWN);
	uint64_t before = dials(), wait_ns = KVR_MS(100);

	/* Each wait is twice the one before and at most an eighth longer, one dial at its end. */
	for (uint32_t i = 0; i < 10; i++) {
		uint64_t from_ns = kvr_sim_now(rig.sim);

		ck_assert(kvr_sim_run_until(rig.sim, UINT64_MAX, probing, NULL));
		uint64_t waited_ns = kvr_sim_now(rig.sim) - from_ns;

		if (i > 0) {
			ck_assert_uint_ge(waited_ns, wait_ns);
			ck_assert_uint_le(waited_ns, wait_ns + wait_ns / 8);
		}
		ck_assert(kvr_sim_run_until(rig.sim, UINT64_MAX, cooling, NULL));
		ck_assert_uint_eq(dials(), before + i + 1);
		wait_ns = KVR_MIN(wait_ns * 2, KVR_SEC(10));
	}
	ck_assert_uint_eq(rig.count[KVR_COUNT_BREAKER_OPENED], 1);
	kvr_sim_down(rig.sim, 0, false);
	pass(KVR_SEC(12));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
	ck_assert_uint_eq(rig.links_up, 3);
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(a_fixed_backoff_stays_what_it_is)
{
	kvr_rig_defaults(&rig);
	rig.tier.fixed_backoff = 1;
	rig.tier.backoff_min_ns = rig.tier.backoff_max_ns = KVR_SEC(10);
	open_rig(false);
	kvr_sim_down(rig.sim, 0, true);
	pass(KVR_MS(10));
	for (uint32_t i = 1; i <= 4; i++) {
		uint64_t from_ns = kvr_sim_now(rig.sim);

		ck_assert(kvr_sim_run_until(rig.sim, UINT64_MAX, probing, NULL));
		if (i > 1)
			ck_assert_uint_eq(kvr_sim_now(rig.sim) - from_ns, KVR_SEC(10));
		ck_assert(kvr_sim_run_until(rig.sim, UINT64_MAX, cooling, NULL));
	}
	kvr_rig_end(&rig);
}
END_TEST

/* Every outcome of a key or a part: how many of them in a row open the breaker; 0: never. */
START_TEST(what_counts_as_a_fault)
{
	static const struct {
		const char *what;
		size_t chance; /* offset of the store's chance */
		uint32_t opens;
		enum kvr_verb verb;
	} table[] = {
		{ "misses", offsetof(struct kvr_sim_store, evicts), 0, KVR_VERB_GET },
		{ "broken seals", offsetof(struct kvr_sim_store, corrupts), 0, KVR_VERB_GET },
		{ "a full store", offsetof(struct kvr_sim_store, full), 0, KVR_VERB_PUT },
		{ "refusals", offsetof(struct kvr_sim_store, refuses), 5, KVR_VERB_GET },
		{ "refused puts", offsetof(struct kvr_sim_store, refuses), 0, KVR_VERB_PUT },
		{ "refused removals", offsetof(struct kvr_sim_store, refuses), 0, KVR_VERB_DEL },
		{ "a node of many", offsetof(struct kvr_sim_store, node_down), 0, KVR_VERB_GET },
		{ "lost connections", offsetof(struct kvr_sim_store, loses), 5, KVR_VERB_DEL },
		{ "rubbish", offsetof(struct kvr_sim_store, garbles), 5, KVR_VERB_DEL },
		{ "callers' deadlines", offsetof(struct kvr_sim_store, stalls), 0, KVR_VERB_GET },
	};

	for (uint32_t i = 0; i < KVR_LEN(table); i++) {
		uint32_t n = 0;

		kvr_rig_defaults(&rig);
		rig.tier.n_links = 1;
		open_rig(false);
		pass(KVR_MS(5));
		*(uint32_t *)(void *)((uint8_t *)kvr_sim_store(rig.sim, 0) + table[i].chance) =
		    1024;
		while (n < 20 && kvr_rig_tier(&rig) == KVR_TIER_UP) {
			kvr_sim_stored(rig.sim, 0, 1, 4096, 0);
			kvr_rig_give(&rig, &(struct kvr_rig_ask){ .verb = table[i].verb,
			                       .cls = KVR_CLASS_GET,
			                       .n = 1,
			                       .len = 4096,
			                       .deadline_ns = kvr_sim_now(rig.sim) + KVR_MS(20) });
			n++;
			pass(KVR_MS(30));
		}
		ck_assert_msg(n == (table[i].opens == 0 ? 20 : table[i].opens), "%s: after %u",
		    table[i].what, n);
		kvr_rig_end(&rig);
	}
}
END_TEST

static uint64_t
asked(void)
{
	return kvr_rig_sent(&rig, KVR_MSG_PART);
}

/* Whether the store was asked: what it says to the key stands in the row. */
static bool
put_now(void)
{
	uint64_t before = asked();
	uint32_t slot = kvr_rig_give(&rig, &(struct kvr_rig_ask){ .verb = KVR_VERB_PUT,
	                                       .cls = KVR_CLASS_PUT,
	                                       .n = 1,
	                                       .len = 4096,
	                                       .deadline_ns = kvr_sim_now(rig.sim) + KVR_SEC(2) });

	pass(KVR_MS(5));
	ck_assert_int_eq(outcome(slot), asked() > before ? KVR_OK : KVR_E_DOWN);
	return asked() > before;
}

static uint32_t
puts_until_shut(void)
{
	uint32_t n = 0;

	while (n < 2 * rig.tier.faults && put_now())
		n++;
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
	return n;
}

/* One that became a replica, one whose disk is mounted read-only: what it has is read all the time. */
START_TEST(a_store_that_refuses_puts_is_read_on)
{
	uint64_t wait_ns = KVR_MS(100);

	kvr_rig_defaults(&rig);
	open_rig(false);
	pass(KVR_MS(5));
	kvr_sim_store(rig.sim, 0)->refuses = 1024;
	ck_assert_uint_eq(puts_until_shut(), rig.tier.faults);
	for (uint32_t i = 0; i < 10; i++) {
		uint64_t shut_ns = kvr_sim_now(rig.sim);

		kvr_sim_store(rig.sim, 0)->refuses = 0;
		ck_assert_int_eq(get_now(), KVR_OK);
		kvr_sim_store(rig.sim, 0)->refuses = 1024;
		while (!put_now())
			ck_assert_uint_le(kvr_sim_now(rig.sim) - shut_ns, wait_ns + wait_ns / 8);
		ck_assert_uint_ge(kvr_sim_now(rig.sim) - shut_ns, wait_ns - KVR_MS(10));
		ck_assert_uint_eq(puts_until_shut(), 0); /* that one was enough */
		/* Each time a lane looks whether another server has its name by now. */
		ck_assert_uint_eq(dials(), rig.tier.n_links + 1 + i + 1);
		wait_ns = KVR_MIN(wait_ns * 2, KVR_SEC(10));
	}
	kvr_sim_store(rig.sim, 0)->refuses = 0;
	pass(wait_ns + wait_ns / 8);
	ck_assert(put_now());
	kvr_sim_store(rig.sim, 0)->refuses = 1024;
	ck_assert_uint_eq(puts_until_shut(), rig.tier.faults); /* forgiven */
	ck_assert_uint_eq(rig.count[KVR_COUNT_BREAKER_OPENED], 0);
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(a_success_between_faults_forgives_them)
{
	kvr_rig_defaults(&rig);
	open_rig(false);
	pass(KVR_MS(5));
	for (uint32_t i = 0; i < 40; i++) {
		kvr_sim_store(rig.sim, 0)->refuses = i % 5 == 4 ? 0 : 1024;
		get_now();
		ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
	}
	kvr_rig_end(&rig);
}
END_TEST

/* What kvr_change says while faults are being counted. */
static void
set(enum kvr_setting what, uint64_t value)
{
	struct kvr_msg m = { .type = KVR_MSG_CONFIG, .from = KVR_ID_API };

	m.CONFIG.what = what;
	m.CONFIG.value = value;
	kvr_sim_post(rig.sim, KVR_ID_TIER_OF(0), &m);
	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim));
}

/* As many faults as the new limit allows have been counted by then, or more. */
START_TEST(a_limit_that_is_lowered_opens_it_at_the_next_fault)
{
	for (uint32_t limit = 1; limit <= 4; limit++) {
		kvr_rig_defaults(&rig);
		open_rig(false);
		pass(KVR_MS(5));
		kvr_sim_store(rig.sim, 0)->refuses = 1024;
		for (uint32_t i = 0; i < 4; i++)
			get_now();
		set(KVR_SET_FAULTS, limit);
		ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
		get_now();
		ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_COOLING);
		kvr_rig_end(&rig);
	}
}
END_TEST

/* A server that restarts takes all connections with it, and that is one fault, not sixteen. */
START_TEST(a_restart_counts_once_and_costs_nobody_anything)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = KVR_LANES_MAX;
	rig.tier.n_control = 0;
	rig.tier.faults = 2;
	open_rig(false);
	pass(KVR_MS(5));
	kvr_sim_down(rig.sim, 0, true);
	kvr_sim_down(rig.sim, 0, false);
	static uint32_t slot[KVR_LANES_MAX * 2];

	for (uint32_t i = 0; i < KVR_LEN(slot); i++)
		slot[i] = kvr_rig_get(&rig, KVR_SEC(1));
	pass(KVR_MS(50));
	for (uint32_t i = 0; i < KVR_LEN(slot); i++)
		ck_assert_int_eq(outcome(slot[i]), KVR_OK);
	ck_assert_uint_eq(rig.count[KVR_COUNT_BREAKER_OPENED], 0);
	kvr_rig_end(&rig);
}
END_TEST

/* Seconds of silence on every lane, each within its caller's deadline. */
START_TEST(a_store_that_swallows_everything_is_found_out)
{
	kvr_rig_defaults(&rig);
	open_rig(false);
	pass(KVR_MS(5));
	kvr_sim_store(rig.sim, 0)->stalls = 1024;
	kvr_sim_store(rig.sim, 0)->dial_hangs = 1024;
	for (uint32_t i = 0; i < 3; i++)
		kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_MS(200));
	pass(KVR_SEC(3));
	ck_assert(kvr_rig_tier(&rig) == KVR_TIER_COOLING || kvr_rig_tier(&rig) == KVR_TIER_PROBING);
	/* Also while the probe hangs, callers are answered at once. */
	ck_assert(kvr_sim_run_until(rig.sim, KVR_SEC(30), probing, NULL));
	uint32_t slot = kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_SEC(1));

	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim));
	ck_assert_int_eq(outcome(slot), KVR_E_DOWN);
	kvr_rig_end(&rig);
}
END_TEST

/* What statistics say: n lanes hang, since then. Returns one of them. */
static uint32_t
hangs(uint32_t n, uint64_t since_ns)
{
	struct kvr_stats_tier t = { .n_lanes = 0 };
	uint32_t lane = KVR_LANES_MAX, sum = 0;

	kvr_tier_stats(kvr_sim_actor(rig.sim, KVR_ID_TIER_OF(0))->self, &t);
	ck_assert_uint_eq(t.n_stuck, n);
	for (uint32_t l = 0; l < t.n_lanes; l++) {
		sum += t.lane[l].stuck;
		if (t.lane[l].stuck == 0)
			continue;
		ck_assert_uint_eq(t.lane[l].stuck_ns, since_ns);
		lane = l;
	}
	ck_assert_uint_eq(sum, n);
	return lane;
}

START_TEST(a_stuck_lane_is_left_alone_until_it_comes_back)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 2;
	rig.tier.n_control = 0;
	open_rig(false);
	pass(KVR_MS(5));
	kvr_sim_store(rig.sim, 0)->sticks = 1024;
	kvr_sim_store(rig.sim, 0)->stick_ns = KVR_SEC(20);
	uint32_t stuck = kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_MS(100));

	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim));
	kvr_sim_store(rig.sim, 0)->sticks = 0;
	pass(KVR_SEC(3)); /* the deadline and stuck_ns are over */
	ck_assert_uint_eq(rig.part[stuck].answers, 0);
	uint32_t lane = hangs(1, rig.part[stuck].given_ns);

	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(get_now(), KVR_OK);
	pass(KVR_SEC(20));
	ck_assert_int_eq(outcome(stuck), KVR_E_TIMEOUT);
	ck_assert_uint_eq(rig.links_up, 2);
	ck_assert_uint_eq(hangs(0, 0), KVR_LANES_MAX);
	ck_assert_uint_lt(lane, 2);
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

static void
put_of(uint32_t len)
{
	kvr_rig_give(&rig, &(struct kvr_rig_ask){ .verb = KVR_VERB_PUT,
	                       .cls = KVR_CLASS_PUT,
	                       .n = 1,
	                       .len = len,
	                       .deadline_ns = kvr_sim_now(rig.sim) + KVR_SEC(1) });
	pass(KVR_MS(30));
}

static uint32_t
full_for(void)
{
	struct kvr_stats_tier t = { .n_lanes = 0 };

	kvr_tier_stats(kvr_sim_actor(rig.sim, KVR_ID_TIER_OF(0))->self, &t);
	return t.full_len;
}

/* It is told of as soon as nothing fits any more, and as long as nothing of that length has. */
START_TEST(a_full_store_is_full_for_values_of_a_length)
{
	struct kvr_sim_store *store;

	kvr_rig_defaults(&rig);
	open_rig(false);
	pass(KVR_MS(5));
	store = kvr_sim_store(rig.sim, 0);
	store->full = 1024;
	for (int i = 0; i < 4; i++)
		put_of(8192);
	ck_assert_uint_eq(full_for(), 0);
	put_of(4096);
	ck_assert_uint_eq(full_for(), 4096);
	store->full = 0;
	put_of(4095); /* a canary, say */
	ck_assert_uint_eq(full_for(), 4096);
	put_of(4096);
	ck_assert_uint_eq(full_for(), 0);
	/* One in five is what a store looks like that evicts. */
	for (int i = 0; i < 20; i++) {
		store->full = i % 5 == 0 ? 0 : 1024;
		put_of(8192);
		ck_assert_uint_eq(full_for(), 0);
	}
	ck_assert_uint_eq(rig.tier_state, KVR_TIER_UP);
	kvr_rig_end(&rig);
}
END_TEST

/* Its keys are DOWN and the others go on: the breaker must not open, and somebody must know. */
START_TEST(a_node_of_many_that_is_away_is_told)
{
	struct kvr_stats_tier t = { .n_lanes = 0 };

	kvr_rig_defaults(&rig);
	open_rig(false);
	pass(KVR_MS(5));
	kvr_sim_store(rig.sim, 0)->node_down = 1024;
	ck_assert_int_eq(get_now(), KVR_OK); /* the part; its key is DOWN */
	ck_assert_uint_eq(rig.tier_state, KVR_TIER_UP);
	kvr_tier_stats(kvr_sim_actor(rig.sim, KVR_ID_TIER_OF(0))->self, &t);
	ck_assert(kvr_stats_away(&t, kvr_sim_now(rig.sim)));
	kvr_sim_store(rig.sim, 0)->node_down = 0;
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_tier_stats(kvr_sim_actor(rig.sim, KVR_ID_TIER_OF(0))->self, &t);
	ck_assert(kvr_stats_away(&t, kvr_sim_now(rig.sim) + KVR_SEC(10)));
	ck_assert(!kvr_stats_away(&t, kvr_sim_now(rig.sim) + KVR_SEC(15)));
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(transcript_of_a_cool_down)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 2;
	open_rig(true);
	pass(KVR_MS(10));
	kvr_sim_note(rig.sim, "the server dies");
	kvr_sim_down(rig.sim, 0, true);
	kvr_rig_get(&rig, KVR_SEC(1));
	pass(KVR_MS(50));
	kvr_sim_note(rig.sim, "a get while it cools down");
	kvr_rig_get(&rig, KVR_SEC(1));
	pass(KVR_MS(200));
	kvr_sim_note(rig.sim, "the server lives again");
	kvr_sim_down(rig.sim, 0, false);
	pass(KVR_SEC(1));
	kvr_rig_get(&rig, KVR_SEC(2));
	pass(KVR_MS(10));
	kvr_rig_stop(&rig);
	pass(KVR_SEC(10));
	kvr_rig_settled(&rig);
	kvr_sim_expect(rig.sim, "tier_cooling");
	kvr_rig_close(&rig);
}
END_TEST

START_TEST(transcript_of_a_tier)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 2;
	open_rig(true);
	kvr_sim_note(rig.sim, "a get while it opens");
	kvr_rig_get(&rig, KVR_SEC(1));
	pass(KVR_MS(10));
	kvr_sim_note(rig.sim, "a connection is lost under a get: one more try");
	kvr_sim_down(rig.sim, 0, true);
	kvr_sim_down(rig.sim, 0, false);
	kvr_rig_get(&rig, KVR_SEC(1));
	pass(KVR_MS(10));
	kvr_sim_note(rig.sim, "one that waits and one that runs are cancelled");
	kvr_sim_store(rig.sim, 0)->stalls = 1024;
	uint32_t runs = kvr_rig_get(&rig, KVR_SEC(1));

	kvr_rig_get(&rig, KVR_SEC(1));
	uint32_t waits = kvr_rig_get(&rig, KVR_SEC(1));

	pass(KVR_MS(10));
	kvr_rig_cancel(&rig, waits, KVR_E_CANCELLED);
	kvr_rig_cancel(&rig, runs, KVR_E_CANCELLED);
	kvr_sim_store(rig.sim, 0)->stalls = 0;
	pass(KVR_MS(10));
	kvr_rig_stop(&rig);
	pass(KVR_SEC(10));
	kvr_rig_settled(&rig);
	kvr_sim_expect(rig.sim, "tier_life");
	kvr_rig_close(&rig);
}
END_TEST

KVR_CHECK_MAIN("actors.tier_breaker", a_store_that_is_down_fails_fast_and_is_probed_by_one_lane,
    a_fixed_backoff_stays_what_it_is, what_counts_as_a_fault, a_store_that_refuses_puts_is_read_on,
    a_success_between_faults_forgives_them, a_limit_that_is_lowered_opens_it_at_the_next_fault,
    a_restart_counts_once_and_costs_nobody_anything,
    a_store_that_swallows_everything_is_found_out, a_stuck_lane_is_left_alone_until_it_comes_back,
    a_full_store_is_full_for_values_of_a_length, a_node_of_many_that_is_away_is_told,
    transcript_of_a_cool_down, transcript_of_a_tier)
