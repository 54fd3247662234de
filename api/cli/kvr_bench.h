/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvrelay bench: writes chunks, reads them back, compares every byte, removes them, and reports how
 * fast that was. It uses only kvrelay.h, as an engine does.
 *
 *   bench.c         options, the order of phases
 *   bench_run.c     one phase: batches, lookups
 *   bench_clean.c   waiting for write-back, removal
 *   bench_report.c  text and JSON
 */
#ifndef KVR_BENCH_H
#define KVR_BENCH_H

#include "kvr_cli.h"
#include "kvr_config.h"
#include "kvr_sample.h"

enum { BENCH_KEY = 128, BENCH_TIERS = KVR_TIERS_MAX };

/* Measurements of one phase, or of one tier's share of the reads. Times are per batch. */
struct bench_sum {
	const char *name;
	uint64_t *took_ns;
	uint64_t n, cap; /* batches */
	uint64_t bytes, busy_ns, keys;
	uint64_t from[BENCH_TIERS]; /* chunks by the tier that returned them */
	uint64_t missing, wrong;
};

struct bench_tier {
	struct bench_sum reads; /* batches that this tier alone answered */
	uint64_t hits, given, stored;
};

enum { BENCH_KEYS_MAX = 1024 }; /* of one call; the buffers have room for as many */
enum { BENCH_WRITE, BENCH_DRAIN, BENCH_COLD, BENCH_WARM, BENCH_LOOKUP, BENCH_PHASES };

struct bench {
	struct cli cli;
	uint64_t chunks, size, batch, lookups;
	bool verify;
	const char *input, *metrics;

	struct kvr_config *config; /* for the names of the tiers */
	struct sample sample;
	struct kvr_group group;
	struct kvr_layout layout;
	char *keys; /* BENCH_KEY bytes each */
	const char **key;
	uint8_t *bytes; /* one batch */
	void **at;
	uint64_t *len;
	int32_t *err;
	uint32_t *tier;

	struct kvr *kvr;  /* NULL: not open */
	uint64_t written; /* chunks [0, written) may be in a store */
	uint64_t ahead;   /* chunks that write-back may lag behind */
	bool cleaning;    /* a signal ends the measurement, never the removal */
	bool tried_cold;  /* a tier outlives the instance */
	struct bench_sum phase[BENCH_PHASES];
	struct bench_tier by_tier[BENCH_TIERS];
	uint64_t left; /* chunks not removed */
	bool keeps;    /* a store of the deployment deletes nothing */
};

/* ---- bench_run.c ---- */
/* True after SIGINT or SIGTERM. A second signal ends the process. */
bool bench_stopped(void);
void bench_catch_signals(void);
/* CLI_OK or CLI_ERROR, never CLI_MISS: the phase counts what is missing or wrong. */
int bench_write(struct bench *);
int bench_read(struct bench *, struct bench_sum *);
int bench_lookups(struct bench *);
/* Runs one batch of keys [first, first + n). A signal ends the wait. CLI_ERROR: reported. */
int bench_batch(struct bench *, enum kvr_kind, uint64_t first, uint32_t n, uint64_t *ret_ns);

/* ---- bench_clean.c ---- */
int bench_open(struct bench *);
int bench_close(struct bench *);
/* CLI_ERROR: write-back cannot hold a whole batch; reported. */
int bench_plan(struct bench *);
/* Waits until every written tier misses at most `most` chunks. Also reads the metrics. */
int bench_settle(struct bench *, uint64_t most);
/* Waits until the fast tiers hold what was read from a slow one. CLI_ERROR: reported. */
int bench_rest(struct bench *);
/* Writes the metrics to the directory of --metrics, if given. */
int bench_keep_metrics(struct bench *, const char *name);
/*
 * Removes the chunks from every tier with a new instance. CLI_ERROR: reported, with how to find
 * what is left.
 */
int bench_remove(struct bench *);

/* ---- bench_report.c ---- */
void bench_report(struct bench *);
uint64_t bench_wrong(const struct bench *);
uint64_t bench_missing(const struct bench *);
void bench_progress(const struct bench *, const char *what, uint64_t done, uint64_t all);

#endif
