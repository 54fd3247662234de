/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library from outside with a cache in a device's memory: to real stores and back, bit for bit,
 * behind the engine's own work, several at once.
 */
#include "kvr_api_bed.h"

#include "gpu_bed.h"
#include "kvr_paged_world.h"
#include "kvr_stores.h"

enum { KEYS = 6 };

struct engine {
	struct paged_world w;
	struct kvr *kvr;
	struct kvr_cache *cache;
	uint8_t *far;
	int64_t *slot;
	uint64_t len[KEYS];
	struct kvr_tokens tokens;
};

/* Per layer, planes outermost, as FlashAttention has it: 32 KiB and 16 KiB pieces, and odd ones. */
static void
engine_open(struct engine *e, struct kvr *k, uint32_t seed, uint32_t block)
{
	void *base[64];
	uint32_t layers = 4, each = 100, last = 37;

	memset(e, 0, sizeof(*e));
	e->kvr = k;
	e->w.seed = seed;
	e->w.pages = (struct kvr_pages){ .memfmt = KVR_FMT_KV_2LTD,
		.n_layers = layers,
		.n_planes = 2,
		.n_heads = 8,
		.head_bytes = 256,
		.block_tokens = block,
		.n_blocks = each * KEYS / block + 2 };
	paged_lay_out(&e->w, PAGED_PER_LAYER, false, 0);
	paged_choose_slots(&e->w, each * (KEYS - 1) + last, block, false);
	e->far = gpu_alloc(e->w.memory_len);
	gpu_put(e->far, e->w.memory, e->w.memory_len);
	for (uint32_t l = 0; l < layers; l++)
		base[l] = e->far + (e->w.base[2 * l] - e->w.memory);
	for (uint32_t i = 0; i < KEYS; i++)
		e->len[i] = kvr_pages_token(&e->w.pages) * (i == KEYS - 1 ? last : each);
	e->slot = calloc(e->w.tokens, sizeof(e->slot[0]));
	ck_assert_ptr_nonnull(e->slot);
	for (uint32_t i = 0; i < e->w.tokens; i++)
		e->slot[i] = e->w.slot[i];
	const struct kvr_cache_shape s = { .size = sizeof(s),
		.order = KVR_CACHE_LAYERS,
		.format = KVR_FMT_KV_2LTD,
		.dtype = KVR_DT_BFLOAT16,
		.n_layers = layers,
		.n_planes = 2,
		.n_heads = 8,
		.head_size = 128,
		.block_tokens = block,
		.n_blocks = e->w.pages.n_blocks,
		.n_base = layers,
		.memory = gpu_is_twin() ? KVR_MEMORY_HOST : KVR_MEMORY_DEVICE,
		.base = base };

	OK(kvr_cache_open(k, &s, &e->cache));
	e->tokens = (struct kvr_tokens){
		.size = sizeof(e->tokens), .n = e->w.tokens, .cache = e->cache, .slot = e->slot
	};
}

static void
engine_close(struct engine *e)
{
	gpu_free(e->far);
	free(e->slot);
	paged_free(&e->w);
}

static enum kvr_err
submit(struct engine *e, uint32_t kind, const char *name, kvr_op *ret)
{
	char keys[KEYS * 32], *at = keys;

	for (uint32_t i = 0; i < KEYS; i++)
		at += snprintf(at, 32, "%s-%u", name, i) + 1;
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = KEYS,
		.keys = keys,
		.len = e->len,
		.tokens = &e->tokens };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };

	return kvr_submit(e->kvr, &b, &o, ret);
}

static void
moves(struct engine *e, uint32_t kind, const char *name)
{
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	OK(submit(e, kind, name, &op));
	ck_assert_msg(
	    kvr_wait(e->kvr, op, 0, &d, NULL) == KVR_OK, "%s: %s", kvr_err_name(d.err), d.why);
}

/* The tokens are as they were put, everything else is poison. */
static void
came_back(struct engine *e)
{
	uint8_t *got = malloc(e->w.memory_len), *want = malloc(e->w.memory_len);
	uint64_t row = kvr_pages_row(&e->w.pages);

	ck_assert(got != NULL && want != NULL);
	memset(want, 0xa5, e->w.memory_len);
	for (uint32_t p = 0; p < e->w.pages.n_layers * 2; p++)
		for (uint32_t t = 0; t < e->w.tokens; t++) {
			const uint8_t *from = e->w.base[p] + (uint64_t)e->slot[t] * row;

			memcpy(want + (from - e->w.memory), from, row);
		}
	gpu_fetch(got, e->far, e->w.memory_len);
	ck_assert_int_eq(memcmp(got, want, e->w.memory_len), 0);
	free(got);
	free(want);
}

