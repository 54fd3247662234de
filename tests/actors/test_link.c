/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_check.h"
#include "kvr_rig.h"

#include <stdlib.h>
#include <string.h>

/* One link alone: the test is its tier and its worker. */
struct alone {
	struct kvr_actor actor;
	struct kvr_out out;
	void *memory;
	struct kvr_row *rows;
	uint64_t now_ns;
};

enum { PLACES = 2 };

static void
step(struct alone *a, struct kvr_msg msg)
{
	struct kvr_event ev = { .now_ns = a->now_ns, .msg = msg };

	if (msg.n_rows > 0)
		ev.rows = &a->rows[msg.rows];
	a->out.row_table = a->rows;
	kvr_step(&a->actor, &ev, &a->out);
	ck_assert_uint_eq(kvr_actor_digest(&a->actor), a->actor.digest);
}

static void
open_alone(struct alone *a)
{
	const struct kvr_link_config config = { .version = 1,
		.size = sizeof(config),
		.tier = 2,
		.lane = 1,
		.places = PLACES,
		.connect_ns = KVR_SEC(1),
		.stuck_ns = KVR_SEC(2) };

	memset(a, 0, sizeof(*a));
	a->memory = aligned_alloc(64, kvr_actor_bytes(&kvr_link_spec));
	memset(a->memory, 0, kvr_actor_bytes(&kvr_link_spec));
	a->rows = calloc(KVR_ROWS_MAX, sizeof(a->rows[0]));
	kvr_actor_init(&a->actor, &kvr_link_spec, KVR_ID_LINK_OF(2, 1), a->memory);
	memcpy(&a->rows[KVR_ROWS_CONFIG], &config, sizeof(config));
	step(a, (struct kvr_msg){ .type = KVR_MSG_START,
	            .n_rows = KVR_CONFIG_ROWS(struct kvr_link_config),
	            .rows = KVR_ROWS_CONFIG });
}

static void
close_alone(struct alone *a)
{
	free(a->memory);
	free(a->rows);
}

static const struct kvr_msg *
sent(const struct alone *a, uint32_t i, uint16_t to, enum kvr_msg_type type)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < a->out.n; k++) {
		if (a->out.fx[k].kind != KVR_FX_SEND || n++ != i)
			continue;
		ck_assert_uint_eq(a->out.fx[k].msg.to, to);
		ck_assert_str_eq(kvr_msg_info[a->out.fx[k].msg.type].name, kvr_msg_info[type].name);
		return &a->out.fx[k].msg;
	}
	ck_abort_msg("the step sends %u messages, number %u was expected", n, i);
	return NULL;
}

static uint32_t
n_sent(const struct alone *a)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < a->out.n; k++)
		n += a->out.fx[k].kind == KVR_FX_SEND;
	return n;
}

#define WORKER KVR_ID_WORKER_OF(2, 1)
#define TIER   KVR_ID_TIER_OF(2)

static void
bring_up(struct alone *a)
{
	step(a, (struct kvr_msg){ .type = KVR_MSG_DIAL });
	step(a, (struct kvr_msg){ .type = KVR_MSG_DIALED });
	ck_assert_uint_eq(a->actor.state, KVR_LINK_UP);
	ck_assert_int_eq(sent(a, 0, TIER, KVR_MSG_LINK_STATE)->LINK_STATE.state, KVR_LINK_UP);
}

static struct kvr_msg
part_msg(uint32_t number, enum kvr_verb verb, uint64_t until_ns)
{
	struct kvr_msg msg = { .type = KVR_MSG_PART,
		.n_rows = 1,
		.op = 7,
		.deadline_ns = until_ns,
		.part = number | 1U << 16 };

	msg.rows = kvr_part_rows(msg.part);
	msg.PART.verb = (uint8_t)verb;
	return msg;
}

static struct kvr_msg
done_msg(uint32_t number, int32_t err)
{
	struct kvr_msg msg = {
		.type = KVR_MSG_PART_DONE, .n_rows = 1, .op = 7, .part = number | 1U << 16
	};

	msg.rows = kvr_part_rows(msg.part);
	msg.PART_DONE.err = err;
	return msg;
}

