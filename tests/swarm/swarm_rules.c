/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold all the time, seen from outside the deciders. The simulator itself watches that a
 * part has one holder, that memory is touched only while it is lent, that bytes are the right ones
 * and that answers come once.
 */
#include "kvr_swarm.h"

#include "kvr_metrics_state.h"
#include "kvr_sim_own.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t late_ns = KVR_MS(5), late_abort_ns = KVR_MS(30);
enum { INSTANT_MAX = 100000 };

_Noreturn void
swarm_broken(const struct swarm *s, const char *format, ...)
{
	char text[400];
	va_list args;

	(void)s;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	kvr_panic("swarm", 0, text);
}

const char *
swarm_name(const struct kvr_sim_answer *a)
{
	static const char *const kind[KVR_OP_N] = { "lookup", "get", "put", "remove", "size",
		"prefetch" };
	static char text[96];

	snprintf(text, sizeof(text), "%s of %u keys, %u a chunk,%s%s%s%s%s%s%s%s", kind[a->kind], a->n,
	    a->per_chunk, a->flags & KVR_OPF_PREFIX ? " PREFIX" : "",
	    a->flags & KVR_OPF_AT_MOST ? " AT_MOST" : "",
	    a->flags & KVR_OPF_IF_ABSENT ? " IF_ABSENT" : "",
	    a->flags & KVR_OPF_EARLY ? " EARLY" : "",
	    a->flags & KVR_OPF_DUP_ERROR ? " DUP_ERROR" : "",
	    a->flags & KVR_OPF_RECORD ? " RECORD" : "",
	    a->flags & KVR_OPF_LAYERS ? " LAYERS" : "",
	    a->flags & KVR_OPF_DEVICE      ? " DEVICE"
		: a->flags & KVR_OPF_PAGED ? " PAGED"
		                           : "");
	return text;
}

/* ---- promptness ---- */

void
swarm_rules_asked(struct swarm *s, uint32_t number, uint64_t deadline_ns)
{
	const struct kvr_sim_answer *a = kvr_sim_answer_to(s->in.sim, number);

	if (number >= s->cap_calls) {
		s->cap_calls = s->cap_calls == 0 ? 1024 : s->cap_calls * 2;
		s->calls = realloc(s->calls, s->cap_calls * sizeof(s->calls[0]));
		KVR_CHECK(s->calls != NULL);
	}
	uint64_t until_ns = KVR_MAX(deadline_ns, kvr_sim_now(s->in.sim));

	s->calls[number] = (struct swarm_call){ .deadline_ns = until_ns, .until_ns = until_ns };
	s->number[a->op & (KVR_OPS_MAX - 1)] = number;
}

void
swarm_rules_cancelled(struct swarm *s, uint32_t number)
{
	struct swarm_call *c = &s->calls[number];

	c->cancelled = true;
	c->until_ns = KVR_MIN(c->until_ns, kvr_sim_now(s->in.sim));
}

static struct swarm_call *
call_of(struct swarm *s, uint64_t op)
{
	return &s->calls[s->number[op & (KVR_OPS_MAX - 1)]];
}

/*
 * Whose memory a stuck worker had may be late, for nobody can take it away. And a cancel cannot
 * take a part out of the place where it waits for the one before it; a deadline must not need to.
 */
static void
excuse(struct swarm *s, const struct kvr_event *ev)
{
	const struct sim_worker *w = &s->in.sim->worker[ev->msg.from - KVR_ID_WORKER];
	uint8_t verb = ev->msg.PART_DONE.verb;

	if (ev->msg.PART_DONE.err == KVR_E_UNFINISHED)
		call_of(s, ev->msg.op)->waited_ns = ev->now_ns;
	if (w->stuck_ns != ev->now_ns || (verb != KVR_VERB_GET && verb != KVR_VERB_PUT))
		return;
	for (uint32_t i = 0; i < ev->msg.n_rows; i++) {
		if ((ev->rows[i].flags & KVR_ROW_STAGED) == 0)
			call_of(s, ev->msg.op)->excused_ns = ev->now_ns;
	}
}

