/* SPDX-License-Identifier: Apache-2.0 */
/* How instances end: drained, aborted, dead, stuck; and what works afterwards. */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"
#include "kvr_instance.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

static const struct kvr_batch ask = {
	.size = sizeof(ask), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
};

struct runner {
	struct kvr *k;
	pthread_t id;
	_Atomic int err;
	uint64_t until_ns;
};

static void *
run(void *arg)
{
	struct runner *r = arg;
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = r->until_ns };

	r->err = kvr_run(r->k, &ask, &o, NULL, NULL);
	return NULL;
}

static void *
close_too(void *arg)
{
	struct runner *r = arg;

	r->err = kvr_close(r->k, bed_in_ms(20000), KVR_ABORT, NULL);
	return NULL;
}

static void
start(struct runner *r, struct kvr *k, void *(*fn)(void *))
{
	*r = (struct runner){ .k = k, .err = 1, .until_ns = bed_in_ms(60000) };
	ck_assert_int_eq(pthread_create(&r->id, NULL, fn, r), 0);
}

START_TEST(drain_lets_it_finish)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_close_report rep = { .size = sizeof(rep) };
	struct runner r, closer;
	struct kvr_health h = { .size = sizeof(h) };

	kvr_fake_hold(true);
	start(&r, k, run);
	kvr_fake_wait_held(1);
	start(&closer, k, close_too);
	while (kvr_health(k, &h) == KVR_OK && strcmp(h.why, kvr_err_text(KVR_E_SHUTDOWN)) != 0)
		;
	kvr_fake_hold(false);
	pthread_join(r.id, NULL);
	pthread_join(closer.id, NULL);
	ck_assert_int_eq(closer.err, KVR_OK);
	OK(kvr_close(k, 0, KVR_DRAIN, &rep)); /* the first one's report */
	ck_assert_uint_eq(rep.finished + rep.dropped, 1);
	kvr_free(k);
}
END_TEST

START_TEST(a_drain_becomes_an_abort_in_time)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_close_report rep = { .size = sizeof(rep) };
	struct runner r;
	uint64_t until_ns = bed_in_ms(100);

	kvr_fake_hold(true);
	start(&r, k, run);
	kvr_fake_wait_held(1);
	OK(kvr_close(k, until_ns, KVR_DRAIN, &rep));
	ck_assert_uint_lt(bed_now_ns(), until_ns + UINT64_C(5000000000));
	pthread_join(r.id, NULL);
	ERR(r.err, KVR_E_SHUTDOWN);
	ck_assert_uint_eq(rep.dropped, 1);
	ck_assert_uint_eq(rep.finished, 0);
	kvr_free(k);
}
END_TEST

