/* SPDX-License-Identifier: Apache-2.0 */
/* Puts as LMCache makes them: what is in flight, what is a duplicate, what is not even tried. */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#include <stdatomic.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

/* kvr_tier_state of the fake: the numbers of the runtime's list. */
enum { UP = 1, COOLING = 2 };

static void
count(void *arg, const struct kvr_done *d, const struct kvr_results *r)
{
	(void)r;
	if (d->err == KVR_OK)
		atomic_fetch_add((_Atomic int *)arg, 1);
}

static kvr_obj
make(struct kvr *k)
{
	kvr_obj obj;

	OK(kvr_alloc(kvr_get_allocator_backend(k), NULL, 100, 0, &obj));
	return obj;
}

START_TEST(a_key_is_in_flight_until_it_has_completed)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	const char *key[] = { "a", "b" };
	kvr_obj obj[] = { make(k), make(k) };
	_Atomic int n = 0;
	kvr_op op, batch;

	kvr_fake_hold(true);
	kvr_fake_release_late(true); /* as a write-back does: that does not count */
	ck_assert(!kvr_exists_in_put_tasks(k, "a"));
	OK(kvr_submit_put_task(k, "a", obj[0], NULL, NULL, &op));
	ck_assert(kvr_exists_in_put_tasks(k, "a"));
	ck_assert(!kvr_exists_in_put_tasks(k, "b"));
	ERR(kvr_submit_put_task(k, "a", obj[1], count, &n, NULL), KVR_E_DUPLICATE);
	/* A batch may hold a duplicate; its other keys are known too. */
	OK(kvr_batched_submit_put_task(k, key, obj, 2, count, &n, &batch));
	ck_assert(kvr_exists_in_put_tasks(k, "b"));
	ERR(kvr_submit_put_task(k, "b", obj[1], count, &n, NULL), KVR_E_DUPLICATE);
	kvr_fake_hold(false);
	OK(kvr_wait(k, op, 0, NULL, NULL));
	OK(kvr_quiet(k, 0, NULL));
	ck_assert(!kvr_exists_in_put_tasks(k, "a"));
	ck_assert(!kvr_exists_in_put_tasks(k, "b"));
	ck_assert(!kvr_exists_in_put_tasks(k, ""));
	ck_assert(!kvr_exists_in_put_tasks(k, NULL));
	OK(kvr_submit_put_task(k, "a", obj[0], count, &n, NULL));
	for (int i = 0; i < 2; i++)
		OK(kvr_unref(p, obj[i]));
	bed_close(k);
	ck_assert_int_eq(n, 2);
}
END_TEST

START_TEST(with_every_tier_down_nothing_is_tried)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_health h = { .size = sizeof(h) };
	const char *key = "a";
	kvr_obj obj = make(k);
	_Atomic int n = 0;
	uint64_t ns;

	kvr_fake_tier(COOLING);
	ERR(kvr_submit_put_task(k, key, obj, count, &n, NULL), KVR_E_DOWN);
	ERR(kvr_batched_submit_put_task(k, &key, &obj, 1, count, &n, NULL), KVR_E_DOWN);
	ck_assert(!kvr_support_batched_async_contains(k));
	ck_assert(!kvr_support_batched_get_non_blocking(k));
	ERR(kvr_estimate(k, 1, 1, &ns), KVR_E_DOWN);
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.ok, 0);
	ck_assert_uint_eq(h.n_up, 0);
	ck_assert_str_eq(h.why, "tier fake: refused");
	ck_assert_uint_eq(kvr_fake_submits(), 0);
	kvr_fake_tier(UP);
	OK(kvr_submit_put_task(k, key, obj, count, &n, NULL));
	bed_close(k);
	ck_assert_int_eq(n, 1);
}
END_TEST

/* The reference of a put that nobody waits for goes with its completion, with nobody's help. */
START_TEST(nobody_waits)
{
	struct kvr *k = bed_open("{\"memory\":{\"objects\":\"64KiB\",\"slot_size\":\"64KiB\"},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	char key[16];

	for (int i = 0; i < 50; i++) {
		kvr_obj obj;

		OK(kvr_alloc(p, NULL, 65536, bed_in_ms(20000), &obj));
		snprintf(key, sizeof(key), "key %d", i);
		OK(kvr_submit_put_task(k, key, obj, NULL, NULL, NULL));
		OK(kvr_unref(p, obj));
	}
	bed_close(k);
}
END_TEST

START_TEST(if_absent)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	char at[4] = "abc";
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = 1,
		.keys = "k",
		.at = &(void *const){ at },
		.len = &(const uint64_t){ 4 } };
	const struct kvr_opts o = { .size = sizeof(o), .flags = KVR_IF_ABSENT };

	OK(kvr_run(k, &b, &o, NULL, NULL));
	ERR(kvr_run(k, &b, &o, NULL, NULL), KVR_E_EXISTS);
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.puts", a_key_is_in_flight_until_it_has_completed,
    with_every_tier_down_nothing_is_tried, nobody_waits, if_absent)
