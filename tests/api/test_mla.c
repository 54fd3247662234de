/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of a model with latent attention share the keys of rank 0; and groups are an instance's own. */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

enum { LEN = 65536 };

static const struct kvr_group whole[] = {
	{ .dtype = KVR_DT_BFLOAT16, .n_dims = 4, .dim = { 1, 8, 64, 64 } }
};
static const struct kvr_group halves[] = {
	{ .dtype = KVR_DT_BFLOAT16, .n_dims = 4, .dim = { 1, 8, 64, 32 } },
	{ .dtype = KVR_DT_UINT8, .n_dims = 4, .dim = { 1, 8, 64, 64 } },
};

static struct kvr_layout
layout_of(const struct kvr_group *group, uint32_t n)
{
	return (struct kvr_layout){ .size = sizeof(struct kvr_layout),
		.format = KVR_FMT_KV_MLA,
		.n_groups = n,
		.group = group };
}

struct rank {
	bool mla, as0;
	uint32_t world, worker;
};

static struct kvr *
open_rank(const char *url, const struct rank *r)
{
	const struct kvr_identity who = { .size = sizeof(who),
		.keys = KVR_KEYS_LMCACHE,
		.world_size = r->world,
		.worker_id = r->worker,
		.use_mla = r->mla };
	const struct kvr_layout layout = layout_of(whole, 1);
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"remote_url\":\"%s\",\"trace\":{\"dir\":\"none\"},\"extra_config\":{"
	    "\"remote_enable_mla_worker_id_as0\":%s}}",
	    url, r->as0 ? "true" : "false");
	return bed_open(json, &who, &layout, NULL);
}

/* What is told to whoever puts under this key, and waits. */
static int32_t
put(struct kvr *k, const char *key, uint32_t seed)
{
	struct kvr_pool *pool = kvr_get_allocator_backend(k);
	struct kvr_obj_info info = { .size = sizeof(info) };
	kvr_obj obj;
	kvr_op op;

	OK(kvr_alloc(pool, NULL, LEN, 0, &obj));
	OK(kvr_obj_look(pool, obj, &info));
	bed_fill(info.at, LEN, seed);
	int32_t err = kvr_submit_put_task(k, key, obj, NULL, NULL, &op);

	OK(kvr_unref(pool, obj));
	return err == KVR_OK ? kvr_wait(k, op, 0, NULL, NULL) : err;
}

static void
is(struct kvr *k, kvr_obj obj, uint32_t seed)
{
	struct kvr_obj_info info = { .size = sizeof(info) };

	OK(kvr_obj_look(kvr_get_allocator_backend(k), obj, &info));
	ck_assert_uint_eq(info.len, LEN);
	bed_same(info.at, LEN, seed);
	OK(kvr_unref(kvr_get_allocator_backend(k), obj));
}

/* Only with all four: the switch, the model, more than one rank, and not the first of them. */
START_TEST(four_conditions_and_no_fewer)
{
	struct kvr_store_bed *bed = kvr_store_bed_open(KVR_STORE_FS);
	const char *url = kvr_store_bed_url(bed);
	static const struct rank first = { .mla = true, .as0 = true, .world = 2 };

	for (uint32_t bits = 0; bits < 16; bits++) {
		const struct rank r = { .mla = bits & 1,
			.as0 = bits & 2,
			.world = bits & 4 ? 2 : 1,
			.worker = bits & 4 ? bits >> 3 & 1 : 0 };
		bool alone = bits == 15;
		struct kvr *k = open_rank(url, &r), *zero = open_rank(url, &first);
		char key[64], key0[64];

		/* A text of its own for each round, so that rounds do not see each other's. */
		snprintf(key, sizeof(key), "m@%u@%u@%x@bfloat16", r.world, r.worker, 0x100 + bits);
		snprintf(key0, sizeof(key0), "m@%u@0@%x@bfloat16", r.world, 0x100 + bits);
		ERR(put(k, key, bits), alone ? KVR_E_SKIPPED_MLA : KVR_OK);
		if (alone) {
			ERR(kvr_contains(k, key, false, 0), KVR_E_MISS);
			OK(put(zero, key0, bits));
		}
		OK(kvr_contains(k, key, false, 0));
		bool own = strcmp(key, key0) == 0 || alone;

		ERR(kvr_contains(zero, key0, false, 0), own ? KVR_OK : KVR_E_MISS);
		bed_close(k);
		bed_close(zero);
	}
	kvr_store_bed_close(bed);
}
END_TEST

/* A batch of its own puts has an outcome for each key: skipped. */
static void
puts_nothing(struct kvr *k, const char *const *key)
{
	static char memory[LEN];
	void *at[2] = { memory, memory };
	const uint64_t len[2] = { LEN, LEN };
	int32_t err[2] = { 0, 0 };
	struct kvr_batch b = { .size = sizeof(b), .kind = KVR_PUT, .n = 2, .key = key, .at = at, .len = len };
	struct kvr_results res = { .size = sizeof(res), .cap = 2, .err = err };

	ERR(kvr_run(k, &b, NULL, NULL, &res), KVR_E_SKIPPED_MLA);
	ck_assert(err[0] == KVR_E_SKIPPED_MLA && err[1] == KVR_E_SKIPPED_MLA);
}

