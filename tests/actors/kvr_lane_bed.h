/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connector worker between a store that does what the test says and a domain of three functions,
 * which keep the worker's mailbox and its kick and collect what it answers.
 */
#ifndef KVR_LANE_BED_H
#define KVR_LANE_BED_H

#include "kvr_check.h"
#include "kvr_workers.h"

enum { PLACES = 2, REPLIES = 64, VALUE = 1000 };

/* As long as real ones are: an address, twice, and then what happened. */
#define LANE_HOST "clustercfg.production-kv-cache.a1b2c3.memorydb.eu-central-1.example.com"
#define LANE_NO_DIAL "redis://" LANE_HOST ":6379: " LANE_HOST " port 6379: no dial tone"

enum lane_act { ACT_OK, ACT_BLOCK, ACT_FAIL, ACT_HALF };

struct kvr_store {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	enum lane_act dial, run; /* what the next ones do */
	enum kvr_err err;        /* of FAIL and HALF */
	int dials, hang_ups, runs, pings, open, blocked;
	int32_t seen[KVR_PART_KEYS]; /* statuses that the last run found */
	pthread_t runner;            /* who called it */
};

struct kvr_domain {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct kvr_mailbox *mailbox;
	kvr_kick_fn *kick;
	void *kick_arg;
	uint32_t n, taken;
	struct kvr_msg reply[REPLIES];
};

struct lane_bed {
	struct kvr_store store;
	struct kvr_domain domain;
	struct kvr_words words;
	struct kvr_work work;
	struct kvr_ledger *ledger;
	struct kvr_lane *lane;
	uint8_t memory[KVR_PART_KEYS][VALUE];
};

int lane_ask(struct kvr_store *s, const int *what);
struct lane_bed *lane_new(void);
void lane_act(struct lane_bed *b, enum lane_act dial, enum lane_act run, enum kvr_err err);
/* As a link does: who is blocked is told before the message is there. */
void lane_tell(struct lane_bed *b, struct kvr_msg m);
void lane_tell_type(struct lane_bed *b, uint16_t type, uint64_t budget_ns);
/* Part `slot` with n keys, the last of them "miss". Its rows are fresh. */
uint32_t lane_tell_part(
    struct lane_bed *b, uint32_t slot, enum kvr_verb verb, uint16_t n, uint64_t budget_ns);
void lane_cancel(struct lane_bed *b, uint32_t part);
/* The next answer; a minute is for ever. */
struct kvr_msg lane_answer(struct lane_bed *b, uint16_t type);
void lane_wait_blocked(struct lane_bed *b);
void lane_part_is(struct lane_bed *b, uint32_t part, int32_t err);
void lane_row_is(struct lane_bed *b, uint32_t part, uint32_t i, int32_t err);
void lane_connect(struct lane_bed *b);
/* STOPPED is the last answer, and every connection that was opened is closed. */
void lane_free(struct lane_bed *take, bool hung_up);

#endif
