/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts of a key that another operation is putting, when that one is broken off: what is a matter of
 * the one's deadline, caller or device is none of the other's, which writes the key itself.
 */
#include "router_bed.h"

#include "kvr_check.h"

static const uint32_t keys[] = { 0, 1, 2, 3, 4 };

/* All that is outside for this operation is answered; by stores with that error. */
static void
answer_all(struct bed *b, uint32_t slot, int32_t err)
{
	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++)
		b->sick[t] = err;
	for (uint32_t i = 0; i < b->n_world;) {
		if (b->world[i].op != b->op[slot].id) {
			i++;
			continue;
		}
		ck_assert(bed_answer(b, i));
		i = 0;
	}
	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++)
		b->sick[t] = 0;
}

static uint32_t
parts_of(const struct bed *b, uint32_t slot)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n_world; i++)
		n += b->world[i].op == b->op[slot].id && b->world[i].type != KVR_MSG_PART_CANCEL;
	return n;
}

START_TEST(a_put_behind_one_that_is_cancelled_is_written)
{
	static const int32_t of[] = { KVR_E_CANCELLED, KVR_E_TIMEOUT, KVR_E_STUCK, KVR_E_DEVICE };

	for (uint32_t i = 0; i < KVR_LEN(of); i++) {
		struct bed *b = bed_new_of(1);
		uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 3, 0, KVR_SEC(1));
		uint32_t two = bed_submit(b, KVR_OP_PUT, keys + 1, 3, 0, KVR_SEC(1));
		uint32_t three = bed_submit(b, KVR_OP_PUT, keys + 2, 1, 0, KVR_SEC(1));

		answer_all(b, one, of[i]);
		bed_is_over(b, one, of[i], 0);
		ck_assert_uint_eq(b->op[two].completed + b->op[three].completed, 0);
		bed_settle(b);
		bed_is_over(b, two, KVR_OK, 3);
		bed_is_over(b, three, KVR_OK, 1);
		ck_assert(!b->has[0][0] && b->has[0][1] && b->has[0][2] && b->has[0][3]);
		/* Each is counted by the one that has written it, which is the last that came to wait. */
		ck_assert_uint_eq(bed_row(b, two, 0)->flags & KVR_ROW_DUP, 0);
		ck_assert_uint_eq(bed_row(b, two, 1)->flags & KVR_ROW_DUP, KVR_ROW_DUP);
		ck_assert_uint_eq(bed_row(b, three, 0)->flags & KVR_ROW_DUP, 0);
		ck_assert_uint_eq(b->stat_bytes, 3 * b->len);
		bed_is_home(b);
		bed_free(b);
	}
}
END_TEST

/* What a store says holds for both: it would say it again. */
START_TEST(what_a_store_says_is_said_to_both)
{
	static const int32_t of[] = { KVR_E_DOWN, KVR_E_NOSPACE, KVR_E_REFUSED, KVR_E_AUTH };

	for (uint32_t i = 0; i < KVR_LEN(of); i++) {
		struct bed *b = bed_new_of(1);
		uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_SEC(1));
		uint32_t two = bed_submit(b, KVR_OP_PUT, keys + 1, 1, 0, KVR_SEC(1));

		answer_all(b, one, of[i]);
		bed_is_over(b, one, of[i], 0);
		bed_is_over(b, two, of[i], 0);
		bed_is_home(b);
		bed_free(b);
	}
}
END_TEST

/* The first is answered, and its part is still on its way: nobody waits for that, nor takes its outcome. */
START_TEST(a_put_after_one_that_was_cancelled_goes_at_once)
{
	struct bed *b = bed_new_of(1);
	uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 1, KVR_OPF_PAGED, KVR_SEC(1));

	ck_assert(bed_answer(b, 0)); /* the copy */
	bed_cancel(b, one);
	bed_advance(b, KVR_SEC(10));
	ck_assert_uint_eq(b->op[one].completed, 1);
	ck_assert_int_eq(b->op[one].done.COMPLETE.err, KVR_E_CANCELLED);
	ck_assert_uint_eq(parts_of(b, one), 1);
	uint32_t two = bed_submit(b, KVR_OP_PUT, keys, 1, KVR_OPF_PAGED, KVR_SEC(1));

	ck_assert_uint_eq(parts_of(b, two), 1);
	answer_all(b, two, KVR_OK);
	bed_is_over(b, two, KVR_OK, 1);
	ck_assert_uint_eq(b->op[two].done.COMPLETE.flags & KVR_DONEB_DUPLICATE, 0);
	bed_settle(b);
	bed_is_over(b, one, KVR_E_CANCELLED, 0);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Not in the middle of a pass, of which the tiers before would be left out. */