START_TEST(a_dial_goes_to_the_worker_with_a_deadline)
{
	struct alone a;

	open_alone(&a);
	a.now_ns = 500;
	step(&a, (struct kvr_msg){ .type = KVR_MSG_DIAL });
	ck_assert_uint_eq(a.actor.state, KVR_LINK_DIALING);
	ck_assert_uint_eq(sent(&a, 0, WORKER, KVR_MSG_DIAL)->deadline_ns, 500 + KVR_SEC(1));
	step(&a, (struct kvr_msg){ .type = KVR_MSG_DIALED, .DIALED.err = KVR_E_AUTH });
	ck_assert_uint_eq(a.actor.state, KVR_LINK_DOWN);
	const struct kvr_msg *told = sent(&a, 0, TIER, KVR_MSG_LINK_STATE);

	ck_assert_int_eq(told->LINK_STATE.err, KVR_E_AUTH);
	ck_assert_int_eq(told->LINK_STATE.was_up, 0);
	ck_assert_int_eq(told->LINK_STATE.lane, 1);
	close_alone(&a);
}
END_TEST

START_TEST(a_probe_has_to_be_answered_by_the_store)
{
	struct alone a;
	struct kvr_msg probe = { .type = KVR_MSG_DIAL, .DIAL.probe = 1 };

	open_alone(&a);
	step(&a, probe);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_DIALED });
	ck_assert_uint_eq(a.actor.state, KVR_LINK_HALF_OPEN);
	(void)sent(&a, 0, WORKER, KVR_MSG_PING);
	(void)sent(&a, 1, KVR_ID_METRICS, KVR_MSG_STAGE_STAT);
	ck_assert_uint_eq(n_sent(&a), 2);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_PONG, .PONG.err = KVR_E_TIMEOUT });
	ck_assert_uint_eq(a.actor.state, KVR_LINK_DOWN);
	ck_assert_int_eq(sent(&a, 0, TIER, KVR_MSG_LINK_STATE)->LINK_STATE.was_up, 0);
	step(&a, probe);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_DIALED });
	step(&a, (struct kvr_msg){ .type = KVR_MSG_PONG, .PONG.err = KVR_E_UNSUPPORTED });
	ck_assert_uint_eq(a.actor.state, KVR_LINK_UP);
	/* A probe of a connection that stands makes a new one: the old one may be broken. */
	step(&a, probe);
	ck_assert_uint_eq(a.actor.state, KVR_LINK_DIALING);
	(void)sent(&a, 0, WORKER, KVR_MSG_DIAL);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_DIALED });
	step(&a, (struct kvr_msg){ .type = KVR_MSG_PONG });
	ck_assert_uint_eq(a.actor.state, KVR_LINK_UP);
	close_alone(&a);
}
END_TEST

START_TEST(a_part_that_finds_the_link_down_goes_back_untouched)
{
	struct alone a;

	open_alone(&a);
	step(&a, part_msg(3, KVR_VERB_GET, KVR_SEC(9)));
	const struct kvr_msg *back = sent(&a, 0, TIER, KVR_MSG_PART_DONE);

	ck_assert_int_eq(back->PART_DONE.err, KVR_E_UNFINISHED);
	ck_assert_uint_eq(back->part, 3 | 1U << 16);
	ck_assert_uint_eq(back->deadline_ns, KVR_SEC(9));
	ck_assert_uint_eq(n_sent(&a), 1);
	close_alone(&a);
}
END_TEST

