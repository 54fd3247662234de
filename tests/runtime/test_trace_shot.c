/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of a large state: written in shares with steps between them, and a replay that begins
 * at it must be at the same state all the same. Rows of parts are part of it.
 */
#include "kvr_check.h"
#include "kvr_replay.h"

#include <stdio.h>
#include <string.h>

enum { LINES = 65536, PARTS = 64, MAGIC = KVR_MAGIC('W', 'I', 'D', 'E') };

struct wide {
	uint32_t magic, spare;
	uint64_t rand, sum, steps;
	uint64_t pad[4];
	uint64_t line[LINES][8];
};
_Static_assert(sizeof(struct wide) % 64 == 0, "whole lines");

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct wide *me = self;

	kvr_touch(out, me, 64);
	me->magic = MAGIC;
	me->rand = ev->msg.START.seed;
	return KVR_STAY;
}

/* Some lines become other ones, some become zero again. */
static unsigned
go_on(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct wide, me, self, MAGIC);

	(void)ev;
	kvr_touch(out, me, 64);
	me->steps++;
	for (int i = 0; i < 6; i++) {
		uint64_t draw = kvr_rand(&me->rand);
		uint64_t *line = me->line[draw % LINES];

		kvr_touch(out, line, 64);
		if (draw >> 60 == 0)
			memset(line, 0, 64);
		else
			line[draw >> 16 & 7] += draw;
	}
	return KVR_STAY;
}

/* From a worker the rows come with the record, from a decider they are known from before. */
static unsigned
rows_in(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct wide, me, self, MAGIC);

	kvr_touch(out, me, 64);
	for (uint32_t i = 0; i < ev->msg.n_rows; i++)
		me->sum = me->sum * 31 + ev->rows[i].len;
	return KVR_STAY;
}

static const struct kvr_cell table[1][KVR_MSG_N] = { {
    [KVR_MSG_START] = { start, KVR_TO(KVR_STAY) },
    [KVR_MSG_CONTINUE] = { go_on, KVR_TO(KVR_STAY) },
    [KVR_MSG_PART_DONE] = { rows_in, KVR_TO(KVR_STAY) },
} };
static const char *const names[] = { "ONLY" };

static void
check(const void *self, unsigned state, bool full)
{
	(void)self;
	(void)state;
	(void)full;
}

static const struct kvr_spec spec = {
	.name = "wide",
	.state_name = names,
	.n_states = 1,
	.self_size = sizeof(struct wide),
	.table = table,
	.check = check,
};

static const struct kvr_spec *
find(uint16_t id)
{
	return id == KVR_ID_ROUTER ? &spec : NULL;
}

struct world {
	struct kvr_trace *trace;
	struct kvr_actor actor;
	const struct kvr_actor *actors[1];
	struct kvr_row *rows;
	struct kvr_out out;
	uint64_t step, most, shares, snapshots; /* most: bytes of one share */
};

static uint64_t
written(const struct world *w)
{
	uint64_t len;

	return ((const struct kvr_trace_head *)kvr_trace_bytes(w->trace, &len))->written;
}

static void
take(struct world *w, struct kvr_msg m)
{
	struct kvr_event ev = { .now_ns = w->step * 1000, .msg = m };

	ev.rows = m.n_rows > 0 ? &w->rows[m.rows] : NULL;
	w->out.row_table = w->rows;
	w->out.step = ++w->step;
	uint64_t digest = kvr_step(&w->actor, &ev, &w->out);

	kvr_trace_step(w->trace, &w->actor, &ev, 0, digest, &w->out);
	if (!kvr_trace_wants_snapshot(w->trace))
		return;
	uint64_t before = written(w);
	bool over = kvr_trace_snapshot(w->trace, w->actors, 1, ev.now_ns);
	uint64_t bytes = written(w) - before;

	w->shares++;
	w->snapshots += over;
	if (bytes > w->most)
		w->most = bytes;
}

static void
open_world(struct world *w, uint64_t ring)
{
	const struct kvr_trace_options o = { .dir = "none", .size = ring };
	char why[256];
	void *bytes = aligned_alloc(64, kvr_actor_bytes(&spec));

	memset(w, 0, sizeof(*w));
	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 0, kvr_actor_bytes(&spec));
	kvr_actor_init(&w->actor, &spec, KVR_ID_ROUTER, bytes);
	w->actors[0] = &w->actor;
	w->rows = calloc(KVR_ROWS_MAX, sizeof(w->rows[0]));
	ck_assert_ptr_nonnull(w->rows);
	ck_assert_int_eq(kvr_trace_open(&o, &w->trace, why, sizeof(why)), KVR_OK);
	kvr_trace_actors(w->trace, w->actors, 1);
	take(w,
	    (struct kvr_msg){ .type = KVR_MSG_START, .to = KVR_ID_ROUTER, .START = { .seed = 5 } });
}

