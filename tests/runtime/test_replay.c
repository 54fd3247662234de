/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_replay.h"
#include "kvr_trace_text.h"
#include "kvr_domain.h"
#include "kvr_thread.h"
#include "kvr_check.h"
#include "duo.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char why[256];
static struct kvr_replay_diff diff;

static struct kvr_trace *
open_trace(const char *dir, uint64_t size)
{
	const struct kvr_trace_options o = { .dir = dir, .size = size, .instance = "replay" };
	struct kvr_trace *t = NULL;

	ck_assert_int_eq(kvr_trace_open(&o, &t, why, sizeof(why)), KVR_OK);
	return t;
}

static struct kvr_trace_view *
copy_of(const struct kvr_trace *t)
{
	struct kvr_trace_view *v = NULL;
	uint64_t len;
	const void *bytes = kvr_trace_bytes(t, &len);

	ck_assert_msg(kvr_trace_view_copy(bytes, len, &v, why, sizeof(why)) == KVR_OK, "%s", why);
	return v;
}

static struct kvr_replay *
replay_of(const struct kvr_trace_view *v)
{
	struct kvr_replay *r = NULL;

	ck_assert_msg(kvr_replay_open(v, duo_find, false, &r, why, sizeof(why)) == KVR_OK, "%s", why);
	return r;
}

static uint64_t
all_same(const struct kvr_trace_view *v)
{
	struct kvr_replay *r = replay_of(v);
	uint64_t steps = 0;

	ck_assert_msg(kvr_replay_all(r, &steps, &diff) == KVR_OK, "%s", diff.text);
	ck_assert_int_eq(diff.what, KVR_REPLAY_SAME);
	kvr_replay_free(r);
	return steps;
}

/* ---- the same ---- */

