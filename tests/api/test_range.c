/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_range.h"

#include "kvr_check.h"

#include <string.h>

enum { UNITS = 1000, RUNS = 400 };

START_TEST(takes_exactly_what_was_asked_for)
{
	struct kvr_range r;
	uint32_t a, b;

	ck_assert(kvr_range_init(&r, 64, 64));
	kvr_range_give(&r, 0, 64);
	ck_assert(kvr_range_take(&r, 33, &a));
	ck_assert_uint_eq(r.free, 31);
	ck_assert(kvr_range_take(&r, 16, &b));
	ck_assert(!kvr_range_take(&r, 32, &b)); /* not next to each other */
	kvr_range_give(&r, a, 33);
	kvr_range_give(&r, b, 16);
	ck_assert(kvr_range_take(&r, 64, &a)); /* everything has grown together again */
	ck_assert_uint_eq(a, 0);
	ck_assert(!kvr_range_take(&r, 1, &a));
	kvr_range_clear(&r);
}
END_TEST

START_TEST(longer_than_the_longest_run_is_refused)
{
	struct kvr_range r;
	uint32_t a;

	ck_assert(kvr_range_init(&r, UNITS, 8));
	kvr_range_give(&r, 0, UNITS);
	ck_assert(!kvr_range_take(&r, 9, &a));
	for (uint32_t i = 0; i < UNITS / 8; i++) {
		ck_assert(kvr_range_take(&r, 8, &a));
		ck_assert_uint_eq(a % 8, 0);
	}
	ck_assert(!kvr_range_take(&r, 1, &a));
	kvr_range_clear(&r);
}
END_TEST

struct run {
	uint32_t first, n;
};

/* A map of units is the model: no unit is given out twice, and all of them come back. */
START_TEST(no_unit_is_given_out_twice)
{
	struct kvr_range r;
	struct run run[RUNS] = { { 0, 0 } };
	unsigned char used[UNITS] = { 0 };
	uint64_t seed = 12345 + (uint64_t)_i;
	uint32_t in_use = 0, refused = 0, first;

	ck_assert(kvr_range_init(&r, UNITS, UNITS));
	kvr_range_give(&r, 0, UNITS);
	for (uint32_t step = 0; step < 20000; step++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		uint32_t draw = (uint32_t)(seed >> 33);
		struct run *at = &run[draw % RUNS];

		if (at->n > 0) {
			kvr_range_give(&r, at->first, at->n);
			memset(&used[at->first], 0, at->n);
			in_use -= at->n;
			at->n = 0;
		} else if (kvr_range_take(&r, 1 + draw / RUNS % 40, &first)) {
			*at = (struct run){ first, 1 + draw / RUNS % 40 };
			for (uint32_t i = 0; i < at->n; i++) {
				ck_assert_uint_lt(first + i, UNITS);
				ck_assert_uint_eq(used[first + i], 0);
				used[first + i] = 1;
			}
			in_use += at->n;
		} else {
			refused++;
		}
		ck_assert_uint_eq(r.free, UNITS - in_use);
	}
	ck_assert_uint_gt(refused, 0);
	for (uint32_t i = 0; i < RUNS; i++) {
		if (run[i].n > 0)
			kvr_range_give(&r, run[i].first, run[i].n);
	}
	for (uint32_t i = 0; i < UNITS; i++)
		ck_assert(kvr_range_take(&r, 1, &first));
	ck_assert(!kvr_range_take(&r, 1, &first));
	kvr_range_clear(&r);
}
END_TEST

KVR_CHECK_MAIN("api.range", takes_exactly_what_was_asked_for,
    longer_than_the_longest_run_is_refused, no_unit_is_given_out_twice)