/* Every error of the list: what it does to the connection, and whom the tier hears blamed. */
START_TEST(an_error_costs_what_its_columns_say)
{
	for (int32_t err = 0; err >= KVR_E_DEVICE; err--) {
		struct alone a;
		bool closes = err != 0 && kvr_err_stream(err) == KVR_STREAM_CLOSE;

		open_alone(&a);
		bring_up(&a);
		step(&a, part_msg(3, KVR_VERB_GET, KVR_SEC(9)));
		(void)sent(&a, 0, WORKER, KVR_MSG_PART);
		step(&a, done_msg(3, err));
		ck_assert_uint_eq(a.actor.state, closes ? KVR_LINK_DOWN : KVR_LINK_UP);
		ck_assert_uint_eq(n_sent(&a), closes ? 2 : 1);
		if (closes) { /* why comes before what */
			const struct kvr_msg *told = sent(&a, 0, TIER, KVR_MSG_LINK_STATE);

			ck_assert_int_eq(told->LINK_STATE.err, err);
			ck_assert_int_eq(told->LINK_STATE.was_up, 1);
			ck_assert_int_eq(told->LINK_STATE.blame, kvr_err_blame(err));
		}
		ck_assert_int_eq(sent(&a, closes, TIER, KVR_MSG_PART_DONE)->PART_DONE.err, err);
		close_alone(&a);
	}
}
END_TEST

START_TEST(a_callers_hurry_is_no_fault_but_silence_is)
{
	struct alone a;
	uint32_t rounds = 0;

	open_alone(&a);
	for (uint64_t silent_ns = 0; silent_ns < KVR_SEC(1); rounds++) {
		bring_up(&a);
		if (rounds == 0) { /* progress clears what was silent before */
			step(&a, part_msg(3, KVR_VERB_GET, a.now_ns + KVR_MS(900)));
			a.now_ns += KVR_MS(900);
			struct kvr_msg late = done_msg(3, KVR_E_TIMEOUT);

			late.PART_DONE.bytes = 1;
			step(&a, late);
			bring_up(&a);
		}
		step(&a, part_msg(3, KVR_VERB_GET, a.now_ns + KVR_MS(300)));
		a.now_ns += KVR_MS(300);
		silent_ns += KVR_MS(300);
		step(&a, done_msg(3, KVR_E_TIMEOUT));
		ck_assert_int_eq(sent(&a, 0, TIER, KVR_MSG_LINK_STATE)->LINK_STATE.blame,
		    silent_ns < KVR_SEC(1) ? KVR_BLAME_NONE : KVR_BLAME_LANE);
	}
	ck_assert_uint_eq(rounds, 4);
	close_alone(&a);
}
END_TEST

START_TEST(a_cancel_reaches_the_worker_once_and_only_for_what_is_there)
{
	struct alone a;
	struct kvr_msg cancel = { .type = KVR_MSG_PART_CANCEL, .part = 3 | 1U << 16 };

	open_alone(&a);
	bring_up(&a);
	step(&a, cancel);
	ck_assert_uint_eq(n_sent(&a), 0);
	step(&a, part_msg(3, KVR_VERB_PUT, KVR_SEC(9)));
	step(&a, part_msg(4, KVR_VERB_PUT, KVR_SEC(9)));
	step(&a, cancel);
	ck_assert_uint_eq(sent(&a, 0, WORKER, KVR_MSG_PART_CANCEL)->part, 3 | 1U << 16);
	step(&a, cancel);
	ck_assert_uint_eq(n_sent(&a), 0);
	/* The end cancels the rest, then hangs up. */
	step(&a, (struct kvr_msg){ .type = KVR_MSG_STOP });
	ck_assert_uint_eq(sent(&a, 0, WORKER, KVR_MSG_PART_CANCEL)->part, 4 | 1U << 16);
	(void)sent(&a, 1, WORKER, KVR_MSG_HANG_UP);
	ck_assert_uint_eq(n_sent(&a), 2);
	step(&a, done_msg(3, KVR_E_CANCELLED));
	step(&a, done_msg(4, KVR_E_UNFINISHED));
	(void)sent(&a, 0, TIER, KVR_MSG_PART_DONE);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_STOPPED });
	ck_assert_uint_eq(sent(&a, 0, TIER, KVR_MSG_STOPPED)->STOPPED.lane, 1);
	close_alone(&a);
}
END_TEST

