/* SPDX-License-Identifier: Apache-2.0 */
/* The lossless codec: what goes in comes out, what is damaged never writes past its room. */
#include "kvr_workers.h"

#include "kvr_check.h"
#include "kvr_codec_bed.h"

#include <stdio.h>
#include <string.h>

/* Encodes and decodes; 0: stored raw. */
static size_t
round_trip(struct kvr_codec *codec, const uint8_t *raw, size_t len, uint32_t dtype_bytes)
{
	uint8_t *into = bed_room(len), *back = bed_room(len);
	size_t n = kvr_codec_encode(codec, KVR_SERDE_ZSTD, dtype_bytes,
	    (struct kvr_const_span){ raw, len }, (struct kvr_span){ into, len });

	bed_check_guard(into, len);
	ck_assert_uint_le(n, len == 0 ? 0 : len - 1); /* what does not shrink is not encoded */
	if (n > 0) {
		ck_assert_int_eq(kvr_codec_decode(codec, KVR_SERDE_ZSTD,
		                     (struct kvr_const_span){ into, n }, back, len),
		    KVR_OK);
		ck_assert_int_eq(memcmp(raw, back, len), 0);
	}
	bed_check_guard(back, len);
	free(into);
	free(back);
	return n;
}

START_TEST(kv_data_shrinks_and_planes_help)
{
	static const char *const names[] = { "kv_minilm_bf16.bin", "kv_minilm_tail_bf16.bin" };
	struct kvr_codec *codec = kvr_codec_new();

	ck_assert_ptr_nonnull(codec);
	for (size_t i = 0; i < KVR_LEN(names); i++) {
		size_t len;
		uint8_t *raw = bed_load(names[i], &len);
		size_t plain = round_trip(codec, raw, len, 1),
		       planes = round_trip(codec, raw, len, 2);

		printf("%s: %zu bytes, plain %zu, planes %zu\n", names[i], len, plain, planes);
		ck_assert_uint_gt(planes, 0);
		ck_assert_uint_lt(planes, len * 9 / 10);
		ck_assert(plain == 0 || planes < plain);
		free(raw);
	}
	kvr_codec_free(codec);
}
END_TEST

/* Every length from nothing on, odd ones too, of bytes that shrink and of bytes that do not. */
START_TEST(every_length_comes_back)
{
	struct kvr_codec *codec = kvr_codec_new();
	uint8_t soft[4100], hard[4100];
	uint64_t seed = 5;
	uint32_t raw = 0, encoded = 0;

	for (size_t i = 0; i < sizeof(soft); i++) {
		hard[i] = (uint8_t)bed_draw(&seed);
		soft[i] = i % 2 == 0 ? (uint8_t)(hard[i] & 3) : 0x3c;
	}
	for (size_t len = 0; len <= sizeof(soft); len += len < 300 ? 1 : 61) {
		for (uint32_t dtype = 1; dtype <= 2; dtype++) {
			encoded += round_trip(codec, soft, len, dtype) > 0;
			raw += round_trip(codec, hard, len, dtype) == 0;
		}
	}
	ck_assert_uint_gt(encoded, 300);
	ck_assert_uint_gt(raw, 600); /* random bytes are stored as they are, always */
	kvr_codec_free(codec);
}
END_TEST

/* The room may be shorter than the payload: then it fits or is not encoded, and nothing is overrun. */
START_TEST(little_room_is_no_fault)
{
	struct kvr_codec *codec = kvr_codec_new();
	uint8_t soft[2000];
	uint32_t fitted = 0;

	for (size_t i = 0; i < sizeof(soft); i++)
		soft[i] = (uint8_t)(i / 50);
	for (size_t cap = 0; cap < 600; cap++) {
		uint8_t *into = bed_room(cap), back[2000];
		size_t n = kvr_codec_encode(codec, KVR_SERDE_ZSTD, 2,
		    (struct kvr_const_span){ soft, sizeof(soft) }, (struct kvr_span){ into, cap });

		bed_check_guard(into, cap);
		ck_assert_uint_le(n, cap);
		if (n > 0) {
			fitted++;
			ck_assert_int_eq(
			    kvr_codec_decode(codec, KVR_SERDE_ZSTD,
			        (struct kvr_const_span){ into, n }, back, sizeof(back)),
			    KVR_OK);
			ck_assert_int_eq(memcmp(soft, back, sizeof(soft)), 0);
		}
		free(into);
	}
	ck_assert_uint_gt(fitted, 100);
	ck_assert_uint_lt(fitted, 600);
	kvr_codec_free(codec);
}
END_TEST

/* One codec, many payloads: its scratch grows, and nothing of the one before shows. */
START_TEST(one_codec_takes_all_sizes_in_any_order)
{
	struct kvr_codec *codec = kvr_codec_new();
	size_t len;
	uint8_t *raw = bed_load("kv_minilm_bf16.bin", &len);
	uint64_t seed = 11;

	for (int i = 0; i < 60; i++) {
		size_t n = 1 + (size_t)(bed_draw(&seed) % (len - 1)),
		       at = (size_t)(bed_draw(&seed) % (len - n + 1));

		round_trip(codec, raw + at, n, i % 3 == 0 ? 1 : 2);
	}
	free(raw);
	kvr_codec_free(codec);
}
END_TEST

