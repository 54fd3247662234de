/* SPDX-License-Identifier: Apache-2.0 */
/* show: one line per step. info: the head of the trace. */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static void
describe(const struct kvr_trace_view *view, const char *path)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(view);
	time_t opened = (time_t)(h->opened_real_ns / 1000000000U);
	uint32_t n_actors = 0;
	char when[64] = "";
	struct tm tm;

	kvr_trace_view_actors(view, &n_actors);
	if (localtime_r(&opened, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", &tm);
	printf("file      %s\ninstance  %.*s of process %u, opened %s\nbuild     %.*s\n", path,
	    (int)sizeof(h->instance), h->instance, h->pid, when, (int)sizeof(h->build), h->build);
	printf(
	    "ring      %" PRIu64 " bytes, %" PRIu64 " written in all\n", h->ring_bytes, h->written);
	printf("records   %" PRIu64 " of %u actors; a replay can begin at record %" PRIu64 "\n",
	    kvr_trace_view_count(view), n_actors, kvr_trace_view_first_start(view));
	printf("end       %s\n",
	    kvr_trace_view_tail(view)[0] == '\0' ? "as it should be" : kvr_trace_view_tail(view));
}

/* Lists the actors, and whether this program can replay them. */
static void
list_actors(const struct kvr_trace_view *view)
{
	uint32_t n = 0;
	const struct kvr_trace_actor *a = kvr_trace_view_actors(view, &n);

	printf("\n%-12s %6s %9s  %-16s %-16s %s\n", "actor", "states", "bytes", "spec", "fields",
	    "in this program");
	for (uint32_t i = 0; i < n; i++) {
		const struct kvr_spec *spec = kvr_spec_of(a[i].id);
		bool same = spec != NULL && kvr_spec_hash(spec) == a[i].spec_hash &&
		            kvr_layout_hash(spec) == a[i].layout_hash;

		printf("%-12.24s %6u %9u  %016" PRIx64 " %016" PRIx64 " %s\n", a[i].name,
		    a[i].n_states, a[i].self_size, a[i].spec_hash, a[i].layout_hash,
		    same           ? "the same"
		    : spec == NULL ? "not there"
		                   : "another");
	}
}

int
trace_info(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(view);
	size_t len = 0;
	const char *config = kvr_trace_view_config(view, &len);
	uint32_t n_actors = 0;

	if (!c->cli.json) {
		describe(view, path);
		list_actors(view);
		if (len > 0)
			printf("\n%.*s", (int)len, config);
		return CLI_OK;
	}
	kvr_trace_view_actors(view, &n_actors);
	printf("{\"file\": ");
	cli_json_text(stdout, path);
	printf(", \"pid\": %u, \"actors\": %u, \"records\": %" PRIu64 ", \"written\": %" PRIu64
	       ", \"ring\": %" PRIu64 ", \"replay_from\": %" PRIu64 ", \"tail\": ",
	    h->pid, n_actors, kvr_trace_view_count(view), h->written, h->ring_bytes,
	    kvr_trace_view_first_start(view));
	cli_json_text(stdout, kvr_trace_view_tail(view));
	printf("}\n");
	return CLI_OK;
}

/* ---- show ---- */

static void
show_effects(const struct trace_model *m, const struct kvr_rec_step *rec)
{
	uint64_t k = trace_model_find(m, rec->step);
	char text[KVR_TRACE_LINE];

	if (k == m->n || !m->step[k].known)
		return;
	for (uint32_t i = 0; i < m->step[k].n_fx; i++)
		printf("%24s%s\n", "-> ",
		    kvr_trace_fx(
		        &m->fx[m->step[k].fx + i], m->head->opened_mono_ns, text, sizeof(text)));
}

static void
show_one(struct trace_cmd *c, const struct trace_model *m, const struct kvr_rec *r,
    const char *line, uint64_t n)
{
	if (c->cli.json) {
		printf("%s", n == 0 ? "[" : ",\n ");
		cli_json_text(stdout, line);
		return;
	}
	puts(line);
	if (m != NULL && r->kind == KVR_REC_STEP)
		show_effects(m, kvr_rec_step(r));
}

int
trace_show(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	struct trace_model *m = NULL;
	char line[KVR_TRACE_LINE];
	uint64_t n = 0;

	(void)path;
	if (c->effects && (m = trace_model_make(c, view)) == NULL)
		return CLI_ERROR;
	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		if (!trace_is_wanted(c, view, r) ||
		    (r->kind == KVR_REC_STEP && trace_key_elsewhere(c, kvr_rec_step(r))))
			continue;
		kvr_trace_line(kvr_trace_view_head(view), r, kvr_spec_of, line, sizeof(line));
		const char *fate = r->kind == KVR_REC_STEP ? trace_key_fate(c, kvr_rec_step(r)) : NULL;
		size_t len = strlen(line);

		if (fate != NULL)
			snprintf(line + len, sizeof(line) - len, " this key %s", fate);
		show_one(c, m, r, line, n++);
		/* The reader has gone. */
		if (ferror(stdout))
			break;
	}
	if (m != NULL && m->why[0] != '\0')
		fprintf(stderr, "kvrelay trace: effects are not known everywhere: %s\n", m->why);
	trace_model_free(m);
	if (c->cli.json)
		printf(n == 0 ? "[]\n" : "]\n");
	return ferror(stdout) ? CLI_ERROR : n > 0 ? CLI_OK : CLI_MISS;
}
