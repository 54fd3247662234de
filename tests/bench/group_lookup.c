/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookups of one key and of many, with everything on one CPU and with server and client on one CPU
 * each: a wake across CPUs costs more than the lookup, so an unpinned run measures the scheduler.
 */
#include "kvr_measure.h"

#include <stdlib.h>

enum { CLIENTS = 3, LOOKS_MAX = 1000 };

static const struct {
	uint32_t keys, looks[3]; /* of a round, by size of the bench */
} batches[] = { { 1, { 20, 300, 1000 } }, { 64, { 5, 60, 600 } }, { 512, { 2, 20, 150 } } };

static void
look(struct bench *b, const struct bench_client *c, struct bench_work *w, uint32_t looks,
    const char *what, uint32_t round)
{
	static uint64_t ns[LOOKS_MAX];

	for (uint32_t i = 0; i < looks; i++) {
		uint64_t from_ns = bench_now_ns();

		c->look(c->self, w);
		ns[i] = bench_now_ns() - from_ns;
	}
	if (round > 0)
		bench_tell_times(b, "lookup", what, c->name, round, ns, looks);
}

static void
placed(struct bench *b, const struct bench_client *c, struct bench_work *w, const char *where)
{
	for (size_t k = 0; k < BENCH_LEN(batches); k++) {
		uint32_t keys = batches[k].keys;
		char what[64];

		snprintf(what, sizeof(what), "%u key%s, %s", keys, keys == 1 ? "" : "s", where);
		bench_work_set(w, "look", keys, 8);
		for (uint32_t round = 0; round <= b->rounds; round++)
			for (uint32_t i = 0; i < CLIENTS; i++)
				look(b, &c[(i + round) % CLIENTS], w, batches[k].looks[b->size],
				    what, round);
	}
}

void
bench_lookup(struct bench *b)
{
	struct bench_work *w = bench_work_new();
	int cpus = bench_cpus();
	const struct bench_client c[CLIENTS] = { raw_open(b->server->port),
		hiredis_open(b->server->port),
		kvrelay_open_redis("kvrelay", b->server->url, "bare", 1) };

	bench_work_set(w, "look", BENCH_KEYS_MAX, 8);
	bench_work_fill(w, 0);
	c[2].put(c[2].self, w);
	bench_pin(b->server->pid, 0);
	bench_pin(0, 0);
	placed(b, c, w, "one CPU");
	if (cpus < 2) {
		bench_not_run("lookup on two CPUs", "this machine has one");
	} else {
		bench_pin(0, 1);
		placed(b, c, w, "two CPUs");
	}
	bench_pin(0, -1);
	bench_pin(b->server->pid, -1);
	for (size_t i = 0; i < CLIENTS; i++)
		c[i].close(c[i].self);
	bench_work_free(w);
}
