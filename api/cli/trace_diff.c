/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff: where do two runs diverge? Compares each actor's steps in order. If the input differs, look
 * at its sender. If the input is the same and the decision differs, look at the code that ran.
 * Times always differ between two runs. Digests are compared only while all times so far are equal;
 * otherwise messages, states and effects are.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum verdict { SAME, OTHER_INPUT, OTHER_STATE, OTHER_DECISION };

struct side {
	const char *path;
	struct kvr_trace_view *view;
	struct trace_model *m;
	uint64_t *of[KVR_ID_N]; /* indices of each actor's steps */
	uint64_t n[KVR_ID_N];
	uint64_t base[KVR_ID_N]; /* steps of each actor before the first of these */
};

struct split {
	uint16_t actor;
	enum verdict verdict;
	uint64_t number; /* counts the actor's steps */
	uint64_t f, g;   /* indices */
};

/* ---- sides ---- */

/* If the trace begins with a snapshot: how many steps each actor had made by then. */
static void
read_bases(struct side *s)
{
	uint64_t start = kvr_trace_view_first_start(s->view);

	for (uint64_t i = 0; i < start; i++) {
		const struct kvr_rec *r = kvr_trace_view_at(s->view, i);

		if (r->kind == KVR_REC_STATE && r->actor < KVR_ID_N)
			s->base[r->actor] = kvr_rec_state(r)->steps;
	}
}

static bool
open_side(struct trace_cmd *c, const char *path, struct side *s)
{
	s->path = path;
	s->view = trace_open(c, path);
	s->m = s->view == NULL ? NULL : trace_model_make(c, s->view);
	if (s->m == NULL)
		return false;
	read_bases(s);
	uint64_t start = kvr_trace_view_first_start(s->view);

	for (uint64_t i = 0; i < s->m->n; i++) {
		uint16_t id = s->m->step[i].rec->rec.actor;

		if (s->m->step[i].index < start || id >= KVR_ID_N)
			continue;
		if (s->of[id] == NULL)
			s->of[id] = calloc(s->m->n, sizeof(uint64_t));
		if (s->of[id] == NULL)
			return false;
		s->of[id][s->n[id]++] = i;
	}
	return true;
}

static void
close_side(struct side *s)
{
	for (uint32_t id = 0; id < KVR_ID_N; id++)
		free(s->of[id]);
	trace_model_free(s->m);
	kvr_trace_view_free(s->view);
}

/* ---- comparing ---- */

static struct kvr_msg
timeless(const struct kvr_msg *m)
{
	struct kvr_msg t = *m;

	kvr_msg_timeless(&t);
	return t;
}

static bool
same_rows(const struct kvr_rec_step *a, const struct kvr_rec_step *b)
{
	return a->rows_here == b->rows_here && a->msg.n_rows == b->msg.n_rows &&
	       (a->rows_here == 0 || a->msg.type == KVR_MSG_START ||
	           memcmp(a + 1, b + 1, a->msg.n_rows * sizeof(struct kvr_row)) == 0);
}

/* Compares kinds, receivers, order and contents, without times. */
static bool
same_effects(const struct side *f, const struct side *g, const struct trace_step *a,
    const struct trace_step *b)
{
	if (a->rec->n_fx != b->rec->n_fx)
		return false;
	for (uint32_t i = 0; a->known && b->known && i < a->n_fx; i++) {
		const struct kvr_fx *x = &f->m->fx[a->fx + i], *y = &g->m->fx[b->fx + i];
		struct kvr_msg p = timeless(&x->msg), q = timeless(&y->msg);

		if (x->kind != y->kind || memcmp(&p, &q, sizeof(p)) != 0)
			return false;
	}
	return true;
}

static enum verdict
compare(const struct side *f, const struct side *g, const struct trace_step *a,
    const struct trace_step *b, bool *exact)
{
	struct kvr_msg p = timeless(&a->rec->msg), q = timeless(&b->rec->msg);

	*exact = *exact && a->rec->now_ns == b->rec->now_ns &&
	         memcmp(&a->rec->msg, &b->rec->msg, sizeof(a->rec->msg)) == 0;
	if (memcmp(&p, &q, sizeof(p)) != 0 || !same_rows(a->rec, b->rec))
		return OTHER_INPUT;
	if (a->rec->before != b->rec->before)
		return OTHER_STATE;
	if (a->rec->after != b->rec->after || !same_effects(f, g, a, b) ||
	    (*exact && a->rec->digest != b->rec->digest))
		return OTHER_DECISION;
	return SAME;
}

