/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step: walks a replay forwards and backwards and shows which fields changed. Commands come from
 * --do, else from standard input.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char help[] =
    "  n [N]     N steps on                  p [N]     N steps back\n"
    "  g STEP    to that step                u STATE   on until an actor enters it\n"
    "  w FIELD   on until it changes, like n_parts or lane[1].state\n"
    "  s         all fields that are set     f FIELD   one of them\n"
    "  e         what the step asked for     l         the step again\n"
    "  q         end\n";

struct stand {
	struct trace_cmd *c;
	const struct kvr_trace_view *view;
	const struct kvr_trace_head *head;
	struct kvr_replay *r;
	uint64_t *stop; /* indices of the steps to stop at */
	uint64_t n;
	uint64_t at; /* is behind stop[at - 1]; 0: before the first */
	uint16_t actor;
	bool missed; /* a command did not find what it sought */
};

static const struct kvr_rec_step *
step_at(const struct stand *s, uint64_t stop)
{
	return kvr_rec_step(kvr_trace_view_at(s->view, s->stop[stop]));
}

/* Goes to just before stop[stop]. False after a line: the replay cannot. */
static bool
go_before(struct stand *s, uint64_t stop)
{
	struct kvr_replay_diff diff;
	const uint64_t index = s->stop[stop];
	enum kvr_err err = KVR_OK;

	if (kvr_replay_position(s->r) > index)
		err = kvr_replay_seek(s->r, index, &diff);
	while ((err == KVR_OK || err == KVR_E_CORRUPT) && kvr_replay_position(s->r) < index) {
		err = kvr_replay_next(s->r, &diff);
		if (err == KVR_E_CORRUPT)
			printf("differs on the way: %s\n", diff.text);
	}
	if (err == KVR_OK || err == KVR_E_CORRUPT)
		return true;
	printf("no snapshot that old is in the trace: begin at a later step\n");
	return false;
}

static void
show_line(const struct stand *s)
{
	char line[KVR_TRACE_LINE];

	if (s->at == 0)
		printf("before the first step\n");
	else
		puts(kvr_trace_line(
		    s->head, &step_at(s, s->at - 1)->rec, kvr_spec_of, line, sizeof(line)));
}

/* Takes the step. True: the field changed. field may be NULL. quiet: prints nothing. */
static bool
take(struct stand *s, uint64_t stop, const char *field, bool quiet)
{
	const struct kvr_rec_step *rec = step_at(s, stop);
	const struct kvr_actor *a = kvr_replay_actor(s->r, rec->rec.actor);
	struct kvr_replay_diff diff;
	struct kvr_place p;
	uint64_t before[2] = { 0, 0 };
	bool watched =
	    field != NULL && kvr_field_named(a->spec, field, &p) && p.field->size <= sizeof(before);
	void *copy = quiet ? NULL : trace_copy_of(a);

	if (watched)
		memcpy(before, (const uint8_t *)a->self + p.off, p.field->size);
	enum kvr_err err = kvr_replay_next(s->r, &diff);
	bool changed =
	    watched && memcmp(before, (const uint8_t *)a->self + p.off, p.field->size) != 0;

	s->at = stop + 1;
	s->actor = rec->rec.actor;
	if (!quiet) {
		show_line(s);
		if (copy != NULL)
			trace_fields_changed(a, copy, s->head, "    ");
	}
	if (err == KVR_E_CORRUPT)
		printf("differs: %s\n", diff.text);
	free(copy);
	return changed;
}

static void
stand_at(struct stand *s, uint64_t stop)
{
	if (go_before(s, stop))
		take(s, stop, NULL, false);
}

static void
miss(struct stand *s, const char *what)
{
	printf("%s\n", what);
	s->missed = true;
}

static void
forwards(struct stand *s, uint64_t n)
{
	for (; n > 0; n--) {
		if (s->at == s->n) {
			miss(s, "the trace ends here");
			return;
		}
		stand_at(s, s->at);
	}
}

static void
backwards(struct stand *s, uint64_t n)
{
	if (s->at <= n)
		miss(s, "the replay begins here");
	else
		stand_at(s, s->at - n - 1);
}

static void
go_to(struct stand *s, uint64_t number)
{
	for (uint64_t i = 0; i < s->n; i++) {
		if (step_at(s, i)->step == number) {
			stand_at(s, i);
			return;
		}
	}
	miss(s, "no such step among those that are looked at");
}

static void
until_state(struct stand *s, const char *state)
{
	char name[32];

	for (uint64_t i = s->at; i < s->n; i++) {
		const struct kvr_rec_step *rec = step_at(s, i);

		if (rec->after != rec->before &&
		    strcasecmp(trace_state_name(rec->rec.actor, rec->after, name, sizeof(name)),
		        state) == 0) {
			stand_at(s, i);
			return;
		}
	}
	miss(s, "nobody enters that state any more");
}

