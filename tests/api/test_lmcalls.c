/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's methods with arguments that are missing, empty, or of somebody else. */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#include <sched.h>
#include <stdatomic.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

static const char *const two[] = { "a", "b" };
static const char *const hole[] = { "a", NULL };
static const char *const empty[] = { "a", "" };

START_TEST(questions)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	uint32_t n = 7;

	ERR(kvr_contains(k, NULL, false, 0), KVR_E_INVALID);
	ERR(kvr_contains(k, "", true, 0), KVR_E_INVALID);
	ERR(kvr_batched_contains(k, NULL, 2, false, 0, &n), KVR_E_INVALID);
	ck_assert_uint_eq(n, 0);
	n = 7;
	ERR(kvr_batched_contains(k, hole, 2, false, 0, &n), KVR_E_INVALID);
	ck_assert_uint_eq(n, 0);
	ERR(kvr_batched_contains(k, empty, 2, false, 0, &n), KVR_E_INVALID);
	n = 7;
	OK(kvr_batched_contains(k, NULL, 0, false, 0, &n));
	ck_assert_uint_eq(n, 0);
	OK(kvr_batched_contains(k, two, 2, true, 0, NULL)); /* a miss is an answer */
	ck_assert(!kvr_exists_in_put_tasks(k, NULL));
	ck_assert(!kvr_exists_in_put_tasks(k, ""));
	ERR(kvr_pin(k, NULL), KVR_E_INVALID);
	ERR(kvr_pin(k, ""), KVR_E_INVALID);
	ERR(kvr_unpin(k, NULL), KVR_E_INVALID);
	OK(kvr_pin(k, "a"));
	OK(kvr_unpin(k, "a"));
	ERR(kvr_remove(k, NULL, false, 0), KVR_E_INVALID);
	ERR(kvr_remove(k, "", true, 0), KVR_E_INVALID);
	ERR(kvr_remove(k, "a", true, 0), KVR_E_MISS);
	bed_close(k);
}
END_TEST

static void
count(void *arg, const struct kvr_done *d, const struct kvr_results *r)
{
	(void)r;
	if (d->n == 0 && d->err == KVR_OK)
		atomic_fetch_add((_Atomic int *)arg, 1);
}

START_TEST(tasks)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const kvr_obj none[] = { 0, 0 }, gone[] = { 12345, 12345 };
	_Atomic int n = 0;
	kvr_op op = 7;

	ERR(kvr_submit_put_task(k, NULL, 1, NULL, NULL, &op), KVR_E_INVALID);
	ERR(kvr_submit_put_task(k, "a", 0, count, &n, &op), KVR_E_INVALID);
	ERR(kvr_submit_put_task(k, "a", 12345, count, &n, &op), KVR_E_STALE);
	ERR(kvr_batched_submit_put_task(k, NULL, none, 2, count, &n, &op), KVR_E_INVALID);
	ERR(kvr_batched_submit_put_task(k, two, NULL, 2, count, &n, &op), KVR_E_INVALID);
	ERR(kvr_batched_submit_put_task(k, two, none, 2, count, &n, &op), KVR_E_INVALID);
	ERR(kvr_batched_submit_put_task(k, two, gone, 2, count, &n, &op), KVR_E_STALE);
	ck_assert_uint_eq(op, 7);
	ck_assert(!kvr_exists_in_put_tasks(k, "a"));
	OK(kvr_batched_submit_put_task(k, NULL, NULL, 0, count, &n, NULL));
	while (n == 0)
		sched_yield();
	bed_close(k);
	ck_assert_int_eq(n, 1); /* of nothing else was there a callback */
}
END_TEST

START_TEST(gets)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	kvr_obj obj[2] = { 7, 7 };
	int32_t err[2] = { 7, 7 };

	ERR(kvr_get_blocking(k, NULL, 0, &obj[0]), KVR_E_INVALID);
	ck_assert_uint_eq(obj[0], 0);
	ERR(kvr_get_blocking(k, "a", 0, NULL), KVR_E_INVALID);
	ERR(kvr_batched_get_blocking(k, two, 2, 0, NULL, err), KVR_E_INVALID);
	ERR(err[1], KVR_E_INVALID);
	err[1] = 7;
	ERR(kvr_batched_get_blocking(k, hole, 2, 0, obj, err), KVR_E_INVALID);
	ck_assert_uint_eq(obj[1], 0);
	ERR(err[1], KVR_E_INVALID);
	ERR(kvr_batched_get_blocking(k, two, 2, 0, obj, NULL), KVR_E_MISS);
	OK(kvr_batched_get_blocking(k, NULL, 0, 0, NULL, NULL));
	bed_close(k);
}
END_TEST

START_TEST(what_is_not_waited_for)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	struct kvr_opts o = { .size = sizeof(o) - 1, .request = "the engine's" };
	kvr_obj obj[2] = { 0, 0 };
	kvr_op op = 7;

	ERR(kvr_batched_async_contains(k, "id", two, 2, false, &o, &op), KVR_E_INVALID);
	ERR(kvr_batched_get_non_blocking(k, "id", two, 2, obj, &o, &op), KVR_E_INVALID);
	o.size = sizeof(o);
	ERR(kvr_batched_async_contains(k, "id", NULL, 2, false, &o, &op), KVR_E_INVALID);
	ERR(kvr_batched_get_non_blocking(k, "id", two, 2, NULL, &o, &op), KVR_E_INVALID);
	ck_assert_uint_eq(op, 7);
	/* The lookup's id is the request, and without one that of the options. */
	kvr_fake_hold(true);
	OK(kvr_batched_async_contains(k, "id", two, 2, false, &o, &op));
	ERR(kvr_cancel_request(k, "the engine's"), KVR_E_MISS);
	OK(kvr_cancel_request(k, "id"));
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_CANCELLED);
	OK(kvr_batched_get_non_blocking(k, NULL, two, 2, obj, &o, &op));
	ck_assert(obj[0] != 0 && obj[1] != 0); /* filled before the call returns */
	OK(kvr_cancel_request(k, "the engine's"));
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_CANCELLED);
	kvr_fake_hold(false);
	for (int i = 0; i < 2; i++)
		OK(kvr_unref(p, obj[i]));
	bed_close(k);
}
END_TEST

START_TEST(another_rank_puts_nothing)
{
	static const char *const key[] = { "m@2@1@ff@half", "m@2@1@fe@half" };
	const struct kvr_identity who = { .size = sizeof(who),
		.keys = KVR_KEYS_LMCACHE,
		.world_size = 2,
		.worker_id = 1,
		.use_mla = 1 };
	struct kvr *k = bed_open(MEMORY, &who, NULL, NULL);
	const kvr_obj obj[] = { 1, 2 };
	_Atomic int n = 0;

	ERR(kvr_submit_put_task(k, key[0], obj[0], count, &n, NULL), KVR_E_SKIPPED_MLA);
	ERR(kvr_batched_submit_put_task(k, key, obj, 2, count, &n, NULL), KVR_E_SKIPPED_MLA);
	ck_assert_uint_eq(kvr_fake_submits(), 0);
	bed_close(k);
	ck_assert_int_eq(n, 0);
}
END_TEST

KVR_CHECK_MAIN(
    "api.lmcalls", questions, tasks, gets, what_is_not_waited_for, another_rank_puts_nothing)
