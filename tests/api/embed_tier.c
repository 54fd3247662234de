/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine that keeps its cache in one region of blocks, pinned by itself, and uses the library
 * as the tier behind it: blocks go out and come back to other places. No objects, no copies.
 */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

#include <sys/mman.h>

enum { BLOCK = 131072, BLOCKS = 64, LAYERS = 2, CHUNKS = BLOCKS / LAYERS / 2 };

struct engine {
	struct kvr *kvr;
	char *region;
};

static void
name(char *ret, size_t cap, int chunk, int layer)
{
	snprintf(ret, cap, "model/chunk-%04d/layer-%d", chunk, layer);
}

/* A batch over chunks [0, n) whose first block is `first`. */
struct move {
	char text[BLOCKS][48];
	const char *key[BLOCKS];
	void *at[BLOCKS];
	uint64_t len[BLOCKS];
	struct kvr_batch b;
};

static void
plan(struct engine *e, struct move *m, uint32_t kind, int n, int first)
{
	for (int i = 0; i < n * LAYERS; i++) {
		name(m->text[i], sizeof(m->text[i]), i / LAYERS, i % LAYERS);
		m->key[i] = m->text[i];
		m->at[i] = e->region + (size_t)(first + i) * BLOCK;
		m->len[i] = BLOCK;
	}
	m->b = (struct kvr_batch){ .size = sizeof(m->b),
		.kind = kind,
		.n = (uint32_t)(n * LAYERS),
		.per_chunk = LAYERS,
		.key = m->key,
		.at = m->at,
		.len = m->len };
}

static void
life(const char *url)
{
	const struct kvr_identity who = { .size = sizeof(who), .role = KVR_SCHEDULER };
	const struct kvr_options o = { .size = sizeof(o), .url = url, BED_SET, .identity = &who };
	struct kvr_opts prefix = { .size = sizeof(prefix), .flags = KVR_PREFIX };
	struct kvr_opts absent = { .size = sizeof(absent), .flags = KVR_IF_ABSENT };
	struct kvr_done d = { .size = sizeof(d) };
	int32_t err[BLOCKS];
	struct kvr_results r = { .size = sizeof(r), .cap = BLOCKS, .err = err };
	struct engine e;
	static struct move m;
	char why[512];

	ck_assert_msg(kvr_open(&o, 0, &e.kvr, why, sizeof(why)) == KVR_OK, "%s", why);
	e.region = mmap(NULL, (size_t)BLOCKS * BLOCK, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(e.region, MAP_FAILED);
	for (int i = 0; i < BLOCKS / 2; i++)
		bed_fill(e.region + (size_t)i * BLOCK, BLOCK, (uint32_t)i);
	plan(&e, &m, KVR_PUT, CHUNKS, 0);
	OK(kvr_run(e.kvr, &m.b, NULL, &d, NULL));
	ck_assert_uint_eq(d.bytes, (uint64_t)CHUNKS * LAYERS * BLOCK);
	/* What is there is not sent again. */
	ERR(kvr_run(e.kvr, &m.b, &absent, &d, &r), KVR_E_EXISTS);
	ck_assert_uint_eq(d.n_ok, 0);
	/* One layer of a chunk is missing: that chunk and all behind it do not count. */
	const char *gone = m.key[5 * LAYERS + 1];
	OK(kvr_remove(e.kvr, gone, false, 0));
	plan(&e, &m, KVR_LOOKUP, CHUNKS, 0);
	ERR(kvr_run(e.kvr, &m.b, &prefix, &d, &r), KVR_E_MISS);
	ck_assert_uint_eq(d.prefix, 5);
	ERR(err[6 * LAYERS], KVR_E_UNASKED);
	/* They come back into the other half of the region. */
	plan(&e, &m, KVR_GET, CHUNKS, BLOCKS / 2);
	ERR(kvr_run(e.kvr, &m.b, NULL, &d, &r), KVR_E_MISS);
	ck_assert_uint_eq(d.n_ok, CHUNKS * LAYERS - 1);
	for (int i = 0; i < CHUNKS * LAYERS; i++) {
		ERR(err[i], i == 5 * LAYERS + 1 ? KVR_E_MISS : KVR_OK);
		if (err[i] == KVR_OK)
			bed_same(e.region + (size_t)(BLOCKS / 2 + i) * BLOCK, BLOCK, (uint32_t)i);
	}
	munmap(e.region, (size_t)BLOCKS * BLOCK);
	bed_close(e.kvr);
}

START_TEST(a_tier_behind_one_region)
{
	KVR_EACH_STORE(bed, life(kvr_store_bed_url(bed)));
}
END_TEST

KVR_CHECK_MAIN("api.embed_tier", a_tier_behind_one_region)