/* Decoding says OK only for the payload itself; whatever it says, the guard stays. */
static int32_t
decode_bad(struct kvr_codec *codec, const uint8_t *stored, size_t n, size_t raw_len)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n), *back = bed_room(raw_len);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, stored, n); /* of exactly that size, so that reading past it is seen */
	int32_t err = kvr_codec_decode(
	    codec, KVR_SERDE_ZSTD, (struct kvr_const_span){ copy, n }, back, raw_len);

	bed_check_guard(back, raw_len);
	free(copy);
	free(back);
	return err;
}

enum { LEN = 6000 };

/* Changed, cut short or claimed to be of another length. */
static void
damage(struct kvr_codec *codec, const uint8_t *raw, uint32_t layout)
{
	uint8_t into[LEN];
	size_t n = kvr_codec_encode(codec, KVR_SERDE_ZSTD, 2, (struct kvr_const_span){ raw, LEN },
	    (struct kvr_span){ into, LEN });

	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(into[0], layout);
	for (size_t cut = 0; cut < n; cut++)
		ck_assert_int_eq(decode_bad(codec, into, cut, LEN), KVR_E_CORRUPT);
	/* The other lengths that a header may claim. */
	static const size_t claims[] = { 0, 1, LEN - 1, LEN + 1, LEN / 2, 100 * LEN };

	for (size_t i = 0; i < KVR_LEN(claims); i++)
		ck_assert_int_eq(decode_bad(codec, into, n, claims[i]), KVR_E_CORRUPT);
	/* A changed byte may give other bytes (the seal above sees that), never more or fewer. */
	for (size_t i = 0; i < n; i++) {
		uint8_t was = into[i];

		into[i] ^= (uint8_t)(1U << (i % 8));
		int32_t err = decode_bad(codec, into, n, LEN);

		ck_assert(err == KVR_E_CORRUPT || err == KVR_OK);
		into[i] = was;
	}
	/* Read as another layout, known or not. Plain and 2 are one frame of everything, 3 is not. */
	for (uint32_t as = 0; as < 256; as++) {
		bool fits = as == layout || (layout == 2 && as == 0);

		into[0] = (uint8_t)as;
		ck_assert_int_eq(decode_bad(codec, into, n, LEN), fits ? KVR_OK : KVR_E_CORRUPT);
	}
}

START_TEST(damage_is_corrupt_and_never_overruns)
{
	struct kvr_codec *codec = kvr_codec_new();
	uint8_t soft[LEN], into[100];
	uint64_t seed = 7;

	for (size_t i = 0; i < LEN; i++)
		soft[i] = (uint8_t)(bed_draw(&seed) & (i % 2 == 0 ? 0xff : 0x81)) | (i % 2 == 0 ? 0 : 0x3c);
	damage(codec, soft, 3);
	for (size_t i = 0; i < LEN; i++)
		soft[i] &= 0x3f;
	damage(codec, soft, 2);
	for (int i = 0; i < 2000; i++) {
		for (size_t k = 0; k < 100; k++)
			into[k] = (uint8_t)bed_draw(&seed);
		into[0] = (uint8_t)"\0\2\3"[i % 3];
		if (i % 4 >= 2)
			memcpy(into + 1, "\x28\xb5\x2f\xfd", 4);
		ck_assert_int_eq(decode_bad(codec, into, 100, LEN), KVR_E_CORRUPT);
	}
	kvr_codec_free(codec);
}
END_TEST

/* Low bytes as they are, the tail as it is, then the high ones: stored values depend on this order. */
START_TEST(the_layout_of_high_bytes_is_fixed)
{
	enum { ELEMENTS = 256, TAIL = 3, RAW = 2 * ELEMENTS + TAIL };
	struct kvr_codec *codec = kvr_codec_new();
	uint8_t raw[RAW], into[RAW], high[RAW];

	/* 0x3f80 is 1.0, whose exponent is 127; all low bytes once. */
	for (size_t i = 0; i < ELEMENTS; i++) {
		raw[2 * i] = (uint8_t)(0x80 | i / 2);
		raw[2 * i + 1] = (uint8_t)(0x3f | (i & 1) << 7);
	}
	memcpy(raw + 2 * ELEMENTS, "abc", TAIL);
	size_t n = kvr_codec_encode(codec, KVR_SERDE_ZSTD, 2, (struct kvr_const_span){ raw, RAW },
	    (struct kvr_span){ into, RAW });

	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(into[0], 3);
	for (size_t i = 0; i < ELEMENTS; i++)
		ck_assert_uint_eq(into[1 + i], i);
	ck_assert_int_eq(memcmp(into + 1 + ELEMENTS, "abc", TAIL), 0);
	/* What follows is a frame of its own: read as a plain one it is the exponents. */
	into[ELEMENTS + TAIL] = 0;
	ck_assert_int_eq(kvr_codec_decode(codec, KVR_SERDE_ZSTD,
	                     (struct kvr_const_span){ into + ELEMENTS + TAIL, n - ELEMENTS - TAIL },
	                     high, ELEMENTS),
	    KVR_OK);
	for (size_t i = 0; i < ELEMENTS; i++)
		ck_assert_uint_eq(high[i], 127);
	kvr_codec_free(codec);
}
END_TEST