START_TEST(what_is_inherited_goes_to_all_tiers)
{
	for (uint32_t first = 0; first < 2; first++) {
		struct bed *b = bed_new_of(2);
		uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_SEC(1));
		static const uint32_t both[] = { 4, 0 };
		uint32_t two = bed_submit(b, KVR_OP_PUT, both, 2, 0, KVR_SEC(1)), i = 0;

		ck_assert_uint_eq(parts_of(b, two), 2);
		while (b->world[i].op != b->op[two].id || b->world[i].PART.tier != first)
			i++;
		ck_assert(bed_answer(b, i));
		answer_all(b, one, KVR_E_CANCELLED);
		bed_is_over(b, one, KVR_E_CANCELLED, 0);
		ck_assert_uint_eq(parts_of(b, two), 1);
		bed_check(b);
		bed_settle(b);
		bed_is_over(b, two, KVR_OK, 2);
		ck_assert(b->has[0][0] && b->has[1][0] && b->has[0][4] && b->has[1][4]);
		bed_is_home(b);
		bed_free(b);
	}
}
END_TEST

/* It was asked for before the remove, and so it is gone after it. */
START_TEST(a_remove_waits_for_what_is_inherited)
{
	struct bed *b = bed_new_of(1);
	uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_SEC(1));
	uint32_t two = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_SEC(1));
	uint32_t gone = bed_submit(b, KVR_OP_REMOVE, keys, 1, 0, KVR_SEC(1));

	answer_all(b, one, KVR_E_CANCELLED);
	for (uint32_t i = 0; i < b->n_world; i++)
		ck_assert(b->world[i].type != KVR_MSG_PART || b->world[i].PART.verb != KVR_VERB_DEL);
	answer_all(b, two, KVR_OK);
	bed_is_over(b, two, KVR_OK, 2);
	bed_settle(b);
	bed_is_over(b, gone, KVR_OK, 1);
	ck_assert(!b->has[0][0] && b->has[0][1]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Also those that wait are late or cancelled, each for itself; who is left writes it. */
START_TEST(whoever_is_left_writes_it)
{
	struct bed *b = bed_new_of(1);
	uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_SEC(1));
	uint32_t late = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_MS(10));
	uint32_t called = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_SEC(1));
	uint32_t last = bed_submit(b, KVR_OP_PUT, keys, 1, KVR_OPF_IF_ABSENT, KVR_SEC(1));

	bed_advance(b, KVR_MS(20));
	bed_is_over(b, late, KVR_E_TIMEOUT, 0);
	bed_cancel(b, called);
	bed_is_over(b, called, KVR_E_CANCELLED, 0);
	answer_all(b, one, KVR_E_TIMEOUT);
	bed_is_over(b, one, KVR_E_TIMEOUT, 0);
	bed_settle(b);
	bed_is_over(b, last, KVR_OK, 1);
	ck_assert(b->has[0][0]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Once it has been told ahead its memory is the engine's: the key has the outcome that it waited for. */
START_TEST(what_was_told_ahead_writes_nothing_more)
{
	struct bed *b = bed_new_of(1);
	uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_SEC(1));
	uint32_t two = bed_submit(b, KVR_OP_PUT, keys, 2, KVR_OPF_PAGED | KVR_OPF_RECORD, KVR_SEC(1));

	for (uint32_t i = 0; i < b->n_world; i++) {
		if (b->world[i].type == KVR_MSG_COPY)
			ck_assert(bed_answer(b, i--));
	}
	ck_assert_uint_eq(b->op[two].ahead, 1);
	answer_all(b, one, KVR_E_CANCELLED);
	bed_settle(b);
	bed_is_over(b, two, KVR_E_CANCELLED, 1);
	ck_assert_int_eq(bed_row(b, two, 0)->err, KVR_E_CANCELLED);
	ck_assert_int_eq(bed_row(b, two, 1)->err, KVR_OK);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* And until then it is not told: a copy is still to come. */
START_TEST(nothing_is_told_ahead_of_what_is_inherited)
{
	struct bed *b = bed_new_of(1);
	uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_SEC(1));
	uint32_t two = bed_submit(b, KVR_OP_PUT, keys, 2, KVR_OPF_PAGED | KVR_OPF_RECORD, KVR_SEC(1));

	answer_all(b, one, KVR_E_CANCELLED);
	for (uint32_t i = 0; i < b->n_world; i++) {
		if (b->world[i].type == KVR_MSG_COPY) {
			ck_assert_uint_eq(b->op[two].ahead, 0);
			ck_assert(bed_answer(b, i));
			i = UINT32_MAX;
		}
	}
	bed_settle(b);
	bed_is_over(b, two, KVR_OK, 2);
	ck_assert(b->has[0][0] && b->has[0][1]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

KVR_CHECK_MAIN("actors.router_inherit", a_put_behind_one_that_is_cancelled_is_written,
    what_a_store_says_is_said_to_both, a_put_after_one_that_was_cancelled_goes_at_once,
    what_is_inherited_goes_to_all_tiers, a_remove_waits_for_what_is_inherited,
    whoever_is_left_writes_it, what_was_told_ahead_writes_nothing_more,
    nothing_is_told_ahead_of_what_is_inherited)
