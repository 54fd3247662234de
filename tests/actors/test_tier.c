/* SPDX-License-Identifier: Apache-2.0 */
/* The queue in front of the lanes: order, budget, deadlines, cancelling, the end. */
#include "kvr_check.h"
#include "kvr_rig.h"

#include <string.h>

static struct kvr_rig rig;

/* A tier whose only lane takes one part at a time, each 10 ms: what comes out shows the order. */
static void
open_narrow(uint32_t places)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 1;
	rig.tier.n_control = 0;
	rig.tier.places = places;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_store(rig.sim, 0)->run_min_ns = KVR_MS(10);
	kvr_sim_store(rig.sim, 0)->run_max_ns = KVR_MS(10);
	kvr_sim_run(rig.sim, KVR_MS(2));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
}

static uint32_t
give(enum kvr_verb verb, enum kvr_class cls, uint32_t n, uint32_t len)
{
	return kvr_rig_give(&rig, &(struct kvr_rig_ask){ .verb = verb,
	                              .cls = cls,
	                              .n = n,
	                              .len = len,
	                              .deadline_ns = kvr_sim_now(rig.sim) + KVR_SEC(5) });
}

static uint64_t
answered(uint32_t slot)
{
	ck_assert_uint_eq(rig.part[slot].answers, 1);
	return rig.part[slot].answered_ns;
}

START_TEST(classes_are_served_in_order_and_fifo_inside)
{
	open_narrow(1);
	give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 10); /* keeps the lane busy */
	uint32_t back = give(KVR_VERB_PUT, KVR_CLASS_BACKGROUND, 1, 10);
	uint32_t put1 = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 10);
	uint32_t put2 = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 10);
	uint32_t get = give(KVR_VERB_GET, KVR_CLASS_GET, 1, 10);
	uint32_t fetch = give(KVR_VERB_GET, KVR_CLASS_PREFETCH, 1, 10);
	uint32_t look = give(KVR_VERB_EXISTS, KVR_CLASS_LOOKUP, 1, 10);

	kvr_sim_run(rig.sim, KVR_SEC(1));
	ck_assert_uint_lt(answered(look), answered(fetch));
	ck_assert_uint_lt(answered(fetch), answered(get));
	ck_assert_uint_lt(answered(get), answered(put1));
	ck_assert_uint_lt(answered(put1), answered(put2));
	ck_assert_uint_lt(answered(put2), answered(back));
	kvr_rig_end(&rig);
}
END_TEST

/* The router took the tier for sick and staged nothing: there is no payload that may be read. */
START_TEST(what_is_to_be_refused_reaches_no_store)
{
	open_narrow(1);
	uint32_t slot = kvr_rig_give(&rig, &(struct kvr_rig_ask){ .verb = KVR_VERB_PUT,
	                                       .cls = KVR_CLASS_PUT,
	                                       .n = 3,
	                                       .len = 10,
	                                       .deadline_ns = kvr_sim_now(rig.sim) + KVR_SEC(5),
	                                       .refuse = true });

	kvr_sim_run(rig.sim, KVR_SEC(1));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
	ck_assert_int_eq(rig.part[slot].err, KVR_E_DOWN);
	ck_assert_uint_eq(rig.stat_dropped, 3);
	ck_assert_uint_eq(kvr_sim_seen(rig.sim, KVR_ID_LINK_OF(0, 0), KVR_MSG_PART), 0);
	kvr_rig_end(&rig);
}
END_TEST

/* A stream of gets that fills the lane; a put rises one class in 100 ms and then is the oldest. */
START_TEST(a_waiting_part_ages_so_that_nothing_starves)
{
	open_narrow(1);
	give(KVR_VERB_GET, KVR_CLASS_GET, 1, 10);
	uint32_t put = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 10);
	uint32_t back = give(KVR_VERB_PUT, KVR_CLASS_BACKGROUND, 1, 10);

	for (uint32_t i = 0; i < 60; i++) {
		give(KVR_VERB_GET, KVR_CLASS_GET, 1, 10);
		give(KVR_VERB_GET, KVR_CLASS_GET, 1, 10);
		kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + KVR_MS(10));
	}
	/*
	 * The put stands behind those that came up to 100 ms after it (2 ms): the first, 11 pairs
	 * and itself are 24 times 10 ms. The background write 200 ms: the first, 21 pairs, put,
	 * itself.
	 */
	ck_assert_uint_eq(answered(put), KVR_MS(2 + 240));
	ck_assert_uint_eq(answered(back), KVR_MS(2 + 450));
	kvr_sim_run(rig.sim, KVR_SEC(3));
	kvr_rig_end(&rig);
}
END_TEST

