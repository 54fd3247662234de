/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: lines of a running process as they come, read from its file; the process does not notice.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVERY_MS = 100 };

/* Prints the records behind `seen`. True: nothing more to wait for. */
static bool
show_news(struct trace_cmd *c, const struct kvr_trace_view *view, uint64_t *seen)
{
	char line[KVR_TRACE_LINE];
	bool over = false;
	uint64_t n = kvr_trace_view_count(view), first = kvr_trace_view_find(view, *seen + 1);

	/* + 2: a pad at the end of the ring has a number too, and the view skips it. */
	if (first < n && *seen != 0 && kvr_trace_view_at(view, first)->number > *seen + 2)
		printf("-- %" PRIu64 " records were written over before they were read\n",
		    kvr_trace_view_at(view, first)->number - *seen - 1);
	for (uint64_t i = first; i < n; i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		*seen = r->number;
		over = over ||
		       (r->kind == KVR_REC_MARK && (kvr_rec_mark(r)->mark == KVR_MARK_CLOSED ||
		                                       kvr_rec_mark(r)->mark == KVR_MARK_PANIC));
		if (trace_is_wanted(c, view, r))
			puts(kvr_trace_line(
			    kvr_trace_view_head(view), r, kvr_spec_of, line, sizeof(line)));
	}
	fflush(stdout);
	return over || ferror(stdout);
}

static bool
has_news(const char *path, uint64_t *written)
{
	struct kvr_trace_head h = { .written = 0 };
	FILE *f = fopen(path, "rb");
	bool news = f == NULL || fread(&h, sizeof(h), 1, f) != 1 || h.written != *written;

	if (f != NULL)
		fclose(f);
	*written = h.written;
	return news;
}

int
trace_watch(struct trace_cmd *c)
{
	const struct timespec pause = { .tv_nsec = EVERY_MS * 1000000L };
	char path[1024] = "";
	uint64_t seen = 0, written = 0, pid = 0;
	bool over = false;

	if (c->n_args != 1)
		return cli_fail(&c->cli, "watch whom? the number of a process, or its trace");
	char *end;
	pid = strtoul(c->args[0], &end, 10);
	if (*end != '\0')
		snprintf(path, sizeof(path), "%s", c->args[0]);
	else if (!trace_of_pid(c, c->dir, (uint32_t)pid, path, sizeof(path)))
		return CLI_ERROR;
	while (!over) {
		if (has_news(path, &written)) {
			struct kvr_trace_view *view = trace_open(c, path);

			if (view == NULL)
				return CLI_ERROR;
			if (!trace_filter_ready(c, view)) {
				kvr_trace_view_free(view);
				return CLI_ERROR;
			}
			over = show_news(c, view, &seen);
			kvr_trace_view_free(view);
		}
		over = over || c->once;
		if (!over)
			nanosleep(&pause, NULL);
	}
	return CLI_OK;
}
