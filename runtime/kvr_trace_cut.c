/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replay up to the cut makes the state there, so a cut may begin anywhere and needs no snapshot
 * of the recorded run at that place.
 */
#include "kvr_trace_cut.h"

#include "kvr_trace_own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cut {
	const struct kvr_trace_view *view;
	struct kvr_replay *replay;
	const struct kvr_trace_cut *opt;
	struct kvr_trace *trace;
	const struct kvr_actor *actor[KVR_ID_N];
	uint32_t n_actors;
};

static bool
wants(const struct cut *c, uint16_t id)
{
	return c->opt->wants == NULL || c->opt->wants(c->opt->arg, id);
}

/* ---- the head ---- */

static void
copy_table(struct cut *c)
{
	struct kvr_trace_head *h = c->trace->head;
	struct kvr_trace_actor *into =
	    (struct kvr_trace_actor *)(void *)((uint8_t *)h + h->actors_off);
	uint32_t n = 0, k = 0;
	const struct kvr_trace_actor *a = kvr_trace_view_actors(c->view, &n);

	for (uint32_t i = 0; i < n; i++) {
		const struct kvr_actor *actor = kvr_replay_actor(c->replay, a[i].id);

		if (actor != NULL && wants(c, a[i].id))
			c->actor[c->n_actors++] = actor;
	}
	kvr_trace_actors(c->trace, c->actor, c->n_actors);
	/* As recorded: a program with other deciders must notice. */
	for (uint32_t i = 0; i < n; i++) {
		if (k < c->n_actors && c->actor[k]->id == a[i].id)
			into[k++] = a[i];
	}
}

static void
copy_head(struct cut *c)
{
	const struct kvr_trace_head *from = kvr_trace_view_head(c->view);
	struct kvr_trace_head *h = c->trace->head;

	h->opened_mono_ns = from->opened_mono_ns;
	h->opened_real_ns = c->opt->for_report ? 0 : from->opened_real_ns;
	h->pid = c->opt->for_report ? 0 : from->pid;
	h->msg_hash = from->msg_hash;
	memcpy(h->build, from->build, sizeof(h->build));
	if (!c->opt->for_report)
		memcpy(h->instance, from->instance, sizeof(h->instance));
	copy_table(c);
}

/* ---- records ---- */

static void
snapshot(struct cut *c)
{
	const struct kvr_row *rows = kvr_replay_out(c->replay)->row_table;
	static const struct kvr_row zero[KVR_PART_KEYS];

	for (uint32_t i = KVR_ROWS_PARTS; i + KVR_PART_KEYS <= KVR_ROWS_MAX; i += KVR_PART_KEYS) {
		if (memcmp(&rows[i], zero, sizeof(zero)) != 0)
			kvr_trace_remember(c->trace, i, &rows[i], KVR_PART_KEYS);
	}
	uint64_t now_ns = 0;
	for (uint64_t i = c->opt->first; i-- > 0 && now_ns == 0;) {
		const struct kvr_rec *r = kvr_trace_view_at(c->view, i);

		if (r->kind == KVR_REC_STEP)
			now_ns = kvr_rec_step(r)->now_ns;
	}
	/* Number 1 would mean that the trace has its beginning. */
	kvr_trace_number(c->trace, 2);
	kvr_trace_snapshot_whole(c->trace, c->actor, c->n_actors, now_ns);
}

static void
copy_step(struct cut *c, const struct kvr_rec_step *s)
{
	const struct kvr_row *rows = NULL;
	struct kvr_rec_step clean = *s;

	if (s->rows_here != 0)
		rows = (const struct kvr_row *)(const void *)(s + 1);
	else if (c->opt->wants != NULL && s->msg.n_rows > 0)
		rows = &kvr_replay_out(c->replay)->row_table[s->msg.rows];
	if (c->opt->for_report && s->msg.type == KVR_MSG_SUBMIT)
		clean.msg.SUBMIT.request = 0;
	kvr_trace_again(c->trace, &clean.rec, rows);
}

static void
copy_record(struct cut *c, const struct kvr_rec *r)
{
	if (r->kind == KVR_REC_STEP) {
		if (wants(c, r->actor))
			copy_step(c, kvr_rec_step(r));
		return;
	}
	if (r->kind == KVR_REC_TEXT && !c->opt->for_report && c->opt->wants == NULL)
		kvr_trace_again(c->trace, r, NULL);
	if (r->kind == KVR_REC_MARK &&
	    (kvr_rec_mark(r)->mark == KVR_MARK_PANIC || kvr_rec_mark(r)->mark == KVR_MARK_CLOSED))
		kvr_trace_again(c->trace, r, NULL);
}

/* Differences behind the first record do not matter: the records are copied as they are. */
static enum kvr_err
copy_all(struct cut *c, char *why, size_t why_cap)
{
	struct kvr_replay_diff diff;
	enum kvr_err err = kvr_replay_seek(c->replay, c->opt->first, &diff);

	if (err == KVR_E_CORRUPT)
		snprintf(why, why_cap, "before the cut, %s", diff.text);
	else if (err != KVR_OK)
		snprintf(why, why_cap, "no snapshot that old is in the trace");
	if (err != KVR_OK)
		return err;
	bool beginning = c->opt->first == 0 && kvr_trace_view_first_start(c->view) == 0;

	if (!beginning)
		snapshot(c);
	for (uint64_t i = c->opt->first; i < c->opt->end; i++) {
		copy_record(c, kvr_trace_view_at(c->view, i));
		err = kvr_replay_next(c->replay, &diff);
		(void)err;
	}
	return KVR_OK;
}

enum kvr_err
kvr_trace_cut(const struct kvr_trace_view *view, struct kvr_replay *replay,
    const struct kvr_trace_cut *opt, const char *path, char *why, size_t why_cap)
{
	struct cut c = { .view = view, .replay = replay, .opt = opt };
	struct kvr_trace_options o = { .dir = "none" };
	uint64_t bytes = KVR_MIB(64); /* address space: only what is written is touched */

	for (uint64_t i = opt->first; i < opt->end; i++)
		bytes += 2 * (uint64_t)kvr_trace_view_at(view, i)->len + KVR_PAGE;
	o.size = bytes;
	if (!opt->for_report)
		o.config = kvr_trace_view_config(view, &o.config_len);
	enum kvr_err err = kvr_trace_open(&o, &c.trace, why, why_cap);

	if (err != KVR_OK)
		return err;
	copy_head(&c);
	err = copy_all(&c, why, why_cap);
	if (err == KVR_OK && !kvr_trace_save(c.trace, path)) {
		snprintf(why, why_cap, "%s: %s", path, strerror(errno));
		err = KVR_E_DOWN;
	}
	kvr_trace_close(c.trace);
	return err;
}
