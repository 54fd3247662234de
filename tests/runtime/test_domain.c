/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_domain.h"
#include "kvr_check.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

enum { EACH = KVR_ROUNDS(5000), OPS_EACH = KVR_ROUNDS(3000) };

/*
 * Another thread may just have the guard, so one post in many is allowed to be answered elsewhere;
 * an idle domain that never answers directly is what this looks for.
 */
static bool
answered_here(struct world *w, const struct kvr_msg m)
{
	uint64_t before = w->n;

	world_post(w, m);
	world_wait(w, before + 1);
	return pthread_equal(w->last.by, pthread_self()) != 0;
}

START_TEST(an_idle_domain_answers_on_the_callers_thread)
{
	struct world w;
	bool here = false;

	world_open(&w, true, NULL);
	for (uint32_t gen = 1; gen < 1000 && !here; gen++) {
		world_fill_rows(&w, 5, 3, 100);
		here = answered_here(&w, duo_submit(5, gen, 3, 0, 0));
		ck_assert_int_eq(w.last.msg.type, KVR_MSG_COMPLETE);
		ck_assert_uint_eq(w.last.msg.from, KVR_ID_ROUTER);
		ck_assert_uint_eq(w.last.msg.op, 5 | (uint64_t)gen << 32);
		ck_assert_uint_eq(w.last.first_row.len, 100);
		ck_assert_uint_ge(w.last.msg.COMPLETE.bytes, 100 + 101 + 102);
		kvr_domain_stop(w.domain); /* whoever ran has left the domain */
		ck_assert_uint_eq(w.n_watched, 2);
		ck_assert_str_eq(w.watched, "front BUSY -> IDLE by PART_DONE");
		world_close(&w);
		world_open(&w, true, NULL);
	}
	ck_assert(here);
	world_close(&w);
}
END_TEST

START_TEST(a_long_chain_goes_on_at_home)
{
	struct world w;
	bool here = false;

	world_open(&w, true, NULL);
	for (int i = 0; i < 1000 && !here; i++)
		here = answered_here(&w, duo_continue(KVR_DOMAIN_STEPS - 1, 7));
	ck_assert(here);
	ck_assert(!answered_here(&w, duo_continue(20 * KVR_DOMAIN_STEPS, 8)));
	ck_assert_uint_eq(w.last.msg.op, 8);
	world_close(&w);
}
END_TEST

struct poster {
	struct world *w;
	uint32_t id, chain;
};

static void
post_many(void *arg)
{
	struct poster *p = arg;

	for (uint64_t i = 0; i < EACH; i++) {
		struct kvr_msg m = duo_continue((uint32_t)(i % p->chain), i);

		/*
		 * A chain delays its end, so of these only whole chains of one length keep their
		 * order; a chain of 1 is a single step.
		 */
		if (p->chain == 1)
			m.part = p->id + 1;
		ck_assert_int_eq(kvr_domain_post(p->w->domain, &m), KVR_OK);
	}
}

static void
many_threads(uint32_t chain)
{
	struct world w;
	struct poster p[WORLD_SENDERS];
	struct kvr_thread *t[WORLD_SENDERS];

	world_open(&w, true, NULL);
	for (uint32_t i = 0; i < WORLD_SENDERS; i++) {
		p[i] = (struct poster){ &w, i, chain };
		ck_assert_int_eq(kvr_thread_start("poster", post_many, &p[i], &t[i]), KVR_OK);
	}
	for (uint32_t i = 0; i < WORLD_SENDERS; i++)
		ck_assert_int_eq(kvr_thread_join(t[i], world_soon()), KVR_OK);
	world_wait(&w, WORLD_SENDERS * EACH);
	ck_assert_uint_eq(w.n, WORLD_SENDERS * EACH);
	ck_assert_uint_eq(w.wrong, 0);
	world_close(&w);
}

START_TEST(each_senders_order_is_kept)
{
	many_threads(1);
}
END_TEST

START_TEST(nothing_is_lost_when_work_is_left_over)
{
	many_threads(3 * KVR_DOMAIN_STEPS);
}
END_TEST

