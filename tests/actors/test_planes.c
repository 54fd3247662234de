/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec "planes": every path of this processor writes the same bytes and gives every bit
 * pattern back; the bytes are those that the header describes; bad frames are refused and overrun
 * nothing.
 */
#include "kvr_planes.h"
#include "kvr_le.h"

#include "kvr_check.h"
#include "kvr_codec_bed.h"

#include <stdio.h>
#include <string.h>

/* By every path; the frame of one is read by all. Answers its length, 0: stored as it is. */
static size_t
round_trip(const uint8_t *raw, size_t len, size_t cap)
{
	const struct kvr_const_span from = { raw, len };
	uint8_t *want = bed_room(cap), *back = bed_room(len);
	size_t n = kvr_planes_encode(&kvr_planes_scalar, from, (struct kvr_span){ want, cap });

	ck_assert(n == 0 || (n < len && n <= cap));
	for (uint32_t p = 0; kvr_planes_path(p) != NULL; p++) {
		const struct kvr_planes_path *path = kvr_planes_path(p);
		uint8_t *got = bed_room(cap);

		ck_assert_uint_eq(kvr_planes_encode(path, from, (struct kvr_span){ got, cap }), n);
		ck_assert_msg(memcmp(want, got, n) == 0, "%s writes other bytes", path->name);
		bed_check_guard(got, cap);
		free(got);
		if (n == 0)
			continue;
		memset(back, 0x5a, len);
		/* Of exactly that size, so that reading past it is seen. */
		got = malloc(n);
		memcpy(got, want, n);
		ck_assert(kvr_planes_decode(path, (struct kvr_const_span){ got, n }, back, len));
		ck_assert_msg(memcmp(raw, back, len) == 0, "%s gives other bytes", path->name);
		bed_check_guard(back, len);
		free(got);
	}
	bed_check_guard(want, cap);
	free(want);
	free(back);
	return n;
}

START_TEST(each_path_is_there_or_named)
{
	uint32_t n = 0;

	for (; kvr_planes_path(n) != NULL; n++)
		printf("path %s\n", kvr_planes_path(n)->name);
	ck_assert_uint_ge(n, 1);
	ck_assert_ptr_eq(kvr_planes_path(n - 1), &kvr_planes_scalar);
	if (n < 3)
		printf(
		    "not run: %u of the three paths, which this processor does not have\n", 3 - n);
}
END_TEST

START_TEST(kv_data_shrinks)
{
	static const char *const names[] = { "kv_minilm_bf16.bin", "kv_minilm_tail_bf16.bin" };
	uint64_t seed = 3;

	for (size_t i = 0; i < KVR_LEN(names); i++) {
		size_t len;
		uint8_t *raw = bed_load(names[i], &len);
		size_t n = round_trip(raw, len, len);

		printf("%s: %zu bytes, %zu in planes\n", names[i], len, n);
		ck_assert_uint_gt(n, 0);
		ck_assert_uint_lt(n, len * 5 / 7); /* a ratio of 1.4 */
		for (int part = 0; part < 12; part++) {
			size_t some = 1 + (size_t)(bed_draw(&seed) % 200000),
			       at = (size_t)(bed_draw(&seed) % (len - some));

			round_trip(raw + at, some, some);
		}
		free(raw);
	}
}
END_TEST

/* All 65,536 patterns, NaNs with their payloads among them, between numbers that are alike. */
START_TEST(every_bit_pattern_comes_back)
{
	enum { ALIKE = 7, LEN = 2 * 65536 * (1 + ALIKE) };
	uint8_t *raw = malloc(LEN);
	uint64_t seed = 1;
	uint32_t bits_seen = 0;

	ck_assert_ptr_nonnull(raw);
	/* The more exponents are common, the wider the codes: from one exponent to twelve. */
	for (uint32_t common = 1; common <= 12; common += common < 5 ? 2 : 7) {
		for (uint32_t i = 0; i < LEN / 2; i++) {
			uint32_t x = i / (1 + ALIKE);

			if (i % (1 + ALIKE) != 0)
				x = (uint32_t)(bed_draw(&seed) & 0x807f) |
				    (uint32_t)(100 + bed_draw(&seed) % common) << 7;
			kvr_le16_put(raw + 2 * (size_t)i, (uint16_t)x);
		}
		ck_assert_uint_gt(round_trip(raw, LEN, LEN), 0);
		uint8_t *into = bed_room(LEN);

		ck_assert_uint_gt(
		    kvr_planes_encode(kvr_planes_path(0), (struct kvr_const_span){ raw, LEN },
		        (struct kvr_span){ into, LEN }),
		    0);
		bits_seen |= 1U << into[KVR_PLANES_HEAD];
		free(into);
	}
	ck_assert_uint_eq(bits_seen, 0x1e);
	free(raw);
}
END_TEST