START_TEST(afterwards_everything_is_shutdown)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_queue *q, *other;
	kvr_op op = 0, waits = 0;
	kvr_obj obj = 0;
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_health h = { .size = sizeof(h) };
	const char *key = "k";
	uint32_t prefix = 7;
	char text[64];
	uint64_t ns;

	OK(kvr_queue_open(k, &q));
	OK(kvr_alloc(kvr_get_allocator_backend(k), NULL, 100, 0, &obj));
	kvr_fake_hold(true);
	OK(kvr_submit(
	    k, &ask, &(struct kvr_opts){ .size = sizeof(struct kvr_opts), .queue = q }, &op));
	OK(kvr_submit(k, &ask, NULL, &waits));
	OK(kvr_close(k, 0, KVR_ABORT, NULL));
	/* What was accepted can still be fetched, */
	ck_assert_int_eq(kvr_drain(q, &d, 1, NULL), 1);
	ck_assert_uint_eq(d.op, op);
	ck_assert_int_eq(d.err, KVR_E_SHUTDOWN);
	ERR(kvr_wait(k, waits, 0, NULL, NULL), KVR_E_SHUTDOWN);
	/* objects live until kvr_free, */
	OK(kvr_unref(kvr_get_allocator_backend(k), obj));
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.ok, 0);
	ERR(kvr_layer_wait(k, waits, 0, 0, NULL), KVR_E_STALE);
	ERR(kvr_layer_ready(k, waits, 0, NULL), KVR_E_STALE);
	OK(kvr_cache_close(NULL));
	/* and nothing else works. */
	ERR(kvr_submit(k, &ask, NULL, &op), KVR_E_SHUTDOWN);
	ERR(kvr_run(k, &ask, NULL, NULL, NULL), KVR_E_SHUTDOWN);
	ERR(kvr_cancel(k, op), KVR_E_SHUTDOWN);
	ERR(kvr_cancel_request(k, "r"), KVR_E_SHUTDOWN);
	ERR(kvr_quiet(k, 0, NULL), KVR_E_SHUTDOWN);
	ERR(kvr_queue_open(k, &other), KVR_E_SHUTDOWN);
	ERR(kvr_contains(k, key, false, 0), KVR_E_SHUTDOWN);
	ERR(kvr_batched_contains(k, &key, 1, false, 0, &prefix), KVR_E_SHUTDOWN);
	ck_assert_uint_eq(prefix, 0);
	ck_assert(!kvr_exists_in_put_tasks(k, key));
	ERR(kvr_submit_put_task(k, key, obj, NULL, NULL, NULL), KVR_E_SHUTDOWN);
	ERR(kvr_get_blocking(k, key, 0, &obj), KVR_E_SHUTDOWN);
	ck_assert(!kvr_support_batched_async_contains(k));
	ERR(kvr_pin(k, key), KVR_E_SHUTDOWN);
	ERR(kvr_change(k, NULL, 0, NULL, 0), KVR_E_SHUTDOWN);
	ERR(kvr_memory_register(k, text, sizeof(text), 0), KVR_E_SHUTDOWN);
	ERR(kvr_memory_unregister(k, text), KVR_E_SHUTDOWN);
	ERR(kvr_remove(k, key, false, 0), KVR_E_SHUTDOWN);
	ERR(kvr_set_layout(k, NULL), KVR_E_SHUTDOWN);
	ERR(kvr_estimate(k, 1, 1, &ns), KVR_E_SHUTDOWN);
	/* The last numbers are there until the end. */
	ck_assert_uint_gt(kvr_metrics_snapshot(k, KVR_METRICS_PROMETHEUS, text, sizeof(text)), sizeof(text));
	kvr_free(k);
}
END_TEST

START_TEST(free_closes)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	kvr_op op;

	kvr_fake_hold(true);
	OK(kvr_submit(k, &ask, NULL, &op));
	kvr_free(k);
	kvr_free(NULL);
	k = bed_open(MEMORY, NULL, NULL, NULL);
	kvr_fake_hold(false);
	bed_close(k);
}
END_TEST

static void
count(void *arg, const struct kvr_done *d, const struct kvr_results *r)
{
	(void)r;
	if (d->err == KVR_E_DEAD && (d->flags & KVR_DONE_QUIET) != 0)
		atomic_fetch_add((_Atomic int *)arg, 1);
}

START_TEST(a_dead_instance_answers_and_the_process_lives)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	_Atomic int n = 0;
	struct kvr_queue *q;
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_health h = { .size = sizeof(h) };
	struct runner r;
	kvr_op op;

	OK(kvr_queue_open(k, &q));
	kvr_fake_hold(true);
	start(&r, k, run);
	OK(kvr_submit(
	    k, &ask, &(struct kvr_opts){ .size = sizeof(struct kvr_opts), .queue = q }, &op));
	OK(kvr_submit(k, &ask,
	    &(struct kvr_opts){ .size = sizeof(struct kvr_opts), .done = count, .done_arg = &n },
	    &op));
	kvr_fake_wait_held(3);
	kvr_fake_die();
	pthread_join(r.id, NULL);
	ERR(r.err, KVR_E_DEAD);
	ERR(kvr_run(k, &ask, NULL, NULL, NULL), KVR_E_DEAD);
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.ok, 0);
	ck_assert_str_eq(h.why, kvr_err_text(KVR_E_DEAD));
	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(kvr_drain(q, &d, 1, NULL), 1);
	ck_assert_int_eq(d.err, KVR_E_DEAD);
	kvr_free(k);
}
END_TEST

