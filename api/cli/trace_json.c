/* SPDX-License-Identifier: Apache-2.0 */
/* last and ops for programs. Times are milliseconds since the trace was opened; null: not yet, or not known. */
#include "kvr_trace_cmd.h"

#include <inttypes.h>

static void
put_ms(const struct trace_model *m, const char *name, uint64_t at_ns)
{
	printf(at_ns == 0 || at_ns == UINT64_MAX ? ", \"%s\": null" : ", \"%s\": %.3f", name,
	    at_ns == 0 ? 0.0 : trace_ms(m->head, at_ns));
}

static void
put_text(const char *name, const char *text)
{
	printf(", \"%s\": ", name);
	cli_json_text(stdout, text);
}

/* Tiers that were late or left out, and what the others said that did not do it. */
static void
put_blame(const struct trace_op *op)
{
	const char *comma = "";

	printf(", \"late\": [");
	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++) {
		if ((op->done_bits >> (KVR_DONEB_TIERS + t) & 1) == 0)
			continue;
		printf("%s%" PRIu32, comma, t);
		comma = ", ";
	}
	comma = "";
	printf("], \"said\": {");
	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++) {
		if (op->said[t] == 0)
			continue;
		printf("%s\"%" PRIu32 "\": \"%s\"", comma, t, kvr_err_name(op->said[t]));
		comma = ", ";
	}
	printf("}");
}

static void
put_op(const struct trace_model *m, const struct trace_op *op)
{
	char end[TRACE_END_MAX];

	printf("{\"op\": \"%" PRIu32 ".%" PRIu64 "\"", (uint32_t)op->id, op->id >> 32);
	if (op->kind < KVR_OP_N)
		put_text("kind", kvr_op_kind_name[op->kind]);
	else
		printf(", \"kind\": null");
	printf(", \"keys\": %" PRIu32 ", \"ok\": %" PRIu32 ", \"bytes\": %" PRIu64, op->n_keys, op->n_ok,
	    op->bytes);
	if (op->answered_ns == 0)
		printf(", \"err\": null");
	else
		put_text("err", kvr_err_name(op->err));
	put_ms(m, "asked_ms", op->asked_ns);
	put_ms(m, "deadline_ms", op->deadline_ns);
	put_ms(m, "begun_ms", op->ahead_ns);
	put_ms(m, "answered_ms", op->answered_ns);
	put_ms(m, "released_ms", op->released_ns);
	put_blame(op);
	put_text("text", trace_op_end(m, op, end, sizeof(end)));
}

void
trace_ops_json(const struct trace_cmd *c, const struct trace_model *m, const struct trace_ops *ops)
{
	bool any = false;

	for (uint64_t i = 0; i < ops->n; i++) {
		if (!trace_is_wanted(c, m->view, &m->step[ops->op[i].first].rec->rec))
			continue;
		printf(any ? ",\n " : "[");
		put_op(m, &ops->op[i]);
		printf("}");
		any = true;
	}
	printf(any ? "]\n" : "[]\n");
}

static void
put_parts(const struct trace_model *m, const struct trace_op *op)
{
	struct trace_held held[TRACE_PARTS_MAX];
	uint32_t n = trace_op_parts(m, op, held);
	char id[24];

	printf(", \"parts\": [");
	for (uint32_t i = 0; i < n; i++) {
		printf("%s{\"part\": \"%" PRIu32 ".%" PRIu32 "\"", i == 0 ? "" : ", ",
		    (uint32_t)KVR_PART_SLOT(held[i].part), held[i].part >> 16);
		put_text("with", kvr_id_name(held[i].by, id, sizeof(id)));
		put_ms(m, "since_ms", held[i].since_ns);
		put_ms(m, "deadline_ms", held[i].until_ns);
		printf("}");
	}
	printf("]");
}

static void
put_actors(const struct trace_model *m)
{
	uint32_t n;
	const struct kvr_trace_actor *a = kvr_trace_view_actors(m->view, &n);
	const char *comma = "";
	char state[32], name[32];

	printf(",\n \"actors\": [");
	for (uint32_t k = 0; k < n; k++) {
		const struct trace_last l = trace_last_step(m, a[k].id);

		if (l.last == NULL)
			continue;
		snprintf(name, sizeof(name), "%.24s", a[k].name);
		printf("%s{\"actor\": ", comma);
		cli_json_text(stdout, name);
		put_text("state", trace_state_name(a[k].id, l.last->after, state, sizeof(state)));
		put_ms(m, "since_ms", l.change == NULL ? 0 : l.change->now_ns);
		printf("}");
		comma = ",\n  ";
	}
	printf("]");
}

static void
put_lines(const struct trace_cmd *c, const struct trace_model *m)
{
	uint64_t n, end = kvr_trace_view_count(m->view), first = trace_last_lines(c, m->view, &n);
	const char *comma = "";
	char line[KVR_TRACE_LINE];

	printf(",\n \"lines\": [");
	for (; first < end; first++) {
		const struct kvr_rec *r = kvr_trace_view_at(m->view, first);

		if (!trace_is_wanted(c, m->view, r))
			continue;
		printf("%s", comma);
		cli_json_text(stdout, kvr_trace_line(m->head, r, kvr_spec_of, line, sizeof(line)));
		comma = ",\n  ";
	}
	printf("]");
}

void
trace_last_json(const struct trace_cmd *c, const struct trace_model *m, const struct trace_ops *ops, const char *path)
{
	const struct kvr_rec_mark *mark = trace_ending(m->view);
	const char *comma = "";
	char text[KVR_TRACE_LINE];

	snprintf(text, sizeof(text), "%.*s", (int)sizeof(m->head->instance), m->head->instance);
	printf("{\"trace\": ");
	cli_json_text(stdout, path);
	put_text("instance", text);
	printf(", \"pid\": %" PRIu32 ", \"opened_unix\": %.3f", m->head->pid, (double)m->head->opened_real_ns / 1e9);
	put_ms(m, "last_ms", trace_end_ns(m));
	put_text("ended", mark == NULL ? "not closed" : mark->mark == KVR_MARK_PANIC ? "panic" : "closed");
	if (mark != NULL && mark->mark == KVR_MARK_PANIC)
		put_text("panic", kvr_mark_text(mark, text, sizeof(text)));
	put_text("behind", kvr_trace_view_tail(m->view));
	put_actors(m);
	printf(",\n \"in_flight\": [");
	for (uint64_t i = 0; i < ops->n; i++) {
		if (ops->op[i].released_ns != 0)
			continue;
		printf("%s", comma);
		put_op(m, &ops->op[i]);
		put_parts(m, &ops->op[i]);
		printf("}");
		comma = ",\n  ";
	}
	printf("]");
	put_lines(c, m);
	printf("}\n");
}
