/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paged caches for tests: any shape, order of memory and choice of slots, drawn from a seed. What
 * cannot be had ends the test.
 */
#ifndef KVR_HARNESS_PAGED_WORLD_H
#define KVR_HARNESS_PAGED_WORLD_H

#include "kvr_pages.h"

enum { PAGED_GUARD = 64 }; /* bytes around the cache that are nobody's */

/* A cache, tokens of it, and a chunk of them. */
struct paged_world {
	uint64_t seed;
	struct kvr_pages pages;
	uint8_t *base[64];
	uint32_t dtype, element, head_size, layer;
	uint8_t *memory, *chunk;
	uint64_t memory_len, chunk_len;
	uint32_t *slot; /* of each token; KVR_NO_SLOT */
	uint32_t tokens;
	struct kvr_run *runs;
	uint32_t n_runs;
};

enum paged_order {
	PAGED_PER_PLANE,
	PAGED_PER_LAYER,
	PAGED_PLANES_IN_BLOCKS,
	PAGED_ONE_ALLOCATION,
	PAGED_ORDERS
};

uint64_t paged_draw(uint64_t *seed, uint64_t below);
void paged_scramble(uint64_t *seed, uint8_t *at, uint64_t len);

/* A small shape, of the kind-th format; then its memory; then tokens; then their runs. */
void paged_shape(struct paged_world *, uint32_t kind);
/* heads_first: heads before tokens inside a block. gap: bytes behind each block. */
void paged_lay_out(struct paged_world *, enum paged_order, bool heads_first, uint64_t gap);
/* Each slot at most once; run: so many follow each other. holes: some tokens have no slot. */
void paged_choose_slots(struct paged_world *, uint32_t tokens, uint32_t run, bool holes);
void paged_find_runs(struct paged_world *);
/* A small world of every kind: the i-th. */
void paged_draw_world(struct paged_world *, uint32_t i);
void paged_free(struct paged_world *);

#endif