static void
is_prompt(struct swarm *s, const struct kvr_msg *complete)
{
	struct swarm_call *c = call_of(s, complete->op);
	const struct kvr_sim_answer *a =
	    kvr_sim_answer_to(s->in.sim, s->number[complete->op & (KVR_OPS_MAX - 1)]);
	uint64_t now_ns = kvr_sim_now(s->in.sim);
	bool first = c->first_ns == 0, early = (a->flags & KVR_OPF_EARLY) != 0;

	if (a->op != complete->op)
		swarm_broken(s, "an answer to a call that is over");
	if (complete->rows != a->first)
		return; /* ahead of its copies: it has no deadline of its own */
	if (first)
		c->first_ns = now_ns;
	if (now_ns <= c->until_ns + late_ns)
		return;
	if (first && early)
		swarm_broken(s, "%s: an early answer is %u us late", swarm_name(a),
		    (unsigned)((now_ns - c->until_ns) / 1000));
	if (c->waited_ns != 0 && now_ns <= KVR_MIN(c->waited_ns, c->deadline_ns) + late_ns)
		return;
	if (c->excused_ns == 0 || now_ns > c->excused_ns + late_ns)
		swarm_broken(s, "%s: %u us late, and no stuck worker had the memory", swarm_name(a),
		    (unsigned)((now_ns - c->until_ns) / 1000));
}

/* Workers that nothing ends before their time keep what they have. */
static bool
may_stick(const struct swarm *s)
{
	bool may = false;

	for (uint32_t t = 0; t < s->in.router.n_tiers; t++)
		may = may || kvr_sim_store(s->in.sim, t)->sticks != 0;
	return may;
}

/* An abort gives everybody an answer at once, and ends what goes on behind answers. */
static void
aborts(const struct swarm *s)
{
	bool sticky = may_stick(s);

	for (uint32_t i = 0; i < kvr_sim_asked(s->in.sim); i++) {
		const struct swarm_call *c = &s->calls[i];
		const struct kvr_sim_answer *a = kvr_sim_answer_to(s->in.sim, i);

		if (a->answered_ns > s->stopped_ns + late_abort_ns &&
		    a->answered_ns > KVR_MAX(c->excused_ns, c->waited_ns) + late_ns)
			swarm_broken(s, "an answer is late after an abort");
		if (!sticky && a->released_ns > s->stopped_ns + late_abort_ns &&
		    a->released_ns > KVR_MAX(c->excused_ns, c->waited_ns) + late_ns)
			swarm_broken(s, "%s: something goes on behind its answer after an abort",
			    swarm_name(a));
	}
}

/* ---- every step ---- */

static void
before(void *arg, struct kvr_sim *sim, const struct kvr_event *ev)
{
	struct swarm *s = arg;

	s->in_step = true;
	if (ev->now_ns != s->instant_ns)
		s->n_instant = 0;
	s->instant_ns = ev->now_ns;
	if (++s->n_instant > INSTANT_MAX)
		swarm_broken(s, "steps without end at one instant");
	if (ev->msg.type == KVR_MSG_PART_DONE && ev->msg.from >= KVR_ID_WORKER)
		excuse(s, ev);
	(void)sim;
	kvr_tape_before(&s->tape, ev);
}

static void
after(void *arg, struct kvr_sim *sim, const struct kvr_actor *a, uint32_t state_before,
    uint64_t digest, const struct kvr_out *out)
{
	struct swarm *s = arg;

	(void)sim;
	s->in_step = false;
	for (uint32_t i = 0; i < out->n; i++) {
		const struct kvr_fx *fx = &out->fx[i];

		if (fx->kind != KVR_FX_SEND || fx->msg.type != KVR_MSG_COMPLETE)
			continue;
		is_prompt(s, &fx->msg);
		uint32_t number = s->number[fx->msg.op & (KVR_OPS_MAX - 1)];

		if (kvr_sim_answer_to(s->in.sim, number)->kind == KVR_OP_REMOVE)
			swarm_tables_removed(s, number);
	}
	kvr_tape_after(&s->tape, s->in.sim, a, state_before, digest, out);
}

