/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of messages between threads. One with a function is carried by nng over inproc; one
 * that a worker takes from is a ring of our own. kvr_mailbox_nng.c is the only file that sees nng; the
 * rest of the house cannot tell one transport from the other.
 *
 * Places are counted here, not by nng, whose buffers hold more or less than they were asked for.
 * A request may be refused. A reply may not: its place is reserved when the request is accepted,
 * so no cycle of full mailboxes can form.
 *
 * Messages of one sender arrive in the order in which they were posted.
 */
#ifndef KVR_MAILBOX_H
#define KVR_MAILBOX_H

#include "kvr_err.h"
#include "kvr_msg.h"

struct kvr_mailbox;

/* Runs on a thread of nng, one message at a time per mailbox. */
typedef void kvr_mailbox_fn(void *arg, const struct kvr_msg *);

/*
 * places: how many messages it can hold. fn: who takes them as they come; NULL: they wait for
 * kvr_mailbox_take. All memory that messages need is allocated here.
 */
KVR_MUST_USE enum kvr_err kvr_mailbox_open(const char *name, uint32_t places, kvr_mailbox_fn *fn,
    void *arg, struct kvr_mailbox **ret);
/* After the last post and take. Messages still inside are dropped. */
void kvr_mailbox_close(struct kvr_mailbox *take);

/* Any thread, never waits. BUSY: no place is free, nothing was posted. */
KVR_MUST_USE enum kvr_err kvr_mailbox_post(struct kvr_mailbox *, const struct kvr_msg *);
/* Keeps one place for a later kvr_mailbox_post_reserved, which cannot be refused. */
KVR_MUST_USE enum kvr_err kvr_mailbox_reserve(struct kvr_mailbox *);
void kvr_mailbox_unreserve(struct kvr_mailbox *);
void kvr_mailbox_post_reserved(struct kvr_mailbox *, const struct kvr_msg *);

/* One thread per mailbox. OK, or TIMEOUT. until_ns 0: does not wait. UINT64_MAX: for ever. */
KVR_MUST_USE enum kvr_err kvr_mailbox_take(struct kvr_mailbox *, uint64_t until_ns, struct kvr_msg *ret);

/*
 * Lends a worker's work to those who wait for it: a thread that has offered to help with an operation
 * and posts a PART of it to an idle worker runs fn with that message itself, in the worker's turn, and
 * with those of the same operation behind it, and the worker sleeps on. For its caller would sleep too,
 * and two wakes of a thread cost more than a small question to a store. What goes on behind the answer
 * is left to the worker. fn blocks as the worker would. Called before the first post.
 */
void kvr_mailbox_lend(struct kvr_mailbox *, kvr_mailbox_fn *fn, void *arg);
/* The worker's own way to take from such a mailbox: it works in its turn, and ends it. */
void kvr_mailbox_take_turn(struct kvr_mailbox *, struct kvr_msg *ret);
void kvr_mailbox_end_turn(struct kvr_mailbox *);
/* From here to kvr_help_give, which must follow, this thread helps with *op; 0: not known yet. */
void kvr_help_offer(const uint64_t *op);
void kvr_help_give(void);

/* Messages inside right now. */
uint32_t kvr_mailbox_depth(const struct kvr_mailbox *);
/* The version of nng at run time. */
const char *kvr_mailbox_library(void);

#endif
