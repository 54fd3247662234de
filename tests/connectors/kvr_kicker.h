/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that kicks the batch of a bed: what a cancel or an end does to a lane that waits. */
#ifndef KVR_KICKER_H
#define KVR_KICKER_H

#include "kvr_peer.h"
#include "kvr_redis_bed.h"

struct kicker {
	struct bed      *bed;
	struct kvr_peer *peer;  /* NULL: at once */
	size_t           after; /* so many of its acts */
};

static inline void *
kick_main(void *arg)
{
	const struct kicker *k = arg;

	if (k->peer != NULL)
		kvr_peer_wait(k->peer, k->after);
	bed_kick(k->bed);
	return NULL;
}

#endif
