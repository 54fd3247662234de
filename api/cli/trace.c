/* SPDX-License-Identifier: Apache-2.0 */
/* trace: reads the file in which an instance writes down every decision, and decides again. */
#include "kvr_cli.h"

#include "kvr_actors.h"
#include "kvr_replay.h"
#include "kvr_trace_text.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct trace_cmd {
	struct cli cli;
	const char *actor, *op, *msg;
	uint64_t from_ns, until_ns; /* after the instance was opened; until 0: the end */
	bool anyway;
};

/* ---- info ---- */

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

static int
info(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(view);
	size_t len = 0;
	const char *config = kvr_trace_view_config(view, &len);
	uint32_t n_actors = 0;

	if (!c->cli.json) {
		describe(view, path);
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

/* "link": every link; "link 1.0": that one. */
static bool
is_actor(const char *wanted, uint16_t id)
{
	char name[24];
	size_t len = strlen(wanted);

	kvr_id_name(id, name, sizeof(name));
	return strncmp(name, wanted, len) == 0 && (name[len] == '\0' || name[len] == ' ');
}

/* "7": all operations that had this slot; "7.2": one of them. */
static bool
is_op(const char *wanted, uint64_t op)
{
	char *end;
	unsigned long slot = strtoul(wanted, &end, 10);

	return op != 0 && (uint32_t)op == slot &&
	       (*end != '.' || strtoul(end + 1, NULL, 10) == op >> 32);
}

static bool
is_wanted(const struct trace_cmd *c, const struct kvr_trace_head *h, const struct kvr_rec *r)
{
	bool step = r->kind == KVR_REC_STEP;
	bool any = c->actor == NULL && c->op == NULL && c->msg == NULL;
	uint64_t at_ns;

	if (!step)
		return any && r->kind == KVR_REC_MARK && c->from_ns == 0;
	at_ns = kvr_rec_step(r)->now_ns - h->opened_mono_ns;
	if (at_ns < c->from_ns || (c->until_ns != 0 && at_ns > c->until_ns))
		return false;
	if (c->actor != NULL && !is_actor(c->actor, r->actor))
		return false;
	if (c->op != NULL && !is_op(c->op, kvr_rec_step(r)->msg.op))
		return false;
	return c->msg == NULL ||
	       strcasecmp(kvr_msg_info[kvr_rec_step(r)->msg.type].name, c->msg) == 0;
}

static int
show(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(view);
	char line[KVR_TRACE_LINE];
	uint64_t n = 0;

	(void)path;
	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		if (!is_wanted(c, h, r))
			continue;
		kvr_trace_line(h, r, kvr_spec_of, line, sizeof(line));
		if (c->cli.json) {
			printf("%s", n == 0 ? "[" : ",\n ");
			cli_json_text(stdout, line);
		} else {
			puts(line);
		}
		n++;
		/* The reader has gone: nobody needs the rest. */
		if (ferror(stdout))
			return CLI_ERROR;
	}
	if (c->cli.json)
		printf(n == 0 ? "[]\n" : "]\n");
	return n > 0 ? CLI_OK : CLI_MISS;
}

/* ---- replay ---- */

static void
tell_replay(
    const struct trace_cmd *c, uint64_t steps, bool same, const struct kvr_replay_diff *diff)
{
	if (c->cli.json) {
		printf("{\"same\": %s, \"steps\": %" PRIu64 ", \"difference\": ",
		    same ? "true" : "false", steps);
		cli_json_text(stdout, same ? "" : diff->text);
		printf("}\n");
	} else if (same) {
		printf("replayed %" PRIu64 " steps, every one as recorded\n", steps);
	} else {
		printf("after %" PRIu64 " steps: %s\n", steps, diff->text);
	}
}

static int
replay(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	struct kvr_replay_diff diff = { .what = KVR_REPLAY_SAME };
	struct kvr_replay *r = NULL;
	uint64_t steps = 0;
	char why[512] = "";
	enum kvr_err err = kvr_replay_open(view, kvr_spec_of, c->anyway, &r, why, sizeof(why));

	if (err != KVR_OK)
		return cli_fail(&c->cli, "%s: %s", path, why[0] != '\0' ? why : kvr_err_text(err));
	err = kvr_replay_all(r, &steps, &diff);
	kvr_replay_free(r);
	if (err != KVR_OK && err != KVR_E_CORRUPT)
		return cli_fail(&c->cli,
		    "%s: the trace has lost its beginning and has no whole snapshot", path);
	if (err == KVR_OK && steps == 0)
		return cli_fail(&c->cli, "%s: there is no step to replay", path);
	tell_replay(c, steps, err == KVR_OK, &diff);
	if (err == KVR_OK && kvr_trace_view_tail(view)[0] != '\0')
		fprintf(stderr, "kvrelay trace: %s: behind that, %s\n", path,
		    kvr_trace_view_tail(view));
	return err == KVR_OK ? CLI_OK : CLI_MISS;
}

/* ---- last ---- */

static int
last(struct trace_cmd *c, const char *given)
{
	char own[64], path[1024], best[1024] = "";
	const char *dir = given;
	struct timespec newest = { 0 };

	snprintf(own, sizeof(own), "/dev/shm/kvrelay-%lu", (unsigned long)geteuid());
	if (dir == NULL)
		dir = own;
	DIR *d = opendir(dir);

	if (d == NULL)
		return cli_fail(
		    &c->cli, "%s: no such directory; traces lie where trace.dir says", dir);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		const char *dot = strrchr(e->d_name, '.');
		struct stat st;

		if (dot == NULL || strcmp(dot, ".kvrt") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		if (best[0] != '\0' && (st.st_mtim.tv_sec < newest.tv_sec ||
		                           (st.st_mtim.tv_sec == newest.tv_sec &&
		                               st.st_mtim.tv_nsec <= newest.tv_nsec)))
			continue;
		newest = st.st_mtim;
		memcpy(best, path, sizeof(best));
	}
	closedir(d);
	if (best[0] == '\0') {
		fprintf(stderr, "kvrelay trace: %s: no trace in it\n", dir);
		return CLI_MISS;
	}
	puts(best);
	return CLI_OK;
}

/* ---- */

static const struct {
	const char *name;
	int (*run)(struct trace_cmd *, const struct kvr_trace_view *, const char *path);
} verbs[] = {
	{ "show", show },
	{ "replay", replay },
	{ "info", info },
};

static int
with_view(struct trace_cmd *c, const char *verb, const char *path)
{
	struct kvr_trace_view *view = NULL;
	char why[512] = "";
	enum kvr_err err;
	int status = CLI_ERROR;

	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		if (strcmp(verb, verbs[i].name) != 0)
			continue;
		err = kvr_trace_view_open(path, &view, why, sizeof(why));
		if (err != KVR_OK)
			return cli_fail(&c->cli, "%s", why[0] != '\0' ? why : kvr_err_text(err));
		status = verbs[i].run(c, view, path);
		kvr_trace_view_free(view);
		return status;
	}
	return cli_fail(&c->cli, "no '%s'; there is show, replay, info and last", verb);
}

