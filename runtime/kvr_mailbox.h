/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of messages between threads. A mailbox with a function is carried by nng over
 * inproc; one that a worker takes from is a ring of our own. Only kvr_mailbox_nng.c sees nng; other
 * code cannot tell one transport from the other.
 *
 * Places are counted here, not by nng, whose buffers hold more or less than was asked for. A
 * request may be refused. A reply may not: its place is reserved when the request is accepted, so
 * no cycle of full mailboxes can form.
 *
 * Messages of one sender arrive in the order in which they were posted.
 */
#ifndef KVR_MAILBOX_H
#define KVR_MAILBOX_H

#include "kvr_err.h"
#include "kvr_msg.h"

struct kvr_mailbox;

/* As fn of kvr_mailbox_open: runs on a thread of nng, one message at a time per mailbox. */
typedef void kvr_mailbox_fn(void *arg, const struct kvr_msg *);

/*
 * places: how many messages it can hold. fn: called with each message; NULL: messages wait for
 * kvr_mailbox_take. All memory for messages is allocated here.
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
KVR_MUST_USE enum kvr_err kvr_mailbox_take(
    struct kvr_mailbox *, uint64_t until_ns, struct kvr_msg *ret);

/*
 * Lets a thread that waits for an operation do the worker's work. Such a thread offers its help
 * (kvr_help_offer). When it posts a PART of that operation to an idle worker, it runs fn with the
 * message itself, in the worker's turn, and goes on with those of the same operation behind it,
 * while the worker sleeps on. The thread would have to wait anyway, and waking two threads costs
 * more than a small question to a store. Background work is left to the worker. fn blocks as the
 * worker would. Call this before the first post.
 */
void kvr_mailbox_lend(struct kvr_mailbox *, kvr_mailbox_fn *fn, void *arg);
/* How the worker itself takes from such a mailbox: a message comes with its turn, which it ends. */
void kvr_mailbox_take_turn(struct kvr_mailbox *, struct kvr_msg *ret);
void kvr_mailbox_end_turn(struct kvr_mailbox *);
/* Until kvr_help_give, which must follow, this thread helps with *op; 0: not known yet. */
void kvr_help_offer(const uint64_t *op);
void kvr_help_give(void);

/* The version of nng at run time. */
const char *kvr_mailbox_library(void);

#endif
