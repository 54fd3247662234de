/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_replay.h"
#include "kvr_check.h"
#include "trace_bed.h"
#include "duo.h"

#include <stdio.h>
#include <string.h>

/* ---- the same ---- */

START_TEST(a_whole_trace_replays_to_the_same_state)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(16), 0);
	struct duo_run run;

	duo_open(&run, t);
	duo_work(&run, 11, 2000);
	struct kvr_trace_view *v = bed_copy(t);
	struct kvr_replay *r = bed_replay(v);
	uint64_t steps = 0;
	ck_assert_int_eq(kvr_replay_all(r, &steps, &bed_diff), KVR_OK);
	ck_assert_uint_eq(steps, run.n_steps);
	ck_assert_mem_eq(
	    kvr_replay_actor(r, KVR_ID_ROUTER)->self, run.front.self, sizeof(struct duo_front));
	ck_assert_mem_eq(
	    kvr_replay_actor(r, KVR_ID_TIER_OF(0))->self, run.back.self, sizeof(struct duo_back));
	ck_assert_ptr_null(kvr_replay_actor(r, KVR_ID_METRICS));
	ck_assert_int_eq(kvr_replay_next(r, &bed_diff), KVR_E_MISS);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

START_TEST(a_wrapped_trace_replays_from_its_snapshot)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run run;
	uint32_t from_snapshot = 0;

	duo_open(&run, t);
	for (uint64_t round = 0; round < 40; round++) {
		duo_work(&run, round, 333);
		struct kvr_trace_view *v = bed_copy(t);
		uint64_t steps = bed_all_same(v);
		ck_assert_uint_gt(steps, 500);
		from_snapshot += kvr_trace_view_at(v, 0)->number != 1;
		kvr_trace_view_free(v);
	}
	ck_assert_uint_gt(from_snapshot, 20);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

START_TEST(seeking_back_is_seeking_forth)
{
	enum { PLACES = 12 };
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run run;
	static uint64_t digest[PLACES][2];

	duo_open(&run, t);
	duo_work(&run, 5, 6000);
	struct kvr_trace_view *v = bed_copy(t);
	struct kvr_replay *r = bed_replay(v);
	uint64_t first = kvr_trace_view_first_start(v), n = kvr_trace_view_count(v);
	ck_assert_uint_gt(first, 0);
	for (uint64_t i = 0; i < PLACES; i++) {
		ck_assert_int_eq(
		    kvr_replay_seek(r, first + i * (n - first) / PLACES, &bed_diff), KVR_OK);
		digest[i][0] = kvr_actor_digest(kvr_replay_actor(r, KVR_ID_ROUTER));
		digest[i][1] = kvr_actor_digest(kvr_replay_actor(r, KVR_ID_TIER_OF(0)));
	}
	for (uint64_t i = PLACES; i-- > 0;) {
		uint64_t to = first + i * (n - first) / PLACES;
		ck_assert_int_eq(kvr_replay_seek(r, to, &bed_diff), KVR_OK);
		ck_assert_uint_eq(kvr_replay_position(r), to);
		ck_assert_uint_eq(kvr_replay_actor(r, KVR_ID_ROUTER)->digest, digest[i][0]);
		ck_assert_uint_eq(kvr_replay_actor(r, KVR_ID_TIER_OF(0))->digest, digest[i][1]);
	}
	ck_assert_uint_ne(digest[0][1], digest[PLACES - 1][1]);
	ck_assert_int_eq(kvr_replay_seek(r, 0, &bed_diff), KVR_E_MISS);
	ck_assert_int_eq(kvr_replay_seek(r, n + 1, &bed_diff), KVR_E_MISS);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

/* ---- another decision ---- */

struct changed {
	uint8_t *bytes;
	uint64_t len;
};

static struct changed
recorded(uint32_t n)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run run;
	struct changed c;

	duo_open(&run, t);
	duo_work(&run, 3, n);
	const void *bytes = kvr_trace_bytes(t, &c.len);
	c.bytes = malloc(c.len);
	ck_assert_ptr_nonnull(c.bytes);
	memcpy(c.bytes, bytes, c.len);
	duo_close(&run);
	kvr_trace_close(t);
	return c;
}

/* The n-th record (from 0) of that message. */
static struct kvr_rec_step *
find_step(const struct changed *c, uint16_t type, uint32_t n)
{
	uint64_t at = ((const struct kvr_trace_head *)(const void *)c->bytes)->head_bytes;

	for (;;) {
		struct kvr_rec_step *s = (struct kvr_rec_step *)(void *)(c->bytes + at);
		ck_assert_uint_gt(s->rec.len, 0);
		if (s->rec.kind == KVR_REC_STEP && s->msg.type == type && n-- == 0)
			return s;
		at += s->rec.len;
	}
}

