/* SPDX-License-Identifier: Apache-2.0 */
#include "router_bed.h"

#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

static const uint32_t keys[64] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
	20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
	44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63 };

START_TEST(a_put_is_found_by_lookup_and_get_and_gone_after_remove)
{
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 20, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 20);
	slot = bed_submit(b, KVR_OP_LOOKUP, keys, 30, KVR_OPF_PREFIX, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_MISS, 20);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.prefix, 20);
	ck_assert_int_eq(bed_row(b, slot, 20)->err, KVR_E_MISS);
	ck_assert_int_eq(bed_row(b, slot, 21)->err, KVR_E_UNASKED);
	slot = bed_submit(b, KVR_OP_GET, keys, 20, 0, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 20);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.bytes, 2000);
	slot = bed_submit(b, KVR_OP_REMOVE, keys, 21, 0, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_MISS, 20);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* What a prefix's chunks behind the first miss have brought is not the caller's, and PARTIAL is not OK. */
START_TEST(an_answer_counts_the_bytes_of_keys_that_are_ok)
{
	struct kvr_router_config c = bed_config(2);
	struct bed *b = bed_new(&c);

	b->has[0][0] = b->has[1][2] = b->has[0][3] = true;
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 4, KVR_OPF_PREFIX, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_E_MISS, 1);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.bytes, b->len);
	ck_assert_int_eq(bed_row(b, slot, 2)->err, KVR_E_UNASKED);
	ck_assert_uint_eq(bed_row(b, slot, 2)->len, 0);
	ck_assert_uint_eq(bed_row(b, slot, 2)->where, KVR_NOWHERE);
	b->sick[1] = KVR_E_NOSPACE;
	slot = bed_submit(b, KVR_OP_PUT, keys, 4, 0, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_PARTIAL, 0);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.bytes, 0);
	ck_assert_uint_eq(bed_row(b, slot, 0)->len, 0);
	bed_is_home(b);
	bed_free(b);
	c.tier[0].write = c.tier[1].write = KVR_WRITE_BACK;
	b = bed_new(&c);
	slot = bed_submit(b, KVR_OP_PUT, keys, 4, 0, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 4);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.bytes, 4 * b->len);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(presence_is_the_union_of_tiers_and_hits_are_promoted)
{
	struct kvr_router_config c = bed_config(2);
	c.tier[0].promote = 1;
	struct bed *b = bed_new(&c);

	b->has[0][1] = b->has[1][2] = true;
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 4, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_E_MISS, 2);
	ck_assert_uint_eq(bed_row(b, slot, 1)->where, 0);
	ck_assert_uint_eq(bed_row(b, slot, 2)->where, 1);
	ck_assert_uint_eq(bed_row(b, slot, 0)->where, KVR_NOWHERE);
	ck_assert(b->has[0][2]);
	ck_assert_uint_eq(b->counted[KVR_COUNT_PROMOTE_OK], 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(of_two_puts_of_a_key_one_is_written_and_both_get_its_outcome)
{
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);
	uint32_t one = bed_submit(b, KVR_OP_PUT, keys, 3, 0, KVR_SEC(1));
	uint32_t two = bed_submit(b, KVR_OP_PUT, keys + 2, 2, 0, KVR_SEC(1));
	uint32_t three = bed_submit(b, KVR_OP_PUT, keys, 1, KVR_OPF_DUP_ERROR, KVR_SEC(1));

	bed_is_over(b, three, KVR_E_DUPLICATE, 0); /* at once; its slot is free again */
	uint32_t gone = bed_submit(b, KVR_OP_REMOVE, keys, 1, 0, KVR_SEC(1));
	const uint32_t twice[] = { 9, 9, 9 };

	for (uint32_t i = 0; i < b->n_world; i++)
		ck_assert_uint_eq(b->world[i].PART.verb, KVR_VERB_PUT); /* nothing is deleted yet */
	uint32_t four = bed_submit(b, KVR_OP_PUT, twice, 3, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, one, KVR_OK, 3);
	bed_is_over(b, two, KVR_OK, 2);
	ck_assert_uint_eq(b->op[two].done.COMPLETE.flags & KVR_DONEB_DUPLICATE, KVR_DONEB_DUPLICATE);
	ck_assert_uint_eq(bed_row(b, two, 0)->flags & KVR_ROW_DUP, KVR_ROW_DUP);
	ck_assert_uint_eq(bed_row(b, two, 1)->flags & KVR_ROW_DUP, 0);
	bed_is_over(b, gone, KVR_OK, 1);
	ck_assert(!b->has[0][0]); /* the remove came after the put */
	bed_is_over(b, four, KVR_OK, 3);
	/* Each caller is told of its own keys; what metrics hear adds up to what was written. */
	ck_assert_uint_eq(b->op[two].done.COMPLETE.bytes, 2 * b->len);
	ck_assert_uint_eq(b->op[four].done.COMPLETE.bytes, 3 * b->len);
	ck_assert_uint_eq(b->stat_bytes, 5 * b->len);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_put_that_only_some_tiers_take_is_partial)
{
	struct kvr_router_config c = bed_config(2);
	struct bed *b = bed_new(&c);

	b->sick[1] = KVR_E_DOWN;
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_E_PARTIAL, 0);
	/* Also where it is the first that fails: the next one is written all the same. */
	b->sick[0] = KVR_E_NOSPACE;
	b->sick[1] = KVR_OK;
	slot = bed_submit(b, KVR_OP_PUT, keys + 2, 2, 0, KVR_SEC(1));
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_PARTIAL, 0);
	ck_assert(b->has[1][2] && b->has[1][3]);
	b->sick[1] = KVR_E_DOWN;
	slot = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_SEC(1));
	bed_settle(b);
	ck_assert_uint_eq(b->op[slot].completed, 1);
	ck_assert_int_ne(bed_row(b, slot, 0)->err, KVR_OK);
	ck_assert_int_ne(bed_row(b, slot, 0)->err, KVR_E_PARTIAL);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(the_deadline_calls_parts_back_and_answers_when_memory_is_quiet)
{
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 4, 0, KVR_MS(100));

	ck_assert_uint_eq(b->n_world, 1);
	bed_advance(b, KVR_MS(100));
	ck_assert_uint_eq(b->n_world, 2);
	ck_assert_uint_eq(b->world[1].type, KVR_MSG_PART_CANCEL);
	bed_advance(b, KVR_SEC(5)); /* the worker has the caller's memory: no answer without it */
	ck_assert_uint_eq(b->op[slot].completed, 0);
	b->sick[0] = KVR_E_CANCELLED;
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_TIMEOUT, 0);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.flags >> KVR_DONEB_TIERS, 1); /* who had it */
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* The store's own time may be over before the call's. */
START_TEST(a_tier_that_did_not_answer_in_time_is_named)
{
	struct kvr_router_config c = bed_config(2);
	struct bed *b = bed_new(&c);

	b->sick[1] = KVR_E_TIMEOUT;
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 2, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_E_TIMEOUT, 0);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.flags >> KVR_DONEB_TIERS, 1U << 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(early_tells_the_result_first_and_the_memory_later)
{
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 4, KVR_OPF_EARLY, KVR_MS(100));

	bed_advance(b, KVR_MS(100));
	bed_advance(b, KVR_MS(3));
	ck_assert_uint_eq(b->op[slot].completed, 1);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.flags & KVR_DONEB_QUIET, 0);
	ck_assert_uint_eq(b->op[slot].released, 0);
	bed_settle(b);
	ck_assert_uint_eq(b->op[slot].completed, 2);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.flags & KVR_DONEB_QUIET, KVR_DONEB_QUIET);
	ck_assert_uint_eq(b->op[slot].released, 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_store_that_cannot_be_given_up_never_holds_an_answer)
{
	struct kvr_router_config c = bed_config(1);
	c.tier[0].give_up = 0;
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 4, 0, KVR_MS(100));

	bed_advance(b, KVR_MS(100));
	bed_advance(b, KVR_MS(3));
	ck_assert_uint_eq(b->op[slot].completed, 1);
	ck_assert_int_eq(b->op[slot].done.COMPLETE.err, KVR_E_TIMEOUT);
	ck_assert_uint_eq(b->op[slot].released, 0); /* its key texts are still read */
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_TIMEOUT, 0);
	ck_assert_uint_eq(b->counted[KVR_COUNT_LATE], 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* The i-th tier's part, as a place among what is outside. */
static uint32_t
part_of_tier(const struct bed *b, uint32_t tier)
{
	uint32_t i = 0;

	while (i < b->n_world && (b->world[i].type != KVR_MSG_PART || b->world[i].PART.tier != tier))
		i++;
	ck_assert_uint_lt(i, b->n_world);
	return i;
}

static struct kvr_router_config
two_tiers(void)
{
	struct kvr_router_config c = bed_config(2);

	c.tier[1].give_up = 0;
	return c;
}

/* One tier's part has the caller's memory, the other's a copy, and the deadline is over. */
static uint32_t
late_put(struct bed *b)
{
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_MS(100));

	for (uint32_t i = 0; i < b->n_world; i++) {
		if (b->world[i].type == KVR_MSG_COPY)
			bed_answer(b, i);
	}
	bed_advance(b, KVR_MS(100));
	return slot;
}

