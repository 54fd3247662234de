/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two small deciders for the tests of the runtime. They use what deciders may use: rows in, rows
 * written, rows named, timers, chance, messages to themselves, to each other, to a worker and out.
 *
 *   front (router)  SUBMIT: takes the op's slot, writes the part's rows, sends PART to back and
 *                   sets a timer for the deadline. PART_DONE: writes the op's rows, COMPLETE to the
 *                   API. TIMER: COUNT to the API with the slot as its tier. CONTINUE what: to
 *                   itself until what is 0, then COUNT to the API. CANCEL: breaks an invariant.
 *                   HANG_UP: forgets to touch what it changes.
 *   back (tier 0)   PART: adds up the rows that it names; on to the worker when cls is not 0, else
 *                   PART_DONE to front. PART_DONE: on to front. Idle without parts, else busy.
 */
#ifndef KVR_TEST_DUO_H
#define KVR_TEST_DUO_H

#include "kvr_actor.h"
#include "kvr_trace.h"

enum { DUO_SLOTS = 64, DUO_ROWS = KVR_PART_KEYS };
enum { DUO_IDLE, DUO_BUSY };

struct duo_front {
	uint32_t magic, in_flight;
	uint64_t rand, fired, done;
	uint64_t pad[4];
	struct {
		uint64_t op, sum;
		uint32_t first, n, timer_gen, spare;
	} slot[DUO_SLOTS];
};
_Static_assert(sizeof(struct duo_front) % 64 == 0, "whole lines");

struct duo_back {
	uint32_t magic, in_flight;
	uint64_t sum, parts;
	uint64_t pad[5];
	uint64_t history[4096]; /* so that a snapshot has more than a few lines */
};
_Static_assert(sizeof(struct duo_back) % 64 == 0, "whole lines");

extern const struct kvr_spec duo_front_spec, duo_back_spec;

/* NULL for any other id. */
const struct kvr_spec *duo_find(uint16_t id);

/* Messages from outside. The caller has written rows [first, first + n) before SUBMIT. */
struct kvr_msg duo_start(uint16_t to, uint64_t seed);
struct kvr_msg duo_submit(uint32_t slot, uint32_t gen, uint32_t n, int by_worker, uint64_t until_ns);
struct kvr_msg duo_continue(uint32_t what, uint64_t op);

/* What the worker answers to a PART. */
struct kvr_msg duo_part_done(const struct kvr_msg *part);

/*
 * The two of them on one thread, without a domain: a queue, a clock that is set, a worker that
 * doubles the length of each row at once.
 */
struct duo_run {
	struct kvr_actor  front, back;
	const struct kvr_actor *both[2];
	void             *bytes[2];
	struct kvr_row   *rows;
	struct kvr_trace *trace; /* NULL: none */
	uint64_t          now_ns, step, n_complete, n_steps;
	uint64_t          mixed; /* hash of all digests in their order */
	struct kvr_msg    queue[256];
	uint32_t          n;
	struct kvr_out    out;
};

void duo_open(struct duo_run *, struct kvr_trace *);
void duo_close(struct duo_run *);
/* Posts one message and runs until nothing is left. */
void duo_post(struct duo_run *, const struct kvr_msg);
/* n operations, each different, the same for the same seed. */
void duo_work(struct duo_run *, uint64_t seed, uint32_t n);

#endif
