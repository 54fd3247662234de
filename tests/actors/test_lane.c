/* SPDX-License-Identifier: Apache-2.0 */
/* What a connector worker owes its link, against a store that does what it is told. */
#include "kvr_lane_bed.h"

#include <string.h>

START_TEST(every_message_is_answered_once_and_in_order)
{
	struct lane_bed *b = lane_new();

	lane_tell_type(b, KVR_MSG_DIAL, KVR_SEC(30));
	lane_tell_type(b, KVR_MSG_PING, KVR_SEC(30));
	uint32_t get = lane_tell_part(b, 0, KVR_VERB_GET, 4, KVR_SEC(30));
	uint32_t put = lane_tell_part(b, 1, KVR_VERB_PUT, 3, KVR_SEC(30));

	ck_assert_int_eq(lane_answer(b, KVR_MSG_DIALED).DIALED.err, KVR_OK);
	ck_assert_int_eq(lane_answer(b, KVR_MSG_PONG).PONG.err, KVR_OK);
	struct kvr_msg m = lane_answer(b, KVR_MSG_PART_DONE);

	ck_assert_uint_eq(m.part, get);
	ck_assert_uint_eq(m.op, 5);
	ck_assert_uint_eq(m.n_rows, 4);
	ck_assert_int_eq(m.PART_DONE.err, KVR_OK);
	ck_assert_uint_eq(m.PART_DONE.n_ok, 3);
	ck_assert_uint_eq(m.PART_DONE.bytes, 3 * VALUE);
	ck_assert_uint_eq(m.PART_DONE.tier, 1);
	ck_assert_uint_eq(m.PART_DONE.lane, 3);
	ck_assert_uint_eq(m.PART_DONE.verb, KVR_VERB_GET);
	for (uint32_t i = 0; i < 3; i++) {
		lane_row_is(b, get, i, KVR_OK);
		ck_assert_uint_eq(b->memory[i][VALUE - 1], 'k');
	}
	lane_row_is(b, get, 3, KVR_E_MISS);
	lane_part_is(b, put, KVR_OK);
	lane_free(b, false);
}
END_TEST

START_TEST(a_part_that_cannot_begin_is_unfinished_and_untouched)
{
	struct lane_bed *b = lane_new();
	uint32_t part = lane_tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(30));

	lane_part_is(b, part, KVR_E_UNFINISHED); /* no connection */
	lane_row_is(b, part, 0, KVR_PENDING);
	lane_tell_type(b, KVR_MSG_PING, KVR_SEC(30));
	ck_assert_int_eq(lane_answer(b, KVR_MSG_PONG).PONG.err, KVR_E_DOWN);
	lane_connect(b);
	part = lane_tell_part(b, 1, KVR_VERB_GET, 2, 0); /* its deadline is now */
	lane_part_is(b, part, KVR_E_UNFINISHED);
	lane_row_is(b, part, 0, KVR_PENDING);
	ck_assert_int_eq(lane_ask(&b->store, &b->store.runs), 0);
	ck_assert_int_eq(lane_ask(&b->store, &b->store.open), 1); /* the stream is as it was */
	lane_free(b, false);
}
END_TEST

START_TEST(a_kick_ends_the_part_that_is_meant)
{
	struct lane_bed *b = lane_new();

	lane_connect(b);
	lane_act(b, ACT_OK, ACT_BLOCK, KVR_OK);
	uint32_t runs = lane_tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(60));

	lane_wait_blocked(b);
	uint32_t waits = lane_tell_part(b, 1, KVR_VERB_GET, 2, KVR_SEC(60));

	lane_cancel(b, waits); /* the one that runs goes on */
	ck_assert_int_eq(lane_ask(&b->store, &b->store.blocked), 1);
	uint64_t start_ns = kvr_now_ns();

	lane_cancel(b, runs);
	struct kvr_msg m = lane_answer(b, KVR_MSG_PART_DONE);

	ck_assert_uint_eq(m.part, runs);
	ck_assert_int_eq(kvr_err_stream(m.PART_DONE.err), KVR_STREAM_CLOSE);
	lane_row_is(b, runs, 0, KVR_PENDING);
	lane_part_is(b, waits, KVR_E_UNFINISHED);
	lane_row_is(b, waits, 0, KVR_PENDING);
	ck_assert_uint_lt(kvr_now_ns() - start_ns, KVR_SEC(20));
	ck_assert_int_eq(lane_ask(&b->store, &b->store.runs), 1);
	/* A kick that came too late is not for the next one. */
	lane_cancel(b, runs);
	lane_act(b, ACT_OK, ACT_OK, KVR_OK);
	lane_connect(b);
	uint32_t next = lane_tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(60));

	ck_assert_uint_eq(next, runs); /* even of the same name: the mark was taken away */
	lane_part_is(b, next, KVR_OK);
	lane_free(b, false);
}
END_TEST