/* The serde "planes" is for elements of two bytes; what it stores is in kvr_planes.h and its own test. */
START_TEST(planes_go_by_the_width_of_an_element)
{
	struct kvr_codec *codec = kvr_codec_new();
	size_t len;
	uint8_t *raw = bed_load("kv_minilm_tail_bf16.bin", &len), *into = bed_room(len), *back = bed_room(len);
	const struct kvr_const_span from = { raw, len };
	const struct kvr_span to = { into, len };

	ck_assert_uint_eq(kvr_codec_encode(codec, KVR_SERDE_PLANES, 1, from, to), 0);
	ck_assert_uint_eq(kvr_codec_encode(codec, KVR_SERDE_PLANES, 4, from, to), 0);
	size_t n = kvr_codec_encode(codec, KVR_SERDE_PLANES, 2, from, to);

	ck_assert_uint_gt(n, 0);
	ck_assert_uint_lt(n, len * 3 / 4);
	const struct kvr_const_span stored = { into, n };

	ck_assert_int_eq(kvr_codec_decode(codec, KVR_SERDE_PLANES, stored, back, len), KVR_OK);
	ck_assert_int_eq(memcmp(raw, back, len), 0);
	ck_assert_int_eq(kvr_codec_decode(codec, KVR_SERDE_PLANES, stored, back, len - 1), KVR_E_CORRUPT);
	ck_assert_int_eq(kvr_codec_decode(codec, KVR_SERDE_ZSTD, stored, back, len), KVR_E_CORRUPT);
	bed_check_guard(into, len);
	bed_check_guard(back, len);
	free(raw);
	free(into);
	free(back);
	kvr_codec_free(codec);
}
END_TEST

START_TEST(the_layout_of_planes_is_fixed)
{
	struct kvr_codec *codec = kvr_codec_new();
	uint8_t raw[129], into[129], back[129];

	/* Pairs: first bytes all 1, second bytes all 2, and an odd last one. */
	for (size_t i = 0; i < 128; i++)
		raw[i] = i % 2 == 0 ? 1 : 2;
	raw[128] = 9;
	size_t n = kvr_codec_encode(codec, KVR_SERDE_ZSTD, 2, (struct kvr_const_span){ raw, 129 },
	    (struct kvr_span){ into, 129 });

	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(into[0], 2);
	/* Read as plain it is the planes themselves: stored values depend on this order. */
	into[0] = 0;
	ck_assert_int_eq(
	    kvr_codec_decode(codec, KVR_SERDE_ZSTD, (struct kvr_const_span){ into, n }, back, 129),
	    KVR_OK);
	for (size_t i = 0; i < 129; i++)
		ck_assert_uint_eq(back[i], i < 64 ? 1 : i < 128 ? 2 : 9);
	kvr_codec_free(codec);
}
END_TEST

START_TEST(naive_is_a_copy_and_others_are_unknown)
{
	struct kvr_codec *codec = kvr_codec_new();
	const uint8_t raw[5] = { 1, 2, 3, 4, 5 };
	uint8_t back[5] = { 0 };
	const struct kvr_const_span stored = { raw, 5 };

	ck_assert_int_eq(kvr_codec_decode(codec, KVR_SERDE_NAIVE, stored, back, 5), KVR_OK);
	ck_assert_int_eq(memcmp(raw, back, 5), 0);
	ck_assert_int_eq(kvr_codec_decode(codec, KVR_SERDE_NAIVE, stored, back, 4), KVR_E_CORRUPT);
	ck_assert_int_eq(
	    kvr_codec_decode(codec, KVR_SERDE_NAIVE, (struct kvr_const_span){ NULL, 0 }, NULL, 0),
	    KVR_OK);
	ck_assert_int_eq(kvr_codec_decode(codec, 77, stored, back, 5), KVR_E_IDENTITY);
	ck_assert_uint_eq(
	    kvr_codec_encode(codec, KVR_SERDE_NAIVE, 1, stored, (struct kvr_span){ back, 5 }), 0);
	kvr_codec_free(codec);
	kvr_codec_free(NULL);
}
END_TEST

KVR_CHECK_MAIN("actors.codec", kv_data_shrinks_and_planes_help, every_length_comes_back,
    little_room_is_no_fault, one_codec_takes_all_sizes_in_any_order,
    damage_is_corrupt_and_never_overruns, the_layout_of_planes_is_fixed,
    the_layout_of_high_bytes_is_fixed, planes_go_by_the_width_of_an_element,
    naive_is_a_copy_and_others_are_unknown)
