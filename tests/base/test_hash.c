/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_hash_own.h"
#include "kvr_check.h"

static uint8_t *
bytes_of(uint64_t len)
{
	uint8_t *bytes = malloc(len + 1);

	ck_assert_ptr_nonnull(bytes);
	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
	return bytes;
}

/* From another binding of xxHash: what is stored today must be read with any later one. */
START_TEST(the_hashes_are_xxh3)
{
	static const struct {
		size_t len;
		uint64_t plain, seed7, hi, lo;
	} row[] = {
		{ 0, 0x2d06800538d394c2, 0x913ae0873e9b7eb8, 0x99aa06d3014798d8,
		    0x6001c324468d497f },
		{ 1, 0xc44bdff4074eecdb, 0x2c45aa60ff5dc0e5, 0xa6cd5e9392000f6a,
		    0xc44bdff4074eecdb },
		{ 9, 0xbfe43def699fa9e3, 0x5cca85887953504d, 0x200d098a7113e15f,
		    0xee5940d4df4715ae },
		{ 100, 0x4ff5f6c0d102cd55, 0x6af0cdb21541e47b, 0xb268b5b7684b0bad,
		    0xc02ce6bb06aa387f },
		{ 240, 0x5eb2467c8c9e3969, 0xd2ed7a4b56d8b64b, 0x640a6149838a7599,
		    0xb2e6947c477a4ab0 },
		{ 241, 0x2d431e984c441f15, 0x4043c3782b7cbe3c, 0xe817e20e53e42a8c,
		    0x2d431e984c441f15 },
		{ 1024, 0xe99def1145f12936, 0x3b30d80269e99891, 0xdf4c8b9ff9715101,
		    0xe99def1145f12936 },
		{ 100000, 0xeb862968749b042b, 0x612a0d49fa0fa2b8, 0xe360828e2e303ebf,
		    0xeb862968749b042b },
	};

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		uint8_t *bytes = bytes_of(row[i].len);
		kvr_digest digest = kvr_hash128(bytes, row[i].len);

		ck_assert_uint_eq(kvr_hash64(bytes, row[i].len), row[i].plain);
		ck_assert_uint_eq(kvr_hash64_seed(bytes, row[i].len, 7), row[i].seed7);
		ck_assert_uint_eq(digest.hi, row[i].hi);
		ck_assert_uint_eq(digest.lo, row[i].lo);
		free(bytes);
	}
}
END_TEST

START_TEST(a_stream_of_pieces_has_the_hash_of_the_whole)
{
	uint8_t *bytes = bytes_of(300000);
	struct kvr_hash_stream stream;
	uint64_t rand = 1;

	for (int round = 0; round < 50; round++) {
		size_t at = 0, len = (size_t)round * 6000;

		kvr_hash_begin(&stream);
		while (at < len) {
			rand = rand * UINT64_C(6364136223846793005) + 1;
			size_t n = KVR_MIN((size_t)(rand >> 33) % 9000, len - at);
			kvr_hash_feed(&stream, bytes + at, n);
			at += n;
			if (round % 7 == 0)
				ck_assert_uint_eq(kvr_hash_end(&stream), kvr_hash64(bytes, at));
		}
		ck_assert_uint_eq(kvr_hash_end(&stream), kvr_hash64(bytes, len));
	}
	free(bytes);
}
END_TEST

/*
 * What one processor has written another one reads. Lengths on both sides of every change of XXH3's
 * way: 16, 128, 240 bytes, a stripe of 64, a block of 1024, the 256 that a stream keeps back.
 */
static void
compare(const struct kvr_hash_way *way, const uint8_t *bytes, size_t len, size_t cut)
{
	struct kvr_hash_stream stream;

	for (uint64_t seed = 0; seed < 2; seed++)
		ck_assert_uint_eq(
		    way->whole(bytes, len, seed), kvr_hash_plain.whole(bytes, len, seed));
	kvr_hash_begin(&stream);
	for (size_t at = 0; at < len; at += cut)
		way->feed(&stream, bytes + at, KVR_MIN(cut, len - at));
	ck_assert_uint_eq(kvr_hash_end(&stream), kvr_hash_plain.whole(bytes, len, 0));
}

START_TEST(every_processor_has_the_same_hashes)
{
	static const size_t cuts[] = { 1, 63, 64, 65, 255, 256, 257, 1000, 65536 };
	const struct kvr_hash_way *way[3] = { &kvr_hash_plain, &kvr_hash_plain, &kvr_hash_plain };
	uint8_t *bytes = bytes_of(140000);

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		way[1] = &kvr_hash_avx2;
	if (__builtin_cpu_supports("avx512f"))
		way[2] = &kvr_hash_avx512;
#endif
	for (size_t w = 0; w < KVR_LEN(way); w++) {
		for (size_t len = 0; len < 1300; len++)
			compare(way[w], bytes + len % 67, len, cuts[len % KVR_LEN(cuts)]);
		for (size_t i = 0; i < 64 * KVR_LEN(cuts); i += 5)
			compare(way[w], bytes + i % 64, 131072 + 37 * i % 6000, 129 + cuts[i / 64]);
	}
	for (size_t len = 0; len < 2200; len++) {
		ck_assert_uint_eq(kvr_hash64(bytes, len), kvr_hash_plain.whole(bytes, len, 0));
		ck_assert_uint_eq(
		    kvr_hash64_seed(bytes, len, 3), kvr_hash_plain.whole(bytes, len, 3));
	}
	for (uint64_t seed = 0; seed < 70; seed++)
		ck_assert_uint_eq(kvr_hash64_line(bytes + seed, seed * seed << 32),
		    kvr_hash_plain.whole(bytes + seed, 64, seed * seed << 32));
	free(bytes);
}
END_TEST

KVR_CHECK_MAIN("base.hash", the_hashes_are_xxh3, a_stream_of_pieces_has_the_hash_of_the_whole,
    every_processor_has_the_same_hashes)
