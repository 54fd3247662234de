/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of the engine's that is cancelled ends behind the call in which it is: else it would
 * take a lock of the library's with it, and nobody would come back any more.
 */
#include "kvr_api_bed.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

struct engine {
	struct kvr       *k;
	struct kvr_queue *q;
	_Atomic int       came_through, wrong; /* wrong: a line */
};

/* The engine's own functions may have points of cancellation. */
static void
a_point(void)
{
	(void)!write(-1, "", 1);
	pthread_testcancel();
}

static void
log_at_a_point(void *arg, int level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
	a_point();
}

static void *
get_at_a_point(void *arg, size_t len, size_t align)
{
	void *at = NULL;

	(void)arg;
	a_point();
	return posix_memalign(&at, align, len) == 0 ? at : NULL;
}

static void
put_at_a_point(void *arg, void *at, size_t len)
{
	(void)arg;
	(void)len;
	a_point();
	free(at);
}

static const struct kvr_options options = { .size = sizeof(options),
	.config_text = MEMORY,
	.log = log_at_a_point,
	.mem_get = get_at_a_point,
	.mem_put = put_at_a_point };

static const struct kvr_batch ask = {
	.size = sizeof(ask), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
};

/* Not with a check, which is a point of cancellation itself. */
#define WANT(call, want)                                                                           \
	do {                                                                                       \
		if ((int32_t)(call) != (int32_t)(want) && e->wrong == 0)                           \
			e->wrong = __LINE__;                                                       \
	} while (0)

/* It is cancelled at the next point, wherever that is. */
static void *
call_it_all(void *arg)
{
	struct engine *e = arg;
	const struct kvr_opts queued = { .size = sizeof(queued), .queue = e->q };
	const char *const set[] = { "timeouts.blocking=9s" };
	struct kvr_pool *p = kvr_get_allocator_backend(e->k);
	struct kvr_done d = { .size = sizeof(d) };
	static char page[4096], text[64];
	struct kvr *other = NULL;
	kvr_obj obj;
	kvr_op op;

	pthread_cancel(pthread_self());
	WANT(kvr_submit(e->k, &ask, &queued, &op), KVR_OK);
	WANT(kvr_drain(e->q, &d, 1, NULL) < 0, 0);
	kvr_queue_wake(e->q);
	WANT(kvr_run(e->k, &ask, NULL, NULL, NULL), KVR_E_MISS);
	WANT(kvr_contains(e->k, "", false, 0), KVR_E_INVALID);
	WANT(kvr_submit(e->k, &ask, NULL, &op), KVR_OK);
	WANT(kvr_wait(e->k, op, 0, &d, NULL), KVR_E_MISS);
	WANT(kvr_layer_ready(e->k, op, 0, NULL), KVR_E_STALE);
	WANT(kvr_layer_wait(e->k, op, 0, 0, NULL), KVR_E_STALE);
	WANT(kvr_alloc(p, NULL, 1000, 0, &obj), KVR_OK);
	WANT(kvr_unref(p, obj), KVR_OK);
	WANT(kvr_unref(p, obj), KVR_E_STALE);
	WANT(kvr_get_blocking(e->k, "k", 0, &obj), KVR_E_MISS);
	WANT(kvr_memory_register(e->k, page, sizeof(page), 0), KVR_OK);
	WANT(kvr_memory_unregister(e->k, page), KVR_OK);
	WANT(kvr_change(e->k, set, 1, NULL, 0), KVR_OK);
	WANT(kvr_quiet(e->k, 0, NULL), KVR_OK);
	WANT(kvr_metrics_snapshot(e->k, KVR_METRICS_JSON, text, sizeof(text)) == 0, 0);
	WANT(kvr_open(&options, 0, &other, NULL, 0), KVR_OK);
	WANT(kvr_alloc(kvr_get_allocator_backend(other), NULL, 1000, 0, &obj), KVR_OK);
	WANT(kvr_close(other, 0, KVR_DRAIN, NULL), KVR_OK);
	kvr_free(other);
	e->came_through = 1;
	pthread_testcancel();
	return NULL;
}

START_TEST(it_ends_behind_its_calls)
{
	struct engine e = { .k = NULL };
	struct kvr_done d = { .size = sizeof(d) };
	pthread_t id;
	void *end;

	OK(kvr_open(&options, 0, &e.k, NULL, 0));
	OK(kvr_queue_open(e.k, &e.q));
	ck_assert_int_eq(pthread_create(&id, NULL, call_it_all, &e), 0);
	ck_assert_int_eq(pthread_join(id, &end), 0);
	ck_assert_int_eq(e.came_through, 1);
	ck_assert_int_eq(e.wrong, 0);
	ck_assert_ptr_eq(end, PTHREAD_CANCELED);
	/* It has left nothing locked, and is in nobody's way. */
	ERR(kvr_run(e.k, &ask, NULL, NULL, NULL), KVR_E_MISS);
	ck_assert_int_ge(kvr_drain(e.q, &d, 1, NULL), 0);
	bed_close(e.k);
}
END_TEST

static void *
go_on(void *arg)
{
	struct engine *e = arg;
	const struct kvr_opts queued = { .size = sizeof(queued), .queue = e->q };
	struct kvr_done d = { .size = sizeof(d) };

	for (;;) {
		(void)!kvr_submit(e->k, &ask, &queued, &(kvr_op){ 0 });
		(void)kvr_drain(e->q, &d, 1, NULL);
		(void)!kvr_run(e->k, &ask, NULL, NULL, NULL);
		e->came_through = 1;
		pthread_testcancel();
	}
	return NULL;
}

/* Wherever it is just then. */
START_TEST(wherever_it_is)
{
	enum { THREADS = 3, ROUNDS = KVR_ROUNDS(40) };
	struct engine e = { .k = bed_open(MEMORY, NULL, NULL, NULL) };
	struct kvr_done d = { .size = sizeof(d) };
	pthread_t id[THREADS];
	void *end;

	OK(kvr_queue_open(e.k, &e.q));
	for (int round = 0; round < ROUNDS; round++) {
		e.came_through = 0;
		for (int i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_create(&id[i], NULL, go_on, &e), 0);
		while (!e.came_through)
			sched_yield();
		for (int i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_cancel(id[i]), 0);
		for (int i = 0; i < THREADS; i++) {
			ck_assert_int_eq(pthread_join(id[i], &end), 0);
			ck_assert_ptr_eq(end, PTHREAD_CANCELED);
		}
		OK(kvr_quiet(e.k, 0, NULL));
		while (kvr_drain(e.q, &d, 1, NULL) > 0)
			;
	}
	bed_close(e.k);
}
END_TEST

KVR_CHECK_MAIN("api.cancelled", it_ends_behind_its_calls, wherever_it_is)
