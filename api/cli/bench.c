/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { HEAD_DIM = 128, BF16 = 2, KV = 2, ROW = KV * HEAD_DIM * BF16 };

static int
read_options(struct bench *b, int argc, char **argv)
{
	const struct cli_option own[] = {
		{ "--chunks", "N", "how many, 64 by default", CLI_COUNT, &b->chunks },
		{ "--size", "BYTES", "of a chunk, 1MiB by default", CLI_SIZE, &b->size },
		{ "--batch", "B", "chunks of one operation, 16 by default", CLI_COUNT, &b->batch },
		{ "--verify", NULL, "compare every byte that is read", CLI_FLAG, &b->verify },
		{ "--lookups", "N", "also N lookups of one key", CLI_COUNT, &b->lookups },
		{ "--input", "FILE", "KV data (bf16) to cut the chunks from", CLI_TEXT, &b->input },
		{ "--metrics", "DIR", "keep the metrics: DIR/write.prom, DIR/read.prom", CLI_TEXT,
		    &b->metrics },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	int n = cli_read(&b->cli, own, argc, argv);

	if (n != 0)
		return n < 0 ? CLI_ERROR : cli_fail(&b->cli, "takes no argument '%s'", argv[0]);
	if (b->chunks < 1 || b->chunks > 1000000)
		return cli_fail(&b->cli, "--chunks: 1 to 1000000");
	if (b->size % ROW != 0 || b->size < ROW || b->size > KVR_MIB(1024))
		return cli_fail(
		    &b->cli, "--size: a multiple of %d bytes (one token), at most 1GiB", ROW);
	if (b->batch < 1 || b->batch > BENCH_KEYS_MAX)
		return cli_fail(&b->cli, "--batch: 1 to %d", BENCH_KEYS_MAX);
	if (b->batch > b->chunks)
		b->batch = b->chunks;
	if (b->lookups > 1000000)
		return cli_fail(&b->cli, "--lookups: at most 1000000");
	return CLI_OK;
}

static bool
sum_init(struct bench_sum *s, const char *name, uint64_t cap)
{
	s->name = name;
	s->cap = cap;
	s->took_ns = calloc(cap, sizeof(*s->took_ns));
	return s->took_ns != NULL;
}

static bool
sums_init(struct bench *b)
{
	static const char *const name[BENCH_PHASES] = { "write", "write-back", "read cold",
		"read warm", "lookup" };
	uint64_t batches = b->chunks / b->batch + 1;
	bool ok = true;

	for (uint32_t p = 0; p < BENCH_PHASES; p++)
		ok =
		    sum_init(&b->phase[p], name[p], p == BENCH_LOOKUP ? b->lookups + 1 : batches) &&
		    ok;
	for (uint32_t t = 0; t < b->config->n_tiers; t++)
		ok = sum_init(&b->by_tier[t].reads, b->config->tier[t].name, 2 * batches) && ok;
	return ok;
}

/* Keys that no engine has: the model name is reserved and holds the number of this run. */
static bool
keys_init(struct bench *b)
{
	char model[48];
	struct kvr_key_parts parts = { .size = sizeof(parts),
		.dtype = KVR_DT_BFLOAT16,
		.model = model,
		.world_size = 1,
		.layer = -1 };

	snprintf(model, sizeof(model), "kvrelay-bench-%016llx", (unsigned long long)b->sample.run);
	for (uint64_t i = 0; i < b->chunks; i++) {
		parts.hash = (int64_t)(i + 1);
		if (kvr_key_format(&parts, b->keys + i * BENCH_KEY, BENCH_KEY) != KVR_OK)
			return false;
		b->key[i] = b->keys + i * BENCH_KEY;
	}
	return true;
}

static int
prepare(struct bench *b)
{
	uint64_t n = b->batch;
	bool ok = sums_init(b);

	b->group =
	    (struct kvr_group){ KVR_DT_BFLOAT16, KVR_DIMS_MAX, { KV, 1, b->size / ROW, HEAD_DIM } };
	b->layout = (struct kvr_layout){ .size = sizeof(b->layout),
		.format = KVR_FMT_KV_2LTD,
		.n_groups = 1,
		.group = &b->group };
	b->keys = calloc(b->chunks, BENCH_KEY);
	b->key = calloc(b->chunks, sizeof(*b->key));
	b->bytes = aligned_alloc(4096, (n * b->size + 4095) / 4096 * 4096);
	b->at = calloc(n, sizeof(*b->at));
	b->len = calloc(n, sizeof(*b->len));
	b->err = calloc(BENCH_KEYS_MAX, sizeof(*b->err));
	b->tier = calloc(BENCH_KEYS_MAX, sizeof(*b->tier));
	if (!ok || b->keys == NULL || b->key == NULL || b->bytes == NULL || b->at == NULL ||
	    b->len == NULL || b->err == NULL || b->tier == NULL)
		return cli_fail(
		    &b->cli, "no memory for a batch of %llu chunks", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		b->at[i] = b->bytes + i * b->size;
		b->len[i] = b->size;
	}
	return keys_init(b) ? CLI_OK : cli_fail(&b->cli, "a key text could not be made");
}

static void
dispose(struct bench *b)
{
	for (uint32_t p = 0; p < BENCH_PHASES; p++)
		free(b->phase[p].took_ns);
	for (uint32_t t = 0; t < BENCH_TIERS; t++)
		free(b->by_tier[t].reads.took_ns);
	free(b->keys);
	free(b->key);
	free(b->bytes);
	free(b->at);
	free(b->len);
	free(b->err);
	free(b->tier);
	sample_close(&b->sample);
	kvr_config_free(b->config);
}

/*
 * A memory tier ends with its instance. So a new instance, with empty memory, makes the cold read.
 * If no other tier is written, there is nothing cold to read.
 */
static bool
outlives(const struct bench *b)
{
	for (uint32_t t = 0; t < b->config->n_tiers; t++) {
		const struct kvr_config_tier *c = &b->config->tier[t];

		if (strncmp(c->url, "memory:", 7) != 0 && c->write != KVR_CONFIG_WRITE_NEVER)
			return true;
	}
	return false;
}

static int
phases(struct bench *b)
{
	int status = bench_open(b);

	if (status == CLI_OK)
		status = bench_write(b);
	if (status == CLI_OK)
		status = bench_settle(b, 0);
	if (status == CLI_OK)
		status = bench_keep_metrics(b, "write");
	if (status == CLI_OK && b->tried_cold) {
		status = bench_close(b);
		if (status == CLI_OK)
			status = bench_open(b);
		if (status == CLI_OK)
			status = bench_read(b, &b->phase[BENCH_COLD]);
		if (status == CLI_OK)
			status = bench_rest(b);
	}
	if (status == CLI_OK)
		status = bench_read(b, &b->phase[BENCH_WARM]);
	if (status == CLI_OK)
		status = bench_lookups(b);
	if (status == CLI_OK)
		status = bench_keep_metrics(b, "read");
	return status;
}

int
cli_bench(int argc, char **argv)
{
	struct bench b = { .chunks = 64, .size = KVR_MIB(1), .batch = 16 };
	uint64_t run = 0;
	int status = read_options(&b, argc, argv);

	if (status == CLI_OK && getrandom(&run, sizeof(run), 0) != (ssize_t)sizeof(run))
		run = kvr_now_ns();
	if (status == CLI_OK)
		status = cli_deployment(&b.cli, &b.config);
	if (status == CLI_OK)
		status = sample_open(&b.cli, b.input, run, &b.sample);
	if (status == CLI_OK)
		status = prepare(&b);
	if (status == CLI_OK)
		status = bench_plan(&b);
	if (status == CLI_OK) {
		bench_catch_signals();
		b.tried_cold = outlives(&b);
		status = phases(&b);
		int closed = bench_close(&b);
		int removed = bench_remove(&b);

		status = status != CLI_OK ? status : closed != CLI_OK ? closed : removed;
	}
	if (status == CLI_OK) {
		bench_report(&b);
		if (bench_wrong(&b) + bench_missing(&b) > 0)
			status = CLI_MISS;
	}
	dispose(&b);
	return status;
}