static enum kvr_replay_what
first_difference(const struct changed *c, struct kvr_rec_step *s)
{
	struct kvr_trace_view *v = NULL;
	uint64_t steps = 0;

	s->rec.sum = kvr_rec_sum(&s->rec, s->rec.len);
	ck_assert_int_eq(
	    kvr_trace_view_copy(c->bytes, c->len, &v, bed_why, sizeof(bed_why)), KVR_OK);
	struct kvr_replay *r = bed_replay(v);
	enum kvr_err err = kvr_replay_all(r, &steps, &bed_diff);
	ck_assert_int_eq(err, KVR_E_CORRUPT);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	return bed_diff.what;
}

START_TEST(a_flipped_bit_is_reported_at_its_record)
{
	struct changed c = recorded(50);
	struct kvr_rec_step *submit = find_step(&c, KVR_MSG_SUBMIT, 20);
	struct kvr_rec_step *part = find_step(&c, KVR_MSG_PART, 30);
	struct kvr_row *rows = (struct kvr_row *)(void *)(submit + 1);
	char want[64];

	struct {
		struct kvr_rec_step *at;
		void *byte;
		enum kvr_replay_what what;
	} flips[] = {
		{ submit, &submit->msg.deadline_ns, KVR_REPLAY_DIGEST }, /* the timer it sets */
		{ submit, &submit->msg.op, KVR_REPLAY_DIGEST },
		{ submit, &rows[0].len, KVR_REPLAY_DIGEST },
		{ submit, &submit->step, KVR_REPLAY_DIGEST },
		{ submit, &submit->digest, KVR_REPLAY_DIGEST },
		{ submit, &submit->before, KVR_REPLAY_BEFORE },
		{ submit, &submit->after, KVR_REPLAY_AFTER },
		{ submit, &submit->n_fx, KVR_REPLAY_EFFECTS },
		{ submit, &submit->msg.rows, KVR_REPLAY_DIGEST },
		{ part, &part->msg.PART.cls, KVR_REPLAY_AFTER },
		{ part, &part->digest, KVR_REPLAY_DIGEST },
	};
	for (size_t i = 0; i < KVR_LEN(flips); i++) {
		*(uint8_t *)flips[i].byte ^= 1;
		enum kvr_replay_what what = first_difference(&c, flips[i].at);
		ck_assert_msg(what == flips[i].what, "flip %zu: %s", i, bed_diff.text);
		ck_assert_uint_eq(bed_diff.number, flips[i].at->rec.number);
		snprintf(want, sizeof(want), "step %u, ", (unsigned)flips[i].at->step);
		ck_assert_msg(strncmp(bed_diff.text, want, strlen(want)) == 0, "%s", bed_diff.text);
		*(uint8_t *)flips[i].byte ^= 1;
		flips[i].at->rec.sum = kvr_rec_sum(&flips[i].at->rec, flips[i].at->rec.len);
	}
	free(c.bytes);
}
END_TEST

/* Number 0 is what break_at says when nobody is to be stopped: a signal would end the process. */
START_TEST(a_step_of_no_number_stops_nobody)
{
	struct changed c = recorded(5);
	struct kvr_rec_step *submit = find_step(&c, KVR_MSG_SUBMIT, 2);

	submit->step = 0;
	ck_assert_int_eq(first_difference(&c, submit), KVR_REPLAY_DIGEST);
	free(c.bytes);
}
END_TEST

static struct kvr_spec other_spec;
static uint16_t other_id;

static const struct kvr_spec *
find_other(uint16_t id)
{
	return id == other_id ? (other_spec.name == NULL ? NULL : &other_spec) : duo_find(id);
}

static kvr_handler *timer_then;

/* As the program would be after a change: counts one more. */
static unsigned
timer_now(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	unsigned next = timer_then(self, ev, out);

	((struct duo_front *)self)->fired++;
	return next;
}

