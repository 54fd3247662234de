/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a memory store, shared by its lanes. Payloads are copied outside the lock: a reader
 * holds a reference, and a writer fills a value that nobody else can see yet. What counts against
 * the capacity is the sum of
 *
 *   values in the map
 * + values that were replaced, deleted or evicted while somebody still reads them
 * + values that are being written
 * + freed blocks that are kept for reuse
 *
 * each with its block as it is really allocated, its key and its bookkeeping. So the capacity holds
 * at every moment, not only when nothing is in flight.
 */
#ifndef KVR_MEMORY_MAP_H
#define KVR_MEMORY_MAP_H

#include <pthread.h>

#include "kvr_blocks.h"
#include "kvr_index.h"
#include "kvr_meta.h"

struct kvr_memory_value {
	struct kvr_index_node node; /* first: the index knows nothing else */
	struct kvr_block block;
	uint64_t         len;     /* bytes of the value as any store would hold it */
	uint64_t         raw_len; /* the payload's, before the serde */
	uint32_t         serde;
	uint32_t         readers; /* in the map's count: under its lock */
	bool             in_map;
	struct kvr_meta  meta;
	char             key[];
};

struct kvr_memory_map {
	pthread_mutex_t   lock;
	struct kvr_index  index;
	struct kvr_blocks blocks;
	uint64_t          used;     /* the sum above */
	uint64_t          capacity; /* UINT64_MAX: no limit */
	uint64_t          evicted;  /* values */
};

KVR_MUST_USE enum kvr_err kvr_memory_map_open(struct kvr_memory_map *, uint64_t capacity);
/* No value may be held any more. */
void kvr_memory_map_close(struct kvr_memory_map *);

/*
 * A value to write into, with room for len bytes, made by evicting the least recently used values.
 * KVR_E_TOO_BIG: longer than the whole capacity. KVR_E_BUSY: everything that could be evicted is
 * being read or written. KVR_E_NOMEM: the system has no more memory.
 */
KVR_MUST_USE enum kvr_err kvr_memory_new(struct kvr_memory_map *, const char *key,
    uint32_t key_len, uint64_t len, struct kvr_memory_value **ret);
/* Makes it visible, replacing what was stored under its key. */
void kvr_memory_publish(struct kvr_memory_map *, struct kvr_memory_value *take);
/* Frees a value that was not published. */
void kvr_memory_discard(struct kvr_memory_map *, struct kvr_memory_value *take);

/* A value that does not change until it is released; NULL: a miss. */
struct kvr_memory_value *kvr_memory_hold(
    struct kvr_memory_map *, const char *key, uint32_t key_len);
void kvr_memory_release(struct kvr_memory_map *, struct kvr_memory_value *take);
/* Whether the key is there; counts as a use. */
bool kvr_memory_touch(struct kvr_memory_map *, const char *key, uint32_t key_len);
bool kvr_memory_delete(struct kvr_memory_map *, const char *key, uint32_t key_len);

#endif
