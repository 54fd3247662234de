/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_index.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_AT_FIRST = 256 };

enum kvr_err
kvr_index_open(struct kvr_index *index)
{
	struct kvr_index_node **bucket = calloc(BUCKETS_AT_FIRST, sizeof(struct kvr_index_node *));

	if (bucket == NULL)
		return KVR_E_NOMEM;
	*index = (struct kvr_index){ .bucket = bucket, .n_buckets = BUCKETS_AT_FIRST };
	return KVR_OK;
}

void
kvr_index_close(struct kvr_index *index)
{
	KVR_CHECK(index->n == 0);
	free(index->bucket);
	index->bucket = NULL;
}

static struct kvr_index_node **
bucket_of(const struct kvr_index *index, kvr_digest digest)
{
	return &index->bucket[digest.lo & (index->n_buckets - 1)];
}

struct kvr_index_node *
kvr_index_find(const struct kvr_index *index, const char *key, size_t key_len)
{
	kvr_digest digest = kvr_hash128(key, key_len);

	for (struct kvr_index_node *x = *bucket_of(index, digest); x != NULL; x = x->chain) {
		/* The text decides: two keys may share a digest but must not share a value. */
		if (x->digest.lo == digest.lo && x->digest.hi == digest.hi &&
		    x->key_len == key_len && memcmp(x->key, key, key_len) == 0)
			return x;
	}
	return NULL;
}

/* Without memory the chains grow longer instead: slower, but never wrong. */
static void
grow(struct kvr_index *index)
{
	struct kvr_index bigger = *index;

	bigger.n_buckets = index->n_buckets * 2;
	bigger.bucket = calloc(bigger.n_buckets, sizeof(struct kvr_index_node *));
	if (bigger.bucket == NULL)
		return;
	for (struct kvr_index_node *x = index->oldest; x != NULL; x = x->newer) {
		struct kvr_index_node **b = bucket_of(&bigger, x->digest);
		x->chain = *b;
		*b = x;
	}
	free(index->bucket);
	*index = bigger;
}

static void
link_newest(struct kvr_index *index, struct kvr_index_node *node)
{
	node->newer = NULL;
	node->older = index->newest;
	if (index->newest != NULL)
		index->newest->newer = node;
	else
		index->oldest = node;
	index->newest = node;
}

static void
unlink_age(struct kvr_index *index, struct kvr_index_node *node)
{
	if (node->older != NULL)
		node->older->newer = node->newer;
	else
		index->oldest = node->newer;
	if (node->newer != NULL)
		node->newer->older = node->older;
	else
		index->newest = node->older;
}

void
kvr_index_add(struct kvr_index *index, struct kvr_index_node *node)
{
	if (index->n >= index->n_buckets)
		grow(index);
	node->digest = kvr_hash128(node->key, node->key_len);
	struct kvr_index_node **b = bucket_of(index, node->digest);
	node->chain = *b;
	*b = node;
	link_newest(index, node);
	index->n++;
	index->bytes += node->bytes;
}

void
kvr_index_drop(struct kvr_index *index, struct kvr_index_node *node)
{
	struct kvr_index_node **at = bucket_of(index, node->digest);

	while (*at != node) {
		KVR_CHECK(*at != NULL);
		at = &(*at)->chain;
	}
	*at = node->chain;
	unlink_age(index, node);
	KVR_CHECK(index->n > 0 && index->bytes >= node->bytes);
	index->n--;
	index->bytes -= node->bytes;
}

void
kvr_index_touch(struct kvr_index *index, struct kvr_index_node *node)
{
	if (index->newest == node)
		return;
	unlink_age(index, node);
	link_newest(index, node);
}
