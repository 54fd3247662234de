/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's RemoteBackend, method by method, with nothing but the public header. */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

#include <stdatomic.h>

enum { N = 24, TOKEN = 2048, CHUNK = 32 * TOKEN };

/* 2 x 8 layers x 32 tokens x 64 wide, two bytes each. */
static const struct kvr_group group = {
	.dtype = KVR_DT_BFLOAT16, .n_dims = 4, .dim = { 2, 8, 32, 64 }
};
static const struct kvr_layout chunk = {
	.size = sizeof(chunk), .format = KVR_FMT_KV_2LTD, .n_groups = 1, .group = &group
};

struct engine {
	struct kvr *kvr;
	struct kvr_pool *pool;
	char text[N][128];
	const char *key[N];
	_Atomic int n_called, n_ok;
	_Atomic int last_err;
};

static void
put_ended(void *arg, const struct kvr_done *done, const struct kvr_results *res)
{
	struct engine *e = arg;

	e->last_err = done->err;
	for (uint32_t i = 0; i < done->n; i++)
		e->n_ok += res->err[done->first + i] == KVR_OK;
	e->n_called++;
}

/* Until that many callbacks have come. */
static void
await(struct engine *e, int n)
{
	while (e->n_called < n)
		OK(kvr_quiet(e->kvr, bed_in_ms(20000), NULL));
}

static void
begin(struct engine *e, const char *url, uint32_t worker, bool with_layout)
{
	const struct kvr_identity who = { .size = sizeof(who),
		.keys = KVR_KEYS_LMCACHE,
		.world_size = 2,
		.worker_id = worker,
		.use_mla = 1,
		.model = "org/model",
		.revision = "r1" };
	const struct kvr_options o = { .size = sizeof(o),
		.url = url,
		BED_SET,
		.identity = &who,
		.layout = with_layout ? &chunk : NULL };
	char why[512];

	memset(e, 0, sizeof(*e));
	ck_assert_msg(kvr_open(&o, 0, &e->kvr, why, sizeof(why)) == KVR_OK, "%s", why);
	e->pool = kvr_get_allocator_backend(e->kvr);
	for (int i = 0; i < N; i++) {
		const struct kvr_key_parts p = { .size = sizeof(p),
			.model = "org/model",
			.world_size = 2,
			.worker_id = worker,
			.layer = -1,
			.hash = 0x1234567 + i,
			.dtype = KVR_DT_BFLOAT16 };

		OK(kvr_key_format(&p, e->text[i], sizeof(e->text[i])));
		e->key[i] = e->text[i];
	}
}

static kvr_obj
make(struct engine *e, int i)
{
	struct kvr_obj_info info = { .size = sizeof(info) };
	size_t len =
	    i % 5 == 4 ? 7 * TOKEN : CHUNK; /* some are the last, short chunk of a prompt */
	kvr_obj obj;

	OK(kvr_alloc(e->pool, &chunk, len, 0, &obj));
	OK(kvr_obj_look(e->pool, obj, &info));
	bed_fill(info.at, len, (uint32_t)i);
	return obj;
}

static void
verify(struct engine *e, kvr_obj obj, int i)
{
	struct kvr_obj_info info = { .size = sizeof(info) };

	OK(kvr_obj_look(e->pool, obj, &info));
	ck_assert_uint_eq(info.len, i % 5 == 4 ? 7 * TOKEN : CHUNK);
	ck_assert_uint_eq(info.refs, 1);
	bed_same(info.at, info.len, (uint32_t)i);
	OK(kvr_unref(e->pool, obj));
}

static void
store_half(struct engine *e)
{
	kvr_obj obj[N / 2];

	for (int i = 0; i < N / 2; i++)
		obj[i] = make(e, i);
	/* One by one, */
	for (int i = 0; i < 4; i++) {
		OK(kvr_submit_put_task(e->kvr, e->key[i], obj[i], put_ended, e, NULL));
		OK(kvr_unref(e->pool, obj[i]));
	}
	/* and the rest as a batch with one callback. */
	OK(kvr_batched_submit_put_task(e->kvr, &e->key[4], &obj[4], N / 2 - 4, put_ended, e, NULL));
	for (int i = 4; i < N / 2; i++)
		OK(kvr_unref(e->pool, obj[i]));
	await(e, 5);
	ck_assert_int_eq(e->n_ok, N / 2);
	for (int i = 0; i < N / 2; i++)
		ck_assert(!kvr_exists_in_put_tasks(e->kvr, e->key[i]));
}

static void
look_up(struct engine *e)
{
	uint32_t prefix = 99;
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	OK(kvr_contains(e->kvr, e->key[0], false, 0));
	ERR(kvr_contains(e->kvr, e->key[N - 1], true, 0), KVR_E_MISS);
	OK(kvr_batched_contains(e->kvr, e->key, N, true, 0, &prefix));
	ck_assert_uint_eq(prefix, N / 2);
	OK(kvr_batched_contains(e->kvr, e->key, 0, false, 0, &prefix));
	ck_assert_uint_eq(prefix, 0);
	ck_assert(kvr_support_batched_async_contains(e->kvr));
	OK(kvr_batched_async_contains(e->kvr, "lookup 1", e->key, N, false, NULL, &op));
	ERR(kvr_wait(e->kvr, op, 0, &d, NULL), KVR_E_MISS);
	ck_assert_uint_eq(d.prefix, N / 2);
	OK(kvr_pin(e->kvr, e->key[0]));
	OK(kvr_unpin(e->kvr, e->key[0]));
}

