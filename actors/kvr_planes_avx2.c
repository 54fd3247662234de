/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec "planes" with AVX2: half a group at a time. A table of 256 codes does not fit a
 * shuffle, but the bytes that have codes are in few rows of 16, mostly two or three, so each of
 * those rows is looked up and the results are merged.
 */
#include "kvr_planes.h"

#if defined(__x86_64__)

#include <string.h>

#include <immintrin.h>

#define AVX2        __attribute__((target("avx2,bmi,popcnt")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,bmi,popcnt")))

/* The number of rounds is constant, but at -O2 gcc does not unroll short loops by itself. */
#define UNROLL _Pragma("GCC unroll 4")

struct row {
	__m256i at;   /* in every byte: the row's high nibble */
	__m256i code; /* codes of its 16 bytes, all bits inverted: 0 means escape */
};

AVX2_INLINE uint32_t
used_rows(const struct kvr_planes_code *code, struct row *ret)
{
	const __m256i escape = _mm256_set1_epi8((char)((1 << code->bits) - 1));
	uint32_t n = 0;

	for (int r = 0; r < 16; r++) {
		__m128i half = _mm_loadu_si128((const __m128i *)(const void *)(code->of + 16 * r));
		__m256i turned = _mm256_xor_si256(_mm256_broadcastsi128_si256(half), escape);

		if (_mm256_testz_si256(turned, turned))
			continue;
		ret[n].at = _mm256_set1_epi8((char)(16 * r));
		ret[n++].code = turned;
	}
	return n;
}

/* Elements 0 to 31 of 64 bytes: stores their low bytes, returns their high bytes. */
AVX2_INLINE __m256i
take_apart(const uint8_t *from, uint8_t *low)
{
	const __m256i byte = _mm256_set1_epi16(255);
	__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)from);
	__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(from + 32));

	a = _mm256_or_si256(_mm256_slli_epi16(a, 1), _mm256_srli_epi16(a, 15));
	b = _mm256_or_si256(_mm256_slli_epi16(b, 1), _mm256_srli_epi16(b, 15));
	__m256i l = _mm256_packus_epi16(_mm256_and_si256(a, byte), _mm256_and_si256(b, byte));
	__m256i h = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));

	/* A pack works on each half of the register; this puts the quarters in order. */
	_mm256_storeu_si256((__m256i *)(void *)low, _mm256_permute4x64_epi64(l, 0xd8));
	return _mm256_permute4x64_epi64(h, 0xd8);
}

AVX2_INLINE __m256i
look_up(__m256i high, const struct row *row, uint32_t n_rows, __m256i escape)
{
	const __m256i out = _mm256_set1_epi8(0x70);
	__m256i turned = _mm256_setzero_si256();

	for (uint32_t r = 0; r < n_rows; r++) {
		/*
		 * Below 16 only for bytes in this row; the sum sets the top bit of all others, for
		 * which the shuffle gives 0.
		 */
		__m256i index = _mm256_adds_epu8(_mm256_xor_si256(high, row[r].at), out);

		turned = _mm256_or_si256(turned, _mm256_shuffle_epi8(row[r].code, index));
	}
	return _mm256_xor_si256(turned, escape);
}

/*
 * A group of KV data mostly has two or three escapes, rarely more. A branch on their number would
 * be unpredictable, so this many are always done, and surplus ones land where they do no harm.
 */
enum { ALWAYS = KVR_PLANES_SLACK };

AVX2_INLINE void
take_escapes(uint64_t escaped, const uint8_t *high, uint8_t *end)
{
	UNROLL
	for (uint32_t i = 0; i < ALWAYS; i++, escaped &= escaped - 1)
		end[i] = high[_tzcnt_u64(escaped)];
	for (end += ALWAYS; __builtin_expect(escaped != 0, 0); escaped &= escaped - 1)
		*end++ = high[_tzcnt_u64(escaped)];
}

/* Bit k of 32 codes of at most 4 bits: bits shifted in from a neighbour stay below the top. */
#define PLANE(code, k) ((uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(code, 7 - (k))))

AVX2_INLINE bool
encode_bits(struct kvr_planes_block *block, const uint8_t *from, uint32_t bits)
{
	const __m256i escape = _mm256_set1_epi8((char)((1 << bits) - 1));
	struct row row[16];
	uint32_t n_rows = used_rows(block->code, row);
	uint8_t *planes = block->planes, *low = block->low, *end = block->escapes;
	uint8_t high[KVR_PLANES_GROUP + 1] = { 0 }; /* the last one belongs to no element */

	for (size_t g = 0; g < block->groups;
	     g++, from += KVR_PLANES_GROUP_BYTES, low += KVR_PLANES_GROUP) {
		__m256i h0 = take_apart(from, low), h1 = take_apart(from + 64, low + 32);
		__m256i c0 = look_up(h0, row, n_rows, escape),
		        c1 = look_up(h1, row, n_rows, escape);
		uint64_t escaped = UINT64_MAX;

		UNROLL
		for (uint32_t k = 0; k < bits; k++, planes += 8) {
			uint64_t plane = (uint64_t)PLANE(c1, (int)k) << 32 | PLANE(c0, (int)k);

			memcpy(planes, &plane, 8);
			escaped &= plane;
		}
		size_t n = (size_t)__builtin_popcountll(escaped);

		if (n > block->room - (size_t)(end - block->escapes))
			return false;
		_mm256_storeu_si256((__m256i *)(void *)high, h0);
		_mm256_storeu_si256((__m256i *)(void *)(high + 32), h1);
		take_escapes(escaped, high, end);
		end += n;
	}
	block->n_escapes = (size_t)(end - block->escapes);
	return true;
}

