/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a cluster's lane say to each other.
 *
 *   redis_cluster.c  the lane: its connections, one per node, and the questions for the map
 *   redis_round.c    a batch: each step for all its items, at all their nodes at once
 *   redis_job.c      one step at one node
 *   redis_crew.c     the threads that do so side by side
 */
#ifndef KVR_REDIS_CLUSTER_H
#define KVR_REDIS_CLUSTER_H

#include "kvr_limits.h"
#include "kvr_redis.h"
#include "kvr_redis_map.h"

/* Nodes that one lane talks to at a time; with more of them, what is free takes the next. */
#define KVR_CREW_MAX ((uint32_t)KVR_CLUSTER_HELPERS + 1U)
/* A step is sent on at most so often, as long as there is time. */
#define KVR_REDIS_SENT_ON_MAX 5U

struct kvr_redis_crew;

struct kvr_redis_crew *kvr_redis_crew_new(void);
void kvr_redis_crew_free(struct kvr_redis_crew *take); /* NULL is fine */
/* fn(at each of n jobs of `size` bytes), side by side; returns when all have come back. */
void kvr_redis_crew_run(
    struct kvr_redis_crew *, void (*fn)(void *job), void *jobs, size_t size, uint32_t n);

struct kvr_cluster_node {
	struct kvr_connector *c; /* NULL: not connected */
	struct kvr_url_host at;
	uint32_t gen;
	bool fresh; /* nothing has gone through it yet */
};

/* One step at one node. What it points to is its alone until it is done. */
struct kvr_redis_job {
	struct kvr_cluster_lane *lane;
	const struct kvr_redis_step *step;
	struct kvr_item *item;
	struct kvr_redis_note *note;
	uint8_t *heads;
	uint32_t n;
	uint8_t node;
	bool was_fresh; /* the connection; so another one would be no better */
	int32_t err;    /* why it has not gone through all items */
	uint64_t until_ns;
	char why[256];
};

struct kvr_cluster_lane {
	struct kvr_connector *front; /* whom the lane belongs to: its frame is for plans */
	struct kvr_redis_map *map;
	struct kvr_redis_crew *crew;
	struct kvr_kick *kick;
	uint64_t try_ns;   /* longest time for one dial */
	uint32_t ask_next; /* the node that is asked for the map next */
	struct kvr_cluster_node node[KVR_REDIS_NODES];
	struct kvr_topology topology; /* room for an answer */

	/* A group, in the order of the batch. */
	struct kvr_item item[KVR_REDIS_GROUP];
	struct kvr_redis_note note[KVR_REDIS_GROUP];
	uint8_t *heads;
	uint8_t sent_on[KVR_REDIS_GROUP]; /* times, in this step */
	bool retried[KVR_REDIS_GROUP];    /* on a new connection, in this batch */
	uint8_t route[KVR_REDIS_GROUP];
	uint16_t slot[KVR_REDIS_GROUP];
	uint32_t todo[KVR_REDIS_GROUP];
	uint32_t n_todo;

	/* The same on their way, node by node. */
	uint32_t index[KVR_REDIS_GROUP];
	struct kvr_item away[KVR_REDIS_GROUP];
	struct kvr_redis_note away_note[KVR_REDIS_GROUP];
	uint8_t *away_heads;
	struct kvr_redis_job job[KVR_NODES_MAX];
};

/* redis_job.c */
void kvr_redis_job_run(void *job);
/*
 * The lane's connection to a node, dialed if need be. On failure the map knows what it says of the
 * node. TIMEOUT: until_ns came before the node had its time.
 */
enum kvr_err kvr_cluster_connection(struct kvr_cluster_lane *, uint8_t node, uint64_t until_ns,
    struct kvr_connector **ret, char *why, size_t why_cap);
void kvr_cluster_drop(struct kvr_cluster_lane *, uint8_t node);

/* redis_cluster.c. Asks nodes for the map, few enough that the caller's time is not used up. */
enum kvr_err kvr_cluster_look(struct kvr_cluster_lane *, uint64_t until_ns);

/* redis_round.c */
enum kvr_err kvr_cluster_run(
    struct kvr_cluster_lane *, enum kvr_verb, struct kvr_item *, uint32_t n, uint64_t until_ns);

/* redis_cluster.c: the verbs of the table for a store with a map. */
enum kvr_err kvr_redis_cluster_dial(struct kvr_connector *, uint64_t until_ns, struct kvr_kick *);
enum kvr_err kvr_redis_cluster_ping(struct kvr_connector *, uint64_t until_ns);
void kvr_redis_cluster_hang_up(struct kvr_connector *);

#endif
