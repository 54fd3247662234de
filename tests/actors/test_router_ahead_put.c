/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A put that is told ahead: from then on nobody reads its memory but copies that have begun. The
 * bed itself breaks where one comes or begins after that, or where a key ends otherwise than was
 * told.
 */
#include "router_bed.h"

#include "kvr_check.h"

static const uint32_t keys[] = { 0, 1, 2 };
enum { RECORD = KVR_OPF_PAGED | KVR_OPF_DEVICE | KVR_OPF_RECORD };

static int32_t
told_row(const struct bed *b, uint32_t slot, uint32_t i)
{
	return b->rows[b->op[slot].first + b->op[slot].n + i].err;
}

/* Where the request of that kind is that came first and goes that way; BED_QUEUE: nowhere. */
static uint32_t
find(const struct bed *b, enum kvr_msg_type type, uint32_t tells)
{
	for (uint32_t i = 0; i < b->n_world; i++) {
		if (b->world[i].type == type &&
		    (type != KVR_MSG_COPY || b->world[i].COPY.tells == tells))
			return i;
	}
	return BED_QUEUE;
}

static void
is_told(const struct bed *b, uint32_t slot, uint32_t n_open)
{
	const struct bed_op *op = &b->op[slot];
	uint32_t n = 0;

	ck_assert_uint_eq(op->ahead, 1);
	ck_assert_uint_eq(op->completed, 0);
	for (uint32_t i = 0; i < op->n; i++)
		n += told_row(b, slot, i) == KVR_E_UNFINISHED;
	ck_assert_uint_eq(n, n_open);
}

START_TEST(it_is_told_when_all_copies_have_begun_and_then_what_the_store_says)
{
	struct bed *b = bed_new_of(1);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, RECORD, KVR_SEC(1));
	const struct bed_op *op = &b->op[slot];

	ck_assert_uint_eq(b->world[0].COPY.tells, 1);
	ck_assert_uint_eq(op->ahead, 0);
	ck_assert(bed_answer(b, 0)); /* begun */
	is_told(b, slot, 3);
	ck_assert_int_eq(op->told.COMPLETE.err, KVR_E_UNFINISHED);
	ck_assert_uint_eq(op->told.COMPLETE.n_ok, 0);
	ck_assert(bed_answer(b, 0)); /* and over */
	ck_assert_uint_eq(b->world[0].type, KVR_MSG_PART);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 3);
	ck_assert_uint_ne(op->done.COMPLETE.flags & KVR_DONEB_RECORDED, 0);
	ck_assert_uint_eq(op->done.COMPLETE.bytes, 3 * b->len);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Every tier has copies of its own, and one may be far ahead of the other. */
START_TEST(another_tiers_copies_are_waited_for)
{
	struct bed *b = bed_new_of(2);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, RECORD, KVR_SEC(1));

	ck_assert_uint_eq(b->n_world, 2);
	ck_assert(bed_answer(b, 0));                        /* one has begun */
	ck_assert(bed_answer(b, find(b, KVR_MSG_COPY, 0))); /* is over */
	ck_assert(bed_answer(b, find(b, KVR_MSG_PART, 0))); /* and in its store */
	ck_assert_uint_eq(b->op[slot].ahead, 0);
	ck_assert(bed_answer(b, find(b, KVR_MSG_COPY, 1)));
	is_told(b, slot, 3);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 3);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/*
 * As many parts as one may have, all begun, and behind them only a key that need not be copied: so
 * the first tier has all of it, and the second nothing yet.
 */
