/* SPDX-License-Identifier: Apache-2.0 */
/* check: does this run keep the rules? One line per rule, then what broke it. */
#include "kvr_trace_rule.h"

#include "kvr_metrics_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A busy machine may exceed a deadline by this much. */
static const uint64_t slack_ns = KVR_MS(100);

static bool
is_closed(const struct kvr_trace_view *view)
{
	uint64_t n = kvr_trace_view_count(view);
	const struct kvr_rec *r = n == 0 ? NULL : kvr_trace_view_at(view, n - 1);

	return r != NULL && r->kind == KVR_REC_MARK && kvr_rec_mark(r)->mark == KVR_MARK_CLOSED;
}

/* ---- answers ---- */

static void
answers(const struct trace_model *m, const struct trace_ops *ops, struct trace_rule *once,
    struct trace_rule *late)
{
	bool closed = is_closed(m->view);

	for (uint64_t i = 0; i < ops->n; i++) {
		const struct trace_op *op = &ops->op[i];
		/* An early answer, or one while the device hangs, is followed by a second. */
		const uint32_t most = (op->flags & (KVR_OPF_EARLY | KVR_OPF_DEVICE)) != 0 ? 2 : 1;

		if (op->asked_ns == 0 || !m->step[op->first].known)
			continue;
		once->n++;
		if (op->n_complete > most || op->n_release > 1 ||
		    op->n_ahead > ((op->flags & KVR_OPF_RECORD) != 0 ? 1U : 0U))
			trace_breaks(once,
			    "op %" PRIu32 ".%" PRIu64 " has %u answers and %u releases",
			    (uint32_t)op->id, op->id >> 32, op->n_complete, op->n_release);
		else if (closed && m->why[0] == '\0' && (op->n_complete == 0 || op->n_release == 0))
			trace_breaks(once,
			    "op %" PRIu32 ".%" PRIu64 " has %u answers and %u releases when "
			    "all is closed",
			    (uint32_t)op->id, op->id >> 32, op->n_complete, op->n_release);
		if (op->answered_ns == 0 || op->deadline_ns == 0)
			continue;
		late->n++;
		uint64_t until_ns = KVR_MAX(op->deadline_ns, op->asked_ns);
		if (op->answered_ns > until_ns + slack_ns)
			trace_breaks(late,
			    "op %" PRIu32 ".%" PRIu64 " was answered %.3f ms after its deadline",
			    (uint32_t)op->id, op->id >> 32,
			    (double)(op->answered_ns - until_ns) / 1e6);
	}
}

/* Late answers of workers. Only messages with a caller's deadline count: payload and lookups. */
static void
workers(const struct trace_model *m, struct trace_rule *late)
{
	for (uint64_t i = 0; i < m->n; i++) {
		const struct kvr_rec_step *s = m->step[i].rec;
		char id[24];

		if (s->msg.type != KVR_MSG_PART_DONE || s->msg.from < KVR_ID_WORKER ||
		    s->msg.deadline_ns == 0)
			continue;
		late->n++;
		if (s->now_ns > s->msg.deadline_ns && s->now_ns - s->msg.deadline_ns > slack_ns)
			trace_breaks(late,
			    "step %" PRIu64 ": %s gave part %u.%u back %.3f ms after its deadline",
			    s->step, kvr_id_name(s->msg.from, id, sizeof(id)),
			    KVR_PART_SLOT(s->msg.part), s->msg.part >> 16,
			    (double)(s->now_ns - s->msg.deadline_ns) / 1e6);
	}
}

/* ---- holders ---- */

struct holder {
	uint32_t part;
	uint16_t id;
};

static void
sent(struct holder *all, const struct kvr_msg *m, uint64_t step, struct trace_rule *r)
{
	struct holder *h = &all[KVR_PART_SLOT(m->part)];
	char a[24], b[24];

	r->n++;
	if (h->part == m->part && h->id != m->from)
		trace_breaks(r, "step %" PRIu64 ": %s sends part %u.%u, which %s has", step,
		    kvr_id_name(m->from, a, sizeof(a)), KVR_PART_SLOT(m->part), m->part >> 16,
		    kvr_id_name(h->id, b, sizeof(b)));
	if (h->part != m->part && h->part != 0 && h->id != KVR_ID_ROUTER)
		trace_breaks(r, "step %" PRIu64 ": a new part in place %u, whose part %s still has",
		    step, KVR_PART_SLOT(m->part), kvr_id_name(h->id, b, sizeof(b)));
	*h = (struct holder){ m->part, m->to };
}

