/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums and digests (XXH3). Only kvr_hash.c and kvr_hash_body.h see xxHash. */
#ifndef KVR_HASH_H
#define KVR_HASH_H

#include "kvr_base.h"

/* The 128-bit digest of a key's text; all that a decider knows of the key. */
typedef struct {
	uint64_t hi, lo;
} kvr_digest;

uint64_t   kvr_hash64(const void *at, size_t len);
uint64_t   kvr_hash64_seed(const void *at, size_t len, uint64_t seed);
/* The same for exactly 64 bytes, in half the instructions: 100 calls in a lookup of 64 keys. */
uint64_t   kvr_hash64_line(const void *at, uint64_t seed);
kvr_digest kvr_hash128(const void *at, size_t len);
/* The version of the xxHash headers that were compiled in. */
const char *kvr_hash_library(void);

/*
 * kvr_hash64 of bytes that come in pieces: begin, feed each piece in order, end. How the bytes are
 * cut makes no difference. The state is plain memory, so there is nothing to free; end may be
 * called at any point, and feeding may go on after it.
 */
struct kvr_hash_stream {
	_Alignas(64) uint64_t opaque[80];
};

void     kvr_hash_begin(struct kvr_hash_stream *);
void     kvr_hash_feed(struct kvr_hash_stream *, const void *at, size_t len);
uint64_t kvr_hash_end(const struct kvr_hash_stream *);

#endif
