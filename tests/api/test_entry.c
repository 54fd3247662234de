/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the head of the header promises of every function that takes an instance, function by
 * function: an instant that is a duration, a callback, an instance that is dead, closed, or none.
 */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#include <sched.h>
#include <stdatomic.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

struct engine {
	struct kvr      *k;
	struct kvr_pool *pool;
	kvr_op           op; /* under way */
};

static const struct kvr_batch ask = {
	.size = sizeof(ask), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
};
static const char *const key = "k";

static struct kvr_opts
until(uint64_t until_ns)
{
	return (struct kvr_opts){ .size = sizeof(struct kvr_opts), .until_ns = until_ns };
}

/* ---- each function, as if all were alike ---- */

static int32_t
set_layout(struct engine *e, uint64_t until_ns)
{
	static const struct kvr_group group = { .dtype = KVR_DT_UINT8, .n_dims = 1, .dim = { 64 } };
	static const struct kvr_layout chunk = {
		.size = sizeof(chunk), .format = KVR_FMT_BINARY, .n_groups = 1, .group = &group
	};

	(void)until_ns;
	return kvr_set_layout(e->k, &chunk);
}

static int32_t
change(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_change(e->k, NULL, 0, NULL, 0);
}

static int32_t
close_it(struct engine *e, uint64_t until_ns)
{
	return kvr_close(e->k, until_ns, KVR_ABORT, NULL);
}

static int32_t
alloc(struct engine *e, uint64_t until_ns)
{
	kvr_obj obj;

	return kvr_alloc(e->pool, NULL, 1, until_ns, &obj);
}

static char page[4096];

static int32_t
register_it(struct engine *e, uint64_t until_ns)
{
	return kvr_memory_register(e->k, page, sizeof(page), until_ns);
}

static int32_t
unregister(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_memory_unregister(e->k, page);
}

static int32_t
cache_open(struct engine *e, uint64_t until_ns)
{
	static void *const base[] = { page };
	static const struct kvr_cache_shape shape = BED_CACHE(base, 64, 64);
	struct kvr_cache *cache;

	(void)until_ns;
	return kvr_cache_open(e->k, &shape, &cache);
}

static int32_t
submit(struct engine *e, uint64_t until_ns)
{
	const struct kvr_opts o = until(until_ns);

	return kvr_submit(e->k, &ask, &o, NULL);
}

static int32_t
run(struct engine *e, uint64_t until_ns)
{
	const struct kvr_opts o = until(until_ns);

	return kvr_run(e->k, &ask, &o, NULL, NULL);
}

static int32_t
wait_for(struct engine *e, uint64_t until_ns)
{
	return kvr_wait(e->k, e->op, until_ns, NULL, NULL);
}

static int32_t
layer_wait(struct engine *e, uint64_t until_ns)
{
	return kvr_layer_wait(e->k, e->op, 0, until_ns, NULL);
}

static int32_t
layer_ready(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_layer_ready(e->k, 0, 0, NULL);
}

static int32_t
cancel(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_cancel(e->k, 0);
}

static int32_t
cancel_request(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_cancel_request(e->k, "nobody's");
}

static int32_t
quiet(struct engine *e, uint64_t until_ns)
{
	return kvr_quiet(e->k, until_ns, NULL);
}

static int32_t
queue_open(struct engine *e, uint64_t until_ns)
{
	struct kvr_queue *q;

	(void)until_ns;
	return kvr_queue_open(e->k, &q);
}

static int32_t
health(struct engine *e, uint64_t until_ns)
{
	struct kvr_health h = { .size = sizeof(h) };

	(void)until_ns;
	return kvr_health(e->k, &h);
}

static int32_t
estimate(struct engine *e, uint64_t until_ns)
{
	uint64_t ns;

	(void)until_ns;
	return kvr_estimate(e->k, 1, 1, &ns);
}

static int32_t
contains(struct engine *e, uint64_t until_ns)
{
	return kvr_contains(e->k, key, false, until_ns);
}