/* Every length from nothing on, odd ones too, of bytes that shrink and of bytes that do not. */
START_TEST(every_length_comes_back)
{
	enum { LEN = 5000 };
	uint8_t soft[LEN], hard[LEN];
	uint64_t seed = 5;
	uint32_t coded = 0;

	for (size_t i = 0; i < LEN; i++) {
		hard[i] = (uint8_t)bed_draw(&seed);
		soft[i] = i % 2 == 0 ? hard[i] : (uint8_t)(0x3e + hard[i] % 2);
	}
	for (size_t len = 0; len <= LEN; len += len < 600 ? 1 : 61) {
		coded += round_trip(soft, len, len) > 0;
		ck_assert_uint_eq(round_trip(hard, len, len), 0);
	}
	ck_assert_uint_gt(coded, 400);
}
END_TEST

/* A frame in the smallest room that holds it and in every smaller one. */
START_TEST(little_room_is_no_fault)
{
	enum { LEN = 1200 };
	uint8_t soft[LEN];
	uint64_t seed = 9;

	for (size_t i = 0; i < LEN; i++)
		soft[i] =
		    i % 2 == 0 ? (uint8_t)bed_draw(&seed) : (uint8_t)(0x3c + (bed_draw(&seed) % 7));
	size_t full = round_trip(soft, LEN, LEN);

	ck_assert_uint_gt(full, 0);
	for (size_t cap = 0; cap < LEN + 10; cap++) {
		size_t n = round_trip(soft, LEN, cap);

		ck_assert(cap >= full + KVR_PLANES_SLACK ? n == full
		          : cap < full                   ? n == 0
		                                         : n == 0 || n == full);
	}
}
END_TEST

/* A block of noise between two that shrink is kept as it is; a payload of noise is not touched. */
START_TEST(what_does_not_shrink_is_left)
{
	enum { LEN = 3 * KVR_PLANES_BLOCK_BYTES };
	uint8_t *raw = malloc(LEN), *into = bed_room(LEN);
	uint64_t seed = 21;

	ck_assert_ptr_nonnull(raw);
	for (size_t i = 0; i < LEN; i++)
		raw[i] = (uint8_t)bed_draw(&seed);
	ck_assert_uint_eq(round_trip(raw, LEN, LEN), 0);
	for (size_t i = 1; i < LEN; i += 2) {
		if (i / KVR_PLANES_BLOCK_BYTES != 1)
			raw[i] = 0x3f;
	}
	size_t n = round_trip(raw, LEN, LEN);

	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(kvr_planes_encode(kvr_planes_path(0), (struct kvr_const_span){ raw, LEN },
	                      (struct kvr_span){ into, LEN }),
	    n);
	/* What is before the noise has one exponent or two, so a code of a bit or two. */
	size_t bits = into[KVR_PLANES_HEAD], at = KVR_PLANES_HEAD + KVR_PLANES_BLOCK_HEAD +
	                                          512 * (64 + 8 * bits) +
	                                          kvr_le32(into + KVR_PLANES_HEAD + 16);

	ck_assert_uint_eq(into[at], 0);
	ck_assert_int_eq(memcmp(into + at + KVR_PLANES_BLOCK_HEAD, raw + KVR_PLANES_BLOCK_BYTES,
	                     KVR_PLANES_BLOCK_BYTES),
	    0);
	free(raw);
	free(into);
}
END_TEST

