/* SPDX-License-Identifier: Apache-2.0 */
/* Capacity, eviction and references of a memory tier; what lanes promise is in conformance.c. */
#include "kvr_connectors.h"
#include "kvr_memory_map.h"
#include "kvr_big_pages.h"
#include "kvr_check.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct kvr_memory_map map;

static int32_t
put(const char *key, size_t len, int byte)
{
	struct kvr_memory_value *value = NULL;
	enum kvr_err err = kvr_memory_new(&map, key, (uint32_t)strlen(key), len, &value);

	ck_assert_uint_le(map.used, map.capacity);
	if (err != KVR_OK)
		return err;
	if (len > 0)
		memset(value->block.at, byte, len);
	kvr_memory_publish(&map, value);
	ck_assert_uint_le(map.used, map.capacity);
	return KVR_OK;
}

static bool
has(const char *key)
{
	struct kvr_memory_value *value = kvr_memory_hold(&map, key, (uint32_t)strlen(key));

	if (value != NULL)
		kvr_memory_release(&map, value);
	return value != NULL;
}

static struct kvr_memory_value *
hold(const char *key)
{
	struct kvr_memory_value *value = kvr_memory_hold(&map, key, (uint32_t)strlen(key));

	ck_assert_ptr_nonnull(value);
	return value;
}

static bool
all(const struct kvr_memory_value *value, int byte)
{
	const uint8_t *at = value->block.at;

	for (uint64_t i = 0; i < value->len; i++)
		if (at[i] != byte)
			return false;
	return true;
}

/* What one value of len bytes under a key of key_len costs. */
static uint64_t
cost(uint64_t len, size_t key_len)
{
	return sizeof(struct kvr_memory_value) + key_len + 1 + kvr_block_size(len);
}

START_TEST(what_was_not_used_for_longest_goes_first)
{
	char key[8];

	ck_assert_int_eq(kvr_memory_map_open(&map, 4 * cost(100000, 2)), KVR_OK);
	for (int i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(put(key, 100000, i), KVR_OK);
	}
	ck_assert_uint_eq(map.used, map.capacity);
	ck_assert(has("k0"));
	ck_assert(kvr_memory_touch(&map, "k1", 2));
	ck_assert_int_eq(put("k4", 100000, 4), KVR_OK);
	ck_assert(!has("k2"));
	ck_assert_int_eq(put("k5", 100000, 5), KVR_OK);
	ck_assert(!has("k3"));
	ck_assert(has("k0") && has("k1") && has("k4") && has("k5"));
	ck_assert_uint_eq(map.evicted, 2);
	kvr_memory_map_close(&map);
}
END_TEST

START_TEST(a_value_beyond_the_capacity_evicts_nothing)
{
	ck_assert_int_eq(kvr_memory_map_open(&map, cost(100000, 1)), KVR_OK);
	ck_assert_int_eq(put("k", 100000, 1), KVR_OK);
	ck_assert_int_eq(put("k", 200000, 1), KVR_E_TOO_BIG);
	ck_assert_int_eq(put("k", SIZE_MAX, 1), KVR_E_TOO_BIG);
	ck_assert_int_eq(put("k", SIZE_MAX / 2 + 1, 1), KVR_E_TOO_BIG);
	/* The longer key is what makes the difference here. */
	ck_assert_int_eq(put("kk", 100000, 1), KVR_E_TOO_BIG);
	ck_assert(has("k"));
	kvr_memory_map_close(&map);
}
END_TEST

START_TEST(what_is_being_read_is_neither_evicted_nor_overwritten)
{
	ck_assert_int_eq(kvr_memory_map_open(&map, 3 * cost(100000, 1)), KVR_OK);
	ck_assert_int_eq(put("a", 100000, 1), KVR_OK);
	ck_assert_int_eq(put("b", 100000, 2), KVR_OK);
	ck_assert_int_eq(put("c", 100000, 3), KVR_OK);
	struct kvr_memory_value *a = hold("a"), *b = hold("b"), *c = hold("c");
	kvr_memory_release(&map, c);
	/* a was used before c, but is in use. */
	ck_assert_int_eq(put("d", 100000, 4), KVR_OK);
	ck_assert(!has("c"));
	/* Deleted and replaced, it still is what it was for who reads it, and still counts. */
	ck_assert(kvr_memory_delete(&map, "a", 1));
	ck_assert(!has("a"));
	ck_assert_uint_eq(map.used, 3 * cost(100000, 1));
	ck_assert_int_eq(put("b", 100000, 5), KVR_OK);
	ck_assert(!has("d"));
	ck_assert(all(a, 1) && all(b, 2));
	struct kvr_memory_value *b5 = hold("b");
	ck_assert(all(b5, 5));
	ck_assert_int_eq(put("e", 100000, 6), KVR_E_BUSY);
	ck_assert(has("b"));
	kvr_memory_release(&map, a);
	ck_assert_int_eq(put("e", 100000, 6), KVR_OK);
	kvr_memory_release(&map, b);
	kvr_memory_release(&map, b5);
	kvr_memory_map_close(&map);
}
END_TEST

START_TEST(memory_is_used_again_and_not_faulted_in_again)
{
	struct kvr_memory_value *value = NULL;

	ck_assert_int_eq(kvr_memory_map_open(&map, 2 * cost(1 << 20, 1)), KVR_OK);
	ck_assert_int_eq(put("a", 1 << 20, 1), KVR_OK);
	ck_assert_int_eq(put("b", 1 << 20, 2), KVR_OK);
	/* Evicts a. Fresh memory would be zeros; these are still a's bytes. */
	ck_assert_int_eq(kvr_memory_new(&map, "c", 1, 1 << 20, &value), KVR_OK);
	ck_assert(all(value, 1));
	kvr_memory_discard(&map, value);
	kvr_memory_map_close(&map);
}
END_TEST

