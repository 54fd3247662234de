/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: are the decisions the same today? At the first difference, shows both answers: then, from
 * the records that followed; now, from the replay.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- both answers ---- */

/* Messages that the step sent then: those that name it as their cause. Timers are not recorded. */
static void
tell_then(const struct kvr_trace_view *view, const struct kvr_rec_step *s)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(view);
	char text[KVR_TRACE_LINE];
	uint32_t n = 0;

	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		if (r->kind != KVR_REC_STEP || kvr_rec_step(r)->msg.cause != s->step ||
		    kvr_rec_step(r)->msg.from != s->rec.actor)
			continue;
		const struct kvr_fx fx = { .kind = KVR_FX_SEND, .msg = kvr_rec_step(r)->msg };

		printf("    -> %s (step %" PRIu64 ")\n",
		    kvr_trace_fx(&fx, h->opened_mono_ns, text, sizeof(text)),
		    kvr_rec_step(r)->step);
		n++;
	}
	printf(
	    "    %u effects in all, of which %u reached a decider within the trace\n", s->n_fx, n);
}

static void
tell_now(struct kvr_replay *r, const struct kvr_trace_view *view, uint64_t index, uint16_t actor)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(view);
	struct kvr_replay_diff diff;

	if (kvr_replay_seek(r, index, &diff) != KVR_OK)
		return;
	const struct kvr_actor *a = kvr_replay_actor(r, actor);
	void *before = a == NULL ? NULL : trace_copy_of(a);

	if (before == NULL)
		return;
	if (kvr_replay_next(r, &diff) == KVR_E_CORRUPT && diff.what != KVR_REPLAY_BROKEN) {
		trace_effects(r, h, "    ");
		trace_fields_changed(a, before, h, "    ");
	}
	free(before);
}

static void
tell_difference(
    struct kvr_replay *r, const struct kvr_trace_view *view, const struct kvr_replay_diff *diff)
{
	const struct kvr_rec *rec = kvr_trace_view_at(view, diff->index);
	char line[KVR_TRACE_LINE], then[32], now[32];

	puts(kvr_trace_line(kvr_trace_view_head(view), rec, kvr_spec_of, line, sizeof(line)));
	if (rec->kind != KVR_REC_STEP || diff->what == KVR_REPLAY_BEFORE)
		return;
	printf("then: %s\n", trace_state_name(diff->actor, diff->state_then, then, sizeof(then)));
	tell_then(view, kvr_rec_step(rec));
	if (diff->what == KVR_REPLAY_BROKEN)
		printf("now: the step does not end\n");
	else
		printf(
		    "now: %s\n", trace_state_name(diff->actor, diff->state_now, now, sizeof(now)));
	tell_now(r, view, diff->index, diff->actor);
}

/* ---- the whole trace ---- */

/* With --actor, only differences of that actor count. */
static enum kvr_err
replay_all(struct trace_cmd *c, const struct kvr_trace_view *view, struct kvr_replay *r,
    uint64_t *ret_steps, struct kvr_replay_diff *diff)
{
	enum kvr_err err;

	if (c->actor == NULL)
		return kvr_replay_all(r, ret_steps, diff);
	if (kvr_trace_view_first_start(view) == kvr_trace_view_count(view))
		return KVR_E_MISS;
	err = kvr_replay_seek(r, kvr_trace_view_first_start(view), diff);
	while (err == KVR_OK || (err == KVR_E_CORRUPT && !trace_is_actor(c->actor, diff->actor))) {
		uint64_t at = kvr_replay_position(r);

		*ret_steps += at < kvr_trace_view_count(view) &&
		              kvr_trace_view_at(view, at)->kind == KVR_REC_STEP &&
		              trace_is_actor(c->actor, kvr_trace_view_at(view, at)->actor);
		err = kvr_replay_next(r, diff);
	}
	return err == KVR_E_MISS ? KVR_OK : err;
}

