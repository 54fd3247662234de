/* SPDX-License-Identifier: Apache-2.0 */
/* trace: reads the file where an instance records every decision, and decides again. */
#include "kvr_trace_cmd.h"

#include <string.h>

static const struct {
	const char *name, *args, *help;
	trace_fn *run;                    /* of one trace: args[0] is its file */
	int (*other)(struct trace_cmd *); /* reads its arguments itself */
} verbs[] = {
	{ "last", "[FILE]", "how a run ended, what every actor was doing, what was under way",
	    trace_last_of, NULL },
	{ "ops", "[FILE]", "its operations, and what became of each", trace_list_ops, NULL },
	{ "follow", "[FILE] --op N", "one operation, hop by hop, and how long it waited where",
	    trace_follow, NULL },
	{ "show", "[FILE]", "a line a step; all filters combine", trace_show, NULL },
	{ "draw", "[FILE] --op N", "a sequence as text, Mermaid, or for Perfetto", trace_draw,
	    NULL },
	{ "replay", "[FILE]", "is every step decided the same today? else both answers",
	    trace_replay, NULL },
	{ "step", "[FILE]", "through a replay, forwards and backwards, with what changes",
	    trace_step_run, NULL },
	{ "check", "[FILE]", "are the rules kept?", trace_check, NULL },
	{ "diff", "FILE FILE", "where do two runs part, and is it the input or the decision?", NULL,
	    trace_diff },
	{ "stat", "[FILE]", "messages of each actor: how many, how long under way", trace_stat,
	    NULL },
	{ "states", "ACTOR [FILE...]", "its states, and which cells the traces have been in", NULL,
	    trace_states },
	{ "watch", "PID|FILE", "the lines of a running process, as they come", NULL, trace_watch },
	{ "cut", "[FILE] -o FILE", "a part of a trace as a trace", trace_cut, NULL },
	{ "bless", "FILE -o FILE", "a trace that is kept as a test, and its text", trace_bless,
	    NULL },
	{ "info", "[FILE]", "what its head says: build, actors, configuration", trace_info, NULL },
};

static int
unknown(struct trace_cmd *c, const char *verb)
{
	if (verb != NULL)
		return cli_fail(&c->cli, "no '%s'; 'kvrelay trace' lists what there is", verb);
	cli_fail(&c->cli,
	    "usage: kvrelay trace VERB [FILE or FOLDER] [OPTIONS]; without a file, the "
	    "newest trace of this user\n");
	for (size_t i = 0; i < KVR_LEN(verbs); i++)
		fprintf(stderr, "  %-7s %-16s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
	fputs("\n'kvrelay trace --help' has the options.\n", stderr);
	return CLI_ERROR;
}

/* A folder means its newest trace; no argument, the newest of this user. */
static int
with_view(struct trace_cmd *c, trace_fn *run)
{
	const char *path = c->n_args > 0 ? c->args[0] : NULL;
	char found[1024];
	struct kvr_trace_view *view;
	int status = CLI_ERROR;

	if (c->n_args > 1)
		return cli_fail(&c->cli, "one trace at a time: '%s' is too much", c->args[1]);
	if (path == NULL || trace_is_folder(path)) {
		if (!trace_newest(c, path, found, sizeof(found), &status))
			return status;
		path = found;
	}
	view = trace_open(c, path);
	if (view == NULL)
		return CLI_ERROR;
	if (trace_filter_ready(c, view))
		status = run(c, view, path);
	kvr_trace_view_free(view);
	return status;
}

static int
run_verb(struct trace_cmd *c, const char *verb)
{
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		if (strcmp(verb, verbs[i].name) == 0)
			return verbs[i].other != NULL ? verbs[i].other(c)
			                              : with_view(c, verbs[i].run);
	}
	return unknown(c, verb);
}

int
cli_trace(int argc, char **argv)
{
	struct trace_cmd c = { .n_args = 0 };
	const struct cli_option own[] = {
		{ "--actor", "NAME", "only of 'router', 'link', 'link 1.0', ...", CLI_TEXT,
		    &c.actor },
		{ "--op", "N", "only of this operation, like 7 or 7.2", CLI_TEXT, &c.op },
		{ "--request", "ID", "only of operations with this request id", CLI_TEXT,
		    &c.request },
		{ "--key", "KEY", "only of operations that have this key", CLI_TEXT, &c.key },
		{ "--state", "NAME", "only steps in this state or into it, like DOWN", CLI_TEXT,
		    &c.state },
		{ "--msg", "NAME", "only of this message, like PART_DONE", CLI_TEXT, &c.msg },
		{ "--from", "TIME", "from this long after the start", CLI_TIME, &c.from_ns },
		{ "--until", "TIME", "until this long after the start", CLI_TIME, &c.until_ns },
		{ "--from-step", "N", "from this step", CLI_COUNT, &c.step_from },
		{ "--until-step", "N", "until this step", CLI_COUNT, &c.step_until },
		{ "--effects", NULL, "show: also what each step asked for", CLI_FLAG, &c.effects },
		{ "--break-at", "N", "replay: SIGTRAP before this step", CLI_COUNT, &c.break_at },
		{ "--do", "COMMANDS", "step: 'g 17; n; p', not those from standard input", CLI_TEXT,
		    &c.commands },
		{ "--lines", "N", "last: so many lines; 50", CLI_COUNT, &c.lines },
		{ "--as", "FORM", "draw: text, mermaid, or chrome, which Perfetto opens", CLI_TEXT,
		    &c.as },
		{ "-o", "FILE", "cut, bless, draw: write to it", CLI_TEXT, &c.out },
		{ "--for-report", NULL, "cut: without what names users or machines", CLI_FLAG,
		    &c.for_report },
		{ "--once", NULL, "watch: what is there, and no longer", CLI_FLAG, &c.once },
		{ "--dir", "DIR", "watch: where traces lie", CLI_TEXT, &c.dir },
		{ "--seen", NULL, "states: colour what the traces named have taken", CLI_FLAG,
		    &c.seen },
		{ "--anyway", NULL, "with another build's deciders", CLI_FLAG, &c.anyway },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	int n = cli_read(&c.cli, own, argc, argv);

	if (n < 0)
		return CLI_ERROR;
	if (n == 0)
		return unknown(&c, NULL);
	c.n_args = n - 1;
	c.args = argv + 1;
	return run_verb(&c, argv[0]);
}
