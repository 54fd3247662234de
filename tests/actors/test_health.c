/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's health check of a tier: what shuts the gate, what opens it, and whom it concerns. */
#include "kvr_check.h"
#include "kvr_rig.h"
#include "kvr_sim_instance.h"
#include "kvr_tier_own.h"

static struct kvr_rig rig;

static const struct tier *
tier(void)
{
	return kvr_sim_actor(rig.sim, KVR_ID_TIER_OF(0))->self;
}

/* A check a second, 100 ms for a ping, three failures, ten seconds until the probe. */
static void
set_health(struct kvr_tier_config *c)
{
	c->health_ns = KVR_SEC(1);
	c->health_ping_ns = KVR_MS(100);
	c->health_wait_ns = KVR_SEC(10);
	c->health_failed = 3;
	c->faults = 0; /* the breaker stays out of it */
}

static void
open_rig(void)
{
	kvr_rig_defaults(&rig);
	set_health(&rig.tier);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	kvr_sim_run(rig.sim, KVR_MS(500));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
}

static void
pass(uint64_t ns)
{
	kvr_sim_run(rig.sim, kvr_sim_now(rig.sim) + ns);
}

static int32_t
get_now(void)
{
	uint32_t slot = kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_MS(50));

	pass(KVR_MS(60));
	ck_assert_uint_eq(rig.part[slot].answers, 1);
	return rig.part[slot].err;
}

static uint64_t
pings(void)
{
	return kvr_rig_sent(&rig, KVR_MSG_PING);
}