static int32_t
batched_contains(struct engine *e, uint64_t until_ns)
{
	uint32_t n = 7;
	int32_t err = kvr_batched_contains(e->k, &key, 1, false, until_ns, &n);

	ck_assert_uint_eq(n, 0);
	return err;
}

static int32_t
submit_put_task(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_submit_put_task(e->k, key, 0, NULL, NULL, NULL);
}

static int32_t
batched_submit_put_task(struct engine *e, uint64_t until_ns)
{
	const kvr_obj none = 0;

	(void)until_ns;
	return kvr_batched_submit_put_task(e->k, &key, &none, 1, NULL, NULL, NULL);
}

static int32_t
get_blocking(struct engine *e, uint64_t until_ns)
{
	kvr_obj obj = 7;
	int32_t err = kvr_get_blocking(e->k, key, until_ns, &obj);

	ck_assert_uint_eq(obj, 0);
	return err;
}

static int32_t
batched_get_blocking(struct engine *e, uint64_t until_ns)
{
	kvr_obj obj = 7;
	int32_t of_key = 7, err = kvr_batched_get_blocking(e->k, &key, 1, until_ns, &obj, &of_key);

	ck_assert_uint_eq(obj, 0);
	ck_assert_int_eq(of_key, err);
	return err;
}

static int32_t
batched_async_contains(struct engine *e, uint64_t until_ns)
{
	const struct kvr_opts o = until(until_ns);

	return kvr_batched_async_contains(e->k, "id", &key, 1, false, &o, NULL);
}

static int32_t
batched_get_non_blocking(struct engine *e, uint64_t until_ns)
{
	const struct kvr_opts o = until(until_ns);
	kvr_obj obj = 0;

	return kvr_batched_get_non_blocking(e->k, "id", &key, 1, &obj, &o, NULL);
}

static int32_t
pin(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_pin(e->k, key);
}

static int32_t
unpin(struct engine *e, uint64_t until_ns)
{
	(void)until_ns;
	return kvr_unpin(e->k, key);
}

static int32_t
remove_it(struct engine *e, uint64_t until_ns)
{
	return kvr_remove(e->k, key, false, until_ns);
}

enum {
	UNTIL = 1,   /* has an until_ns */
	NEVER = 2,   /* which may be KVR_NEVER */
	WAITS = 4,   /* not in a callback */
	OUTLIVES = 8 /* works for an instance that is dead or closed */
};

static const struct {
	const char *name;
	int32_t (*call)(struct engine *, uint64_t until_ns);
	uint32_t is;
} all[] = {
	{ "kvr_set_layout", set_layout, 0 },
	{ "kvr_change", change, 0 },
	{ "kvr_close", close_it, UNTIL | WAITS | OUTLIVES },
	{ "kvr_alloc", alloc, UNTIL | WAITS | OUTLIVES },
	{ "kvr_memory_register", register_it, UNTIL | WAITS },
	{ "kvr_memory_unregister", unregister, WAITS },
	{ "kvr_cache_open", cache_open, 0 },
	{ "kvr_submit", submit, UNTIL },
	{ "kvr_run", run, UNTIL | WAITS },
	{ "kvr_wait", wait_for, UNTIL | NEVER | WAITS | OUTLIVES },
	{ "kvr_layer_wait", layer_wait, UNTIL | NEVER | WAITS | OUTLIVES },
	{ "kvr_layer_ready", layer_ready, OUTLIVES },
	{ "kvr_cancel", cancel, 0 },
	{ "kvr_cancel_request", cancel_request, 0 },
	{ "kvr_quiet", quiet, UNTIL | NEVER | WAITS },
	{ "kvr_queue_open", queue_open, 0 },
	{ "kvr_health", health, OUTLIVES },
	{ "kvr_estimate", estimate, 0 },
	{ "kvr_contains", contains, UNTIL | WAITS },
	{ "kvr_batched_contains", batched_contains, UNTIL | WAITS },
	{ "kvr_submit_put_task", submit_put_task, 0 },
	{ "kvr_batched_submit_put_task", batched_submit_put_task, 0 },
	{ "kvr_get_blocking", get_blocking, UNTIL | WAITS },
	{ "kvr_batched_get_blocking", batched_get_blocking, UNTIL | WAITS },
	{ "kvr_batched_async_contains", batched_async_contains, UNTIL },
	{ "kvr_batched_get_non_blocking", batched_get_non_blocking, UNTIL },
	{ "kvr_pin", pin, 0 },
	{ "kvr_unpin", unpin, 0 },
	{ "kvr_remove", remove_it, UNTIL | WAITS },
};
enum { N_ALL = sizeof(all) / sizeof(all[0]) };