static void
tell(struct trace_cmd *c, uint64_t steps, bool same, const struct kvr_replay_diff *diff)
{
	if (c->cli.json) {
		printf("{\"same\": %s, \"steps\": %" PRIu64 ", \"difference\": ",
		    same ? "true" : "false", steps);
		cli_json_text(stdout, same ? "" : diff->text);
		if (!same)
			printf(", \"record\": %" PRIu64, diff->number);
		printf("}\n");
	} else if (same) {
		printf("replayed %" PRIu64 " steps, every one as recorded\n", steps);
	} else {
		printf("after %" PRIu64 " steps: %s\n", steps, diff->text);
	}
}

static bool
is_debugged(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	unsigned tracer = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "TracerPid: %u", &tracer) == 1)
			break;
	}
	if (f != NULL)
		fclose(f);
	return tracer != 0;
}

/* Prints the handler's address, for a breakpoint: SIGTRAP comes before the step, not inside it. */
static int
prepare_break(struct trace_cmd *c, const struct kvr_trace_view *view, struct kvr_replay *r)
{
	if (c->break_at == 0)
		return CLI_OK;
	if (!is_debugged())
		return cli_fail(&c->cli,
		    "--break-at stops in a debugger: gdb --args kvrelay trace "
		    "replay FILE --break-at %" PRIu64,
		    c->break_at);
	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *rec = kvr_trace_view_at(view, i);

		if (rec->kind != KVR_REC_STEP || kvr_rec_step(rec)->step != c->break_at)
			continue;
		const struct kvr_rec_step *s = kvr_rec_step(rec);
		const struct kvr_spec *spec = kvr_spec_of(rec->actor);

		if (spec != NULL && s->before < spec->n_states)
			fprintf(stderr,
			    "kvrelay trace: SIGTRAP comes before step %" PRIu64
			    ", whose handler is "
			    "at %p: break *%p, continue\n",
			    c->break_at, (void *)(uintptr_t)spec->table[s->before][s->msg.type].fn,
			    (void *)(uintptr_t)spec->table[s->before][s->msg.type].fn);
		kvr_replay_break_at(r, c->break_at);
		return CLI_OK;
	}
	return cli_fail(&c->cli, "there is no step %" PRIu64 " in the trace", c->break_at);
}

int
trace_replay(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	struct kvr_replay_diff diff = { .what = KVR_REPLAY_SAME };
	struct kvr_replay *r = NULL;
	uint64_t steps = 0;
	char why[512] = "";
	enum kvr_err err = kvr_replay_open(view, kvr_spec_of, c->anyway, &r, why, sizeof(why));

	if (err == KVR_E_UNSUPPORTED && !c->anyway)
		return cli_fail(&c->cli, "%s: %s; --anyway tries all the same", path, why);
	if (err != KVR_OK)
		return cli_fail(&c->cli, "%s: %s", path, why[0] != '\0' ? why : kvr_err_text(err));
	if (prepare_break(c, view, r) != CLI_OK) {
		kvr_replay_free(r);
		return CLI_ERROR;
	}
	err = replay_all(c, view, r, &steps, &diff);
	if (err != KVR_OK && err != KVR_E_CORRUPT)
		cli_fail(&c->cli, "%s: the trace has lost its beginning and has no whole snapshot",
		    path);
	else if (err == KVR_OK && steps == 0)
		cli_fail(&c->cli,
		    "%s: there is no step to replay: no decider of it had one, or the options leave none",
		    path);
	else
		tell(c, steps, err == KVR_OK, &diff);
	if (err == KVR_E_CORRUPT && !c->cli.json)
		tell_difference(r, view, &diff);
	kvr_replay_free(r);
	if (err == KVR_OK && steps > 0 && kvr_trace_view_tail(view)[0] != '\0')
		fprintf(stderr, "kvrelay trace: %s: behind that, %s\n", path,
		    kvr_trace_view_tail(view));
	return err == KVR_E_CORRUPT ? CLI_MISS : err == KVR_OK && steps > 0 ? CLI_OK : CLI_ERROR;
}
