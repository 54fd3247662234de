/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec "planes": lossless, for 2-byte floats with similar exponents, at the speed of memory.
 *
 * Each element is rotated left by one bit, so that its high byte is the exponent of a bfloat16 and
 * its low byte holds mantissa and sign. Low bytes are noise and are stored as they are. High bytes
 * become codes of 1 to 4 bits; the code of all ones means that the byte itself follows among the
 * escapes. Nothing is rounded and no value is special: every bit pattern comes back.
 *
 * Little-endian. A frame:
 *
 *   0   u8   version, 1
 *   1   u8   bytes of an element, 2
 *   2   u8   log2 of the bytes of a block, 16
 *   3   u8   zero
 *   4   u32  zero
 *   8   u64  bytes of the payload
 *   16  ...  blocks of its whole groups of 64 elements, then the remaining bytes as they are
 *
 * A block is 64 KiB of the payload; the last one is what is left of whole groups:
 *
 *   0   u8   bits of a code, 1 to 4; 0: this block is stored as it is, the rest of its head is zero
 *   1   u8   the high byte of each code but the last, 15 of them; zero for codes that do not exist
 *   16  u32  number of escapes
 *   20  ...  per group of 64 elements a u64 for each bit of the codes, lowest bit first; bit i
 *            belongs to element i
 *   ...      low bytes, one per element
 *   ...      escapes, in the order of their elements
 *
 * The remaining bytes are fewer than a group and may be odd in number, so a payload of any length
 * has a frame.
 */
#ifndef KVR_PLANES_H
#define KVR_PLANES_H

#include "kvr_base.h"

enum {
	KVR_PLANES_GROUP = 64, /* elements: one u64 of a plane, one AVX-512 register of bytes */
	KVR_PLANES_GROUP_BYTES = 2 * KVR_PLANES_GROUP,
	KVR_PLANES_BLOCK_LOG2 = 16,
	KVR_PLANES_BLOCK_BYTES = 1 << KVR_PLANES_BLOCK_LOG2,
	KVR_PLANES_BITS_MAX = 4,
	KVR_PLANES_HEAD = 16,
	KVR_PLANES_BLOCK_HEAD = 20,
	KVR_PLANES_SLACK = 4 /* bytes behind the room for escapes that encoding may overwrite */
};

/* What the codes of a block mean. */
struct kvr_planes_code {
	uint32_t bits;
	uint8_t value[1 << KVR_PLANES_BITS_MAX]; /* of each code; 0 for codes that do not exist */
	uint8_t of[256]; /* the code of each high byte; for most of them the escape */
};

/* Where the parts of a coded block are. Encoding fills in n_escapes. */
struct kvr_planes_block {
	const struct kvr_planes_code *code;
	size_t groups;
	uint8_t *planes, *low, *escapes; /* only read when decoding */
	size_t room;                     /* bytes that may be written, or read, at escapes */
	size_t n_escapes;
};

/* The same work for three kinds of processor; all write the same bytes. */
struct kvr_planes_path {
	const char *name;
	/* Encodes whole groups from `from`. False: more escapes than room. */
	bool (*encode)(struct kvr_planes_block *, const uint8_t *from);
	/* False: the codes do not have n_escapes escapes, and what is at `to` is garbage. */
	bool (*decode)(const struct kvr_planes_block *, uint8_t *to);
	/* The two planes uncoded, for codecs that treat the high one differently. */
	void (*split)(const uint8_t *from, size_t groups, uint8_t *low, uint8_t *high);
	void (*join)(const uint8_t *low, const uint8_t *high, size_t groups, uint8_t *to);
};

/* Calls fn(block, at, bits) with bits as a constant, so that it is compiled for each width. */
#define KVR_PLANES_EACH_WIDTH(fn, block, at) \
	((block)->code->bits == 1   ? fn(block, at, 1) \
	    : (block)->code->bits == 2 ? fn(block, at, 2) \
	    : (block)->code->bits == 3 ? fn(block, at, 3) \
	                               : fn(block, at, 4))

extern const struct kvr_planes_path kvr_planes_scalar;
#if defined(__x86_64__)
extern const struct kvr_planes_path kvr_planes_avx2, kvr_planes_avx512;
#endif

/* Path `number` of those that this processor has, fastest first; the last is scalar, then NULL. */
const struct kvr_planes_path *kvr_planes_path(uint32_t number);

/*
 * The codes for these groups, from a sample of them: bits is 0 when no code makes them shorter. The
 * result depends only on the bytes, so all paths choose the same.
 */
void kvr_planes_choose(const uint8_t *from, size_t groups, struct kvr_planes_code *ret);

/* Whether these groups, judged by a few of them, shrink enough to be worth the work. */
bool kvr_planes_pays(const uint8_t *from, size_t groups);

/* Whether low bytes are practically random, so that no compressor need look at them. */
bool kvr_planes_low_is_noise(const uint8_t *from, size_t groups);

/* Bytes written; 0: no shorter than the payload, or than the room: store it as it is. */
size_t kvr_planes_encode(
    const struct kvr_planes_path *, struct kvr_const_span raw, struct kvr_span into);
/* False: not a frame of exactly raw_len bytes. Never writes beyond those. */
KVR_MUST_USE bool kvr_planes_decode(
    const struct kvr_planes_path *, struct kvr_const_span stored, void *into, size_t raw_len);

#endif
