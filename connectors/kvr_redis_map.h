/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of a cluster, which all lanes of a store share: which node has which slot, and which
 * nodes are left alone for a while because they do not answer. It locks for itself.
 *
 * A node is a number below KVR_NODES_MAX. The number of one that has left the cluster may be
 * given to another; gen then changes, so that nobody goes on talking to the old one. Of each the map
 * knows one replica at most, which is a node too: kvr_redis_map_replica.
 */
#ifndef KVR_REDIS_MAP_H
#define KVR_REDIS_MAP_H

#include "kvr_topology.h"

struct kvr_redis_map;

/* seeds: where to ask when no node is known. NULL: no memory. */
struct kvr_redis_map *kvr_redis_map_new(const struct kvr_url_host *seeds, uint32_t n);
void kvr_redis_map_free(struct kvr_redis_map *take); /* NULL is fine */

uint32_t kvr_redis_map_seeds(const struct kvr_redis_map *);
const struct kvr_url_host *kvr_redis_map_seed(const struct kvr_redis_map *, uint32_t i);

void kvr_redis_map_take(struct kvr_redis_map *, const struct kvr_topology *);
#define KVR_REDIS_NODES (2 * KVR_NODES_MAX) /* with their replicas */
/* The number of the replica of a node; there may be none, as of any number. */
static inline uint8_t
kvr_redis_map_replica(uint8_t node)
{
	return (uint8_t)(node + KVR_NODES_MAX);
}

/* The nodes of n slots, KVR_NO_NODE where there is none. */
void kvr_redis_map_route(
    struct kvr_redis_map *, const uint16_t *slot, uint32_t n, uint8_t *ret_node);
/* False: there is no such node. */
bool kvr_redis_map_node(
    struct kvr_redis_map *, uint8_t node, struct kvr_url_host *ret, uint32_t *ret_gen);
/* Whether it has slots, as far as is known. */
bool kvr_redis_map_has(struct kvr_redis_map *, uint8_t node);
/* The number of a host, a new one if need be; KVR_NO_NODE: all are in use. */
uint8_t kvr_redis_map_find(struct kvr_redis_map *, const struct kvr_url_host *);
/* A node said so; the rest of the map is asked for again soon. */
void kvr_redis_map_moved(struct kvr_redis_map *, uint16_t slot, uint8_t node);

/* The map is out of date. */
void kvr_redis_map_want(struct kvr_redis_map *);
/* So it is where a replica is missed that a node may have by now: once a second, if at all. */
void kvr_redis_map_want_replica(struct kvr_redis_map *, uint64_t now_ns);
/* True: whoever asked has to ask the nodes now. At most once in KVR_REDIS_MAP_PAUSE_NS. */
bool kvr_redis_map_due(struct kvr_redis_map *, uint64_t now_ns);
#define KVR_REDIS_MAP_PAUSE_NS KVR_MS(100)

/*
 * A node that cannot be dialed, or stays silent for limit_ns in sum, is left alone: 100 ms at
 * first, twice as long each time it fails again, 10 s at most. One caller at a time then tries
 * it.
 */
bool kvr_redis_map_may_try(struct kvr_redis_map *, uint8_t node, bool connected, uint64_t now_ns);
void kvr_redis_map_good(struct kvr_redis_map *, uint8_t node);
void kvr_redis_map_bad(struct kvr_redis_map *, uint8_t node, uint64_t now_ns);
void kvr_redis_map_silent(
    struct kvr_redis_map *, uint8_t node, uint64_t for_ns, uint64_t limit_ns, uint64_t now_ns);
/* It has been waited for in vain since it was last good: let it be asked after all others. */
bool kvr_redis_map_doubted(struct kvr_redis_map *, uint8_t node);
/* No node of the cluster is worth a try. */
bool kvr_redis_map_lost(struct kvr_redis_map *, uint64_t now_ns);

#endif
