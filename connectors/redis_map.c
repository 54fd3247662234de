/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_redis_map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MIN_NS KVR_MS(100)
#define PAUSE_MAX_NS KVR_SEC(10)
/* How long a single caller may try a node after a pause before others may. */
#define TRY_NS KVR_SEC(1)

struct node {
	struct kvr_url_host at;
	uint32_t gen;
	bool in_use, in_map;
	bool silent;        /* left alone because it did not answer on open connections */
	uint64_t until_ns;  /* left alone until then; 0: not left alone */
	uint64_t pause_ns;  /* length of the last pause; 0: none since it was last good */
	uint64_t silent_ns; /* time waited for it in vain since it was last good */
};

struct kvr_redis_map {
	pthread_mutex_t lock;
	uint32_t n_seeds;
	struct kvr_url_host seed[KVR_URL_HOSTS_MAX];

	/* Under lock. */
	bool wanted;
	uint64_t next_ns;
	struct node node[KVR_REDIS_NODES];
	uint8_t of[KVR_SLOTS];
};

struct kvr_redis_map *
kvr_redis_map_new(const struct kvr_url_host *seeds, uint32_t n)
{
	struct kvr_redis_map *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	KVR_CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
	m->n_seeds = n;
	memcpy(m->seed, seeds, n * sizeof(*seeds));
	memset(m->of, KVR_NO_NODE, sizeof(m->of));
	return m;
}

void
kvr_redis_map_free(struct kvr_redis_map *take)
{
	if (take == NULL)
		return;
	pthread_mutex_destroy(&take->lock);
	free(take);
}

uint32_t
kvr_redis_map_seeds(const struct kvr_redis_map *m)
{
	return m->n_seeds;
}

const struct kvr_url_host *
kvr_redis_map_seed(const struct kvr_redis_map *m, uint32_t i)
{
	return &m->seed[i];
}

static bool
same_host(const struct kvr_url_host *a, const struct kvr_url_host *b)
{
	return a->port == b->port && strcmp(a->name, b->name) == 0;
}

/* Under lock. A changed or missing replica makes the number another node. */
static void
take_replica(struct kvr_redis_map *m, uint8_t node, const struct kvr_url_host *at)
{
	struct node *n = &m->node[kvr_redis_map_replica(node)];
	bool there = at->port > 0;
	if (n->in_use != there || (there && !same_host(&n->at, at)))
		*n = (struct node){ .gen = n->gen + 1, .in_use = there };
	if (there)
		n->at = *at;
}

/* Under lock. */
static uint8_t
find(struct kvr_redis_map *m, const struct kvr_url_host *at)
{
	struct node *spare = NULL;
	for (uint32_t i = 0; i < KVR_NODES_MAX; i++) {
		struct node *n = &m->node[i];
		if (n->in_use && same_host(&n->at, at))
			return (uint8_t)i;
		/* Prefer an unused place to that of a node that has left, which may come back. */
		if (!n->in_map && (spare == NULL || (spare->in_use && !n->in_use)))
			spare = n;
	}
	if (spare == NULL)
		return KVR_NO_NODE;
	uint8_t number = (uint8_t)(spare - m->node);
	*spare = (struct node){ .at = *at, .gen = spare->gen + 1, .in_use = true };
	take_replica(m, number, &(struct kvr_url_host){ .port = 0 });
	return number;
}

void
kvr_redis_map_take(struct kvr_redis_map *m, const struct kvr_topology *t)
{
	uint8_t number[KVR_NODES_MAX];
	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < KVR_NODES_MAX; i++)
		m->node[i].in_map = false;
	/* Nodes that stay keep their numbers, so mark them before a new one is placed. */
	for (uint32_t k = 0; k < t->n_nodes; k++)
		for (uint32_t i = 0; i < KVR_NODES_MAX; i++)
			m->node[i].in_map |=
			    m->node[i].in_use && same_host(&m->node[i].at, &t->node[k]);
	for (uint32_t k = 0; k < t->n_nodes; k++) {
		number[k] = find(m, &t->node[k]);
		KVR_CHECK(number[k] != KVR_NO_NODE); /* there are as many places as a topology can have */
		m->node[number[k]].in_map = true;
		take_replica(m, number[k], &t->replica[k]);
	}
	for (uint32_t i = 0; i < KVR_SLOTS; i++)
		m->of[i] = t->of[i] == KVR_NO_NODE ? KVR_NO_NODE : number[t->of[i]];
	m->wanted = false;
	pthread_mutex_unlock(&m->lock);
}

void
kvr_redis_map_route(struct kvr_redis_map *m, const uint16_t *slot, uint32_t n, uint8_t *ret_node)
{
	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < n; i++)
		ret_node[i] = m->of[slot[i]];
	pthread_mutex_unlock(&m->lock);
}

