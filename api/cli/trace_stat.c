/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat: messages of each kind per actor, how long they were under way, and how many waited at most.
 * A trace does not have the time inside a step: all steps of one run of the domain have the same
 * stamp.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>

struct row {
	uint64_t n, way_ns, way_max_ns, n_way, effects, touched_max;
};

struct table {
	struct row row[KVR_ID_N][KVR_MSG_N];
	uint64_t waiting[KVR_ID_N], waiting_max[KVR_ID_N];
};

static void
add(struct table *t, const struct trace_model *m, uint64_t i)
{
	const struct trace_step *s = &m->step[i];
	struct row *r = &t->row[s->rec->rec.actor][s->rec->msg.type];
	uint64_t cause = s->rec->msg.cause == 0 ? m->n : trace_model_find(m, s->rec->msg.cause);

	r->n++;
	r->effects += s->rec->n_fx;
	r->touched_max = KVR_MAX(r->touched_max, (uint64_t)s->touched);
	/* A timer is late on purpose. */
	if (cause < m->n && s->rec->msg.type != KVR_MSG_TIMER) {
		uint64_t way_ns = s->rec->now_ns - m->step[cause].rec->now_ns;

		r->n_way++;
		r->way_ns += way_ns;
		r->way_max_ns = KVR_MAX(r->way_max_ns, way_ns);
	}
	if (t->waiting[s->rec->rec.actor] > 0 && trace_is_decider(s->rec->msg.from))
		t->waiting[s->rec->rec.actor]--;
	for (uint32_t k = 0; k < s->n_fx; k++) {
		const struct kvr_fx *fx = &m->fx[s->fx + k];

		if (fx->kind != KVR_FX_SEND || !trace_is_decider(fx->msg.to))
			continue;
		uint64_t now = ++t->waiting[fx->msg.to];

		t->waiting_max[fx->msg.to] = KVR_MAX(t->waiting_max[fx->msg.to], now);
	}
}

static void
tell(const struct trace_cmd *c, const struct table *t)
{
	char id[24];
	bool first = true;

	if (!c->cli.json)
		printf("%-12s %-12s %9s %9s %12s %12s %8s %8s\n", "actor", "message", "count",
		    "effects", "way mean ms", "way max ms", "lines", "waiting");
	for (uint16_t a = 0; a < KVR_ID_N; a++) {
		for (unsigned k = 0; k < KVR_MSG_N; k++) {
			const struct row *r = &t->row[a][k];
			double mean =
			    r->n_way == 0 ? 0 : (double)r->way_ns / (double)r->n_way / 1e6;

			if (r->n == 0)
				continue;
			kvr_id_name(a, id, sizeof(id));
			if (c->cli.json)
				printf(
				    "%s{\"actor\": \"%s\", \"message\": \"%s\", \"count\": %" PRIu64
				    ", \"effects\": %" PRIu64 ", \"way_mean_ms\": %.3f, "
				    "\"way_max_ms\": %.3f, \"waiting_max\": %" PRIu64 "}",
				    first ? "[" : ",\n ", id, kvr_msg_info[k].name, r->n,
				    r->effects, mean, (double)r->way_max_ns / 1e6,
				    t->waiting_max[a]);
			else
				printf("%-12s %-12s %9" PRIu64 " %9" PRIu64
				       " %12.3f %12.3f %8" PRIu64 " %8" PRIu64 "\n",
				    id, kvr_msg_info[k].name, r->n, r->effects, mean,
				    (double)r->way_max_ns / 1e6, r->touched_max, t->waiting_max[a]);
			first = false;
		}
	}
	if (c->cli.json)
		printf(first ? "[]\n" : "]\n");
}

int
trace_stat(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	struct trace_model *m = trace_model_make(c, view);
	struct table *t = calloc(1, sizeof(*t));
	uint64_t n = 0;

	(void)path;
	for (uint64_t i = 0; m != NULL && t != NULL && i < m->n; i++) {
		if (!trace_is_wanted(c, view, &m->step[i].rec->rec))
			continue;
		add(t, m, i);
		n++;
	}
	int status = m == NULL ? CLI_ERROR : t == NULL ? cli_fail(&c->cli, "no memory") : CLI_OK;
	if (status == CLI_OK)
		tell(c, t);
	free(t);
	trace_model_free(m);
	return status != CLI_OK ? status : n > 0 ? CLI_OK : CLI_MISS;
}
