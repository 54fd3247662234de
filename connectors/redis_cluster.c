/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis-cluster:// and valkey-cluster://. A lane has one connection to each node that it has needed
 * so far. A map shared by all lanes (redis_map.c) says which node that is; the nodes' answers
 * correct it.
 *
 * A node that is dead or silent costs only its own keys: its connection is closed, it is left alone
 * for a while, and the lane goes on. Only if no node is left does the lane itself end, so that the
 * tier above opens its breaker.
 */
#include "kvr_redis_cluster.h"
#include "kvr_redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 6379U
_Static_assert(sizeof(struct kvr_connector) + KVR_FRAME_SCRATCH <= KVR_CLUSTER_NODE_BYTES &&
                   KVR_NODES_MAX == KVR_CLUSTER_NODES,
    "what the sum of memory says");
/* If a dial has no limit of its own, a node has this long to accept a connection. */
#define TRY_NS KVR_SEC(1)
/* While callers wait, so many nodes are asked for the map, each for a quarter of the time. */
enum { ASKED_MAX = 3 };

enum kvr_err
kvr_redis_cluster_open(const struct kvr_url *u, struct kvr_store *s, const struct kvr_why *w)
{
	struct kvr_url_host seed[KVR_URL_HOSTS_MAX];
	memcpy(seed, u->host, sizeof(seed));
	for (uint32_t i = 0; i < u->n_hosts; i++)
		if (seed[i].port == 0)
			seed[i].port = PORT_DEFAULT;
	s->map = kvr_redis_map_new(seed, u->n_hosts);
	if (s->map != NULL)
		return KVR_OK;
	(void)kvr_refuse(w, "no memory for a store");
	return KVR_E_NOMEM;
}

/* What an error reply of a node means for the step that it answers. */
void
kvr_redis_redirected(struct kvr_connector *c, const struct kvr_resp *r)
{
	/* Refusals of this node that say nothing about the others, and may pass. */
	static const char *const sick[] = { "CLUSTERDOWN", "LOADING", "MASTERDOWN", "BUSY" };
	struct kvr_redirect to;
	if (kvr_redirect_parse(r, &to)) {
		if (to.to.name[0] == '\0')
			memcpy(to.to.name, c->peer->name, sizeof(to.to.name));
		c->redirect_to = kvr_redis_map_find(c->store->map, &to.to);
		c->redirect = to.asks ? KVR_REDIS_ASK : KVR_REDIS_MOVED;
		if (c->redirect_to == KVR_NO_NODE)
			c->redirect = KVR_REDIS_SICK;
		else if (!to.asks)
			kvr_redis_map_moved(c->store->map, to.slot, c->redirect_to);
	} else if (kvr_resp_is_code(r, "TRYAGAIN")) {
		c->redirect = KVR_REDIS_AGAIN;
	} else if (kvr_resp_is_code(r, "READONLY")) {
		kvr_redis_map_want(c->store->map); /* it has become a replica */
		c->redirect = KVR_REDIS_AGAIN;
	}
	for (size_t i = 0; i < KVR_LEN(sick); i++)
		if (kvr_resp_is_code(r, sick[i]))
			c->redirect = KVR_REDIS_SICK;
	if (c->redirect == KVR_REDIS_SICK)
		kvr_redis_map_want(c->store->map);
}

static enum kvr_err
ask_node(struct kvr_cluster_lane *lane, uint8_t node, uint64_t until_ns)
{
	struct kvr_connector *front = lane->front, *c = NULL;
	enum kvr_err err =
	    kvr_cluster_connection(lane, node, until_ns, &c, front->why, sizeof(front->why));
	if (err != KVR_OK)
		return err;
	c->s.patience_ns = 0; /* set by a batch, for its own deadline */
	err = kvr_stream_begin(&c->s, until_ns, KVR_STREAM_AHEAD);
	if (err == KVR_OK)
		err = kvr_topology_ask(&c->s, &lane->node[node].at, &lane->topology);
	if (err != KVR_OK) {
		snprintf(front->why, sizeof(front->why), "%.60s:%u: %.170s",
		    lane->node[node].at.name, (unsigned)lane->node[node].at.port, c->s.why);
		kvr_cluster_drop(lane, node);
		return err;
	}
	kvr_redis_map_good(lane->map, node);
	kvr_redis_map_take(lane->map, &lane->topology);
	return KVR_OK;
}

/*
 * Asks up to *n_left of the known nodes that are not left alone. err: returned if there are none.
 */
