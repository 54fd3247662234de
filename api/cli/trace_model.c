/* SPDX-License-Identifier: Apache-2.0 */
/* All steps of a trace with their effects. */
#include "kvr_trace_cmd.h"

#include <stdlib.h>
#include <string.h>

static bool
room_for(struct trace_model *m, uint32_t more, uint64_t *cap)
{
	if (m->n_fx + more <= *cap)
		return true;
	uint64_t bigger = *cap == 0 ? 4096 : 2 * *cap;
	struct kvr_fx *at = realloc(m->fx, bigger * sizeof(m->fx[0]));

	if (at == NULL)
		return false;
	m->fx = at;
	*cap = bigger;
	return true;
}

static void
list_steps(struct trace_model *m)
{
	for (uint64_t i = 0; i < kvr_trace_view_count(m->view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(m->view, i);

		if (r->kind == KVR_REC_STEP)
			m->step[m->n++] = (struct trace_step){ .rec = kvr_rec_step(r), .index = i };
	}
	m->first_known = m->n;
}

/* Replays the trace once and keeps the effects of every step. */
static bool
replay(struct trace_model *m, struct kvr_replay *r)
{
	uint64_t first = kvr_trace_view_first_start(m->view), cap = 0, k = 0;
	struct kvr_replay_diff diff;
	enum kvr_err err;

	if (m->n == 0)
		return true;
	err = kvr_replay_seek(r, first, &diff);
	while (err == KVR_OK) {
		uint64_t at = kvr_replay_position(r);

		err = kvr_replay_next(r, &diff);
		while (k < m->n && m->step[k].index < at)
			k++;
		if (err != KVR_OK || k == m->n || m->step[k].index != at)
			continue;
		const struct kvr_out *out = kvr_replay_out(r);
		struct trace_step *s = &m->step[k];

		if (s->rec->after == KVR_STATE_BROKEN)
			continue;
		if (!room_for(m, out->n, &cap))
			return false;
		m->first_known = KVR_MIN(m->first_known, k);
		s->fx = (uint32_t)m->n_fx;
		s->n_fx = out->n;
		s->touched = kvr_replay_actor(r, s->rec->rec.actor)->n_touched;
		s->known = true;
		if (out->n > 0)
			memcpy(m->fx + m->n_fx, out->fx, out->n * sizeof(out->fx[0]));
		m->n_fx += out->n;
	}
	if (err == KVR_E_CORRUPT)
		snprintf(m->why, sizeof(m->why), "%s", diff.text);
	else if (first == kvr_trace_view_count(m->view))
		snprintf(m->why, sizeof(m->why),
		    "the trace has lost its beginning and has no "
		    "whole snapshot");
	return true;
}

struct trace_model *
trace_model_make(struct trace_cmd *c, const struct kvr_trace_view *view)
{
	struct trace_model *m = calloc(1, sizeof(*m));
	struct kvr_replay *r = NULL;
	bool ok = m != NULL;

	if (ok) {
		m->view = view;
		m->head = kvr_trace_view_head(view);
		m->step = calloc(kvr_trace_view_count(view) + 1, sizeof(m->step[0]));
		ok = m->step != NULL;
	}
	if (ok) {
		list_steps(m);
		if (kvr_replay_open(view, kvr_spec_of, c->anyway, &r, m->why, sizeof(m->why)) ==
		    KVR_OK)
			ok = replay(m, r);
		kvr_replay_free(r);
	}
	if (ok)
		return m;
	trace_model_free(m);
	cli_fail(&c->cli, "no memory");
	return NULL;
}

void
trace_model_free(struct trace_model *take)
{
	if (take == NULL)
		return;
	free(take->step);
	free(take->fx);
	free(take);
}

uint64_t
trace_model_find(const struct trace_model *m, uint64_t number)
{
	uint64_t low = 0, high = m->n;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (m->step[middle].rec->step < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->n && m->step[low].rec->step == number ? low : m->n;
}

uint64_t
trace_end_ns(const struct trace_model *m)
{
	for (uint64_t i = kvr_trace_view_count(m->view); i-- > 0;) {
		const struct kvr_rec *r = kvr_trace_view_at(m->view, i);

		if (r->kind == KVR_REC_STEP)
			return kvr_rec_step(r)->now_ns;
		if (r->kind == KVR_REC_MARK)
			return kvr_rec_mark(r)->now_ns;
	}
	return m->head->opened_mono_ns;
}

/* ---- texts ---- */

double
trace_ms(const struct kvr_trace_head *h, uint64_t at_ns)
{
	return (double)(int64_t)(at_ns - h->opened_mono_ns) / 1e6;
}

const char *
trace_state_name(uint16_t actor, uint32_t state, char *ret, size_t cap)
{
	return kvr_state_text(kvr_spec_of, actor, state, ret, cap);
}

const char *
trace_msg_text(const struct kvr_trace_head *h, const struct kvr_msg *m, char *ret, size_t cap)
{
	char fields[256];
	int n = snprintf(ret, cap, "%s", kvr_msg_info[m->type].name);

	if (m->part != 0)
		n += snprintf(
		    ret + n, cap - (size_t)n, " part %u.%u", KVR_PART_SLOT(m->part), m->part >> 16);
	if (m->n_rows != 0)
		n += snprintf(ret + n, cap - (size_t)n, " rows %u", m->n_rows);
	kvr_msg_text(m, h->opened_mono_ns, fields, sizeof(fields));
	if (fields[0] != '\0')
		snprintf(ret + n, cap - (size_t)n, " %s", fields);
	return ret;
}

bool
trace_is_answer(uint16_t type)
{
	return type == KVR_MSG_PART_DONE || type == KVR_MSG_ENCODED || type == KVR_MSG_DECODED ||
	       type == KVR_MSG_COPIED || type == KVR_MSG_DIALED || type == KVR_MSG_PONG ||
	       type == KVR_MSG_COMPLETE || type == KVR_MSG_RELEASE || type == KVR_MSG_STOPPED;
}

bool
trace_is_decider(uint16_t id)
{
	return kvr_spec_of(id) != NULL;
}
