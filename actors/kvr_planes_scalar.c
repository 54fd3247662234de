/* SPDX-License-Identifier: Apache-2.0 */
/* The codec "planes" for any processor; the reference for the other two. */
#include "kvr_planes.h"
#include "kvr_le.h"

static inline uint32_t
high_of(uint32_t x)
{
	return x >> 7 & 255;
}

static inline uint8_t
low_of(uint32_t x)
{
	return (uint8_t)(x << 1 | x >> 15);
}

static inline uint16_t
element(uint32_t high, uint32_t low)
{
	return (uint16_t)(high << 7 | low >> 1 | low << 15);
}

static bool
encode(struct kvr_planes_block *block, const uint8_t *from)
{
	const struct kvr_planes_code *code = block->code;
	const uint32_t escape = (1U << code->bits) - 1;
	size_t n_escapes = 0;

	for (size_t g = 0; g < block->groups; g++) {
		uint64_t plane[KVR_PLANES_BITS_MAX] = { 0 };

		for (size_t i = 0; i < KVR_PLANES_GROUP; i++, from += 2) {
			uint32_t x = kvr_le16(from), high = high_of(x);
			uint64_t c = code->of[high];

			block->low[g * KVR_PLANES_GROUP + i] = low_of(x);
			for (uint32_t k = 0; k < code->bits; k++)
				plane[k] |= (c >> k & 1) << i;
			if (c != escape)
				continue;
			if (n_escapes == block->room)
				return false;
			block->escapes[n_escapes++] = (uint8_t)high;
		}
		for (uint32_t k = 0; k < code->bits; k++)
			kvr_le64_put(block->planes + 8 * (g * code->bits + k), plane[k]);
	}
	block->n_escapes = n_escapes;
	return true;
}

static bool
decode(const struct kvr_planes_block *block, uint8_t *to)
{
	const struct kvr_planes_code *code = block->code;
	const uint32_t escape = (1U << code->bits) - 1;
	size_t n_escapes = 0;

	for (size_t g = 0; g < block->groups; g++) {
		uint64_t plane[KVR_PLANES_BITS_MAX] = { 0 };

		for (uint32_t k = 0; k < code->bits; k++)
			plane[k] = kvr_le64(block->planes + 8 * (g * code->bits + k));
		for (size_t i = 0; i < KVR_PLANES_GROUP; i++, to += 2) {
			uint32_t c = 0, high, low = block->low[g * KVR_PLANES_GROUP + i];

			for (uint32_t k = 0; k < code->bits; k++)
				c |= (uint32_t)(plane[k] >> i & 1) << k;
			if (c == escape && n_escapes == block->n_escapes)
				return false;
			high = c == escape ? block->escapes[n_escapes++] : code->value[c];
			kvr_le16_put(to, element(high, low));
		}
	}
	return n_escapes == block->n_escapes;
}

static void
split(const uint8_t *from, size_t groups, uint8_t *low, uint8_t *high)
{
	for (size_t i = 0; i < groups * KVR_PLANES_GROUP; i++) {
		uint32_t x = kvr_le16(from + 2 * i);

		low[i] = low_of(x);
		high[i] = (uint8_t)high_of(x);
	}
}

static void
join(const uint8_t *low, const uint8_t *high, size_t groups, uint8_t *to)
{
	for (size_t i = 0; i < groups * KVR_PLANES_GROUP; i++)
		kvr_le16_put(to + 2 * i, element(high[i], low[i]));
}

const struct kvr_planes_path kvr_planes_scalar = { "scalar", encode, decode, split, join };
