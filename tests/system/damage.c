/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_damage.h"

#include <string.h>

const char *
kvr_damage_name(enum kvr_damage damage)
{
	static const char *const names[KVR_DAMAGE_N] = { "none", "one bit", "several bits", "cut",
		"longer", "another key's", "spliced", "hole" };

	return names[damage];
}

uint64_t
kvr_damage_draw(uint64_t *rand)
{
	uint64_t z = *rand += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t
below(uint64_t *rand, size_t n)
{
	return (size_t)(kvr_damage_draw(rand) % n);
}

static void
flip(uint64_t *rand, uint8_t *at, size_t len, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t bit = below(rand, len * 8);

		at[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

size_t
kvr_damage_make(enum kvr_damage damage, uint64_t *rand, const uint8_t *own, size_t own_len,
    const uint8_t *other, size_t other_len, uint8_t *to)
{
	size_t from, n;

	memcpy(to, own, own_len);
	switch (damage) {
	case KVR_DAMAGE_FLIP:
		flip(rand, to, own_len, 1);
		return own_len;
	case KVR_DAMAGE_FLIPS:
		flip(rand, to, own_len, 2 + below(rand, 16));
		return own_len;
	case KVR_DAMAGE_CUT:
		return below(rand, own_len);
	case KVR_DAMAGE_LONGER:
		n = 1 + below(rand, KVR_DAMAGE_MORE);
		memset(to + own_len, (int)below(rand, 256), n);
		return own_len + n;
	case KVR_DAMAGE_SWAP:
		memcpy(to, other, other_len);
		return other_len;
	case KVR_DAMAGE_SPLICE:
		from = below(rand, own_len < other_len ? own_len : other_len);
		memcpy(to + from, other + from, other_len - from);
		return other_len;
	case KVR_DAMAGE_HOLE:
		from = below(rand, own_len);
		n = 1 + below(rand, own_len - from);
		memset(to + from, 0, n);
		return own_len;
	case KVR_DAMAGE_NONE:
	case KVR_DAMAGE_N:
	default:
		return own_len;
	}
}