START_TEST(another_program_is_told_before_or_where_it_differs)
{
	static struct kvr_cell table[2][KVR_MSG_N];
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run run;
	struct kvr_replay *r = NULL;
	uint64_t steps;

	duo_open(&run, t);
	duo_work(&run, 3, 10);
	const struct kvr_msg timer = { .type = KVR_MSG_TIMER,
		.to = KVR_ID_ROUTER,
		.TIMER = { .timer = 63,
		    .gen = ((struct duo_front *)run.front.self)->slot[63].timer_gen } };
	duo_post(&run, timer);
	struct kvr_trace_view *v = bed_copy(t);

	other_id = KVR_ID_TIER_OF(0);
	ck_assert_int_eq(
	    kvr_replay_open(v, find_other, true, &r, bed_why, sizeof(bed_why)), KVR_E_UNSUPPORTED);
	ck_assert_str_eq(bed_why, "tier 0: this program has no such actor");

	other_id = KVR_ID_ROUTER;
	other_spec = duo_front_spec;
	other_spec.self_size += 64;
	ck_assert_int_eq(
	    kvr_replay_open(v, find_other, true, &r, bed_why, sizeof(bed_why)), KVR_E_UNSUPPORTED);
	ck_assert_str_eq(
	    bed_why, "router: its state had 2112 bytes then and has 2176 in this program");

	other_spec = duo_front_spec;
	memcpy(table, duo_front_spec.table, sizeof(table));
	table[0][KVR_MSG_PING] = table[0][KVR_MSG_TIMER];
	other_spec.table = (const struct kvr_cell(*)[KVR_MSG_N])table;
	ck_assert_int_eq(
	    kvr_replay_open(v, find_other, false, &r, bed_why, sizeof(bed_why)), KVR_E_UNSUPPORTED);
	ck_assert_str_eq(bed_why,
	    "router: its states or cells are others in this program (2 states then, 2 now)");
	ck_assert_int_eq(
	    kvr_replay_open(v, find_other, true, &r, bed_why, sizeof(bed_why)), KVR_OK);
	ck_assert_int_eq(
	    kvr_replay_all(r, &steps, &bed_diff), KVR_OK); /* nothing used the new cell */
	kvr_replay_free(r);

	timer_then = table[0][KVR_MSG_TIMER].fn;
	table[0][KVR_MSG_TIMER].fn = timer_now;
	ck_assert_int_eq(
	    kvr_replay_open(v, find_other, true, &r, bed_why, sizeof(bed_why)), KVR_OK);
	ck_assert_int_eq(kvr_replay_all(r, &steps, &bed_diff), KVR_E_CORRUPT);
	ck_assert_int_eq(bed_diff.what, KVR_REPLAY_DIGEST);
	ck_assert_int_eq(bed_diff.type, KVR_MSG_TIMER);
	ck_assert_uint_eq(bed_diff.number, run.n_steps);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

START_TEST(an_invariant_that_breaks_then_or_now_is_told)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run run;
	struct kvr_event ev = { .now_ns = 5, .msg = duo_continue(0, 1) };
	uint64_t steps;

	duo_open(&run, t);
	kvr_trace_broken(t, &run.front, &ev, run.front.state, 3, "front.c:1: then");
	struct kvr_trace_view *v = bed_copy(t);
	struct kvr_replay *r = bed_replay(v);
	ck_assert_int_eq(kvr_replay_all(r, &steps, &bed_diff), KVR_E_CORRUPT);
	ck_assert_int_eq(bed_diff.what, KVR_REPLAY_WHOLE);
	ck_assert_uint_eq(bed_diff.number, 3);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	kvr_trace_close(t);

	/* CANCEL for the reason 0 is fine with front, for any other it is not. */
	run.trace = t = bed_trace("none", KVR_MIB(1), 0);
	duo_close(&run);
	duo_open(&run, t);
	run.out.step = 3;
	ev.msg = (struct kvr_msg){ .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER };
	ev.msg.CANCEL.reason = 1;
	kvr_trace_step(t, &run.front, &ev, run.front.state, 0, &run.out);
	v = bed_copy(t);
	r = bed_replay(v);
	ck_assert_int_eq(kvr_replay_all(r, &steps, &bed_diff), KVR_E_CORRUPT);
	ck_assert_int_eq(bed_diff.what, KVR_REPLAY_BROKEN);
	ck_assert_ptr_nonnull(strstr(bed_diff.text, "ev->msg.CANCEL.reason == 0"));
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

START_TEST(a_forgotten_touch_shows_at_the_snapshot)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run run;
	uint64_t steps;

	duo_open(&run, t);
	duo_work(&run, 3, 10);
	duo_post(&run, (struct kvr_msg){ .type = KVR_MSG_HANG_UP, .to = KVR_ID_ROUTER });
	kvr_trace_snapshot(t, run.both, 2, run.now_ns);
	struct kvr_trace_view *v = bed_copy(t);
	struct kvr_replay *r = bed_replay(v);
	ck_assert_int_eq(kvr_replay_all(r, &steps, &bed_diff), KVR_E_CORRUPT);
	ck_assert_int_eq(bed_diff.what, KVR_REPLAY_SNAPSHOT);
	ck_assert_ptr_nonnull(strstr(bed_diff.text, "no step had touched"));
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

KVR_CHECK_MAIN("runtime.replay", a_whole_trace_replays_to_the_same_state,
    a_wrapped_trace_replays_from_its_snapshot, seeking_back_is_seeking_forth,
    a_flipped_bit_is_reported_at_its_record, a_step_of_no_number_stops_nobody,
    another_program_is_told_before_or_where_it_differs,
    an_invariant_that_breaks_then_or_now_is_told, a_forgotten_touch_shows_at_the_snapshot)
