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
#include <sys/utsname.h>
#include <time.h>

enum { ROUNDS_MAX = 31, LOOKS = 300 };

static const struct racer *const racers[] = { &race_raw_1, &race_raw_2, &race_hiredis, &race_kvrelay_1,
	&race_kvrelay_2, &race_kvrelay_sealed };
enum { N_RACERS = (int)(sizeof(racers) / sizeof(racers[0])) };

static const struct race_case {
	const char *name;
	uint32_t    n;
	uint64_t    len;
	bool        singly; /* one operation for each value, instead of one for all */
} cases[] = {
	{ "4 MiB, one by one", 16, 4U << 20, true },
	{ "64 x 1 MiB", 64, 1U << 20, false },
	{ "64 x 64 KiB", 64, 64U << 10, false },
};
enum { N_CASES = (int)(sizeof(cases) / sizeof(cases[0])) };

struct figure {
	double gbps[ROUNDS_MAX], cpu[ROUNDS_MAX];
};

struct race {
	uint32_t rounds, looks;
	void    *self[N_RACERS];
	uint8_t *bytes;
	char     text[RACE_KEYS_MAX][RACE_KEY];
	struct race_work work;
	struct figure figure[N_CASES][2][N_RACERS]; /* 0: SET, 1: GET */
	uint64_t *look_ns[N_RACERS]; /* rounds * looks */
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
		/* A key of each racer's own: formats differ, and nobody reads what another one wrote. */
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
	void (*fn)(void *, const struct race_work *) = get ? racers[racer]->get : racers[racer]->put;
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
	const struct race_case *c = &cases[number];
	struct figure *f = &race->figure[number][get][racer];
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
		compare(racers[racer]->name, &race->work);
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

			set_up(race, &cases[number], racer);
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

			if (!racers[racer]->for_look)
				continue;
			set_up(race, &cases[N_CASES - 1], racer);
			for (uint32_t k = 0; k < race->looks; k++) {
				uint64_t from_ns = race_now_ns();

				if (!racers[racer]->look(race->self[racer], race->work.key[k % RACE_KEYS_MAX]))
					race_give_up(racers[racer]->name, "a value that was stored is not there");
				if (round > 0)
					race->look_ns[racer][(round - 1) * race->looks + k] = race_now_ns() - from_ns;
			}
		}
	}
}

/* ---- telling ---- */

static int
by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int
by_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double
median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), by_double);
	return v[n / 2];
}

static double
look_us(struct race *race, int racer, uint32_t percent)
{
	uint64_t n = (uint64_t)race->rounds * race->looks;

	qsort(race->look_ns[racer], n, sizeof(uint64_t), by_u64);
	return (double)race->look_ns[racer][(n - 1) * percent / 100] / 1e3;
}

static double
best_raw(struct race *race, int number, bool get)
{
	double one = median(race->figure[number][get][0].gbps, race->rounds);
	double two = median(race->figure[number][get][1].gbps, race->rounds);

	return one > two ? one : two;
}

static void
print_case(struct race *race, int number, bool get)
{
	double raw = best_raw(race, number, get);

	printf("%-18s %-4s", cases[number].name, get ? "GET" : "SET");
	for (int i = 0; i < N_RACERS; i++)
		printf(" %6.2f %5.2f", median(race->figure[number][get][i].gbps, race->rounds),
		    median(race->figure[number][get][i].gbps, race->rounds) / raw);
	printf("\n%-18s %-4s", "", "cpu");
	for (int i = 0; i < N_RACERS; i++)
		printf(" %6.2f %5s", median(race->figure[number][get][i].cpu, race->rounds), "s/GB");
	putchar('\n');
}

static void
print(struct race *race)
{
	printf("GB/s and the ratio to the better raw client; medians of %u rounds, all in turns\n\n", race->rounds);
	for (int i = 0; i < N_RACERS; i++)
		printf("  %-10s %s\n", racers[i]->name, racers[i]->what);
	printf("\n%-23s", "");
	for (int i = 0; i < N_RACERS; i++)
		printf(" %12s", racers[i]->name);
	putchar('\n');
	for (int c = 0; c < N_CASES; c++) {
		print_case(race, c, true);
		print_case(race, c, false);
	}
	printf("\n%-23s %10s %10s %8s\n", "one lookup", "p50 us", "p99 us", "ratio");
	for (int i = 0; i < N_RACERS; i++) {
		if (racers[i]->for_look)
			printf("  %-21s %10.1f %10.1f %8.2f\n", i == 0 ? "raw EXISTS" : racers[i]->name,
			    look_us(race, i, 50), look_us(race, i, 99), look_us(race, i, 50) / look_us(race, 0, 50));
	}
}

static void
json_case(FILE *f, struct race *race, int number, bool get)
{
	double raw = best_raw(race, number, get);

	fprintf(f, "%s\n  {\"case\": \"%s\", \"verb\": \"%s\", \"values\": %u, \"bytes\": %llu, \"racers\": [",
	    number == 0 && get ? "" : ",", cases[number].name, get ? "GET" : "SET", cases[number].n,
	    (unsigned long long)cases[number].len);
	for (int i = 0; i < N_RACERS; i++) {
		double gbps = median(race->figure[number][get][i].gbps, race->rounds);

		fprintf(f, "%s\n    {\"name\": \"%s\", \"gb_per_s\": %.4f, \"ratio\": %.4f, \"cpu_s_per_gb\": %.4f}",
		    i == 0 ? "" : ",", racers[i]->name, gbps, gbps / raw,
		    median(race->figure[number][get][i].cpu, race->rounds));
	}
	fprintf(f, "]}");
}

static void
json(FILE *f, struct race *race)
{
	bool first = true;
	struct utsname u;

	uname(&u);
	fprintf(f, "{\"rounds\": %u, \"cpus\": %ld, \"kernel\": \"%s\", \"machine\": \"%s\", \"cases\": [",
	    race->rounds, sysconf(_SC_NPROCESSORS_ONLN), u.release, u.machine);
	for (int c = 0; c < N_CASES; c++) {
		json_case(f, race, c, true);
		json_case(f, race, c, false);
	}
	fprintf(f, "],\n \"lookup\": [");
	for (int i = 0; i < N_RACERS; i++) {
		if (!racers[i]->for_look)
			continue;
		fprintf(f, "%s\n  {\"name\": \"%s\", \"p50_us\": %.2f, \"p99_us\": %.2f, \"ratio\": %.4f}", first ? "" : ",",
		    racers[i]->name, look_us(race, i, 50), look_us(race, i, 99), look_us(race, i, 50) / look_us(race, 0, 50));
		first = false;
	}
	fprintf(f, "]}\n");
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
		race_give_up("main", path != NULL && f == NULL ? "the file of --json cannot be written" : "no memory");
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

	for (int i = 0; i < N_RACERS; i++) {
		race->look_ns[i] = calloc((size_t)race->rounds * race->looks, sizeof(uint64_t));
		if (race->look_ns[i] == NULL)
			race_give_up("main", "no memory");
		race->self[i] = racers[i]->open(racers[i], server);
	}
	for (int c = 0; c < N_CASES; c++)
		run_case(race, c);
	run_looks(race);
	print(race);
	if (f != NULL) {
		json(f, race);
		if (fclose(f) != 0)
			race_give_up("main", "the file of --json could not be written");
	}
	for (int i = 0; i < N_RACERS; i++) {
		racers[i]->close(race->self[i]);
		free(race->look_ns[i]);
	}
	kvr_redis_server_stop(server);
	free(race->bytes);
	free(race);
	return 0;
}