void
swarm_rules_watch(struct swarm *s)
{
	s->watch = (struct kvr_sim_watch){ .before = before, .after = after, .arg = s };
}

/* ---- answers ---- */

static bool
reads(uint32_t kind)
{
	return kind != KVR_OP_PUT && kind != KVR_OP_REMOVE;
}

/*
 * The leading run is what rows say it is, counted in whole chunks. With PREFIX nothing is told of
 * the chunks behind the one that is cut; without it every key has its own outcome.
 */
static void
check_prefix(const struct swarm *s, const struct kvr_sim_answer *a, uint32_t per_chunk)
{
	bool cuts = (a->flags & KVR_OPF_PREFIX) != 0 && reads(a->kind);
	uint32_t whole = 0;

	while (whole < a->n && a->rows[whole].err == KVR_OK)
		whole++;
	if (a->prefix != whole / per_chunk)
		swarm_broken(s, "%s: a leading run of %u, rows say %u keys", swarm_name(a),
		    a->prefix, whole);
	if (a->err != (whole == a->n ? KVR_OK : a->rows[whole].err))
		swarm_broken(s, "the answer's error is not that of its first bad key");
	for (uint32_t i = 0; i < a->n; i++) {
		bool behind = whole < a->n && i / per_chunk > whole / per_chunk;
		bool unasked = a->rows[i].err == KVR_E_UNASKED;

		if (unasked != (cuts && behind))
			swarm_broken(
			    s, "%s: key %u is%s UNASKED", swarm_name(a), i, unasked ? "" : " not");
	}
}

static void
check_row(const struct swarm *s, const struct kvr_sim_answer *a, const struct swarm_call *c,
    const struct kvr_row *row)
{
	bool ok = row->err == KVR_OK;

	if (!ok && row->len != 0)
		swarm_broken(s, "%s: %s, and a length", swarm_name(a), kvr_err_name(row->err));
	if (row->flags & KVR_ROW_DUP && a->kind != KVR_OP_PUT)
		swarm_broken(s, "a duplicate of something that is no put");
	if (row->err == KVR_E_DUPLICATE && (a->flags & KVR_OPF_DUP_ERROR) == 0)
		swarm_broken(s, "DUPLICATE for one who did not ask for it");
	if (row->err == KVR_E_EXISTS && a->kind != KVR_OP_PUT)
		swarm_broken(s, "EXISTS for something that is no put");
	/* One that was told ahead cannot write what it only waited for. */
	bool takes = (row->flags & KVR_ROW_DUP) != 0 && (a->flags & KVR_OPF_RECORD) != 0;

	if (row->err == KVR_E_DEVICE && !takes && (a->flags & KVR_OPF_DEVICE) == 0)
		swarm_broken(s, "%s: DEVICE, and no device has to do with it", swarm_name(a));
	if (ok && reads(a->kind) && row->where >= s->in.router.n_tiers)
		swarm_broken(s, "a hit, and no tier is named");
	if (row->err == KVR_E_MISS && a->kind == KVR_OP_PUT)
		swarm_broken(s, "a put is a miss");
	if (row->err == KVR_E_PARTIAL && reads(a->kind))
		swarm_broken(s, "a read is partial");
	/* Also behind another's put that was. */
	if (row->err == KVR_E_CANCELLED && !takes && !c->cancelled)
		swarm_broken(s, "%s: CANCELLED, and nobody did, asked at %llu ns", swarm_name(a),
		    (unsigned long long)a->asked_ns);
	if (row->err == KVR_E_SHUTDOWN && s->stopped_ns == 0)
		swarm_broken(s, "SHUTDOWN, and nobody stopped it");
}

