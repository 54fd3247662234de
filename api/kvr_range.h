/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates runs of units from a fixed number of units: key slots, key text, slots of the pool. A
 * buddy allocator: a run lies inside an aligned power of two, but takes only as many units as were
 * requested, because the rest is given back at once. So a run can be found whenever an aligned
 * block is free, and a batch of 40,000 keys does not cost 65,536.
 *
 * No lock, and no allocation after kvr_range_init.
 */
#ifndef KVR_RANGE_H
#define KVR_RANGE_H

#include "kvr_base.h"

enum { KVR_RANGE_ORDERS = 24 };

struct kvr_range {
	uint32_t cap, free;              /* units */
	uint32_t orders;                 /* the largest block has 1 << (orders - 1) units */
	uint32_t head[KVR_RANGE_ORDERS]; /* first free block of each order: unit + 1 */
	uint32_t *next, *prev;           /* of a free block, at its first unit: unit + 1 */
	uint8_t *order;                  /* of a free block, at its first unit: order + 1; else 0 */
	/*
	 * The last run that was given back is kept here unchanged, because the next operation
	 * usually needs the same length. Merging and splitting it again cost a lookup of one key a
	 * tenth of its instructions.
	 */
	uint32_t last, n_last;
	size_t bytes;
};

/* Nothing is free at first: kvr_range_give adds units. max_run: longest run, at most cap. */
bool kvr_range_init(struct kvr_range *, uint32_t cap, uint32_t max_run);
void kvr_range_clear(struct kvr_range *);

/* False: no such run is free. n is at least 1. */
KVR_MUST_USE bool kvr_range_take(struct kvr_range *, uint32_t n, uint32_t *ret_first);
void kvr_range_give(struct kvr_range *, uint32_t first, uint32_t n);

#endif