/* Written out by hand: whoever changes the form cannot read what is stored. */
START_TEST(the_form_is_fixed)
{
	uint8_t raw[129], into[129], want[128] = { 1, 2, 16, 0, 0, 0, 0, 0, 129 };
	uint8_t *block = want + KVR_PLANES_HEAD;

	/* 64 times 1.0, element 5 is -1.0078125 and element 9 is a NaN; then one byte. */
	for (size_t i = 0; i < 64; i++)
		kvr_le16_put(raw + 2 * i, i == 5 ? 0xbf81 : i == 9 ? 0x7fc1 : 0x3f80);
	raw[128] = 'z';
	block[0] = 1;                         /* bit per code */
	block[1] = 127;                       /* code 0; 1 is the escape */
	block[16] = 1;                        /* escape */
	block[KVR_PLANES_BLOCK_HEAD + 1] = 2; /* element 9 */
	memset(block + KVR_PLANES_BLOCK_HEAD + 8, 0, 64);
	block[KVR_PLANES_BLOCK_HEAD + 8 + 5] = 3;
	block[KVR_PLANES_BLOCK_HEAD + 8 + 9] = 0x82;
	block[KVR_PLANES_BLOCK_HEAD + 8 + 64] = 255;
	block[KVR_PLANES_BLOCK_HEAD + 8 + 65] = 'z';
	const size_t n = KVR_PLANES_HEAD + KVR_PLANES_BLOCK_HEAD + 8 + 66;

	ck_assert_uint_eq(kvr_planes_encode(kvr_planes_path(0), (struct kvr_const_span){ raw, 129 },
	                      (struct kvr_span){ into, 129 }),
	    n);
	ck_assert_int_eq(memcmp(into, want, n), 0);
	ck_assert_uint_eq(round_trip(raw, 129, 129), n);
}
END_TEST

/* Whatever it says, nothing is read behind the frame or written behind the room. */
static bool
decode_bad(const uint8_t *stored, size_t n, size_t raw_len)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n), *want = bed_room(raw_len),
	        *back = bed_room(raw_len);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, stored, n);
	const struct kvr_const_span frame = { copy, n };
	bool fits = kvr_planes_decode(&kvr_planes_scalar, frame, want, raw_len);

	for (uint32_t p = 0; kvr_planes_path(p) != NULL; p++) {
		ck_assert(kvr_planes_decode(kvr_planes_path(p), frame, back, raw_len) == fits);
		ck_assert(!fits || memcmp(want, back, raw_len) == 0);
		bed_check_guard(back, raw_len);
	}
	free(copy);
	free(want);
	free(back);
	return fits;
}

START_TEST(bad_frames_are_refused)
{
	enum { LEN = KVR_PLANES_BLOCK_BYTES + 1000 };
	uint8_t *raw = malloc(LEN), *into = bed_room(LEN);
	uint64_t seed = 4;

	ck_assert_ptr_nonnull(raw);
	for (size_t i = 0; i < LEN; i++)
		raw[i] =
		    i % 2 == 0 ? (uint8_t)bed_draw(&seed) : (uint8_t)(0x3c + (bed_draw(&seed) % 5));
	size_t n = kvr_planes_encode(kvr_planes_path(0), (struct kvr_const_span){ raw, LEN },
	    (struct kvr_span){ into, LEN });

	ck_assert_uint_gt(n, 0);
	for (size_t cut = 0; cut < n; cut += cut < 200 || cut + 200 > n ? 1 : 997)
		ck_assert(!decode_bad(into, cut, LEN));
	static const size_t claims[] = { 0, 1, LEN - 1, LEN + 1, LEN / 2, 2 * LEN };

	for (size_t i = 0; i < KVR_LEN(claims); i++)
		ck_assert(!decode_bad(into, n, claims[i]));
	/* The head, and what of the first block's is not a table: no bit of them may be another. */
	for (size_t i = 0; i < KVR_PLANES_HEAD + KVR_PLANES_BLOCK_HEAD; i++) {
		for (uint32_t bit = 0; bit < 8; bit++) {
			into[i] ^= (uint8_t)(1U << bit);
			bool table = i > KVR_PLANES_HEAD && i < KVR_PLANES_HEAD + 16 &&
			             i < KVR_PLANES_HEAD + (1U << into[KVR_PLANES_HEAD]);

			ck_assert(decode_bad(into, n, LEN) == table);
			into[i] ^= (uint8_t)(1U << bit);
		}
	}
	/* Anywhere else other bytes may come out (the seal above sees that), never more or fewer. */
	for (int i = 0; i < 400; i++) {
		size_t at = (size_t)(bed_draw(&seed) % n);
		uint8_t was = into[at];

		into[at] ^= (uint8_t)(1U << (bed_draw(&seed) % 8));
		decode_bad(into, n, LEN);
		into[at] = was;
	}
	free(raw);
	free(into);
}
END_TEST

KVR_CHECK_MAIN("actors.planes", each_path_is_there_or_named, kv_data_shrinks,
    every_bit_pattern_comes_back, every_length_comes_back, little_room_is_no_fault,
    what_does_not_shrink_is_left, the_form_is_fixed, bad_frames_are_refused)