static uint64_t
end_of(const struct side *s, uint16_t id)
{
	return s->base[id] + s->n[id];
}

/* False: no difference as far as both go. */
static bool
first_split(const struct side *f, const struct side *g, uint16_t id, struct split *ret)
{
	uint64_t from = KVR_MAX(f->base[id], g->base[id]);
	uint64_t to = KVR_MIN(end_of(f, id), end_of(g, id));
	bool exact = f->base[id] == g->base[id];

	for (uint64_t k = from; k < to; k++) {
		uint64_t a = f->of[id][k - f->base[id]], b = g->of[id][k - g->base[id]];
		enum verdict v = compare(f, g, &f->m->step[a], &g->m->step[b], &exact);

		if (v == SAME)
			continue;
		*ret = (struct split){ .actor = id, .verdict = v, .number = k + 1, .f = a, .g = b };
		return true;
	}
	return false;
}

/* ---- output ---- */

static void
tell_side(const struct side *s, uint64_t k)
{
	const struct trace_step *step = &s->m->step[k];
	char line[KVR_TRACE_LINE];

	printf("%s\n%s\n", s->path,
	    kvr_trace_line(s->m->head, &step->rec->rec, kvr_spec_of, line, sizeof(line)));
	for (uint32_t i = 0; i < step->n_fx; i++)
		printf("%24s%s\n", "-> ",
		    kvr_trace_fx(
		        &s->m->fx[step->fx + i], s->m->head->opened_mono_ns, line, sizeof(line)));
}

static void
tell_split(const struct side *f, const struct side *g, const struct split *s)
{
	static const char *const word[] = { "the same", "input differs", "another state before it",
		"same input, other decision" };
	const struct kvr_msg *m = &f->m->step[s->f].rec->msg;
	char id[24], from[24];

	printf("%s, the actor's step %" PRIu64 ": %s\n", kvr_id_name(s->actor, id, sizeof(id)),
	    s->number, word[s->verdict]);
	tell_side(f, s->f);
	tell_side(g, s->g);
	if (s->verdict == OTHER_DECISION)
		printf("look here: other code, another seed, or a rule of determinism broken\n");
	else if (s->verdict == OTHER_INPUT && m->cause != 0)
		printf("look upstream: it comes from %s, step %" PRIu64 " of the first\n",
		    kvr_id_name(m->from, from, sizeof(from)), m->cause);
	else if (s->verdict == OTHER_INPUT)
		printf(
		    "look outside: it comes from %s\n", kvr_id_name(m->from, from, sizeof(from)));
}

static int
compare_all(const struct trace_cmd *c, const struct side *f, const struct side *g)
{
	struct split first = { .verdict = SAME }, s;
	char id[24];
	uint64_t n = 0;

	for (uint16_t a = 0; a < KVR_ID_N; a++) {
		uint64_t both = KVR_MIN(end_of(f, a), end_of(g, a));

		if ((f->n[a] == 0 && g->n[a] == 0) ||
		    (c->actor != NULL && !trace_is_actor(c->actor, a)))
			continue;
		kvr_id_name(a, id, sizeof(id));
		if (f->n[a] == 0 || g->n[a] == 0)
			printf("%-12s only in %s\n", id, f->n[a] == 0 ? g->path : f->path);
		else if (first_split(f, g, a, &s)) {
			printf("%-12s parts at its step %" PRIu64 "\n", id, s.number);
			if (first.verdict == SAME ||
			    f->m->step[s.f].rec->step < f->m->step[first.f].rec->step)
				first = s;
		} else
			printf("%-12s the same for %" PRIu64 " steps, of %" PRIu64 " and %" PRIu64
			       "\n",
			    id, both - KVR_MIN(both, KVR_MAX(f->base[a], g->base[a])), f->n[a],
			    g->n[a]);
		n++;
	}
	if (first.verdict == SAME)
		return n > 0 ? CLI_OK : CLI_MISS;
	printf("\nfirst: ");
	tell_split(f, g, &first);
	return CLI_MISS;
}

int
trace_diff(struct trace_cmd *c)
{
	struct side *s = calloc(2, sizeof(*s));
	int status = CLI_ERROR;

	if (c->n_args != 2) {
		free(s);
		return cli_fail(&c->cli, "diff takes two traces");
	}
	if (s != NULL && open_side(c, c->args[0], &s[0]) && open_side(c, c->args[1], &s[1]))
		status = compare_all(c, &s[0], &s[1]);
	for (int i = 0; s != NULL && i < 2; i++)
		close_side(&s[i]);
	free(s);
	return status;
}
