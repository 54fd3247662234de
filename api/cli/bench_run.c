/* SPDX-License-Identifier: Apache-2.0 */
/* One phase of the bench: batches, each timed. */
#include "kvr_bench.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t stop;

static void
on_signal(int number)
{
	(void)number;
	stop = 1;
}

/* The first signal resets the handler, so that a second one ends the process. */
void
bench_catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigemptyset(&act.sa_mask);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

bool
bench_stopped(void)
{
	return stop != 0;
}

static int
stopped(const struct bench *b)
{
	return cli_fail(&b->cli, "interrupted");
}

/* A signal handler cannot cancel, so the wait wakes up regularly. */
static enum kvr_err
wait_for(struct bench *b, kvr_op op, struct kvr_done *done, struct kvr_results *res)
{
	enum kvr_err err;
	bool cancelled = false;

	do {
		err = kvr_wait(b->kvr, op, kvr_now_ns() + KVR_MS(50), done, res);
		if (err == KVR_E_UNFINISHED && stop != 0 && !b->cleaning && !cancelled) {
			cancelled = true;
			kvr_cancel(b->kvr, op);
		}
	} while (err == KVR_E_UNFINISHED);
	return err;
}

static int
complain(const struct bench *b, enum kvr_kind kind, enum kvr_err err, const struct kvr_done *done)
{
	static const char *const verb[] = { "lookup", "read", "write", "removal", "size",
		"prefetch" };

	return cli_fail(&b->cli, "%s failed: %s%s%s (%u of %u chunks were done)", verb[kind],
	    kvr_err_text(err), done->why[0] != '\0' ? ": " : "", done->why, done->n_ok, done->n);
}

int
bench_batch(struct bench *b, enum kvr_kind kind, uint64_t first, uint32_t n, uint64_t *ret_ns)
{
	bool payload = kind == KVR_GET || kind == KVR_PUT;
	struct kvr_batch batch = { .size = sizeof(batch),
		.kind = (uint32_t)kind,
		.n = n,
		.key = b->key + first,
		.at = payload ? b->at : NULL,
		.len = payload ? b->len : NULL,
		.layout = payload ? &b->layout : NULL };
	struct kvr_opts opts = { .size = sizeof(opts), .until_ns = cli_until(&b->cli) };
	struct kvr_done done = { .size = sizeof(done) };
	struct kvr_results res = { .size = sizeof(res), .cap = n, .err = b->err, .tier = b->tier };
	uint64_t from_ns = kvr_now_ns();
	kvr_op op;
	enum kvr_err err = kvr_submit(b->kvr, &batch, &opts, &op);

	if (err == KVR_OK)
		err = wait_for(b, op, &done, &res);
	*ret_ns = kvr_now_ns() - from_ns;
	/* A store that deletes nothing was measured all the same; bench_remove says what stays there. */
	if (kind == KVR_REMOVE && err == KVR_E_UNSUPPORTED) {
		b->keeps = true;
		return CLI_OK;
	}
	if (err != KVR_OK && err != KVR_E_MISS)
		return stop != 0 && !b->cleaning ? stopped(b) : complain(b, kind, err, &done);
	for (uint32_t i = 0; i < n; i++) {
		if (b->err[i] != KVR_OK && b->err[i] != KVR_E_MISS)
			return complain(b, kind, b->err[i], &done);
	}
	return CLI_OK;
}

static void
note(struct bench_sum *s, uint64_t took_ns, uint64_t keys, uint64_t bytes)
{
	KVR_CHECK(s->n < s->cap);
	s->took_ns[s->n++] = took_ns;
	s->busy_ns += took_ns;
	s->keys += keys;
	s->bytes += bytes;
}

static uint32_t
batch_at(const struct bench *b, uint64_t first)
{
	return (uint32_t)KVR_MIN(b->batch, b->chunks - first);
}

int
bench_write(struct bench *b)
{
	struct bench_sum *s = &b->phase[BENCH_WRITE];
	uint64_t took_ns;

	for (uint64_t first = 0; first < b->chunks; first += b->batch) {
		uint32_t n = batch_at(b, first);

		for (uint32_t i = 0; i < n; i++)
			sample_fill(&b->sample, first + i, b->at[i], b->size);
		if (stop != 0)
			return stopped(b);
		if (b->ahead != UINT64_MAX && bench_settle(b, b->ahead - n) != CLI_OK)
			return CLI_ERROR;
		b->written = first + n; /* even if it fails: some may be stored */
		if (bench_batch(b, KVR_PUT, first, n, &took_ns) != CLI_OK)
			return CLI_ERROR;
		note(s, took_ns, n, n * b->size);
		bench_progress(b, s->name, first + n, b->chunks);
	}
	return CLI_OK;
}

/* Counts the results of one batch. A tier that answered all of it gets its time. */
static void
judge(struct bench *b, struct bench_sum *s, uint64_t first, uint32_t n, uint64_t took_ns)
{
	uint64_t found = 0;
	bool alone = true;

	for (uint32_t i = 0; i < n; i++) {
		if (b->err[i] != KVR_OK) {
			s->missing++;
			alone = false;
			continue;
		}
		found++;
		if (b->verify && !sample_same(&b->sample, first + i, b->at[i], b->size))
			s->wrong++;
		if (b->tier[i] < b->config->n_tiers) {
			s->from[b->tier[i]]++;
			b->by_tier[b->tier[i]].hits++;
		}
		alone = alone && b->tier[i] == b->tier[0] && b->tier[i] < b->config->n_tiers;
	}
	note(s, took_ns, found, found * b->size);
	if (alone)
		note(&b->by_tier[b->tier[0]].reads, took_ns, n, n * b->size);
}

int
bench_read(struct bench *b, struct bench_sum *s)
{
	uint64_t took_ns;

	for (uint64_t first = 0; first < b->chunks; first += b->batch) {
		uint32_t n = batch_at(b, first);

		/* Otherwise the bytes of an earlier batch could pass for those of this one. */
		memset(b->bytes, 0xa5, n * b->size);
		if (stop != 0)
			return stopped(b);
		if (bench_batch(b, KVR_GET, first, n, &took_ns) != CLI_OK)
			return CLI_ERROR;
		judge(b, s, first, n, took_ns);
		bench_progress(b, s->name, first + n, b->chunks);
	}
	return CLI_OK;
}

int
bench_lookups(struct bench *b)
{
	struct bench_sum *s = &b->phase[BENCH_LOOKUP];
	uint64_t took_ns;

	for (uint64_t i = 0; i < b->lookups; i++) {
		if (stop != 0)
			return stopped(b);
		if (bench_batch(b, KVR_LOOKUP, i % b->chunks, 1, &took_ns) != CLI_OK)
			return CLI_ERROR;
		if (b->err[0] != KVR_OK)
			s->missing++;
		else if (b->tier[0] < b->config->n_tiers)
			s->from[b->tier[0]]++;
		note(s, took_ns, 1, 0);
	}
	return CLI_OK;
}