static void
until_change(struct stand *s, const char *field)
{
	const uint64_t from = s->at;
	struct kvr_place p;
	bool known = false;

	for (uint64_t i = from; i < s->n; i++) {
		const struct kvr_actor *a = kvr_replay_actor(s->r, step_at(s, i)->rec.actor);

		known = known || kvr_field_named(a->spec, field, &p);
		if (!go_before(s, i))
			return;
		if (take(s, i, field, true)) {
			stand_at(s, i); /* again, to show it */
			return;
		}
	}
	miss(
	    s, known ? "it does not change any more" : "no actor that is looked at has that field");
}

static void
show_field(struct stand *s, const char *field)
{
	const struct kvr_actor *a =
	    s->actor == KVR_ID_NONE ? NULL : kvr_replay_actor(s->r, s->actor);
	struct kvr_place p;
	char value[KVR_FIELD_VALUE];

	if (a == NULL || !kvr_field_named(a->spec, field, &p))
		miss(s, "the actor has no such field");
	else
		printf("    %-28s %s\n", p.name,
		    kvr_field_value(&p, a->self, s->head->opened_mono_ns, value, sizeof(value)));
}

/* False at the end. */
static bool
obey(struct stand *s, const char *text)
{
	char what[16] = "", arg[128] = "";
	int n = sscanf(text, "%15s %127s", what, arg);
	uint64_t number = n > 1 ? strtoull(arg, NULL, 10) : 1;
	bool on = s->actor != KVR_ID_NONE;

	if (n < 1 || what[0] == 'n')
		forwards(s, n < 1 ? 1 : number);
	else if (what[0] == 'p')
		backwards(s, number);
	else if (what[0] == 'g' && n > 1)
		go_to(s, number);
	else if (what[0] == 'u' && n > 1)
		until_state(s, arg);
	else if (what[0] == 'w' && n > 1)
		until_change(s, arg);
	else if (what[0] == 's' && on)
		trace_fields_all(kvr_replay_actor(s->r, s->actor), s->head, "    ");
	else if (what[0] == 'f' && n > 1)
		show_field(s, arg);
	else if (what[0] == 'e' && on)
		trace_effects(s->r, s->head, "    ");
	else if (what[0] == 'l')
		show_line(s);
	else if (what[0] == 'q')
		return false;
	else
		fputs(help, stdout);
	return true;
}

static void
talk(struct stand *s)
{
	const char *next = s->c->commands;
	const bool person = next == NULL && isatty(STDIN_FILENO);
	char line[256];

	while (next != NULL) {
		const char *end = strchrnul(next, ';');

		snprintf(line, sizeof(line), "%.*s", (int)(end - next), next);
		if (!obey(s, line) || *end == '\0')
			return;
		next = end + 1;
	}
	if (person)
		printf("%" PRIu64 " steps\n%s", s->n, help);
	for (;;) {
		if (person) {
			printf("> ");
			fflush(stdout);
		}
		if (fgets(line, sizeof(line), stdin) == NULL || !obey(s, line))
			return;
	}
}

static bool
find_stops(struct stand *s)
{
	uint64_t first = kvr_trace_view_first_start(s->view), n = kvr_trace_view_count(s->view);

	s->stop = calloc(n + 1, sizeof(s->stop[0]));
	for (uint64_t i = first; s->stop != NULL && i < n; i++) {
		const struct kvr_rec *r = kvr_trace_view_at(s->view, i);

		if (r->kind == KVR_REC_STEP && kvr_rec_step(r)->after != KVR_STATE_BROKEN &&
		    kvr_replay_actor(s->r, r->actor) != NULL && trace_is_wanted(s->c, s->view, r))
			s->stop[s->n++] = i;
	}
	return s->stop != NULL;
}

int
trace_step_run(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	struct stand s = { .c = c, .view = view, .head = kvr_trace_view_head(view) };
	char why[512] = "";
	int status = CLI_OK;
	enum kvr_err err = kvr_replay_open(view, kvr_spec_of, c->anyway, &s.r, why, sizeof(why));

	if (err != KVR_OK)
		return cli_fail(&c->cli, "%s: %s", path, why);
	if (!find_stops(&s))
		status = cli_fail(&c->cli, "no memory");
	else if (s.n == 0)
		status =
		    cli_fail(&c->cli, "%s: no step of those that are meant can be replayed", path);
	else
		talk(&s);
	free(s.stop);
	kvr_replay_free(s.r);
	return status != CLI_OK ? status : s.missed ? CLI_MISS : CLI_OK;
}