static bool
tried_again(void *arg)
{
	(void)arg;
	return rig.count[KVR_COUNT_RETRIED] > 0;
}

/* The connection is lost under it, and the store it is tried with again says nothing. */
START_TEST(a_second_try_has_the_deadline_of_the_first)
{
	open_narrow(1);
	uint64_t until_ns = kvr_sim_now(rig.sim) + KVR_MS(200);

	kvr_sim_store(rig.sim, 0)->loses = 1024;
	uint32_t slot = kvr_rig_get(&rig, until_ns);
	ck_assert(kvr_sim_run_until(rig.sim, until_ns, tried_again, NULL));
	kvr_sim_store(rig.sim, 0)->loses = 0;
	kvr_sim_store(rig.sim, 0)->stalls = 1024;
	kvr_sim_run(rig.sim, until_ns + KVR_MS(50));
	ck_assert_uint_eq(kvr_rig_sent(&rig, KVR_MSG_PART), 2);
	ck_assert_uint_lt(answered(slot), until_ns + KVR_MS(10));
	ck_assert_int_eq(rig.part[slot].err, KVR_E_TIMEOUT);
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(control_lanes_take_lookups_only_while_others_live)
{
	kvr_rig_defaults(&rig);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_run(rig.sim, KVR_MS(5));
	uint32_t slot[12];

	for (uint32_t i = 0; i < KVR_LEN(slot); i++)
		slot[i] = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 10);
	uint32_t look = give(KVR_VERB_EXISTS, KVR_CLASS_LOOKUP, 1, 10);

	kvr_sim_run(rig.sim, KVR_SEC(1));
	for (uint32_t i = 0; i < KVR_LEN(slot); i++)
		ck_assert_uint_ge(rig.part[slot[i]].lane, 1);
	ck_assert_uint_eq(rig.part[look].lane, 0);
	ck_assert_uint_lt(answered(look), answered(slot[4]));
	kvr_rig_end(&rig);
}
END_TEST