static void
count_told(void *arg, const struct kvr_done *done, const struct kvr_results *results)
{
	(void)results;
	ck_assert((done->flags & KVR_DONE_QUIET) == 0);
	++*(_Atomic int *)arg;
}

START_TEST(a_stuck_thread_is_reported)
{
	static struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	struct kvr_close_report rep = { .size = sizeof(rep) };
	struct kvr_opts o = { .size = sizeof(o), .flags = KVR_EARLY };
	struct kvr_done d = { .size = sizeof(d) };
	_Atomic int told = 0;
	const struct kvr_opts tells = { .size = sizeof(tells), .done = count_told, .done_arg = (void *)&told };
	struct runner r;

	kvr_fake_hold(true);
	start(&r, k, run);
	OK(kvr_submit(k, &ask, &tells, NULL));
	kvr_fake_wait_held(2);
	kvr_fake_stuck(2);
	kvr_fake_die(); /* and nothing more is answered */
	pthread_join(r.id, NULL);
	ERR(r.err, KVR_E_DEAD);
	ERR(kvr_close(k, bed_in_ms(50), KVR_ABORT, &rep), KVR_E_STUCK);
	ck_assert_uint_eq(rep.stuck_threads, 2);
	ck_assert_uint_eq(rep.not_quiet, 2);
	/* It was told that the instance is dead; that a thread is stuck, too, is no second answer. */
	ck_assert_int_eq(told, 1);
	ERR(kvr_close(k, bed_in_ms(50), KVR_ABORT, &rep), KVR_E_STUCK);
	ERR(kvr_run(k, &ask, &o, &d, NULL), KVR_E_SHUTDOWN);
	kvr_fake_say("still there");
	kvr_free(k); /* leaks on purpose */
	ck_assert_uint_eq(rep.size, sizeof(rep));
	ck_assert_msg(strstr(log.text, "still there") != NULL, "%s", log.text);
	/* The caller may have unloaded the function by now. */
	kvr_fake_say("back again");
	ck_assert_msg(strstr(log.text, "back again") == NULL, "%s", log.text);
}
END_TEST

struct quiet {
	struct kvr *k;
	enum kvr_err err;
	uint64_t left;
};

static void *
wait_quiet(void *arg)
{
	struct quiet *q = arg;

	q->err = kvr_quiet(q->k, KVR_NEVER, &q->left);
	return NULL;
}

/* By those who said that they have all the time of the world, too. */
START_TEST(nobody_waits_for_memory_that_a_stuck_thread_keeps)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct quiet q = { .k = k };
	struct kvr_done d = { .size = sizeof(d) };
	pthread_t id;
	kvr_op op;

	kvr_fake_hold(true);
	OK(kvr_submit(k, &ask, NULL, &op));
	kvr_fake_wait_held(1);
	ck_assert_int_eq(pthread_create(&id, NULL, wait_quiet, &q), 0);
	while (atomic_load(&k->call[op & UINT32_MAX].sleepers) == 0)
		sched_yield();
	kvr_fake_stuck(1);
	kvr_fake_die();
	pthread_join(id, NULL);
	ERR(q.err, KVR_E_STUCK);
	ck_assert_uint_eq(q.left, 1);
	ERR(kvr_wait(k, op, KVR_NEVER, &d, NULL), KVR_E_DEAD);
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, 0);
	ERR(kvr_wait(k, op, KVR_NEVER, &d, NULL), KVR_E_STALE);
	ERR(kvr_close(k, bed_in_ms(50), KVR_ABORT, NULL), KVR_E_STUCK);
	kvr_free(k); /* leaks on purpose */
}
END_TEST

