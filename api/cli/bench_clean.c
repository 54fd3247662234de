/* SPDX-License-Identifier: Apache-2.0 */
/* The bench around its phases: opening, waiting for write-back, cleaning up. */
#include "kvr_bench.h"

#include <errno.h>
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

/* ---- metrics, write-back ---- */

/* NULL: no memory, or a signal ends the bench; reported. */
static char *
metrics_text(struct bench *b)
{
	/* Counters gain digits meanwhile. */
	size_t need = kvr_metrics_snapshot(b->kvr, KVR_METRICS_PROMETHEUS, NULL, 0) + 4096;
	char *text = bench_stopped() ? NULL : malloc(need);

	if (text != NULL)
		kvr_metrics_snapshot(b->kvr, KVR_METRICS_PROMETHEUS, text, need);
	else
		cli_fail(&b->cli, bench_stopped() ? "interrupted" : "no memory for the metrics");
	return text;
}

int
bench_keep_metrics(struct bench *b, const char *name)
{
	char path[1024];

	if (b->metrics == NULL)
		return CLI_OK;
	snprintf(path, sizeof(path), "%s/%s.prom", b->metrics, name);
	char *text = metrics_text(b);

	if (text == NULL)
		return CLI_ERROR;
	FILE *f = fopen(path, "w");
	bool ok = f != NULL && fputs(text, f) >= 0;

	if (f != NULL)
		ok = fclose(f) == 0 && ok;
	free(text);
	return ok ? CLI_OK : cli_fail(&b->cli, "--metrics: %s: %s", path, strerror(errno));
}

/* The sum of all samples whose lines begin with this text. */
static uint64_t
counter(const char *text, const char *begin)
{
	uint64_t sum = 0;

	for (const char *at = strstr(text, begin); at != NULL; at = strstr(at + 1, begin)) {
		const char *value = strstr(at, "} ");

		if (value != NULL)
			sum += strtoull(value + 2, NULL, 10);
	}
	return sum;
}

static uint64_t
gauge(const char *text, const char *begin)
{
	const char *at = strstr(text, begin);

	return at == NULL ? 0 : strtoull(at + strlen(begin), NULL, 10);
}

static uint64_t
puts_of(const char *text, const char *family, const char *tier)
{
	char begin[160];

	snprintf(begin, sizeof(begin), "\nkvrelay_%s{tier=\"%s\",verb=\"put\"", family, tier);
	return counter(text, begin);
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

/*
 * How many written chunks some tier has not answered for yet, with any result. Chunks that
 * write-back dropped for lack of staging memory belong to no tier.
 */
static uint64_t
behind(const struct bench *b, const char *text, const char **ret_tier)
{
	uint64_t most = 0;

	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		const struct kvr_config_tier *c = &b->config->tier[t];
		uint64_t keys = puts_of(text, "tier_keys_total", c->name);

		if (c->write == KVR_CONFIG_WRITE_BACK)
			keys += counter(text, "\nkvrelay_writeback_dropped_total{tier=\"\"");
		if (c->write == KVR_CONFIG_WRITE_NEVER || keys >= b->written ||
		    b->written - keys <= most)
			continue;
		most = b->written - keys;
		*ret_tier = c->name;
	}
	return most;
}

static bool
writes_back(const struct bench *b)
{
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		if (b->config->tier[t].write == KVR_CONFIG_WRITE_BACK)
			return true;
	}
	return false;
}

/*
 * Write-back keeps payloads in at most half of the staging memory, in slots of a power of two. If
 * chunks come faster than they drain, some stay in the first tier only and a cold read misses them.
 * So the bench waits, and reports how long.
 */
int
bench_plan(struct bench *b)
{
	uint64_t slot = 4096;

	while (slot < b->size)
		slot *= 2;
	b->ahead = UINT64_MAX;
	if (!writes_back(b))
		return CLI_OK;
	slot = KVR_MAX(slot, b->config->memory.slot_bytes);
	b->ahead = b->config->memory.staging_bytes / slot / 2;
	if (b->ahead < b->batch)
		return cli_fail(&b->cli,
		    "a batch of %llu chunks is more than write-back may hold, which is %llu: "
		    "a smaller --batch or --size, or --set memory.staging=SIZE",
		    (unsigned long long)b->batch, (unsigned long long)b->ahead);
	return CLI_OK;
}

static uint64_t
patience_ns(const struct bench *b)
{
	return KVR_MAX(b->config->timeouts.put_ns, KVR_SEC(10));
}

static const struct timespec nap = { .tv_nsec = 1000000 };

int
bench_settle(struct bench *b, uint64_t most)
{
	struct bench_sum *s = &b->phase[BENCH_DRAIN];
	uint64_t from_ns = kvr_now_ns(), until_ns = from_ns + patience_ns(b);
	const char *tier = "";
	char *text;

	while ((text = metrics_text(b)) != NULL) {
		uint64_t left = behind(b, text, &tier);

		read_metrics(b, text);
		free(text);
		if (left <= most) {
			s->busy_ns += kvr_now_ns() - from_ns;
			return CLI_OK;
		}
		if (kvr_now_ns() > until_ns)
			return cli_fail(&b->cli, "tier %s is %llu chunks behind after %llu s", tier,
			    (unsigned long long)left,
			    (unsigned long long)((kvr_now_ns() - from_ns) / KVR_SEC(1)));
		bench_progress(b, s->name, b->written - left, b->written);
		nanosleep(&nap, NULL);
	}
	return CLI_ERROR;
}

/*
 * Waits until no operation is unfinished. A read from a slow tier is answered before the chunk is
 * in the fast tiers, so otherwise only some chunks of a warm read would be warm.
 */
int
bench_rest(struct bench *b)
{
	uint64_t until_ns = kvr_now_ns() + patience_ns(b);
	char *text;

	while ((text = metrics_text(b)) != NULL) {
		uint64_t unfinished = gauge(text, "\nkvrelay_operations_unfinished ");

		free(text);
		if (unfinished == 0)
			return CLI_OK;
		if (kvr_now_ns() > until_ns)
			return cli_fail(&b->cli, "%llu operations still write what was read",
			    (unsigned long long)unfinished);
		nanosleep(&nap, NULL);
	}
	return CLI_ERROR;
}

/* ---- removal ---- */

/* Removes, then looks up: a late write may have stored the chunk again. */
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
	int status = CLI_OK;

	if (b->written == 0 || !b->tried_cold)
		return CLI_OK;
	b->cleaning = true;
	if (bench_open(b) != CLI_OK) {
		b->left = b->written;
		status = CLI_ERROR;
	}
	for (uint64_t first = 0; first < b->written && b->kvr != NULL; first += BENCH_KEYS_MAX) {
		if (remove_some(b, first,
		        (uint32_t)KVR_MIN(b->written - first, (uint64_t)BENCH_KEYS_MAX)) != CLI_OK)
			status = CLI_ERROR;
		bench_progress(b, "removal", first, b->written);
	}
	if (bench_close(b) != CLI_OK)
		status = CLI_ERROR;
	bench_progress(b, "", 0, 0);
	if (b->left > 0)
		cli_fail(&b->cli, "%llu chunks %s; their keys begin with '%.*s'",
		    (unsigned long long)b->left,
		    status == CLI_OK && b->keeps ? "stay in the store, which deletes nothing"
		                                 : "may be left in the store",
		    (int)strcspn(b->key[0], "@"), b->key[0]);
	return b->left > 0 && !b->keeps ? CLI_ERROR : status;
}