/* A lane with a hundred cancelled parts behind it marks the next as well as the first. */
START_TEST(marks_do_not_fill_up)
{
	struct lane_bed *b = lane_new();

	lane_connect(b);
	for (uint32_t i = 0; i < 100; i++) {
		lane_act(b, ACT_OK, ACT_BLOCK, KVR_OK);
		uint32_t runs = lane_tell_part(b, 2 * i, KVR_VERB_GET, 2, KVR_SEC(60));

		lane_wait_blocked(b);
		uint32_t waits = lane_tell_part(b, 2 * i + 1, KVR_VERB_GET, 2, KVR_SEC(60));

		lane_act(b, ACT_OK, ACT_OK, KVR_OK);
		lane_cancel(b, waits);
		lane_cancel(b, runs);
		lane_answer(b, KVR_MSG_PART_DONE);
		lane_part_is(b, waits, KVR_E_UNFINISHED);
		lane_connect(b);
		b->domain.n = b->domain.taken = 0;
	}
	ck_assert_int_eq(lane_ask(&b->store, &b->store.runs), 100);
	lane_free(b, false);
}
END_TEST

START_TEST(a_deadline_ends_what_blocks)
{
	struct lane_bed *b = lane_new();

	lane_act(b, ACT_BLOCK, ACT_BLOCK, KVR_OK);
	lane_tell_type(b, KVR_MSG_DIAL, KVR_MS(30));
	ck_assert_int_eq(lane_answer(b, KVR_MSG_DIALED).DIALED.err, KVR_E_TIMEOUT);
	lane_act(b, ACT_OK, ACT_BLOCK, KVR_OK);
	lane_connect(b);
	uint32_t part = lane_tell_part(b, 0, KVR_VERB_GET, 2, KVR_MS(30));

	lane_part_is(b, part, KVR_E_TIMEOUT);
	lane_row_is(b, part, 0, KVR_PENDING);
	ck_assert_int_eq(
	    lane_ask(&b->store, &b->store.open), 0); /* half a reply may be under way */
	lane_connect(b);
	lane_tell_type(b, KVR_MSG_PING, KVR_MS(30));
	ck_assert_int_eq(lane_answer(b, KVR_MSG_PONG).PONG.err, KVR_E_TIMEOUT);
	lane_free(b, false);
}
END_TEST

START_TEST(hanging_up_ends_a_part_and_what_waits_behind_it)
{
	struct lane_bed *b = lane_new();

	lane_connect(b);
	lane_act(b, ACT_OK, ACT_BLOCK, KVR_OK);
	uint32_t runs = lane_tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(600));

	lane_wait_blocked(b);
	uint32_t waits = lane_tell_part(b, 1, KVR_VERB_PUT, 2, KVR_SEC(600));

	lane_tell_type(b, KVR_MSG_HANG_UP, 0);
	ck_assert_uint_eq(lane_answer(b, KVR_MSG_PART_DONE).part, runs);
	lane_part_is(b, waits, KVR_E_UNFINISHED);
	lane_free(b, true);
}
END_TEST

START_TEST(hanging_up_ends_a_dial)
{
	struct lane_bed *b = lane_new();

	lane_act(b, ACT_BLOCK, ACT_OK, KVR_OK);
	lane_tell_type(b, KVR_MSG_DIAL, KVR_SEC(600));
	lane_wait_blocked(b);
	lane_tell_type(b, KVR_MSG_HANG_UP, 0);
	ck_assert_int_ne(lane_answer(b, KVR_MSG_DIALED).DIALED.err, KVR_OK);
	lane_free(b, true);
}
END_TEST

