/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec "planes" with AVX-512: a group is one register of bytes, a plane is one mask, and
 * compress and expand handle escapes, so no branch depends on the data.
 */
#include "kvr_planes.h"

#if defined(__x86_64__)

#include <string.h>

#include <immintrin.h>

#define TARGET        "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi2,popcnt"
#define AVX512        __attribute__((target(TARGET)))
#define AVX512_INLINE static inline __attribute__((always_inline, target(TARGET)))

/* Indices 0, 2, 4, ... or 1, 3, 5, ... into the 128 bytes of two registers. */
AVX512_INLINE __m512i
every_second(uint64_t first)
{
	uint8_t number[64];

	for (uint64_t i = 0; i < 64; i++)
		number[i] = (uint8_t)(2 * i + first);
	return _mm512_loadu_si512(number);
}

/* One group: stores its low bytes, returns its high bytes. */
AVX512_INLINE __m512i
take_apart(const uint8_t *from, __m512i even, __m512i odd, uint8_t *low)
{
	__m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 64);

	a = _mm512_shldi_epi16(a, a, 1);
	b = _mm512_shldi_epi16(b, b, 1);
	_mm512_storeu_si512(low, _mm512_permutex2var_epi8(a, even, b));
	return _mm512_permutex2var_epi8(a, odd, b);
}

AVX512_INLINE bool
encode_bits(struct kvr_planes_block *block, const uint8_t *from, uint32_t bits)
{
	const uint8_t *of = block->code->of;
	const __m512i t0 = _mm512_loadu_si512(of), t1 = _mm512_loadu_si512(of + 64),
	              t2 = _mm512_loadu_si512(of + 128), t3 = _mm512_loadu_si512(of + 192);
	const __m512i even = every_second(0), odd = every_second(1);
	uint8_t *planes = block->planes, *low = block->low;
	size_t n_escapes = 0;

	for (size_t g = 0; g < block->groups;
	     g++, from += KVR_PLANES_GROUP_BYTES, low += KVR_PLANES_GROUP) {
		__m512i high = take_apart(from, even, odd, low);
		__m512i code = _mm512_mask_blend_epi8(_mm512_movepi8_mask(high),
		    _mm512_permutex2var_epi8(t0, high, t1), _mm512_permutex2var_epi8(t2, high, t3));
		uint64_t escaped = UINT64_MAX;

		for (uint32_t k = 0; k < bits; k++, planes += 8) {
			uint64_t plane =
			    _mm512_test_epi8_mask(code, _mm512_set1_epi8((char)(1 << k)));

			memcpy(planes, &plane, 8);
			escaped &= plane;
		}
		size_t n = (size_t)__builtin_popcountll(escaped);

		if (n > block->room - n_escapes)
			return false;
		_mm512_mask_storeu_epi8(block->escapes + n_escapes,
		    _bzhi_u64(UINT64_MAX, (unsigned)n), _mm512_maskz_compress_epi8(escaped, high));
		n_escapes += n;
	}
	block->n_escapes = n_escapes;
	return true;
}

static AVX512 bool
encode(struct kvr_planes_block *block, const uint8_t *from)
{
	return KVR_PLANES_EACH_WIDTH(encode_bits, block, from);
}

/* One group, from its high bytes and the low bytes in memory. */
AVX512_INLINE void
put_together(__m512i high, const uint8_t *low, uint8_t *to)
{
	/* Unpacking works on each quarter of the register, so the eighths are swapped first. */
	const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
	__m512i l = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(low));
	__m512i h = _mm512_permutexvar_epi64(order, high);
	__m512i a = _mm512_unpacklo_epi8(l, h), b = _mm512_unpackhi_epi8(l, h);

	_mm512_storeu_si512(to, _mm512_shrdi_epi16(a, a, 1));
	_mm512_storeu_si512(to + 64, _mm512_shrdi_epi16(b, b, 1));
}

AVX512_INLINE bool
decode_bits(const struct kvr_planes_block *block, uint8_t *to, uint32_t bits)
{
	const __m512i value = _mm512_broadcast_i32x4(
	    _mm_loadu_si128((const __m128i *)(const void *)block->code->value));
	const uint8_t *planes = block->planes, *low = block->low;
	size_t next = 0;

	for (size_t g = 0; g < block->groups;
	     g++, to += KVR_PLANES_GROUP_BYTES, low += KVR_PLANES_GROUP) {
		__m512i code = _mm512_setzero_si512();
		uint64_t escaped = UINT64_MAX;

		for (uint32_t k = 0; k < bits; k++, planes += 8) {
			uint64_t plane;

			memcpy(&plane, planes, 8);
			code = _mm512_mask_add_epi8(
			    code, plane, code, _mm512_set1_epi8((char)(1 << k)));
			escaped &= plane;
		}
		size_t n = (size_t)__builtin_popcountll(escaped);

		if (n > block->n_escapes - next)
			return false;
		/* Masked-out bytes are not read: memory may end behind the last escape. */
		__m512i some = _mm512_maskz_loadu_epi8(
		    _bzhi_u64(UINT64_MAX, (unsigned)n), block->escapes + next);
		__m512i high =
		    _mm512_mask_expand_epi8(_mm512_shuffle_epi8(value, code), escaped, some);

		put_together(high, low, to);
		next += n;
	}
	return next == block->n_escapes;
}

static AVX512 bool
decode(const struct kvr_planes_block *block, uint8_t *to)
{
	return KVR_PLANES_EACH_WIDTH(decode_bits, block, to);
}

static AVX512 void
split(const uint8_t *from, size_t groups, uint8_t *low, uint8_t *high)
{
	const __m512i even = every_second(0), odd = every_second(1);

	for (size_t g = 0; g < groups; g++, from += KVR_PLANES_GROUP_BYTES, low += 64, high += 64)
		_mm512_storeu_si512(high, take_apart(from, even, odd, low));
}

static AVX512 void
join(const uint8_t *low, const uint8_t *high, size_t groups, uint8_t *to)
{
	for (size_t g = 0; g < groups; g++, to += KVR_PLANES_GROUP_BYTES, low += 64, high += 64)
		put_together(_mm512_loadu_si512(high), low, to);
}

const struct kvr_planes_path kvr_planes_avx512 = { "avx512", encode, decode, split, join };

#endif