static uint32_t
last_timer(const struct alone *a, uint64_t *ret_at_ns)
{
	for (uint32_t k = a->out.n; k-- > 0;) {
		if (a->out.fx[k].kind == KVR_FX_LATER) {
			*ret_at_ns = a->out.fx[k].at_ns;
			return a->out.fx[k].msg.TIMER.gen;
		}
	}
	ck_abort_msg("no timer is set");
	return 0;
}

START_TEST(a_stuck_worker_is_reported_once_and_again_when_it_comes_back)
{
	struct alone a;
	struct kvr_msg timer = { .type = KVR_MSG_TIMER };
	uint64_t at_ns;

	open_alone(&a);
	bring_up(&a);
	a.now_ns = KVR_SEC(3);
	step(&a, part_msg(3, KVR_VERB_GET, KVR_SEC(4)));
	/* The dial's watch is still set and comes first; it finds nothing overdue and moves on. */
	timer.TIMER.gen = 1;
	step(&a, timer);
	timer.TIMER.gen = last_timer(&a, &at_ns);
	ck_assert_uint_eq(at_ns, KVR_SEC(6));
	a.now_ns = at_ns;
	step(&a, timer);
	const struct kvr_msg *told = sent(&a, 0, TIER, KVR_MSG_LINK_STATE);

	ck_assert_int_eq(told->LINK_STATE.err, KVR_E_STUCK);
	ck_assert_int_eq(told->LINK_STATE.state, KVR_LINK_UP);
	ck_assert_uint_eq(told->LINK_STATE.since_ns, KVR_SEC(3));
	step(&a, timer);
	ck_assert_uint_eq(n_sent(&a), 0);
	step(&a, done_msg(3, KVR_OK));
	told = sent(&a, 0, TIER, KVR_MSG_LINK_STATE);
	ck_assert_int_eq(told->LINK_STATE.err, KVR_OK);
	ck_assert_int_eq(told->LINK_STATE.was_up, 1); /* it is no answer to a dial */
	ck_assert_int_eq(sent(&a, 1, TIER, KVR_MSG_PART_DONE)->PART_DONE.err, KVR_OK);
	close_alone(&a);
}
END_TEST

/* What it has been at since its last answer, not since the first of what it was asked for. */
START_TEST(a_worker_hangs_since_its_last_answer)
{
	struct alone a;
	struct kvr_msg timer = { .type = KVR_MSG_TIMER };
	uint64_t at_ns;

	open_alone(&a);
	bring_up(&a);
	a.now_ns = KVR_SEC(3);
	step(&a, part_msg(3, KVR_VERB_GET, KVR_SEC(10)));
	timer.TIMER.gen = 1; /* the dial's watch */
	step(&a, timer);
	a.now_ns = KVR_SEC(4);
	step(&a, part_msg(4, KVR_VERB_PUT, KVR_SEC(9)));
	timer.TIMER.gen = last_timer(&a, &at_ns);
	a.now_ns = KVR_SEC(5);
	step(&a, done_msg(3, KVR_OK));
	a.now_ns = at_ns;
	step(&a, timer);
	ck_assert_uint_eq(sent(&a, 0, TIER, KVR_MSG_LINK_STATE)->LINK_STATE.since_ns, KVR_SEC(5));
	/* It comes back, rests, and hangs in a ping. */
	step(&a, done_msg(4, KVR_OK));
	a.now_ns = KVR_SEC(60);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_PING });
	timer.TIMER.gen = last_timer(&a, &at_ns);
	a.now_ns = at_ns;
	step(&a, timer);
	ck_assert_uint_eq(sent(&a, 0, TIER, KVR_MSG_LINK_STATE)->LINK_STATE.since_ns, KVR_SEC(60));
	close_alone(&a);
}
END_TEST

