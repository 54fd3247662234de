/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_domain.h"
#include "kvr_thread.h"
#include "kvr_check.h"
#include "duo.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, EACH = 5000, CALLERS = 4, OPS_EACH = 3000 };

static const uint64_t soon = KVR_SEC(200);

/* ---- the world around a domain ---- */

struct seen {
	struct kvr_msg msg;
	struct kvr_row first_row;
	pthread_t      by;
	uint64_t       at_ns;
};

struct world {
	struct kvr_ledger  *ledger;
	struct kvr_domain  *domain;
	struct kvr_mailbox *work;
	struct kvr_thread  *worker;
	pthread_mutex_t     lock;
	pthread_cond_t      cond;
	struct seen         last;
	uint64_t            n, n_stopped, n_watched, wrong;
	uint64_t            next[THREADS];
	uint64_t            done_gen[DUO_SLOTS];
	char                watched[64];
};

static void
outside(void *arg, const struct kvr_msg *m, const struct kvr_row *rows)
{
	struct world *w = arg;

	pthread_mutex_lock(&w->lock);
	w->last = (struct seen){ .msg = *m, .by = pthread_self(), .at_ns = kvr_now_ns() };
	if (rows != NULL)
		w->last.first_row = rows[0];
	w->n++;
	if (m->type == KVR_MSG_STOPPED)
		w->n_stopped++;
	if (m->type == KVR_MSG_COUNT && m->part != 0 && w->next[m->part - 1]++ != m->op)
		w->wrong++;
	if (m->type == KVR_MSG_COMPLETE)
		w->done_gen[m->op % DUO_SLOTS] = m->op >> 32;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void
watch(void *arg, const struct kvr_actor *a, uint32_t before, const struct kvr_event *ev)
{
	struct world *w = arg;

	pthread_mutex_lock(&w->lock);
	w->n_watched++;
	snprintf(w->watched, sizeof(w->watched), "%s %s -> %s by %s", a->spec->name,
	    a->spec->state_name[before], a->spec->state_name[a->state], kvr_msg_info[ev->msg.type].name);
	pthread_mutex_unlock(&w->lock);
}

static void
post(struct world *w, const struct kvr_msg m)
{
	ck_assert_int_eq(kvr_domain_post(w->domain, &m), KVR_OK);
}

static void
open_world(struct world *w, bool poison)
{
	struct kvr_domain_options o = { .name = "test", .outside = outside, .watch = watch, .arg = w, .watch_arg = w,
		.poison = poison };

	memset(w, 0, sizeof(*w));
	ck_assert_int_eq(pthread_mutex_init(&w->lock, NULL), 0);
	kvr_cond_init(&w->cond);
	o.ledger = w->ledger = kvr_ledger_new(0);
	ck_assert_ptr_nonnull(w->ledger);
	ck_assert_int_eq(kvr_domain_open(&o, &w->domain), KVR_OK);
	ck_assert_int_eq(kvr_domain_add(w->domain, KVR_ID_ROUTER, &duo_front_spec), KVR_OK);
	ck_assert_int_eq(kvr_domain_add(w->domain, KVR_ID_TIER_OF(0), &duo_back_spec), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_open("work", DUO_SLOTS, NULL, NULL, &w->work), KVR_OK);
	kvr_domain_attach(w->domain, KVR_ID_WORKER_OF(0, 0), w->work);
	ck_assert_int_eq(kvr_domain_start(w->domain), KVR_OK);
	post(w, duo_start(KVR_ID_ROUTER, 42));
	post(w, duo_start(KVR_ID_TIER_OF(0), 42));
}

static void
close_world(struct world *w)
{
	kvr_domain_stop(w->domain);
	kvr_domain_free(w->domain);
	kvr_mailbox_close(w->work);
	kvr_ledger_free(w->ledger);
}

static void
fill_rows(struct world *w, uint32_t slot, uint32_t n, uint32_t len)
{
	for (uint32_t i = 0; i < n; i++)
		w->ledger->rows[slot * DUO_ROWS + i] = (struct kvr_row){ .key = slot * DUO_ROWS + i,
			.len = len + i };
}

/* Waits until n messages have come out. */
static void
wait_for(struct world *w, uint64_t n)
{
	bool in_time = true;

	pthread_mutex_lock(&w->lock);
	while (w->n < n && in_time)
		in_time = kvr_cond_wait(&w->cond, &w->lock, kvr_now_ns() + soon);
	ck_assert_uint_ge(w->n, n);
	pthread_mutex_unlock(&w->lock);
}

/* ---- */

/*
 * Another thread may just have the guard, so one post in many is allowed to be answered elsewhere;
 * an idle domain that never answers directly is what this looks for.
 */
static bool
answered_here(struct world *w, const struct kvr_msg m)
{
	uint64_t before = w->n;

	post(w, m);
	wait_for(w, before + 1);
	return pthread_equal(w->last.by, pthread_self()) != 0;
}

START_TEST(an_idle_domain_answers_on_the_callers_thread)
{
	struct world w;
	bool here = false;

	open_world(&w, true);
	for (uint32_t gen = 1; gen < 1000 && !here; gen++) {
		fill_rows(&w, 5, 3, 100);
		here = answered_here(&w, duo_submit(5, gen, 3, 0, 0));
		ck_assert_int_eq(w.last.msg.type, KVR_MSG_COMPLETE);
		ck_assert_uint_eq(w.last.msg.from, KVR_ID_ROUTER);
		ck_assert_uint_eq(w.last.msg.op, 5 | (uint64_t)gen << 32);
		ck_assert_uint_eq(w.last.first_row.len, 100);
		ck_assert_uint_ge(w.last.msg.COMPLETE.bytes, 100 + 101 + 102);
		kvr_domain_stop(w.domain); /* whoever ran has left the domain */
		ck_assert_uint_eq(w.n_watched, 2);
		ck_assert_str_eq(w.watched, "front BUSY -> IDLE by PART_DONE");
		close_world(&w);
		open_world(&w, true);
	}
	ck_assert(here);
	close_world(&w);
}
END_TEST

START_TEST(a_long_chain_goes_on_at_home)
{
	struct world w;
	bool here = false;

	open_world(&w, true);
	for (int i = 0; i < 1000 && !here; i++)
		here = answered_here(&w, duo_continue(KVR_DOMAIN_STEPS - 1, 7));
	ck_assert(here);
	ck_assert(!answered_here(&w, duo_continue(20 * KVR_DOMAIN_STEPS, 8)));
	ck_assert_uint_eq(w.last.msg.op, 8);
	close_world(&w);
}
END_TEST

struct poster {
	struct world *w;
	uint32_t      id, chain;
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
	struct poster p[THREADS];
	struct kvr_thread *t[THREADS];

	open_world(&w, true);
	for (uint32_t i = 0; i < THREADS; i++) {
		p[i] = (struct poster){ &w, i, chain };
		ck_assert_int_eq(kvr_thread_start("poster", post_many, &p[i], &t[i]), KVR_OK);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(kvr_thread_join(t[i], kvr_now_ns() + soon), KVR_OK);
	wait_for(&w, THREADS * EACH);
	ck_assert_uint_eq(w.n, THREADS * EACH);
	ck_assert_uint_eq(w.wrong, 0);
	close_world(&w);
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
	struct kvr_thread *t[THREADS];

	ck_assert_uint_eq(a->id, KVR_ID_ROUTER);
	for (uint32_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(kvr_thread_start("poster", post_in_order, &p[i], &t[i]), KVR_OK);
	for (uint32_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(kvr_thread_join(t[i], kvr_now_ns() + soon), KVR_OK);
}

START_TEST(what_finds_the_guard_taken_goes_through_the_inbox)
{
	struct world w;
	struct poster p[THREADS];

	open_world(&w, true);
	for (uint32_t i = 0; i < THREADS; i++)
		p[i] = (struct poster){ &w, i, 1 };
	kvr_domain_look(w.domain, hold_guard, p, KVR_ID_ROUTER);
	wait_for(&w, THREADS * 100);
	ck_assert_uint_eq(w.n, THREADS * 100);
	ck_assert_uint_eq(w.wrong, 0);
	close_world(&w);
}
END_TEST

/* ---- workers ---- */

static void
work(void *arg)
{
	struct world *w = arg;
	struct kvr_msg m;

	while (kvr_mailbox_take(w->work, UINT64_MAX, &m) == KVR_OK && m.type != KVR_MSG_STOP) {
		struct kvr_msg done = duo_part_done(&m);
		struct kvr_row *rows = &w->ledger->rows[m.rows];

		for (uint32_t i = 0; i < m.n_rows; i++)
			rows[i].len *= 2;
		ck_assert_int_eq(kvr_domain_post(w->domain, &done), KVR_OK);
	}
}

static void
start_worker(struct world *w)
{
	ck_assert_int_eq(kvr_thread_start("worker", work, w, &w->worker), KVR_OK);
}

static void
stop_worker(struct world *w)
{
	const struct kvr_msg stop = { .type = KVR_MSG_STOP };

	ck_assert_int_eq(kvr_mailbox_post(w->work, &stop), KVR_OK);
	ck_assert_int_eq(kvr_thread_join(w->worker, kvr_now_ns() + soon), KVR_OK);
}

static void
call_many(void *arg)
{
	struct poster *p = arg;
	struct world *w = p->w;

	for (uint32_t i = 1; i <= OPS_EACH; i++) {
		uint32_t slot = p->id, n = 1 + i % DUO_ROWS;
		bool in_time = true;

		fill_rows(w, slot, n, i);
		post(w, duo_submit(slot, i, n, i % 3 != 0, kvr_now_ns() + soon));
		pthread_mutex_lock(&w->lock);
		while (w->done_gen[slot] != i && in_time)
			in_time = kvr_cond_wait(&w->cond, &w->lock, kvr_now_ns() + soon);
		pthread_mutex_unlock(&w->lock);
		ck_assert(in_time);
		ck_assert_uint_eq(w->ledger->rows[slot * DUO_ROWS].len, i % 3 != 0 ? 2 * i : i);
	}
}

static void
add_up(void *arg, const struct kvr_actor *a)
{
	*(uint64_t *)arg += ((const struct duo_front *)a->self)->done;
}

START_TEST(operations_of_many_callers_go_through_a_worker)
{
	struct world w;
	struct poster p[CALLERS];
	struct kvr_thread *t[CALLERS];
	uint64_t done = 0;

	open_world(&w, true);
	start_worker(&w);
	for (uint32_t i = 0; i < CALLERS; i++) {
		p[i] = (struct poster){ &w, i, 0 };
		ck_assert_int_eq(kvr_thread_start("caller", call_many, &p[i], &t[i]), KVR_OK);
	}
	for (uint32_t i = 0; i < 1000; i++)
		kvr_domain_look(w.domain, add_up, &done, KVR_ID_ROUTER); /* beside them */
	for (uint32_t i = 0; i < CALLERS; i++)
		ck_assert_int_eq(kvr_thread_join(t[i], kvr_now_ns() + soon), KVR_OK);
	done = 0;
	kvr_domain_look(w.domain, add_up, &done, KVR_ID_ROUTER);
	ck_assert_uint_eq(done, CALLERS * OPS_EACH);
	ck_assert_uint_eq(w.n, CALLERS * OPS_EACH);
	stop_worker(&w);
	close_world(&w);
}
END_TEST

/* ---- timers ---- */

START_TEST(a_timer_fires_in_time_and_an_earlier_one_wakes_the_sleeper)
{
	struct world w;

	open_world(&w, true);
	fill_rows(&w, 1, 1, 1);
	fill_rows(&w, 2, 1, 1);
	uint64_t late_ns = kvr_now_ns() + KVR_SEC(3600), early_ns = kvr_now_ns() + KVR_MS(20);
	post(&w, duo_submit(1, 1, 1, 0, late_ns));
	post(&w, duo_submit(2, 1, 1, 0, early_ns));
	wait_for(&w, 3); /* two COMPLETE and the COUNT of the timer */
	ck_assert_int_eq(w.last.msg.type, KVR_MSG_COUNT);
	ck_assert_uint_eq(w.last.msg.COUNT.tier, 2);
	ck_assert_uint_ge(w.last.msg.op, early_ns);
	ck_assert_uint_ge(w.last.at_ns, early_ns);
	close_world(&w);
}
END_TEST

START_TEST(thousands_of_timers_all_fire)
{
	struct world w;
	uint32_t n = 0;

	open_world(&w, true);
	for (uint32_t gen = 1; gen <= 30; gen++) {
		for (uint32_t slot = 0; slot < DUO_SLOTS; slot++) {
			fill_rows(&w, slot, 1, 1);
			post(&w, duo_submit(slot, gen, 1, 0, kvr_now_ns() + 50000U * (slot % 7)));
			n++;
		}
		wait_for(&w, 2 * n);
	}
	ck_assert_uint_eq(w.n, 2 * n);
	close_world(&w);
}
END_TEST

/* ---- what breaks ---- */

START_TEST(a_broken_invariant_poisons)
{
	struct world w;
	struct kvr_msg cancel = { .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER };
	const struct kvr_msg m = duo_continue(0, 1);

	open_world(&w, true);
	ck_assert(!kvr_domain_dead(w.domain));
	ck_assert_str_eq(kvr_domain_why(w.domain), "");
	cancel.CANCEL.reason = 1;
	post(&w, cancel);
	wait_for(&w, 1);
	ck_assert(kvr_domain_dead(w.domain));
	ck_assert_uint_eq(w.n_stopped, 1);
	ck_assert_uint_eq(w.last.msg.from, KVR_ID_NONE);
	ck_assert_ptr_nonnull(strstr(kvr_domain_why(w.domain), "duo.c:"));
	ck_assert_ptr_nonnull(strstr(kvr_domain_why(w.domain), "ev->msg.CANCEL.reason == 0"));
	ck_assert_int_eq(kvr_domain_post(w.domain, &m), KVR_E_DEAD);
	kvr_domain_stop(w.domain);
	ck_assert_int_eq(kvr_domain_post(w.domain, &m), KVR_E_DEAD);
	ck_assert_uint_eq(w.n_stopped, 1);
	close_world(&w);
}
END_TEST

START_TEST(what_has_no_cell_or_no_receiver_says_who_and_what)
{
	static const struct {
		uint16_t    type, to;
		const char *why;
	} wrong[] = {
		{ KVR_MSG_PONG, KVR_ID_ROUTER, "router: PONG in IDLE: no cell" },
		{ KVR_MSG_DIALED, KVR_ID_ROUTER, "router: DIALED in IDLE: goes to a state" },
		{ KVR_MSG_PONG, KVR_ID_LINK_OF(3, 1), "d->actor[ev.msg.to] != NULL" },
	};
	struct world w;

	for (size_t i = 0; i < KVR_LEN(wrong); i++) {
		open_world(&w, true);
		post(&w, (struct kvr_msg){ .type = wrong[i].type, .to = wrong[i].to });
		wait_for(&w, 1);
		ck_assert_msg(strstr(kvr_domain_why(w.domain), wrong[i].why) != NULL, "%s",
		    kvr_domain_why(w.domain));
		close_world(&w);
	}
}
END_TEST

START_TEST(a_full_worker_is_a_bug_that_has_a_name)
{
	struct world w;

	open_world(&w, true);
	for (uint32_t i = 0; i < DUO_SLOTS; i++) {
		fill_rows(&w, i, 1, 1);
		post(&w, duo_submit(i, 1, 1, 1, 0));
	}
	ck_assert(!kvr_domain_dead(w.domain));
	struct kvr_msg more = { .type = KVR_MSG_PART, .from = KVR_ID_ROUTER, .to = KVR_ID_TIER_OF(0) };
	more.PART.cls = 1;
	post(&w, more);
	wait_for(&w, 1);
	const char *why = kvr_domain_why(w.domain);
	ck_assert_msg(strstr(why, "tier 0 sends PART to worker 0.0: its mailbox is full") != NULL, "%s",
	    why);
	close_world(&w);
}
END_TEST

START_TEST(without_poison_it_aborts)
{
	int status = 0;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct world w;
		struct kvr_msg cancel = { .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER };

		fclose(stderr);
		open_world(&w, false);
		cancel.CANCEL.reason = 1;
		post(&w, cancel);
		wait_for(&w, 1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(after_stop_posts_are_answered)
{
	struct world w;
	const struct kvr_msg m = duo_continue(0, 1);

	open_world(&w, true);
	kvr_domain_stop(w.domain);
	ck_assert_int_eq(kvr_domain_post(w.domain, &m), KVR_E_SHUTDOWN);
	ck_assert_uint_eq(w.n, 0);
	kvr_domain_stop(w.domain);
	close_world(&w);
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
	struct kvr_domain_options o = { .name = "clock", .outside = note_time, .arg = &w, .poison = true,
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
	wait_for(&w, 20);
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
    a_timer_fires_in_time_and_an_earlier_one_wakes_the_sleeper, thousands_of_timers_all_fire,
    a_broken_invariant_poisons, what_has_no_cell_or_no_receiver_says_who_and_what,
    a_full_worker_is_a_bug_that_has_a_name, without_poison_it_aborts, after_stop_posts_are_answered,
    stamps_do_not_go_back)
