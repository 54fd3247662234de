/* SPDX-License-Identifier: Apache-2.0 */
/* Paged caches of engines, and their tokens as runs of slots. */
#ifndef KVR_CACHE_H
#define KVR_CACHE_H

#include "kvrelay.h"

#include "kvr_meta.h"
#include "kvr_pages.h"

#include <stdatomic.h>

struct kvr_call;

#define KVR_CACHE_MAGIC KVR_MAGIC('K', 'V', 'R', 'C')

/*
 * The members that shapes and tokens had before groups were supported: older callers keep working.
 */
#define KVR_CACHE_SHAPE_LEAST offsetof(struct kvr_cache_shape, number)
#define KVR_TOKENS_LEAST offsetof(struct kvr_tokens, next)

/* Constant after it was made, except users. */
struct kvr_cache {
	uint32_t         magic;
	_Atomic uint32_t users; /* operations that use it */
	struct kvr      *kvr;
	uint32_t         n_groups, spare;
	struct kvr_pages pages; /* the first group, linked to the others */
	struct kvr_pages more[KVR_GROUPS_MAX - 1];
	uint8_t         *base[]; /* of all groups, followed by their layers' numbers */
};

/* Whether an open cache in host memory has bytes in this range. */
bool kvr_caches_overlap(struct kvr *, uintptr_t first, uint64_t bytes);
/* Reads all groups, with their strides. INVALID, with a line in the log. */
KVR_MUST_USE enum kvr_err kvr_cache_shapes_read(struct kvr *, const struct kvr_cache_shape *,
    struct kvr_cache_shape ret[KVR_GROUPS_MAX], uint32_t *ret_n);

/* The batch's tokens must be a copy of the caller's. */
KVR_MUST_USE enum kvr_err kvr_tokens_check(struct kvr *, const struct kvr_batch *,
    uint32_t *ret_runs);
/* INVALID: the caller has changed its table since the check. */
KVR_MUST_USE enum kvr_err kvr_tokens_fill(struct kvr *, struct kvr_call *,
    const struct kvr_batch *);
void kvr_tokens_meta(const struct kvr_batch *, struct kvr_meta *ret, uint64_t *ret_bytes);

#endif
