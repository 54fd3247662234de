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

enum { RACE_KEYS_MAX = 64, RACE_KEY = 96, RACERS_MAX = 8 };

/* A batch: n values of len bytes, each in its own place. */
struct race_work {
	uint32_t    n;
	uint64_t    len[RACE_KEYS_MAX];
	void       *at[RACE_KEYS_MAX];
	const char *key[RACE_KEYS_MAX];
};

struct racer {
	const char *name, *what;
	bool        for_look; /* takes part in the lookups */
	void *(*open)(const struct racer *, const struct kvr_redis_server *);
	void (*close)(void *self);
	void (*put)(void *self, const struct race_work *);
	void (*get)(void *self, const struct race_work *);
	bool (*look)(void *self, const char *key);
	const char *setting; /* of this racer's own open */
};

extern const struct racer race_raw_1, race_raw_2, race_hiredis, race_kvrelay_1, race_kvrelay_2,
    race_kvrelay_sealed;

_Noreturn void race_give_up(const char *who, const char *what);
uint64_t       race_now_ns(void);

#endif