START_TEST(a_tier_that_has_none_of_it_yet_is_waited_for)
{
	enum { MOST = OP_PARTS_MAX * KVR_PART_KEYS };
	static uint32_t many[MOST + 1];
	struct kvr_router_config c = bed_config(2);

	c.staging_pages = 2048;
	struct bed *b = bed_new(&c);

	for (uint32_t i = 0; i < MOST; i++)
		many[i] = i;
	many[MOST] = 0;
	uint32_t slot = bed_submit(b, KVR_OP_PUT, many, MOST + 1, RECORD, KVR_SEC(1));

	ck_assert_uint_eq(b->n_world, OP_PARTS_MAX);
	for (uint32_t copy; (copy = find(b, KVR_MSG_COPY, 1)) != BED_QUEUE;)
		ck_assert(bed_answer(b, copy));
	ck_assert_uint_eq(b->op[slot].ahead, 0);
	ck_assert(bed_answer(b, find(b, KVR_MSG_COPY, 0))); /* one is copied */
	ck_assert(bed_answer(b, find(b, KVR_MSG_PART, 0))); /* and written, so there is a place */
	ck_assert_uint_eq(b->op[slot].ahead, 0);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, MOST + 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* More than staging holds at once: what is not copied yet cannot be overwritten. */
START_TEST(a_put_that_waits_for_staging_is_told_when_the_last_of_it_has_begun)
{
	enum { MANY = 40 };
	struct kvr_router_config c = bed_config(1);
	uint32_t many[MANY], begun = 0;

	c.staging_pages = 8;
	struct bed *b = bed_new(&c);

	for (uint32_t i = 0; i < MANY; i++)
		many[i] = i;
	uint32_t slot = bed_submit(b, KVR_OP_PUT, many, MANY, RECORD, KVR_SEC(1));

	while (b->op[slot].ahead == 0) {
		uint32_t copy = find(b, KVR_MSG_COPY, 1);

		ck_assert_uint_lt(begun, MANY);
		if (copy != BED_QUEUE)
			begun += b->world[copy].n_rows;
		ck_assert(bed_answer(b, copy != BED_QUEUE ? copy : 0));
	}
	ck_assert_uint_eq(begun, MANY);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, MANY);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* What is there already is not copied, and a key that is being put by somebody else neither. */
START_TEST(it_is_told_what_is_known_by_then)
{
	struct bed *b = bed_new_of(1);

	b->has[0][0] = true;
	uint32_t other = bed_submit(b, KVR_OP_PUT, &keys[2], 1, KVR_OPF_PAGED, KVR_SEC(1));
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, RECORD | KVR_OPF_IF_ABSENT, KVR_SEC(1));

	ck_assert(bed_answer(b, find(b, KVR_MSG_PART, 0))); /* which are there? */
	ck_assert(bed_answer(b, find(b, KVR_MSG_COPY, 1)));
	is_told(b, slot, 2);
	ck_assert_int_eq(told_row(b, slot, 0), KVR_E_EXISTS);
	ck_assert_int_eq(b->op[slot].told.COMPLETE.err, KVR_E_EXISTS);
	bed_settle(b);
	bed_is_over(b, other, KVR_OK, 1);
	bed_is_over(b, slot, KVR_E_EXISTS, 2);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Kept for later and nothing else: the copy into the kept slot is the last that reads it. */
START_TEST(a_put_that_is_only_written_back_is_told_too)
{
	struct kvr_router_config c = bed_config(2);

	c.tier[0].write = c.tier[1].write = KVR_WRITE_BACK;
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, RECORD, KVR_SEC(1));

	ck_assert(bed_answer(b, 0));
	is_told(b, slot, 3);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 3);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Through one and back to the other: those for the other are over before any for the first begin. */