int
cli_trace(int argc, char **argv)
{
	struct trace_cmd c = { .actor = NULL };
	const struct cli_option own[] = {
		{ "--actor", "NAME", "show: only of 'router', 'link', 'link 1.0', ...", CLI_TEXT,
		    &c.actor },
		{ "--op", "N", "show: only of this operation, like 7 or 7.2", CLI_TEXT, &c.op },
		{ "--msg", "NAME", "show: only of this message, like PART_DONE", CLI_TEXT, &c.msg },
		{ "--from", "TIME", "show: from this long after the start", CLI_TIME, &c.from_ns },
		{ "--until", "TIME", "show: until this long after the start", CLI_TIME,
		    &c.until_ns },
		{ "--anyway", NULL, "replay: with another build's deciders", CLI_FLAG, &c.anyway },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	int n = cli_read(&c.cli, own, argc, argv);

	if (n < 0)
		return CLI_ERROR;
	if (n >= 1 && n <= 2 && strcmp(argv[0], "last") == 0)
		return last(&c, n == 2 ? argv[1] : NULL);
	if (n != 2)
		return cli_fail(
		    &c.cli, "usage: kvrelay trace show|replay|info FILE, kvrelay trace last [DIR]");
	return with_view(&c, argv[0], argv[1]);
}