START_TEST(a_whole_trace_replays_to_the_same_state)
{
	struct kvr_trace *t = open_trace("none", KVR_MIB(16));
	struct duo_run run;

	duo_open(&run, t);
	duo_work(&run, 11, 2000);
	struct kvr_trace_view *v = copy_of(t);
	struct kvr_replay *r = replay_of(v);
	uint64_t steps = 0;
	ck_assert_int_eq(kvr_replay_all(r, &steps, &diff), KVR_OK);
	ck_assert_uint_eq(steps, run.n_steps);
	ck_assert_mem_eq(kvr_replay_actor(r, KVR_ID_ROUTER)->self, run.front.self,
	    sizeof(struct duo_front));
	ck_assert_mem_eq(kvr_replay_actor(r, KVR_ID_TIER_OF(0))->self, run.back.self,
	    sizeof(struct duo_back));
	ck_assert_ptr_null(kvr_replay_actor(r, KVR_ID_METRICS));
	ck_assert_int_eq(kvr_replay_next(r, &diff), KVR_E_MISS);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

START_TEST(a_wrapped_trace_replays_from_its_snapshot)
{
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));
	struct duo_run run;
	uint32_t from_snapshot = 0;

	duo_open(&run, t);
	for (uint64_t round = 0; round < 40; round++) {
		duo_work(&run, round, 333);
		struct kvr_trace_view *v = copy_of(t);
		uint64_t steps = all_same(v);
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
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));
	struct duo_run run;
	static uint64_t digest[PLACES][2];

	duo_open(&run, t);
	duo_work(&run, 5, 6000);
	struct kvr_trace_view *v = copy_of(t);
	struct kvr_replay *r = replay_of(v);
	uint64_t first = kvr_trace_view_first_start(v), n = kvr_trace_view_count(v);
	ck_assert_uint_gt(first, 0);
	for (uint64_t i = 0; i < PLACES; i++) {
		ck_assert_int_eq(kvr_replay_seek(r, first + i * (n - first) / PLACES, &diff), KVR_OK);
		digest[i][0] = kvr_actor_digest(kvr_replay_actor(r, KVR_ID_ROUTER));
		digest[i][1] = kvr_actor_digest(kvr_replay_actor(r, KVR_ID_TIER_OF(0)));
	}
	for (uint64_t i = PLACES; i-- > 0;) {
		uint64_t to = first + i * (n - first) / PLACES;
		ck_assert_int_eq(kvr_replay_seek(r, to, &diff), KVR_OK);
		ck_assert_uint_eq(kvr_replay_position(r), to);
		ck_assert_uint_eq(kvr_replay_actor(r, KVR_ID_ROUTER)->digest, digest[i][0]);
		ck_assert_uint_eq(kvr_replay_actor(r, KVR_ID_TIER_OF(0))->digest, digest[i][1]);
	}
	ck_assert_uint_ne(digest[0][1], digest[PLACES - 1][1]);
	ck_assert_int_eq(kvr_replay_seek(r, 0, &diff), KVR_E_MISS);
	ck_assert_int_eq(kvr_replay_seek(r, n + 1, &diff), KVR_E_MISS);
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
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));
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
	ck_assert_int_eq(kvr_trace_view_copy(c->bytes, c->len, &v, why, sizeof(why)), KVR_OK);
	struct kvr_replay *r = replay_of(v);
	enum kvr_err err = kvr_replay_all(r, &steps, &diff);
	ck_assert_int_eq(err, KVR_E_CORRUPT);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	return diff.what;
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
		void                *byte;
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
		ck_assert_msg(what == flips[i].what, "flip %zu: %s", i, diff.text);
		ck_assert_uint_eq(diff.number, flips[i].at->rec.number);
		snprintf(want, sizeof(want), "record %u, ", (unsigned)flips[i].at->rec.number);
		ck_assert_msg(strncmp(diff.text, want, strlen(want)) == 0, "%s", diff.text);
		*(uint8_t *)flips[i].byte ^= 1;
		flips[i].at->rec.sum = kvr_rec_sum(&flips[i].at->rec, flips[i].at->rec.len);
	}
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
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));
	struct duo_run run;
	struct kvr_replay *r = NULL;
	uint64_t steps;

	duo_open(&run, t);
	duo_work(&run, 3, 10);
	const struct kvr_msg timer = { .type = KVR_MSG_TIMER, .to = KVR_ID_ROUTER,
		.TIMER = { .timer = 63, .gen = ((struct duo_front *)run.front.self)->slot[63].timer_gen } };
	duo_post(&run, timer);
	struct kvr_trace_view *v = copy_of(t);

	other_id = KVR_ID_TIER_OF(0);
	ck_assert_int_eq(kvr_replay_open(v, find_other, true, &r, why, sizeof(why)), KVR_E_UNSUPPORTED);
	ck_assert_str_eq(why, "tier 0: this program has no such actor");

	other_id = KVR_ID_ROUTER;
	other_spec = duo_front_spec;
	other_spec.self_size += 64;
	ck_assert_int_eq(kvr_replay_open(v, find_other, true, &r, why, sizeof(why)), KVR_E_UNSUPPORTED);
	ck_assert_str_eq(why, "router: its state has another size in this program");

	other_spec = duo_front_spec;
	memcpy(table, duo_front_spec.table, sizeof(table));
	table[0][KVR_MSG_PING] = table[0][KVR_MSG_TIMER];
	other_spec.table = (const struct kvr_cell (*)[KVR_MSG_N])table;
	ck_assert_int_eq(kvr_replay_open(v, find_other, false, &r, why, sizeof(why)), KVR_E_UNSUPPORTED);
	ck_assert_str_eq(why, "router: its states, messages or cells are others in this program");
	ck_assert_int_eq(kvr_replay_open(v, find_other, true, &r, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(kvr_replay_all(r, &steps, &diff), KVR_OK); /* nothing used the new cell */
	kvr_replay_free(r);

	timer_then = table[0][KVR_MSG_TIMER].fn;
	table[0][KVR_MSG_TIMER].fn = timer_now;
	ck_assert_int_eq(kvr_replay_open(v, find_other, true, &r, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(kvr_replay_all(r, &steps, &diff), KVR_E_CORRUPT);
	ck_assert_int_eq(diff.what, KVR_REPLAY_DIGEST);
	ck_assert_int_eq(diff.type, KVR_MSG_TIMER);
	ck_assert_uint_eq(diff.number, run.n_steps);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

START_TEST(a_forgotten_touch_shows_at_the_snapshot)
{
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));
	struct duo_run run;
	uint64_t steps;

	duo_open(&run, t);
	duo_work(&run, 3, 10);
	duo_post(&run, (struct kvr_msg){ .type = KVR_MSG_HANG_UP, .to = KVR_ID_ROUTER });
	kvr_trace_snapshot(t, run.both, 2, run.now_ns);
	struct kvr_trace_view *v = copy_of(t);
	struct kvr_replay *r = replay_of(v);
	ck_assert_int_eq(kvr_replay_all(r, &steps, &diff), KVR_E_CORRUPT);
	ck_assert_int_eq(diff.what, KVR_REPLAY_SNAPSHOT);
	ck_assert_ptr_nonnull(strstr(diff.text, "no step had touched"));
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

/* ---- with a real domain ---- */

struct world {
	struct kvr_ledger  *ledger;
	struct kvr_domain  *domain;
	struct kvr_mailbox *work;
	struct kvr_trace   *trace;
	pthread_mutex_t     lock;
	pthread_cond_t      cond;
	uint64_t            n_complete, n_stopped;
	uint64_t            done_gen[DUO_SLOTS];
};

static void
outside(void *arg, const struct kvr_msg *m, const struct kvr_row *rows)
{
	struct world *w = arg;

	(void)rows;
	pthread_mutex_lock(&w->lock);
	if (m->type == KVR_MSG_COMPLETE) {
		w->done_gen[m->op % DUO_SLOTS] = m->op >> 32;
		w->n_complete++;
	}
	w->n_stopped += m->type == KVR_MSG_STOPPED;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void
work(void *arg)
{
	struct world *w = arg;
	struct kvr_msg m;

	while (kvr_mailbox_take(w->work, UINT64_MAX, &m) == KVR_OK && m.type != KVR_MSG_STOP) {
		struct kvr_msg done = duo_part_done(&m);

		for (uint32_t i = 0; i < m.n_rows; i++)
			w->ledger->rows[m.rows + i].len *= 2;
		ck_assert_int_eq(kvr_domain_post(w->domain, &done), KVR_OK);
	}
}

static void
open_world(struct world *w, struct kvr_trace *t)
{
	struct kvr_domain_options o = { .name = "replay", .outside = outside, .arg = w, .poison = true,
		.trace = t };
	const struct kvr_msg start[] = { duo_start(KVR_ID_ROUTER, 9), duo_start(KVR_ID_TIER_OF(0), 9) };

	memset(w, 0, sizeof(*w));
	w->trace = t;
	o.ledger = w->ledger = kvr_ledger_new(0);
	ck_assert_int_eq(pthread_mutex_init(&w->lock, NULL), 0);
	kvr_cond_init(&w->cond);
	ck_assert_int_eq(kvr_domain_open(&o, &w->domain), KVR_OK);
	ck_assert_int_eq(kvr_domain_add(w->domain, KVR_ID_ROUTER, &duo_front_spec), KVR_OK);
	ck_assert_int_eq(kvr_domain_add(w->domain, KVR_ID_TIER_OF(0), &duo_back_spec), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_open("work", DUO_SLOTS + 1, NULL, NULL, &w->work), KVR_OK);
	kvr_domain_attach(w->domain, KVR_ID_WORKER_OF(0, 0), w->work);
	ck_assert_int_eq(kvr_domain_start(w->domain), KVR_OK);
	ck_assert_int_eq(kvr_domain_post(w->domain, &start[0]), KVR_OK);
	ck_assert_int_eq(kvr_domain_post(w->domain, &start[1]), KVR_OK);
}

struct caller {
	struct world *w;
	uint32_t      slot, n;
};

static void
call(void *arg)
{
	struct caller *c = arg;
	struct world *w = c->w;

	for (uint32_t i = 1; i <= c->n; i++) {
		uint32_t n = 1 + i % DUO_ROWS;
		struct kvr_msg m = duo_submit(c->slot, i, n, i % 4 != 0, kvr_now_ns() + KVR_MS(i % 50));
		bool in_time = true;

		for (uint32_t k = 0; k < n; k++)
			w->ledger->rows[c->slot * DUO_ROWS + k] = (struct kvr_row){ .len = i * k };
		ck_assert_int_eq(kvr_domain_post(w->domain, &m), KVR_OK);
		pthread_mutex_lock(&w->lock);
		while (w->done_gen[c->slot] != i && in_time)
			in_time = kvr_cond_wait(&w->cond, &w->lock, kvr_now_ns() + KVR_SEC(200));
		pthread_mutex_unlock(&w->lock);
		ck_assert(in_time);
	}
}

static void
run_callers(struct world *w, uint32_t n)
{
	const struct kvr_msg stop = { .type = KVR_MSG_STOP };
	struct kvr_thread *worker, *t[4];
	struct caller c[4];

	ck_assert_int_eq(kvr_thread_start("worker", work, w, &worker), KVR_OK);
	for (uint32_t i = 0; i < 4; i++) {
		c[i] = (struct caller){ w, i, n };
		ck_assert_int_eq(kvr_thread_start("caller", call, &c[i], &t[i]), KVR_OK);
	}
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(kvr_thread_join(t[i], UINT64_MAX), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_post(w->work, &stop), KVR_OK);
	ck_assert_int_eq(kvr_thread_join(worker, UINT64_MAX), KVR_OK);
}

static void
close_world(struct world *w)
{
	kvr_domain_free(w->domain);
	kvr_mailbox_close(w->work);
	kvr_ledger_free(w->ledger);
}

/* Workers and callers write rows while snapshots are taken: the replay must not see that. */
START_TEST(a_domain_with_many_threads_replays)
{
	struct world w;
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));

	open_world(&w, t);
	run_callers(&w, 3000);
	close_world(&w);
	struct kvr_trace_view *v = copy_of(t);
	ck_assert_uint_gt(kvr_trace_view_at(v, 0)->number, 1); /* it wrapped */
	ck_assert_uint_gt(all_same(v), 1000);
	uint64_t last = kvr_trace_view_count(v) - 1;
	ck_assert_uint_eq(kvr_rec_mark(kvr_trace_view_at(v, last))->mark, KVR_MARK_CLOSED);
	kvr_trace_view_free(v);
	kvr_trace_close(t);
}
END_TEST

START_TEST(the_step_that_broke_is_recorded_and_breaks_again)
{
	struct world w;
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));
	struct kvr_msg cancel = { .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER };

	open_world(&w, t);
	run_callers(&w, 20);
	cancel.CANCEL.reason = KVR_E_TIMEOUT;
	ck_assert_int_eq(kvr_domain_post(w.domain, &cancel), KVR_OK);
	pthread_mutex_lock(&w.lock);
	while (w.n_stopped == 0)
		ck_assert(kvr_cond_wait(&w.cond, &w.lock, kvr_now_ns() + KVR_SEC(200)));
	pthread_mutex_unlock(&w.lock);
	close_world(&w);
	struct kvr_trace_view *v = copy_of(t);
	ck_assert_uint_gt(all_same(v), 100);
	char line[KVR_TRACE_LINE];
	uint64_t n = kvr_trace_view_count(v);
	kvr_trace_line(kvr_trace_view_head(v), kvr_trace_view_at(v, n - 3), duo_find, line, sizeof(line));
	ck_assert_msg(strstr(line, " CANCEL      IDLE       -> BROKEN ") != NULL, "%s", line);
	ck_assert_msg(strstr(line, " reason TIMEOUT") != NULL, "%s", line);
	kvr_trace_line(kvr_trace_view_head(v), kvr_trace_view_at(v, n - 2), duo_find, line, sizeof(line));
	ck_assert_msg(strstr(line, "-- PANIC duo.c:") != NULL, "%s", line);
	kvr_trace_view_free(v);

	/* A program in which it holds says so. */
	uint64_t len;
	const uint8_t *bytes = kvr_trace_bytes(t, &len);
	struct changed c = { malloc(len), len };
	ck_assert_ptr_nonnull(c.bytes);
	memcpy(c.bytes, bytes, len);
	struct kvr_rec_step *s = find_step(&c, KVR_MSG_CANCEL, 0);
	s->msg.CANCEL.reason = 0;
	s->msg.type = KVR_MSG_CONTINUE;
	ck_assert_int_eq(first_difference(&c, s), KVR_REPLAY_WHOLE);
	free(c.bytes);
	kvr_trace_close(t);
}
END_TEST