/* Any answer of run() but OK ends the connection, and the house reads that off the error. */
START_TEST(an_error_that_keeps_the_stream_cannot_end_it)
{
	struct lane_bed *b = lane_new();

	for (int32_t err = -1; err >= KVR_E_DEVICE; err--) {
		lane_act(b, ACT_OK, ACT_OK, KVR_OK);
		lane_connect(b);
		lane_act(b, ACT_OK, ACT_FAIL, (enum kvr_err)err);
		uint32_t part = lane_tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(30));

		lane_part_is(b, part, kvr_err_stream(err) == KVR_STREAM_CLOSE ? err : KVR_E_PROTO);
		ck_assert_int_eq(lane_ask(&b->store, &b->store.open), 0);
		part = lane_tell_part(b, 1, KVR_VERB_GET, 2, KVR_SEC(30));
		lane_part_is(b, part, KVR_E_UNFINISHED);
		b->domain.n = b->domain.taken = 0;
	}
	char words[112];

	kvr_words_get(&b->words, words, sizeof(words), NULL, NULL);
	ck_assert_str_eq(words, "the store's own words");
	/* Whoever prints them prints one line, and sends a terminal no command. */
	kvr_words_set(&b->words, KVR_E_REFUSED, "-ERR \033[2J\r\nyes");
	kvr_words_get(&b->words, words, sizeof(words), NULL, NULL);
	ck_assert_str_eq(words, "-ERR  [2J  yes");
	lane_free(b, false);
}
END_TEST

START_TEST(a_dial_that_fails_says_why_and_can_be_tried_again)
{
	struct lane_bed *b = lane_new();
	char words[112];

	lane_act(b, ACT_FAIL, ACT_OK, KVR_E_AUTH);
	lane_tell_type(b, KVR_MSG_DIAL, KVR_SEC(30));
	ck_assert_int_eq(lane_answer(b, KVR_MSG_DIALED).DIALED.err, KVR_E_AUTH);
	kvr_words_get(&b->words, words, sizeof(words), NULL, NULL);
	/* Who it was and what happened, though the name is longer than the place. */
	ck_assert_msg(strncmp(words, "redis://", 8) == 0 && strstr(words, ": no dial tone") != NULL, "%s", words);
	lane_act(b, ACT_OK, ACT_OK, KVR_OK);
	lane_connect(b);
	lane_connect(b); /* what was open is closed first */
	ck_assert_int_eq(lane_ask(&b->store, &b->store.hang_ups), 1);
	lane_free(b, false);
}
END_TEST

/* A part that comes again after its connection was lost: rows with an outcome keep it. */
START_TEST(a_second_try_leaves_finished_rows_alone)
{
	struct lane_bed *b = lane_new();

	lane_connect(b);
	lane_act(b, ACT_OK, ACT_HALF, KVR_E_PROTO);
	uint32_t part = lane_tell_part(b, 0, KVR_VERB_GET, 4, KVR_SEC(30));
	struct kvr_msg m = lane_answer(b, KVR_MSG_PART_DONE);

	ck_assert_int_eq(m.PART_DONE.err, KVR_E_PROTO);
	ck_assert_uint_eq(m.PART_DONE.n_ok, 2);
	lane_row_is(b, part, 1, KVR_OK);
	lane_row_is(b, part, 2, KVR_PENDING);
	/* What the first two got is marked; the second try must not touch it. */
	memset(b->memory, 0x11, sizeof(b->memory));
	lane_act(b, ACT_OK, ACT_OK, KVR_OK);
	lane_connect(b);
	lane_tell(b, (struct kvr_msg){ .type = KVR_MSG_PART,
	                 .n_rows = 4,
	                 .rows = kvr_part_rows(part),
	                 .part = part,
	                 .deadline_ns = kvr_now_ns() + KVR_SEC(30),
	                 .PART = { .verb = KVR_VERB_GET } });
	m = lane_answer(b, KVR_MSG_PART_DONE);
	ck_assert_uint_eq(m.PART_DONE.n_ok, 3);
	ck_assert_uint_eq(m.PART_DONE.bytes, VALUE); /* moved by this try */
	ck_assert_int_eq(b->store.seen[0], KVR_OK);
	ck_assert_int_eq(b->store.seen[1], KVR_OK);
	ck_assert_int_eq(b->store.seen[2], KVR_PENDING);
	ck_assert_uint_eq(b->memory[0][0], 0x11);
	ck_assert_uint_eq(b->memory[2][0], 'k');
	lane_row_is(b, part, 3, KVR_E_MISS);
	lane_free(b, false);
}
END_TEST

/* As a caller who waits: tells, and does what would keep it waiting. The parts' operation is 5. */
static uint32_t
help_with(struct lane_bed *b, uint32_t slot)
{
	static const uint64_t op = 5;

	kvr_help_offer(&op);
	uint32_t part = lane_tell_part(b, slot, KVR_VERB_EXISTS, 3, KVR_SEC(60));

	kvr_help_give();
	return part;
}

