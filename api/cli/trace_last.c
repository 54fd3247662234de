/* SPDX-License-Identifier: Apache-2.0 */
/*
 * last: the first look after a crash. Shows how a run ended, each actor's state and since when,
 * operations under way, and the last steps. ops: all operations.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { LINES = 50, IN_FLIGHT_MAX = 40 };

const struct kvr_rec_mark *
trace_ending(const struct kvr_trace_view *view)
{
	for (uint64_t i = kvr_trace_view_count(view); i-- > 0;) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		if (r->kind == KVR_REC_STEP)
			return NULL;
		if (r->kind == KVR_REC_MARK && (kvr_rec_mark(r)->mark == KVR_MARK_PANIC ||
		                                   kvr_rec_mark(r)->mark == KVR_MARK_CLOSED))
			return kvr_rec_mark(r);
	}
	return NULL;
}

static void
tell_end(const struct trace_model *m, const char *path)
{
	const struct kvr_trace_head *h = m->head;
	const struct kvr_rec_mark *mark = trace_ending(m->view);
	time_t opened = (time_t)(h->opened_real_ns / 1000000000U);
	char when[64] = "", text[KVR_TRACE_LINE];
	struct tm tm;

	if (localtime_r(&opened, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", &tm);
	printf("%s\n%.*s of process %u, opened %s, last step at %.3f ms\n", path,
	    (int)sizeof(h->instance), h->instance, h->pid, when, trace_ms(h, trace_end_ns(m)));
	if (mark == NULL)
		printf("It was not closed: it runs, or its process was killed or crashed.\n");
	else if (mark->mark == KVR_MARK_PANIC)
		printf("PANIC: %s\n", kvr_mark_text(mark, text, sizeof(text)));
	else
		printf("It was closed in order.\n");
	if (kvr_trace_view_tail(m->view)[0] != '\0')
		printf("Behind the last record, %s.\n", kvr_trace_view_tail(m->view));
}

struct trace_last
trace_last_step(const struct trace_model *m, uint16_t actor)
{
	struct trace_last l = { NULL, NULL };

	for (uint64_t i = m->n; i-- > 0 && l.change == NULL;) {
		const struct kvr_rec_step *s = m->step[i].rec;

		if (s->rec.actor != actor)
			continue;
		l.last = l.last == NULL ? s : l.last;
		l.change = s->before != s->after ? s : NULL;
	}
	return l;
}

static void
tell_actors(const struct trace_model *m)
{
	uint32_t n;
	const struct kvr_trace_actor *a = kvr_trace_view_actors(m->view, &n);
	char was[32], state[32];

	printf("\n%-12s %-10s %14s  %s\n", "actor", "state", "since ms", "by");
	for (uint32_t k = 0; k < n; k++) {
		const struct trace_last l = trace_last_step(m, a[k].id);
		const struct kvr_rec_step *last = l.last, *change = l.change;

		if (last == NULL)
			continue;
		printf("%-12.24s %-10s", a[k].name,
		    trace_state_name(a[k].id, last->after, state, sizeof(state)));
		if (change == NULL) {
			printf(" %14s\n", "longer");
			continue;
		}
		printf(" %14.3f  step %" PRIu64 ", %s in %s\n", trace_ms(m->head, change->now_ns),
		    change->step, kvr_msg_info[change->msg.type].name,
		    trace_state_name(a[k].id, change->before, was, sizeof(was)));
	}
}

static void
tell_in_flight(const struct trace_model *m, const struct trace_ops *ops)
{
	uint64_t n = 0;
	char what[64], end[TRACE_END_MAX];

	for (uint64_t i = 0; i < ops->n; i++)
		n += ops->op[i].released_ns == 0;
	printf("\n%" PRIu64 " operation%s in flight%s\n", n, n == 1 ? "" : "s",
	    n == 0 ? "" : "; 'kvrelay trace follow FILE --op N' tells all of one");
	n = 0;
	for (uint64_t i = 0; i < ops->n && n < IN_FLIGHT_MAX; i++) {
		const struct trace_op *op = &ops->op[i];

		if (op->released_ns != 0)
			continue;
		n++;
		printf("  op %" PRIu32 ".%" PRIu64 ", %s: %s\n", (uint32_t)op->id, op->id >> 32,
		    trace_op_text(op, what, sizeof(what)), trace_op_end(m, op, end, sizeof(end)));
		trace_op_waits(m, op, "    ");
	}
}

uint64_t
trace_last_lines(const struct trace_cmd *c, const struct kvr_trace_view *view, uint64_t *ret_n)
{
	uint64_t lines = c->lines == 0 ? LINES : c->lines, left = lines;
	uint64_t first = kvr_trace_view_count(view);

	for (; first > 0 && left > 0; first--)
		left -= trace_is_wanted(c, view, kvr_trace_view_at(view, first - 1));
	*ret_n = lines - left;
	return first;
}

static void
tell_lines(const struct trace_cmd *c, const struct trace_model *m)
{
	uint64_t n, end = kvr_trace_view_count(m->view);
	char line[KVR_TRACE_LINE];

	uint64_t first = trace_last_lines(c, m->view, &n);

	printf("\nthe last %" PRIu64 " lines\n", n);
	for (; first < end; first++) {
		const struct kvr_rec *r = kvr_trace_view_at(m->view, first);

		if (trace_is_wanted(c, m->view, r))
			puts(kvr_trace_line(m->head, r, kvr_spec_of, line, sizeof(line)));
	}
}

static int
with_ops(struct trace_cmd *c, const struct kvr_trace_view *view,
    void (*tell)(
        struct trace_cmd *, const struct trace_model *, const struct trace_ops *, const char *),
    const char *path)
{
	struct trace_model *m = trace_model_make(c, view);
	struct trace_ops ops;
	int status = CLI_OK;

	if (m == NULL)
		return CLI_ERROR;
	if (trace_ops_of(m, &ops))
		tell(c, m, &ops, path);
	else
		status = cli_fail(&c->cli, "no memory");
	if (m->why[0] != '\0')
		fprintf(stderr, "kvrelay trace: %s: answers are not known everywhere: %s\n", path,
		    m->why);
	trace_ops_free(&ops);
	trace_model_free(m);
	return status;
}

static void
tell_all(
    struct trace_cmd *c, const struct trace_model *m, const struct trace_ops *ops, const char *path)
{
	if (c->cli.json) {
		trace_last_json(c, m, ops, path);
		return;
	}
	tell_end(m, path);
	tell_actors(m);
	tell_in_flight(m, ops);
	tell_lines(c, m);
}

int
trace_last_of(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	return with_ops(c, view, tell_all, path);
}

/* ---- ops ---- */

static void
tell_ops(
    struct trace_cmd *c, const struct trace_model *m, const struct trace_ops *ops, const char *path)
{
	char what[64], end[TRACE_END_MAX];

	(void)path;
	if (c->cli.json)
		trace_ops_json(c, m, ops);
	for (uint64_t i = 0; i < ops->n && !c->cli.json; i++) {
		const struct trace_op *op = &ops->op[i];

		if (!trace_is_wanted(c, m->view, &m->step[op->first].rec->rec))
			continue;
		printf("[%10.3f ms] op %" PRIu32 ".%" PRIu64 ", %s: %s\n",
		    trace_ms(m->head, m->step[op->first].rec->now_ns), (uint32_t)op->id,
		    op->id >> 32, trace_op_text(op, what, sizeof(what)),
		    trace_op_end(m, op, end, sizeof(end)));
	}
}

int
trace_list_ops(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	return with_ops(c, view, tell_ops, path);
}
