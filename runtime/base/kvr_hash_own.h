/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3 of long data, once per kind of processor. xxHash uses the widest registers that the compiler
 * may use, which for code that must run on any x86-64 is SSE2: 9 to 20 GB/s from the cache, against 30
 * to 40 with AVX2 and 58 with AVX-512. That is the difference between a verified and an unverified
 * read. All give the same values.
 */
#ifndef KVR_HASH_OWN_H
#define KVR_HASH_OWN_H

#include "kvr_hash.h"

struct kvr_hash_way {
	uint64_t (*whole)(const void *at, size_t len, uint64_t seed);
	void (*feed)(struct kvr_hash_stream *, const void *at, size_t len);
};

extern const struct kvr_hash_way kvr_hash_plain;
#if defined(__x86_64__)
extern const struct kvr_hash_way kvr_hash_avx2;   /* only for processors with AVX2 */
extern const struct kvr_hash_way kvr_hash_avx512; /* only for processors with AVX-512F */
#endif

#endif
