/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot must hold what a replay that begins there cannot know: the states, and the rows of
 * parts that were written by steps before it. The row table itself may not be read for that, since
 * workers write their parts in it meanwhile; so the trace keeps a copy of what deciders have seen.
 */
#include "kvr_trace.h"

#include "kvr_trace_file.h"
#include "kvr_trace_ring.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE = 64,
	PIECE = 16384,
	ROWS_SEEN = KVR_ROWS_MAX - KVR_ROWS_PARTS,
	SEEN_BYTES = ROWS_SEEN * (int)sizeof(struct kvr_row),
	ROWS_PAGE = KVR_PAGE / (int)sizeof(struct kvr_row)
};

struct kvr_trace {
	struct kvr_trace_file file;
	struct kvr_trace_head *head;
	struct kvr_ring ring;
	uint64_t snapshot_due; /* in bytes ever written */
	struct kvr_row *seen;  /* of parts, as deciders know them */
	bool seen_page[(ROWS_SEEN + ROWS_PAGE - 1) / ROWS_PAGE];
};

_Static_assert(sizeof(struct kvr_trace_head) <= KVR_PAGE, "the actors' table begins at a page");

/* ---- records ---- */

static void
remember(struct kvr_trace *t, uint32_t first, const struct kvr_row *rows, uint32_t n)
{
	if (first < KVR_ROWS_PARTS)
		return; /* rows of operations are recorded wherever an event has them */
	KVR_CHECK(first + n <= KVR_ROWS_MAX);
	memcpy(&t->seen[first - KVR_ROWS_PARTS], rows, n * sizeof(*rows));
	uint32_t page = (first - KVR_ROWS_PARTS) / ROWS_PAGE;
	for (; page <= (first - KVR_ROWS_PARTS + n - 1) / ROWS_PAGE; page++)
		t->seen_page[page] = true;
}

/* What a replay cannot know otherwise: rows from outside, and those that no snapshot has. */
bool
kvr_trace_wants_rows(const struct kvr_msg *m)
{
	return m->n_rows > 0 &&
	       (kvr_msg_info[m->type].rows == KVR_ROWS_IN || m->rows < KVR_ROWS_PARTS);
}

static void
record(struct kvr_trace *t, const struct kvr_actor *a, const struct kvr_event *ev,
    const struct kvr_rec_step *head)
{
	const struct kvr_msg *m = &ev->msg;
	uint64_t rows_len = kvr_trace_wants_rows(m) ? m->n_rows * sizeof(struct kvr_row) : 0;
	struct kvr_rec *r = kvr_ring_begin(&t->ring, KVR_REC_STEP, a->id, sizeof(*head) + rows_len);
	struct kvr_rec_step *s = (struct kvr_rec_step *)(void *)r;

	s->now_ns = ev->now_ns;
	s->step = head->step;
	s->digest = head->digest;
	s->before = head->before;
	s->after = head->after;
	s->n_fx = head->n_fx;
	s->n_wrote = head->n_wrote;
	s->rows_here = rows_len > 0;
	s->msg = *m;
	if (rows_len > 0) {
		memcpy(s + 1, ev->rows, rows_len);
		remember(t, m->rows, ev->rows, m->n_rows);
	}
	kvr_ring_end(&t->ring, r, sizeof(*s) + rows_len);
}

void
kvr_trace_step(struct kvr_trace *t, const struct kvr_actor *a, const struct kvr_event *ev,
    uint32_t state_before, uint64_t digest, const struct kvr_out *out)
{
	record(t, a, ev,
	    &(struct kvr_rec_step){ .step = out->step,
	        .digest = digest,
	        .before = (uint8_t)state_before,
	        .after = (uint8_t)a->state,
	        .n_fx = (uint8_t)out->n,
	        .n_wrote = out->n_wrote });
	for (uint32_t i = 0; i < out->n_wrote; i++) {
		const struct kvr_wrote *w = &out->wrote[i];

		remember(t, w->first, &out->row_table[w->first], w->n);
	}
}

void
kvr_trace_broken(struct kvr_trace *t, const struct kvr_actor *a, const struct kvr_event *ev,
    uint32_t state_before, uint64_t step, const char *why)
{
	record(t, a, ev,
	    &(struct kvr_rec_step){
	        .step = step, .before = (uint8_t)state_before, .after = KVR_STATE_BROKEN });
	kvr_trace_mark(t, KVR_MARK_PANIC, ev->now_ns, why);
}

