/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the domain: kvr_domain.c opens and ends it, kvr_domain_run.c steps the
 * deciders, kvr_domain_post.c has the ways in and the home thread.
 */
#ifndef KVR_DOMAIN_OWN_H
#define KVR_DOMAIN_OWN_H

#include "kvr_domain.h"

#include "kvr_thread.h"
#include "kvr_timers.h"

#include <setjmp.h>
#include <stdatomic.h>

enum {
	KVR_DOMAIN_LANES = KVR_TIERS_MAX * KVR_LANES_MAX,

	/*
	 * What can be on its way from outside: per operation a RELEASE of the previous one in its
	 * slot, a SUBMIT and a CANCEL; per part one reply of the worker that has it; per lane the
	 * replies to DIAL, PING and HANG_UP; START, CONFIG and STOP for all.
	 */
	KVR_DOMAIN_OUTSIDE = 3 * KVR_OPS_MAX + KVR_PARTS_MAX + 3 * KVR_DOMAIN_LANES + 256,

	/*
	 * Only posts that find the guard taken for long go through the inbox, and one that finds
	 * the inbox full waits. So it may be smaller than that sum; each place costs 300 bytes.
	 */
	KVR_DOMAIN_INBOX = 1024,

	/*
	 * What can wait between deciders: what came in; per operation CONTINUE or SLICE, OP_STAT
	 * and COUNT; per part PART, PART_DONE, PART_CANCEL and COUNT; per lane and tier the changes
	 * of state, twice; timers that are due together; and what one more step may add.
	 */
	KVR_DOMAIN_TIMERS = 4096,
	KVR_DOMAIN_LOCAL = KVR_DOMAIN_OUTSIDE + 3 * KVR_OPS_MAX + 4 * KVR_PARTS_MAX +
	    4 * (KVR_DOMAIN_LANES + KVR_TIERS_MAX) + KVR_DOMAIN_TIMERS + KVR_FX_MAX,

	KVR_DOMAIN_BOX = 128, /* messages to workers that a run collects; full, it is posted at once */

	/*
	 * How long a post waits for the guard before it goes through the inbox. Long enough for
	 * some runs and the wake-ups between them, because a way through nng costs more; shorter
	 * than the milliseconds of a snapshot, because a caller may only want to submit. With four
	 * callers on two cores this raises throughput by half or more (tests/bench/bench_hop.c).
	 */
	KVR_DOMAIN_PATIENCE_NS = 500000
};

enum kvr_life { KVR_LIFE_NEW, KVR_LIFE_RUNNING, KVR_LIFE_DEAD, KVR_LIFE_STOPPED };

struct kvr_domain_worker {
	struct kvr_mailbox *mailbox;
	kvr_kick_fn        *kick;
	void               *kick_arg;
};

/* Messages to workers; each has a place reserved in its mailbox. */
struct kvr_domain_box {
	uint32_t       n;
	struct kvr_msg msg[KVR_DOMAIN_BOX];
};

struct kvr_domain {
	struct kvr_domain_options opt;
	_Atomic int         life; /* enum kvr_life; changes under the guard */
	_Atomic bool        dead; /* stays set when life goes on to STOPPED; why is written before */
	_Atomic uint32_t    inbox_n;
	struct kvr_mailbox *inbox;
	struct kvr_thread  *home;

	struct kvr_lock    guard; /* protects all below, but for box */
	_Atomic uint32_t   bell;  /* the home thread sleeps on it */
	uint64_t           home_until_ns;
	uint64_t           now_ns, step;
	struct kvr_timers *timers;

	uint32_t        first, n; /* of local */
	struct kvr_msg *local;    /* room for KVR_DOMAIN_LOCAL */

	uint32_t                 n_actors;
	struct kvr_actor        *actor[KVR_ID_N];
	void                    *mapped[KVR_ID_N]; /* states, and what kvr_actor_init adds to them */
	struct kvr_actor        *in_order[KVR_ID_N]; /* n_actors of them, by id */
	struct kvr_domain_worker worker[KVR_ID_N];

	bool                    in_step;
	const struct kvr_event *running; /* the event of the running step; NULL: none */
	uint32_t                running_before;
	struct kvr_row          rows_before[KVR_WIDE_KEYS]; /* a copy, as the step may overwrite them */
	jmp_buf                 out_of_step;
	char                    why[256];
	struct kvr_out          out;

	/* The guard protects box[fill], post_lock the other one: see kvr_domain_leave. */
	struct kvr_lock       post_lock;
	uint32_t              fill;
	struct kvr_domain_box box[2];
};

/* All under the guard. push: queues a decider's message. run: at most KVR_DOMAIN_STEPS steps. */
void kvr_domain_stamp(struct kvr_domain *);
void kvr_domain_push(struct kvr_domain *, const struct kvr_msg *);
void kvr_domain_run(struct kvr_domain *);
/*
 * Gives the guard back, posts the run's messages to workers, and wakes the home thread if it must
 * look earlier than it would by itself.
 */
void kvr_domain_leave(struct kvr_domain *);

/* For kvr_domain.c: the inbox's function, and the home thread's. */
void kvr_domain_on_inbox(void *domain, const struct kvr_msg *);
void kvr_domain_at_home(void *domain);

#endif
