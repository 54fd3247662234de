/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step costs, and what the trace adds to it: bench_step [rounds]. Two small deciders run the
 * same operations on one thread, in turns without a trace, with one in memory and with one in a
 * file; snapshots are part of it. Prints nanoseconds a step, median of the rounds.
 */
#include "duo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPS = 20000, ROUNDS = 15, ROUNDS_MAX = 200, KINDS = 3 };

static const char *const name[KINDS] = { "no trace", "in memory", "in a file" };
static const char *const dir[KINDS] = { NULL, "none", "auto" };

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
one_round(int kind, uint64_t *ret_mixed)
{
	static struct duo_run r;
	struct kvr_trace *t = NULL;
	char why[256], path[400] = "";

	if (dir[kind] != NULL) {
		const struct kvr_trace_options o = {
			.dir = dir[kind], .size = KVR_MIB(16), .keep = 8, .instance = "bench_step"
		};

		if (kvr_trace_open(&o, &t, why, sizeof(why)) != KVR_OK)
			return 0;
		snprintf(path, sizeof(path), "%s", kvr_trace_path(t));
	}
	duo_open(&r, t);
	duo_work(&r, 1, OPS); /* the ring is in memory and has gone round once */
	uint64_t from_ns = kvr_now_ns(), from = r.n_steps;
	duo_work(&r, 2, OPS);
	double ns = (double)(kvr_now_ns() - from_ns) / (double)(r.n_steps - from);
	*ret_mixed = r.mixed;
	duo_close(&r);
	kvr_trace_close(t);
	if (path[0] != '\0')
		unlink(path);
	return ns;
}

int
main(int argc, char **argv)
{
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : ROUNDS;
	static double ns[KINDS][ROUNDS_MAX];
	uint64_t mixed[KINDS] = { 0 };

	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench_step [1 to %d]\n", ROUNDS_MAX);
		return 2;
	}
	for (long r = 0; r < rounds; r++)
		for (int k = 0; k < KINDS; k++)
			ns[k][r] = one_round(k, &mixed[k]);
	for (int k = 0; k < KINDS; k++) {
		qsort(ns[k], (size_t)rounds, sizeof(ns[k][0]), by_size);
		printf("%-10s %7.1f ns a step, %+.1f\n", name[k], ns[k][rounds / 2],
		    ns[k][rounds / 2] - ns[0][rounds / 2]);
	}
	/* The recorder may not change what it records. */
	return mixed[0] == mixed[1] && mixed[1] == mixed[2] ? 0 : 1;
}