void
kvr_trace_mark(struct kvr_trace *t, enum kvr_mark mark, uint64_t now_ns, const char *text)
{
	size_t text_len = strlen(text);
	uint64_t len = (sizeof(struct kvr_rec_mark) + text_len + 7) / 8 * 8;
	struct kvr_rec *r = kvr_ring_begin(&t->ring, KVR_REC_MARK, KVR_ID_NONE, len);
	struct kvr_rec_mark *m = (struct kvr_rec_mark *)(void *)r;

	m->mark = (uint32_t)mark;
	m->len = (uint32_t)text_len;
	m->now_ns = now_ns;
	memcpy(m + 1, text, text_len);
	memset((uint8_t *)(m + 1) + text_len, 0, len - sizeof(*m) - text_len);
	kvr_ring_end(&t->ring, r, len);
}

/* ---- snapshots ---- */

static bool
is_zero(const uint8_t *line)
{
	static const uint8_t zero[LINE];

	return memcmp(line, zero, LINE) == 0;
}

static void
piece(struct kvr_trace *t, const struct kvr_actor *a, uint64_t off, const uint8_t *at, uint64_t len)
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

/* What may be written by a snapshot that began at `from`: else it would be most of the ring. */
static bool
fits(const struct kvr_trace *t, uint64_t from)
{
	return t->ring.written - from <= t->ring.bytes / 2;
}

/* The lines of [off, to) that are not zero. */
static bool
pieces(struct kvr_trace *t, uint64_t from, const struct kvr_actor *a, const uint8_t *at,
    uint64_t off, uint64_t to)
{
	while (off < to && fits(t, from)) {
		uint64_t n = 0;

		while (off + n < to && n < PIECE && !is_zero(at + off + n))
			n += LINE;
		if (n > 0)
			piece(t, a, off, at + off, n);
		off += KVR_MAX(n, (uint64_t)LINE);
	}
	return fits(t, from);
}

/*
 * A line that no step has touched is zero and is not looked at: a router's state is megabytes of
 * address space, and a look at a page that is not there yet is a fault. After four billion steps
 * the stamps have been forgotten once, and all is looked at.
 */
static bool
state_of(struct kvr_trace *t, uint64_t from, const struct kvr_actor *a)
{
	const uint32_t n = (uint32_t)(a->spec->self_size / LINE);
	const bool forgotten = a->steps >= UINT32_MAX;
	bool ok = true;

	piece(t, a, 0, NULL, 0); /* state and digest, also of an actor that is all zeros */
	for (uint32_t i = 0; i < n && ok;) {
		uint32_t first = i;

		while (i < n && (forgotten || a->stamp[i] != 0))
			i++;
		if (i > first)
			ok =
			    pieces(t, from, a, a->self, (uint64_t)first * LINE, (uint64_t)i * LINE);
		else
			i++;
	}
	return ok;
}

static bool
rows_of_parts(struct kvr_trace *t, uint64_t from)
{
	bool ok = true;

	for (uint32_t page = 0; page < KVR_LEN(t->seen_page) && ok; page++)
		if (t->seen_page[page])
			ok = pieces(t, from, NULL, (const uint8_t *)t->seen,
			    (uint64_t)page * KVR_PAGE,
			    KVR_MIN((uint64_t)(page + 1) * KVR_PAGE, SEEN_BYTES));
	return ok;
}

bool
kvr_trace_wants_snapshot(const struct kvr_trace *t)
{
	return t->ring.written >= t->snapshot_due;
}

void
kvr_trace_snapshot(
    struct kvr_trace *t, const struct kvr_actor *const *actors, uint32_t n, uint64_t now_ns)
{
	bool ok = true;

	kvr_trace_mark(t, KVR_MARK_SNAPSHOT_BEGIN, now_ns, "");
	const uint64_t from = t->ring.written - sizeof(struct kvr_rec_mark);
	for (uint32_t i = 0; i < n && ok; i++)
		ok = state_of(t, from, actors[i]);
	if (!ok || !rows_of_parts(t, from)) {
		/* Seldom from now on: each try costs half of the past that the ring could show. */
		t->snapshot_due = t->ring.written + 16 * t->ring.bytes;
		return;
	}
	kvr_trace_mark(t, KVR_MARK_SNAPSHOT_END, now_ns, "");
	/*
	 * From beginning to beginning half a ring, so that the last one is whole until the next one
	 * is; when they are large, twice their size, so that they are not most of what is written.
	 */
	t->snapshot_due = from + KVR_MIN(KVR_MAX(t->ring.bytes / 2, 2 * (t->ring.written - from)),
	                             t->ring.bytes / 8 * 7);
	atomic_store_explicit((_Atomic uint64_t *)&t->head->snapshot, from, memory_order_release);
}