/* It was told of as dead while a thread might still touch its memory, and the thread has ended since. */
START_TEST(what_ended_as_dead_is_quiet_when_its_threads_are)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_close_report rep = { .size = sizeof(rep) };
	struct kvr_health h = { .size = sizeof(h) };
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	kvr_fake_hold(true);
	OK(kvr_submit(k, &ask, NULL, &op));
	kvr_fake_wait_held(1);
	kvr_fake_stuck(1);
	kvr_fake_die();
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_DEAD);
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, 0);
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.not_quiet, 1);
	kvr_fake_stuck(0);
	OK(kvr_close(k, 0, KVR_ABORT, &rep));
	ck_assert_uint_eq(rep.stuck_threads, 0);
	ck_assert_uint_eq(rep.not_quiet, 0);
	kvr_free(k);
	kvr_fake_hold(false);
}
END_TEST

/*
 * On a machine that is starved a thread comes too late for the call, too. It is told of, and what
 * it might have touched is not kept when it has ended since.
 */
START_TEST(threads_have_a_second_and_may_end_later)
{
	const uint64_t second_ns = UINT64_C(1000000000);

	for (int dead = 0; dead < 2; dead++) {
		struct bed_log log = BED_LOG;
		struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
		struct kvr_close_report rep = { .size = sizeof(rep) };
		struct runner r;

		kvr_fake_hold(true);
		start(&r, k, run);
		kvr_fake_wait_held(1);
		kvr_fake_stuck(1);
		uint64_t until_ns = bed_in_ms(20000);

		if (dead) {
			kvr_fake_die();
			pthread_join(r.id, NULL);
		}
		ERR(kvr_close(k, until_ns, KVR_ABORT, &rep), KVR_E_STUCK);
		if (!dead)
			pthread_join(r.id, NULL);
		ERR(r.err, dead ? KVR_E_DEAD : KVR_E_SHUTDOWN);
		ck_assert_uint_eq(rep.stuck_threads, 1);
		/* One that may hang has a second; one that has said its last word has more. */
		ck_assert_uint_ge(kvr_fake_join_until(), until_ns + second_ns);
		ck_assert(dead || kvr_fake_join_until() >= until_ns + 5 * second_ns);
		uint32_t before = kvr_fake_freed();

		kvr_fake_stuck(0);
		kvr_free(k);
		ck_assert_uint_eq(kvr_fake_freed(), before + 1);
		ck_assert_msg(strstr(log.text, "stay in memory") == NULL, "%s", log.text);
		kvr_fake_hold(false);
	}
}
END_TEST

/* A log function that does not come back, until it is let go. */
struct trap {
	_Atomic int in, let_go, n;
	char last[200];
};