START_TEST(a_ping_has_three_results)
{
	open_rig();
	pass(KVR_SEC(2));
	ck_assert_int_eq(tier()->why, KVR_OK);
	ck_assert_uint_eq(rig.tier_state, KVR_TIER_UP);
	/* One each interval, of one lane. */
	uint64_t before = pings();

	pass(KVR_SEC(10));
	ck_assert_uint_eq(pings() - before, 10);
	/* Late: after its own limit, which is not that of a dial. The connection is made anew. */
	kvr_sim_store(rig.sim, 0)->run_min_ns = kvr_sim_store(rig.sim, 0)->run_max_ns = KVR_MS(200);
	pass(KVR_SEC(2));
	ck_assert_int_eq(tier()->why, KVR_E_TIMEOUT);
	ck_assert_uint_eq(rig.tier_state, KVR_TIER_COOLING);
	ck_assert_int_eq(get_now(), KVR_E_DOWN);
	kvr_sim_store(rig.sim, 0)->run_min_ns = kvr_sim_store(rig.sim, 0)->run_max_ns = KVR_MS(1);
	pass(KVR_SEC(2));
	ck_assert_int_eq(tier()->why, KVR_OK);
	ck_assert_int_eq(get_now(), KVR_OK);
	/* An error is another reason than silence. */
	kvr_sim_store(rig.sim, 0)->ping_fails = 1024;
	pass(KVR_SEC(2));
	ck_assert_int_ne(tier()->why, KVR_OK);
	ck_assert_int_ne(tier()->why, KVR_E_TIMEOUT);
	ck_assert_int_eq(get_now(), KVR_E_DOWN);
	kvr_sim_store(rig.sim, 0)->ping_fails = 0;
	pass(KVR_SEC(2));
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(a_store_that_cannot_be_pinged_is_well)
{
	open_rig();
	kvr_sim_store(rig.sim, 0)->no_ping = 1;
	pass(KVR_SEC(5));
	ck_assert_int_eq(tier()->why, KVR_OK);
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

/* All in one interval: checks are at whole seconds. */
static void
fail_gets(uint32_t n)
{
	struct kvr_sim_store *s = kvr_sim_store(rig.sim, 0);
	uint64_t now_ns = kvr_sim_now(rig.sim);

	kvr_sim_run(rig.sim, now_ns + KVR_SEC(1) - now_ns % KVR_SEC(1) + KVR_MS(10));
	s->refuses = 1024;
	for (uint32_t i = 0; i < n; i++)
		ck_assert_int_ne(get_now(), KVR_E_DOWN);
	s->refuses = 0;
}

START_TEST(failures_count_and_misses_do_not)
{
	open_rig();
	/* Twenty misses, and twenty lookups that fail, in one interval. */
	kvr_sim_store(rig.sim, 0)->evicts = 1024;
	for (uint32_t i = 0; i < 20; i++)
		kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_MS(50));
	pass(KVR_MS(60));
	kvr_sim_store(rig.sim, 0)->evicts = 0;
	ck_assert_uint_eq(tier()->health.failures, 0);
	pass(KVR_SEC(1));
	ck_assert_uint_eq(rig.tier_state, KVR_TIER_UP);
	/* One below the limit in each interval, as often as one likes. */
	for (uint32_t i = 0; i < 3; i++) {
		fail_gets(2);
		pass(KVR_SEC(1));
		ck_assert_uint_eq(rig.tier_state, KVR_TIER_UP);
	}
	fail_gets(3);
	pass(KVR_SEC(1));
	ck_assert_uint_eq(rig.tier_state, KVR_TIER_COOLING);
	ck_assert_int_eq(get_now(), KVR_E_DOWN);
	ck_assert_uint_ne(tier()->health.failed_ns, 0);
	kvr_rig_end(&rig);
}
END_TEST

static bool
is_open(void *arg)
{
	(void)arg;
	return !tier()->health.shut;
}

START_TEST(recovery_waits_longer_than_the_window_and_for_the_probe)
{
	open_rig();
	fail_gets(3);
	pass(KVR_SEC(1));
	uint64_t failed_ns = tier()->health.failed_ns, before = pings();

	ck_assert_uint_ne(failed_ns, 0);
	/* In the window nothing is asked, also at its last instant: more than it has to pass. */
	kvr_sim_run(rig.sim, failed_ns + KVR_SEC(10) + KVR_MS(500));
	ck_assert(tier()->health.shut);
	ck_assert_uint_eq(pings(), before);
	/* Then a probe; one that fails leaves the gate as it is, until the next. */
	kvr_sim_store(rig.sim, 0)->ping_fails = 1024;
	pass(KVR_SEC(2));
	ck_assert_uint_ge(pings(), before + 1);
	ck_assert(tier()->health.shut);
	ck_assert_uint_ne(tier()->health.failed_ns, 0);
	kvr_sim_store(rig.sim, 0)->ping_fails = 0;
	ck_assert(kvr_sim_run_until(rig.sim, kvr_sim_now(rig.sim) + KVR_SEC(2), is_open, NULL));
	ck_assert_uint_eq(tier()->health.failed_ns, 0);
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

/* With one interval for both, the breaker asks every lane in the instant of every check. */
START_TEST(a_gate_finds_a_lane_also_where_the_breaker_asks_all)
{
	kvr_rig_defaults(&rig);
	set_health(&rig.tier);
	rig.tier.ping_ns = rig.tier.health_ns;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	pass(KVR_MS(500));
	fail_gets(5);
	pass(KVR_SEC(2));
	ck_assert(tier()->health.shut);
	pass(rig.tier.health_wait_ns + 3 * rig.tier.health_ns);
	ck_assert(!tier()->health.shut);
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

static void
set_interval(uint64_t ns)
{
	struct kvr_msg m = { .type = KVR_MSG_CONFIG, .from = KVR_ID_API };

	m.CONFIG.what = KVR_SET_PING_INTERVAL;
	m.CONFIG.value = ns;
	kvr_sim_post(rig.sim, KVR_ID_TIER_OF(0), &m);
}

/* kvr_change says all options again, whichever it was asked for. */
START_TEST(a_change_of_something_else_does_not_put_the_check_off)
{
	open_rig();
	kvr_sim_store(rig.sim, 0)->ping_fails = 1024;
	for (uint32_t i = 0; i < 10 && !tier()->health.shut; i++) {
		set_interval(rig.tier.health_ns);
		pass(KVR_MS(400));
	}
	ck_assert_uint_eq(tier()->health.shut, 1);
	kvr_sim_store(rig.sim, 0)->ping_fails = 0;
	kvr_rig_end(&rig);
}
END_TEST

/* Also when the answer to the last ping is still to come, and is a bad one. */
START_TEST(a_check_that_is_switched_off_leaves_no_gate_shut)
{
	for (uint32_t late = 0; late < 2; late++) {
		open_rig();
		kvr_sim_store(rig.sim, 0)->ping_fails = 1024;
		kvr_sim_store(rig.sim, 0)->run_min_ns = kvr_sim_store(rig.sim, 0)->run_max_ns = KVR_MS(20);
		pass(KVR_MS(510));
		ck_assert_uint_eq(tier()->health.shut, 0);
		ck_assert_uint_ne(tier()->health.asking, 0);
		if (!late) {
			pass(KVR_MS(500));
			ck_assert_uint_eq(tier()->health.shut, 1);
		}
		set_interval(0);
		pass(KVR_SEC(5));
		ck_assert_uint_eq(tier()->health.shut, 0);
		kvr_sim_store(rig.sim, 0)->ping_fails = 0;
		ck_assert_int_eq(get_now(), KVR_OK);
		set_interval(KVR_SEC(1));
		uint64_t before = pings();

		pass(KVR_SEC(3));
		ck_assert_uint_ge(pings(), before + 2);
		kvr_rig_end(&rig);
	}
}
END_TEST

START_TEST(what_failed_meanwhile_does_not_count_afterwards)
{
	open_rig();
	fail_gets(3);
	pass(KVR_SEC(1));
	ck_assert(tier()->health.shut);
	/* Callers go on asking all the time: refused, and not failures of the store. */
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(get_now(), KVR_E_DOWN);
	ck_assert(kvr_sim_run_until(rig.sim, kvr_sim_now(rig.sim) + KVR_SEC(20), is_open, NULL));
	ck_assert_uint_eq(tier()->health.failures, 0);
	pass(KVR_SEC(3));
	ck_assert(!tier()->health.shut);
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

/* ---- whose answer it is ---- */

static bool
is_asking(void *arg)
{
	(void)arg;
	return tier()->health.asking != 0;
}

/* Shut for too many failures, and a lane is at its round trip, which takes 40 ms. */
static void
shut_and_ask(void)
{
	open_rig();
	fail_gets(3);
	kvr_sim_store(rig.sim, 0)->run_min_ns = kvr_sim_store(rig.sim, 0)->run_max_ns = KVR_MS(40);
	pass(KVR_SEC(9));
	ck_assert(tier()->health.shut);
	ck_assert(kvr_sim_run_until(rig.sim, kvr_sim_now(rig.sim) + KVR_SEC(5), is_asking, NULL));
}

/* The breaker asks lanes, too, and by a ping only: it says less than a value that came back. */
START_TEST(a_ping_of_another_lane_is_no_answer)
{
	shut_and_ask();
	kvr_rig_says(&rig, 1 - tier()->health.lane, KVR_LINK_UP, KVR_OK, true);
	ck_assert(tier()->health.shut);
	ck_assert_uint_ne(tier()->health.asking, 0);
	pass(KVR_MS(50));
	ck_assert(!tier()->health.shut);
	kvr_rig_end(&rig);
}
END_TEST

START_TEST(another_lane_that_is_dialed_again_takes_no_answer_away)
{
	shut_and_ask();
	kvr_rig_says(&rig, 1 - tier()->health.lane, KVR_LINK_DOWN, KVR_E_DOWN, true);
	ck_assert_uint_ne(tier()->health.asking, 0);
	pass(KVR_MS(50));
	ck_assert(!tier()->health.shut);
	kvr_rig_end(&rig);
}
END_TEST

/* The lane that was asked is dialed by the breaker, and does not answer any more: another is asked. */
START_TEST(who_is_dialed_while_he_is_asked_is_not_waited_for)
{
	kvr_rig_defaults(&rig);
	set_health(&rig.tier);
	rig.tier.health_ping_ns = KVR_MS(800);
	rig.tier.n_links = 2;
	rig.tier.n_control = 0;
	rig.tier.faults = 1;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1 });
	pass(KVR_MS(500));
	kvr_sim_store(rig.sim, 0)->stalls = 1024;
	ck_assert(kvr_sim_run_until(rig.sim, KVR_SEC(2), is_asking, NULL));
	pass(0);
	uint32_t asked = tier()->health.lane;

	kvr_sim_store(rig.sim, 0)->stalls = 0;
	kvr_sim_store(rig.sim, 0)->refuses = 1024;
	kvr_rig_get(&rig, kvr_sim_now(rig.sim) + KVR_SEC(5));
	pass(KVR_MS(50));
	kvr_sim_store(rig.sim, 0)->refuses = 0;
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_COOLING);
	pass(KVR_MS(100));
	ck_assert_uint_eq(tier()->lane[asked].state, KVR_LINK_DIALING);
	ck_assert_uint_eq(tier()->health.asking, 0);
	pass(KVR_SEC(3));
	ck_assert_uint_eq(kvr_rig_tier(&rig), KVR_TIER_UP);
	kvr_sim_store(rig.sim, 0)->ping_fails = 1024;
	pass(KVR_SEC(2));
	ck_assert(tier()->health.shut);
	kvr_rig_end(&rig);
}
END_TEST

static bool
is_back(void *lane)
{
	return !tier()->lane[*(uint32_t *)lane].stuck;
}

/* It says that it is back before it says how the ping ended. */
START_TEST(a_lane_that_was_stuck_with_a_ping_has_not_answered_it_by_coming_back)
{
	open_rig();
	kvr_sim_store(rig.sim, 0)->sticks = 1024;
	kvr_sim_store(rig.sim, 0)->stick_ns = KVR_SEC(5);
	ck_assert(kvr_sim_run_until(rig.sim, KVR_SEC(2), is_asking, NULL));
	pass(0);
	uint32_t asked = tier()->health.lane;

	kvr_sim_store(rig.sim, 0)->sticks = 0;
	pass(KVR_SEC(4));
	ck_assert(tier()->lane[asked].stuck);
	ck_assert(!tier()->health.shut);
	ck_assert(kvr_sim_run_until(rig.sim, kvr_sim_now(rig.sim) + KVR_SEC(3), is_back, &asked));
	ck_assert_uint_ne(tier()->health.asking, 0);
	pass(0);
	ck_assert(tier()->health.shut);
	pass(KVR_SEC(3));
	ck_assert_int_eq(get_now(), KVR_OK);
	kvr_rig_end(&rig);
}
END_TEST

/* ---- among others ---- */

static struct kvr_sim_instance in;

static void
open_instance(void)
{
	kvr_sim_instance_defaults(&in, 3);
	set_health(&in.tier[1]);
	kvr_sim_instance_open(&in, &(struct kvr_sim_options){ .seed = 1 });
	kvr_sim_instance_start(&in);
	kvr_sim_run(in.sim, KVR_MS(500));
}

static const struct kvr_sim_answer *
ask(enum kvr_op_kind kind, uint64_t name)
{
	const struct kvr_sim_ask a = { .kind = kind,
		.n = 1,
		.len = 100,
		.names = &name,
		.deadline_ns = kvr_sim_now(in.sim) + KVR_SEC(1) };
	uint32_t number = kvr_sim_ask(in.sim, &a);

	kvr_sim_run(in.sim, kvr_sim_now(in.sim) + KVR_MS(100));
	return kvr_sim_answer_to(in.sim, number);
}

static uint64_t
parts_of_tier_1(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < in.tier[1].n_links; i++)
		n += kvr_sim_seen(in.sim, KVR_ID_WORKER_OF(1, i), KVR_MSG_PART);
	return n;
}

