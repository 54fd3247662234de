/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of bench_gpu, and what its files say to each other.
 *
 *   bench_gpu.c          its arguments, and what is raced
 *   bench_gpu_copies.c   copies alone
 *   bench_gpu_stores.c   through whole instances
 *   bench_gpu_figures.c  what becomes of seconds, for people and as JSON
 */
#ifndef KVR_BENCH_GPU_H
#define KVR_BENCH_GPU_H

#include "gpu_bed.h"

enum { ROUNDS_MAX = 9, ROW = 2048, LAYERS = 32, PLANES = 2 };

struct bench_gpu {
	uint32_t rounds; /* after one that does not count */
	uint32_t copies; /* of a chunk, one after the other */
	uint32_t tokens, layers; /* of a chunk */
	size_t chunk_len;
	uint8_t *pinned, *device; /* two chunks each */
};

_Noreturn void bench_gpu_die(const char *what);

/* ---- bench_gpu_copies.c ---- */
/*
 * Each way there is alone, where the boundaries between them belong: pieces of so many KiB, and
 * chunks of so few of them that they may not be worth the device's memory.
 */
void bench_gpu_boundary(const struct bench_gpu *);
/* The chunk in one piece, and in pieces, as the library copies them. */
void bench_gpu_copies(const struct bench_gpu *);
/* The smallest pieces that engines' caches have. */
void bench_gpu_heads(const struct bench_gpu *);
/*
 * The worker's, made for one way: the copy engines, told of many pieces in a call or of one, the
 * kernel over the bus, or the kernel and the engines by way of the device's memory. Only with
 * KVR_BENCH_BOUNDARY.
 */
extern const struct kvr_copy_ops bench_gpu_engine, bench_gpu_single, bench_gpu_kernel, bench_gpu_stage;

/* ---- bench_gpu_stores.c ---- */
void bench_gpu_stores(const struct bench_gpu *);

/* ---- bench_gpu_figures.c ---- */
/* One race: seconds of each round, of us and of what we are measured by. must 0: no goal. */
struct bench_gpu_race {
	const char *group, *what, *way;
	double bytes, must, aim;
	double mine[ROUNDS_MAX], raw[ROUNDS_MAX];
	double begins[ROUNDS_MAX]; /* of mine, in calls that begin copies; 0: unknown */
	double stage[2][ROUNDS_MAX]; /* through an instance: the store alone and the copy alone; raw is the slower */
};
void bench_gpu_tell(const struct bench_gpu *, const struct bench_gpu_race *);
/* Something that could not be measured here. */
void bench_gpu_not_run(const char *group, const char *why);
/* How many goals there were and were met; and all of it into a file. */
void bench_gpu_sum(void);
bool bench_gpu_write(const struct bench_gpu *, const char *path);

#endif
