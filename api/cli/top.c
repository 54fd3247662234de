/* SPDX-License-Identifier: Apache-2.0 */
/* top: the instances of this user, live, from their statistics pages. Needs no port. */
#include "kvr_top.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct top {
	struct cli cli;
	const char *dir;
	uint64_t every_ns, pid;
	bool once;
};

static volatile sig_atomic_t over;

static void
on_signal(int signal)
{
	(void)signal;
	over = 1;
}

static const struct seen_page *
same(const struct seen *before, const struct seen_page *p)
{
	for (uint32_t i = 0; i < before->n; i++) {
		const struct kvr_stats_head *h = &before->page[i]->s.head;

		if (h->pid == p->s.head.pid && h->opened_real_ns == p->s.head.opened_real_ns &&
		    strcmp(h->instance, p->s.head.instance) == 0)
			return before->page[i];
	}
	return NULL;
}

static void
show(const struct top *c, const struct seen *before, const struct seen *now)
{
	static struct top_row row[SEEN_MAX];
	bool screen = !c->cli.json && !c->once && isatty(STDOUT_FILENO);

	for (uint32_t i = 0; i < now->n; i++) {
		row[i] = (struct top_row){ .now = now->page[i], .before = same(before, now->page[i]) };
		top_rates(&row[i]);
	}
	if (screen)
		fputs("\033[H\033[J", stdout); /* cursor home, clear below */
	if (c->cli.json)
		top_json(row, now->n);
	else if (now->n == 0)
		seen_nobody(c->dir);
	else
		top_text(row, now->n);
	fflush(stdout);
}

static void
pause_for(uint64_t ns)
{
	const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000) };

	(void)nanosleep(&t, NULL); /* a signal ends it early; the loop checks */
}

static int
watch(struct top *c)
{
	struct seen before = { .n = 0 }, now = { .n = 0 };

	if (!seen_read(&c->cli, c->dir, c->pid, &before))
		return CLI_ERROR;
	while (over == 0) {
		pause_for(c->every_ns);
		if (!seen_read(&c->cli, c->dir, c->pid, &now)) {
			seen_drop(&before);
			return CLI_ERROR;
		}
		show(c, &before, &now);
		seen_drop(&before);
		before = now;
		if (c->once || ferror(stdout))
			break;
	}
	uint32_t n = before.n;

	seen_drop(&before);
	return n > 0 || over != 0 ? CLI_OK : CLI_MISS;
}

int
cli_top(int argc, char **argv)
{
	struct top c = { .every_ns = KVR_SEC(1) };
	const struct cli_option own[] = {
		{ "--once", NULL, "one look, after one interval; 1 when nobody is there", CLI_FLAG,
		    &c.once },
		{ "--every", "TIME", "interval, 1s by default", CLI_TIME, &c.every_ns },
		{ "--pid", "N", "only this process", CLI_COUNT, &c.pid },
		{ "--dir", "DIR", "where trace.dir is, if it is not this user's folder", CLI_TEXT,
		    &c.dir },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	int n = cli_read(&c.cli, own, argc, argv);

	if (n < 0)
		return CLI_ERROR;
	if (n != 0)
		return cli_fail(&c.cli, "it takes no arguments");
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	return watch(&c);
}
