/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several clients of one Redis server, in turns, doing the same work: a client of nothing but
 * socket calls, hiredis as everybody uses it, and kvrelay. Only ratios within one run mean
 * something, for machines differ and one machine differs from hour to hour.
 */
#ifndef KVR_RACE_H
#define KVR_RACE_H

#include "kvr_redis_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { RACE_KEYS_MAX = 64, RACE_KEY = 96, RACERS_MAX = 8 };

/* A batch: n values of len bytes, each in its own place. */
struct race_work {
	uint32_t n;
	uint64_t len[RACE_KEYS_MAX];
	void *at[RACE_KEYS_MAX];
	const char *key[RACE_KEYS_MAX];
};

struct racer {
	const char *name, *what;
	bool for_look; /* takes part in the lookups */
	void *(*open)(const struct racer *, const struct kvr_redis_server *);
	void (*close)(void *self);
	void (*put)(void *self, const struct race_work *);
	void (*get)(void *self, const struct race_work *);
	bool (*look)(void *self, const char *key);
	const char *setting; /* of this racer's own open */
};

extern const struct racer race_raw_1, race_raw_2, race_hiredis, race_kvrelay_1, race_kvrelay_2,
    race_kvrelay_sealed;

enum { N_RACERS = 6, N_CASES = 3, ROUNDS_MAX = 31 };
extern const struct racer *const race_racers[N_RACERS];

struct race_case {
	const char *name;
	uint32_t n;
	uint64_t len;
	bool singly; /* one operation for each value, instead of one for all */
};
extern const struct race_case race_cases[N_CASES];

struct race_figure {
	double gbps[ROUNDS_MAX], cpu[ROUNDS_MAX];
};

struct race {
	uint32_t rounds, looks;
	void *self[N_RACERS];
	uint8_t *bytes;
	char text[RACE_KEYS_MAX][RACE_KEY];
	struct race_work work;
	struct race_figure figure[N_CASES][2][N_RACERS]; /* 0: SET, 1: GET */
	uint64_t *look_ns[N_RACERS];                     /* rounds * looks */
};

/* ---- race_report.c ---- */
void race_print(struct race *);
void race_json(FILE *, struct race *);

_Noreturn void race_give_up(const char *who, const char *what);
uint64_t race_now_ns(void);

#endif
