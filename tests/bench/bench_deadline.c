/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late a call returns after its deadline, while its store is in trouble: bench_deadline
 * [--quick | --smoke]
 *
 *   still    the server stands still (SIGSTOP) under connections that were good
 *   drip     the server's bytes arrive one a second, on connections that were good
 *   silent   connections are taken and nothing ever answers: half open
 *   hole     packets to the server get lost: no connection comes up
 *   names    the host's name is asked of a resolver that does not answer
 *   full     a file system without any space
 *
 * Each trouble meets batches of every size from 1 to 1024, a lookup, a get or a put of each. For
 * sizes from one power of two to the next: calls, and the median, the 99.9th percentile and the
 * worst of what they were late; at the end the same over all. The 99.9th percentile is to be below
 * 5 ms on an idle machine. --quick makes few calls; --smoke too, and it fails beyond two seconds,
 * which is a hang and not a busy machine.
 */
#include "kvr_trouble.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS_MAX = 1024, EACH = 256, BUDGET_MS = 30, SMOKE_LATE_MS = 2000 };

static char memory[KEYS_MAX][EACH], text[KEYS_MAX][24];
static const char *keys[KEYS_MAX];
static void *at[KEYS_MAX];
static uint64_t len[KEYS_MAX];

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "bench_deadline: %s\n", what);
	exit(1);
}

/* ---- calls ---- */

static struct kvr *
open_store(const char *url)
{
	char config[512], why[512];
	struct kvr *k;

	snprintf(config, sizeof(config),
	    "{\"trace\":{\"dir\":\"none\"},\"timeouts\":{\"connect\":\"50ms\"},\"log\":{\"level\":"
	    "\"error\"},"
	    "\"tiers\":[{\"name\":\"t\",\"url\":\"%s\",\"format\":\"bare\",\"breaker\":{\"faults\":"
	    "1000}}]}",
	    url);
	const struct kvr_options o = { .size = sizeof(o), .config_text = config };

	if (kvr_open(&o, 0, &k, why, sizeof(why)) != KVR_OK)
		fail(why);
	return k;
}

static void
close_store(struct kvr *k)
{
	(void)kvr_close(k, now_ns() + UINT64_C(2000000000), KVR_ABORT, NULL);
	kvr_free(k);
}

/* How late one call is. Lookups, gets and puts take turns. */
static uint64_t
call(struct kvr *k, uint32_t n, uint32_t turn)
{
	uint64_t until_ns = now_ns() + BUDGET_MS * UINT64_C(1000000);
	struct kvr_batch b = { .size = sizeof(b), .n = n, .key = keys, .at = at, .len = len };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = until_ns };
	enum kvr_err err;

	b.kind = turn % 3 == 0 ? KVR_LOOKUP : turn % 3 == 1 ? KVR_GET : KVR_PUT;
	err = kvr_run(k, &b, &o, NULL, NULL);
	uint64_t end_ns = now_ns();

	(void)err; /* whatever it is: it has to come in time */
	return end_ns > until_ns ? end_ns - until_ns : 0;
}

static uint64_t
call_in(struct world *w, const struct kvr_trouble *t, uint32_t n, uint32_t turn)
{
	struct kvr *k = t->meets ? w->kvr : open_store(w->url);
	enum kvr_err err = KVR_E_MISS;

	do
		err = t->meets ? kvr_contains(k, "bench", false, now_ns() + UINT64_C(1000000000))
		               : err;
	while (err != KVR_E_MISS);
	t->ill(w);
	uint64_t late = call(k, n, turn);

	t->well(w);
	if (!t->meets)
		close_store(k);
	return late;
}

/* ---- what is told ---- */

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
tell(const char *name, uint32_t from, uint32_t to, uint64_t *late, uint32_t calls)
{
	qsort(late, calls, sizeof(late[0]), by_size);
	printf(
	    "%-7s %5u to %4u keys %5u calls   median %6llu us   99.9%% %7llu us   worst %7llu us\n",
	    name, from, to, calls, (unsigned long long)late[calls / 2] / 1000,
	    (unsigned long long)late[(calls * 999 - 1) / 1000] / 1000,
	    (unsigned long long)late[calls - 1] / 1000);
}

/* Sizes from a power of two to the next, or, shortly, three of all sizes; calls: how many. */
static uint32_t
measure(struct world *w, const struct kvr_trouble *t, bool quick, uint64_t *late)
{
	uint32_t calls = 0;

	for (uint32_t from = 1; from <= KEYS_MAX; from *= 2) {
		uint32_t to = from * 2 > KEYS_MAX ? KEYS_MAX : from * 2 - 1, first = calls;

		if (quick && from != 1 && from != 32 && from != KEYS_MAX)
			continue;
		/* Few sizes have many turns, so that 64 calls are in each line at least. */
		uint32_t turns = quick ? 3 : from < 64 ? 64 / from : from == KEYS_MAX ? 64 : 1;

		for (uint32_t n = from; n <= (quick ? from : to); n++) {
			for (uint32_t turn = 0; turn < turns; turn++)
				late[calls++] = call_in(w, t, n, turns == 1 ? n : turn);
		}
		tell(t->name, from, quick ? from : to, &late[first], calls - first);
	}
	return calls;
}

/* Room for all that measure() can make of one trouble. */
enum { CALLS_MAX = 7 * 64 + KEYS_MAX };

static uint32_t
measure_in(struct world *w, const struct kvr_trouble *t, bool quick, uint64_t *late)
{
	t->start(w);
	if (t->meets)
		w->kvr = open_store(w->url);
	uint32_t calls = measure(w, t, quick, late);

	if (t->meets)
		close_store(w->kvr);
	t->end(w);
	return calls;
}

int
main(int argc, char **argv)
{
	static uint64_t late[KVR_TROUBLES * CALLS_MAX];
	bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
	bool quick = smoke || (argc > 1 && strcmp(argv[1], "--quick") == 0);
	struct world w = { .mounted = false };
	double load[1] = { 0 };
	uint32_t calls = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (kvr_redis_server_missing()) {
		fprintf(stderr, "not run: %s is not installed\n", kvr_redis_server_program());
		return 77;
	}
	w.server = kvr_redis_server_start(NULL, NULL);
	for (uint32_t i = 0; i < KEYS_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "bench-%u", i);
		keys[i] = text[i];
		at[i] = memory[i];
		len[i] = EACH;
	}
	for (uint32_t t = 0; t < KVR_TROUBLES; t++)
		calls += measure_in(&w, &kvr_troubles[t], quick, &late[calls]);
	kvr_redis_server_stop(w.server);
	tell("all", 1, KEYS_MAX, late, calls);
	(void)getloadavg(load, 1);
	printf("the goal is 5000 us for 99.9%% on an idle machine; its load was %.1f just now\n",
	    load[0]);
	return smoke && late[calls - 1] > SMOKE_LATE_MS * UINT64_C(1000000) ? 1 : 0;
}
