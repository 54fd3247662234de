/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of a cluster, shared by all lanes of a store: which node has which slot, and which nodes
 * are left alone for a while because they do not answer. It does its own locking.
 *
 * A node is a number below KVR_NODES_MAX. The number of a node that has left the cluster may be
 * given to another one; gen then changes, so that no lane keeps talking to the old one. For each
 * node the map knows at most one replica, which is a node too: kvr_redis_map_replica.
 */
#ifndef KVR_REDIS_MAP_H
#define KVR_REDIS_MAP_H

#include "kvr_topology.h"

struct kvr_redis_map;

/* seeds: where to ask while no node is known. NULL: no memory. */
struct kvr_redis_map *kvr_redis_map_new(const struct kvr_url_host *seeds, uint32_t n);
void kvr_redis_map_free(struct kvr_redis_map *take); /* NULL is fine */

uint32_t kvr_redis_map_seeds(const struct kvr_redis_map *);
const struct kvr_url_host *kvr_redis_map_seed(const struct kvr_redis_map *, uint32_t i);

void kvr_redis_map_take(struct kvr_redis_map *, const struct kvr_topology *);
#define KVR_REDIS_NODES (2 * KVR_NODES_MAX) /* with their replicas */
/* The number of a node's replica; as with any number, there may be no such node. */
static inline uint8_t
kvr_redis_map_replica(uint8_t node)
{
	return (uint8_t)(node + KVR_NODES_MAX);
}

/* The nodes of n slots; KVR_NO_NODE for slots without a node. */
void kvr_redis_map_route(
    struct kvr_redis_map *, const uint16_t *slot, uint32_t n, uint8_t *ret_node);
/* False: there is no such node. */
bool kvr_redis_map_node(
    struct kvr_redis_map *, uint8_t node, struct kvr_url_host *ret, uint32_t *ret_gen);
/* Whether it has slots, as far as is known. */
bool kvr_redis_map_has(struct kvr_redis_map *, uint8_t node);
/* The number of a host, which gets one if it has none; KVR_NO_NODE: all are in use. */
uint8_t kvr_redis_map_find(struct kvr_redis_map *, const struct kvr_url_host *);
/* A node said that the slot has moved; the rest of the map will be asked for soon. */
void kvr_redis_map_moved(struct kvr_redis_map *, uint16_t slot, uint8_t node);

/* The map is out of date. */
void kvr_redis_map_want(struct kvr_redis_map *);
/* Likewise if a node may have a replica by now that the map lacks; at most once a second. */
void kvr_redis_map_want_replica(struct kvr_redis_map *, uint64_t now_ns);
/* True: the caller has to ask the nodes now. At most once in KVR_REDIS_MAP_PAUSE_NS. */
bool kvr_redis_map_due(struct kvr_redis_map *, uint64_t now_ns);
#define KVR_REDIS_MAP_PAUSE_NS KVR_MS(100)

/*
 * A node that cannot be dialed, or is silent for limit_ns in total, is left alone: for 100 ms at
 * first, for twice as long after each further failure, for at most 10 s. Then one caller at a time
 * tries it.
 */
bool kvr_redis_map_may_try(struct kvr_redis_map *, uint8_t node, bool connected, uint64_t now_ns);
void kvr_redis_map_good(struct kvr_redis_map *, uint8_t node);
void kvr_redis_map_bad(struct kvr_redis_map *, uint8_t node, uint64_t now_ns);
void kvr_redis_map_silent(
    struct kvr_redis_map *, uint8_t node, uint64_t for_ns, uint64_t limit_ns, uint64_t now_ns);
/* It has kept a caller waiting in vain since it was last good: ask it after all others. */
bool kvr_redis_map_doubted(struct kvr_redis_map *, uint8_t node);
/* No node of the cluster is worth a try. */
bool kvr_redis_map_lost(struct kvr_redis_map *, uint64_t now_ns);

#endif
