/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut: a part of a trace as a trace of its own. bless: a whole small trace, with a text of its
 * steps.
 */
#include "kvr_trace_cmd.h"

#include "kvr_trace_cut.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool
is_meant(void *arg, uint16_t id)
{
	return trace_is_actor(arg, id);
}

/* Keeps from the first wanted step to the last, by time and step number. */
static bool
range(const struct trace_cmd *c, const struct kvr_trace_view *view, struct kvr_trace_cut *ret)
{
	struct trace_cmd where = { .from_ns = c->from_ns,
		.until_ns = c->until_ns,
		.step_from = c->step_from,
		.step_until = c->step_until };
	const bool all =
	    c->from_ns == 0 && c->until_ns == 0 && c->step_from == 0 && c->step_until == 0;
	const uint64_t n = kvr_trace_view_count(view);
	bool found = false;

	ret->first = kvr_trace_view_first_start(view);
	ret->end = n;
	if (all)
		return ret->first < n;
	for (uint64_t i = ret->first; i < n; i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		if (r->kind != KVR_REC_STEP || !trace_is_wanted(&where, view, r))
			continue;
		/* Without a given beginning, keep the start. */
		if (!found && (c->from_ns != 0 || c->step_from != 0))
			ret->first = i;
		found = true;
		ret->end = i + 1;
	}
	if (found && c->until_ns == 0 && c->step_until == 0)
		ret->end = n;
	return found;
}

static int
cut_to(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path, const char *out)
{
	struct kvr_trace_cut cut = { .for_report = c->for_report,
		.wants = c->actor == NULL ? NULL : is_meant,
		.arg = (void *)(uintptr_t)c->actor };
	struct kvr_replay *r = NULL;
	char why[512] = "";
	enum kvr_err err = kvr_replay_open(view, kvr_spec_of, c->anyway, &r, why, sizeof(why));

	if (err != KVR_OK)
		return cli_fail(&c->cli, "%s: %s", path, why);
	if (!range(c, view, &cut)) {
		snprintf(why, sizeof(why),
		    "there is no step to keep: --from, --until, --from-step and --until-step leave none");
		err = KVR_E_MISS;
	}
	if (err == KVR_OK)
		err = kvr_trace_cut(view, r, &cut, out, why, sizeof(why));
	kvr_replay_free(r);
	return err == KVR_OK ? CLI_OK : cli_fail(&c->cli, "%s: %s", path, why);
}

int
trace_cut(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	if (c->out == NULL && isatty(STDOUT_FILENO))
		return cli_fail(&c->cli, "where to? -o FILE, or > FILE");
	return cut_to(c, view, path, c->out == NULL ? "/dev/stdout" : c->out);
}

/* ---- bless ---- */

/* The steps as text for a reviewer. Omits digests, which mean nothing to a person. */
static bool
write_text(struct trace_cmd *c, const struct kvr_trace_view *view, FILE *to)
{
	struct trace_model *m = trace_model_make(c, view);
	char line[KVR_TRACE_LINE];

	if (m == NULL)
		return false;
	for (uint64_t i = 0; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];

		kvr_trace_line(m->head, &s->rec->rec, kvr_spec_of, line, sizeof(line));
		const char *digest = strstr(line, " digest ");
		int len = digest == NULL ? (int)strlen(line) : (int)(digest - line);

		fprintf(to, "%.*s\n", len, line);
		for (uint32_t k = 0; k < s->n_fx; k++)
			fprintf(to, "%24s%s\n", "-> ",
			    kvr_trace_fx(
			        &m->fx[s->fx + k], m->head->opened_mono_ns, line, sizeof(line)));
	}
	bool whole = m->why[0] == '\0' && m->first_known == 0;

	if (!whole)
		cli_fail(&c->cli, "it does not replay: %s", m->why);
	trace_model_free(m);
	return whole && !ferror(to);
}

int
trace_bless(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	char text[1024];
	struct kvr_trace_view *small;
	size_t len = c->out == NULL ? 0 : strlen(c->out);

	if (len < 6 || len + 1 > sizeof(text) || strcmp(c->out + len - 5, ".kvrt") != 0)
		return cli_fail(&c->cli, "as what? -o tests/traces/NAME.kvrt");
	c->for_report = true;
	if (cut_to(c, view, path, c->out) != CLI_OK)
		return CLI_ERROR;
	small = trace_open(c, c->out);
	snprintf(text, sizeof(text), "%.*s.txt", (int)(len - 5), c->out);
	FILE *f = small == NULL ? NULL : fopen(text, "w");
	bool ok = f != NULL && write_text(c, small, f);

	if (small != NULL && f == NULL)
		cli_fail(&c->cli, "%s: %s", text, strerror(errno));
	if (f != NULL && fclose(f) != 0)
		ok = false;
	kvr_trace_view_free(small);
	if (ok)
		printf("%s\n%s\n", c->out, text);
	return ok ? CLI_OK : CLI_ERROR;
}
