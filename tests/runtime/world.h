/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain with the two deciders of duo.h, a worker that doubles the length of each row, and a
 * place where what comes out can be waited for.
 */
#ifndef KVR_TEST_WORLD_H
#define KVR_TEST_WORLD_H

#include "kvr_domain.h"
#include "kvr_thread.h"

#include "duo.h"

enum { WORLD_SENDERS = 4, WORLD_PLACES = DUO_SLOTS };

/* What came out last. */
struct world_seen {
	struct kvr_msg msg;
	struct kvr_row first_row;
	pthread_t      by;
	uint64_t       at_ns;
};

struct world {
	struct kvr_ledger  *ledger;
	struct kvr_domain  *domain;
	struct kvr_mailbox *work;
	struct kvr_thread  *worker;
	struct kvr_trace   *trace; /* the caller's */
	pthread_mutex_t     lock;  /* of what follows */
	pthread_cond_t      cond;
	struct world_seen   last;
	uint64_t            n, n_stopped, n_watched;
	/* COUNT of part p carries the p-1-th sender's next number in op, else it is wrong. */
	uint64_t next[WORLD_SENDERS], wrong;
	uint64_t done_gen[DUO_SLOTS];
	char     watched[64];
};

/* As long as a test waits for what must come. */
uint64_t world_soon(void);

void world_open(struct world *, bool poison, struct kvr_trace *);
/* With another clock than the system's. */
void world_open_by(struct world *, bool poison, struct kvr_trace *, struct kvr_world clock);
void world_close(struct world *);
void world_post(struct world *, const struct kvr_msg);
/* Until n messages have come out. */
void world_wait(struct world *, uint64_t n);

void world_fill_rows(struct world *, uint32_t slot, uint32_t n, uint32_t len);
void world_start_worker(struct world *);
void world_stop_worker(struct world *);

/*
 * `callers` threads, each with a slot of its own, do n operations one after the other and check
 * what comes back; most of them go through the worker, and some have their deadline meanwhile.
 */
void world_call(struct world *, uint32_t callers, uint32_t n);
/* With the worker, and without an end: for a process that will be killed. */
void world_call_for_ever(struct world *);

#endif
