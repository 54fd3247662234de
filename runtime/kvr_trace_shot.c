/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot must hold what a replay that begins there cannot know: the states, and the rows of
 * parts that earlier steps have written. It must not read the row table for that, since workers
 * write their parts into it meanwhile; so the trace keeps a copy of what deciders have seen.
 *
 * Writing a full router takes milliseconds, and nobody may hold the guard that long. So it is
 * written in shares, with steps between them, by a cursor that goes over all lines once. When a
 * step changes a line behind the cursor, that line is written again; a reader that applies the
 * pieces in order gets the state as it is at the end.
 */
#include "kvr_trace_own.h"

#include <stdatomic.h>
#include <string.h>

enum {
	LINE = 64,
	PIECE = 16384,
	SHARE_BYTES = 32768, /* written at a time: takes about ten microseconds */
	SHARE_LINES = 16384  /* lines looked at, at a time */
};

/* ---- pieces ---- */

static bool
is_zero(const uint8_t *line)
{
	static const uint8_t zero[LINE];

	return memcmp(line, zero, LINE) == 0;
}

static void
piece(struct kvr_trace *t, const struct kvr_actor *a, uint64_t off, const void *at, uint64_t len)
{
	uint64_t whole = sizeof(struct kvr_rec_state) + len;
	uint16_t id = a == NULL ? KVR_ID_NONE : a->id;
	struct kvr_rec *r = kvr_ring_begin(&t->ring, KVR_REC_STATE, id, whole);
	struct kvr_rec_state *s = (struct kvr_rec_state *)(void *)r;

	s->state = a == NULL ? 0 : a->state;
	s->off = (uint32_t)off;
	s->digest = a == NULL ? 0 : a->digest;
	s->steps = a == NULL ? 0 : a->steps;
	if (len > 0)
		memcpy(s + 1, at, len);
	kvr_ring_end(&t->ring, r, whole);
}

/* A snapshot may take half the ring; a larger one would be most of what the ring can hold. */
static bool
fits(const struct kvr_trace *t)
{
	return t->ring.written - t->shot.from <= t->ring.bytes / 2;
}

/* Writes the lines of [off, to) that are not zero. */
static void
pieces(struct kvr_trace *t, const struct kvr_actor *a, const uint8_t *at, uint64_t off, uint64_t to)
{
	while (off < to) {
		uint64_t n = 0;

		while (off + n < to && n < PIECE && !is_zero(at + off + n))
			n += LINE;
		if (n > 0)
			piece(t, a, off, at + off, n);
		off += KVR_MAX(n, (uint64_t)LINE);
	}
}

/* ---- what changes meanwhile ---- */

void
kvr_trace_remember(struct kvr_trace *t, uint32_t first, const struct kvr_row *rows, uint32_t n)
{
	if (first < KVR_ROWS_PARTS)
		return; /* rows of operations are recorded with every event that has them */
	KVR_CHECK(first + n <= KVR_ROWS_MAX);
	first -= KVR_ROWS_PARTS;
	memcpy(&t->seen[first], rows, n * sizeof(*rows));
	uint32_t page = first / KVR_TRACE_ROWS_PAGE;
	for (; page <= (first + n - 1) / KVR_TRACE_ROWS_PAGE; page++)
		t->seen_page[page] = true;
	if (t->shot.running && t->shot.actor == t->head->n_actors)
		piece(t, NULL, (uint64_t)first * sizeof(*rows), rows, n * sizeof(*rows));
}

static bool
is_behind(const struct kvr_trace *t, const struct kvr_actor *a, uint32_t line)
{
	uint32_t place = t->place[a->id] - 1U;

	return place < t->shot.actor || (place == t->shot.actor && line < t->shot.line);
}

void
kvr_trace_changed(struct kvr_trace *t, const struct kvr_actor *a)
{
	const uint8_t *self = a->self;

	if (!t->shot.running)
		return;
	for (uint32_t i = 0; i < a->n_touched;) {
		uint32_t first = a->touched[i], n = 1;

		for (i++; i < a->n_touched && a->touched[i] == first + n && n < PIECE / LINE; i++)
			n++;
		if (is_behind(t, a, first + n - 1) || is_behind(t, a, first))
			piece(t, a, (uint64_t)first * LINE, self + (size_t)first * LINE,
			    (uint64_t)n * LINE);
	}
}

/* ---- shares ---- */