/* The lane may still be at the end of its last turn; from when this returns on it sleeps. */
static void
until_it_sleeps(struct lane_bed *b)
{
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(60);

	do {
		lane_part_is(b, help_with(b, 0), KVR_OK);
		b->domain.n = b->domain.taken = 0;
		ck_assert_uint_lt(kvr_now_ns(), until_ns);
	} while (!pthread_equal(b->store.runner, pthread_self()));
}

START_TEST(a_caller_who_waits_for_a_part_runs_it)
{
	struct lane_bed *b = lane_new();
	static const uint64_t other = 6;

	lane_connect(b);
	until_it_sleeps(b);
	uint32_t part = help_with(b, 1);

	lane_part_is(b, part, KVR_OK); /* it has been answered already: */
	ck_assert(pthread_equal(b->store.runner, pthread_self()));
	lane_row_is(b, part, 0, KVR_OK);
	lane_row_is(b, part, 2, KVR_E_MISS);
	/* The offer is over; and one for another operation is none for this. */
	part = lane_tell_part(b, 0, KVR_VERB_EXISTS, 3, KVR_SEC(60));
	lane_part_is(b, part, KVR_OK);
	ck_assert(!pthread_equal(b->store.runner, pthread_self()));
	until_it_sleeps(b);
	kvr_help_offer(&other);
	part = lane_tell_part(b, 1, KVR_VERB_EXISTS, 3, KVR_SEC(60));
	kvr_help_give();
	lane_part_is(b, part, KVR_OK);
	ck_assert(!pthread_equal(b->store.runner, pthread_self()));
	lane_free(b, false);
}
END_TEST

static void
help_once(void *arg)
{
	help_with(arg, 0);
}

static void
helper_blocks(struct lane_bed *b, struct kvr_thread **ret)
{
	lane_connect(b);
	until_it_sleeps(b);
	lane_act(b, ACT_OK, ACT_BLOCK, KVR_OK);
	ck_assert_int_eq(kvr_thread_start("kvr-helper", help_once, b, ret), KVR_OK);
	lane_wait_blocked(b);
	lane_act(b, ACT_OK, ACT_OK, KVR_OK);
}

START_TEST(a_kick_ends_what_a_caller_runs_and_the_lane_goes_on_behind_it)
{
	struct lane_bed *b = lane_new();
	struct kvr_thread *helper;

	helper_blocks(b, &helper);
	uint32_t waits = lane_tell_part(b, 1, KVR_VERB_GET, 2, KVR_SEC(60));

	lane_cancel(b, 9U << 16); /* slot 0 */
	struct kvr_msg m = lane_answer(b, KVR_MSG_PART_DONE);

	ck_assert_int_eq(kvr_err_stream(m.PART_DONE.err), KVR_STREAM_CLOSE);
	lane_part_is(b, waits, KVR_E_UNFINISHED); /* no connection */
	ck_assert_int_eq(kvr_thread_join(helper, kvr_now_ns() + KVR_SEC(60)), KVR_OK);
	lane_free(b, false);
}
END_TEST

START_TEST(a_lane_ends_after_what_a_caller_runs)
{
	struct lane_bed *b = lane_new();
	struct kvr_thread *helper;

	helper_blocks(b, &helper);
	lane_tell_type(b, KVR_MSG_HANG_UP, 0);
	ck_assert_int_eq(
	    kvr_err_stream(lane_answer(b, KVR_MSG_PART_DONE).PART_DONE.err), KVR_STREAM_CLOSE);
	lane_free(b, true);
	ck_assert_int_eq(kvr_thread_join(helper, kvr_now_ns() + KVR_SEC(60)), KVR_OK);
}
END_TEST

KVR_CHECK_MAIN("actors.lane", every_message_is_answered_once_and_in_order,
    a_part_that_cannot_begin_is_unfinished_and_untouched, a_kick_ends_the_part_that_is_meant,
    marks_do_not_fill_up, a_deadline_ends_what_blocks,
    hanging_up_ends_a_part_and_what_waits_behind_it, hanging_up_ends_a_dial,
    an_error_that_keeps_the_stream_cannot_end_it, a_dial_that_fails_says_why_and_can_be_tried_again,
    a_second_try_leaves_finished_rows_alone, a_caller_who_waits_for_a_part_runs_it,
    a_kick_ends_what_a_caller_runs_and_the_lane_goes_on_behind_it,
    a_lane_ends_after_what_a_caller_runs)
