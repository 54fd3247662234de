/* SPDX-License-Identifier: Apache-2.0 */
/* What the race says: medians of the rounds, and ratios to the better of the raw clients. */
#include "kvr_race.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

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
median(const double *v, uint32_t n)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), by_double);
	return sorted[n / 2];
}

static double
look_us(struct race *race, int racer, uint32_t percent)
{
	uint64_t n = (uint64_t)race->rounds * race->looks;

	qsort(race->look_ns[racer], n, sizeof(uint64_t), by_u64);
	return (double)race->look_ns[racer][(n - 1) * percent / 100] / 1e3;
}

/*
 * Against the raw client whose median is better, round by round: what the machine does besides
 * changes from round to round, and a round is short.
 */
static double
ratio(const struct race *race, int number, bool get, int racer)
{
	const struct race_figure *f = race->figure[number][get];
	double of_round[ROUNDS_MAX];
	int raw = median(f[1].gbps, race->rounds) > median(f[0].gbps, race->rounds);

	for (uint32_t r = 0; r < race->rounds; r++)
		of_round[r] = f[racer].gbps[r] / f[raw].gbps[r];
	return median(of_round, race->rounds);
}

static void
print_case(struct race *race, int number, bool get)
{
	printf("%-18s %-4s", race_cases[number].name, get ? "GET" : "SET");
	for (int i = 0; i < N_RACERS; i++)
		printf(" %6.2f %5.2f", median(race->figure[number][get][i].gbps, race->rounds),
		    ratio(race, number, get, i));
	printf("\n%-18s %-4s", "", "cpu");
	for (int i = 0; i < N_RACERS; i++)
		printf(
		    " %6.2f %5s", median(race->figure[number][get][i].cpu, race->rounds), "s/GB");
	putchar('\n');
}

void
race_print(struct race *race)
{
	double load = 0;

	printf(
	    "GB/s and the ratio to the better raw client, round by round; medians of %u rounds\n\n",
	    race->rounds);
	for (int i = 0; i < N_RACERS; i++)
		printf("  %-10s %s\n", race_racers[i]->name, race_racers[i]->what);
	printf("\n%-23s", "");
	for (int i = 0; i < N_RACERS; i++)
		printf(" %12s", race_racers[i]->name);
	putchar('\n');
	for (int c = 0; c < N_CASES; c++) {
		print_case(race, c, true);
		print_case(race, c, false);
	}
	printf("\n%-23s %10s %10s %8s\n", "one lookup", "p50 us", "p99 us", "ratio");
	for (int i = 0; i < N_RACERS; i++) {
		if (race_racers[i]->for_look)
			printf("  %-21s %10.1f %10.1f %8.2f\n",
			    i == 0 ? "raw EXISTS" : race_racers[i]->name, look_us(race, i, 50),
			    look_us(race, i, 99), look_us(race, i, 50) / look_us(race, 0, 50));
	}
	/* The race itself keeps two processors busy. */
	if (getloadavg(&load, 1) == 1 && load > (double)sysconf(_SC_NPROCESSORS_ONLN) + 1)
		printf("\nthis machine does much else (load %.1f): these ratios scatter\n", load);
}

static void
json_case(FILE *f, struct race *race, int number, bool get)
{
	fprintf(f,
	    "%s\n  {\"case\": \"%s\", \"verb\": \"%s\", \"values\": %u, \"bytes\": %llu, "
	    "\"racers\": [",
	    number == 0 && get ? "" : ",", race_cases[number].name, get ? "GET" : "SET",
	    race_cases[number].n, (unsigned long long)race_cases[number].len);
	for (int i = 0; i < N_RACERS; i++) {
		double gbps = median(race->figure[number][get][i].gbps, race->rounds);

		fprintf(f,
		    "%s\n    {\"name\": \"%s\", \"gb_per_s\": %.4f, \"ratio\": %.4f, "
		    "\"cpu_s_per_gb\": %.4f}",
		    i == 0 ? "" : ",", race_racers[i]->name, gbps, ratio(race, number, get, i),
		    median(race->figure[number][get][i].cpu, race->rounds));
	}
	fprintf(f, "]}");
}

void
race_json(FILE *f, struct race *race)
{
	bool first = true;
	double load = 0;
	struct utsname u;

	uname(&u);
	if (getloadavg(&load, 1) != 1)
		load = -1;
	fprintf(f,
	    "{\"rounds\": %u, \"cpus\": %ld, \"load\": %.2f, \"kernel\": \"%s\", \"machine\": "
	    "\"%s\", \"cases\": [",
	    race->rounds, sysconf(_SC_NPROCESSORS_ONLN), load, u.release, u.machine);
	for (int c = 0; c < N_CASES; c++) {
		json_case(f, race, c, true);
		json_case(f, race, c, false);
	}
	fprintf(f, "],\n \"lookup\": [");
	for (int i = 0; i < N_RACERS; i++) {
		if (!race_racers[i]->for_look)
			continue;
		fprintf(f,
		    "%s\n  {\"name\": \"%s\", \"p50_us\": %.2f, \"p99_us\": %.2f, \"ratio\": %.4f}",
		    first ? "" : ",", race_racers[i]->name, look_us(race, i, 50),
		    look_us(race, i, 99), look_us(race, i, 50) / look_us(race, 0, 50));
		first = false;
	}
	fprintf(f, "]}\n");
}
