/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deciders of one instance. They share one guard and are stepped one at a time: by a thread
 * that posts to them when the guard is free, otherwise by the home thread. The domain is the only
 * place that stamps time, and the only writer of the trace.
 *
 *   - A post from outside (facade, worker) runs the timers that are due, its own step and what
 *     follows from it, at most KVR_DOMAIN_STEPS; the home thread does the rest. A post that finds
 *     the guard taken for long goes through the inbox, which is carried by nng. So an idle instance
 *     answers a lookup without nng, and a busy one keeps the order of each sender's messages.
 *   - Messages between deciders wait in a local queue, which has room for all that they can send;
 *     a full queue is a bug.
 *   - Messages to workers go to the mailbox that was attached under the worker's id. They cannot
 *     be refused: links and router count what they have given out.
 *   - Messages to KVR_ID_API go to the outside function, under the guard. It must be short, may
 *     not post, and leaves what may take long to the notifier.
 */
#ifndef KVR_DOMAIN_H
#define KVR_DOMAIN_H

#include "kvr_actor.h"
#include "kvr_ledger.h"
#include "kvr_mailbox.h"
#include "kvr_trace.h"

enum { KVR_DOMAIN_STEPS = 64 };

struct kvr_domain;

/* The clock. now_ns NULL: the real one. */
struct kvr_world {
	uint64_t (*now_ns)(void *arg);
	void *arg;
};

typedef void kvr_outside_fn(void *arg, const struct kvr_msg *, const struct kvr_row *rows);
/* A decider has changed its state: the shell logs it. Called under the guard. */
typedef void kvr_watch_fn(
    void *arg, const struct kvr_actor *, uint32_t state_before, const struct kvr_event *);

/*
 * Called after each step of any decider, before watch: the shell shows the state, and finds words
 * for it. Under the guard; only reads the state.
 */
typedef void kvr_after_fn(void *arg, const struct kvr_actor *);

struct kvr_domain_options {
	const char        *name; /* of the instance, unique in the process */
	struct kvr_ledger *ledger;
	struct kvr_trace  *trace; /* NULL: none (tests) */
	bool               texts; /* the trace gets the texts of keys and requests from the ledger */
	kvr_outside_fn    *outside;
	kvr_watch_fn      *watch;
	kvr_after_fn      *after;
	void              *arg; /* of outside */
	void              *watch_arg; /* of watch and after */
	bool               poison; /* a broken invariant marks the domain dead; else it aborts */
	struct kvr_world   world;
};

KVR_MUST_USE enum kvr_err kvr_domain_open(
    const struct kvr_domain_options *, struct kvr_domain **ret);
/* Before start. The decider's state is mapped, all zero, and freed with the domain. */
KVR_MUST_USE enum kvr_err kvr_domain_add(struct kvr_domain *, uint16_t id, const struct kvr_spec *);
/* The same, with zero bytes of the caller's as its state; they must outlive the domain. */
KVR_MUST_USE enum kvr_err kvr_domain_add_at(
    struct kvr_domain *, uint16_t id, const struct kvr_spec *, void *self);
/* Before start: where messages to this worker go. */
void kvr_domain_attach(struct kvr_domain *, uint16_t id, struct kvr_mailbox *);
/*
 * Before start: fn is called, under the guard, when a PART_CANCEL or a HANG_UP is about to be
 * posted to this worker. It ends what blocks the worker; the message alone would wait behind that.
 */
typedef void kvr_kick_fn(void *arg, const struct kvr_msg *);
void kvr_domain_kick(struct kvr_domain *, uint16_t id, kvr_kick_fn *, void *arg);
/* Starts the home thread. */
KVR_MUST_USE enum kvr_err kvr_domain_start(struct kvr_domain *);
/* Joins the home thread; later posts are answered SHUTDOWN. The mailboxes are the caller's. */
void kvr_domain_stop(struct kvr_domain *);
void kvr_domain_free(struct kvr_domain *take);

/*
 * Any thread that does not hold the guard. OK, or DEAD (poisoned), SHUTDOWN; never BUSY. It may run
 * due timers, the message and what follows, and it may wait for the thread that holds the guard, as
 * a rule for less than a millisecond.
 */
KVR_MUST_USE enum kvr_err kvr_domain_post(struct kvr_domain *, const struct kvr_msg *);

/* Runs fn under the guard, to copy from a decider's state (metrics, status, sums). */
void kvr_domain_look(struct kvr_domain *, void (*fn)(void *arg, const struct kvr_actor *),
    void *arg, uint16_t id);

bool kvr_domain_dead(const struct kvr_domain *);
/* What broke, for the log; "" while alive. */
const char *kvr_domain_why(const struct kvr_domain *);

#endif
