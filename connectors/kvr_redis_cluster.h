/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a cluster's lane share.
 *
 *   redis_cluster.c  the lane: its connections, one per node, and asking for the map
 *   redis_round.c    a batch: each step for all its items, at all their nodes at once
 *   redis_job.c      one step at one node
 *   redis_crew.c     the threads that run jobs side by side
 */
#ifndef KVR_REDIS_CLUSTER_H
#define KVR_REDIS_CLUSTER_H

#include "kvr_limits.h"
#include "kvr_redis.h"
#include "kvr_redis_map.h"

/* How often a step may be redirected, as long as there is time. */
#define KVR_REDIS_SENT_ON_MAX 5U

struct kvr_redis_crew;

struct kvr_redis_crew *kvr_redis_crew_new(void);
void kvr_redis_crew_free(struct kvr_redis_crew *take); /* NULL is fine */
/*
 * Calls fn for each of n jobs of `size` bytes, side by side; returns when all calls have returned.
 */
void kvr_redis_crew_run(
    struct kvr_redis_crew *, void (*fn)(void *job), void *jobs, size_t size, uint32_t n);

struct kvr_cluster_node {
	struct kvr_connector *c; /* NULL: not connected */
	struct kvr_url_host at;
	uint32_t gen;
	bool fresh; /* nothing has gone through it yet */
};

/* One step at one node. The job has exclusive use of what it points to until it is done. */
struct kvr_redis_job {
	struct kvr_cluster_lane *lane;
	const struct kvr_redis_step *step;
	struct kvr_item *item;
	struct kvr_redis_note *note;
	uint8_t *heads;
	uint32_t n;
	uint8_t node;
	bool was_fresh; /* the connection was new, so dialing again would not help */
	int32_t err;    /* why some items were not processed */
	uint64_t until_ns;
	char why[256];
};

struct kvr_cluster_lane {
	struct kvr_connector *front; /* the connector that owns the lane; its frame is for plans */
	struct kvr_redis_map *map;
	struct kvr_redis_crew *crew;
	struct kvr_kick *kick;
	uint64_t try_ns;   /* longest time for one dial */
	uint32_t ask_next; /* the next node to ask for the map */
	struct kvr_cluster_node node[KVR_REDIS_NODES];
	struct kvr_topology topology; /* buffer for an answer */

	/* A group, in the order of the batch. */
	struct kvr_item item[KVR_REDIS_GROUP];
	struct kvr_redis_note note[KVR_REDIS_GROUP];
	uint8_t *heads;
	uint8_t sent_on[KVR_REDIS_GROUP]; /* redirections in this step */
	bool retried[KVR_REDIS_GROUP];    /* on a new connection, in this batch */
	uint8_t route[KVR_REDIS_GROUP];
	uint16_t slot[KVR_REDIS_GROUP];
	uint32_t todo[KVR_REDIS_GROUP];
	uint32_t n_todo;

	/* The items under way, sorted by node. */
	uint32_t index[KVR_REDIS_GROUP];
	struct kvr_item away[KVR_REDIS_GROUP];
	struct kvr_redis_note away_note[KVR_REDIS_GROUP];
	uint8_t *away_heads;
	struct kvr_redis_job job[KVR_NODES_MAX];
};

/* redis_job.c */
void kvr_redis_job_run(void *job);
/*
 * The lane's connection to a node, dialed if need be. A failure is recorded in the map. TIMEOUT:
 * until_ns came before the node had used up its own time.
 */
enum kvr_err kvr_cluster_connection(struct kvr_cluster_lane *, uint8_t node, uint64_t until_ns,
    struct kvr_connector **ret, char *why, size_t why_cap);
void kvr_cluster_drop(struct kvr_cluster_lane *, uint8_t node);

/* redis_cluster.c. Asks nodes for the map; so few that the caller's time is not used up. */
enum kvr_err kvr_cluster_look(struct kvr_cluster_lane *, uint64_t until_ns);

/* redis_round.c */
enum kvr_err kvr_cluster_run(
    struct kvr_cluster_lane *, enum kvr_verb, struct kvr_item *, uint32_t n, uint64_t until_ns);

/* redis_cluster.c: the connector's functions for a store with a map. */
enum kvr_err kvr_redis_cluster_dial(struct kvr_connector *, uint64_t until_ns, struct kvr_kick *);
enum kvr_err kvr_redis_cluster_ping(struct kvr_connector *, uint64_t until_ns);
void kvr_redis_cluster_hang_up(struct kvr_connector *);

#endif