static void
answers(size_t i, int32_t err, int32_t want)
{
	ck_assert_msg(err == want, "%s answers %s and not %s", all[i].name, kvr_err_name(err),
	    kvr_err_name(want));
}

static struct engine
open_engine(struct bed_log *log)
{
	struct engine e = { .k = bed_open(MEMORY, NULL, NULL, log) };

	e.pool = kvr_get_allocator_backend(e.k);
	return e;
}

/* ---- what all have in common ---- */

/* Seconds since now where an instant is meant. Each has its line, so each has its own instance. */
START_TEST(a_duration_is_no_instant_anywhere)
{
	for (size_t i = 0; i < N_ALL; i++) {
		struct bed_log log = BED_LOG;
		struct engine e = open_engine(&log);

		if ((all[i].is & UNTIL) != 0) {
			answers(i, all[i].call(&e, 12345), KVR_E_INVALID);
			bed_log_has(&log, "not a duration");
		}
		bed_close(e.k);
	}
}
END_TEST

/* An operation has a deadline, and so has what waits for anything but an operation's end. */
START_TEST(never_is_for_waits_that_end_by_themselves)
{
	for (size_t i = 0; i < N_ALL; i++) {
		struct bed_log log = BED_LOG;
		struct engine e = open_engine(&log);

		if ((all[i].is & UNTIL) != 0 && (all[i].is & NEVER) == 0) {
			answers(i, all[i].call(&e, KVR_NEVER), KVR_E_INVALID);
			bed_log_has(&log, "KVR_NEVER is for kvr_wait, kvr_layer_wait and kvr_quiet only");
		} else if ((all[i].is & NEVER) != 0) {
			ck_assert_int_ne(all[i].call(&e, KVR_NEVER), KVR_E_INVALID);
		}
		bed_close(e.k);
	}
}
END_TEST

static struct engine in_callback;
static _Atomic int heard, first_wrong;

static void
call_all(void *arg, const struct kvr_done *d, const struct kvr_results *r)
{
	struct kvr *more = NULL;
	const struct kvr_options o = { .size = sizeof(o), .config_text = MEMORY };
	kvr_obj obj;

	(void)arg;
	(void)d;
	(void)r;
	/* Not with checks: a failed one would not come back to the library. */
	for (int i = 0; i < N_ALL; i++) {
		bool waits = (all[i].is & WAITS) != 0;
		int32_t err = all[i].call(&in_callback, (all[i].is & UNTIL) != 0 ? bed_in_ms(20000) : 0);

		/* Two puts without an object, which is wrong everywhere. */
		if (strstr(all[i].name, "put_task") == NULL && (err == KVR_E_INVALID) != waits &&
		    first_wrong == 0)
			first_wrong = i + 1;
	}
	if (kvr_open(&o, 0, &more, NULL, 0) != KVR_E_INVALID ||
	    kvr_alloc(in_callback.pool, NULL, 1, KVR_NOW, &obj) != KVR_OK ||
	    kvr_unref(in_callback.pool, obj) != KVR_OK)
		first_wrong = N_ALL + 1;
	kvr_free(in_callback.k); /* frees nothing, and says so */
	heard = 1;
}

