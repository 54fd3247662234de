/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: one operation across actors. The indent of a receiver shows its distance from the caller.
 * Each line begins with how long the message or part had waited, and where.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HOLDERS_MAX = 48 };

/* How long each actor had parts of the operation. */
struct holder {
	uint16_t id;
	bool in; /* true: working on it; false: it waited there */
	uint64_t ns;
	uint32_t times;
};

struct walk {
	const struct trace_cmd *c;
	const struct trace_model *m;
	const struct trace_op *op;
	struct {
		uint32_t part;
		uint64_t step;
	} last[TRACE_PARTS_MAX]; /* step: index */
	uint32_t n_last;
	struct holder holder[HOLDERS_MAX];
	uint32_t n_holders;
	bool verbose;
};

static int
depth_of(uint16_t id)
{
	if (id == KVR_ID_ROUTER || id == KVR_ID_API)
		return 0;
	return id >= KVR_ID_LINK && id < KVR_ID_WORKER ? 2 : 1;
}

/* The last step with the same part, else the step that sent the message. n: none. */
static uint64_t
before(const struct walk *w, const struct kvr_msg *m)
{
	for (uint32_t i = 0; i < w->n_last && m->part != 0; i++) {
		if (w->last[i].part == m->part)
			return w->last[i].step;
	}
	return m->cause == 0 ? w->m->n : trace_model_find(w->m, m->cause);
}

static void
remember(struct walk *w, uint32_t part, uint64_t step)
{
	for (uint32_t i = 0; i < w->n_last; i++) {
		if (w->last[i].part == part) {
			w->last[i].step = step;
			return;
		}
	}
	if (w->n_last < TRACE_PARTS_MAX) {
		w->last[w->n_last].part = part;
		w->last[w->n_last++].step = step;
	}
}

static void
count(struct walk *w, uint16_t id, bool in, uint64_t ns)
{
	uint32_t i = 0;

	while (i < w->n_holders && (w->holder[i].id != id || w->holder[i].in != in))
		i++;
	if (i == HOLDERS_MAX)
		return;
	if (i == w->n_holders)
		w->holder[w->n_holders++] = (struct holder){ .id = id, .in = in };
	w->holder[i].ns += ns;
	w->holder[i].times++;
}

/* Where it was between the previous step and this one. */
static void
waited(struct walk *w, const struct kvr_rec_step *s, uint64_t prev, char *ret, size_t cap)
{
	char id[24];

	snprintf(ret, cap, "%24s", "");
	if (prev == w->m->n)
		return;
	const struct kvr_rec_step *p = w->m->step[prev].rec;
	const bool by_worker = !trace_is_decider(s->msg.from) && s->msg.from > KVR_ID_API;
	const uint16_t where = by_worker ? s->msg.from : p->rec.actor;
	const uint64_t ns = s->now_ns - p->now_ns;

	snprintf(ret, cap, "%10.3f in %-10s", (double)ns / 1e6, kvr_id_name(where, id, sizeof(id)));
	if (s->msg.part != 0)
		count(w, where, by_worker, ns);
}

static bool
is_of(const struct walk *w, uint64_t i)
{
	const struct kvr_msg *m = &w->m->step[i].rec->msg;

	if (m->op == w->op->id)
		return w->verbose || m->to != KVR_ID_METRICS;
	/* A deadline: timers of the router have the slot numbers of operations. */
	return m->type == KVR_MSG_TIMER && m->to == KVR_ID_ROUTER &&
	       m->TIMER.timer == (uint32_t)w->op->id && w->m->step[i].rec->n_fx > 0 &&
	       (w->op->answered_ns == 0 || w->m->step[i].rec->now_ns <= w->op->released_ns);
}

static void
line(struct walk *w, uint64_t i)
{
	const struct kvr_rec_step *s = w->m->step[i].rec;
	uint64_t prev = before(w, &s->msg);
	char from[24], to[24], text[320], where[64], was[32], is[32], keys[128];

	waited(w, s, prev, where, sizeof(where));
	printf("%12.3f %s %6" PRIu64 "  %*s%s -> %s  %s", trace_ms(w->m->head, s->now_ns), where,
	    s->step, 2 * depth_of(s->rec.actor), "", kvr_id_name(s->msg.from, from, sizeof(from)),
	    kvr_id_name(s->rec.actor, to, sizeof(to)),
	    trace_msg_text(w->m->head, &s->msg, text, sizeof(text)));
	if (s->rows_here != 0 && kvr_msg_info[s->msg.type].owner == KVR_OWNER_RECEIVER) {
		kvr_rows_text((const struct kvr_row *)(const void *)(s + 1), s->msg.n_rows, keys,
		    sizeof(keys));
		printf("%s%s", keys[0] == '\0' ? "" : " keys ", keys);
	}
	const char *fate = trace_key_fate(w->c, s);
	if (fate != NULL)
		printf(" this key %s", fate);
	if (s->before != s->after)
		printf("  (%s -> %s)", trace_state_name(s->rec.actor, s->before, was, sizeof(was)),
		    trace_state_name(s->rec.actor, s->after, is, sizeof(is)));
	printf("\n");
	if (s->msg.part != 0)
		remember(w, s->msg.part, i);
}