static AVX2 bool
encode(struct kvr_planes_block *block, const uint8_t *from)
{
	return KVR_PLANES_EACH_WIDTH(encode_bits, block, from);
}

/* 32 bits of a plane as bytes of 0 or -1. */
AVX2_INLINE __m256i
spread(uint32_t plane)
{
	const __m256i from =
	    _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
	const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
	__m256i all = _mm256_shuffle_epi8(_mm256_set1_epi32((int)plane), from);

	return _mm256_cmpeq_epi8(_mm256_and_si256(all, bit), bit);
}

/* 32 elements from their high bytes and from the low ones in memory. */
AVX2_INLINE void
put_together(__m256i high, const uint8_t *low, uint8_t *to)
{
	/* Unpacking works on each half of the register, so the quarters are swapped first. */
	__m256i l =
	    _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)(const void *)low), 0xd8);
	__m256i h = _mm256_permute4x64_epi64(high, 0xd8);
	__m256i a = _mm256_unpacklo_epi8(l, h), b = _mm256_unpackhi_epi8(l, h);

	a = _mm256_or_si256(_mm256_srli_epi16(a, 1), _mm256_slli_epi16(a, 15));
	b = _mm256_or_si256(_mm256_srli_epi16(b, 1), _mm256_slli_epi16(b, 15));
	_mm256_storeu_si256((__m256i *)(void *)to, a);
	_mm256_storeu_si256((__m256i *)(void *)(to + 32), b);
}

AVX2_INLINE void
put_escape(uint8_t escape, uint8_t low, uint8_t *to)
{
	uint16_t x = (uint16_t)(escape << 7 | low >> 1 | low << 15);

	memcpy(to, &x, 2);
}

AVX2_INLINE void
put_escapes(uint64_t escaped, const uint8_t *escapes, size_t left, const uint8_t *low, uint8_t *to)
{
	uint8_t nowhere[2];

	if (left >= ALWAYS) {
		UNROLL
		for (uint32_t i = 0; i < ALWAYS; i++, escaped &= escaped - 1) {
			uint64_t at = _tzcnt_u64(escaped) % KVR_PLANES_GROUP;

			put_escape(*escapes++, low[at], escaped == 0 ? nowhere : to + 2 * at);
		}
	}
	for (; __builtin_expect(escaped != 0, 0); escaped &= escaped - 1) {
		uint64_t at = _tzcnt_u64(escaped);

		put_escape(*escapes++, low[at], to + 2 * at);
	}
}

AVX2_INLINE bool
decode_bits(const struct kvr_planes_block *block, uint8_t *to, uint32_t bits)
{
	const __m256i value = _mm256_broadcastsi128_si256(
	    _mm_loadu_si128((const __m128i *)(const void *)block->code->value));
	const uint8_t *planes = block->planes, *low = block->low, *next = block->escapes;
	const uint8_t *end = next + block->n_escapes;

	for (size_t g = 0; g < block->groups;
	     g++, to += KVR_PLANES_GROUP_BYTES, low += KVR_PLANES_GROUP) {
		__m256i c0 = _mm256_setzero_si256(), c1 = c0;
		uint64_t plane[KVR_PLANES_BITS_MAX], escaped = UINT64_MAX;

		memcpy(plane, planes, sizeof(uint64_t) * bits);
		planes += 8 * bits;
		UNROLL
		for (uint32_t k = bits; k-- > 0;) {
			escaped &= plane[k];
			c0 = _mm256_sub_epi8(_mm256_add_epi8(c0, c0), spread((uint32_t)plane[k]));
			c1 = _mm256_sub_epi8(
			    _mm256_add_epi8(c1, c1), spread((uint32_t)(plane[k] >> 32)));
		}
		put_together(_mm256_shuffle_epi8(value, c0), low, to);
		put_together(_mm256_shuffle_epi8(value, c1), low + 32, to + 64);
		size_t n = (size_t)__builtin_popcountll(escaped), left = (size_t)(end - next);

		if (n > left)
			return false;
		put_escapes(escaped, next, left, low, to);
		next += n;
	}
	return next == end;
}

static AVX2 bool
decode(const struct kvr_planes_block *block, uint8_t *to)
{
	return KVR_PLANES_EACH_WIDTH(decode_bits, block, to);
}

static AVX2 void
split(const uint8_t *from, size_t groups, uint8_t *low, uint8_t *high)
{
	for (size_t i = 0; i < 2 * groups; i++, from += 64, low += 32, high += 32)
		_mm256_storeu_si256((__m256i *)(void *)high, take_apart(from, low));
}

static AVX2 void
join(const uint8_t *low, const uint8_t *high, size_t groups, uint8_t *to)
{
	for (size_t i = 0; i < 2 * groups; i++, to += 64, low += 32, high += 32)
		put_together(_mm256_loadu_si256((const __m256i *)(const void *)high), low, to);
}

const struct kvr_planes_path kvr_planes_avx2 = { "avx2", encode, decode, split, join };

#endif
