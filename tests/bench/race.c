/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_race [--quick | --smoke] [--json FILE]: see kvr_race.h.
 *
 * All racers do one case in turns, round after round, beginning with another one each time; the
 * first round is a warm-up. What is told is the median of the rounds, and its ratio to the better
 * of the raw clients. Every byte of every read is compared.
 */
#include "kvr_race.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { LOOKS = 300 };

const struct racer *const race_racers[N_RACERS] = { &race_raw_1, &race_raw_2, &race_hiredis,
	&race_kvrelay_1, &race_kvrelay_2, &race_kvrelay_sealed };

const struct race_case race_cases[N_CASES] = {
	{ "4 MiB, one by one", 16, 4U << 20, true },
	{ "64 x 1 MiB", 64, 1U << 20, false },
	{ "64 x 64 KiB", 64, 64U << 10, false },
};

_Noreturn void
race_give_up(const char *who, const char *what)
{
	fprintf(stderr, "bench_race: %s: %s\n", who, what);
	exit(1);
}

uint64_t
race_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static double
cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- one case ---- */

static void
set_up(struct race *race, const struct race_case *c, int racer)
{
	race->work.n = c->n;
	for (uint32_t i = 0; i < c->n; i++) {
		/* A key of its own: formats differ, and nobody reads what another one wrote. */
		snprintf(race->text[i], RACE_KEY, "bench-%d@1@0@%llx%02x@bfloat16", racer,
		    (unsigned long long)c->len, i);
		race->work.key[i] = race->text[i];
		race->work.len[i] = c->len;
		race->work.at[i] = race->bytes + i * c->len;
	}
}

static uint64_t
word_of(uint32_t i, uint64_t k)
{
	return (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15) + k;
}

static void
fill(const struct race_work *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		uint64_t *at = w->at[i];

		for (uint64_t k = 0; k < w->len[i] / 8; k++)
			at[k] = word_of(i, k);
	}
}

static void
compare(const char *who, const struct race_work *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const uint64_t *at = w->at[i];

		for (uint64_t k = 0; k < w->len[i] / 8; k++) {
			if (at[k] != word_of(i, k))
				race_give_up(who, "wrong bytes came back");
		}
	}
}

static void
run(const struct race *race, const struct race_case *c, int racer, bool get)
{
	void (*fn)(void *, const struct race_work *) =
	    get ? race_racers[racer]->get : race_racers[racer]->put;
	struct race_work one = { .n = 1 };

	if (!c->singly) {
		fn(race->self[racer], &race->work);
		return;
	}
	for (uint32_t i = 0; i < c->n; i++) {
		one.key[0] = race->work.key[i];
		one.at[0] = race->work.at[i];
		one.len[0] = race->work.len[i];
		fn(race->self[racer], &one);
	}
}

static void
timed(struct race *race, int number, int racer, bool get, uint32_t round)
{
	const struct race_case *c = &race_cases[number];
	struct race_figure *f = &race->figure[number][get][racer];
	double gb = (double)c->n * (double)c->len / 1e9;

	if (get)
		memset(race->bytes, 0, c->n * c->len);
	else
		fill(&race->work);
	double cpu = cpu_s();
	uint64_t from_ns = race_now_ns();

	run(race, c, racer, get);
	double s = (double)(race_now_ns() - from_ns) / 1e9;

	cpu = cpu_s() - cpu;
	if (get)
		compare(race_racers[racer]->name, &race->work);
	if (round == 0)
		return;
	f->gbps[round - 1] = gb / s;
	f->cpu[round - 1] = cpu / gb;
}

static void
run_case(struct race *race, int number)
{
	for (uint32_t round = 0; round <= race->rounds; round++) {
		for (int i = 0; i < N_RACERS; i++) {
			int racer = (i + (int)round) % N_RACERS;

			set_up(race, &race_cases[number], racer);
			timed(race, number, racer, false, round);
			timed(race, number, racer, true, round);
		}
	}
}

static void
run_looks(struct race *race)
{
	for (uint32_t round = 0; round <= race->rounds; round++) {
		for (int i = 0; i < N_RACERS; i++) {
			int racer = (i + (int)round) % N_RACERS;

			if (!race_racers[racer]->for_look)
				continue;
			set_up(race, &race_cases[N_CASES - 1], racer);
			for (uint32_t k = 0; k < race->looks; k++) {
				uint64_t from_ns = race_now_ns();

				if (!race_racers[racer]->look(
				        race->self[racer], race->work.key[k % RACE_KEYS_MAX]))
					race_give_up(race_racers[racer]->name,
					    "a value that was stored is not there");
				if (round > 0)
					race->look_ns[racer][(round - 1) * race->looks + k] =
					    race_now_ns() - from_ns;
			}
		}
	}
}

/* ---- */

static const char *
read_args(struct race *race, int argc, char **argv)
{
	const char *path = NULL;

	race->rounds = 9;
	race->looks = LOOKS;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			race->rounds = 3;
		} else if (strcmp(argv[i], "--smoke") == 0) {
			race->rounds = 1;
			race->looks = 20;
		} else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
			path = argv[++i];
		} else {
			fprintf(stderr, "usage: bench_race [--quick | --smoke] [--json FILE]\n");
			exit(2);
		}
	}
	return path;
}

static void
open_all(struct race *race, const struct kvr_redis_server *server)
{
	for (int i = 0; i < N_RACERS; i++) {
		race->look_ns[i] = calloc((size_t)race->rounds * race->looks, sizeof(uint64_t));
		if (race->look_ns[i] == NULL)
			race_give_up("main", "no memory");
		race->self[i] = race_racers[i]->open(race_racers[i], server);
	}
}

static void
close_all(struct race *race)
{
	for (int i = 0; i < N_RACERS; i++) {
		race_racers[i]->close(race->self[i]);
		free(race->look_ns[i]);
	}
}

int
main(int argc, char **argv)
{
	struct race *race = calloc(1, sizeof(*race));

	if (race == NULL)
		race_give_up("main", "no memory");
	const char *path = read_args(race, argc, argv);

	if (kvr_redis_server_missing()) {
		fprintf(stderr, "not run: redis-server is not installed\n");
		return 77;
	}
	race->bytes = aligned_alloc(4096, RACE_KEYS_MAX << 20);
	FILE *f = path == NULL ? NULL : fopen(path, "w");

	if (race->bytes == NULL || (path != NULL && f == NULL))
		race_give_up("main", path != NULL && f == NULL
		                         ? "the file of --json cannot be written"
		                         : "no memory");
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

	open_all(race, server);
	for (int c = 0; c < N_CASES; c++)
		run_case(race, c);
	run_looks(race);
	race_print(race);
	if (f != NULL) {
		race_json(f, race);
		if (fclose(f) != 0)
			race_give_up("main", "the file of --json could not be written");
	}
	close_all(race);
	kvr_redis_server_stop(server);
	free(race->bytes);
	free(race);
	return 0;
}
