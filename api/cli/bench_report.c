/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_bench.h"

#include <stdlib.h>
#include <unistd.h>

/* On a terminal only. all 0: clears the line. */
void
bench_progress(const struct bench *b, const char *what, uint64_t done, uint64_t all)
{
	enum { WIDTH = 40 };
	int filled = all == 0 ? 0 : (int)(KVR_MIN(done, all) * WIDTH / all);

	if (b->cli.json || !isatty(STDERR_FILENO))
		return;
	if (all == 0)
		fprintf(stderr, "\r%*s\r", WIDTH + 40, "");
	else
		fprintf(stderr, "\r%-10s [%.*s%*s] %llu/%llu ", what, filled,
		    "########################################", WIDTH - filled, "",
		    (unsigned long long)done, (unsigned long long)all);
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double
percentile_ms(struct bench_sum *s, uint64_t percent)
{
	if (s->n == 0)
		return 0;
	qsort(s->took_ns, s->n, sizeof(*s->took_ns), by_size);
	return (double)s->took_ns[(s->n - 1) * percent / 100] / 1e6;
}

static double
rate(const struct bench_sum *s)
{
	return s->busy_ns == 0 ? 0 : (double)s->bytes / (double)s->busy_ns;
}

uint64_t
bench_wrong(const struct bench *b)
{
	return b->phase[BENCH_COLD].wrong + b->phase[BENCH_WARM].wrong;
}

uint64_t
bench_missing(const struct bench *b)
{
	return b->phase[BENCH_COLD].missing + b->phase[BENCH_WARM].missing +
	       b->phase[BENCH_LOOKUP].missing;
}

/* ---- text ---- */

static void
text_from(const struct bench *b, const struct bench_sum *s)
{
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		if (s->from[t] > 0)
			printf(" %s %llu", b->config->tier[t].name, (unsigned long long)s->from[t]);
	}
	if (s->missing > 0)
		printf(" missing %llu", (unsigned long long)s->missing);
	if (s->wrong > 0)
		printf(" wrong %llu", (unsigned long long)s->wrong);
	putchar('\n');
}

static void
text_phases(struct bench *b)
{
	printf("%-12s %8s %10s %10s %8s  from\n", "phase", "GB/s", "p50 ms", "p99 ms", "chunks");
	for (uint32_t p = 0; p < BENCH_PHASES; p++) {
		struct bench_sum *s = &b->phase[p];

		if (s->n == 0 && (p != BENCH_DRAIN || b->ahead == UINT64_MAX))
			continue;
		if (p == BENCH_DRAIN)
			printf("%-12s %8s %10s %10s %8s  waited %.2f ms for it\n", s->name, "", "",
			    "", "", (double)s->busy_ns / 1e6);
		else if (p == BENCH_LOOKUP)
			printf("%-12s %8s %10.3f %10.3f %8llu ", s->name, "", percentile_ms(s, 50),
			    percentile_ms(s, 99), (unsigned long long)s->keys);
		else
			printf("%-12s %8.2f %10.2f %10.2f %8llu ", s->name, rate(s),
			    percentile_ms(s, 50), percentile_ms(s, 99),
			    (unsigned long long)s->keys);
		if (p != BENCH_DRAIN)
			text_from(b, s);
	}
}

static void
text_tiers(struct bench *b)
{
	char given[32], stored[32];

	printf("\n%-12s %8s %10s %10s %8s %12s %12s %6s\n", "tier", "GB/s", "p50 ms", "p99 ms",
	    "hits", "given", "stored", "share");
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		struct bench_tier *tier = &b->by_tier[t];
		struct bench_sum *s = &tier->reads;

		printf("%-12s ", s->name);
		if (s->n > 0)
			printf("%8.2f %10.2f %10.2f ", rate(s), percentile_ms(s, 50),
			    percentile_ms(s, 99));
		else
			printf("%8s %10s %10s ", "-", "-", "-");
		printf("%8llu %12s %12s ", (unsigned long long)tier->hits,
		    cli_bytes(tier->given, given, sizeof(given)),
		    cli_bytes(tier->stored, stored, sizeof(stored)));
		if (tier->given > 0)
			printf("%6.3f\n", (double)tier->stored / (double)tier->given);
		else
			printf("%6s\n", "-");
	}
}

