/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_measure.h"

#include <stdlib.h>
#include <string.h>

int
bench_args(struct bench *b, int argc, char **argv)
{
	int i = 1;

	*b = (struct bench){ .size = BENCH_FULL, .rounds = 7 };
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--samples") == 0 && i + 1 < argc) {
			b->out = fopen(argv[++i], "a");
		} else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
			b->dir = argv[++i];
		} else if (strcmp(argv[i], "--tmpfs") == 0 && i + 1 < argc) {
			b->tmpfs = argv[++i];
		} else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
			b->rounds =
			    (uint32_t)strtoul(argv[++i], NULL, 10); /* the last word counts */
		} else if (strcmp(argv[i], "--quick") == 0) {
			b->size = BENCH_QUICK;
			b->rounds = 3;
		} else if (strcmp(argv[i], "--tiny") == 0) {
			b->size = BENCH_TINY;
			b->rounds = 1;
		} else {
			return 0;
		}
	}
	/* Nowhere is a place by itself: what the files leave would lie in somebody's checkout. */
	if (b->out == NULL || b->dir == NULL || b->tmpfs == NULL)
		return 0;
	return b->rounds == 0 || b->rounds > BENCH_ROUNDS_MAX ? 0 : i;
}

uint32_t
bench_pair_rounds(const struct bench *b)
{
	return b->size == BENCH_FULL ? b->rounds * (BENCH_PAIRS_MAX / BENCH_ROUNDS_MAX) : 1;
}

void
bench_end(struct bench *b)
{
	if (fclose(b->out) != 0)
		bench_give_up("bench", "the file of samples could not be written");
}
