/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime alone: puts into a store that keeps nothing and takes no time. Raw is what any answer
 * from another thread costs at least, a token that goes there and back by two condition variables.
 */
#include "kvr_measure.h"

enum { CHUNKS = 64, CLIENTS = 3 };

static void
turn(struct bench *b, const struct bench_client *c, const struct bench_work *w, uint32_t batches,
    const char *what, uint32_t round)
{
	struct bench_use used;

	bench_use_now(b, &used);
	for (uint32_t i = 0; i < batches; i++)
		c->put(c->self, w);
	used = bench_use_since(b, &used);
	if (round == 0)
		return;
	bench_tell(
	    b, "runtime", what, "us/chunk", c->name, round, (double)used.ns / 1e3 / batches / w->n);
	bench_tell(
	    b, "runtime", what, "CPU us/chunk", c->name, round, used.cpu_s * 1e6 / batches / w->n);
	bench_tell(
	    b, "runtime", what, "sleeps/batch", c->name, round, (double)used.sleeps / batches);
}

void
bench_runtime(struct bench *b)
{
	static const uint32_t batches[] = { 20, 500, 2000 };
	struct bench_work *w = bench_work_new();
	const struct bench_client c[CLIENTS] = { token_open(),
		kvrelay_open("kvrelay",
		    "\"url\": \"blackhole://\", \"format\": \"bare\", \"lanes\": { \"bulk\": 1 }"),
		kvrelay_open("kvrelay 2", "\"url\": \"blackhole://\", \"format\": \"bare\", "
		                          "\"lanes\": { \"bulk\": 2 }") };

	for (int one_cpu = 0; one_cpu < 2; one_cpu++) {
		bench_work_set(w, "runtime", CHUNKS, BENCH_KIB(64));
		bench_pin(0, one_cpu ? 0 : -1);
		for (uint32_t round = 0; round <= b->rounds; round++)
			for (uint32_t i = 0; i < CLIENTS; i++)
				turn(b, &c[(i + round) % CLIENTS], w, batches[b->size],
				    one_cpu ? "put of 64, one CPU" : "put of 64", round);
	}
	bench_pin(0, -1);
	for (uint32_t i = 0; i < CLIENTS; i++)
		c[i].close(c[i].self);
	bench_work_free(w);
}