/* One worker has the caller's memory longer than the grace, another a copy and does not come back. */
START_TEST(a_copy_in_staging_is_not_waited_for_when_the_memory_is_back)
{
	struct kvr_router_config c = two_tiers();
	struct bed *b = bed_new(&c);
	uint32_t slot = late_put(b);

	bed_advance(b, KVR_MS(50));
	ck_assert_uint_eq(b->op[slot].completed, 0);
	b->sick[0] = KVR_E_CANCELLED;
	bed_answer(b, part_of_tier(b, 0));
	bed_advance(b, c.grace_ns + KVR_MS(1));
	ck_assert_uint_eq(b->op[slot].completed, 1);
	ck_assert_int_eq(b->op[slot].done.COMPLETE.err, KVR_E_TIMEOUT);
	(void)part_of_tier(b, 1);
	bed_settle(b);
	ck_assert_uint_eq(b->op[slot].released, 1);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* The memory is back just before the end of the grace, whose timer is on its way already. */
START_TEST(a_timer_that_was_on_its_way_does_not_cut_the_grace)
{
	struct kvr_router_config c = two_tiers();
	struct bed *b = bed_new(&c);
	uint32_t slot = late_put(b);

	bed_advance(b, c.grace_ns - 1);
	struct kvr_msg due = b->timer[slot];

	b->sick[0] = KVR_E_CANCELLED;
	bed_answer(b, part_of_tier(b, 0));
	b->now_ns++;
	bed_post(b, &due);
	bed_local(b);
	ck_assert_uint_eq(b->op[slot].completed, 0);
	bed_advance(b, c.grace_ns - 2);
	ck_assert_uint_eq(b->op[slot].completed, 0);
	bed_advance(b, 1);
	ck_assert_uint_eq(b->op[slot].completed, 1);
	bed_settle(b);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_sick_tier_is_left_out_and_named)
{
	struct kvr_router_config c = bed_config(2);
	struct bed *b = bed_new(&c);

	b->has[1][0] = true;
	bed_tier_state(b, 0, KVR_TIER_COOLING);
	uint32_t slot = bed_submit(b, KVR_OP_GET, keys, 2, 0, KVR_SEC(1));

	ck_assert_uint_eq(b->world[0].to, KVR_ID_TIER_OF(1));
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_DOWN, 1);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.flags & KVR_DONEB_DEGRADED, KVR_DONEB_DEGRADED);
	bed_tier_state(b, 1, KVR_TIER_COOLING);
	slot = bed_submit(b, KVR_OP_LOOKUP, keys, 2, 0, KVR_SEC(1));
	bed_is_over(b, slot, KVR_E_DOWN, 0);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* It is not encoded for a tier that is sick, and that tier may be well before the part is there. */
