/* SPDX-License-Identifier: Apache-2.0 */
/* What is told ahead of the copies: when, what, and what of it is taken back. */
#include "router_bed.h"

#include "kvr_check.h"

static const uint32_t keys[] = { 0, 1, 2 };
enum { RECORD = KVR_OPF_PAGED | KVR_OPF_DEVICE | KVR_OPF_RECORD };

/* Keys 0 and 1 are in tier `tier` only, key 2 nowhere. */
static struct bed *
bed_with(uint32_t n_tiers, uint32_t tier)
{
	struct kvr_router_config c = bed_config(n_tiers);
	struct bed *b = bed_new(&c);

	b->has[tier][0] = b->has[tier][1] = true;
	return b;
}

static int32_t
told_row(const struct bed *b, uint32_t slot, uint32_t i)
{
	return b->rows[b->op[slot].first + b->op[slot].n + i].err;
}

START_TEST(it_is_told_when_all_copies_have_begun_and_then_how_they_ended)
{
	struct bed *b = bed_with(1, 0);
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 3, RECORD, KVR_SEC(1));
	const struct bed_op *op = &b->op[slot];

	ck_assert(bed_answer(b, 0)); /* the tier's */
	ck_assert_uint_eq(b->world[0].COPY.tells, 1);
	ck_assert_uint_eq(op->ahead, 0);
	ck_assert(bed_answer(b, 0)); /* begun */
	ck_assert_uint_eq(op->ahead, 1);
	ck_assert_uint_eq(op->completed, 0);
	ck_assert_int_eq(op->told.COMPLETE.err, KVR_E_MISS);
	ck_assert_uint_eq(op->told.COMPLETE.n_ok, 2);
	ck_assert_uint_eq(op->told.COMPLETE.prefix, 2);
	ck_assert_uint_eq(op->told.COMPLETE.bytes, 2 * b->len);
	ck_assert_int_eq(told_row(b, slot, 1), KVR_OK);
	ck_assert_int_eq(told_row(b, slot, 2), KVR_E_MISS);
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_MISS, 2);
	ck_assert_uint_ne(op->done.COMPLETE.flags & KVR_DONEB_RECORDED, 0);
	ck_assert_uint_eq(op->done.COMPLETE.bytes, 2 * b->len);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* An event that stands behind half of the copies is one that somebody reads too soon behind. */
