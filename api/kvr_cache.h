/* SPDX-License-Identifier: Apache-2.0 */
/* Paged caches of engines, and tokens of them as runs of slots. */
#ifndef KVR_CACHE_H
#define KVR_CACHE_H

#include "kvrelay.h"

#include "kvr_meta.h"
#include "kvr_pages.h"

#include <stdatomic.h>

struct kvr_call;

#define KVR_CACHE_MAGIC KVR_MAGIC('K', 'V', 'R', 'C')

/* What shapes of caches and tokens had before there were groups: callers that were compiled then go on. */
#define KVR_CACHE_SHAPE_LEAST offsetof(struct kvr_cache_shape, number)
#define KVR_TOKENS_LEAST offsetof(struct kvr_tokens, next)

/* Changed by nobody after it was made, but for users. */
struct kvr_cache {
	uint32_t         magic;
	_Atomic uint32_t users; /* operations that name it */
	struct kvr      *kvr;
	uint32_t         n_groups, spare;
	struct kvr_pages pages; /* the first group; the others hang on it */
	struct kvr_pages more[KVR_GROUPS_MAX - 1];
	uint8_t         *base[]; /* of all groups, and then their layers' numbers */
};

/* Whether an open one in the host's memory has bytes in there. */
bool kvr_caches_overlap(struct kvr *, uintptr_t first, uint64_t bytes);
/* All groups, with their strides. INVALID, and a line in the log. */
KVR_MUST_USE enum kvr_err kvr_cache_shapes_read(struct kvr *, const struct kvr_cache_shape *,
    struct kvr_cache_shape ret[KVR_GROUPS_MAX], uint32_t *ret_n);

/* tokens of a batch are a copy of the caller's. */
KVR_MUST_USE enum kvr_err kvr_tokens_check(struct kvr *, const struct kvr_batch *,
    uint32_t *ret_runs);
/* INVALID: the caller has changed his table since. */
KVR_MUST_USE enum kvr_err kvr_tokens_fill(struct kvr *, struct kvr_call *,
    const struct kvr_batch *);
void kvr_tokens_meta(const struct kvr_batch *, struct kvr_meta *ret, uint64_t *ret_bytes);

#endif
