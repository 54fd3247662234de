/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draw --as chrome: JSON for Perfetto and chrome://tracing. The process is the instance, a thread
 * is an actor. A step is a slice named by its message; a worker's slice lasts as long as its work.
 * A flow goes from send to receive. An operation is an async span. Counters show how many
 * operations and parts are under way. Names stay few: numbers are in args.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <string.h>

struct chrome {
	const struct trace_cmd *c;
	const struct trace_model *m;
	FILE *to;
	uint64_t n; /* events so far */
	int64_t ops, parts;
};

static double
us(const struct chrome *x, uint64_t at_ns)
{
	return trace_ms(x->m->head, at_ns) * 1e3;
}

/* The beginning of an event: the members that all have. */
static void
event(struct chrome *x, const char *phase, const char *name, double at_us, uint16_t thread)
{
	fprintf(x->to, "%s\n{\"ph\":\"%s\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f",
	    x->n++ == 0 ? "" : ",", phase, name, x->m->head->pid == 0 ? 1U : x->m->head->pid,
	    thread, at_us);
}

static void
thread_names(struct chrome *x)
{
	bool seen[KVR_ID_N] = { false };
	char id[24];

	for (uint64_t i = 0; i < x->m->n; i++) {
		seen[x->m->step[i].rec->rec.actor] = true;
		seen[x->m->step[i].rec->msg.from] = true;
	}
	event(x, "M", "process_name", 0, 0);
	fprintf(x->to, ",\"args\":{\"name\":");
	cli_json_text(x->to, x->m->head->instance);
	fprintf(x->to, "}}");
	for (uint16_t k = 0; k < KVR_ID_N; k++) {
		if (!seen[k])
			continue;
		event(x, "M", "thread_name", 0, k);
		fprintf(x->to, ",\"args\":{\"name\":\"%s\"}}", kvr_id_name(k, id, sizeof(id)));
	}
}

static void
slice(struct chrome *x, const struct kvr_rec_step *s)
{
	char state[32], was[32], text[320];

	event(x, "X", kvr_msg_info[s->msg.type].name, us(x, s->now_ns), s->rec.actor);
	fprintf(x->to,
	    ",\"dur\":1,\"cat\":\"step\",\"args\":{\"step\":%" PRIu64
	    ",\"before\":\"%s\",\"after\":\"%s\",\"message\":",
	    s->step, trace_state_name(s->rec.actor, s->before, was, sizeof(was)),
	    trace_state_name(s->rec.actor, s->after, state, sizeof(state)));
	cli_json_text(x->to, trace_msg_text(x->m->head, &s->msg, text, sizeof(text)));
	if (s->msg.op != 0)
		fprintf(x->to, ",\"op\":\"%" PRIu32 ".%" PRIu64 "\"", (uint32_t)s->msg.op,
		    s->msg.op >> 32);
	fprintf(x->to, "}}");
}

/* From the sending step; through the worker, with a slice of its own. */
static void
flow(struct chrome *x, const struct kvr_rec_step *s)
{
	uint64_t k = s->msg.cause == 0 ? x->m->n : trace_model_find(x->m, s->msg.cause);

	if (k == x->m->n || s->msg.type == KVR_MSG_TIMER)
		return;
	const struct kvr_rec_step *p = x->m->step[k].rec;

	if (!trace_is_decider(s->msg.from)) {
		event(x, "X", kvr_msg_info[s->msg.type].name, us(x, p->now_ns), s->msg.from);
		fprintf(x->to, ",\"dur\":%.3f,\"cat\":\"work\",\"args\":{\"part\":\"%u.%u\"}}",
		    (double)(s->now_ns - p->now_ns) / 1e3, KVR_PART_SLOT(s->msg.part),
		    s->msg.part >> 16);
	}
	event(x, "s", "message", us(x, p->now_ns), p->rec.actor);
	fprintf(x->to, ",\"cat\":\"message\",\"id\":%" PRIu64 "}", s->step);
	event(x, "f", "message", us(x, s->now_ns), s->rec.actor);
	fprintf(x->to, ",\"cat\":\"message\",\"bp\":\"e\",\"id\":%" PRIu64 "}", s->step);
}

static void
counters(struct chrome *x, uint64_t at_ns)
{
	event(x, "C", "under way", us(x, at_ns), 0);
	fprintf(x->to, ",\"args\":{\"operations\":%" PRId64 ",\"parts\":%" PRId64 "}}",
	    KVR_MAX(x->ops, (int64_t)0), KVR_MAX(x->parts, (int64_t)0));
}

static void
span(struct chrome *x, const char *phase, uint64_t op, const char *name, uint64_t at_ns)
{
	event(x, phase, name, us(x, at_ns), KVR_ID_API);
	fprintf(
	    x->to, ",\"cat\":\"op\",\"id\":\"%" PRIu32 ".%" PRIu64 "\"}", (uint32_t)op, op >> 32);
}

static void
effects(struct chrome *x, const struct trace_step *s)
{
	for (uint32_t k = 0; k < s->n_fx; k++) {
		const struct kvr_fx *fx = &x->m->fx[s->fx + k];

		if (fx->kind != KVR_FX_SEND)
			continue;
		if (fx->msg.type == KVR_MSG_RELEASE && trace_is_wanted_op(x->c, fx->msg.op)) {
			span(x, "e", fx->msg.op, "operation", s->rec->now_ns);
			x->ops--;
			counters(x, s->rec->now_ns);
		}
		x->parts += fx->msg.type == KVR_MSG_PART && s->rec->rec.actor == KVR_ID_ROUTER;
	}
	if (s->rec->msg.type == KVR_MSG_PART_DONE && s->rec->rec.actor == KVR_ID_ROUTER) {
		x->parts--;
		counters(x, s->rec->now_ns);
	}
}

int
trace_chrome(struct trace_cmd *c, const struct trace_model *m, FILE *to)
{
	struct chrome x = { .c = c, .m = m, .to = to };
	uint64_t n = 0;

	fprintf(to, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
	thread_names(&x);
	for (uint64_t i = 0; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];

		if (!trace_is_wanted(c, m->view, &s->rec->rec))
			continue;
		n++;
		if (s->rec->msg.type == KVR_MSG_SUBMIT) {
			span(&x, "b", s->rec->msg.op, "operation", s->rec->now_ns);
			x.ops++;
			counters(&x, s->rec->now_ns);
		}
		slice(&x, s->rec);
		flow(&x, s->rec);
		effects(&x, s);
	}
	fprintf(to, "\n]}\n");
	return ferror(to) ? CLI_ERROR : n == 0 ? CLI_MISS : CLI_OK;
}