START_TEST(a_slower_tier_is_asked_before_it_is_told)
{
	struct bed *b = bed_with(2, 1);
	uint32_t slot;

	b->has[1][1] = false;
	b->has[0][1] = true;
	slot = bed_submit(b, KVR_OP_GET, keys, 3, RECORD, KVR_SEC(1));
	ck_assert(bed_answer(b, 0)); /* tier 0 has key 1 */
	ck_assert(bed_answer(b, 0)); /* begun */
	ck_assert_uint_eq(b->op[slot].ahead, 0);
	ck_assert(bed_answer(b, 0)); /* and over: tier 1 is asked for the others */
	ck_assert_uint_eq(b->world[0].type, KVR_MSG_PART);
	ck_assert(bed_answer(b, 0));
	ck_assert(bed_answer(b, 0)); /* key 0 has begun */
	ck_assert_uint_eq(b->op[slot].ahead, 1);
	ck_assert_uint_eq(b->op[slot].told.COMPLETE.n_ok, 2);
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_MISS, 2);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* And no other tier is asked then: somebody may be reading already. */
START_TEST(a_copy_that_fails_later_is_told_as_it_is)
{
	struct bed *b = bed_with(2, 0);
	uint32_t slot;

	b->has[1][0] = b->has[1][1] = b->has[0][2] = true;
	slot = bed_submit(b, KVR_OP_GET, keys, 3, RECORD, KVR_SEC(1));
	ck_assert(bed_answer(b, 0) && bed_answer(b, 0));
	ck_assert_uint_eq(b->op[slot].ahead, 1);
	ck_assert_int_eq(b->op[slot].told.COMPLETE.err, KVR_OK);
	ck_assert_uint_eq(b->op[slot].told.COMPLETE.n_ok, 3);
	b->copies = KVR_E_DEVICE;
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_DEVICE, 0);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.bytes, 0);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(bed_row(b, slot, i)->err, KVR_E_DEVICE);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Three completions: begun; the deadline, while the device hangs; and when it has let go. */
START_TEST(a_device_that_hangs_after_it_was_told)
{
	struct bed *b = bed_with(1, 0);
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 3, RECORD, KVR_MS(10));
	const struct bed_op *op = &b->op[slot];

	ck_assert(bed_answer(b, 0) && bed_answer(b, 0));
	ck_assert_uint_eq(op->ahead, 1);
	bed_advance(b, KVR_MS(10));
	bed_advance(b, KVR_MS(2));
	bed_advance(b, KVR_MS(101));
	ck_assert_uint_eq(op->completed, 1);
	ck_assert_int_eq(op->done.COMPLETE.err, KVR_E_STUCK);
	ck_assert_uint_eq(op->done.COMPLETE.n_ok, 0);
	ck_assert_uint_eq(op->done.COMPLETE.flags & KVR_DONEB_QUIET, 0);
	ck_assert_int_eq(bed_row(b, slot, 0)->err, KVR_E_STUCK);
	ck_assert_int_eq(bed_row(b, slot, 2)->err, KVR_E_MISS);
	bed_settle(b);
	ck_assert_uint_eq(op->completed, 2);
	ck_assert_uint_ne(op->done.COMPLETE.flags & KVR_DONEB_QUIET, 0);
	ck_assert_uint_eq(op->released, 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Called back in between: what was copied by then is there, and it is said. */
START_TEST(a_cancel_after_it_was_told_waits_for_the_copies)
{
	struct bed *b = bed_with(1, 0);
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 2, RECORD, KVR_SEC(1));

	ck_assert(bed_answer(b, 0) && bed_answer(b, 0));
	ck_assert_uint_eq(b->op[slot].ahead, 1);
	bed_cancel(b, slot);
	ck_assert_uint_eq(b->op[slot].completed, 0);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 2);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(where_nothing_has_to_be_told_ahead_there_is_one_completion)
{
	struct bed *b = bed_with(1, 0);
	uint32_t host = bed_submit(b, KVR_OP_GET, keys, 2, KVR_OPF_RECORD, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, host, KVR_OK, 2);
	ck_assert_uint_eq(b->op[host].ahead, 0);
	ck_assert_uint_ne(b->op[host].done.COMPLETE.flags & KVR_DONEB_RECORDED, 0);
	uint32_t none = bed_submit(b, KVR_OP_GET, keys + 2, 1, RECORD, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, none, KVR_E_MISS, 0);
	ck_assert_uint_eq(b->op[none].ahead, 0);
	ck_assert_uint_eq(b->op[none].done.COMPLETE.flags & KVR_DONEB_RECORDED, 0);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* More keys than one step takes, and a deadline in the middle of telling. */
START_TEST(a_long_one_is_told_slice_by_slice)
{
	enum { MANY = 3000 };
	static uint32_t many[MANY];
	struct bed *b = bed_with(1, 0);

	for (uint32_t i = 0; i < MANY; i++)
		many[i] = i % BED_KEYS;
	for (uint32_t i = 0; i < BED_KEYS; i++)
		b->has[0][i] = true;
	uint32_t slot = bed_submit(b, KVR_OP_GET, many, MANY, RECORD, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, MANY);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

KVR_CHECK_MAIN("actors.router_ahead", it_is_told_when_all_copies_have_begun_and_then_how_they_ended,
    a_slower_tier_is_asked_before_it_is_told, a_copy_that_fails_later_is_told_as_it_is,
    a_device_that_hangs_after_it_was_told, a_cancel_after_it_was_told_waits_for_the_copies,
    where_nothing_has_to_be_told_ahead_there_is_one_completion, a_long_one_is_told_slice_by_slice)