START_TEST(a_put_that_was_not_encoded_is_to_be_refused)
{
	struct kvr_router_config c = bed_config(1);
	c.tier[0].serde = 1;
	struct bed *b = bed_new(&c);

	bed_tier_state(b, 0, KVR_TIER_COOLING);
	b->sick[0] = KVR_E_DOWN;
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_SEC(1));

	ck_assert_uint_eq(b->world[0].type, KVR_MSG_PART);
	ck_assert_uint_eq(b->world[0].PART.refuse, 1);
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_DOWN, 0);
	bed_tier_state(b, 0, KVR_TIER_UP);
	b->sick[0] = KVR_OK;
	slot = bed_submit(b, KVR_OP_PUT, keys, 2, 0, KVR_SEC(1));
	ck_assert_uint_eq(b->world[0].type, KVR_MSG_ENCODE);
	ck_assert(bed_answer(b, 0));
	ck_assert_uint_eq(b->world[0].type, KVR_MSG_PART);
	ck_assert_uint_eq(b->world[0].PART.refuse, 0);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 2);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(write_back_answers_before_the_slow_tier_has_it)
{
	struct kvr_router_config c = bed_config(2);
	c.tier[1].write = KVR_WRITE_BACK;
	c.tier[1].serde = 1;
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 5, 0, KVR_SEC(1));

	while (b->op[slot].completed == 0)
		ck_assert(bed_answer(b, 0));
	ck_assert_int_eq(b->op[slot].done.COMPLETE.err, KVR_OK);
	ck_assert(!b->has[1][0]);
	ck_assert_uint_eq(b->op[slot].released, 0);
	bed_check(b);
	bed_settle(b);
	ck_assert(b->has[1][4]);
	bed_is_over(b, slot, KVR_OK, 5);
	ck_assert_uint_eq(b->counted[KVR_COUNT_WRITEBACK_OK], 5);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/*
 * What is written behind an answer must not arrive after a remove that was asked for later: what
 * has not been sent is not sent any more, what is on its way is waited for.
 */
