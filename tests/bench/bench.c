/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_groups --samples FILE [--tiny | --quick] [--dir DIR] GROUP...: measures the groups that are
 * named and writes a line for each sample: group, case, unit, who, round and value between tabs.
 * scripts/bench makes a table of them.
 */
#include "kvr_measure.h"

#include <stdlib.h>
#include <string.h>

static const struct group {
	const char *name, *what;
	void (*run)(struct bench *);
	bool needs_server;
} groups[] = {
	{ "bulk", "batches of values, GET and SET, against one Redis", bench_bulk, true },
	{ "lookup", "lookups of 1, 64 and 512 keys, placed on one and on two CPUs", bench_lookup,
	    true },
};

static const struct group *
group_of(const char *name)
{
	for (size_t i = 0; i < BENCH_LEN(groups); i++)
		if (strcmp(groups[i].name, name) == 0)
			return &groups[i];
	return NULL;
}

static void
run(struct bench *b, const struct group *g)
{
	uint64_t from_ns = bench_now_ns();

	if (g->needs_server && kvr_redis_server_missing()) {
		bench_not_run(g->name, "redis-server is not installed");
		return;
	}
	/* A server of its own: what one group leaves in its memory does not change the next one. */
	b->server = g->needs_server ? kvr_redis_server_start(NULL, NULL) : NULL;
	g->run(b);
	kvr_redis_server_stop(b->server);
	b->server = NULL;
	fflush(b->out);
	fprintf(stderr, "%s: %.1f s\n", g->name, (double)(bench_now_ns() - from_ns) / 1e9);
}

static _Noreturn void
usage(void)
{
	fprintf(
	    stderr, "usage: bench_groups --samples FILE [--tiny | --quick] [--dir DIR] GROUP...\n");
	for (size_t i = 0; i < BENCH_LEN(groups); i++)
		fprintf(stderr, "  %-8s %s\n", groups[i].name, groups[i].what);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct bench b = { .size = BENCH_FULL, .rounds = 9, .dir = "." };
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--samples") == 0 && i + 1 < argc) {
			b.out = fopen(argv[++i], "a");
		} else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
			b.dir = argv[++i];
		} else if (strcmp(argv[i], "--quick") == 0) {
			b.size = BENCH_QUICK;
			b.rounds = 3;
		} else if (strcmp(argv[i], "--tiny") == 0) {
			b.size = BENCH_TINY;
			b.rounds = 1;
		} else {
			usage();
		}
	}
	if (b.out == NULL || i == argc)
		usage();
	for (int k = i; k < argc; k++)
		if (group_of(argv[k]) == NULL)
			usage();
	for (; i < argc; i++)
		run(&b, group_of(argv[i]));
	if (fclose(b.out) != 0)
		bench_give_up("bench", "the file of samples could not be written");
	return 0;
}
