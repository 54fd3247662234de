/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvrelay bench: writes chunks, reads them back, compares every byte, removes them, and says how
 * fast that was. Everything goes through kvrelay.h, as it would from an engine.
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

/* What was measured of one phase, or of what one tier did in the reads. Times are of batches. */
struct bench_sum {
	const char *name;
	uint64_t *took_ns;
	uint64_t n, cap; /* batches */
	uint64_t bytes, busy_ns, keys;
	uint64_t from[BENCH_TIERS]; /* chunks by the tier that gave them */
	uint64_t missing, wrong;
};

struct bench_tier {
	struct bench_sum reads; /* batches that this tier answered alone */
	uint64_t hits, given, stored;
};

enum { BENCH_WRITE, BENCH_DRAIN, BENCH_COLD, BENCH_WARM, BENCH_LOOKUP, BENCH_PHASES };

struct bench {
	struct cli cli;
	uint64_t chunks, size, batch, lookups;
	bool verify;
	const char *input, *metrics;

	struct kvr_config *config; /* what the tiers are called */
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

	struct kvr *kvr;  /* NULL: none is open */
	uint64_t written; /* chunks [0, written) may be in a store */
	uint64_t ahead;   /* chunks that write-back may be behind */
	bool cleaning;    /* a signal ends the measuring, never the removal */
	bool tried_cold;  /* a tier outlives the instance */
	struct bench_sum phase[BENCH_PHASES];
	struct bench_tier by_tier[BENCH_TIERS];
	uint64_t left; /* chunks that could not be removed */
	bool keeps;    /* a store of the deployment deletes nothing */
};

/* ---- bench_run.c ---- */
/* True once SIGINT or SIGTERM came; the second one ends the process. */
bool bench_stopped(void);
void bench_catch_signals(void);
/* CLI_OK, CLI_MISS never: what is missing or wrong is counted in the phase. */
int bench_write(struct bench *);
int bench_read(struct bench *, struct bench_sum *);
int bench_lookups(struct bench *);
/* Runs one batch of keys [first, first + n); waits so that a signal ends it. CLI_ERROR: said. */
int bench_batch(struct bench *, enum kvr_kind, uint64_t first, uint32_t n, uint64_t *ret_ns);

/* ---- bench_clean.c ---- */
int bench_open(struct bench *);
int bench_close(struct bench *);
/* CLI_ERROR: a batch is more than write-back can hold; said. */
int bench_plan(struct bench *);
/* Until at most `most` chunks are missing in a tier that is written; reads the metrics, too. */
int bench_settle(struct bench *, uint64_t most);
/* Until what was read from a slow tier lies in the fast ones, too. CLI_ERROR: said. */
int bench_rest(struct bench *);
/* Into the directory of --metrics, when there is one. */
int bench_keep_metrics(struct bench *, const char *name);
/* From every tier, by an instance of its own. CLI_ERROR: said, with how to find what is left. */
int bench_remove(struct bench *);

/* ---- bench_report.c ---- */
void bench_report(struct bench *);
uint64_t bench_wrong(const struct bench *);
uint64_t bench_missing(const struct bench *);
void bench_progress(const struct bench *, const char *what, uint64_t done, uint64_t all);

#endif