bool
kvr_redis_map_node(
    struct kvr_redis_map *m, uint8_t node, struct kvr_url_host *ret, uint32_t *ret_gen)
{
	pthread_mutex_lock(&m->lock);
	const struct node *n = &m->node[node];
	bool there = n->in_use;
	if (there) {
		*ret = n->at;
		*ret_gen = n->gen;
	}
	pthread_mutex_unlock(&m->lock);
	return there;
}

bool
kvr_redis_map_has(struct kvr_redis_map *m, uint8_t node)
{
	pthread_mutex_lock(&m->lock);
	bool has = m->node[node].in_map;
	pthread_mutex_unlock(&m->lock);
	return has;
}

uint8_t
kvr_redis_map_find(struct kvr_redis_map *m, const struct kvr_url_host *at)
{
	pthread_mutex_lock(&m->lock);
	uint8_t node = find(m, at);
	pthread_mutex_unlock(&m->lock);
	return node;
}

void
kvr_redis_map_moved(struct kvr_redis_map *m, uint16_t slot, uint8_t node)
{
	pthread_mutex_lock(&m->lock);
	m->of[slot] = node;
	if (node != KVR_NO_NODE)
		m->node[node].in_map = true; /* so that its number is not given to another one now */
	m->wanted = true;
	pthread_mutex_unlock(&m->lock);
}

void
kvr_redis_map_want(struct kvr_redis_map *m)
{
	pthread_mutex_lock(&m->lock);
	m->wanted = true;
	pthread_mutex_unlock(&m->lock);
}

void
kvr_redis_map_want_replica(struct kvr_redis_map *m, uint64_t now_ns)
{
	pthread_mutex_lock(&m->lock);
	if (now_ns >= m->next_ns + KVR_SEC(1))
		m->wanted = true;
	pthread_mutex_unlock(&m->lock);
}

bool
kvr_redis_map_due(struct kvr_redis_map *m, uint64_t now_ns)
{
	pthread_mutex_lock(&m->lock);
	bool due = m->wanted && now_ns >= m->next_ns;
	if (due)
		m->next_ns = now_ns + KVR_REDIS_MAP_PAUSE_NS;
	pthread_mutex_unlock(&m->lock);
	return due;
}

/* ---- nodes that do not answer ---- */

bool
kvr_redis_map_may_try(struct kvr_redis_map *m, uint8_t node, bool connected, uint64_t now_ns)
{
	pthread_mutex_lock(&m->lock);
	struct node *n = &m->node[node];
	/* That no new connection can be made says nothing about existing ones. */
	bool may = n->until_ns == 0 || (connected && !n->silent) || now_ns >= n->until_ns;
	if (n->until_ns != 0 && now_ns >= n->until_ns)
		n->until_ns = now_ns + TRY_NS; /* the others wait for the result of this one */
	if (!may)
		m->wanted = true; /* perhaps another node has taken over by now */
	pthread_mutex_unlock(&m->lock);
	return may;
}

void
kvr_redis_map_good(struct kvr_redis_map *m, uint8_t node)
{
	pthread_mutex_lock(&m->lock);
	struct node *n = &m->node[node];
	n->until_ns = n->pause_ns = n->silent_ns = 0;
	n->silent = false;
	pthread_mutex_unlock(&m->lock);
}

/* Under lock. */
static void
leave_alone(struct kvr_redis_map *m, struct node *n, uint64_t now_ns)
{
	n->pause_ns = n->pause_ns == 0 ? PAUSE_MIN_NS : KVR_MIN(n->pause_ns * 2, PAUSE_MAX_NS);
	/* Processes that lost the same node must not all come back at once. */
	n->until_ns = now_ns + n->pause_ns + now_ns / 64 % (n->pause_ns / 8);
	m->wanted = true;
}

void
kvr_redis_map_bad(struct kvr_redis_map *m, uint8_t node, uint64_t now_ns)
{
	pthread_mutex_lock(&m->lock);
	leave_alone(m, &m->node[node], now_ns);
	pthread_mutex_unlock(&m->lock);
}

void
kvr_redis_map_silent(
    struct kvr_redis_map *m, uint8_t node, uint64_t for_ns, uint64_t limit_ns, uint64_t now_ns)
{
	pthread_mutex_lock(&m->lock);
	struct node *n = &m->node[node];
	n->silent_ns += for_ns;
	m->wanted = true;
	if (n->silent_ns >= limit_ns) {
		n->silent = true;
		leave_alone(m, n, now_ns);
	}
	pthread_mutex_unlock(&m->lock);
}

bool
kvr_redis_map_doubted(struct kvr_redis_map *m, uint8_t node)
{
	pthread_mutex_lock(&m->lock);
	bool doubted = m->node[node].silent_ns > 0;
	pthread_mutex_unlock(&m->lock);
	return doubted;
}

bool
kvr_redis_map_lost(struct kvr_redis_map *m, uint64_t now_ns)
{
	bool lost = true;
	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < KVR_NODES_MAX; i++)
		if (m->node[i].in_map && m->node[i].until_ns <= now_ns)
			lost = false;
	pthread_mutex_unlock(&m->lock);
	return lost;
}
