/* SPDX-License-Identifier: Apache-2.0 */
/* By what pieces cross the bus, as a table; and what must be so for any pieces. */
#include "kvr_check.h"
#include "kvr_copy_plan.h"

#include <stdio.h>
#include <string.h>

enum { KIB = 1024, MIB = 1 << 20 };

static const struct kvr_copy_rules usual = { .kernel = true,
	.big = 128 * KIB,
	.huge = MIB,
	.run = 128 * KIB,
	.many = 512 * KIB,
	.slot = 8 * MIB };

static struct kvr_piece piece[KVR_PLAN_PIECES];
static struct kvr_copy_plan plan;
static uint8_t *const chunk = (uint8_t *)(uintptr_t)0x10000000;
static uint8_t *end; /* of the last piece, in the chunk */
static uint32_t n;

static void
begin(void)
{
	n = 0;
	end = chunk;
}

static void
add(uint32_t many, uint64_t len, uint32_t unit)
{
	for (uint32_t i = 0; i < many; i++) {
		piece[n++] = (struct kvr_piece){ .chunk = end, .len = len, .unit = unit, .inner = unit != 0 };
		end += len;
	}
}

static void
gap(void)
{
	end += 4096;
}

/* "k3s20e1": by the kernel, the stage, an engine. */
static void
is_planned(const struct kvr_copy_rules *r, const char *want)
{
	char got[256] = "";
	size_t at = 0;

	memset(&plan, 0xee, sizeof(plan));
	kvr_copy_plan(r, piece, n, &plan);
	for (uint32_t i = 0, k; i < n; i = k) {
		for (k = i; k < n && plan.by[k] == plan.by[i]; k++)
			continue;
		ck_assert_uint_le(plan.by[i], KVR_BY_STAGE);
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%c%u", "eks"[plan.by[i]], k - i);
	}
	ck_assert_str_eq(got, want);
}

START_TEST(what_is_little_goes_by_kernel)
{
	begin();
	add(1, 2048, 0);
	is_planned(&usual, "k1");
	add(254, 2048, 0);
	is_planned(&usual, "k255");
	add(1, 2048, 0);
	is_planned(&usual, "s256");
	begin();
	add(15, 32 * KIB, 256);
	is_planned(&usual, "k15");
	add(1, 32 * KIB, 256);
	is_planned(&usual, "s16");
}
END_TEST

/* Runs that are worth a call of an engine each, together worth a slot. */
START_TEST(runs_share_a_slot)
{
	begin();
	for (uint32_t i = 0; i < 4; i++) {
		add(16, 8 * KIB, 0);
		gap();
	}
	is_planned(&usual, "s64");
	/* One of them is not worth it, and goes another way by itself. */
	add(15, 8 * KIB, 0);
	gap();
	add(16, 8 * KIB, 0);
	is_planned(&usual, "s64k15s16");
	begin();
	for (uint32_t i = 0; i < 100; i++) {
		add(1, 8 * KIB, 0);
		gap();
	}
	is_planned(&usual, "k100");
}
END_TEST

START_TEST(what_is_big_goes_by_engine_unless_it_stands_among_small_ones)
{
	begin();
	add(100, 128 * KIB, 0);
	is_planned(&usual, "e100");
	begin();
	add(1, 128 * KIB - 1, 0);
	add(100, 128 * KIB, 0);
	is_planned(&usual, "s101");
	/* What is huge is copied twice for nothing. */
	begin();
	add(64, 8 * KIB, 0);
	add(1, MIB, 0);
	add(64, 8 * KIB, 0);
	is_planned(&usual, "s64e1s64");
	begin();
	add(1, MIB - 1, 0);
	is_planned(&usual, "e1");
	add(1, 8 * KIB, 0);
	is_planned(&usual, "s2");
	gap();
	add(1, 200 * KIB, 0);
	is_planned(&usual, "s2e1");
}
END_TEST

START_TEST(little_beside_big_leaves_the_big_ones_to_the_engines)
{
	begin();
	add(1, 200 * KIB, 0);
	add(3, 8 * KIB, 0);
	is_planned(&usual, "e1k3");
}
END_TEST

/* A row of heads that is longer than a block of the kernel is to copy. */
START_TEST(rows_that_are_too_long_stay_with_the_kernel)
{
	begin();
	add(20, KVR_PIECE_TILE + 256, 256);
	is_planned(&usual, "k20");
}
END_TEST

START_TEST(what_is_missing_is_done_without)
{
	struct kvr_copy_rules r = usual;

	begin();
	add(200, 8 * KIB, 0);
	add(3, 32 * KIB, 256);
	add(1, 200 * KIB, 0);
	r.slot = 0;
	is_planned(&r, "k203e1");
	ck_assert_uint_eq(plan.share, 0);
	r.kernel = false;
	is_planned(&r, "e204");
}
END_TEST

/* A slot is not sent with a rest that is worth nothing behind it. */
START_TEST(slots_are_filled_alike)
{
	begin();
	add(1024, 8 * KIB, 0);
	is_planned(&usual, "s1024");
	ck_assert_uint_eq(plan.share, 8 * MIB);
	begin();
	add(1023, 16 * KIB, 0);
	add(1, 17 * KIB, 0);
	is_planned(&usual, "s1024");
	ck_assert_uint_eq(plan.share, (16 * MIB + KIB + 2) / 3);
	/* Only what is staged counts. */
	begin();
	add(64, 8 * KIB, 0);
	add(3, MIB, 0);
	is_planned(&usual, "s64e3");
	ck_assert_uint_eq(plan.share, 512 * KIB);
}
END_TEST

KVR_CHECK_MAIN("base.copy_plan", what_is_little_goes_by_kernel, runs_share_a_slot,
    what_is_big_goes_by_engine_unless_it_stands_among_small_ones,
    little_beside_big_leaves_the_big_ones_to_the_engines, rows_that_are_too_long_stay_with_the_kernel,
    what_is_missing_is_done_without, slots_are_filled_alike)