static void
check_answer(const struct swarm *s, uint32_t number, uint32_t per_chunk)
{
	const struct kvr_sim_answer *a = kvr_sim_answer_to(s->in.sim, number);
	uint32_t due = a->flags & KVR_OPF_EARLY ? 2 : 1;

	if (a->n_complete != due || a->released_ns == 0)
		swarm_broken(s, "%s: %u answers, released at %llu ns", swarm_name(a), a->n_complete,
		    (unsigned long long)a->released_ns);
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		check_row(s, a, &s->calls[number], &a->rows[i]);
		bytes += a->rows[i].err == KVR_OK ? a->rows[i].len : 0;
	}
	if ((a->kind == KVR_OP_GET || a->kind == KVR_OP_PUT) && a->bytes != bytes)
		swarm_broken(s, "%s: %llu bytes, keys that are OK have %llu", swarm_name(a),
		    (unsigned long long)a->bytes, (unsigned long long)bytes);
	check_prefix(s, a, per_chunk);
}

/* ---- what was counted ---- */

struct sums {
	uint64_t n[KVR_OP_N], keys[KVR_OP_N], ok[KVR_OP_N], bytes[KVR_OP_N];
	uint64_t deadlines; /* answers at their deadline or after it */
};

/* Bytes that the put of another call has stored, which counts them. */
static uint64_t
joined(const struct kvr_sim_answer *a)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		if (a->rows[i].err == KVR_OK && (a->rows[i].flags & KVR_ROW_DUP) != 0)
			bytes += a->rows[i].len;
	}
	return bytes;
}

static void
check_ops(const struct swarm *s, const struct kvr_metrics_state *m, const struct sums *sums)
{
	for (uint32_t k = 0; k < KVR_OP_N; k++) {
		uint64_t n = 0;

		for (uint32_t e = 0; e < KVR_METRICS_ERRS; e++)
			n += m->op[k].result[e];
		if (n != sums->n[k] || m->op[k].keys != sums->keys[k] ||
		    m->op[k].keys_ok != sums->ok[k] || m->op[k].bytes != sums->bytes[k])
			swarm_broken(s, "metrics count other calls than were made");
	}
	if (m->count[KVR_COUNT_DEADLINE] > sums->deadlines)
		swarm_broken(s, "more calls end at their deadline than reached it");
}

/* attempted = ok + miss + error + dropped is the metrics' own rule; here: attempted is true. */
static void
check_parts(const struct swarm *s, const struct kvr_metrics_state *m)
{
	uint64_t parts = 0;

	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++) {
		for (uint32_t v = 0; v < KVR_VERB_PING; v++)
			parts += m->tier[t].verb[v].parts;
	}
	if (parts != kvr_sim_seen(s->in.sim, KVR_ID_ROUTER, KVR_MSG_PART_DONE))
		swarm_broken(s, "metrics count other parts than came back");
}

void
swarm_rules_end(struct swarm *s)
{
	const struct kvr_metrics_state *m = kvr_sim_actor(s->in.sim, KVR_ID_METRICS)->self;
	struct sums sums = { .n = { 0 } };

	for (uint32_t i = 0; i < kvr_sim_asked(s->in.sim); i++) {
		const struct kvr_sim_answer *a = kvr_sim_answer_to(s->in.sim, i);

		check_answer(s, i, a->per_chunk);
		sums.n[a->kind]++;
		sums.deadlines += s->calls[i].first_ns >= s->calls[i].deadline_ns;
		sums.keys[a->kind] += a->n;
		sums.ok[a->kind] += a->n_ok;
		sums.bytes[a->kind] += a->bytes - joined(a);
	}
	if (s->stopped_ns != 0)
		aborts(s);
	check_ops(s, m, &sums);
	check_parts(s, m);
	swarm_canaries_end(s);
	if (kvr_sim_parts_out(s->in.sim) != 0)
		swarm_broken(s, "a part is still out");
	kvr_sim_verify(s->in.sim);
}