static void
shut_tier_1(void)
{
	open_instance();
	ck_assert_int_eq(ask(KVR_OP_PUT, 7)->err, KVR_OK);
	kvr_sim_store(in.sim, 1)->ping_fails = 1024;
	kvr_sim_run(in.sim, kvr_sim_now(in.sim) + KVR_SEC(2));
}

START_TEST(one_sick_tier_leaves_the_others_alone)
{
	shut_tier_1();
	const struct kvr_sim_answer *a = ask(KVR_OP_GET, 7);

	ck_assert_int_eq(a->err, KVR_OK);
	ck_assert_uint_eq(a->rows[0].where, 0);
	/* A put has the others, and says that it has not all. */
	a = ask(KVR_OP_PUT, 8);
	ck_assert_int_eq(a->err, KVR_E_PARTIAL);
	ck_assert(kvr_sim_has(in.sim, 0, 8) >= 0 && kvr_sim_has(in.sim, 2, 8) >= 0);
	kvr_sim_store(in.sim, 1)->ping_fails = 0;
	kvr_sim_run(in.sim, kvr_sim_now(in.sim) + KVR_SEC(2));
	ck_assert_int_eq(ask(KVR_OP_PUT, 9)->err, KVR_OK);
	kvr_sim_instance_close(&in);
}
END_TEST