static bool
owned(const struct kvr_msg *m)
{
	return kvr_msg_info[m->type].owner == KVR_OWNER_RECEIVER && m->part != 0 &&
	       KVR_PART_SLOT(m->part) < KVR_PARTS_MAX;
}

static void
holders(const struct trace_model *m, struct trace_rule *one, struct trace_rule *home)
{
	static struct holder all[KVR_PARTS_MAX];
	char id[24];

	memset(all, 0, sizeof(all));
	for (uint64_t i = 0; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];

		/* A worker has no recorded steps: note what it gives back here. */
		if (s->known && owned(&s->rec->msg) && !trace_is_decider(s->rec->msg.from))
			sent(all, &s->rec->msg, s->rec->step, one);
		for (uint32_t k = 0; k < s->n_fx; k++) {
			const struct kvr_fx *fx = &m->fx[s->fx + k];

			if (fx->kind == KVR_FX_SEND && owned(&fx->msg))
				sent(all, &fx->msg, s->rec->step, one);
		}
	}
	if (!is_closed(m->view) || m->why[0] != '\0')
		return;
	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		home->n += all[i].part != 0;
		if (all[i].part != 0 && all[i].id != KVR_ID_ROUTER)
			trace_breaks(home, "part %u.%u is still with %s", i, all[i].part >> 16,
			    kvr_id_name(all[i].id, id, sizeof(id)));
	}
}

/* ---- budgets ---- */

static void
budgets(const struct trace_model *m, struct trace_rule *r, char *ret, size_t cap)
{
	uint64_t fx = 0, lines = 0;
	const struct kvr_rec_step *most = NULL, *widest = NULL;
	char a[24], b[24];

	for (uint64_t i = 0; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];

		r->n++;
		if (s->rec->n_fx > KVR_FX_MAX || s->touched > KVR_TOUCH_MAX)
			trace_breaks(r, "step %" PRIu64 ": %u effects, %u lines", s->rec->step,
			    s->rec->n_fx, s->touched);
		if (most == NULL || s->rec->n_fx > fx) {
			most = s->rec;
			fx = s->rec->n_fx;
		}
		if (widest == NULL || s->touched > lines) {
			widest = s->rec;
			lines = s->touched;
		}
	}
	if (most != NULL)
		snprintf(ret, cap,
		    "most: %" PRIu64 " of %d effects (%s, %s), %" PRIu64 " of %d lines (%s, %s)",
		    fx, KVR_FX_MAX, kvr_id_name(most->rec.actor, a, sizeof(a)),
		    kvr_msg_info[most->msg.type].name, lines, KVR_TOUCH_MAX,
		    kvr_id_name(widest->rec.actor, b, sizeof(b)),
		    kvr_msg_info[widest->msg.type].name);
}

/* ---- states at the end ---- */

static void
conserved(const struct kvr_metrics_state *s, struct trace_rule *r)
{
	for (uint32_t t = 0; t < s->n_tiers; t++) {
		for (uint32_t v = 0; v < KVR_VERB_PING; v++) {
			const struct kvr_metrics_verb *c = &s->tier[t].verb[v];
			uint64_t sum = c->ok + c->miss;

			for (uint32_t e = 0; e < KVR_METRICS_ERRS; e++)
				sum += c->error[e] + c->dropped[e];
			r->n++;
			if (sum != c->keys)
				trace_breaks(r,
				    "tier %u, verb %u: %" PRIu64 " keys, %" PRIu64
				    " with an outcome",
				    t, v, c->keys, sum);
		}
	}
}

static void
is_none(const struct kvr_actor *a, const char *field, struct trace_rule *r)
{
	struct kvr_place p;
	char value[KVR_FIELD_VALUE];

	if (a == NULL || !kvr_field_named(a->spec, field, &p))
		return;
	r->n++;
	kvr_field_value(&p, a->self, 0, value, sizeof(value));
	if (strcmp(value, "0") != 0)
		trace_breaks(r, "%s: %s is %s", a->spec->name, field, value);
}