/* Lanes 1 and 2 are refused by the server, so the control lane does what it usually leaves. */
START_TEST(a_control_lane_alone_takes_everything)
{
	kvr_rig_defaults(&rig);
	rig.tier.backoff_min_ns = rig.tier.backoff_max_ns = KVR_SEC(3);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_run(rig.sim, 0);
	/* The dials are under way; their outcome was drawn when they began. */
	kvr_sim_run(rig.sim, KVR_MS(5));
	kvr_sim_store(rig.sim, 0)->dial_fails = 1024;
	for (uint32_t lane = 1; lane <= 2; lane++) {
		kvr_sim_store(rig.sim, 0)->loses = 1024;
		give(KVR_VERB_DEL, KVR_CLASS_GET, 1, 10);
		kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + KVR_MS(5));
	}
	kvr_sim_store(rig.sim, 0)->loses = 0;
	ck_assert_uint_eq(rig.links_up, 1);
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
	uint32_t put = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 10);

	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + KVR_MS(10));
	answered(put);
	ck_assert_int_eq(rig.part[put].err, KVR_OK);
	ck_assert_uint_eq(rig.part[put].lane, 0);
	/* The lanes are dialed again by themselves. */
	kvr_sim_store(rig.sim, 0)->dial_fails = 0;
	kvr_sim_run(rig.sim, KVR_SEC(4));
	ck_assert_uint_eq(rig.links_up, 3);
	ck_assert_uint_eq(rig.count[KVR_COUNT_RECONNECT], 2);
	ck_assert_uint_eq(rig.count[KVR_COUNT_DIAL_FAILED], 2);
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(the_byte_budget_holds_and_starves_nobody)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 2;
	rig.tier.n_control = 0;
	rig.tier.places = 4;
	rig.tier.budget_bytes = 1000;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_run(rig.sim, KVR_MS(5));
	uint32_t a = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 600);
	uint32_t big = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 5000);  /* over it: goes alone */
	uint32_t small = give(KVR_VERB_PUT, KVR_CLASS_PUT, 1, 100); /* would fit beside a */
	uint32_t look = give(KVR_VERB_EXISTS, KVR_CLASS_LOOKUP, 1, 0);

	kvr_sim_run(rig.sim, KVR_SEC(1));
	ck_assert_uint_le(answered(look), answered(a)); /* it has no bytes to wait for */
	ck_assert_uint_lt(answered(a), answered(big));
	ck_assert_uint_lt(answered(big), answered(small));
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(a_part_waits_until_its_own_deadline_and_no_longer)
{
	kvr_rig_defaults(&rig);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_store(rig.sim, 0)->dial_hangs = 1024; /* nobody answers for connect_ns, a second */
	kvr_sim_run(rig.sim, 0);
	static uint32_t slot[100];

	for (uint32_t i = 0; i < KVR_LEN(slot); i++)
		slot[i] = kvr_rig_get(&rig, KVR_MS(100) + i / 40 * KVR_MS(50));
	kvr_sim_run(rig.sim, KVR_MS(500));
	for (uint32_t i = 0; i < KVR_LEN(slot); i++) {
		ck_assert_uint_eq(answered(slot[i]), KVR_MS(100) + i / 40 * KVR_MS(50));
		ck_assert_int_eq(rig.part[slot[i]].err, KVR_E_TIMEOUT);
	}
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_OPENING);
	ck_assert_uint_eq(rig.stat_dropped, KVR_LEN(slot));
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(a_cancel_answers_what_waits_and_kicks_what_runs)
{
	open_narrow(1);
	kvr_sim_store(rig.sim, 0)->stalls = 1024;
	uint32_t runs = give(KVR_VERB_GET, KVR_CLASS_GET, 1, 10);
	uint32_t waits = give(KVR_VERB_GET, KVR_CLASS_GET, 1, 10);

	kvr_sim_run(rig.sim, KVR_MS(100));
	kvr_rig_cancel(&rig, waits, KVR_E_CANCELLED);
	kvr_rig_cancel(&rig, runs, KVR_E_SHUTDOWN);
	kvr_rig_cancel(&rig, runs, KVR_E_CANCELLED); /* twice is once */
	kvr_sim_run(rig.sim, KVR_MS(101));
	ck_assert_uint_eq(answered(waits), KVR_MS(100));
	ck_assert_int_eq(rig.part[waits].err, KVR_E_CANCELLED);
	ck_assert_uint_eq(answered(runs), KVR_MS(100) + kvr_sim_store(rig.sim, 0)->kick_ns);
	ck_assert_int_eq(rig.part[runs].err, KVR_E_SHUTDOWN);
	/* It costs the connection, which is made again, and nobody is blamed. */
	kvr_sim_run(rig.sim, KVR_MS(110));
	ck_assert_uint_eq(rig.links_up, 1);
	ck_assert_uint_eq(rig.count[KVR_COUNT_BREAKER_OPENED], 0);
	ck_assert_uint_eq(rig.count[KVR_COUNT_RETRIED], 0);
	kvr_rig_cancel(&rig, runs, KVR_E_CANCELLED); /* and too late is nothing */
	kvr_sim_run(rig.sim, KVR_MS(120));
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(a_lost_connection_gives_one_more_try)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_GET, KVR_VERB_PUT,
		KVR_VERB_STAT, KVR_VERB_DEL };

	for (uint32_t i = 0; i < KVR_LEN(verbs); i++) {
		bool twice = verbs[i] != KVR_VERB_DEL;

		open_narrow(1);
		kvr_sim_stored(rig.sim, 0, 1, 10, 0);
		kvr_sim_down(rig.sim, 0, true);
		kvr_sim_down(rig.sim, 0, false); /* a restart: the connection is dead, dials work */
		uint32_t slot = give(verbs[i], KVR_CLASS_GET, 1, 10);

		kvr_sim_run(rig.sim, KVR_MS(100));
		answered(slot);
		ck_assert_int_eq(rig.part[slot].err, twice ? KVR_OK : KVR_E_DOWN);
		ck_assert_uint_eq(rig.count[KVR_COUNT_RETRIED], twice);
		kvr_sim_store(rig.sim, 0)->loses =
		    1024; /* every connection breaks: one more try only */
		slot = give(KVR_VERB_GET, KVR_CLASS_GET, 1, 10);
		kvr_sim_run(rig.sim, KVR_MS(200));
		answered(slot);
		ck_assert_int_eq(rig.part[slot].err, KVR_E_DOWN);
		kvr_rig_end(&rig);
	}
}
END_TEST

/* All connections died with the server. The retry must not go to another dead one. */
START_TEST(a_retry_waits_for_a_connection_that_is_younger)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 4;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_run(rig.sim, KVR_MS(5));
	kvr_sim_down(rig.sim, 0, true);
	kvr_sim_down(rig.sim, 0, false);
	uint32_t slot = kvr_rig_get(&rig, KVR_SEC(1));

	kvr_sim_run(rig.sim, KVR_MS(100));
	answered(slot);
	ck_assert_int_eq(rig.part[slot].err, KVR_OK);
	ck_assert_uint_eq(rig.count[KVR_COUNT_RETRIED], 1);
	kvr_rig_end(&rig);
}
END_TEST

