/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_bench_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum { FIGURES_MAX = 160, NOT_RUN_MAX = 16 };

static struct figure {
	char group[16], what[32], way[32];
	double mine, raw, ratio, low, high, must, aim; /* GB/s, and raw's seconds by ours */
	double stage[2], busy;
} figure[FIGURES_MAX];
static uint32_t n_figures;
static struct {
	char group[16], why[128];
} not_run[NOT_RUN_MAX];
static uint32_t n_not_run;

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Of n, which it sorts: the one that so many hundredths are below. */
static double
quantile(double *of, uint32_t n, uint32_t percent)
{
	qsort(of, n, sizeof(*of), by_size);
	return of[(n - 1) * percent / 100];
}

static double
speed(double bytes, const double *seconds, uint32_t n)
{
	double of[ROUNDS_MAX];

	memcpy(of, seconds, n * sizeof(*of));
	return bytes / quantile(of, n, 50) / 1e9;
}

static const char *
verdict(const struct figure *f)
{
	if (f->must <= 0.0)
		return "";
	return f->ratio >= f->aim ? "aim" : f->ratio >= f->must ? "must" : "missed";
}

void
bench_gpu_tell(const struct bench_gpu *b, const struct bench_gpu_race *race)
{
	struct figure *f = &figure[n_figures];
	double ratio[ROUNDS_MAX];

	if (n_figures++ == FIGURES_MAX)
		bench_gpu_die("more figures than there is room for");
	snprintf(f->group, sizeof(f->group), "%s", race->group);
	snprintf(f->what, sizeof(f->what), "%s", race->what);
	snprintf(f->way, sizeof(f->way), "%s", race->way);
	for (uint32_t r = 0; r < b->rounds; r++)
		ratio[r] = race->raw[r] / race->mine[r];
	f->mine = speed(race->bytes, race->mine, b->rounds);
	f->raw = speed(race->bytes, race->raw, b->rounds);
	f->low = quantile(ratio, b->rounds, 25);
	f->ratio = quantile(ratio, b->rounds, 50);
	f->high = quantile(ratio, b->rounds, 75);
	for (uint32_t r = 0; r < b->rounds; r++)
		ratio[r] = race->begins[r] / race->mine[r];
	f->busy = quantile(ratio, b->rounds, 50);
	f->must = race->must;
	f->aim = race->aim;
	for (uint32_t i = 0; i < 2 && race->stage[i][0] > 0.0; i++)
		f->stage[i] = speed(race->bytes, race->stage[i], b->rounds);
	printf("%-9s %-17s %-20s %7.2f GB/s of %7.2f: %.2f (%.2f to %.2f) %s", f->group, f->what,
	    f->way, f->mine, f->raw, f->ratio, f->low, f->high, verdict(f));
	if (f->busy > 0.0)
		printf(" thread %.0f %%", 100 * f->busy);
	printf("\n");
	fflush(stdout); /* a run that is ended has told what it knew */
}

void
bench_gpu_not_run(const char *group, const char *why)
{
	printf("%-9s not run: %s\n", group, why);
	if (n_not_run == NOT_RUN_MAX)
		bench_gpu_die("more that was not run than there is room for");
	snprintf(not_run[n_not_run].group, sizeof(not_run[0].group), "%s", group);
	snprintf(not_run[n_not_run++].why, sizeof(not_run[0].why), "%s", why);
}

void
bench_gpu_sum(void)
{
	uint32_t goals = 0, must = 0, aim = 0;

	for (uint32_t i = 0; i < n_figures; i++) {
		goals += figure[i].must > 0.0;
		must += figure[i].must > 0.0 && figure[i].ratio >= figure[i].must;
		aim += figure[i].must > 0.0 && figure[i].ratio >= figure[i].aim;
	}
	printf("%u goals: %u at what must be, %u of them at what is aimed at\n", goals, must, aim);
}

/* Names of machines have neither quotes nor backslashes; whatever else might be in one stays out. */
static void
put_text(FILE *f, const char *name, const char *text)
{
	fprintf(f, "\"%s\": \"", name);
	for (; *text != '\0'; text++) {
		if (*text >= ' ' && *text != '"' && *text != '\\')
			fputc(*text, f);
	}
	fputc('"', f);
}

static void
put_figure(FILE *f, const struct figure *g)
{
	fprintf(f, "    {");
	put_text(f, "group", g->group);
	fprintf(f, ", ");
	put_text(f, "what", g->what);
	fprintf(f, ", ");
	put_text(f, "way", g->way);
	fprintf(f, ", \"gb_s\": %.3f, \"raw_gb_s\": %.3f, \"of_raw\": %.3f, \"low\": %.3f, \"high\": %.3f",
	    g->mine, g->raw, g->ratio, g->low, g->high);
	if (g->stage[0] > 0.0)
		fprintf(f, ", \"store_gb_s\": %.3f, \"copy_gb_s\": %.3f", g->stage[0], g->stage[1]);
	if (g->busy > 0.0)
		fprintf(f, ", \"thread\": %.3f", g->busy);
	if (g->must > 0.0)
		fprintf(f, ", \"must\": %.2f, \"aim\": %.2f, \"met\": \"%s\"", g->must, g->aim,
		    verdict(g));
	fprintf(f, "}");
}

bool
bench_gpu_write(const struct bench_gpu *b, const char *path)
{
	const struct gpu_machine *on = gpu_machine();
	FILE *f = fopen(path, "w");
	struct utsname host;

	if (f == NULL)
		return false;
	memset(&host, 0, sizeof(host));
	(void)uname(&host);
	fprintf(f, "{\n  ");
	put_text(f, "device", on->name);
	fprintf(f, ",\n  ");
	put_text(f, "driver", on->driver);
	fprintf(f, ",\n  ");
	put_text(f, "driver_cuda", on->driver_cuda);
	fprintf(f, ",\n  ");
	put_text(f, "toolkit", on->toolkit);
	fprintf(f, ",\n  ");
	put_text(f, "kernel", host.release);
	fprintf(f, ",\n  \"rounds\": %u, \"chunk_bytes\": %zu, \"copies\": %u,\n  \"figures\": [\n", b->rounds,
	    b->chunk_len, b->copies);
	for (uint32_t i = 0; i < n_figures; i++) {
		put_figure(f, &figure[i]);
		fprintf(f, "%s\n", i + 1 < n_figures ? "," : "");
	}
	fprintf(f, "  ],\n  \"not_run\": [\n");
	for (uint32_t i = 0; i < n_not_run; i++) {
		fprintf(f, "    {");
		put_text(f, "group", not_run[i].group);
		fprintf(f, ", ");
		put_text(f, "why", not_run[i].why);
		fprintf(f, "}%s\n", i + 1 < n_not_run ? "," : "");
	}
	fprintf(f, "  ]\n}\n");
	bool ok = ferror(f) == 0;

	return fclose(f) == 0 && ok;
}