/* ---- open and close ---- */

void
kvr_trace_actors(struct kvr_trace *t, const struct kvr_actor *const *actors, uint32_t n)
{
	struct kvr_trace_actor *table =
	    (struct kvr_trace_actor *)(void *)((uint8_t *)t->head + KVR_PAGE);

	KVR_CHECK(n <= KVR_ID_N && t->ring.written == 0);
	for (uint32_t i = 0; i < n; i++) {
		kvr_id_name(actors[i]->id, table[i].name, sizeof(table[i].name));
		table[i].id = actors[i]->id;
		table[i].n_states = (uint16_t)actors[i]->spec->n_states;
		table[i].self_size = (uint32_t)actors[i]->spec->self_size;
		table[i].spec_hash = kvr_spec_hash(actors[i]->spec);
	}
	t->head->n_actors = n;
}

static uint64_t
real_now_ns(void)
{
	struct timespec ts;

	KVR_CHECK(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static void
write_head(struct kvr_trace *t, const struct kvr_trace_options *opt, uint32_t head_bytes,
    uint32_t config_off)
{
	struct kvr_trace_head *h = t->head;

	h->version = KVR_TRACE_VERSION;
	h->head_bytes = head_bytes;
	h->ring_bytes = t->ring.bytes;
	h->snapshot = UINT64_MAX;
	h->opened_mono_ns = kvr_now_ns();
	h->opened_real_ns = real_now_ns();
	h->pid = (uint32_t)getpid();
	h->config_off = config_off;
	h->config_len = (uint32_t)opt->config_len;
	snprintf(h->build, sizeof(h->build), "%.60s", __VERSION__);
	snprintf(
	    h->instance, sizeof(h->instance), "%s", opt->instance == NULL ? "" : opt->instance);
	if (opt->config_len > 0)
		memcpy((uint8_t *)h + config_off, opt->config, opt->config_len);
	h->magic = KVR_TRACE_MAGIC;
}

enum kvr_err
kvr_trace_open(
    const struct kvr_trace_options *opt, struct kvr_trace **ret, char *why, size_t why_cap)
{
	uint64_t config_off = (KVR_PAGE + KVR_ID_N * sizeof(struct kvr_trace_actor) + 63) / 64 * 64;
	uint64_t head_bytes = (config_off + opt->config_len + KVR_PAGE - 1) / KVR_PAGE * KVR_PAGE;
	struct kvr_trace_options o = *opt;

	if (opt->size < KVR_MIB(1) || opt->size > KVR_MIB(65536) || opt->config_len > KVR_MIB(16))
		return KVR_E_INVALID;
	o.size = opt->size / KVR_PAGE * KVR_PAGE;
	struct kvr_trace *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return KVR_E_NOMEM;
	t->seen = mmap(NULL, SEEN_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->seen == MAP_FAILED ||
	    kvr_trace_file_map(&o, head_bytes, &t->file, why, why_cap) != KVR_OK) {
		if (t->seen != MAP_FAILED)
			munmap(t->seen, SEEN_BYTES);
		free(t);
		return KVR_E_NOMEM;
	}
	t->head = t->file.at;
	t->ring.head = t->head;
	t->ring.base = (uint8_t *)t->file.at + head_bytes;
	t->ring.bytes = t->file.bytes - head_bytes;
	t->snapshot_due = t->ring.bytes / 2;
	write_head(t, &o, (uint32_t)head_bytes, (uint32_t)config_off);
	*ret = t;
	return KVR_OK;
}

void
kvr_trace_close(struct kvr_trace *take)
{
	if (take == NULL)
		return;
	munmap(take->seen, SEEN_BYTES);
	kvr_trace_file_unmap(&take->file);
	free(take);
}

const char *
kvr_trace_path(const struct kvr_trace *t)
{
	return t->file.path;
}

const void *
kvr_trace_bytes(const struct kvr_trace *t, uint64_t *ret_len)
{
	*ret_len = t->file.bytes;
	return t->head;
}
