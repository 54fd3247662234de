/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What crosses on its way: a link has said something that was true when it said it, and its tier
 * has decided otherwise before it hears that. In a run both have to happen within a few
 * microseconds, so here the link's words are put behind the tier's decision by hand.
 */
#include "kvr_check.h"
#include "kvr_rig.h"
#include "kvr_tier_own.h"

static struct kvr_rig rig;

static const struct tier *
tier(void)
{
	return kvr_sim_actor(rig.sim, KVR_ID_TIER_OF(0))->self;
}

static void
pass(uint64_t ns)
{
	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + ns);
}

static bool
probing(void *arg)
{
	(void)arg;
	return kvr_rig_tier(&rig) == KVR_TIER_PROBING;
}

/* All lanes are UP, the breaker has opened for what the store says, and one of them is dialed. */
static void
probe_a_lane_that_is_up(void)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 2;
	rig.tier.n_control = 0;
	rig.tier.faults = 1;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	pass(KVR_MS(5));
	kvr_sim_store(rig.sim, 0)->refuses = 1024;
	kvr_rig_get(&rig, KVR_SEC(1));
	pass(KVR_MS(5));
	kvr_sim_store(rig.sim, 0)->refuses = 0;
	ck_assert_uint_eq(tier()->links_up, 2);
	ck_assert(kvr_sim_run_until(rig.sim, KVR_SEC(1), probing, NULL));
	ck_assert_uint_eq(tier()->links_up, 1);
}

/* Taken for that of the dial, it would close the breaker, and parts would go to a link that is down. */
START_TEST(an_answer_on_the_connection_before_is_not_that_of_a_dial)
{
	for (uint32_t dial_fails = 0; dial_fails <= 1024; dial_fails += 1024) {
		probe_a_lane_that_is_up();
		kvr_sim_store(rig.sim, 0)->dial_fails = dial_fails;
		kvr_rig_says(&rig, tier()->probe, KVR_LINK_UP, KVR_OK, true);
		ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_PROBING);
		ck_assert_uint_eq(tier()->links_up, 1);
		pass(KVR_MS(5));
		ck_assert_uint_eq(kvr_rig_tier(&rig), dial_fails == 0 ? KVR_TIER_UP : KVR_TIER_COOLING);
		kvr_sim_store(rig.sim, 0)->dial_fails = 0;
		pass(KVR_SEC(5));
		ck_assert_uint_eq(tier()->links_up, 2);
		kvr_rig_end(&rig);
	}
}
END_TEST

START_TEST(the_end_of_the_connection_before_is_not_that_of_a_dial)
{
	probe_a_lane_that_is_up();
	kvr_rig_says(&rig, tier()->probe, KVR_LINK_DOWN, KVR_E_DOWN, true);
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_PROBING);
	ck_assert_uint_eq(tier()->links_up, 1);
	pass(KVR_MS(5));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
	ck_assert_uint_eq(tier()->links_up, 2);
	kvr_rig_end(&rig);
}
END_TEST

/* It was stuck when the breaker opened, and comes back on the connection that is being replaced. */
START_TEST(a_lane_that_comes_back_is_not_the_answer_of_a_dial)
{
	for (uint32_t dial_fails = 0; dial_fails <= 1024; dial_fails += 1024) {
		probe_a_lane_that_is_up();
		uint32_t lane = tier()->probe;

		kvr_sim_store(rig.sim, 0)->dial_fails = dial_fails;
		kvr_rig_says(&rig, lane, KVR_LINK_UP, KVR_E_STUCK, true);
		ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_COOLING);
		kvr_rig_says(&rig, lane, KVR_LINK_UP, KVR_OK, true);
		ck_assert_uint_eq(tier()->links_up, 1);
		pass(KVR_MS(5));
		kvr_sim_store(rig.sim, 0)->dial_fails = 0;
		pass(KVR_SEC(5));
		ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
		ck_assert_uint_eq(tier()->links_up, 2);
		kvr_rig_end(&rig);
	}
}
END_TEST

