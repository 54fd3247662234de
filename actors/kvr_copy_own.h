/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the copy worker, and what its files say to each other.
 *
 *   copy_worker.c  its thread, its queues, its answers
 *   copy_layers.c  chunks that are copied layer by layer
 */
#ifndef KVR_COPY_OWN_H
#define KVR_COPY_OWN_H

#include "kvr_workers.h"

enum { PIECES = 512 }; /* that are handed over at once */

enum { ON_HOST, ON_DEVICE, SIDES };

/* A part whose copies have begun, up to a mark. */
struct flight {
	struct kvr_msg msg;
	uint64_t start_ns;
	int32_t err;
	uint32_t layers; /* 0: to its end; else so many of its layers, and the rest comes behind */
};

struct copy_queue {
	struct flight flight[KVR_MARKS_MAX];
	uint32_t first, n;
	uint32_t begun; /* the part that is being begun */
	int32_t broken; /* one of its marks was this error */
};

struct side {
	const struct kvr_copy_ops *ops; /* NULL: there is no such memory here */
	struct kvr_copier *copier;      /* NULL: it could not be opened, or is lost */
	struct copy_queue queue[KVR_WAYS];
	char why[112]; /* the driver's words for the last failure */
};

struct kvr_copy_worker {
	const struct kvr_work *work;
	struct kvr_words *words;
	struct kvr_mailbox *mailbox;
	struct kvr_thread *thread;
	bool stopping; /* it has been told to end */
	struct side side[SIDES];
	struct kvr_piece piece[PIECES];
};

/* copy_worker.c */
/* LENGTH where a row is no whole tokens or does not fit. Not for rows of spans. */
KVR_MUST_USE int32_t kvr_copy_start_row(struct kvr_copy_worker *, const struct kvr_row *,
    struct kvr_walk *ret);
/* Layers of a part are on their way, and more will follow: a mark for them, if there is one to spare. */
KVR_MUST_USE int32_t kvr_copy_mark_layers(struct kvr_copy_worker *, struct side *,
    const struct kvr_msg *, uint32_t layers);

/* copy_layers.c */
/* The layers that the message names: all their rows, one layer after the other. As copy_rows. */
KVR_MUST_USE int32_t kvr_copy_layers(struct kvr_copy_worker *, struct side *,
    const struct kvr_msg *);
/* Of a part that goes out: so many layers of its rows are in the cache. */
void kvr_copy_landed(struct kvr_copy_worker *, const struct kvr_msg *, uint32_t layers);

#endif
