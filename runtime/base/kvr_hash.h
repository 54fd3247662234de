/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums and digests (XXH3). kvr_hash.c is the only file that sees xxHash. */
#ifndef KVR_HASH_H
#define KVR_HASH_H

#include "kvr_base.h"

/* The 128-bit name of a key, and all that a decider knows of it. */
typedef struct {
	uint64_t hi, lo;
} kvr_digest;

uint64_t   kvr_hash64(const void *at, size_t len);
uint64_t   kvr_hash64_seed(const void *at, size_t len, uint64_t seed);
kvr_digest kvr_hash128(const void *at, size_t len);

#endif
