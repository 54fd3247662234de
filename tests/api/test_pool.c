/* SPDX-License-Identifier: Apache-2.0 */
/* Memory objects: counts, shapes, exhaustion, and what operations do with them. */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#include <pthread.h>

#define SMALL                                                                                      \
	"{\"memory\":{\"objects\":\"1MiB\",\"slot_size\":\"64KiB\"},"                              \
	"\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"
#define LARGE                                                                                      \
	"{\"memory\":{\"objects\":\"64MiB\"},\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

/* Two groups of 2 x 2 x 16 tokens x 32, two bytes each: 8 KiB a chunk, 512 bytes a token. */
static const struct kvr_group group[2] = {
	{ .dtype = KVR_DT_BFLOAT16, .n_dims = 4, .dim = { 2, 2, 16, 32 } },
	{ .dtype = KVR_DT_BFLOAT16, .n_dims = 4, .dim = { 2, 2, 16, 32 } },
};
static const struct kvr_layout chunk = {
	.size = sizeof(chunk), .format = KVR_FMT_KV_2LTD, .n_groups = 2, .group = group
};
enum { CHUNK = 8192, TOKEN = 512 };

static struct kvr_obj_info
look(struct kvr_pool *p, kvr_obj obj)
{
	struct kvr_obj_info i = { .size = sizeof(i) };

	OK(kvr_obj_look(p, obj, &i));
	return i;
}

