/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3 of long data as kvr_hash_avx2.c and kvr_hash_avx512.c compile it, each with its own WAY and
 * VECTOR and the compiler's option for them (CMakeLists.txt). So callers must first check that the
 * processor has such vectors.
 */
#ifndef KVR_HASH_BODY_H
#define KVR_HASH_BODY_H

#include "kvr_hash_own.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#if XXH_VECTOR != VECTOR
#error "this file is compiled without the option for its vectors"
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

const struct kvr_hash_way WAY = { whole, feed };

#endif
