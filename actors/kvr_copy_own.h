/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the copy worker, and what its files share.
 *
 *   copy_worker.c  its thread
 *   copy_layers.c  chunks that are copied layer by layer
 *   copy_rows.c    chunks that are copied whole
 *   copy_flight.c  parts whose copies have begun, and their answers
 */
#ifndef KVR_COPY_OWN_H
#define KVR_COPY_OWN_H

#include "kvr_copy_plan.h"
#include "kvr_workers.h"

enum { PIECES = KVR_PLAN_PIECES }; /* handed over at a time */

enum { ON_HOST, ON_DEVICE, SIDES };

/* A part whose copies have begun, up to a mark. */
struct flight {
	struct kvr_msg msg;
	uint64_t start_ns;
	int32_t err;
	uint32_t layers; /* 0: up to its end; else this many of its layers, and the rest follows */
};

struct copy_queue {
	struct flight flight[KVR_MARKS_MAX];
	uint32_t first, n;
	uint32_t begun; /* the part that is being begun; 0: none */
	int32_t broken; /* the error of a mark of that part, if one has failed */
};

struct side {
	const struct kvr_copy_ops *ops; /* NULL: this machine has no such memory */
	struct kvr_copier *copier;      /* NULL: it could not be opened */
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

static inline bool
is_out(const struct kvr_msg *msg)
{
	return msg->COPY.to_caller != 0;
}

static inline enum kvr_way
way_of(const struct kvr_msg *msg)
{
	return is_out(msg) ? KVR_WAY_OUT : KVR_WAY_IN;
}

/* All rows of a part belong to one operation. */
static inline uint32_t
op_slot(const struct kvr_copy_worker *w, const struct kvr_msg *msg)
{
	const struct kvr_ledger *ledger = w->work->ledger;

	return ledger->keys[ledger->rows[msg->rows].key].op;
}

/* copy_rows.c */
/* An error of the device is the part's, and returned; other errors belong to a row. */
KVR_MUST_USE int32_t kvr_copy_rows(struct kvr_copy_worker *, struct side *, const struct kvr_msg *);
/* LENGTH if a row is no whole number of tokens or does not fit. Not for rows of spans. */
KVR_MUST_USE int32_t kvr_copy_start_row(struct kvr_copy_worker *, const struct kvr_row *,
    struct kvr_walk *ret);

/* copy_layers.c */
/* The same for the layers that the message names: all rows, one layer after the other. */
KVR_MUST_USE int32_t kvr_copy_layers(struct kvr_copy_worker *, struct side *,
    const struct kvr_msg *);

/* copy_flight.c */
/* Marks what was begun of the part, and puts it into the queue. */
KVR_MUST_USE enum kvr_err kvr_copy_mark(struct side *, enum kvr_way, const struct flight *);
/* Layers of a part have begun, and more will follow: marks them, if a mark can be spared. */
KVR_MUST_USE int32_t kvr_copy_mark_layers(struct kvr_copy_worker *, struct side *,
    const struct kvr_msg *, uint32_t layers);
/* Answers parts that have ended, oldest first. */
void kvr_copy_look(struct kvr_copy_worker *, struct side *, enum kvr_way);
void kvr_copy_tell_begun(const struct kvr_copy_worker *, const struct kvr_msg *);
void kvr_copy_reply(struct kvr_copy_worker *, const struct side *, const struct flight *);

#endif
