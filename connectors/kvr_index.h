/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map from key text to the struct that contains the node, in order of use, with a sum of bytes:
 * what a store with a capacity needs for finding and evicting. It neither locks nor owns its nodes.
 */
#ifndef KVR_INDEX_H
#define KVR_INDEX_H

#include "kvr_err.h"
#include "kvr_hash.h"

/*
 * The owner sets key, key_len and bytes before adding the node, and does not change them while it
 * is in.
 */
struct kvr_index_node {
	struct kvr_index_node *chain; /* next in its bucket */
	struct kvr_index_node *older, *newer;
	const char *key;
	uint32_t    key_len;
	uint32_t    spare;
	uint64_t    bytes;
	kvr_digest  digest;
};

struct kvr_index {
	struct kvr_index_node **bucket;
	struct kvr_index_node  *oldest, *newest;
	uint64_t n_buckets; /* a power of two */
	uint64_t n;
	uint64_t bytes;
};

KVR_MUST_USE enum kvr_err kvr_index_open(struct kvr_index *); /* KVR_E_NOMEM */
/* The index must be empty: to free the nodes, first walk from oldest and drop each. */
void kvr_index_close(struct kvr_index *);

struct kvr_index_node *kvr_index_find(const struct kvr_index *, const char *key, size_t key_len);
/* Adds it as the newest. Its key must not be in the index. */
void kvr_index_add(struct kvr_index *, struct kvr_index_node *);
void kvr_index_drop(struct kvr_index *, struct kvr_index_node *);
/* Makes it the newest again. */
void kvr_index_touch(struct kvr_index *, struct kvr_index_node *);

#endif