static void
poison(struct engine *e)
{
	uint8_t *bad = malloc(e->w.memory_len);

	ck_assert_ptr_nonnull(bad);
	memset(bad, 0xa5, e->w.memory_len);
	gpu_put(e->far, bad, e->w.memory_len);
	free(bad);
}

static struct kvr *
open_store(const char *url, const char *tier)
{
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"64MiB\",\"device\":\"%s\"},\"tiers\":[{\"name\":\"a\","
	    "\"url\":\"%s\"%s}]}",
	    gpu_is_twin() ? "none" : "cuda", url, tier);
	return bed_open(json, NULL, NULL, NULL);
}

static void
there_and_back(struct kvr *k)
{
	for (uint32_t block = 8; block <= 32; block *= 2) {
		struct engine e;

		engine_open(&e, k, block, block);
		moves(&e, KVR_PUT, block == 8 ? "a" : block == 16 ? "b" : "c");
		poison(&e);
		moves(&e, KVR_GET, block == 8 ? "a" : block == 16 ? "b" : "c");
		came_back(&e);
		engine_close(&e);
	}
	bed_close(k);
}

START_TEST(to_every_store_and_back)
{
	KVR_EACH_STORE(bed, there_and_back(open_store(kvr_store_bed_url(bed), "")));
	KVR_EACH_STORE(bed, there_and_back(open_store(kvr_store_bed_url(bed),
	                        ",\"format\":\"sealed\",\"serde\":\"zstd\"")));
}
END_TEST

/* A get is behind the engine's kernels on these blocks: what they wrote does not win. */
START_TEST(copies_wait_for_the_engines_event)
{
	struct engine e;

	engine_open(&e, open_store("memory://", ""), 5, 16);
	moves(&e, KVR_PUT, "k");
	e.tokens.ready = gpu_fill_later(e.far, 0xa5, e.w.memory_len);
	moves(&e, KVR_GET, "k");
	gpu_wait();
	came_back(&e);
	gpu_event_free(e.tokens.ready);
	bed_close(e.kvr);
	engine_close(&e);
}
END_TEST

START_TEST(several_at_once_both_ways)
{
	enum { ENGINES = 6 };
	struct kvr *k = open_store("memory://", "");
	struct engine e[ENGINES];
	kvr_op op[ENGINES];
	char name[16];

	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < ENGINES; i++) {
			bool put = round % 2 == 0;

			if (put)
				engine_open(&e[i], k, i + round + 1, 8U << i % 3);
			else
				poison(&e[i]);
			snprintf(name, sizeof(name), "e%u", i);
			OK(submit(&e[i], put ? KVR_PUT : KVR_GET, name, &op[i]));
		}
		for (uint32_t i = 0; i < ENGINES; i++) {
			OK(kvr_wait(k, op[i], 0, NULL, NULL));
			if (round % 2 == 1) {
				came_back(&e[i]);
				engine_close(&e[i]);
			}
		}
	}
	bed_close(k);
}
END_TEST

/* Last, and only for a device. The process goes on, and so does what is in the host's memory. */
START_TEST(a_reset_costs_misses)
{
	static uint8_t host[1000];
	struct kvr *k = open_store("memory://", "");
	const uint64_t len = sizeof(host);
	void *at = host;
	const struct kvr_batch put = {
		.size = sizeof(put), .kind = KVR_PUT, .n = 1, .keys = "h", .at = &at, .len = &len
	};
	struct kvr_done d = { .size = sizeof(d) };
	struct engine e;
	kvr_op op;

	engine_open(&e, k, 1, 16);
	moves(&e, KVR_PUT, "k");
	gpu_reset();
	for (uint32_t i = 0; i < 2; i++) {
		OK(submit(&e, KVR_GET, "k", &op));
		ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_DEVICE);
		ck_assert_msg(strncmp(d.why, "cuda", 4) == 0, "'%s'", d.why);
		OK(kvr_run(k, &put, NULL, NULL, NULL));
	}
	bed_close(k);
}
END_TEST

int
main(int argc, char **argv)
{
	const TTest *const tests[] = { to_every_store_and_back, copies_wait_for_the_engines_event,
		several_at_once_both_ways, a_reset_costs_misses };
	Suite *suite = suite_create("gpu.api");

	gpu_open(argc, argv);
	printf("on %s\n", gpu_name());
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]) - (gpu_is_twin() ? 1 : 0); i++) {
		TCase *tc = tcase_create("gpu.api");

		tcase_set_timeout(tc, 240);
		tcase_add_test(tc, tests[i]);
		suite_add_tcase(suite, tc);
	}
	SRunner *runner = srunner_create(suite);

	/* A context does not survive a fork. */
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