/* Nothing is under way, so the counts of what is under way must be 0. */
static void
at_home(const struct kvr_replay *r, struct trace_rule *home)
{
	is_none(kvr_replay_actor(r, KVR_ID_ROUTER), "n_ops", home);
	is_none(kvr_replay_actor(r, KVR_ID_ROUTER), "n_parts", home);
	is_none(kvr_replay_actor(r, KVR_ID_ROUTER), "n_slots_back", home);
	is_none(kvr_replay_actor(r, KVR_ID_TRANSFER), "n_busy", home);
	is_none(kvr_replay_actor(r, KVR_ID_TRANSFER), "n_queued", home);
	for (uint16_t id = KVR_ID_TIER; id < KVR_ID_WORKER; id++) {
		is_none(kvr_replay_actor(r, id), "n_parts", home);
		is_none(kvr_replay_actor(r, id), "n_queued", home);
	}
}

static void
states(struct trace_cmd *c, const struct kvr_trace_view *view, struct trace_rule *same,
    struct trace_rule *law, struct trace_rule *home)
{
	struct kvr_replay *r = NULL;
	struct kvr_replay_diff diff;
	enum kvr_err err =
	    kvr_replay_open(view, kvr_spec_of, c->anyway, &r, same->unknown, sizeof(same->unknown));

	/* Without a replay the decisions are unknown, not different. */
	if (err != KVR_OK)
		return;
	err = kvr_replay_all(r, &same->n, &diff);
	if (err == KVR_E_CORRUPT)
		trace_breaks(same, "%s", diff.text);
	else if (err != KVR_OK)
		snprintf(same->unknown, sizeof(same->unknown),
		    "the trace has lost its beginning and has no whole snapshot");
	const struct kvr_actor *metrics = kvr_replay_actor(r, KVR_ID_METRICS);
	if (err == KVR_OK && metrics != NULL)
		conserved(metrics->self, law);
	if (err == KVR_OK && is_closed(view))
		at_home(r, home);
	kvr_replay_free(r);
}

static void
tell(const struct trace_rule *r)
{
	printf("%-8s %s (%" PRIu64 " looked at)\n",
	    r->broken > 0           ? "BROKEN"
	    : r->unknown[0] != '\0' ? "unknown"
	    : r->n == 0             ? "nothing"
	                            : "ok",
	    r->name, r->n);
	if (r->unknown[0] != '\0')
		printf("         %s\n", r->unknown);
	for (uint64_t k = 0; k < r->broken && k < TRACE_TOLD_MAX; k++)
		printf("         %s\n", r->told[k]);
	if (r->broken > TRACE_TOLD_MAX)
		printf("         and %" PRIu64 " more\n", r->broken - TRACE_TOLD_MAX);
}

int
trace_check(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	enum { SAME, ONCE, LATE, WORKERS, ONE, HOME, ARROWS, BUDGET, LAW, N };
	static struct trace_rule rule[N] = {
		[SAME] = { .name = "every step is decided the same today" },
		[ONCE] = { .name = "every operation is answered once" },
		[LATE] = { .name = "no answer comes after its deadline" },
		[WORKERS] = { .name = "no worker keeps a part beyond its deadline" },
		[ONE] = { .name = "a part has one holder" },
		[HOME] = { .name = "closed, and nothing is left under way" },
		[ARROWS] = { .name = "no message goes against an arrow" },
		[BUDGET] = { .name = "no step is over its budget" },
		[LAW] = { .name = "keys = ok + miss + errors + dropped, each tier and verb" },
	};
	struct trace_model *m = trace_model_make(c, view);
	struct trace_ops ops = { .n = 0 };
	char most[160] = "";
	bool broken = false;

	if (m == NULL || !trace_ops_of(m, &ops)) {
		trace_model_free(m);
		return CLI_ERROR;
	}
	states(c, view, &rule[SAME], &rule[LAW], &rule[HOME]);
	answers(m, &ops, &rule[ONCE], &rule[LATE]);
	workers(m, &rule[WORKERS]);
	holders(m, &rule[ONE], &rule[HOME]);
	trace_rule_arrows(m, &rule[ARROWS]);
	budgets(m, &rule[BUDGET], most, sizeof(most));
	for (int i = 0; i < N; i++) {
		broken = broken || rule[i].broken > 0;
		tell(&rule[i]);
	}
	printf("%s\n", most);
	trace_ops_free(&ops);
	trace_model_free(m);
	if (broken)
		return CLI_MISS;
	return rule[SAME].unknown[0] == '\0'
	           ? CLI_OK
	           : cli_fail(&c->cli, "%s: %s", path, rule[SAME].unknown);
}
