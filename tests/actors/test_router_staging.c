/* SPDX-License-Identifier: Apache-2.0 */
/* Little staging: whoever waits for a slot gets one, and nobody waits for his deadline. */
#include "router_bed.h"

#include "kvr_check.h"

static const uint32_t keys[40] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
	21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40 };

START_TEST(staging_that_is_too_small_delays_and_a_value_that_never_fits_is_too_big)
{
	struct kvr_router_config c = bed_config(1);
	c.tier[0].serde = 1;
	c.staging_pages = 2;
	c.slot_pages = 0;
	struct bed *b = bed_new(&c);
	uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 20, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, one, KVR_OK, 20);
	b->len = 8192; /* longer slots: all of the arena is one */
	one = bed_submit(b, KVR_OP_PUT, keys, 3, 0, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, one, KVR_OK, 3);
	b->len = 8193;
	one = bed_submit(b, KVR_OP_PUT, keys, 3, 0, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, one, KVR_E_TOO_BIG, 0);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Before any other length is known, too. */
START_TEST(an_empty_value_takes_a_slot)
{
	struct kvr_router_config c = bed_config(1);
	const enum kvr_op_kind kind[] = { KVR_OP_PUT, KVR_OP_GET };

	c.tier[0].serde = 1;
	c.slot_pages = 0;
	for (uint32_t i = 0; i < 2; i++) {
		struct bed *b = bed_new(&c);

		b->len = 0;
		b->has[0][1] = kind[i] == KVR_OP_GET;
		uint32_t one = bed_submit(b, kind[i], keys, 1, 0, KVR_SEC(1));

		bed_settle(b);
		bed_is_over(b, one, KVR_OK, 1);
		bed_is_home(b);
		bed_free(b);
	}
}
END_TEST

/* Two puts with the same two keys the other way round, and one slot that may be kept. */
START_TEST(puts_that_wait_for_each_other_give_their_slots_back)
{
	struct kvr_router_config c = bed_config(1);
	const uint32_t ab[] = { 1, 2, 3 }, ba[] = { 3, 4, 1 };

	c.tier[0].write = KVR_WRITE_BACK;
	c.staging_pages = 2;
	c.slot_pages = 1;
	struct bed *b = bed_new(&c);
	uint32_t one = bed_submit(b, KVR_OP_PUT, ab, 3, 0, KVR_SEC(10));
	uint32_t two = bed_submit(b, KVR_OP_PUT, ba, 3, 0, KVR_SEC(10));

	bed_settle(b);
	bed_is_over(b, one, KVR_OK, 3);
	bed_is_over(b, two, KVR_OK, 3);
	for (uint32_t i = 1; i <= 4; i++)
		ck_assert(b->has[0][i]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_put_and_a_prefetch_of_more_than_fits_go_in_turns)
{
	struct kvr_router_config c = bed_config(2);

	c.tier[0].write = KVR_WRITE_NEVER;
	c.tier[0].promote = 1;
	c.tier[1].write = KVR_WRITE_BACK;
	c.tier[1].serde = 1;
	c.staging_pages = 6;
	c.slot_pages = 1;
	struct bed *b = bed_new(&c);
	uint32_t put = bed_submit(b, KVR_OP_PUT, keys, 40, 0, KVR_SEC(10));

	bed_settle(b);
	bed_is_over(b, put, KVR_OK, 40);
	uint32_t up[2] = { bed_submit(b, KVR_OP_PREFETCH, keys, 40, 0, KVR_SEC(10)),
		bed_submit(b, KVR_OP_PREFETCH, keys, 40, 0, KVR_SEC(10)) };

	bed_settle(b);
	bed_is_over(b, up[0], KVR_OK, 40);
	bed_is_over(b, up[1], KVR_OK, 40);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert(b->has[0][keys[i]]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* A key that is kept is OK, and stays so when the deadline ends the others. */
START_TEST(what_was_kept_is_written_also_when_the_rest_was_late)
{
	struct kvr_router_config c = bed_config(1);
	const uint32_t other[] = { 2 };

	c.tier[0].write = KVR_WRITE_BACK;
	struct bed *b = bed_new(&c);
	uint32_t first = bed_submit(b, KVR_OP_PUT, other, 1, 0, KVR_SEC(10));
	uint32_t late = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_MS(10));

	for (uint32_t i = b->n_world; i-- > 0;) {
		if (b->world[i].type == KVR_MSG_COPY && (uint32_t)b->world[i].op == late)
			bed_answer(b, i);
	}
	bed_advance(b, KVR_MS(11));
	ck_assert_int_eq(bed_row(b, late, 0)->err, KVR_OK);
	ck_assert_int_eq(bed_row(b, late, 1)->err, KVR_E_TIMEOUT);
	bed_settle(b);
	ck_assert(b->has[0][1]);
	bed_is_over(b, first, KVR_OK, 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Slots grow only when all are back; what is kept comes back only through a slot for its serde. */
START_TEST(longer_values_wait_for_what_is_kept_and_no_longer)
{
	struct kvr_router_config c = bed_config(1);

	c.tier[0].write = KVR_WRITE_BACK;
	c.tier[0].serde = 1;
	c.staging_pages = 8;
	c.slot_pages = 0;
	struct bed *b = bed_new(&c);
	uint32_t some = bed_submit(b, KVR_OP_PUT, keys, 20, 0, KVR_SEC(10));

	b->len = 3 * KVR_PAGE;
	uint32_t longer = bed_submit(b, KVR_OP_PUT, keys + 20, 2, 0, KVR_SEC(10));

	bed_settle(b);
	bed_is_over(b, some, KVR_OK, 20);
	bed_is_over(b, longer, KVR_OK, 2);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Slots of 40 MiB in 160 GiB: two of them would begin in memory that is locked with other memory than their end. */
START_TEST(no_slot_lies_across_two_locks)
{
	enum { SLOT = 10240, LOCK = 16777216, ALL = 4096 };
	struct kvr_router_config c = bed_config(1);

	c.staging_pages = ALL * SLOT;
	c.slot_pages = SLOT;
	struct bed *b = bed_new(&c);
	const struct router *me = b->actor.self;
	static bool free_at[ALL];

	for (uint32_t i = 0; i < me->n_slots_free; i++) {
		uint32_t page = me->slot_free[i] - 1;

		ck_assert_uint_eq(page % SLOT, 0);
		ck_assert_uint_eq(page / LOCK, (page + SLOT - 1) / LOCK);
		ck_assert(!free_at[page / SLOT]);
		free_at[page / SLOT] = true;
	}
	ck_assert_uint_eq(me->n_slots, ALL - 2);
	ck_assert_uint_eq(me->n_slots_free, ALL - 2);
	ck_assert(!free_at[LOCK / SLOT] && !free_at[2 * LOCK / SLOT]);
	bed_free(b);
	/* Longer than any value: what lies behind the value is nobody's. */
	c.staging_pages = 2 * LOCK;
	c.slot_pages = LOCK / 2 + LOCK / 4;
	b = bed_new(&c);
	me = b->actor.self;
	ck_assert_uint_eq(me->n_slots, 2);
	bed_free(b);
}
END_TEST

KVR_CHECK_MAIN("actors.router_staging",
    staging_that_is_too_small_delays_and_a_value_that_never_fits_is_too_big,
    an_empty_value_takes_a_slot,
    puts_that_wait_for_each_other_give_their_slots_back,
    a_put_and_a_prefetch_of_more_than_fits_go_in_turns,
    what_was_kept_is_written_also_when_the_rest_was_late,
    longer_values_wait_for_what_is_kept_and_no_longer, no_slot_lies_across_two_locks)