static void
post_in_order(void *arg)
{
	struct poster *p = arg;

	for (uint64_t i = 0; i < 100; i++) {
		struct kvr_msg m = duo_continue(0, i);

		m.part = p->id + 1;
		ck_assert_int_eq(kvr_domain_post(p->w->domain, &m), KVR_OK);
	}
}

/* Under the guard: who posts meanwhile may not wait for it to end. */
static void
hold_guard(void *arg, const struct kvr_actor *a)
{
	struct poster *p = arg;
	struct kvr_thread *t[WORLD_SENDERS];

	ck_assert_uint_eq(a->id, KVR_ID_ROUTER);
	for (uint32_t i = 0; i < WORLD_SENDERS; i++)
		ck_assert_int_eq(kvr_thread_start("poster", post_in_order, &p[i], &t[i]), KVR_OK);
	for (uint32_t i = 0; i < WORLD_SENDERS; i++)
		ck_assert_int_eq(kvr_thread_join(t[i], world_soon()), KVR_OK);
}

START_TEST(what_finds_the_guard_taken_goes_through_the_inbox)
{
	struct world w;
	struct poster p[WORLD_SENDERS];

	world_open(&w, true, NULL);
	for (uint32_t i = 0; i < WORLD_SENDERS; i++)
		p[i] = (struct poster){ &w, i, 1 };
	kvr_domain_look(w.domain, hold_guard, p, KVR_ID_ROUTER);
	world_wait(&w, WORLD_SENDERS * 100);
	ck_assert_uint_eq(w.n, WORLD_SENDERS * 100);
	ck_assert_uint_eq(w.wrong, 0);
	world_close(&w);
}
END_TEST

/* ---- workers ---- */

static void
add_up(void *arg, const struct kvr_actor *a)
{
	*(uint64_t *)arg += ((const struct duo_front *)a->self)->done;
}

static void
look_often(void *arg)
{
	struct world *w = arg;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < 1000; i++)
		kvr_domain_look(w->domain, add_up, &sum, KVR_ID_ROUTER);
}

START_TEST(operations_of_many_callers_go_through_a_worker)
{
	struct world w;
	struct kvr_thread *looker;
	uint64_t done = 0;

	world_open(&w, true, NULL);
	world_start_worker(&w);
	ck_assert_int_eq(kvr_thread_start("looker", look_often, &w, &looker), KVR_OK);
	world_call(&w, WORLD_SENDERS, OPS_EACH);
	ck_assert_int_eq(kvr_thread_join(looker, world_soon()), KVR_OK);
	kvr_domain_look(w.domain, add_up, &done, KVR_ID_ROUTER);
	ck_assert_uint_eq(done, WORLD_SENDERS * OPS_EACH);
	world_stop_worker(&w);
	world_close(&w);
	ck_assert_uint_ge(w.n, WORLD_SENDERS * OPS_EACH); /* and some of their timers */
}
END_TEST

/* ---- timers ---- */

START_TEST(a_timer_fires_in_time_and_an_earlier_one_wakes_the_sleeper)
{
	struct world w;

	world_open(&w, true, NULL);
	world_fill_rows(&w, 1, 1, 1);
	world_fill_rows(&w, 2, 1, 1);
	uint64_t late_ns = kvr_now_ns() + KVR_SEC(3600), early_ns = kvr_now_ns() + KVR_MS(20);
	world_post(&w, duo_submit(1, 1, 1, 0, late_ns));
	world_post(&w, duo_submit(2, 1, 1, 0, early_ns));
	world_wait(&w, 3); /* two COMPLETE and the COUNT of the timer */
	ck_assert_int_eq(w.last.msg.type, KVR_MSG_COUNT);
	ck_assert_uint_eq(w.last.msg.COUNT.tier, 2);
	ck_assert_uint_ge(w.last.msg.op, early_ns);
	ck_assert_uint_ge(w.last.at_ns, early_ns);
	world_close(&w);
}
END_TEST

static uint64_t
set_clock(void *arg)
{
	return atomic_load((_Atomic uint64_t *)arg);
}