START_TEST(blocks_that_are_kept_make_room_for_other_sizes)
{
	ck_assert_int_eq(kvr_memory_map_open(&map, KVR_MIB(16)), KVR_OK);
	char key[8];
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(put(key, 200000, i), KVR_OK);
	}
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert(kvr_memory_delete(&map, key, (uint32_t)strlen(key)));
	}
	ck_assert_uint_gt(map.blocks.n, 0);
	ck_assert_uint_eq(map.used, map.blocks.bytes);
	ck_assert_uint_le(map.blocks.bytes, KVR_MIB(2));
	ck_assert_int_eq(put("all", KVR_MIB(16) - 65536, 1), KVR_OK);
	ck_assert_uint_eq(map.blocks.n, 0);
	ck_assert_uint_eq(map.evicted, 0);
	kvr_memory_map_close(&map);
}
END_TEST

START_TEST(many_small_values_give_way_to_one_big_one)
{
	char key[16];

	ck_assert_int_eq(kvr_memory_map_open(&map, KVR_MIB(32)), KVR_OK);
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(put(key, (size_t)(i * 37 % 100000), i), KVR_OK);
	}
	ck_assert_int_eq(put("big", KVR_MIB(32) - 2 * 65536, 7), KVR_OK);
	struct kvr_memory_value *big = hold("big");
	ck_assert(all(big, 7));
	kvr_memory_release(&map, big);
	kvr_memory_map_close(&map);
}
END_TEST

/* What does not end with such a page is mapped whole, counted whole and given back whole. */
START_TEST(nothing_is_lost_where_pages_are_large)
{
	kvr_big_pages = true;
	for (uint64_t len = KVR_MIB(2) - 4096; len < KVR_MIB(3); len += 36 * 1024) {
		struct kvr_block block;

		ck_assert_int_eq(kvr_block_map(kvr_block_size(len), &block), KVR_OK);
		ck_assert_uint_ge(block.size, len);
		ck_assert_int_eq(kvr_big_pages_mapped, (int64_t)block.size);
		memset(block.at, 1, len);
		kvr_block_unmap(block);
		ck_assert_int_eq(kvr_big_pages_mapped, 0);
	}
	ck_assert_uint_eq(kvr_big_pages_refused, 0);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = KVR_ROUNDS(4000), KEYS = 40 };

static _Atomic int wrong;

static size_t
len_of(unsigned key)
{
	return 1000 + key % 8 * 40000;
}

/* All bytes of a value are its key's number, whoever wrote it and whenever. */
static void *
use(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg + 1;
	char     key[8];

	for (int i = 0; i < ROUNDS; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
		unsigned k = (unsigned)(state >> 40) % KEYS;
		uint32_t n = (uint32_t)snprintf(key, sizeof(key), "k%u", k);
		struct kvr_memory_value *value;
		switch (state >> 61) {
		case 0:
			(void)kvr_memory_delete(&map, key, n);
			break;
		case 1:
		case 2:
		case 3:
			if (kvr_memory_new(&map, key, n, len_of(k), &value) != KVR_OK)
				break;
			memset(value->block.at, (int)k, len_of(k));
			if (i % 16 == 0)
				kvr_memory_discard(&map, value);
			else
				kvr_memory_publish(&map, value);
			break;
		default:
			if ((value = kvr_memory_hold(&map, key, n)) == NULL)
				break;
			wrong += value->len != len_of(k) || !all(value, (int)k);
			kvr_memory_release(&map, value);
		}
	}
	return NULL;
}

START_TEST(lanes_share_it_without_harm)
{
	pthread_t thread[THREADS];

	ck_assert_int_eq(kvr_memory_map_open(&map, KVR_MIB(1)), KVR_OK);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, use, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(wrong, 0);
	ck_assert_uint_gt(map.evicted, 0);
	ck_assert_uint_le(map.used, map.capacity);
	kvr_memory_map_close(&map); /* checks that the sum comes out at nothing */
}
END_TEST

START_TEST(options_it_does_not_know_are_refused_with_a_sentence)
{
	const struct kvr_store_opts bad[] = {
		{ .tier = "t", .url = "memory://8GiB", .format = KVR_FORMAT_BARE },
		{ .tier = "t", .url = "memory:", .format = KVR_FORMAT_BARE },
		{ .tier = "t", .url = "memory://", .format = KVR_FORMAT_LMCACHE },
		{ .tier = "t", .url = "memory://", .format = KVR_FORMAT_BARE, .user = "u" },
		{ .tier = "t", .url = "memory://", .format = KVR_FORMAT_BARE, .ttl_ms = 1 },
		{ .tier = "t", .url = "memory://", .format = KVR_FORMAT_BARE, .free_floor = 1 },
		{ .tier = "t", .url = "memory://", .format = KVR_FORMAT_BARE, .tmp_dir = "x" },
	};

	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		struct kvr_store *store = NULL;
		char              why[256] = "";
		ck_assert_int_eq(kvr_memory_ops.open(&bad[i], &store, why, sizeof(why)),
		    KVR_E_CONFIG);
		ck_assert_ptr_null(store);
		ck_assert_str_ne(why, "");
	}
}
END_TEST

KVR_CHECK_MAIN("connectors.memory", what_was_not_used_for_longest_goes_first,
    a_value_beyond_the_capacity_evicts_nothing,
    what_is_being_read_is_neither_evicted_nor_overwritten,
    memory_is_used_again_and_not_faulted_in_again, blocks_that_are_kept_make_room_for_other_sizes,
    many_small_values_give_way_to_one_big_one, nothing_is_lost_where_pages_are_large,
    lanes_share_it_without_harm, options_it_does_not_know_are_refused_with_a_sentence)
