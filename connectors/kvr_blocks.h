/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory behind the values of a memory store. Big blocks are mapped, and freed ones are kept
 * for the next value of the same size: all chunks of one model have the same size, and the page
 * faults of fresh memory cost more than the copy into it (64 MiB are 16384 faults).
 *
 * Kept blocks still count against the store's capacity, so the caller can see their bytes. Nothing
 * here locks: call get and keep under the store's lock, map and unmap (which are slow) outside it.
 */
#ifndef KVR_BLOCKS_H
#define KVR_BLOCKS_H

#include "kvr_err.h"

#define KVR_BLOCKS_KEPT_MAX 64U

struct kvr_block {
	void    *at;   /* NULL with size 0: an empty value */
	uint64_t size; /* what it really occupies: len rounded up */
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
/* The block that was kept longest, of any size: for a store that needs room for another size. */
bool kvr_blocks_get_any(struct kvr_blocks *, struct kvr_block *ret);
/* False: too small, or enough are kept already; the block then still belongs to the caller. */
bool kvr_blocks_keep(struct kvr_blocks *, struct kvr_block take);

KVR_MUST_USE enum kvr_err kvr_block_map(uint64_t size, struct kvr_block *ret); /* KVR_E_NOMEM */
void kvr_block_unmap(struct kvr_block take);

#endif