/* The home thread sleeps for an hour of the system's clock, as one that gets no processor does. */
START_TEST(who_posts_fires_what_is_due)
{
	static _Atomic uint64_t clock_ns = KVR_SEC(1);
	struct world w;

	world_open_by(&w, true, NULL, (struct kvr_world){ set_clock, &clock_ns });
	world_fill_rows(&w, 1, 1, 1);
	world_post(&w, duo_submit(1, 1, 1, 0, KVR_SEC(3601)));
	world_wait(&w, 1);
	atomic_store(&clock_ns, KVR_SEC(3601));
	world_post(&w, duo_continue(0, 7));
	world_wait(&w, 3); /* the COUNT of the timer, and that of the CONTINUE behind it */
	ck_assert_uint_eq(w.last.msg.op, 7);
	world_close(&w);
}
END_TEST

START_TEST(thousands_of_timers_all_fire)
{
	struct world w;
	uint32_t n = 0;

	world_open(&w, true, NULL);
	for (uint32_t gen = 1; gen <= 30; gen++) {
		for (uint32_t slot = 0; slot < DUO_SLOTS; slot++) {
			world_fill_rows(&w, slot, 1, 1);
			world_post(
			    &w, duo_submit(slot, gen, 1, 0, kvr_now_ns() + 50000U * (slot % 7)));
			n++;
		}
		world_wait(&w, 2 * n);
	}
	ck_assert_uint_eq(w.n, 2 * n);
	world_close(&w);
}
END_TEST

/* ---- the end ---- */

START_TEST(after_stop_posts_are_answered)
{
	struct world w;
	const struct kvr_msg m = duo_continue(0, 1);

	world_open(&w, true, NULL);
	kvr_domain_stop(w.domain);
	ck_assert_int_eq(kvr_domain_post(w.domain, &m), KVR_E_SHUTDOWN);
	ck_assert_uint_eq(w.n, 0);
	kvr_domain_stop(w.domain);
	world_close(&w);
}
END_TEST

/* ---- the clock ---- */

static uint64_t
jumpy_clock(void *arg)
{
	static const uint64_t at[] = { 1000, 900, 950, 2000, 100 };
	uint32_t *n = arg;

	return at[(*n)++ % KVR_LEN(at)];
}

static void
note_time(void *arg, const struct kvr_msg *m, const struct kvr_row *rows)
{
	struct world *w = arg;

	(void)rows;
	pthread_mutex_lock(&w->lock);
	if (m->op < w->last.at_ns)
		w->wrong++;
	w->last.at_ns = m->op;
	w->n++;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

START_TEST(stamps_do_not_go_back)
{
	static uint32_t n;
	struct world w = { .n = 0 };
	struct kvr_domain_options o = { .name = "clock",
		.outside = note_time,
		.arg = &w,
		.poison = true,
		.world = { jumpy_clock, &n } };
	struct kvr_msg timer = { .type = KVR_MSG_TIMER, .to = KVR_ID_ROUTER };
	const struct kvr_msg start = duo_start(KVR_ID_ROUTER, 1);

	ck_assert_int_eq(pthread_mutex_init(&w.lock, NULL), 0);
	kvr_cond_init(&w.cond);
	ck_assert_int_eq(kvr_domain_open(&o, &w.domain), KVR_OK);
	ck_assert_int_eq(kvr_domain_add(w.domain, KVR_ID_ROUTER, &duo_front_spec), KVR_OK);
	ck_assert_int_eq(kvr_domain_start(w.domain), KVR_OK);
	ck_assert_int_eq(kvr_domain_post(w.domain, &start), KVR_OK);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(kvr_domain_post(w.domain, &timer), KVR_OK);
	world_wait(&w, 20);
	kvr_domain_free(w.domain);
	ck_assert_uint_eq(w.n, 20);
	ck_assert_uint_eq(w.wrong, 0);
	ck_assert_uint_eq(w.last.at_ns, 2000);
}
END_TEST

KVR_CHECK_MAIN("runtime.domain", an_idle_domain_answers_on_the_callers_thread,
    a_long_chain_goes_on_at_home, each_senders_order_is_kept,
    nothing_is_lost_when_work_is_left_over, what_finds_the_guard_taken_goes_through_the_inbox,
    operations_of_many_callers_go_through_a_worker,
    a_timer_fires_in_time_and_an_earlier_one_wakes_the_sleeper, who_posts_fires_what_is_due,
    thousands_of_timers_all_fire,
    after_stop_posts_are_answered, stamps_do_not_go_back)
