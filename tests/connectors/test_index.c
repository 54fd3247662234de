/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_index.h"
#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

enum { NODES = 3000, STEPS = 200000 };

/* The same in the dullest way: an array in order of use. */
static struct kvr_index_node *order[NODES];
static size_t                 order_n;

static size_t
place_of(const struct kvr_index_node *node)
{
	for (size_t i = 0; i < order_n; i++)
		if (order[i] == node)
			return i;
	return NODES;
}

static void
order_drop(const struct kvr_index_node *node)
{
	size_t at = place_of(node);

	memmove(&order[at], &order[at + 1], (order_n - at - 1) * sizeof(order[0]));
	order_n--;
}

static void
check_order(const struct kvr_index *index)
{
	const struct kvr_index_node *x = index->oldest, *older = NULL;
	uint64_t                     bytes = 0;

	for (size_t i = 0; i < order_n; i++, older = x, x = x->newer) {
		ck_assert_ptr_eq(x, order[i]);
		ck_assert_ptr_eq(x->older, older);
		bytes += x->bytes;
	}
	ck_assert_ptr_null(x);
	ck_assert_ptr_eq(index->newest, older);
	ck_assert_uint_eq(index->n, order_n);
	ck_assert_uint_eq(index->bytes, bytes);
}

START_TEST(it_agrees_with_a_plain_list)
{
	static struct kvr_index_node node[NODES];
	static char                  key[NODES][16];
	struct kvr_index             index;
	uint64_t                     state = 42;

	ck_assert_int_eq(kvr_index_open(&index), KVR_OK);
	for (int i = 0; i < NODES; i++) {
		snprintf(key[i], sizeof(key[i]), "key %d", i);
		node[i] = (struct kvr_index_node){ .key = key[i],
			.key_len = (uint32_t)strlen(key[i]), .bytes = (uint64_t)i };
	}
	for (int step = 0; step < STEPS; step++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
		struct kvr_index_node *x = &node[(state >> 33) % NODES];
		unsigned               what = (unsigned)(state >> 60);
		bool                   in = place_of(x) < NODES;

		ck_assert_ptr_eq(kvr_index_find(&index, x->key, x->key_len), in ? x : NULL);
		if (!in) {
			kvr_index_add(&index, x);
			order[order_n++] = x;
		} else if (what < 6) {
			kvr_index_touch(&index, x);
			order_drop(x);
			order[order_n++] = x;
		} else {
			kvr_index_drop(&index, x);
			order_drop(x);
		}
		if (step % 5000 == 0)
			check_order(&index);
	}
	ck_assert_uint_gt(index.n_buckets, 256);
	check_order(&index);
	while (index.oldest != NULL)
		kvr_index_drop(&index, index.oldest);
	ck_assert_uint_eq(index.bytes, 0);
	kvr_index_close(&index);
}
END_TEST

START_TEST(a_key_is_all_of_its_bytes)
{
	struct kvr_index      index;
	struct kvr_index_node a = { .key = "a\0b", .key_len = 3 }, b = { .key = "a\0c",
		.key_len = 3 };

	ck_assert_int_eq(kvr_index_open(&index), KVR_OK);
	kvr_index_add(&index, &a);
	kvr_index_add(&index, &b);
	ck_assert_ptr_eq(kvr_index_find(&index, "a\0b", 3), &a);
	ck_assert_ptr_eq(kvr_index_find(&index, "a\0c", 3), &b);
	ck_assert_ptr_null(kvr_index_find(&index, "a", 1));
	kvr_index_drop(&index, &a);
	ck_assert_ptr_null(kvr_index_find(&index, "a\0b", 3));
	kvr_index_drop(&index, &b);
	kvr_index_close(&index);
}
END_TEST

KVR_CHECK_MAIN("connectors.index", it_agrees_with_a_plain_list, a_key_is_all_of_its_bytes)