START_TEST(what_is_kept_for_later_is_copied_before_it_is_told)
{
	struct kvr_router_config c = bed_config(2);

	c.tier[1].write = KVR_WRITE_BACK;
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, RECORD, KVR_SEC(1));

	ck_assert(bed_answer(b, 0)); /* begun */
	ck_assert_uint_eq(b->op[slot].ahead, 0);
	ck_assert(bed_answer(b, 0)); /* kept */
	ck_assert(bed_answer(b, 0)); /* begun, for the tier that is written through */
	is_told(b, slot, 3);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 3);
	ck_assert(b->has[1][0]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_copy_that_fails_later_is_told_as_it_is)
{
	struct bed *b = bed_new_of(1);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, RECORD, KVR_SEC(1));

	ck_assert(bed_answer(b, 0));
	is_told(b, slot, 3);
	b->copies = KVR_E_DEVICE;
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_DEVICE, 0);
	ck_assert(!b->has[0][0]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Three completions: begun; the deadline, while the device hangs; and when it has let go. */
START_TEST(a_device_that_hangs_after_it_was_told)
{
	struct bed *b = bed_new_of(1);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, RECORD, KVR_MS(10));
	const struct bed_op *op = &b->op[slot];

	ck_assert(bed_answer(b, 0));
	is_told(b, slot, 3);
	bed_advance(b, KVR_MS(10));
	bed_advance(b, KVR_MS(2));
	bed_advance(b, KVR_MS(101));
	ck_assert_uint_eq(op->completed, 1);
	ck_assert_int_eq(op->done.COMPLETE.err, KVR_E_STUCK);
	ck_assert_uint_eq(op->done.COMPLETE.flags & KVR_DONEB_QUIET, 0);
	bed_settle(b);
	ck_assert_uint_eq(op->completed, 2);
	ck_assert_uint_ne(op->done.COMPLETE.flags & KVR_DONEB_QUIET, 0);
	ck_assert_uint_eq(op->released, 1);
	ck_assert(!b->has[0][0]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Before the copies begin, between that and their end, and afterwards. */
START_TEST(a_cancel_is_told_as_ever)
{
	for (uint32_t when = 0; when < 3; when++) {
		struct bed *b = bed_new_of(1);
		uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 2, RECORD, KVR_SEC(1));

		for (uint32_t i = 0; i < when; i++)
			ck_assert(bed_answer(b, 0));
		bed_cancel(b, slot);
		ck_assert_uint_eq(b->op[slot].ahead, when > 0);
		if (when == 2)
			b->sick[0] = KVR_E_CANCELLED; /* as a lane that was kicked */
		bed_settle(b);
		bed_is_over(b, slot, KVR_E_CANCELLED, 0);
		ck_assert_uint_eq(
		    (b->op[slot].done.COMPLETE.flags & KVR_DONEB_RECORDED) != 0, when > 0);
		bed_is_home(b);
		bed_free(b);
	}
}
END_TEST

/* A store that takes the caller's memory as it is reads it until the end. */
START_TEST(where_nothing_is_copied_there_is_one_completion)
{
	struct bed *b = bed_new_of(1);
	uint32_t host = bed_submit(b, KVR_OP_PUT, keys, 2, KVR_OPF_RECORD, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, host, KVR_OK, 2);
	ck_assert_uint_eq(b->op[host].ahead, 0);
	ck_assert_uint_eq(b->op[host].done.COMPLETE.flags & KVR_DONEB_RECORDED, 0);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_long_one_is_told_slice_by_slice)
{
	enum { MANY = 3000 };
	static uint32_t many[MANY];
	struct kvr_router_config c = bed_config(1);

	c.staging_pages = 8192;
	struct bed *b = bed_new(&c);

	for (uint32_t i = 0; i < MANY; i++)
		many[i] = i;
	uint32_t slot = bed_submit(b, KVR_OP_PUT, many, MANY, RECORD, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, MANY);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

KVR_CHECK_MAIN("actors.router_ahead_put",
    it_is_told_when_all_copies_have_begun_and_then_what_the_store_says,
    another_tiers_copies_are_waited_for, a_tier_that_has_none_of_it_yet_is_waited_for,
    a_put_that_waits_for_staging_is_told_when_the_last_of_it_has_begun,
    it_is_told_what_is_known_by_then, a_put_that_is_only_written_back_is_told_too,
    what_is_kept_for_later_is_copied_before_it_is_told, a_copy_that_fails_later_is_told_as_it_is,
    a_device_that_hangs_after_it_was_told, a_cancel_is_told_as_ever,
    where_nothing_is_copied_there_is_one_completion, a_long_one_is_told_slice_by_slice)
