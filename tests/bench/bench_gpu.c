/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library makes of a device beside raw copies of page-locked memory, in one run in which
 * they take turns: copies alone, in one piece, in pages of several sizes and head by head, one way
 * and both; pages by the copy engines and by the kernel, which tells where the boundary between
 * them belongs; and through whole instances, beside the slower of a raw copy and the same batch in
 * the host's memory.
 *
 *   bench_gpu [--quick | --tiny] [--only GROUP] [--twin] [--json FILE]
 *
 * 77 and a line where there is no device. --twin: the host in its place, which says nothing about
 * speed and shows that the program works; so does --tiny.
 */
#include "kvr_bench_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench_gpu b = { .rounds = ROUNDS_MAX, .copies = 16, .tokens = 512, .layers = LAYERS };
static const char *json, *only;

/* What was measured by then is told all the same. */
void
bench_gpu_die(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "bench_gpu: %s\n", what);
	if (json != NULL)
		(void)bench_gpu_write(&b, json);
	exit(1);
}

static bool
is_wanted(const char *group)
{
	return only == NULL || strcmp(only, group) == 0;
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			b.rounds = 3;
			b.copies = 4;
			b.tokens = 128;
		} else if (strcmp(argv[i], "--tiny") == 0) {
			b.rounds = 1;
			b.copies = 2;
			b.tokens = 32;
		} else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
			json = argv[++i];
		} else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
			only = argv[++i];
		} else if (strcmp(argv[i], "--twin") != 0) {
			fprintf(stderr,
			    "usage: bench_gpu [--quick | --tiny] [--only GROUP] [--twin] [--json FILE]\n");
			return 2;
		}
	}
	gpu_open(argc, argv);
	b.chunk_len = (size_t)b.tokens * ROW * b.layers * PLANES;
	printf("on %s\n", gpu_name());
	b.pinned = gpu_pin(2 * b.chunk_len);
	memset(b.pinned, 1, 2 * b.chunk_len);
	b.device = gpu_alloc(2 * b.chunk_len);
	gpu_put(b.device, b.pinned, 2 * b.chunk_len);
	if (is_wanted("copies"))
		bench_gpu_copies(&b);
	if (is_wanted("heads"))
		bench_gpu_heads(&b);
	if (is_wanted("stores"))
		bench_gpu_stores(&b);
	if (is_wanted("boundary"))
		bench_gpu_boundary(&b);
	bench_gpu_sum();
	gpu_free(b.device);
	gpu_unpin(b.pinned, 2 * b.chunk_len);
	if (json == NULL || bench_gpu_write(&b, json))
		return 0;
	fprintf(stderr, "bench_gpu: %s cannot be written\n", json);
	return 1;
}