START_TEST(a_killed_domain_replays)
{
	char dir[] = "/tmp/kvr-replay-XXXXXX", path[300] = "";
	int ends[2], status = 0;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct world w;

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail before it kills */
		struct kvr_trace *t = open_trace(dir, KVR_MIB(1));

		open_world(&w, t);
		ck_assert_int_gt(write(ends[1], kvr_trace_path(t), strlen(kvr_trace_path(t))), 0);
		run_callers(&w, UINT32_MAX - 1);
		_exit(0);
	}
	ck_assert_int_gt(read(ends[0], path, sizeof(path) - 1), 0);
	struct kvr_trace_view *v = NULL;
	for (uint64_t n = 0; n < 20000;) {
		ck_assert_msg(kvr_trace_view_open(path, &v, why, sizeof(why)) == KVR_OK, "%s", why);
		n = kvr_trace_view_count(v) == 0 ? 0 : kvr_trace_view_at(v, kvr_trace_view_count(v) - 1)->number;
		kvr_trace_view_free(v);
	}
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(kvr_trace_view_open(path, &v, why, sizeof(why)), KVR_OK);
	ck_assert_uint_gt(all_same(v), 1000);
	kvr_trace_view_free(v);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* ---- as text ---- */

START_TEST(a_record_is_one_line_of_fixed_columns)
{
	struct kvr_trace *t = open_trace("none", KVR_MIB(1));
	struct duo_run run;
	char line[KVR_TRACE_LINE], text[128];
	struct kvr_msg m = { .type = KVR_MSG_PART_DONE };

	duo_open(&run, t);
	fflush(stdout);
	run.now_ns = kvr_now_ns();
	run.rows[7 * DUO_ROWS].len = 5;
	duo_post(&run, duo_submit(7, 2, 1, 1, run.now_ns + KVR_MS(20)));
	kvr_trace_snapshot(t, run.both, 2, run.now_ns);
	struct kvr_trace_view *v = copy_of(t);
	const struct kvr_trace_head *h = kvr_trace_view_head(v);
	struct kvr_trace_head at_zero = *h;
	at_zero.opened_mono_ns = run.now_ns - 3737000;
	kvr_trace_line(&at_zero, kvr_trace_view_at(v, 2), duo_find, line, sizeof(line));
	char *digest = strstr(line, " digest ");
	ck_assert_ptr_nonnull(digest);
	*digest = '\0';
	ck_assert_str_eq(line, "[     3.737 ms]      3 router     SUBMIT      IDLE       -> BUSY        "
	    "op 7.2 step 3 from api rows 112+1 deadline 23.737 ms first 112 n 1 kind get effects 2");
	kvr_trace_line(&at_zero, kvr_trace_view_at(v, 3), duo_find, line, sizeof(line));
	ck_assert_msg(strstr(line, "] " "     4 tier 0     PART        IDLE       -> BUSY        op 7.2 step 4 "
	    "cause 3 from router part 7.1 rows 65648+1 cls 1 effects 1 digest ") != NULL, "%s", line);
	kvr_trace_line(&at_zero, kvr_trace_view_at(v, kvr_trace_view_count(v) - 1), duo_find, line,
	    sizeof(line));
	ck_assert_ptr_nonnull(strstr(line, " -- snapshot ends"));
	for (uint64_t i = 0; i < kvr_trace_view_count(v); i++) {
		for (size_t cap = 1; cap < 200; cap += 7) {
			kvr_trace_line(h, kvr_trace_view_at(v, i), NULL, line, cap);
			ck_assert_uint_lt(strlen(line), cap);
			ck_assert_ptr_null(strchr(line, '\n'));
		}
	}
	m.PART_DONE.err = KVR_E_TIMEOUT;
	m.PART_DONE.took_us = 4000000000U;
	m.PART_DONE.cls = 3;
	ck_assert_str_eq(kvr_msg_text(&m, 0, text, sizeof(text)), "err TIMEOUT took_us 4000000000 cls 3");
	m = (struct kvr_msg){ .type = KVR_MSG_OP_STAT };
	m.OP_STAT.err = KVR_E_MISS;
	m.OP_STAT.bytes = 1;
	ck_assert_str_eq(kvr_msg_text(&m, 0, text, sizeof(text)), "err MISS bytes 1");
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

/* Each message can be printed: its fields are parsed from their declarations. */
START_TEST(every_message_has_a_text)
{
	char text[256];

	for (uint16_t type = 0; type < KVR_MSG_N; type++) {
		struct kvr_msg m;

		memset(&m, 0xff, sizeof(m));
		m.type = type;
		kvr_msg_text(&m, 0, text, sizeof(text));
		/* what has no field but spare ones has no text */
		ck_assert_msg(text[0] != '\0' || type == KVR_MSG_PING || type == KVR_MSG_HANG_UP, "%s",
		    kvr_msg_info[type].name);
	}
}
END_TEST

KVR_CHECK_MAIN("runtime.replay", a_whole_trace_replays_to_the_same_state,
    a_wrapped_trace_replays_from_its_snapshot, seeking_back_is_seeking_forth,
    a_flipped_bit_is_reported_at_its_record, another_program_is_told_before_or_where_it_differs,
    a_forgotten_touch_shows_at_the_snapshot, a_domain_with_many_threads_replays,
    the_step_that_broke_is_recorded_and_breaks_again, a_killed_domain_replays,
    a_record_is_one_line_of_fixed_columns, every_message_has_a_text)
