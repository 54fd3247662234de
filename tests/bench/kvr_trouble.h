/* SPDX-License-Identifier: Apache-2.0 */
/* Stores in trouble, for the bench of deadlines; which they are says bench_deadline.c. */
#ifndef KVR_TROUBLE_H
#define KVR_TROUBLE_H

#include "kvr_bad_net.h"
#include "kvr_redis_server.h"
#include "kvrelay.h"

#include <sys/resource.h>

struct world {
	char url[128];
	struct kvr_redis_server *server;
	struct kvr_bad_net *net;
	char dir[64];
	bool mounted;
	struct rlimit limit;
	struct kvr *kvr; /* of a trouble that finds good connections: one for all calls */
};

/*
 * ill comes right before a call and well right after it. meets: the trouble finds connections that
 * were good; else each call has an instance that is about to connect. So every call begins alike:
 * a breaker that has opened would answer at once, which says nothing.
 */
struct kvr_trouble {
	const char *name;
	bool meets;
	void (*start)(struct world *), (*ill)(struct world *), (*well)(struct world *),
	    (*end)(struct world *);
};

enum { KVR_TROUBLES = 6 };
extern const struct kvr_trouble kvr_troubles[KVR_TROUBLES];

#endif