/* A layer, and tags: every call keeps them, and asks for rank 0's. */
START_TEST(every_call_of_another_rank_asks_for_worker_0)
{
	static const char *const key0[] = { "m@2@0@a@bfloat16@7@tenant%acme@v%2",
		"m@2@0@b@bfloat16" };
	static const char *const key[] = { "m@2@1@a@bfloat16@7@tenant%acme@v%2",
		"m@2@1@b@bfloat16" };
	static const struct rank r0 = { true, true, 2, 0 }, r1 = { true, true, 2, 1 };
	struct kvr_store_bed *bed = kvr_store_bed_open(KVR_STORE_FS);
	struct kvr *zero = open_rank(kvr_store_bed_url(bed), &r0);
	struct kvr *one = open_rank(kvr_store_bed_url(bed), &r1);
	struct kvr_done d = { .size = sizeof(d) };
	kvr_obj obj[2] = { 0, 0 };
	uint64_t len[2] = { 0, 0 };
	uint32_t n = 0;
	kvr_op op;
	struct kvr_results res = { .size = sizeof(res), .cap = 2, .len = len };

	for (int i = 0; i < 2; i++)
		OK(put(zero, key0[i], (uint32_t)i));
	OK(kvr_contains(one, key[0], false, 0));
	OK(kvr_batched_contains(one, key, 2, false, 0, &n));
	ck_assert_uint_eq(n, 2);
	OK(kvr_batched_async_contains(one, "id", key, 2, false, NULL, &op));
	OK(kvr_wait(one, op, 0, &d, NULL));
	ck_assert_uint_eq(d.prefix, 2);
	OK(kvr_get_blocking(one, key[0], 0, &obj[0]));
	is(one, obj[0], 0);
	OK(kvr_batched_get_blocking(one, key, 2, 0, obj, NULL));
	for (uint32_t i = 0; i < 2; i++)
		is(one, obj[i], i);
	obj[0] = obj[1] = 0;
	OK(kvr_batched_get_non_blocking(one, "id", key, 2, obj, NULL, &op));
	OK(kvr_wait(one, op, 0, &d, NULL));
	for (uint32_t i = 0; i < 2; i++)
		is(one, obj[i], i);
	struct kvr_batch b = { .size = sizeof(b), .kind = KVR_SIZE, .n = 2, .key = key };

	OK(kvr_run(one, &b, NULL, &d, &res));
	ck_assert(len[0] == LEN && len[1] == LEN);
	b.kind = KVR_PREFETCH;
	OK(kvr_run(one, &b, NULL, &d, NULL));
	ck_assert(!kvr_exists_in_put_tasks(one, key[0]));
	ERR(put(one, key[0], 9), KVR_E_SKIPPED_MLA);
	puts_nothing(one, key);
	OK(kvr_pin(one, key[0]));
	OK(kvr_unpin(one, key[0]));
	/* The layer's key and the plain one are two keys, in removals too. */
	OK(kvr_remove(one, key[0], false, 0));
	ERR(kvr_contains(zero, key0[0], false, 0), KVR_E_MISS);
	OK(kvr_contains(zero, key0[1], false, 0));
	bed_close(zero);
	bed_close(one);
	kvr_store_bed_close(bed);
}
END_TEST

/* One knows its layout from the start, the other one later; both write LMCache's headers. */
START_TEST(two_instances_have_their_own_groups)
{
	struct kvr_store_bed *bed[2] = { kvr_store_bed_open(KVR_STORE_FS),
		kvr_store_bed_open(KVR_STORE_FS) };
	const struct kvr_layout one = layout_of(whole, 1), two = layout_of(halves, 2);
	struct kvr *k[2];
	char json[256];

	for (int i = 0; i < 2; i++) {
		const struct kvr_identity who = { .size = sizeof(who), .keys = KVR_KEYS_LMCACHE };

		snprintf(json, sizeof(json), "{\"remote_url\":\"%s\",\"trace\":{\"dir\":\"none\"}}",
		    kvr_store_bed_url(bed[i]));
		k[i] = bed_open(json, &who, i == 0 ? NULL : &two, NULL);
	}
	OK(kvr_set_layout(k[0], &one));
	for (uint32_t turn = 0; turn < 2; turn++) {
		for (uint32_t i = 0; i < 2; i++) {
			struct kvr_obj_info info = { .size = sizeof(info) };
			struct kvr_pool *pool = kvr_get_allocator_backend(k[i]);
			const char *key = "m@1@0@a@bfloat16";
			kvr_obj obj;
			kvr_op op;

			OK(kvr_alloc(pool, i == 0 ? &one : &two, 0, 0, &obj));
			OK(kvr_obj_look(pool, obj, &info));
			bed_fill(info.at, info.len, 10 * turn + i);
			OK(kvr_submit_put_task(k[i], key, obj, NULL, NULL, &op));
			OK(kvr_unref(pool, obj));
			OK(kvr_wait(k[i], op, 0, NULL, NULL));
			OK(kvr_get_blocking(k[i], key, 0, &obj));
			OK(kvr_obj_look(pool, obj, &info));
			ck_assert_uint_eq(info.n_groups, i + 1);
			is(k[i], obj, 10 * turn + i);
		}
	}
	for (int i = 0; i < 2; i++) {
		bed_close(k[i]);
		kvr_store_bed_close(bed[i]);
	}
}
END_TEST

KVR_CHECK_MAIN("api.mla", four_conditions_and_no_fewer,
    every_call_of_another_rank_asks_for_worker_0, two_instances_have_their_own_groups)
