/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transfer actor's state, and what its files share.
 *
 *   transfer.c        the table
 *   transfer_queue.c  which job waits, which is next, and the answers
 */
#ifndef KVR_TRANSFER_OWN_H
#define KVR_TRANSFER_OWN_H

#include "kvr_actors.h"
#include "kvr_err.h"

#define TRANSFER_MAGIC KVR_MAGIC('C', 'O', 'P', 'Y')

/*
 * Hands do the work on payloads: the copy worker, which has one for each way and kind of memory,
 * and the serde workers. Hands are independent: a get never waits for the copies of puts, and
 * copies in host memory never wait for a device that hangs.
 */
enum {
	HAND_IN,
	HAND_OUT,
	HAND_DEVICE_IN,
	HAND_DEVICE_OUT,
	HAND_SERDE,
	HANDS = HAND_SERDE + KVR_SERDE_MAX
};
/* A list of copies is for the hand of that name. LAYERS: puts that are fetched layer by layer. */
enum {
	LIST_IN,
	LIST_OUT,
	LIST_DEVICE_IN,
	LIST_DEVICE_OUT,
	LIST_SERDE,
	LIST_LAYERS,
	LIST_DEVICE_LAYERS,
	LISTS
};

enum place { PLACE_FREE, PLACE_QUEUED, PLACE_HAND };

/* A part in this actor. Zero bytes when free. */
struct job {
	uint64_t op, deadline_ns;
	uint64_t word[3]; /* of the message */
	uint32_t part, rows;
	uint16_t next, prev; /* slot + 1 */
	uint16_t n_rows;
	uint8_t  type; /* of the message: COPY, ENCODE, DECODE */
	uint8_t  place, hand;
	uint8_t  list;
	int8_t   called; /* why it was cancelled while a hand had some of its layers; else 0 */
	uint8_t  spare;
	uint16_t layer, n_layers; /* first layer that is not copied; how many the hand has */
};
_Static_assert(sizeof(struct job) == 64, "one line");

/* What the engine has said of an operation, also before its parts come here. */
struct layers {
	uint64_t op;
	uint16_t ready, of; /* how many layers are ready, of how many */
	uint32_t spare;
};

struct transfer {
	uint32_t magic, places, n_serde;
	uint32_t n_queued, n_busy;
	uint32_t continuing, stopped;
	uint16_t head[LISTS], tail[LISTS]; /* slot + 1 */
	uint32_t load[HANDS];
	uint32_t lost; /* the device is lost: nothing is copied from or to it any more */
	uint32_t closing; /* STOP has come: what waits is answered at once, like what still comes */
	uint64_t budget, bytes[HAND_SERDE]; /* of each way of the copy worker: the limit, and now */
	uint64_t spare[5];
	struct job job[KVR_PARTS_MAX];
	struct layers layers[KVR_OPS_MAX]; /* by the operation's slot */
};
_Static_assert(offsetof(struct transfer, job) == 192, "whole lines, no padding");

/* The end of a job leaves room for CONTINUE and STOPPED. */
enum { PUMP_MAX = KVR_FX_MAX - 4 };

/* transfer_queue.c */
uint64_t kvr_transfer_bytes(const struct job *); /* of a COPY */
void kvr_transfer_enqueue(struct transfer *, struct kvr_out *, struct job *);
void kvr_transfer_drop(struct transfer *, struct kvr_out *, struct job *, int32_t err);
void kvr_transfer_answer(struct kvr_out *, struct job *, int32_t err, uint32_t took_us);
/* Whether layers remain behind those that a hand has. */
bool     kvr_transfer_has_more_layers(const struct transfer *, const struct job *);
/* It comes back from a hand that has copied some of its layers, and waits for the next ones. */
void kvr_transfer_wait_for_layers(struct transfer *, struct kvr_out *, struct job *);
/* Every handler ends with this: jobs go to free hands, or are answered. */
void kvr_transfer_pump(struct transfer *, const struct kvr_event *, struct kvr_out *);

static inline bool
by_layers(const struct job *j)
{
	return j->list == LIST_LAYERS || j->list == LIST_DEVICE_LAYERS;
}

/* transfer_fields.c */
extern const struct kvr_fields kvr_transfer_fields;

#endif
