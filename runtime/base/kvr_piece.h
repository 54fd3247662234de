/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is copied at a time between a paged cache and a chunk. Nothing but C and C++ have in common:
 * the kernel reads it as it is.
 */
#ifndef KVR_PIECE_H
#define KVR_PIECE_H

#include <stdint.h>

/*
 * len bytes, which lie side by side in the chunk. So they do in the cache when unit is 0. Else they
 * are units of that many bytes there: inner of them to a row, unit_step apart, and the rows row_step
 * apart; a whole number of rows. Where a block has its heads outermost a unit is a head of a token,
 * and a row a token.
 */
struct kvr_piece {
	uint8_t *cache, *chunk;
	uint64_t len;
	uint32_t unit, inner;
	int64_t  unit_step, row_step;
};

/* Of pieces in units, unless one row is longer: what a block of the kernel has to do is like others'. */
enum { KVR_PIECE_TILE = 65536 };

/* Takes up to that many bytes from its beginning, where it is contiguous; or all of it. What is left has len 0 then. */
static inline struct kvr_piece
kvr_piece_take(struct kvr_piece *rest, uint64_t most)
{
	struct kvr_piece part = *rest;

	if (part.unit == 0 && part.len > most)
		part.len = most;
	rest->cache += part.len;
	rest->chunk += part.len;
	rest->len -= part.len;
	return part;
}

/* Contiguous parts of a piece. */
static inline uint64_t
kvr_piece_units(const struct kvr_piece *p)
{
	return p->unit == 0 ? 1 : p->len / p->unit;
}

/* The i-th of them, in the order of the chunk. */
static inline struct kvr_piece
kvr_piece_unit(const struct kvr_piece *p, uint64_t i)
{
	struct kvr_piece unit = *p;

	if (p->unit == 0)
		return unit;
	unit.cache += (int64_t)(i / p->inner) * p->row_step + (int64_t)(i % p->inner) * p->unit_step;
	unit.chunk += i * p->unit;
	unit.len = p->unit;
	unit.unit = 0;
	return unit;
}

#endif