/* What the caller received, which is no actor's step. */
static void
outside(const struct walk *w, uint64_t i)
{
	const struct trace_step *s = &w->m->step[i];
	char text[320];

	for (uint32_t k = 0; k < s->n_fx; k++) {
		const struct kvr_msg *e = &w->m->fx[s->fx + k].msg;

		if (e->to == KVR_ID_API && e->op == w->op->id)
			printf("%12.3f %24s %6s  router -> api  %s\n",
			    trace_ms(w->m->head, s->rec->now_ns), "", "",
			    trace_msg_text(w->m->head, e, text, sizeof(text)));
	}
}

static int
longest_first(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->ns != y->ns ? (x->ns < y->ns ? 1 : -1) : 0;
}

static void
sum_up(struct walk *w)
{
	char id[24];

	qsort(w->holder, w->n_holders, sizeof(w->holder[0]), longest_first);
	for (uint32_t i = 0; i < w->n_holders && i < 4 && w->holder[i].ns > 0; i++)
		printf("  %10.3f ms %s %s, %u time%s\n", (double)w->holder[i].ns / 1e6,
		    w->holder[i].in ? "worked on by" : "waited in",
		    kvr_id_name(w->holder[i].id, id, sizeof(id)), w->holder[i].times,
		    w->holder[i].times == 1 ? "" : "s");
}

static void
follow_one(struct trace_cmd *c, const struct trace_model *m, const struct trace_op *op)
{
	struct walk w = { .c = c, .m = m, .op = op, .verbose = c->cli.verbose };
	char what[64], end[TRACE_END_MAX];

	printf("op %" PRIu32 ".%" PRIu64 ", %s: %s\n", (uint32_t)op->id, op->id >> 32,
	    trace_op_text(op, what, sizeof(what)), trace_op_end(m, op, end, sizeof(end)));
	if (op->deadline_ns != 0 && op->asked_ns != 0)
		printf("  asked at %.3f ms, deadline %.3f ms later\n",
		    trace_ms(m->head, op->asked_ns),
		    (double)(op->deadline_ns - op->asked_ns) / 1e6);
	printf("%12s %10s %-13s %6s\n", "at ms", "waited ms", "", "step");
	for (uint64_t i = op->first; i < m->n; i++) {
		if (is_of(&w, i))
			line(&w, i);
		outside(&w, i);
	}
	if (op->released_ns == 0)
		trace_op_waits(m, op, "  at the end: ");
	sum_up(&w);
}

int
trace_follow(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	struct trace_model *m;
	struct trace_ops ops;
	uint64_t n = 0;

	if (c->op == NULL && c->request == NULL && c->key == NULL)
		return cli_fail(&c->cli,
		    "follow whom? --op 7.1, --request ID or --key KEY; 'kvrelay trace ops %s' "
		    "lists operations",
		    path);
	m = trace_model_make(c, view);
	if (m == NULL)
		return CLI_ERROR;
	if (!trace_ops_of(m, &ops)) {
		trace_model_free(m);
		return cli_fail(&c->cli, "no memory");
	}
	for (uint64_t i = 0; i < ops.n; i++) {
		const struct trace_op *op = &ops.op[i];

		if (!trace_is_wanted(c, view, &m->step[op->first].rec->rec))
			continue;
		printf("%s", n++ == 0 ? "" : "\n");
		follow_one(c, m, op);
	}
	if (m->why[0] != '\0')
		fprintf(stderr, "kvrelay trace: answers are not known everywhere: %s\n", m->why);
	trace_ops_free(&ops);
	trace_model_free(m);
	if (n == 0)
		fprintf(stderr, "kvrelay trace: %s: no such operation\n", path);
	return n > 0 ? CLI_OK : CLI_MISS;
}
