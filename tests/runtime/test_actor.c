/* SPDX-License-Identifier: Apache-2.0 */
#include "duo.h"
#include "kvr_check.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

static jmp_buf back;
static char why[200];

static void
caught(void *arg, const char *file, int line, const char *what)
{
	(void)arg;
	(void)file;
	(void)line;
	snprintf(why, sizeof(why), "%s", what);
	longjmp(back, 1);
}

/* Gives m to the front decider; true when it panics, and why says how. */
static bool
panics(struct duo_run *r, const struct kvr_msg m)
{
	why[0] = '\0';
	kvr_on_panic(caught, NULL);
	if (setjmp(back) == 0)
		duo_post(r, m);
	kvr_on_panic(NULL, NULL);
	return why[0] != '\0';
}

START_TEST(a_missing_cell_names_actor_message_and_state)
{
	struct duo_run r;

	duo_open(&r, NULL);
	ck_assert(panics(&r, (struct kvr_msg){ .type = KVR_MSG_PONG, .to = KVR_ID_ROUTER }));
	ck_assert_str_eq(why, "router: PONG in IDLE: no cell");
	duo_close(&r);
}
END_TEST

START_TEST(a_handler_may_not_go_where_its_cell_does_not_say)
{
	struct duo_run r;

	duo_open(&r, NULL);
	ck_assert(panics(&r, (struct kvr_msg){ .type = KVR_MSG_DIALED, .to = KVR_ID_ROUTER }));
	ck_assert_str_eq(
	    why, "router: DIALED in IDLE: goes to a state that its cell does not allow");
	ck_assert_uint_eq(r.front.state, DUO_IDLE);
	duo_close(&r);
}
END_TEST

START_TEST(a_message_that_is_none_is_refused)
{
	struct duo_run r;

	duo_open(&r, NULL);
	ck_assert(panics(&r, (struct kvr_msg){ .type = KVR_MSG_N, .to = KVR_ID_ROUTER }));
	duo_close(&r);
}
END_TEST

START_TEST(the_digest_kept_is_the_digest_of_the_bytes)
{
	struct duo_run r;

	duo_open(&r, NULL);
	for (uint32_t i = 0; i < 200; i++) {
		duo_work(&r, i, 5);
		ck_assert_uint_eq(r.front.digest, kvr_actor_digest(&r.front));
		ck_assert_uint_eq(r.back.digest, kvr_actor_digest(&r.back));
	}
	ck_assert_uint_eq(r.n_complete, 1000);
	ck_assert_uint_ne(r.front.digest, 0);
	memset(r.front.self, 0, sizeof(struct duo_front));
	ck_assert_uint_eq(kvr_actor_digest(&r.front), 0);
	duo_close(&r);
}
END_TEST

START_TEST(a_forgotten_touch_is_found)
{
	struct duo_run r;

	duo_open(&r, NULL);
	duo_work(&r, 1, 10);
	duo_post(&r, (struct kvr_msg){ .type = KVR_MSG_HANG_UP, .to = KVR_ID_ROUTER });
	ck_assert_uint_ne(r.front.digest, kvr_actor_digest(&r.front));
	duo_close(&r);
}
END_TEST

START_TEST(one_seed_is_one_run)
{
	struct duo_run a, b, c;

	duo_open(&a, NULL);
	duo_open(&b, NULL);
	duo_open(&c, NULL);
	duo_work(&a, 7, 300);
	duo_work(&b, 7, 300);
	duo_work(&c, 8, 300);
	ck_assert_uint_eq(a.mixed, b.mixed);
	ck_assert_mem_eq(a.front.self, b.front.self, sizeof(struct duo_front));
	ck_assert_uint_ne(a.mixed, c.mixed);
	duo_close(&a);
	duo_close(&b);
	duo_close(&c);
}
END_TEST

/* What the handler did not set in a message must not come from the stack into the digest. */
START_TEST(effects_are_the_same_bytes_whatever_was_there)
{
	static struct kvr_out out[2];
	struct duo_run r;

	duo_open(&r, NULL);
	for (int i = 0; i < 2; i++) {
		struct kvr_msg m;

		memset(&out[i], i == 0 ? 0x00 : 0xff, sizeof(out[i]));
		memset(&m, i == 0 ? 0x5a : 0xa5, sizeof(m));
		out[i].n = 0;
		out[i].actor = &r.front;
		out[i].step = 9;
		m.type = KVR_MSG_STOP;
		m.n_rows = 0;
		m.op = m.deadline_ns = 1;
		m.rows = m.part = 2;
		m.STOP.drain = 3;
		m.STOP.spare = 4;
		kvr_send(&out[i], KVR_ID_API, &m);
		kvr_later(&out[i], 1, 2, 3);
	}
	ck_assert_uint_eq(out[0].n, 2);
	ck_assert_mem_eq(out[0].fx, out[1].fx, 2 * sizeof(out[0].fx[0]));
	ck_assert_uint_eq(out[0].fx[0].msg.from, KVR_ID_ROUTER);
	ck_assert_uint_eq(out[0].fx[0].msg.cause, 9);
	duo_close(&r);
}
END_TEST

static char blind_self[64] __attribute__((aligned(64)));

START_TEST(touching_outside_of_the_state_is_a_bug)
{
	struct duo_run r;

	duo_open(&r, NULL);
	why[0] = '\0';
	kvr_on_panic(caught, NULL);
	r.out.actor = &r.front;
	if (setjmp(back) == 0)
		kvr_touch(&r.out, blind_self, 1);
	ck_assert_str_ne(why, "");
	why[0] = '\0';
	if (setjmp(back) == 0)
		kvr_touch(&r.out, (char *)r.front.self + sizeof(struct duo_front) - 8, 9);
	ck_assert_str_ne(why, "");
	kvr_on_panic(NULL, NULL);
	duo_close(&r);
}
END_TEST

START_TEST(the_hash_of_a_spec_tells_a_changed_table)
{
	struct kvr_spec other = duo_front_spec;
	static struct kvr_cell table[2][KVR_MSG_N];

	memcpy(table, duo_front_spec.table, sizeof(table));
	other.table = (const struct kvr_cell(*)[KVR_MSG_N])table;
	ck_assert_uint_eq(kvr_spec_hash(&other), kvr_spec_hash(&duo_front_spec));
	table[1][KVR_MSG_TIMER].to |= KVR_TO(DUO_IDLE);
	ck_assert_uint_ne(kvr_spec_hash(&other), kvr_spec_hash(&duo_front_spec));
	ck_assert_uint_ne(kvr_spec_hash(&duo_front_spec), kvr_spec_hash(&duo_back_spec));
}
END_TEST

KVR_CHECK_MAIN("runtime.actor", a_missing_cell_names_actor_message_and_state,
    a_handler_may_not_go_where_its_cell_does_not_say, a_message_that_is_none_is_refused,
    the_digest_kept_is_the_digest_of_the_bytes, a_forgotten_touch_is_found, one_seed_is_one_run,
    effects_are_the_same_bytes_whatever_was_there, touching_outside_of_the_state_is_a_bug,
    the_hash_of_a_spec_tells_a_changed_table)