START_TEST(a_removed_key_does_not_come_back_by_write_back)
{
	struct kvr_router_config c = bed_config(3);
	c.tier[1].write = c.tier[2].write = KVR_WRITE_BACK;
	c.tier[1].serde = 1;
	struct bed *b = bed_new(&c);
	uint32_t put = bed_submit(b, KVR_OP_PUT, keys, 3, 0, KVR_SEC(1));

	while (b->op[put].completed == 0)
		ck_assert(bed_answer(b, 0));
	ck_assert_uint_gt(b->n_world, 0);
	uint32_t gone = bed_submit(b, KVR_OP_REMOVE, keys, 2, 0, KVR_SEC(1));

	for (uint32_t i = 0; i < b->n_world; i++)
		ck_assert(b->world[i].type != KVR_MSG_PART || b->world[i].PART.verb != KVR_VERB_DEL);
	ck_assert_uint_eq(b->op[gone].completed, 0);
	bed_check(b);
	/* Not a duplicate of what is gone; it waits for nobody. */
	uint32_t anew = bed_submit(b, KVR_OP_PUT, keys + 1, 1, 0, KVR_SEC(1));

	bed_cancel(b, anew);
	bed_settle(b);
	bed_is_over(b, put, KVR_OK, 3);
	bed_is_over(b, gone, KVR_OK, 2);
	ck_assert_uint_eq(b->op[anew].done.COMPLETE.flags & KVR_DONEB_DUPLICATE, 0);
	for (uint32_t t = 0; t < 3; t++)
		ck_assert(!b->has[t][0] && b->has[t][2]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Nothing of it has been sent when the remove comes: it need not wait, and the slot is free at once. */
START_TEST(what_waits_to_be_written_back_is_called_off_by_a_remove)
{
	struct kvr_router_config c = bed_config(2);
	c.tier[1].write = KVR_WRITE_BACK;
	c.tier[0].timeout_ns = KVR_MS(1);
	struct bed *b = bed_new(&c);
	uint32_t put = bed_submit(b, KVR_OP_PUT, keys, 20, 0, KVR_SEC(1));
	struct router *me = b->actor.self;

	while (me->key[b->op[put].first].err != KVR_OK)
		ck_assert(bed_answer(b, 0));
	ck_assert_uint_eq(b->op[put].completed, 0); /* its other keys are still under way */
	ck_assert_uint_ne(me->n_slots_back, 0);
	uint32_t kept = me->n_slots_back, gone = bed_submit(b, KVR_OP_REMOVE, keys, 1, 0, KVR_SEC(1));

	ck_assert_uint_eq(me->n_slots_back, kept - 1);
	ck_assert_uint_eq(me->op[gone].blocked, 0);
	bed_check(b);
	bed_settle(b);
	bed_is_over(b, put, KVR_OK, 20);
	bed_is_over(b, gone, KVR_OK, 1);
	ck_assert(!b->has[0][0] && !b->has[1][0] && b->has[1][1]);
	ck_assert_uint_eq(b->counted[KVR_COUNT_WRITEBACK_DROPPED], 0);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_removed_key_does_not_come_back_by_promotion)
{
	struct kvr_router_config c = bed_config(2);
	c.tier[0].promote = 1;
	struct bed *b = bed_new(&c);

	b->has[1][0] = b->has[1][1] = true;
	uint32_t one = bed_submit(b, KVR_OP_GET, keys, 2, 0, KVR_SEC(1));
	uint32_t two = bed_submit(b, KVR_OP_GET, keys, 1, 0, KVR_SEC(1));

	while (b->op[one].completed == 0 || b->op[two].completed == 0)
		ck_assert(bed_answer(b, 0));
	ck_assert_uint_eq(b->n_world, 2); /* both write it up */
	uint32_t gone = bed_submit(b, KVR_OP_REMOVE, keys, 1, 0, KVR_SEC(1));

	ck_assert_uint_eq(b->n_world, 2);
	bed_settle(b);
	bed_is_over(b, one, KVR_OK, 2);
	bed_is_over(b, two, KVR_OK, 1);
	bed_is_over(b, gone, KVR_OK, 1);
	ck_assert(!b->has[0][0] && !b->has[1][0] && b->has[0][1]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* Behind the first of a batch that is over while the others are not: it is written again. */
START_TEST(a_put_after_a_remove_is_no_duplicate)
{
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);
	uint32_t batch = bed_submit(b, KVR_OP_PUT, keys, 20, 0, KVR_SEC(1));
	const struct router *me = b->actor.self;

	while (me->key[b->op[batch].first].err != KVR_OK)
		ck_assert(bed_answer(b, 0));
	uint32_t gone = bed_submit(b, KVR_OP_REMOVE, keys, 1, 0, KVR_SEC(1));

	while (b->op[gone].completed == 0)
		ck_assert(bed_answer(b, b->n_world - 1));
	ck_assert_uint_eq(b->op[batch].completed, 0);
	uint32_t anew = bed_submit(b, KVR_OP_PUT, keys, 1, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, batch, KVR_OK, 20);
	bed_is_over(b, anew, KVR_OK, 1);
	ck_assert_uint_eq(b->op[anew].done.COMPLETE.flags & KVR_DONEB_DUPLICATE, 0);
	ck_assert(b->has[0][0]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(if_absent_sends_only_what_is_missing)
{
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);

	b->has[0][1] = true;
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, KVR_OPF_IF_ABSENT, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_E_EXISTS, 2);
	ck_assert_int_eq(bed_row(b, slot, 1)->err, KVR_E_EXISTS);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(a_prefetch_brings_keys_up_through_a_serde)
{
	struct kvr_router_config c = bed_config(2);
	c.tier[0].promote = 1;
	c.tier[1].serde = 1;
	struct bed *b = bed_new(&c);

	b->has[0][0] = b->has[1][1] = b->has[1][2] = true;
	uint32_t slot = bed_submit(b, KVR_OP_PREFETCH, keys, 4, 0, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_E_MISS, 3);
	ck_assert(b->has[0][1] && b->has[0][2] && !b->has[0][3]);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

START_TEST(more_keys_than_one_step_sees_are_all_answered)
{
	static uint32_t many[5000];
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);

	for (uint32_t i = 0; i < 5000; i++)
		many[i] = i;
	uint32_t put = bed_submit(b, KVR_OP_PUT, many, 5000, 0, KVR_SEC(100));
	uint32_t dup = bed_submit(b, KVR_OP_PUT, many, 5000, 0, KVR_SEC(100));

	bed_settle(b);
	bed_is_over(b, put, KVR_OK, 5000);
	bed_is_over(b, dup, KVR_OK, 5000);
	uint32_t slot = bed_submit(b, KVR_OP_LOOKUP, many, 5000, KVR_OPF_PREFIX, KVR_SEC(100));

	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 5000);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.prefix, 5000);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* What was told of a key in the first step stays, though its part comes back before the last one. */
START_TEST(a_part_that_comes_back_between_two_steps_of_an_answer_is_late)
{
	enum { MANY = 3000 };
	static uint32_t many[MANY];
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);

	for (uint32_t i = 0; i < MANY; i++)
		many[i] = i % BED_KEYS;
	memset(b->has[0], 1, sizeof(b->has[0]));
	uint32_t slot = bed_submit(b, KVR_OP_GET, many, MANY, KVR_OPF_EARLY, KVR_MS(100));

	bed_advance(b, KVR_MS(100));
	b->interrupts = true;
	bed_advance(b, KVR_MS(3));
	ck_assert(!b->interrupts);
	ck_assert_uint_eq(b->op[slot].completed, 1);
	ck_assert_int_eq(b->op[slot].done.COMPLETE.err, KVR_E_TIMEOUT);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.n_ok, 0);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.bytes, 0);
	ck_assert_uint_eq(b->counted[KVR_COUNT_LATE], 1);
	bed_check(b);
	bed_settle(b);
	ck_assert_uint_eq(b->op[slot].completed, 2);
	ck_assert_uint_eq(b->op[slot].done.COMPLETE.n_ok, 0);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* ---- random runs ---- */

static void
random_config(struct kvr_router_config *c, uint64_t *rand)
{
	*c = bed_config(1 + (uint32_t)(kvr_rand(rand) % 3));
	c->staging_pages = 4 + (uint32_t)(kvr_rand(rand) % 60);
	for (uint32_t t = 0; t < c->n_tiers; t++) {
		c->tier[t].write = (uint8_t)(kvr_rand(rand) % 3);
		c->tier[t].serde = (uint32_t)(kvr_rand(rand) % 2);
		c->tier[t].promote = (uint8_t)(kvr_rand(rand) % 2);
		c->tier[t].promote_after = (uint8_t)(kvr_rand(rand) % 3);
		c->tier[t].give_up = (uint8_t)(kvr_rand(rand) % 2);
		c->tier[t].long_bytes = kvr_rand(rand) % 2 * KVR_LONG_BYTES;
		c->tier[t].timeout_ns = kvr_rand(rand) % 2 ? KVR_MS(20) : 0;
	}
}

static void
random_submit(struct bed *b)
{
	uint32_t some[40], n = 1 + (uint32_t)(kvr_rand(&b->rand) % 40);
	uint32_t flags = (uint32_t)kvr_rand(&b->rand) &
	    (KVR_OPF_PREFIX | KVR_OPF_IF_ABSENT | KVR_OPF_EARLY | KVR_OPF_DUP_ERROR);
	enum kvr_op_kind kind = (enum kvr_op_kind)(kvr_rand(&b->rand) % KVR_OP_N);
	uint64_t deadline_ns = KVR_MS(1 + kvr_rand(&b->rand) % 50);

	if ((kind == KVR_OP_GET || kind == KVR_OP_PUT) && kvr_rand(&b->rand) % 3 == 0)
		flags |= KVR_OPF_PAGED;
	if ((kind == KVR_OP_GET || kind == KVR_OP_PUT) && kvr_rand(&b->rand) % 2)
		flags |= KVR_OPF_RECORD | (flags & KVR_OPF_PAGED && n % 2 ? KVR_OPF_DEVICE : 0);
	for (uint32_t i = 0; i < n; i++)
		some[i] = (uint32_t)(kvr_rand(&b->rand) % 60);
	bed_submit(b, kind, some, n, flags, deadline_ns);
}

static void
random_act(struct bed *b, uint32_t n_tiers)
{
	uint32_t tier = (uint32_t)(kvr_rand(&b->rand) % n_tiers);
	uint64_t what = kvr_rand(&b->rand) % 100;

	const struct router *me = b->actor.self;

	if (what < 25 && me->n_ops < BED_OPS)
		random_submit(b);
	else if (what < 80)
		bed_answer(b, b->n_world == 0 ? 0 : (uint32_t)(kvr_rand(&b->rand) % b->n_world));
	else if (what < 90)
		bed_advance(b, kvr_rand(&b->rand) % KVR_MS(5));
	else if (what < 93)
		bed_cancel(b, (uint32_t)(kvr_rand(&b->rand) % 20));
	else if (what < 96)
		b->sick[tier] = kvr_rand(&b->rand) % 2 ? KVR_E_DOWN : KVR_OK;
	else
		bed_tier_state(b, tier, kvr_rand(&b->rand) % 2 ? KVR_TIER_COOLING : KVR_TIER_UP);
}

static uint64_t
random_run(uint64_t seed)
{
	struct kvr_router_config c;
	uint64_t rand = seed;

	random_config(&c, &rand);
	struct bed *b = bed_new(&c);

	b->rand = rand;
	b->errors_per_1000 = seed % 3 == 0 ? 50 : 0;
	for (uint32_t i = 0; i < 300; i++)
		random_act(b, c.n_tiers);
	bed_check(b);
	bed_stop(b, seed % 2 == 0);
	for (uint32_t i = 0; i < 100 && b->n_stopped == 0; i++) {
		bed_settle(b);
		bed_advance(b, KVR_SEC(1));
	}
	ck_assert_msg(b->n_stopped == 1, "seed %llu does not come to an end", (unsigned long long)seed);
	for (uint32_t i = 0; i < BED_OPS; i++) {
		uint32_t wanted = b->op[i].id == 0 ? 0 : 1;

		KVR_CHECK(b->op[i].released == wanted && b->op[i].completed >= wanted);
	}
	bed_check(b);
	bed_is_home(b);
	uint64_t digest = b->digest;

	bed_free(b);
	return digest;
}

START_TEST(whatever_happens_every_operation_is_answered_once_and_nothing_is_kept)
{
	const char *env = getenv("KVR_SEEDS");
	uint64_t n = env == NULL ? 300 : strtoull(env, NULL, 10), sum = 0;

	for (uint64_t seed = 1; seed <= n; seed++)
		sum = sum * 31 + random_run(seed);
	ck_assert_uint_eq(random_run(7), random_run(7));
	ck_assert_uint_ne(random_run(7), random_run(8));
	printf("router: %llu seeds, digest %016llx\n", (unsigned long long)n, (unsigned long long)sum);
}
END_TEST

KVR_CHECK_MAIN("actors.router", a_put_is_found_by_lookup_and_get_and_gone_after_remove,
    an_answer_counts_the_bytes_of_keys_that_are_ok,
    presence_is_the_union_of_tiers_and_hits_are_promoted,
    of_two_puts_of_a_key_one_is_written_and_both_get_its_outcome,
    a_put_that_only_some_tiers_take_is_partial,
    the_deadline_calls_parts_back_and_answers_when_memory_is_quiet,
    a_tier_that_did_not_answer_in_time_is_named,
    early_tells_the_result_first_and_the_memory_later,
    a_store_that_cannot_be_given_up_never_holds_an_answer,
    a_copy_in_staging_is_not_waited_for_when_the_memory_is_back,
    a_timer_that_was_on_its_way_does_not_cut_the_grace, a_sick_tier_is_left_out_and_named,
    a_put_that_was_not_encoded_is_to_be_refused,
    write_back_answers_before_the_slow_tier_has_it, a_removed_key_does_not_come_back_by_write_back,
    what_waits_to_be_written_back_is_called_off_by_a_remove,
    a_removed_key_does_not_come_back_by_promotion, a_put_after_a_remove_is_no_duplicate,
    if_absent_sends_only_what_is_missing,
    a_prefetch_brings_keys_up_through_a_serde, more_keys_than_one_step_sees_are_all_answered,
    a_part_that_comes_back_between_two_steps_of_an_answer_is_late,
    whatever_happens_every_operation_is_answered_once_and_nothing_is_kept)