START_TEST(references_and_pins)
{
	struct kvr *k = bed_open(SMALL, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	struct kvr_obj_info i = { .size = sizeof(i) };
	kvr_obj obj, again;

	OK(kvr_alloc(p, NULL, 1000, 0, &obj));
	i = look(p, obj);
	ck_assert_uint_eq(i.refs, 1);
	ck_assert_uint_eq(i.len, 1000);
	ck_assert_uint_eq(i.room, 65536);
	ck_assert_uint_eq((uintptr_t)i.at % 4096, 0);
	ck_assert_uint_eq(i.n_groups, 0);
	struct {
		struct kvr_obj_info known;
		uint64_t more; /* of somebody who was compiled later */
	} later = { .known.size = sizeof(later) };

	OK(kvr_obj_look(p, obj, &later.known));
	ck_assert_uint_eq(later.known.size, sizeof(later));
	OK(kvr_ref(p, obj));
	OK(kvr_unref(p, obj));
	OK(kvr_obj_pin(p, obj, true));
	OK(kvr_unref(p, obj));
	i = look(p, obj); /* lives by its pin */
	ck_assert_uint_eq(i.refs, 0);
	ERR(kvr_unref(p, obj), KVR_E_STALE);
	OK(kvr_obj_pin(p, obj, false));
	ERR(kvr_obj_look(p, obj, &i), KVR_E_STALE);
	ERR(kvr_ref(p, obj), KVR_E_STALE);
	ERR(kvr_unref(p, obj), KVR_E_STALE);
	ERR(kvr_obj_pin(p, obj, true), KVR_E_STALE);
	OK(kvr_alloc(p, NULL, 1000, 0, &again));
	ck_assert_uint_ne(again, obj); /* the same slot, another generation */
	ck_assert_ptr_eq(look(p, again).at, i.at);
	ERR(kvr_obj_pin(p, again, false), KVR_E_INVALID);
	ERR(kvr_ref(p, 0), KVR_E_STALE);
	ERR(kvr_ref(p, UINT64_MAX), KVR_E_STALE);
	i.size = 4;
	ERR(kvr_obj_look(p, again, &i), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

START_TEST(shapes_are_cut_by_tokens)
{
	struct kvr *k = bed_open(LARGE, NULL, &chunk, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	struct kvr_layout bad = chunk;
	struct kvr_group odd = group[0];
	kvr_obj obj;

	OK(kvr_alloc(p, &chunk, 0, 0, &obj));
	struct kvr_obj_info i = look(p, obj);
	ck_assert_uint_eq(i.len, CHUNK);
	ck_assert_uint_eq(i.n_groups, 2);
	ck_assert_uint_eq(i.format, KVR_FMT_KV_2LTD);
	ck_assert_uint_eq(i.group[1].dim[2], 16);
	OK(kvr_obj_shrink(p, obj, 3 * TOKEN));
	i = look(p, obj);
	ck_assert_uint_eq(i.len, 3 * TOKEN);
	ck_assert_uint_eq(i.group[0].dim[2], 3);
	ck_assert_uint_eq(i.group[1].dim[2], 3);
	ERR(kvr_obj_shrink(p, obj, TOKEN + 1), KVR_E_INVALID);
	ERR(kvr_obj_shrink(p, obj, 4 * TOKEN), KVR_E_INVALID); /* never longer again */
	ERR(kvr_obj_shrink(p, obj, 0), KVR_E_INVALID);
	OK(kvr_unref(p, obj));
	ERR(kvr_alloc(p, &chunk, TOKEN - 1, 0, &obj), KVR_E_INVALID);
	ERR(kvr_alloc(p, NULL, 0, 0, &obj), KVR_E_INVALID);
	bad.n_groups = 0;
	ERR(kvr_alloc(p, &bad, 0, 0, &obj), KVR_E_INVALID);
	bad = chunk;
	bad.size = 4;
	ERR(kvr_alloc(p, &bad, 0, 0, &obj), KVR_E_INVALID);
	bad = chunk;
	bad.n_groups = 1;
	bad.group = &odd;
	odd.dtype = 99;
	ERR(kvr_alloc(p, &bad, 0, 0, &obj), KVR_E_INVALID);
	odd = group[0];
	odd.dim[0] = UINT64_MAX / 2;
	ERR(kvr_alloc(p, &bad, 0, 0, &obj), KVR_E_TOO_BIG);
	bed_close(k);
}
END_TEST

struct waiter {
	struct kvr_pool *p;
	kvr_obj obj;
	enum kvr_err err;
};

static void *
wait_for_one(void *arg)
{
	struct waiter *w = arg;

	w->err = kvr_alloc(w->p, NULL, 65536, bed_in_ms(20000), &w->obj);
	return NULL;
}

START_TEST(an_empty_pool_waits_and_says_so)
{
	struct kvr *k = bed_open(SMALL, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	kvr_obj obj[16], more;
	struct waiter w = { .p = p };
	pthread_t id;

	for (int i = 0; i < 16; i++)
		OK(kvr_alloc(p, NULL, 1, KVR_NOW, &obj[i]));
	ERR(kvr_alloc(p, NULL, 1, KVR_NOW, &more), KVR_E_NOMEM);
	uint64_t until_ns = bed_in_ms(10);
	ERR(kvr_alloc(p, NULL, 1, until_ns, &more), KVR_E_TIMEOUT);
	ck_assert_uint_ge(bed_now_ns(), until_ns);
	ERR(kvr_alloc(p, NULL, (1 << 20) + 1, KVR_NOW, &more), KVR_E_TOO_BIG);
	ck_assert_int_eq(pthread_create(&id, NULL, wait_for_one, &w), 0);
	OK(kvr_unref(p, obj[7]));
	pthread_join(id, NULL);
	OK(w.err);
	/* A long one takes slots that lie side by side. */
	for (int i = 8; i < 12; i++)
		OK(kvr_unref(p, obj[i]));
	OK(kvr_alloc(p, NULL, 4 * 65536, KVR_NOW, &more));
	ck_assert_uint_eq(look(p, more).room, 4 * 65536);
	bed_fill(look(p, more).at, 4 * 65536, 3);
	bed_same(look(p, more).at, 4 * 65536, 3);
	bed_close(k);
}
END_TEST

/* A length near the end of its type is no small one, whatever it is rounded to. */
START_TEST(lengths_that_no_pool_has)
{
	static const size_t len[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4095, SIZE_MAX / 2,
		(size_t)1 << 32 };
	struct kvr *k = bed_open(LARGE, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	kvr_obj obj = 0;

	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++)
		ERR(kvr_alloc(p, NULL, len[i], KVR_NOW, &obj), KVR_E_TOO_BIG);
	ck_assert_uint_eq(obj, 0);
	bed_close(k);
}
END_TEST

/* New objects are as large as the largest value so far, and what was refused was none. */
START_TEST(a_refused_put_is_no_measure_of_others)
{
	struct kvr *k = bed_open("{\"memory\":{\"objects\":\"8GiB\"},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	kvr_obj obj, made = 0;
	struct kvr_batch b = { .size = sizeof(b), .kind = KVR_PUT, .n = 1, .keys = "k", .obj = &obj };

	OK(kvr_alloc(p, NULL, (size_t)1 << 32, KVR_NOW, &obj));
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_TOO_BIG);
	OK(kvr_unref(p, obj));
	b.kind = KVR_GET;
	b.obj = &made;
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_MISS);
	ck_assert_uint_lt(look(p, made).room, 1 << 24);
	OK(kvr_unref(p, made));
	bed_close(k);
}
END_TEST

START_TEST(gets_make_objects_and_puts_use_them)
{
	struct kvr *k = bed_open(LARGE, NULL, &chunk, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	const char *key[] = { "a", "b", "c" };
	kvr_obj obj[3] = { 0, 0, 0 };
	int32_t err[3];
	struct kvr_results r = { .size = sizeof(r), .cap = 3, .err = err };
	struct kvr_batch b = { .size = sizeof(b), .kind = KVR_PUT, .n = 2, .key = key, .obj = obj };
	kvr_op op;

	OK(kvr_alloc(p, &chunk, 0, 0, &obj[0]));
	OK(kvr_alloc(p, &chunk, 5 * TOKEN, 0, &obj[1]));
	bed_fill(look(p, obj[0]).at, CHUNK, 1);
	bed_fill(look(p, obj[1]).at, 5 * TOKEN, 2);
	kvr_fake_hold(true);
	OK(kvr_submit(k, &b, NULL, &op));
	ck_assert_uint_eq(look(p, obj[0]).refs, 2); /* one is the operation's */
	ERR(kvr_obj_shrink(p, obj[0], TOKEN), KVR_E_BUSY);
	OK(kvr_unref(p, obj[0]));
	ERR(kvr_unref(p, obj[0]), KVR_E_STALE); /* that one is not the caller's */
	OK(kvr_unref(p, obj[1]));
	kvr_fake_hold(false);
	OK(kvr_wait(k, op, 0, NULL, NULL));
	ERR(kvr_ref(p, obj[0]), KVR_E_STALE); /* the operation's was the last */
	b.kind = KVR_GET;
	b.n = 3;
	memset(obj, 0, sizeof(obj));
	ERR(kvr_run(k, &b, NULL, NULL, &r), KVR_E_MISS);
	ck_assert_int_eq(err[0], KVR_OK);
	ck_assert_int_eq(err[1], KVR_OK);
	ck_assert_int_eq(err[2], KVR_E_MISS);
	ck_assert_uint_eq(look(p, obj[0]).len, CHUNK);
	ck_assert_uint_eq(look(p, obj[1]).len, 5 * TOKEN);
	ck_assert_uint_eq(look(p, obj[1]).group[1].dim[2], 5);
	ck_assert_uint_eq(look(p, obj[1]).refs, 1);
	bed_same(look(p, obj[0]).at, CHUNK, 1);
	bed_same(look(p, obj[1]).at, 5 * TOKEN, 2);
	ck_assert_uint_ne(obj[2], 0); /* a miss leaves its object, the caller's to drop */
	for (int i = 0; i < 3; i++)
		OK(kvr_unref(p, obj[i]));
	bed_close(k);
}
END_TEST

START_TEST(the_tail_of_a_get_without_memory_is_nomem)
{
	struct kvr *k = bed_open(SMALL, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	char keys[20 * 2];
	kvr_obj obj[20] = { 0 }, in;
	int32_t err[20];
	struct kvr_results r = { .size = sizeof(r), .cap = 20, .err = err };
	struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 1, .keys = "k", .obj = &in
	};

	OK(kvr_alloc(p, NULL, 65536, 0, &in));
	bed_fill(look(p, in).at, 65536, 1);
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	for (int i = 0; i < 40; i++)
		keys[i] = i % 2 == 0 ? 'k' : '\0';
	b = (struct kvr_batch){
		.size = sizeof(b), .kind = KVR_GET, .n = 20, .keys = keys, .obj = obj
	};
	ERR(kvr_run(k, &b, NULL, NULL, &r), KVR_E_NOMEM);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(err[i], i < 15 ? KVR_OK : KVR_E_NOMEM);
		ck_assert_int_eq(obj[i] != 0, i < 15);
	}
	/* Refused as a whole, it keeps nothing and writes nothing. */
	for (int i = 0; i < 20; i++) {
		if (obj[i] != 0)
			OK(kvr_unref(p, obj[i]));
		obj[i] = 0;
	}
	obj[19] = 99;
	kvr_op op;
	ERR(kvr_submit(k, &b, NULL, &op), KVR_E_STALE);
	ck_assert_uint_eq(obj[0], 0);
	obj[19] = 0;
	kvr_obj all[15];
	for (int i = 0; i < 15; i++)
		OK(kvr_alloc(p, NULL, 1, KVR_NOW, &all[i]));
	bed_close(k);
}
END_TEST

struct bank {
	int n_get, n_put;
	bool dry;
};

static void *
lend(void *arg, size_t len, size_t align)
{
	struct bank *b = arg;
	void *at = NULL;

	if (b->dry || posix_memalign(&at, align, len) != 0)
		return NULL;
	b->n_get++;
	return at;
}

static void
repay(void *arg, void *at, size_t len)
{
	(void)len;
	((struct bank *)arg)->n_put++;
	free(at);
}

START_TEST(memory_of_the_callers)
{
	struct bank bank = { .n_get = 0 };
	const struct kvr_options o = { .size = sizeof(o),
		.config_text = SMALL,
		.mem_get = lend,
		.mem_put = repay,
		.mem_arg = &bank };
	struct kvr *k;
	kvr_obj obj[16], more;

	OK(kvr_open(&o, 0, &k, NULL, 0));
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	ck_assert_int_eq(bank.n_get, 0); /* nothing before it is needed */
	for (int i = 0; i < 16; i++) {
		OK(kvr_alloc(p, NULL, 65536, KVR_NOW, &obj[i]));
		bed_fill(look(p, obj[i]).at, 65536, (uint32_t)i);
	}
	for (int i = 0; i < 16; i++)
		bed_same(look(p, obj[i]).at, 65536, (uint32_t)i);
	ERR(kvr_alloc(p, NULL, 1, KVR_NOW, &more), KVR_E_NOMEM);
	ck_assert_int_gt(bank.n_get, 1);
	bed_close(k);
	ck_assert_int_eq(bank.n_put, bank.n_get);
	OK(kvr_open(&o, 0, &k, NULL, 0));
	bank.dry = true;
	ERR(kvr_alloc(kvr_get_allocator_backend(k), NULL, 1, KVR_NOW, &more), KVR_E_NOMEM);
	bed_close(k);
}
END_TEST

START_TEST(a_layout_comes_once_and_before_the_first_object)
{
	struct kvr *k = bed_open(LARGE, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	kvr_obj obj;

	ERR(kvr_set_layout(k, NULL), KVR_E_INVALID);
	OK(kvr_set_layout(k, &chunk));
	ERR(kvr_set_layout(k, &chunk), KVR_E_INVALID);
	OK(kvr_alloc(p, NULL, 10, 0, &obj));
	ck_assert_uint_eq(look(p, obj).room, CHUNK);
	bed_close(k);
	k = bed_open(LARGE, NULL, NULL, NULL);
	OK(kvr_alloc(kvr_get_allocator_backend(k), NULL, 10, 0, &obj));
	ERR(kvr_set_layout(k, &chunk), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

START_TEST(calls_that_are_wrong_make_nothing)
{
	struct kvr *k = bed_open(LARGE, NULL, &chunk, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	kvr_obj obj = 7;

	ERR(kvr_alloc(p, &chunk, CHUNK + TOKEN, 0, &obj), KVR_E_INVALID); /* more than the shape */
	ERR(kvr_alloc(p, NULL, 10, 0, NULL), KVR_E_INVALID);
	ck_assert_uint_eq(obj, 7);
	OK(kvr_alloc(p, NULL, 10, 0, &obj));
	ERR(kvr_obj_look(p, obj, NULL), KVR_E_INVALID);
	OK(kvr_unref(p, obj));
	ERR(kvr_obj_shrink(p, obj, 5), KVR_E_STALE);
	bed_close(k);
}
END_TEST

/* An instant that has passed waits for nothing, and still takes what is free. */
START_TEST(an_instant_that_has_passed_is_no_mistake)
{
	struct kvr *k = bed_open(SMALL, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	uint64_t past_ns = bed_now_ns();
	kvr_obj obj, more;

	OK(kvr_alloc(p, NULL, 1 << 20, past_ns, &obj));
	ERR(kvr_alloc(p, NULL, 1, past_ns, &more), KVR_E_TIMEOUT);
	bed_close(k);
}
END_TEST

/* Where the dims stand does not change, and they are those of the bytes that are left. */
START_TEST(the_shape_of_an_object_lives_as_long)
{
	struct kvr *k = bed_open(LARGE, NULL, &chunk, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	kvr_obj obj, other;

	OK(kvr_alloc(p, &chunk, 0, 0, &obj));
	const struct kvr_group *dims = look(p, obj).group;

	OK(kvr_alloc(p, &chunk, 0, 0, &other));
	OK(kvr_unref(p, other));
	ck_assert_uint_eq(dims[1].dim[2], 16);
	OK(kvr_obj_shrink(p, obj, TOKEN));
	ck_assert_ptr_eq(look(p, obj).group, dims);
	ck_assert_uint_eq(dims[1].dim[2], 1);
	bed_close(k);
}
END_TEST

/* Whoever drains needs objects to the end, and gives them back even later. */
START_TEST(objects_are_there_after_the_end)
{
	struct kvr *k = bed_open(SMALL, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	kvr_obj obj;

	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	ck_assert_ptr_eq(kvr_get_allocator_backend(k), p);
	OK(kvr_alloc(p, NULL, 1 << 20, 0, &obj));
	memset(look(p, obj).at, 1, 1 << 20);
	OK(kvr_ref(p, obj));
	OK(kvr_obj_pin(p, obj, true));
	OK(kvr_obj_shrink(p, obj, 5));
	OK(kvr_unref(p, obj));
	kvr_free(k);
}
END_TEST

START_TEST(without_memory_for_objects_there_is_no_pool)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open("{\"memory\":{\"objects\":\"0B\"},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, &log);
	kvr_obj obj = 0;
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_GET, .n = 1, .keys = "k", .obj = &obj };
	kvr_op op = 7;

	ck_assert_ptr_null(kvr_get_allocator_backend(k));
	ERR(kvr_submit(k, &b, NULL, &op), KVR_E_UNSUPPORTED);
	bed_log_has(&log, "there is no pool for objects");
	ck_assert_uint_eq(op, 7);
	ck_assert(!kvr_support_batched_get_non_blocking(k));
	bed_close(k);
}
END_TEST

START_TEST(a_scheduler_has_no_pool)
{
	const struct kvr_identity who = { .size = sizeof(who), .role = KVR_SCHEDULER };
	struct kvr *k = bed_open(LARGE, &who, NULL, NULL);
	kvr_obj obj = 5;
	const char *key = "k";
	int32_t err = 0;

	ck_assert_ptr_null(kvr_get_allocator_backend(k));
	ERR(kvr_alloc(NULL, NULL, 1, 0, &obj), KVR_E_UNSUPPORTED);
	ERR(kvr_get_blocking(k, key, 0, &obj), KVR_E_UNSUPPORTED);
	ck_assert_uint_eq(obj, 0);
	ERR(kvr_batched_get_blocking(k, &key, 1, 0, &obj, &err), KVR_E_UNSUPPORTED);
	ck_assert_int_eq(err, KVR_E_UNSUPPORTED);
	ck_assert(!kvr_support_batched_get_non_blocking(k));
	ck_assert(kvr_support_batched_async_contains(k));
	ERR(kvr_contains(k, key, false, 0), KVR_E_MISS);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.pool", references_and_pins, shapes_are_cut_by_tokens,
    an_empty_pool_waits_and_says_so, lengths_that_no_pool_has,
    a_refused_put_is_no_measure_of_others, gets_make_objects_and_puts_use_them,
    the_tail_of_a_get_without_memory_is_nomem, memory_of_the_callers,
    a_layout_comes_once_and_before_the_first_object, calls_that_are_wrong_make_nothing,
    an_instant_that_has_passed_is_no_mistake, the_shape_of_an_object_lives_as_long,
    objects_are_there_after_the_end, without_memory_for_objects_there_is_no_pool,
    a_scheduler_has_no_pool)
