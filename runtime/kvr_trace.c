/* SPDX-License-Identifier: Apache-2.0 */
/* What is recorded of a step, and how a trace begins and ends. */
#include "kvr_trace_own.h"

#include "kvr_map.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(struct kvr_trace_head) <= KVR_PAGE, "the actors' table begins at a page");

/* ---- records ---- */

static bool
is_decider(uint16_t id)
{
	return id == KVR_ID_ROUTER || id == KVR_ID_TRANSFER || id == KVR_ID_METRICS ||
	       (id >= KVR_ID_TIER && id < KVR_ID_WORKER);
}

/*
 * Rows that a replay cannot know otherwise: those from outside, which no snapshot has either. What
 * a decider passes on came to it before, or it has written it itself.
 */
bool
kvr_trace_wants_rows(const struct kvr_msg *m)
{
	if (m->n_rows == 0)
		return false;
	return m->rows < KVR_ROWS_PARTS ||
	       (kvr_msg_info[m->type].rows == KVR_ROWS_IN && !is_decider(m->from));
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
	if (rows_len > 0)
		memcpy(s + 1, ev->rows, rows_len);
	kvr_ring_end(&t->ring, r, sizeof(*s) + rows_len);
	/* Not before kvr_ring_end: it may write a record of its own. */
	if (rows_len > 0)
		kvr_trace_remember(t, m->rows, ev->rows, m->n_rows);
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

		kvr_trace_remember(t, w->first, &out->row_table[w->first], w->n);
	}
	kvr_trace_changed(t, a);
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
kvr_trace_text(struct kvr_trace *t, enum kvr_text_of of, uint64_t op, uint32_t key,
    const char *text, size_t text_len)
{
	uint64_t len = (sizeof(struct kvr_rec_text) + text_len + 7) / 8 * 8;
	struct kvr_rec *r = kvr_ring_begin(&t->ring, KVR_REC_TEXT, KVR_ID_NONE, len);
	struct kvr_rec_text *x = (struct kvr_rec_text *)(void *)r;

	x->op = op;
	x->of = of;
	x->key = key;
	x->len = (uint32_t)text_len;
	x->spare = 0;
	memcpy(x + 1, text, text_len);
	memset((uint8_t *)(x + 1) + text_len, 0, len - sizeof(*x) - text_len);
	kvr_ring_end(&t->ring, r, len);
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

/* ---- open and close ---- */

void
kvr_trace_actors(struct kvr_trace *t, const struct kvr_actor *const *actors, uint32_t n)
{
	struct kvr_trace_actor *table =
	    (struct kvr_trace_actor *)(void *)((uint8_t *)t->head + t->head->actors_off);

	KVR_CHECK(n <= KVR_ID_N && t->ring.written == 0);
	for (uint32_t i = 0; i < n; i++) {
		kvr_id_name(actors[i]->id, table[i].name, sizeof(table[i].name));
		table[i].id = actors[i]->id;
		t->place[actors[i]->id] = (uint16_t)(i + 1);
		table[i].n_states = (uint16_t)actors[i]->spec->n_states;
		table[i].self_size = (uint32_t)actors[i]->spec->self_size;
		table[i].spec_hash = kvr_spec_hash(actors[i]->spec);
		table[i].layout_hash = kvr_layout_hash(actors[i]->spec);
	}
	t->head->n_actors = n;
}

#ifdef __clang__
static const char compiler[] = __VERSION__;
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

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
	h->opened_real_ns = kvr_real_now_ns();
	h->pid = (uint32_t)getpid();
	h->config_off = config_off;
	h->config_len = (uint32_t)opt->config_len;
	h->actors_off = KVR_PAGE;
	h->msg_hash = kvr_msg_hash();
	snprintf(h->build, sizeof(h->build), "%s%s%s", opt->build == NULL ? "" : opt->build,
	    opt->build == NULL ? "" : ", ", compiler);
	snprintf(
	    h->instance, sizeof(h->instance), "%s", opt->instance == NULL ? "" : opt->instance);
	if (opt->config_len > 0)
		memcpy((uint8_t *)h + config_off, opt->config, opt->config_len);
	/* Last: a reader in another process that sees it also sees the rest. */
	atomic_store_explicit((_Atomic uint64_t *)&h->magic, KVR_TRACE_MAGIC, memory_order_release);
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
	t->seen = kvr_map(KVR_TRACE_SEEN_BYTES);
	if (t->seen == NULL ||
	    kvr_trace_file_map(&o, head_bytes, &t->file, why, why_cap) != KVR_OK) {
		kvr_unmap(t->seen, KVR_TRACE_SEEN_BYTES);
		free(t);
		return KVR_E_NOMEM;
	}
	t->head = t->file.at;
	t->ring.head = t->head;
	t->ring.base = (uint8_t *)t->file.at + head_bytes;
	t->ring.bytes = t->file.bytes - head_bytes;
	t->shot.due = t->ring.bytes / 2;
	write_head(t, &o, (uint32_t)head_bytes, (uint32_t)config_off);
	*ret = t;
	return KVR_OK;
}

void
kvr_trace_close(struct kvr_trace *take)
{
	if (take == NULL)
		return;
	kvr_unmap(take->seen, KVR_TRACE_SEEN_BYTES);
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