/*
 * A line that no step has touched is zero and is not looked at: a router's state is megabytes of
 * address space, and reading a page that does not exist yet is a fault. After four billion steps
 * the stamps have been cleared once, and everything is looked at.
 */
static void
share_of_state(struct kvr_trace *t, const struct kvr_actor *a, uint64_t until)
{
	const uint32_t n = (uint32_t)(a->spec->self_size / LINE);
	const uint32_t stop = KVR_MIN(n, t->shot.line + SHARE_LINES);
	const bool forgotten = a->steps >= UINT32_MAX;
	uint32_t i = t->shot.line;

	while (i < stop && t->ring.written < until) {
		uint32_t first = i;

		while (i < stop && i - first < PIECE / LINE && (forgotten || a->stamp[i] != 0))
			i++;
		if (i > first)
			pieces(t, a, a->self, (uint64_t)first * LINE, (uint64_t)i * LINE);
		else
			i++;
	}
	t->shot.line = i;
	if (i == n) {
		t->shot.actor++;
		t->shot.line = 0;
	}
}

static void
share_of_rows(struct kvr_trace *t, uint64_t until)
{
	for (; t->shot.line < KVR_LEN(t->seen_page) && t->ring.written < until; t->shot.line++) {
		uint64_t off = (uint64_t)t->shot.line * KVR_PAGE;

		if (t->seen_page[t->shot.line])
			pieces(t, NULL, (const uint8_t *)t->seen, off,
			    KVR_MIN(off + KVR_PAGE, (uint64_t)KVR_TRACE_SEEN_BYTES));
	}
}

static void
begin(struct kvr_trace *t, uint64_t now_ns)
{
	kvr_trace_mark(t, KVR_MARK_SNAPSHOT_BEGIN, now_ns, "");
	const uint64_t from = t->ring.written - sizeof(struct kvr_rec_mark);

	t->shot = (struct kvr_trace_shot){ .running = true, .from = from, .last = t->ring.written };
}

static bool
end(struct kvr_trace *t, const struct kvr_actor *const *actors, uint32_t n, uint64_t now_ns)
{
	const uint64_t from = t->shot.from;

	/* Its state and digest, also for an actor that is all zeros. */
	for (uint32_t i = 0; i < n; i++)
		piece(t, actors[i], 0, NULL, 0);
	kvr_trace_mark(t, KVR_MARK_SNAPSHOT_END, now_ns, "");
	/*
	 * Half a ring from beginning to beginning, so that the last snapshot is whole until the
	 * next one is. Large ones: twice their size, so that they are not most of what is written.
	 */
	t->shot.due = from + KVR_MIN(KVR_MAX(t->ring.bytes / 2, 2 * (t->ring.written - from)),
	                         t->ring.bytes / 8 * 7);
	t->shot.running = false;
	atomic_store_explicit((_Atomic uint64_t *)&t->head->snapshot, from, memory_order_release);
	return true;
}

bool
kvr_trace_snapshot(
    struct kvr_trace *t, const struct kvr_actor *const *actors, uint32_t n, uint64_t now_ns)
{
	struct kvr_trace_shot *shot = &t->shot;

	KVR_CHECK(n == t->head->n_actors);
	if (!shot->running)
		begin(t, now_ns);
	/* Never less than steps write, or it would never end. */
	uint64_t until =
	    t->ring.written + KVR_MAX((uint64_t)SHARE_BYTES, 2 * (t->ring.written - shot->last));

	for (uint32_t looks = 0; looks < 8 && shot->actor < n && t->ring.written < until; looks++)
		share_of_state(t, actors[shot->actor], until);
	if (shot->actor == n)
		share_of_rows(t, until);
	shot->last = t->ring.written;
	if (!fits(t)) {
		/* Rarely from now on: each try costs half of the past that the ring could show. */
		shot->running = false;
		shot->due = t->ring.written + 16 * t->ring.bytes;
		return true;
	}
	return shot->actor == n && shot->line == KVR_LEN(t->seen_page) && end(t, actors, n, now_ns);
}

void
kvr_trace_snapshot_whole(
    struct kvr_trace *t, const struct kvr_actor *const *actors, uint32_t n, uint64_t now_ns)
{
	while (!kvr_trace_snapshot(t, actors, n, now_ns)) {
	}
}

bool
kvr_trace_wants_snapshot(const struct kvr_trace *t)
{
	return t->shot.running || t->ring.written >= t->shot.due;
}

bool
kvr_trace_in_snapshot(const struct kvr_trace *t)
{
	return t->shot.running;
}
