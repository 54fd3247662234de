/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled with -mavx512f (CMakeLists.txt), so callers must first check that the processor has it. */
#include "kvr_hash_own.h"

#if defined(__x86_64__)

#define XXH_INLINE_ALL
#include <xxhash.h>

#if XXH_VECTOR != XXH_AVX512
#error "this file is compiled with -mavx512f"
#endif

static uint64_t
whole(const void *at, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(at, len, seed);
}

static void
feed(struct kvr_hash_stream *stream, const void *at, size_t len)
{
	KVR_CHECK(XXH3_64bits_update((XXH3_state_t *)(void *)stream, at, len) == XXH_OK);
}

const struct kvr_hash_way kvr_hash_avx512 = { whole, feed };

#endif