/*
 * A lane that was dialed before the breaker opened: that somebody accepts its connection does not
 * say that the store works, and that nobody does is not the end of the one that is asked.
 */
START_TEST(what_another_lane_says_does_not_end_a_probe)
{
	static const struct {
		enum kvr_link_state state;
		int32_t err;
	} words[] = { { KVR_LINK_UP, KVR_OK }, { KVR_LINK_DOWN, KVR_E_DOWN }, { KVR_LINK_DOWN, KVR_E_STUCK } };

	for (uint32_t i = 0; i < KVR_LEN(words); i++) {
		kvr_rig_defaults(&rig);
		rig.tier.n_control = 0;
		rig.tier.faults = 1;
		kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
		pass(KVR_MS(5));
		kvr_sim_store(rig.sim, 0)->dial_min_ns = kvr_sim_store(rig.sim, 0)->dial_max_ns = KVR_MS(500);
		kvr_rig_says(&rig, 2, KVR_LINK_DOWN, KVR_E_CANCELLED, true);
		ck_assert_uint_eq(tier()->lane[2].state, KVR_LINK_DIALING);
		kvr_sim_store(rig.sim, 0)->refuses = 1024;
		kvr_rig_get(&rig, KVR_SEC(1));
		ck_assert(kvr_sim_run_until(rig.sim, KVR_SEC(1), probing, NULL));
		ck_assert_uint_ne(tier()->probe, 2);
		uint32_t probe = tier()->probe;

		kvr_rig_says(&rig, 2, words[i].state, words[i].err, false);
		ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_PROBING);
		ck_assert_uint_eq(tier()->probe, probe);
		kvr_sim_verify(rig.sim);
		kvr_sim_free(rig.sim); /* its link will say it once more: this world is over */
	}
}
END_TEST

/* The simulator breaks when one does anything. */
START_TEST(a_timer_that_was_set_again_is_none)
{
	uint32_t n = 0;

	kvr_rig_defaults(&rig);
	rig.tier.n_links = 2;
	rig.tier.ping_ns = KVR_MS(100);
	rig.tier.health_ns = KVR_MS(150);
	rig.tier.health_ping_ns = KVR_MS(50);
	rig.tier.health_failed = 100;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	pass(KVR_MS(5));
	kvr_sim_down(rig.sim, 0, true); /* twice, so that the timer of the cool-down has an old self */
	pass(KVR_SEC(1));
	kvr_sim_down(rig.sim, 0, false);
	pass(KVR_SEC(2));
	kvr_sim_store(rig.sim, 0)->run_min_ns = kvr_sim_store(rig.sim, 0)->run_max_ns = KVR_MS(40);
	for (uint32_t i = 0; i < 20; i++)
		kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_MS(100 + i));
	pass(KVR_MS(103));
	for (uint32_t i = 0; i < TIMERS; i++) {
		struct kvr_msg msg = { .type = KVR_MSG_TIMER, .from = KVR_ID_TIER_OF(0) };

		if (tier()->gen[i] < 2)
			continue;
		msg.TIMER.timer = i;
		msg.TIMER.gen = tier()->gen[i] - 1;
		kvr_sim_post(rig.sim, KVR_ID_TIER_OF(0), &msg);
		pass(0);
		n++;
	}
	ck_assert_uint_ge(n, TIMERS - 1); /* lanes are not dialed one by one in this world */
	pass(KVR_SEC(1));
	kvr_rig_end(&rig);
}
END_TEST

KVR_CHECK_MAIN("actors.tier_crossing", an_answer_on_the_connection_before_is_not_that_of_a_dial,
    the_end_of_the_connection_before_is_not_that_of_a_dial,
    a_lane_that_comes_back_is_not_the_answer_of_a_dial,
    what_another_lane_says_does_not_end_a_probe, a_timer_that_was_set_again_is_none)