static void
close_world(struct world *w)
{
	kvr_trace_close(w->trace);
	free(w->actor.self);
	free(w->rows);
}

static void
part_done(struct world *w, uint16_t from, uint32_t part)
{
	take(w, (struct kvr_msg){ .type = KVR_MSG_PART_DONE,
	            .from = from,
	            .to = KVR_ID_ROUTER,
	            .part = part | 1U << 16,
	            .rows = kvr_part_rows(part),
	            .n_rows = KVR_PART_KEYS });
}

static void
run(struct world *w, uint64_t seed, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t draw = kvr_rand(&seed);
		uint32_t part = (uint32_t)(draw >> 8) % PARTS;

		if (draw % 8 == 0) {
			for (uint32_t k = 0; k < KVR_PART_KEYS; k++)
				w->rows[kvr_part_rows(part) + k].len = (uint32_t)kvr_rand(&seed);
			part_done(w, KVR_ID_WORKER, part);
		} else if (draw % 8 == 1 && w->rows[kvr_part_rows(part)].len != 0) {
			part_done(w, KVR_ID_TIER, part); /* handed on: known from the worker's */
		} else {
			take(w, (struct kvr_msg){ .type = KVR_MSG_CONTINUE, .to = KVR_ID_ROUTER });
		}
	}
}

static uint64_t
replayed(const struct world *w, uint64_t *ret_first)
{
	struct kvr_trace_view *v = NULL;
	struct kvr_replay *r = NULL;
	struct kvr_replay_diff diff = { .text = "" };
	char why[512] = "";
	uint64_t steps = 0, len;
	const void *bytes = kvr_trace_bytes(w->trace, &len);

	ck_assert_msg(kvr_trace_view_copy(bytes, len, &v, why, sizeof(why)) == KVR_OK, "%s", why);
	ck_assert_str_eq(kvr_trace_view_tail(v), "");
	*ret_first = kvr_trace_view_at(v, 0)->number;
	ck_assert_msg(kvr_replay_open(v, find, false, &r, why, sizeof(why)) == KVR_OK, "%s", why);
	enum kvr_err err = kvr_replay_all(r, &steps, &diff);
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), diff.text);
	ck_assert_mem_eq(
	    kvr_replay_actor(r, KVR_ID_ROUTER)->self, w->actor.self, sizeof(struct wide));
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	return steps;
}

START_TEST(shares_with_steps_between_them_are_one_state)
{
	static struct world w;
	uint64_t first = 0, wrapped = 0;

	open_world(&w, KVR_MIB(12));
	for (uint64_t round = 1; round <= 12; round++) {
		run(&w, round, 9000);
		/* Wherever it stands, in the middle of a snapshot too. */
		ck_assert_uint_gt(replayed(&w, &first), 500);
		wrapped += first != 1;
	}
	printf("%llu snapshots in %llu shares, at most %llu bytes each\n",
	    (unsigned long long)w.snapshots, (unsigned long long)w.shares,
	    (unsigned long long)w.most);
	ck_assert_uint_gt(wrapped, 2);
	ck_assert_uint_gt(w.snapshots, 2);
	ck_assert_uint_gt(w.shares, 20 * w.snapshots);
	ck_assert_uint_lt(w.most, 65536); /* nobody holds the guard for the four megabytes */
	close_world(&w);
}
END_TEST

START_TEST(rows_are_recorded_once)
{
	static struct world w;
	uint64_t first, from_worker, handed_on;

	open_world(&w, KVR_MIB(1));
	for (uint32_t k = 0; k < KVR_PART_KEYS; k++)
		w.rows[kvr_part_rows(3) + k].len = k + 1;
	uint64_t before = written(&w);
	part_done(&w, KVR_ID_WORKER, 3);
	from_worker = written(&w) - before;
	part_done(&w, KVR_ID_LINK, 3);
	handed_on = written(&w) - before - from_worker;
	ck_assert_uint_eq(handed_on, sizeof(struct kvr_rec_step));
	ck_assert_uint_eq(from_worker, handed_on + KVR_PART_KEYS * sizeof(struct kvr_row));
	ck_assert_uint_eq(replayed(&w, &first), 3);
	close_world(&w);
}
END_TEST

KVR_CHECK_MAIN(
    "runtime.trace_shot", shares_with_steps_between_them_are_one_state, rows_are_recorded_once)