static void
load(struct engine *e)
{
	kvr_obj obj[N] = { 0 };
	const char *holes[] = { e->key[1], e->key[N - 1], e->key[4] };
	int32_t err[N];
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	OK(kvr_get_blocking(e->kvr, e->key[3], 0, &obj[0]));
	verify(e, obj[0], 3);
	ERR(kvr_get_blocking(e->kvr, e->key[N - 1], 0, &obj[0]), KVR_E_MISS);
	ck_assert_uint_eq(obj[0], 0);
	/* A miss in the middle does not take later hits away. */
	ERR(kvr_batched_get_blocking(e->kvr, holes, 3, 0, obj, err), KVR_E_MISS);
	verify(e, obj[0], 1);
	ck_assert_uint_eq(obj[1], 0);
	ck_assert_int_eq(err[1], KVR_E_MISS);
	verify(e, obj[2], 4);
	OK(kvr_batched_get_blocking(e->kvr, e->key, N / 2, 0, obj, NULL));
	for (int i = 0; i < N / 2; i++)
		verify(e, obj[i], i);
	memset(obj, 0, sizeof(obj));
	OK(kvr_batched_get_non_blocking(e->kvr, "load 1", e->key, N, obj, NULL, &op));
	ERR(kvr_wait(e->kvr, op, 0, &d, NULL), KVR_E_MISS);
	ck_assert_uint_eq(d.prefix, N / 2);
	for (int i = 0; i < N; i++) {
		if (i < (int)d.prefix)
			verify(e, obj[i], i);
		else
			OK(kvr_unref(e->pool, obj[i]));
	}
}

static void
life(const char *url, bool with_layout)
{
	struct engine e;

	begin(&e, url, 0, with_layout);
	store_half(&e);
	look_up(&e);
	load(&e);
	OK(kvr_remove(e.kvr, e.key[2], false, 0));
	ERR(kvr_remove(e.kvr, e.key[2], true, 0), KVR_E_MISS);
	ERR(kvr_contains(e.kvr, e.key[2], false, 0), KVR_E_MISS);
	bed_close(e.kvr);
}

START_TEST(with_the_layout_known)
{
	KVR_EACH_STORE(bed, life(kvr_store_bed_url(bed), true));
}
END_TEST

/* Then the sizes of objects have to be found out. */
START_TEST(without_a_layout)
{
	KVR_EACH_STORE(bed, life(kvr_store_bed_url(bed), false));
}
END_TEST

/* Rank 1 of an MLA model stores nothing and finds what rank 0 has stored, layers and all. */
START_TEST(ranks_of_an_mla_model_share)
{
	struct kvr_store_bed *bed = kvr_store_bed_open(KVR_STORE_FS);
	struct engine zero, one;
	kvr_obj obj[N];
	uint32_t prefix;
	struct kvr_done d = { .size = sizeof(d) };

	begin(&zero, kvr_store_bed_url(bed), 0, true);
	begin(&one, kvr_store_bed_url(bed), 1, true);
	ck_assert_str_ne(zero.key[0], one.key[0]);
	store_half(&zero);
	obj[0] = make(&one, 0);
	ERR(kvr_submit_put_task(one.kvr, one.key[N - 1], obj[0], put_ended, &one, NULL),
	    KVR_E_SKIPPED_MLA);
	ERR(kvr_batched_submit_put_task(one.kvr, one.key, obj, 1, put_ended, &one, NULL),
	    KVR_E_SKIPPED_MLA);
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 1, .key = &one.key[N - 1], .obj = obj
	};
	ERR(kvr_run(one.kvr, &b, NULL, &d, NULL), KVR_E_SKIPPED_MLA);
	ck_assert_uint_eq(d.n_ok, 0);
	ck_assert_int_eq(one.n_called, 0);
	OK(kvr_unref(one.pool, obj[0]));
	ERR(kvr_contains(zero.kvr, zero.key[N - 1], false, 0), KVR_E_MISS);
	OK(kvr_batched_contains(one.kvr, one.key, N, false, 0, &prefix));
	ck_assert_uint_eq(prefix, N / 2);
	OK(kvr_batched_get_blocking(one.kvr, one.key, N / 2, 0, obj, NULL));
	for (int i = 0; i < N / 2; i++)
		verify(&one, obj[i], i);
	OK(kvr_remove(one.kvr, one.key[0], false, 0));
	ERR(kvr_contains(zero.kvr, zero.key[0], false, 0), KVR_E_MISS);
	ERR(kvr_contains(one.kvr, "no key of LMCache", false, 0), KVR_E_INVALID);
	bed_close(zero.kvr);
	bed_close(one.kvr);
	kvr_store_bed_close(bed);
}
END_TEST

KVR_CHECK_MAIN(
    "api.embed_lmcache", with_the_layout_known, without_a_layout, ranks_of_an_mla_model_share)