static void
text(struct bench *b)
{
	char size[32];

	printf("%llu chunks of %s in batches of %llu, cut from %s\n\n",
	    (unsigned long long)b->chunks, cli_bytes(b->size, size, sizeof(size)),
	    (unsigned long long)b->batch, b->sample.path);
	text_phases(b);
	text_tiers(b);
	if (!b->tried_cold)
		printf("\nno cold read: every tier is this process's memory and ends with it\n");
	if (b->verify)
		printf("\nverified %llu chunks, %llu wrong\n",
		    (unsigned long long)(b->chunks - KVR_MIN(b->chunks, bench_missing(b))),
		    (unsigned long long)bench_wrong(b));
}

/* ---- JSON ---- */

static void
json_sum(struct bench *b, struct bench_sum *s)
{
	bool first = true;

	cli_json_text(stdout, s->name);
	printf(": {\"batches\": %llu, \"chunks\": %llu, \"bytes\": %llu, \"seconds\": %.6f, "
	       "\"gb_per_s\": %.4f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"missing\": %llu, "
	       "\"wrong\": %llu, "
	       "\"from\": {",
	    (unsigned long long)s->n, (unsigned long long)s->keys, (unsigned long long)s->bytes,
	    (double)s->busy_ns / 1e9, rate(s), percentile_ms(s, 50), percentile_ms(s, 99),
	    (unsigned long long)s->missing, (unsigned long long)s->wrong);
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		if (s->from[t] == 0)
			continue;
		printf("%s", first ? "" : ", ");
		cli_json_text(stdout, b->config->tier[t].name);
		printf(": %llu", (unsigned long long)s->from[t]);
		first = false;
	}
	printf("}}");
}

static void
json_tier(struct bench *b, uint32_t t)
{
	struct bench_tier *tier = &b->by_tier[t];
	struct bench_sum *s = &tier->reads;

	printf("{\"name\": ");
	cli_json_text(stdout, s->name);
	printf(", \"gb_per_s\": %.4f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"hits\": %llu, "
	       "\"given\": %llu, "
	       "\"stored\": %llu}",
	    rate(s), percentile_ms(s, 50), percentile_ms(s, 99), (unsigned long long)tier->hits,
	    (unsigned long long)tier->given, (unsigned long long)tier->stored);
}

static void
json(struct bench *b)
{
	bool first = true;

	printf("{\"chunks\": %llu, \"size\": %llu, \"batch\": %llu, \"sample\": ",
	    (unsigned long long)b->chunks, (unsigned long long)b->size,
	    (unsigned long long)b->batch);
	cli_json_text(stdout, b->sample.path);
	printf(", \"phases\": {");
	for (uint32_t p = 0; p < BENCH_PHASES; p++) {
		if (b->phase[p].n == 0 && b->phase[p].busy_ns == 0)
			continue;
		printf("%s", first ? "" : ", ");
		json_sum(b, &b->phase[p]);
		first = false;
	}
	printf("}, \"tiers\": [");
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		printf("%s", t == 0 ? "" : ", ");
		json_tier(b, t);
	}
	printf("], \"cold_read\": %s, \"verified\": %s, \"missing\": %llu, \"wrong\": %llu}\n",
	    b->tried_cold ? "true" : "false", b->verify ? "true" : "false",
	    (unsigned long long)bench_missing(b), (unsigned long long)bench_wrong(b));
}

void
bench_report(struct bench *b)
{
	bench_progress(b, "", 0, 0);
	if (b->cli.json)
		json(b);
	else
		text(b);
}
