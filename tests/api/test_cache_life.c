/* SPDX-License-Identifier: Apache-2.0 */
/* How many caches an instance has, whose they are, and until when. */
#include "kvr_api_bed.h"

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

enum { CACHES = 64, TOKEN = 64, TOKENS = 16 };

static char memory[TOKEN * TOKENS];
static void *const base[] = { memory };
static const struct kvr_cache_shape shape = BED_CACHE(base, TOKEN, TOKENS);

static enum kvr_err
move(struct kvr *k, struct kvr_cache *cache, uint32_t kind)
{
	const int32_t block[TOKENS] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	const struct kvr_tokens t = { .size = sizeof(t), .n = TOKENS, .cache = cache, .block = block };
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.keys = "k",
		.len = &(const uint64_t){ sizeof(memory) },
		.tokens = &t };

	return kvr_run(k, &b, NULL, NULL, NULL);
}

START_TEST(so_many_and_no_more)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_cache *cache[CACHES], *more = NULL;

	for (int i = 0; i < CACHES; i++)
		OK(kvr_cache_open(k, &shape, &cache[i]));
	ERR(kvr_cache_open(k, &shape, &more), KVR_E_BUSY);
	ck_assert_ptr_null(more);
	OK(kvr_cache_close(cache[17]));
	OK(kvr_cache_open(k, &shape, &cache[17]));
	ERR(kvr_cache_open(k, &shape, &more), KVR_E_BUSY);
	bed_fill(memory, sizeof(memory), 5);
	OK(move(k, cache[17], KVR_PUT));
	memset(memory, 0, sizeof(memory));
	OK(move(k, cache[63], KVR_GET));
	bed_same(memory, sizeof(memory), 5);
	/* They may go after the end, too; what is left goes with the instance. */
	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	for (int i = 0; i < CACHES / 2; i++)
		OK(kvr_cache_close(cache[i]));
	kvr_free(k);
}
END_TEST

START_TEST(it_is_of_one_instance)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log), *other = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_cache *cache;

	OK(kvr_cache_open(other, &shape, &cache));
	ERR(move(k, cache, KVR_PUT), KVR_E_INVALID);
	bed_log_has(&log, "tokens of no cache of this instance");
	ERR(move(k, NULL, KVR_PUT), KVR_E_INVALID);
	OK(move(other, cache, KVR_PUT));
	bed_close(other);
	bed_close(k);
}
END_TEST

START_TEST(arguments_that_are_missing)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	struct kvr_cache *cache = NULL;

	ERR(kvr_cache_open(k, NULL, &cache), KVR_E_INVALID);
	bed_log_has(&log, "no shape, or no place for the cache");
	ERR(kvr_cache_open(k, &shape, NULL), KVR_E_INVALID);
	ck_assert_ptr_null(cache);
	bed_close(k);
}
END_TEST

/* An engine that was compiled before there were groups, and one that was compiled after this. */
START_TEST(shapes_of_other_headers)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_cache_shape older = shape;
	struct {
		struct kvr_cache_shape known;
		uint64_t more;
	} newer = { .known = shape };
	struct kvr_cache *cache = NULL;

	older.size = offsetof(struct kvr_cache_shape, number);
	older.number = (const uint32_t *)(const void *)memory; /* beyond what it has */
	older.next = &older;
	OK(kvr_cache_open(k, &older, &cache));
	OK(move(k, cache, KVR_PUT));
	newer.known.size = sizeof(newer);
	OK(kvr_cache_open(k, &newer.known, &cache));
	newer.more = 1;
	cache = NULL;
	ERR(kvr_cache_open(k, &newer.known, &cache), KVR_E_INVALID);
	ck_assert_ptr_null(cache);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.cache_life", so_many_and_no_more, it_is_of_one_instance,
    arguments_that_are_missing, shapes_of_other_headers)
