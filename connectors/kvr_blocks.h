/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory behind the values of a memory store. Big blocks are mapped, and those that are freed
 * are kept for the next value of the same size: chunks of one model are all alike, and the page
 * faults of fresh memory cost more than the copy into it (64 MiB are 16384 faults).
 *
 * Kept blocks still count against the store's capacity, so the caller sees their bytes. Nothing
 * here locks: get and keep belong under the store's lock, map and unmap (which are slow) outside.
 */
#ifndef KVR_BLOCKS_H
#define KVR_BLOCKS_H

#include "kvr_err.h"

#define KVR_BLOCKS_KEPT_MAX 64U

struct kvr_block {
	void    *at;   /* NULL with size 0: an empty value */
	uint64_t size; /* what it really takes: len rounded up */
};

struct kvr_blocks {
	struct kvr_block kept[KVR_BLOCKS_KEPT_MAX];
	uint32_t n;
	uint32_t spare;
	uint64_t bytes;     /* of all kept */
	uint64_t bytes_max;
};

/* The size of the block that holds len bytes. */
uint64_t kvr_block_size(uint64_t len);
/* A kept block of exactly this size. */
bool kvr_blocks_get(struct kvr_blocks *, uint64_t size, struct kvr_block *ret);
/* Any kept block, the longest-kept first: for a store that needs room for another size. */
bool kvr_blocks_get_any(struct kvr_blocks *, struct kvr_block *ret);
/* False: not worth keeping, or enough are kept; the block is still the caller's. */
bool kvr_blocks_keep(struct kvr_blocks *, struct kvr_block take);

KVR_MUST_USE enum kvr_err kvr_block_map(uint64_t size, struct kvr_block *ret); /* KVR_E_NOMEM */
void kvr_block_unmap(struct kvr_block take);

#endif
