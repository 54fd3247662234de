/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A master, two replicas and three sentinels that watch them as "mymaster", all real and all on
 * free loopback ports. The data servers want the password "secret", the sentinels "watch". No
 * server is given up, however busy the machine is, until a test says so.
 */
#ifndef KVR_HARNESS_SENTINEL_SET_H
#define KVR_HARNESS_SENTINEL_SET_H

#include "kvr_redis_server.h"

enum { KVR_SENTINEL_DATA = 3, KVR_SENTINELS = 3 };

struct kvr_sentinel_set {
	pid_t owner; /* who started it and will stop it */
	struct kvr_redis_server *data[KVR_SENTINEL_DATA]; /* the first is the master at first */
	struct kvr_redis_server *sentinel[KVR_SENTINELS];
	char url[160]; /* redis-sentinel://host:port,...?service=mymaster */
};

/* Returns when the sentinels know each other and both replicas, and could replace the master. */
struct kvr_sentinel_set *kvr_sentinel_set_start(void);
/* From now on a master that dies, or is silent for half a second, is replaced within a second or two. */
void kvr_sentinel_set_watch_closely(const struct kvr_sentinel_set *);
void kvr_sentinel_set_stop(struct kvr_sentinel_set *take); /* NULL, and by others: nothing */

#define KVR_SENTINEL_SERVICE       "mymaster"
#define KVR_SENTINEL_PASSWORD      "watch" /* of the sentinels */
#define KVR_SENTINEL_DATA_PASSWORD "secret"

#endif
