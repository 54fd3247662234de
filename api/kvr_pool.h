/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caller objects: counted runs of slots, in memory that is mapped, or requested, only as far as it
 * is used. Nothing is evicted; a slot is free again when the last reference and pin are gone.
 *
 * A slot is one full chunk if its size is known before the first object, otherwise a 65,536th of
 * the pool. An object takes as many consecutive slots as it needs.
 */
#ifndef KVR_POOL_H
#define KVR_POOL_H

#include "kvrelay.h" /* before what would declare its errors a second time */

#include "kvr_meta.h"
#include "kvr_range.h"

#include <pthread.h>

#define KVR_POOL_MAGIC KVR_MAGIC('K', 'V', 'R', 'P')

enum {
	KVR_POOL_SLOTS_MAX = 1048576,
	KVR_RANGE_SLOTS = 65536, /* if nothing says how large a chunk is */
	KVR_POOL_PARTS_MAX = 32,
	KVR_POOL_ALIGN = 4096
};

struct kvr_object {
	uint32_t gen;
	uint32_t refs, pins; /* both 0: free */
	uint32_t users;      /* operations; each also has one of refs */
	uint32_t slots;
	uint32_t n_groups, format;
	uint32_t spare;
	uint64_t len;
	void *at;
	struct kvr_shape shape[KVR_GROUPS_MAX]; /* for the tokens that len holds */
	struct kvr_meta full;                   /* as it was made; for shrinking */
	uint64_t full_bytes;
};

struct kvr_pool_memory {
	void *(*get)(void *arg, size_t len, size_t align); /* NULL: mmap */
	void (*put)(void *arg, void *at, size_t len);
	void *arg;
};

struct kvr_pool {
	uint32_t magic;
	uint32_t waiting;
	struct kvr *kvr;
	struct kvr_pool_memory memory;
	uint64_t limit;     /* bytes */
	uint64_t slot;      /* bytes; 0: not yet decided */
	uint64_t slot_wish; /* from configuration or layout; 0: none */
	uint32_t part_slots, n_parts, parts_max;
	void *part[KVR_POOL_PARTS_MAX];
	struct kvr_range range;
	struct kvr_object *objects; /* by first slot; mapped, and touched only where used */
	size_t objects_bytes;
	pthread_mutex_t lock;
	_Atomic uint32_t bell; /* rung when slots become free while somebody waits */
	uint64_t n_live;
};

struct kvr_pool *kvr_pool_new(struct kvr *, uint64_t limit, const struct kvr_pool_memory *);
void kvr_pool_free(struct kvr_pool *take);
/* Before the first object. False: too late. */
bool kvr_pool_set_slot(struct kvr_pool *, uint64_t bytes);

/* Whether its memory, which it keeps until it is freed, has bytes in this range. */
bool kvr_pool_overlaps(struct kvr_pool *, uintptr_t first, uint64_t bytes);

/* For the facade; these take the lock. until_ns 0: does not wait. */
KVR_MUST_USE enum kvr_err kvr_pool_make(struct kvr_pool *, const struct kvr_meta *,
    uint64_t full_bytes, uint64_t len, uint64_t until_ns, uint64_t *ret);
/* Takes one reference for an operation. STALE. */
struct kvr_pool_span {
	void *at;
	uint64_t len, room;
};
KVR_MUST_USE enum kvr_err kvr_pool_use(struct kvr_pool *, uint64_t obj, struct kvr_pool_span *ret);
void kvr_pool_unuse(struct kvr_pool *, uint64_t obj);
/* A get has put len bytes there. meta: the shape of a full chunk; n_groups 0: plain bytes. */
void kvr_pool_found(
    struct kvr_pool *, uint64_t obj, const struct kvr_meta *, uint64_t full_bytes, uint64_t len);
/* The shape with which an object was made; n_groups 0: plain bytes. */
void kvr_pool_meta(struct kvr_pool *, uint64_t obj, struct kvr_meta *ret, uint64_t *ret_bytes);

enum kvr_pool_change {
	KVR_POOL_REF,
	KVR_POOL_UNREF,
	KVR_POOL_PIN,
	KVR_POOL_UNPIN,
	KVR_POOL_SHRINK
};
KVR_MUST_USE enum kvr_err kvr_pool_change(
    struct kvr_pool *, uint64_t obj, enum kvr_pool_change, uint64_t len);
KVR_MUST_USE enum kvr_err kvr_pool_look(struct kvr_pool *, uint64_t obj, struct kvr_obj_info *ret);

#endif