static void
reach(enum kvr_tier_state state)
{
	kvr_rig_defaults(&rig);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	if (state == KVR_TIER_UP) {
		kvr_sim_run(rig.sim, KVR_MS(5));
	} else if (state != KVR_TIER_OPENING) {
		kvr_sim_store(rig.sim, 0)->dial_fails = 1024;
		kvr_sim_run(rig.sim, KVR_MS(5));
		kvr_sim_store(rig.sim, 0)->dial_hangs = 1024;
		kvr_sim_run(rig.sim, KVR_MS(state == KVR_TIER_PROBING ? 200 : 50));
	}
	ck_assert_uint_eq(kvr_rig_tier(&rig), state);
}

START_TEST(the_end_answers_everything_in_every_state)
{
	for (uint32_t state = KVR_TIER_OPENING; state < KVR_TIER_CLOSED; state++) {
		static uint32_t slot[200];

		reach((enum kvr_tier_state)state);
		kvr_sim_store(rig.sim, 0)->stalls = 1024;
		for (uint32_t i = 0; i < KVR_LEN(slot); i++)
			slot[i] = kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_SEC(1));
		kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + KVR_MS(20));
		bool fails_fast = state == KVR_TIER_COOLING || state == KVR_TIER_PROBING;

		ck_assert_uint_eq(rig.n_open, fails_fast ? 0 : KVR_LEN(slot));
		uint64_t stop_ns = kvr_sim_now(rig.sim);

		kvr_rig_stop(&rig);
		kvr_sim_run(rig.sim, stop_ns + KVR_MS(5));
		uint32_t late = kvr_rig_get(&rig, stop_ns + KVR_SEC(1));

		kvr_sim_run(rig.sim, stop_ns + KVR_MS(10));
		ck_assert_uint_eq(rig.stopped, 1);
		ck_assert_int_eq(rig.part[late].err, KVR_E_SHUTDOWN);
		for (uint32_t i = 0; i < KVR_LEN(slot); i++)
			ck_assert_int_eq(
			    rig.part[slot[i]].err, fails_fast ? KVR_E_DOWN : KVR_E_SHUTDOWN);
		kvr_sim_run(rig.sim, stop_ns + KVR_SEC(20));
		kvr_rig_settled(&rig);
		kvr_rig_close(&rig);
	}
}
END_TEST

START_TEST(an_idle_tier_is_pinged_and_finds_its_connection_gone)
{
	kvr_rig_defaults(&rig);
	rig.tier.ping_ns = KVR_MS(100);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_run(rig.sim, KVR_MS(350));
	ck_assert_uint_ge(kvr_sim_seen(rig.sim, KVR_ID_WORKER_OF(0, 1), KVR_MSG_PING), 2);
	ck_assert_uint_eq(kvr_sim_seen(rig.sim, KVR_ID_WORKER_OF(0, 1), KVR_MSG_DIAL), 1);
	kvr_sim_down(rig.sim, 0, true);
	kvr_sim_down(rig.sim, 0, false);
	kvr_sim_run(rig.sim, KVR_MS(550));
	ck_assert_uint_eq(rig.count[KVR_COUNT_RECONNECT], 3);
	ck_assert_uint_eq(rig.links_up, 3);
	kvr_rig_end(&rig);
}
END_TEST

/* Bulk answers and bulk sweeps do not fit into one step: they go on in the next. */
START_TEST(a_full_table_is_answered_over_several_steps)
{
	kvr_rig_defaults(&rig);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_store(rig.sim, 0)->dial_fails = 1024;
	for (uint32_t i = 0; i < KVR_PARTS_SMALL; i++)
		kvr_rig_get(&rig, KVR_SEC(9));
	kvr_sim_run(rig.sim, KVR_MS(10));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_COOLING);
	ck_assert_uint_eq(rig.n_answered, KVR_PARTS_SMALL);
	ck_assert_uint_eq(rig.stat_dropped, KVR_PARTS_SMALL);
	kvr_rig_end(&rig);
}
END_TEST

KVR_CHECK_MAIN("actors.tier", classes_are_served_in_order_and_fifo_inside,
    what_is_to_be_refused_reaches_no_store,
    a_waiting_part_ages_so_that_nothing_starves, control_lanes_take_lookups_only_while_others_live,
    a_control_lane_alone_takes_everything, the_byte_budget_holds_and_starves_nobody,
    a_part_waits_until_its_own_deadline_and_no_longer,
    a_cancel_answers_what_waits_and_kicks_what_runs, a_lost_connection_gives_one_more_try,
    a_second_try_has_the_deadline_of_the_first,
    a_retry_waits_for_a_connection_that_is_younger, the_end_answers_everything_in_every_state,
    an_idle_tier_is_pinged_and_finds_its_connection_gone,
    a_full_table_is_answered_over_several_steps)