START_TEST(a_callback_may_do_all_but_wait)
{
	struct bed_log log = BED_LOG;
	const struct kvr_opts o = { .size = sizeof(o), .done = call_all };

	in_callback = open_engine(&log);
	OK(kvr_submit(in_callback.k, &ask, &o, NULL));
	while (!heard)
		sched_yield();
	ck_assert_msg(first_wrong == 0, "%s",
	    first_wrong > N_ALL ? "kvr_open or kvr_alloc" : all[first_wrong - 1].name);
	bed_log_has(&log, "kvr_free: not from a callback; nothing was freed");
	bed_close(in_callback.k);
}
END_TEST

START_TEST(the_dead_say_so)
{
	struct engine e = open_engine(NULL);

	kvr_fake_die();
	while (kvr_run(e.k, &ask, NULL, NULL, NULL) != KVR_E_DEAD)
		sched_yield();
	for (size_t i = 0; i < N_ALL; i++) {
		if ((all[i].is & OUTLIVES) == 0)
			answers(i, all[i].call(&e, 0), KVR_E_DEAD);
	}
	ck_assert(!kvr_exists_in_put_tasks(e.k, key));
	ck_assert(!kvr_support_batched_async_contains(e.k));
	ck_assert(!kvr_support_batched_get_non_blocking(e.k));
	ck_assert_uint_gt(kvr_metrics_snapshot(e.k, KVR_METRICS_JSON, NULL, 0), 0);
	OK(alloc(&e, KVR_NOW));
	OK(health(&e, 0));
	ERR(layer_ready(&e, 0), KVR_E_STALE);
	OK(close_it(&e, 0));
	for (size_t i = 0; i < N_ALL; i++) {
		if ((all[i].is & OUTLIVES) == 0)
			answers(i, all[i].call(&e, 0), KVR_E_SHUTDOWN);
	}
	kvr_free(e.k);
}
END_TEST

START_TEST(none_is_no_instance)
{
	struct engine none = { .k = NULL };
	struct kvr_done d = { .size = sizeof(d) };

	for (size_t i = 0; i < N_ALL; i++)
		answers(i, all[i].call(&none, 0),
		    all[i].call == alloc ? KVR_E_UNSUPPORTED : KVR_E_INVALID);
	ck_assert(!kvr_exists_in_put_tasks(NULL, key));
	ck_assert(!kvr_support_batched_async_contains(NULL));
	ck_assert(!kvr_support_batched_get_non_blocking(NULL));
	ck_assert_ptr_null(kvr_get_allocator_backend(NULL));
	ck_assert_uint_eq(kvr_metrics_snapshot(NULL, KVR_METRICS_JSON, NULL, 0), 0);
	ck_assert_int_eq(kvr_queue_fd(NULL), -1);
	kvr_queue_wake(NULL);
	ck_assert_int_eq(kvr_drain(NULL, &d, 1, NULL), KVR_E_INVALID);
	OK(kvr_cache_close(NULL));
	kvr_free(NULL);
	ERR(kvr_ref(NULL, 1), KVR_E_UNSUPPORTED);
	ERR(kvr_unref(NULL, 1), KVR_E_UNSUPPORTED);
	ERR(kvr_obj_pin(NULL, 1, true), KVR_E_UNSUPPORTED);
	ERR(kvr_obj_shrink(NULL, 1, 1), KVR_E_UNSUPPORTED);
	ERR(kvr_obj_look(NULL, 1, &(struct kvr_obj_info){ .size = sizeof(struct kvr_obj_info) }),
	    KVR_E_UNSUPPORTED);
}
END_TEST

KVR_CHECK_MAIN("api.entry", a_duration_is_no_instant_anywhere,
    never_is_for_waits_that_end_by_themselves, a_callback_may_do_all_but_wait, the_dead_say_so,
    none_is_no_instance)
