/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_groups --samples FILE --dir DIR --tmpfs DIR [--tiny | --quick] [--rounds N] GROUP...
 *
 * Measures the groups that are named and writes a line for each sample: group, case, unit, who,
 * round and value between tabs. scripts/bench makes figures of them.
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
	{ "lookup", "lookups of 1, 64 and 512 keys, on one CPU and on two", bench_lookup, true },
	{ "load", "lookups while puts saturate the link", bench_load, true },
	{ "rtt", "0, 1 and 10 ms of added round-trip time", bench_rtt, true },
	{ "fs", "files on tmpfs, on a disk and past the page cache", bench_fs, false },
	{ "keys", "with 1 to 1,000,000 keys stored", bench_keys, true },
	{ "runtime", "the runtime alone, on a store that keeps nothing", bench_runtime, false },
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
	fprintf(stderr, "usage: bench_groups --samples FILE --dir DIR --tmpfs DIR [--tiny | --quick] "
	                "[--rounds N] GROUP...\n");
	for (size_t i = 0; i < BENCH_LEN(groups); i++)
		fprintf(stderr, "  %-8s %s\n", groups[i].name, groups[i].what);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct bench b;
	int first = bench_args(&b, argc, argv);

	if (first == 0 || first == argc)
		usage();
	for (int i = first; i < argc; i++)
		if (group_of(argv[i]) == NULL)
			usage();
	for (int i = first; i < argc; i++)
		run(&b, group_of(argv[i]));
	bench_end(&b);
	return 0;
}
