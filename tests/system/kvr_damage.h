/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of values in a store that keeps other bytes than it was given. */
#ifndef KVR_SYSTEM_DAMAGE_H
#define KVR_SYSTEM_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

enum kvr_damage {
	KVR_DAMAGE_NONE,
	KVR_DAMAGE_FLIP,   /* one bit */
	KVR_DAMAGE_FLIPS,  /* two to seventeen bits */
	KVR_DAMAGE_CUT,    /* the end is gone, or all of it */
	KVR_DAMAGE_LONGER, /* bytes behind the end */
	KVR_DAMAGE_SWAP,   /* the sound value of another key */
	KVR_DAMAGE_SPLICE, /* begins as itself and ends as the value of another key: a torn write */
	KVR_DAMAGE_HOLE,   /* a stretch of zeros: what a file system leaves after a power failure */
	KVR_DAMAGE_N
};

enum { KVR_DAMAGE_MORE = 64 }; /* bytes that a damaged value may be longer */

const char *kvr_damage_name(enum kvr_damage);
uint64_t kvr_damage_draw(uint64_t *rand); /* splitmix64, so that a run can be repeated */

/*
 * Writes the damaged value of own into to, which has room for own_len + KVR_DAMAGE_MORE and for
 * other_len bytes, and returns its length. It may come out as it was: a stretch may be zeros
 * already.
 */
size_t kvr_damage_make(enum kvr_damage, uint64_t *rand, const uint8_t *own, size_t own_len,
    const uint8_t *other, size_t other_len, uint8_t *to);

#endif