START_TEST(a_tier_that_is_bypassed_is_not_asked)
{
	shut_tier_1();
	uint64_t before = parts_of_tier_1();
	const struct kvr_sim_answer *a = ask(KVR_OP_LOOKUP, 99);

	/* Nobody has it, as far as anybody can tell who leaves one out. */
	ck_assert_int_eq(a->err, KVR_E_DOWN);
	ck_assert_uint_eq(a->done_bits & KVR_DONEB_DEGRADED, KVR_DONEB_DEGRADED);
	for (uint64_t i = 0; i < 20; i++)
		ask(KVR_OP_PUT, 100 + i);
	ck_assert_uint_eq(parts_of_tier_1(), before);
	kvr_sim_instance_close(&in);
}
END_TEST

KVR_CHECK_MAIN("actors.health", a_ping_has_three_results,
    a_gate_finds_a_lane_also_where_the_breaker_asks_all, a_store_that_cannot_be_pinged_is_well,
    failures_count_and_misses_do_not, recovery_waits_longer_than_the_window_and_for_the_probe,
    a_change_of_something_else_does_not_put_the_check_off,
    a_check_that_is_switched_off_leaves_no_gate_shut,
    what_failed_meanwhile_does_not_count_afterwards, a_ping_of_another_lane_is_no_answer,
    another_lane_that_is_dialed_again_takes_no_answer_away,
    who_is_dialed_while_he_is_asked_is_not_waited_for,
    a_lane_that_was_stuck_with_a_ping_has_not_answered_it_by_coming_back,
    one_sick_tier_leaves_the_others_alone, a_tier_that_is_bypassed_is_not_asked)
