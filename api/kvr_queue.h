/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of completions. */
#ifndef KVR_QUEUE_H
#define KVR_QUEUE_H

#include "kvr_call.h"

#include <pthread.h>

#define KVR_QUEUE_MAGIC KVR_MAGIC('K', 'V', 'R', 'Q')

struct kvr_queue {
	uint32_t        magic;
	int             fd;
	struct kvr     *kvr;
	pthread_mutex_t lock;
	uint32_t        head, n;
	bool            woken, lit; /* lit: the descriptor is readable */
	/* Slots. Every operation always has its places. */
	uint32_t        ring[KVR_OUTCOMES * KVR_OPS_MAX];
};

void kvr_queue_push(struct kvr_queue *, uint32_t slot);
void kvr_queue_free(struct kvr_queue *take);

#endif
