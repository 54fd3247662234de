/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3 of much data, once for each kind of processor. xxHash takes the widest registers that the
 * compiler may use, and that is SSE2 for what must run on any x86-64: 9 to 20 GB/s where AVX2 has
 * 30 to 40, the difference of a verified read to one that is not. All give the same values.
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
extern const struct kvr_hash_way kvr_hash_avx2; /* for processors that have it only */
#endif

#endif
