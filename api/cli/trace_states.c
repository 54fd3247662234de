/* SPDX-License-Identifier: Apache-2.0 */
/*
 * states: the diagram of an actor, from its table. --seen with traces: which cells they used, and
 * which none of them did.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STATES_MAX = 63 };

struct seen {
	uint64_t cell[STATES_MAX][KVR_MSG_N];
	uint64_t edge[STATES_MAX][STATES_MAX];
};

static const struct kvr_spec *
spec_named(const char *name)
{
	for (uint16_t id = 0; id < KVR_ID_N; id++) {
		const struct kvr_spec *spec = kvr_spec_of(id);

		if (spec != NULL && strcmp(spec->name, name) == 0)
			return spec;
	}
	return NULL;
}

/* Messages from one state to another: "DIALED, STOP". Only the first ones of a long list. */
static const char *
messages(const struct kvr_spec *spec, unsigned from, unsigned to, char *ret, size_t cap)
{
	size_t n = 0;

	ret[0] = '\0';
	for (unsigned m = 0; m < KVR_MSG_N && n + 24 < cap; m++) {
		const struct kvr_cell *cell = &spec->table[from][m];

		if (cell->fn != NULL && from != to && (cell->to & KVR_TO(to)) != 0)
			n += (size_t)snprintf(
			    ret + n, cap - n, "%s%s", n == 0 ? "" : ", ", kvr_msg_info[m].name);
	}
	return ret;
}

static void
diagram(const struct kvr_spec *spec, const struct seen *seen)
{
	char text[512];

	printf("stateDiagram-v2\n  [*] --> %s\n", spec->state_name[0]);
	for (unsigned from = 0; from < spec->n_states; from++) {
		for (unsigned to = 0; to < spec->n_states; to++) {
			messages(spec, from, to, text, sizeof(text));
			if (text[0] == '\0')
				continue;
			printf(
			    "  %s --> %s: %s", spec->state_name[from], spec->state_name[to], text);
			if (seen != NULL)
				printf(" (%" PRIu64 ")", seen->edge[from][to]);
			printf("\n");
		}
	}
	if (seen == NULL)
		return;
	printf("  classDef never fill:#fdd,stroke:#c00\n");
	for (unsigned s = 0; s < spec->n_states; s++) {
		bool entered = s == 0;

		for (unsigned from = 0; from < spec->n_states; from++)
			entered = entered || seen->edge[from][s] > 0;
		if (!entered)
			printf("  class %s never\n", spec->state_name[s]);
	}
}

static void
not_seen(const struct kvr_spec *spec, const struct seen *seen)
{
	uint32_t n = 0, all = 0;

	for (unsigned s = 0; s < spec->n_states; s++) {
		for (unsigned m = 0; m < KVR_MSG_N; m++) {
			all += spec->table[s][m].fn != NULL;
			n += spec->table[s][m].fn != NULL && seen->cell[s][m] > 0;
		}
	}
	printf("\n%u of %u cells of %s were seen; never:\n", n, all, spec->name);
	for (unsigned s = 0; s < spec->n_states; s++) {
		for (unsigned m = 0; m < KVR_MSG_N; m++) {
			if (spec->table[s][m].fn != NULL && seen->cell[s][m] == 0)
				printf("  %s in %s\n", kvr_msg_info[m].name, spec->state_name[s]);
		}
	}
}

/* False after a line on standard error. */
static bool
look(struct trace_cmd *c, const struct kvr_spec *spec, const char *path, struct seen *seen)
{
	struct kvr_trace_view *view = trace_open(c, path);

	if (view == NULL)
		return false;
	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);
		const struct kvr_rec_step *s;

		if (r->kind != KVR_REC_STEP || kvr_spec_of(r->actor) != spec)
			continue;
		s = kvr_rec_step(r);
		if (s->before >= spec->n_states || s->after >= spec->n_states)
			continue;
		seen->cell[s->before][s->msg.type]++;
		seen->edge[s->before][s->after] += s->before != s->after;
	}
	kvr_trace_view_free(view);
	return true;
}

int
trace_states(struct trace_cmd *c)
{
	const struct kvr_spec *spec = c->n_args < 1 ? NULL : spec_named(c->args[0]);
	struct seen *seen = NULL;
	bool ok = true;

	if (spec == NULL)
		return cli_fail(&c->cli, "states of whom? router, tier, link, transfer or metrics; "
		                         "then traces, with --seen");
	if (c->seen && c->n_args < 2)
		return cli_fail(&c->cli, "--seen in which traces?");
	if (!c->seen && c->n_args > 1)
		return cli_fail(&c->cli, "traces are looked at with --seen");
	if (c->seen) {
		seen = calloc(1, sizeof(*seen));
		ok = seen != NULL;
	}
	for (int i = 1; ok && i < c->n_args; i++)
		ok = look(c, spec, c->args[i], seen);
	if (ok)
		diagram(spec, seen);
	if (ok && seen != NULL)
		not_seen(spec, seen);
	free(seen);
	return ok ? CLI_OK : CLI_ERROR;
}