/* It would set itself again, and again: one more timer that never ends for each that was moved. */
START_TEST(a_watch_that_was_set_again_is_none)
{
	struct alone a;
	struct kvr_msg old = { .type = KVR_MSG_TIMER };
	uint64_t at_ns;

	open_alone(&a);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_DIAL });
	old.TIMER.gen = last_timer(&a, &at_ns);
	step(&a, (struct kvr_msg){ .type = KVR_MSG_DIALED });
	step(&a, part_msg(3, KVR_VERB_GET, KVR_MS(10)));
	ck_assert_uint_ne(last_timer(&a, &at_ns), old.TIMER.gen);
	uint64_t digest = a.actor.digest;

	step(&a, old);
	ck_assert_uint_eq(a.out.n, 0);
	ck_assert_uint_eq(a.actor.digest, digest);
	close_alone(&a);
}
END_TEST

/* The cells that are left empty on purpose; whoever fills one changes this list. */
START_TEST(what_cannot_happen_has_no_cell)
{
	static const struct {
		uint8_t state, msg;
	} never[] = {
		{ KVR_LINK_DOWN, KVR_MSG_DIALED },
		{ KVR_LINK_DOWN, KVR_MSG_STOPPED },
		{ KVR_LINK_DIALING, KVR_MSG_DIAL },
		{ KVR_LINK_DIALING, KVR_MSG_START },
		{ KVR_LINK_HALF_OPEN, KVR_MSG_PART_DONE },
		{ KVR_LINK_HALF_OPEN, KVR_MSG_DIAL },
		{ KVR_LINK_HALF_OPEN, KVR_MSG_DIALED },
		{ KVR_LINK_UP, KVR_MSG_DIALED },
		{ KVR_LINK_UP, KVR_MSG_STOPPED },
		{ KVR_LINK_CLOSED, KVR_MSG_PART },
		{ KVR_LINK_CLOSED, KVR_MSG_DIAL },
		{ KVR_LINK_CLOSED, KVR_MSG_STOP },
	};

	for (size_t i = 0; i < KVR_LEN(never); i++)
		ck_assert_ptr_null(
		    (void *)(uintptr_t)kvr_link_spec.table[never[i].state][never[i].msg].fn);
}
END_TEST

static struct kvr_rig rig;

START_TEST(transcript_of_a_life)
{
	kvr_rig_defaults(&rig);
	rig.tier.n_links = 1;
	rig.tier.n_control = 0;
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1, .transcript = true });
	kvr_sim_run(rig.sim, KVR_MS(10));
	kvr_sim_note(rig.sim, "a get, then one during which the server goes away");
	kvr_rig_get(&rig, KVR_SEC(1));
	kvr_sim_run(rig.sim, KVR_MS(20));
	kvr_rig_get(&rig, KVR_SEC(1));
	kvr_sim_run(rig.sim, KVR_MS(20));
	kvr_sim_down(rig.sim, 0, true);
	kvr_sim_run(rig.sim, KVR_MS(200));
	kvr_sim_note(rig.sim, "the server is back");
	kvr_sim_down(rig.sim, 0, false);
	kvr_sim_run(rig.sim, KVR_MS(400));
	kvr_rig_get(&rig, KVR_SEC(1));
	kvr_sim_run(rig.sim, KVR_MS(410));
	kvr_sim_note(rig.sim, "the end, with a part in the worker");
	kvr_rig_get(&rig, KVR_SEC(1));
	kvr_sim_run(rig.sim, KVR_MS(410));
	kvr_rig_stop(&rig);
	kvr_sim_run(rig.sim, KVR_SEC(5));
	ck_assert_uint_eq(rig.stopped, 1);
	kvr_rig_settled(&rig);
	kvr_sim_expect(rig.sim, "link_life");
	kvr_rig_close(&rig);
}
END_TEST

KVR_CHECK_MAIN("actors.link", a_dial_goes_to_the_worker_with_a_deadline,
    a_probe_has_to_be_answered_by_the_store, a_part_that_finds_the_link_down_goes_back_untouched,
    an_error_costs_what_its_columns_say, a_callers_hurry_is_no_fault_but_silence_is,
    a_cancel_reaches_the_worker_once_and_only_for_what_is_there,
    a_stuck_worker_is_reported_once_and_again_when_it_comes_back,
    a_worker_hangs_since_its_last_answer,
    a_watch_that_was_set_again_is_none, what_cannot_happen_has_no_cell,
    transcript_of_a_life)
