/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the domain: kvr_domain.c opens and ends it, kvr_domain_run.c steps the
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
	 * What can be on its way from outside: per operation a RELEASE of the slot's last one, a
	 * SUBMIT and a CANCEL; per part one reply of the worker that has it; per lane the replies
	 * to DIAL, PING and HANG_UP; START, CONFIG and STOP of all.
	 */
	KVR_DOMAIN_OUTSIDE = 3 * KVR_OPS_MAX + KVR_PARTS_MAX + 3 * KVR_DOMAIN_LANES + 256,

	/*
	 * Only what finds the guard taken for long waits in the inbox, and who finds the inbox full
	 * waits for whoever runs. So it may be smaller than that sum: a place costs 300 bytes.
	 */
	KVR_DOMAIN_INBOX = 1024,

	/*
	 * What can wait between deciders: what came in; per operation CONTINUE or SLICE, OP_STAT
	 * and COUNT; per part PART, PART_DONE, PART_CANCEL and COUNT; per lane and tier the changes
	 * of state, twice; timers that are due together; and what one step may add to it.
	 */
	KVR_DOMAIN_TIMERS = 4096,
	KVR_DOMAIN_LOCAL = KVR_DOMAIN_OUTSIDE + 3 * KVR_OPS_MAX + 4 * KVR_PARTS_MAX +
	    4 * (KVR_DOMAIN_LANES + KVR_TIERS_MAX) + KVR_DOMAIN_TIMERS + KVR_FX_MAX,

	KVR_DOMAIN_BOX = 128, /* messages to workers of one run; when it is full they go at once */

	/*
	 * How long a post waits for the guard before it goes through the inbox: some runs and the
	 * wakes between them, for a way through nng costs more; not the milliseconds of a snapshot,
	 * for a caller may only want to submit. With four callers on two cores it gives half as
	 * much again, or more, of what they get done (tests/bench/bench_hop.c).
	 */
	KVR_DOMAIN_PATIENCE_NS = 500000
};

enum kvr_life { KVR_LIFE_NEW, KVR_LIFE_RUNNING, KVR_LIFE_DEAD, KVR_LIFE_STOPPED };

struct kvr_domain_worker {
	struct kvr_mailbox *mailbox;
	kvr_kick_fn        *kick;
	void               *kick_arg;
};

/* Messages to workers, with a place reserved for each. */
struct kvr_domain_box {
	uint32_t       n;
	struct kvr_msg msg[KVR_DOMAIN_BOX];
};

struct kvr_domain {
	struct kvr_domain_options opt;
	_Atomic int         life; /* enum kvr_life; changes under the guard */
	_Atomic bool        dead; /* stays when life goes on to STOPPED; why is written before it */
	_Atomic uint32_t    inbox_n;
	struct kvr_mailbox *inbox;
	struct kvr_thread  *home;

	struct kvr_lock    guard; /* of all below */
	_Atomic uint32_t   bell;  /* the home thread sleeps on it */
	uint64_t           home_until_ns;
	uint64_t           now_ns, step;
	struct kvr_timers *timers;

	uint32_t        first, n; /* of local */
	struct kvr_msg *local;    /* KVR_DOMAIN_LOCAL */

	uint32_t                 n_actors;
	struct kvr_actor        *actor[KVR_ID_N];
	void                    *mapped[KVR_ID_N]; /* states and what stands beside them */
	struct kvr_actor        *in_order[KVR_ID_N]; /* n_actors, by id */
	struct kvr_domain_worker worker[KVR_ID_N];

	bool                    in_step;
	const struct kvr_event *running; /* NULL when no step is */
	uint32_t                running_before;
	struct kvr_row          rows_before[KVR_WIDE_KEYS]; /* the step may write over them */
	jmp_buf                 out_of_step;
	char                    why[256];
	struct kvr_out          out;

	/* box[fill] belongs to the guard, the other one to post_lock: see kvr_domain_leave. */
	struct kvr_lock       post_lock;
	uint32_t              fill;
	struct kvr_domain_box box[2];
};

/* All under the guard. push: a message for a decider. run: at most KVR_DOMAIN_STEPS of them. */
void kvr_domain_stamp(struct kvr_domain *);
void kvr_domain_push(struct kvr_domain *, const struct kvr_msg *);
void kvr_domain_run(struct kvr_domain *);
/*
 * Gives the guard back, posts what the run has for workers, and wakes the home thread when it has
 * to look before it would.
 */
void kvr_domain_leave(struct kvr_domain *);

/* For kvr_domain.c: who takes the inbox, and the home thread. */
void kvr_domain_on_inbox(void *domain, const struct kvr_msg *);
void kvr_domain_at_home(void *domain);

#endif