static void
into_trap(void *arg, int level, const char *line)
{
	struct trap *t = arg;

	(void)level;
	t->n++;
	snprintf(t->last, sizeof(t->last), "%s", line);
	t->in = 1;
	while (strstr(line, "into the trap") != NULL && !t->let_go)
		nanosleep(&(const struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void *
say_into_trap(void *arg)
{
	(void)arg;
	kvr_fake_say("into the trap");
	return NULL;
}

/* An instance, and a thread that is in its log function. */
static struct kvr *
open_trapped(struct trap *t, pthread_t *ret_id)
{
	const struct kvr_options o = { .size = sizeof(o),
		.config_text = MEMORY,
		.log = into_trap,
		.log_arg = t,
		BED_SET };
	struct kvr *k = NULL;

	OK(kvr_open(&o, 0, &k, NULL, 0));
	ck_assert_int_eq(pthread_create(ret_id, NULL, say_into_trap, NULL), 0);
	while (!t->in)
		sched_yield();
	return k;
}

START_TEST(a_log_function_that_does_not_return_holds_up_nobody_else)
{
	static struct trap t;
	pthread_t id;
	struct kvr *k = open_trapped(&t, &id);
	uint64_t until_ns = bed_in_ms(30000);

	/* What is wrong with this call cannot be said; the first line has waited, and none after it does. */
	for (int i = 0; i < 100; i++)
		ERR(kvr_close(k, 12345, KVR_DRAIN, NULL), KVR_E_INVALID);
	ck_assert_int_eq(t.n, 1);
	ERR(kvr_run(k, &ask, NULL, NULL, NULL), KVR_E_MISS);
	OK(kvr_close(k, bed_in_ms(300), KVR_DRAIN, NULL));
	ck_assert_uint_lt(bed_now_ns(), until_ns);
	t.let_go = 1;
	pthread_join(id, NULL);
	kvr_fake_say("out again");
	ck_assert_msg(t.n == 3 && strstr(t.last, "out again") != NULL, "%d: %s", t.n, t.last);
	kvr_free(k);
}
END_TEST

/* A thread of the system's is in it at the end: it is not waited for, and the function not called again. */
START_TEST(an_instance_is_left_to_a_log_function_that_hangs)
{
	static struct trap t;
	pthread_t id;
	struct kvr *k = open_trapped(&t, &id);

	kvr_fake_stuck(1);
	ERR(kvr_close(k, bed_in_ms(50), KVR_ABORT, NULL), KVR_E_STUCK);
	kvr_free(k); /* leaks on purpose */
	t.let_go = 1;
	pthread_join(id, NULL);
	kvr_fake_say("nobody listens");
	ck_assert_int_eq(t.n, 1);
}
END_TEST

static void
stay(void *arg)
{
	struct trap *t = arg;

	t->in = 1;
	while (!t->let_go)
		nanosleep(&(const struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* The first one waits for threads, and has more time for that than the other. */
START_TEST(a_second_close_has_a_bound_of_its_own)
{
	static struct trap t;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct runner first;

	kvr_fake_at(KVR_FAKE_JOIN, stay, &t);
	start(&first, k, close_too);
	while (!t.in)
		sched_yield();
	ERR(kvr_close(k, bed_in_ms(50), KVR_ABORT, NULL), KVR_E_TIMEOUT);
	t.let_go = 1;
	pthread_join(first.id, NULL);
	OK(first.err);
	OK(kvr_close(k, bed_in_ms(50), KVR_ABORT, NULL));
	kvr_free(k);
}
END_TEST

START_TEST(wrong_closes)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_close_report rep = { .size = 4 };

	ERR(kvr_close(k, 0, 2, NULL), KVR_E_INVALID);
	ERR(kvr_close(k, 0, KVR_DRAIN, &rep), KVR_E_INVALID);
	ERR(kvr_close(k, KVR_NEVER, KVR_DRAIN, NULL), KVR_E_INVALID);
	ERR(kvr_close(k, 12345, KVR_DRAIN, NULL), KVR_E_INVALID);
	ERR(kvr_close(NULL, 0, KVR_DRAIN, NULL), KVR_E_INVALID);
	OK(kvr_run(k, &(struct kvr_batch){ .size = sizeof(struct kvr_batch) }, NULL, NULL, NULL));
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.end", drain_lets_it_finish, a_drain_becomes_an_abort_in_time,
    afterwards_everything_is_shutdown, free_closes, a_dead_instance_answers_and_the_process_lives,
    a_stuck_thread_is_reported, nobody_waits_for_memory_that_a_stuck_thread_keeps,
    what_ended_as_dead_is_quiet_when_its_threads_are,
    threads_have_a_second_and_may_end_later,
    a_log_function_that_does_not_return_holds_up_nobody_else,
    an_instance_is_left_to_a_log_function_that_hangs, a_second_close_has_a_bound_of_its_own,
    wrong_closes)
