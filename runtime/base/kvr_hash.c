/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t
kvr_hash64(const void *at, size_t len)
{
	return XXH3_64bits(at, len);
}

uint64_t
kvr_hash64_seed(const void *at, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(at, len, seed);
}

kvr_digest
kvr_hash128(const void *at, size_t len)
{
	XXH128_hash_t h = XXH3_128bits(at, len);

	return (kvr_digest){ .hi = h.high64, .lo = h.low64 };
}
