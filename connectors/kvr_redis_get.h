/* SPDX-License-Identifier: Apache-2.0 */
/* What GET's two files share: redis_get.c, whole values; redis_pieces.c, long ones in pieces. */
#ifndef KVR_REDIS_GET_H
#define KVR_REDIS_GET_H

#include "kvr_redis.h"

/*
 * What a near server needs so that it never waits for us. With more in flight it builds replies in
 * fresh memory: with 8 MiB, values of 1 MiB came at 0.6 of the speed, and cost the server 1.5 times
 * as much CPU. Half of the window is requested at a time, when that much has come: values of 64 KiB
 * reached 0.87 of a raw client's speed with 1 MiB in flight and two requests at a time, and reach
 * 1.02 this way, with a fifth less CPU. The number in flight bounds small values.
 */
#define KVR_REDIS_GET_WINDOW                                                                       \
	.in_flight_max = 64, .window_bytes = KVR_KIB(512), .refill_bytes = KVR_KIB(256)

/* Whether a payload is still to be read: the item is pending, and has a header if it needs one. */
bool kvr_redis_get_wanted(
    const struct kvr_connector *, const struct kvr_item *, const struct kvr_redis_note *);
/* Begins the frame of a payload of len bytes. */
void kvr_redis_get_begin(
    struct kvr_connector *, struct kvr_item *, const struct kvr_redis_note *, uint64_t len);
/* The item's result once the frame has everything, with the reason in c->why. */
int32_t kvr_redis_get_end(struct kvr_connector *);

/* Both leave items that they do not want as they are, for the step that reads whole values. */
extern const struct kvr_redis_step kvr_redis_sealed_step, kvr_redis_watched_step;

#endif
