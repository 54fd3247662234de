/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench does around its phases: opening, waiting for write-back, leaving nothing behind. */
#include "kvr_bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int
bench_open(struct bench *b)
{
	b->kvr = cli_open(&b->cli, NULL);
	return b->kvr != NULL ? CLI_OK : CLI_ERROR;
}

int
bench_close(struct bench *b)
{
	struct kvr *kvr = b->kvr;

	b->kvr = NULL;
	return kvr == NULL ? CLI_OK : cli_close(&b->cli, kvr);
}

/* ---- write-back ---- */

static char *
metrics_text(struct kvr *kvr)
{
	size_t need = kvr_metrics(kvr, false, NULL, 0) + 4096; /* counters grow by digits meanwhile */
	char *text = malloc(need);

	if (text != NULL)
		kvr_metrics(kvr, false, text, need);
	return text;
}

/* The counter of one tier's puts: family{tier="disk",verb="put"...} summed over other labels. */
static uint64_t
puts_of(const char *text, const char *family, const char *tier)
{
	char begin[160];
	uint64_t sum = 0;

	snprintf(begin, sizeof(begin), "\nkvrelay_%s{tier=\"%s\",verb=\"put\"", family, tier);
	for (const char *at = strstr(text, begin); at != NULL; at = strstr(at + 1, begin)) {
		const char *value = strstr(at, "} ");

		if (value != NULL)
			sum += strtoull(value + 2, NULL, 10);
	}
	return sum;
}

static void
read_metrics(struct bench *b, const char *text)
{
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		const char *name = b->config->tier[t].name;

		b->by_tier[t].given = puts_of(text, "tier_keys_ok_total", name) * b->size;
		b->by_tier[t].stored = puts_of(text, "tier_bytes_total", name);
	}
}

/* True when every tier that is written has answered for every chunk, in whatever way. */
static bool
is_written(const struct bench *b, const char *text, const char **ret_tier, uint64_t *ret_keys)
{
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		const struct kvr_config_tier *c = &b->config->tier[t];

		*ret_tier = c->name;
		*ret_keys = puts_of(text, "tier_keys_total", c->name);
		if (c->write != KVR_CONFIG_WRITE_NEVER && *ret_keys < b->written)
			return false;
	}
	return true;
}

int
bench_drain(struct bench *b)
{
	struct bench_sum *s = &b->phase[BENCH_DRAIN];
	uint64_t from_ns = kvr_now_ns();
	uint64_t until_ns = from_ns + KVR_MAX(b->config->timeouts.put_ns, KVR_SEC(10));
	const struct timespec nap = { .tv_nsec = 2000000 };
	bool done = false;

	while (!done) {
		const char *tier = "";
		uint64_t keys = 0;
		char *text = metrics_text(b->kvr);

		if (text == NULL)
			return cli_fail(&b->cli, "no memory for the metrics");
		done = is_written(b, text, &tier, &keys);
		read_metrics(b, text);
		free(text);
		if (bench_stopped())
			return cli_fail(&b->cli, "interrupted");
		if (!done && kvr_now_ns() > until_ns)
			return cli_fail(&b->cli, "tier %s has %llu of %llu chunks after %llu s of write-back", tier,
			    (unsigned long long)keys, (unsigned long long)b->written,
			    (unsigned long long)((kvr_now_ns() - from_ns) / KVR_SEC(1)));
		bench_progress(b, s->name, keys, b->written);
		if (!done)
			nanosleep(&nap, NULL);
	}
	s->took_ns[s->n++] = kvr_now_ns() - from_ns;
	s->busy_ns = s->took_ns[0];
	return CLI_OK;
}

/* ---- removal ---- */

/* Removes, then looks: what a store says it removed may have been written once more behind it. */
static int
remove_some(struct bench *b, uint64_t first, uint32_t n)
{
	uint64_t took_ns;
	int status = bench_batch(b, KVR_REMOVE, first, n, &took_ns);

	if (status == CLI_OK)
		status = bench_batch(b, KVR_LOOKUP, first, n, &took_ns);
	for (uint32_t i = 0; i < n; i++)
		b->left += status != CLI_OK || b->err[i] == KVR_OK;
	return status;
}

int
bench_remove(struct bench *b)
{
	enum { AT_A_TIME = 1024 };
	int status = CLI_OK;

	if (b->written == 0 || !b->tried_cold)
		return CLI_OK;
	if (bench_open(b) != CLI_OK) {
		b->left = b->written;
		status = CLI_ERROR;
	}
	for (uint64_t first = 0; first < b->written && b->kvr != NULL; first += AT_A_TIME) {
		if (remove_some(b, first, (uint32_t)KVR_MIN(b->written - first, (uint64_t)AT_A_TIME)) != CLI_OK)
			status = CLI_ERROR;
		bench_progress(b, "removal", first, b->written);
	}
	if (bench_close(b) != CLI_OK)
		status = CLI_ERROR;
	bench_progress(b, "", 0, 0);
	if (b->left > 0)
		return cli_fail(&b->cli, "%llu chunks may be left in the store; their keys begin with '%.*s'",
		    (unsigned long long)b->left, (int)strcspn(b->key[0], "@"), b->key[0]);
	return status;
}
