/* SPDX-License-Identifier: Apache-2.0 */
/* How an operation is cut: what one lane gets at a time. */
#include "router_bed.h"

#include "kvr_check.h"

enum { MANY = 5000 };
static uint32_t keys[MANY];

static struct bed *
bed_of(const struct kvr_router_config *c, uint32_t len)
{
	struct bed *b = bed_new(c);

	for (uint32_t i = 0; i < MANY; i++)
		keys[i] = i;
	b->len = len;
	return b;
}

/* What is outside are parts for the tier, of n keys, the last one perhaps of fewer. */
static void
are_parts_of(const struct bed *b, uint32_t first, uint32_t count, uint32_t n)
{
	ck_assert_uint_eq(b->n_world, first + count);
	for (uint32_t i = first; i < b->n_world; i++) {
		ck_assert_uint_eq(b->world[i].type, KVR_MSG_PART);
		ck_assert_uint_le(b->world[i].n_rows, n);
		if (i + 1 < b->n_world)
			ck_assert_uint_eq(b->world[i].n_rows, n);
	}
}

static void
cut(uint64_t long_bytes, enum kvr_op_kind kind, uint32_t n, uint32_t len, uint32_t parts, uint32_t of)
{
	struct kvr_router_config c = bed_config(1);

	c.tier[0].long_bytes = long_bytes;
	struct bed *b = bed_of(&c, len);

	for (uint32_t i = 0; i < BED_KEYS; i++)
		b->has[0][i] = true;
	uint32_t slot = bed_submit(b, kind, keys, n, 0, KVR_SEC(1));

	are_parts_of(b, 0, parts, of);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, n);
	bed_is_home(b);
	bed_free(b);
}

START_TEST(a_window_is_not_drained_every_16_keys)
{
	/* Two lanes, and a share for each. */
	cut(KVR_LONG_BYTES, KVR_OP_GET, 256, KVR_KIB(64), 2, 128);
	cut(KVR_LONG_BYTES, KVR_OP_PUT, 256, KVR_KIB(64), 2, 128);
	cut(0, KVR_OP_GET, 256, KVR_KIB(64), 16, 16);
	cut(0, KVR_OP_PUT, 256, KVR_KIB(64), 16, 16);
}
END_TEST

START_TEST(a_long_part_ends_with_its_bytes_or_its_keys)
{
	cut(KVR_LONG_BYTES, KVR_OP_GET, 128, KVR_MIB(1), 4, 32);
	cut(KVR_LONG_BYTES, KVR_OP_GET, 16, KVR_MIB(4), 2, 8);
	cut(KVR_LONG_BYTES, KVR_OP_GET, 4, KVR_MIB(64), 4, 1);
	/* Small values: a MiB is worth a part, whatever the number of lanes. */
	cut(KVR_LONG_BYTES, KVR_OP_PUT, 100, 100, 1, 100);
	cut(KVR_LONG_BYTES, KVR_OP_PUT, 1000, 100, 4, 256);
}
END_TEST

START_TEST(what_is_staged_takes_few_slots_at_a_time)
{
	struct kvr_router_config c = bed_config(1);

	c.tier[0].long_bytes = KVR_LONG_BYTES;
	c.tier[0].give_up = 0;
	struct bed *b = bed_of(&c, 100);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 40, 0, KVR_SEC(1));

	for (uint32_t i = 0; i < b->n_world; i++)
		ck_assert_uint_le(b->world[i].n_rows, KVR_PART_KEYS);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 40);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* More payload than there are long parts for goes in small ones; a lookup still is one part. */
START_TEST(payload_leaves_wide_parts_to_lookups)
{
	struct kvr_router_config c = bed_config(1);

	c.tier[0].long_bytes = KVR_LONG_BYTES;
	struct bed *b = bed_of(&c, 100);
	uint32_t put = bed_submit(b, KVR_OP_PUT, keys, MANY, 0, KVR_SEC(1));
	uint32_t wide = 0, small = 0;

	for (uint32_t i = 0; i < b->n_world; i++) {
		wide += b->world[i].n_rows == 256;
		small += b->world[i].n_rows == KVR_PART_KEYS;
	}
	ck_assert_uint_eq(wide, KVR_PARTS_WIDE / 2);
	ck_assert_uint_eq(wide + small, b->n_world);
	uint32_t first = b->n_world, look = bed_submit(b, KVR_OP_LOOKUP, keys, 1000, 0, KVR_SEC(1));

	are_parts_of(b, first, 1, 1000);
	bed_settle(b);
	bed_is_over(b, put, KVR_OK, MANY);
	ck_assert_uint_eq(b->op[look].completed, 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

KVR_CHECK_MAIN("actors.router_part", a_window_is_not_drained_every_16_keys,
    a_long_part_ends_with_its_bytes_or_its_keys, what_is_staged_takes_few_slots_at_a_time,
    payload_leaves_wide_parts_to_lookups)