static enum kvr_err
ask_those(struct kvr_cluster_lane *lane, bool doubted, uint32_t *n_left, uint64_t until_ns,
    enum kvr_err err)
{
	struct kvr_url_host at;
	uint32_t gen;
	for (uint32_t i = 0; i < KVR_NODES_MAX && *n_left > 0; i++) {
		uint8_t node = (uint8_t)(lane->ask_next++ % KVR_NODES_MAX);
		uint64_t now_ns = kvr_now_ns();
		if (!kvr_redis_map_node(lane->map, node, &at, &gen) ||
		    kvr_redis_map_doubted(lane->map, node) != doubted ||
		    !kvr_redis_map_may_try(lane->map, node, lane->node[node].c != NULL, now_ns))
			continue;
		--*n_left;
		err = ask_node(
		    lane, node, KVR_MIN(kvr_redis_share(until_ns, 4), now_ns + lane->try_ns / 4));
		if (err == KVR_OK || err == KVR_E_CANCELLED || kvr_now_ns() >= until_ns)
			return err;
	}
	return err;
}

/* A node that was silent recently is asked only if no other one answers. */
static enum kvr_err
ask_known(struct kvr_cluster_lane *lane, uint32_t n_max, uint64_t until_ns)
{
	enum kvr_err err = ask_those(lane, false, &n_max, until_ns, KVR_E_DOWN);
	if (err == KVR_OK || err == KVR_E_CANCELLED || kvr_now_ns() >= until_ns)
		return err;
	return ask_those(lane, true, &n_max, until_ns, err);
}

enum kvr_err
kvr_cluster_look(struct kvr_cluster_lane *lane, uint64_t until_ns)
{
	return ask_known(lane, ASKED_MAX, until_ns);
}

static enum kvr_err
ask_seeds(struct kvr_cluster_lane *lane, uint64_t until_ns)
{
	uint32_t n = kvr_redis_map_seeds(lane->map);
	enum kvr_err err = KVR_E_DOWN;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t node = kvr_redis_map_find(lane->map, kvr_redis_map_seed(lane->map, i));
		if (node == KVR_NO_NODE)
			continue;
		err = ask_node(lane, node, kvr_redis_share(until_ns, n - i));
		/* A seed may have another name than the same node has in the map. */
		if (!kvr_redis_map_has(lane->map, node))
			kvr_cluster_drop(lane, node);
		if (err == KVR_OK || err == KVR_E_CANCELLED || kvr_now_ns() >= until_ns)
			return err;
		/* Only a share of the time is over, not all of it. */
		err = err == KVR_E_TIMEOUT ? KVR_E_DOWN : err;
	}
	return err;
}

/* Asks nodes until one answers. Known nodes get half of the time, then the seeds. */
static enum kvr_err
ask_anybody(struct kvr_cluster_lane *lane, uint64_t until_ns)
{
	enum kvr_err err = ask_known(lane, KVR_NODES_MAX, kvr_redis_share(until_ns, 2));
	if (err == KVR_OK || err == KVR_E_CANCELLED)
		return err;
	return ask_seeds(lane, until_ns);
}

static enum kvr_err
no_memory(struct kvr_connector *c)
{
	snprintf(c->why, sizeof(c->why), "no memory for a connection");
	return KVR_E_NOMEM;
}

enum kvr_err
kvr_redis_cluster_dial(struct kvr_connector *c, uint64_t until_ns, struct kvr_kick *kick)
{
	const struct kvr_store *store = c->store;
	size_t heads = (size_t)KVR_REDIS_GROUP * store->lm_head_len;
	struct kvr_cluster_lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		return no_memory(c);
	c->cluster = lane;
	lane->front = c;
	lane->map = store->map;
	lane->kick = kick;
	lane->try_ns = store->connect_ns > 0 ? store->connect_ns : TRY_NS;
	/* The same for all lanes, because they share the map. */
	lane->topology.turn = atomic_load_explicit(&store->turn, memory_order_relaxed);
	lane->crew = kvr_redis_crew_new();
	lane->heads = heads > 0 ? calloc(2, heads) : NULL;
	if (lane->crew == NULL || (heads > 0 && lane->heads == NULL))
		return no_memory(c);
	lane->away_heads = heads > 0 ? lane->heads + heads : NULL;
	return ask_anybody(lane, until_ns);
}

enum kvr_err
kvr_redis_cluster_ping(struct kvr_connector *c, uint64_t until_ns)
{
	struct kvr_kick *kick = c->cluster->kick;
	if (kick != NULL && kvr_kicked(kick))
		return KVR_E_CANCELLED;
	if (kvr_now_ns() >= until_ns)
		return KVR_E_TIMEOUT;
	return ask_anybody(c->cluster, until_ns);
}

void
kvr_redis_cluster_hang_up(struct kvr_connector *c)
{
	struct kvr_cluster_lane *lane = c->cluster;
	if (lane == NULL)
		return;
	kvr_redis_crew_free(lane->crew);
	for (uint32_t i = 0; i < KVR_REDIS_NODES; i++)
		kvr_cluster_drop(lane, (uint8_t)i);
	free(lane->heads);
	free(lane);
	c->cluster = NULL;
}
