/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_seal.h"
#include "kvr_check.h"
#include "kvr_golden.h"

#include <string.h>

static uint8_t *
payload_of(uint64_t len)
{
	uint8_t *payload = malloc(len + 1);

	ck_assert_ptr_nonnull(payload);
	for (uint64_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
	return payload;
}

static struct kvr_seal
seal_of(const struct kvr_golden *c)
{
	const char *key = kvr_golden_text_of(c, "key");
	struct kvr_seal seal = { .head_len = (uint32_t)kvr_golden_int_of(c, "head_len"),
		.key_len = (uint32_t)strlen(key),
		.serde = (uint32_t)kvr_golden_int_of(c, "serde"),
		.serde_version = (uint32_t)kvr_golden_int_of(c, "serde_version"),
		.raw_len = (uint64_t)kvr_golden_int_of(c, "raw_len"),
		.len = (uint64_t)kvr_golden_int_of(c, "len"),
		.fingerprint = strtoull(kvr_golden_text_of(c, "fingerprint"), NULL, 10),
		.key = kvr_hash128(key, strlen(key)),
		.meta = { .memfmt = (uint32_t)kvr_golden_int_of(c, "memfmt") } };

	KVR_GOLDEN_EACH(group, kvr_golden_get(c, "groups"))
	{
		struct kvr_shape *shape = &seal.meta.group[seal.meta.n_groups++];

		shape->dtype = (uint32_t)kvr_golden_int_of(group, "dtype");
		KVR_GOLDEN_EACH(dim, kvr_golden_get(group, "dims"))
		shape->dim[shape->n_dims++] = (uint64_t)kvr_golden_int(dim);
	}
	return seal;
}

/* Header and trailer of a golden value in one piece. */
static uint8_t *
golden_ends(const struct kvr_golden *c, size_t *ret_len)
{
	size_t head_len = 0, tail_len = 0;
	uint8_t *head = kvr_golden_hex_of(c, "header_hex", &head_len);
	uint8_t *tail = kvr_golden_hex_of(c, "trailer_hex", &tail_len);
	uint8_t *ends = malloc(head_len + tail_len);

	ck_assert_ptr_nonnull(ends);
	memcpy(ends, head, head_len);
	memcpy(ends + head_len, tail, tail_len);
	free(head);
	free(tail);
	*ret_len = head_len + tail_len;
	return ends;
}

/* Checksums of the blocks, byte by byte as the header file says, whatever the host's order. */
static void
table_of(const uint8_t *payload, uint64_t len, uint8_t *ret)
{
	for (uint64_t at = 0; at < len; at += KVR_SEAL_BLOCK) {
		uint64_t sum = kvr_hash64(payload + at, (size_t)KVR_MIN(KVR_SEAL_BLOCK, len - at));

		for (unsigned i = 0; i < 8; i++)
			*ret++ = (uint8_t)(sum >> 8 * i);
	}
}

static void
check_value(
    const struct kvr_golden *c, const struct kvr_seal *seal, const uint8_t *ends, size_t ends_len)
{
	uint8_t *payload = payload_of(seal->len), *whole = malloc(ends_len + seal->len);

	ck_assert_ptr_nonnull(whole);
	memcpy(whole, ends, seal->head_len);
	memcpy(whole + seal->head_len, payload, seal->len);
	memcpy(
	    whole + seal->head_len + seal->len, ends + seal->head_len, ends_len - seal->head_len);
	ck_assert_uint_eq(kvr_hash64(whole, ends_len + seal->len),
	    strtoull(kvr_golden_text_of(c, "value_xxh3_64"), NULL, 10));
	free(whole);
	free(payload);
}

START_TEST(golden_values_are_written_byte_by_byte)
{
	struct kvr_golden *file = kvr_golden_open("sealed.json");

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	{
		const struct kvr_seal seal = seal_of(c);
		size_t want_len = 0;
		uint8_t *want = golden_ends(c, &want_len), *ends = malloc(want_len);
		uint8_t *payload = payload_of(seal.len);

		ck_assert_ptr_nonnull(ends);
		ck_assert_uint_eq(kvr_seal_total(&seal), (uint64_t)kvr_golden_int_of(c, "total"));
		ck_assert_uint_eq(
		    seal.head_len + kvr_seal_tail_len(seal.key_len, seal.len), want_len);
		memset(ends, 0xa5, want_len);
		kvr_seal_put_head(&seal, ends);
		table_of(payload, seal.len, ends + seal.head_len + seal.key_len);
		kvr_seal_put_tail(&seal, kvr_golden_text_of(c, "key"), ends);
		ck_assert_msg(
		    memcmp(ends, want, want_len) == 0, "%s", kvr_golden_text_of(c, "name"));
		check_value(c, &seal, ends, want_len);
		free(payload);
		free(ends);
		free(want);
	}
	ck_assert_uint_ge(kvr_golden_count(kvr_golden_get(file, "cases")), 11);
	kvr_golden_close(file);
}
END_TEST

START_TEST(golden_values_are_read)
{
	struct kvr_golden *file = kvr_golden_open("sealed.json");

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	{
		const struct kvr_seal want = seal_of(c);
		const char *key = kvr_golden_text_of(c, "key"), *why = NULL;
		const struct kvr_seal_want wanted = { .key = key,
			.key_len = want.key_len,
			.fingerprint = want.fingerprint,
			.serdes = UINT64_C(1) << want.serde,
			.serde_version = want.serde_version,
			.meta = &want.meta };
		struct kvr_seal seal;
		size_t len = 0;
		uint8_t *ends = golden_ends(c, &len), *payload = payload_of(want.len), table[64];

		enum kvr_err err =
		    kvr_seal_get_head(ends, want.head_len, kvr_seal_total(&want), &seal, &why);
		ck_assert_msg(err == KVR_OK, "%s", why);
		ck_assert(kvr_meta_same(&seal.meta, &want.meta));
		ck_assert_uint_eq(seal.len, want.len);
		ck_assert_uint_eq(seal.raw_len, want.raw_len);
		ck_assert_uint_eq(seal.serde, want.serde);
		ck_assert_uint_eq(seal.serde_version, want.serde_version);
		ck_assert_uint_eq(seal.fingerprint, want.fingerprint);
		ck_assert_int_eq(kvr_seal_fits(&seal, &wanted, &why), KVR_OK);
		table_of(payload, want.len, table);
		ck_assert_int_eq(kvr_seal_check_tail(&seal, ends, table, key, &why), KVR_OK);
		ck_assert_ptr_null(why);
		free(payload);
		free(ends);
	}
	kvr_golden_close(file);
}
END_TEST

static void
seal_small(struct kvr_seal *ret, uint8_t ends[1100], uint8_t table[8])
{
	static const uint8_t payload[100] = "some bytes";

	*ret = (struct kvr_seal){ .head_len = 512,
		.key_len = 5,
		.len = 100,
		.raw_len = 100,
		.fingerprint = 77,
		.key = kvr_hash128("a-key", 5),
		.meta = { KVR_MEMFMT_KV_2LTD, 1, { { KVR_DTYPE_BFLOAT16, 4, { 2, 1, 5, 5 } } } } };
	table_of(payload, 100, table);
	kvr_seal_put_head(ret, ends);
	memcpy(ends + 517, table, 8);
	kvr_seal_put_tail(ret, "a-key", ends);
}

static int32_t
read_small(const uint8_t *ends, const uint8_t *table, uint64_t total)
{
	const char *why = NULL;
	struct kvr_seal seal;
	enum kvr_err err = kvr_seal_get_head(ends, 512, total, &seal, &why);

	if (err == KVR_OK)
		err = kvr_seal_check_tail(&seal, ends, table, "a-key", &why);
	ck_assert(KVR_IMPLIES(err != KVR_OK, why != NULL && why[0] != '\0'));
	return err;
}

START_TEST(any_flipped_bit_of_the_ends_is_seen)
{
	uint8_t ends[1100], table[8];
	struct kvr_seal seal;

	seal_small(&seal, ends, table);
	uint64_t total = kvr_seal_total(&seal);
	ck_assert_int_eq(read_small(ends, table, total), KVR_OK);
	for (size_t bit = 0; bit < 8 * (512 + 5 + 8 + 8); bit++) {
		ends[bit / 8] ^= (uint8_t)(1U << bit % 8);
		ck_assert_msg(read_small(ends, table, total) == KVR_E_CORRUPT, "bit %zu", bit);
		ends[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (uint64_t other = 0; other < 2 * total; other++) {
		if (other != total)
			ck_assert_int_eq(read_small(ends, table, other), KVR_E_CORRUPT);
	}
	table[3] ^= 1;
	ck_assert_int_eq(read_small(ends, table, total), KVR_E_CORRUPT);
}
END_TEST

/* Headers that fit their checksum and say what version 1 never says. */
START_TEST(a_header_with_an_impossible_field_is_corrupt)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} row[] = {
		{ 5, 0x10 },  /* header length 4608 */
		{ 8, 2 },     /* version */
		{ 10, 1 },    /* flags */
		{ 20, 9 },    /* groups */
		{ 30, 0x20 }, /* block size 2 MiB */
		{ 32, 101 },  /* raw length without serde */
		{ 72, 6 },    /* key length against total */
		{ 47, 0x80 }, /* length near 2^63 */
		{ 84, 5 },    /* dims of group 0 */
	};
	uint8_t ends[1100], table[8];
	struct kvr_seal seal;

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		seal_small(&seal, ends, table);
		ends[row[i].at] = row[i].byte;
		uint64_t sum = kvr_hash64(ends, 504);
		for (unsigned b = 0; b < 8; b++)
			ends[504 + b] = (uint8_t)(sum >> 8 * b);
		kvr_seal_put_tail(&seal, "a-key", ends);
		ck_assert_msg(
		    read_small(ends, table, kvr_seal_total(&seal)) == KVR_E_CORRUPT, "row %zu", i);
	}
	/* A payload that no scratch has a table for, although all its lengths agree. */
	const char *why = NULL;
	seal.len = seal.raw_len = (KVR_SEAL_BLOCKS_MAX + 1) * KVR_SEAL_BLOCK;
	kvr_seal_put_head(&seal, ends);
	ck_assert_int_eq(
	    kvr_seal_get_head(ends, 512, kvr_seal_total(&seal), &seal, &why), KVR_E_TOO_BIG);
	/* One that would be that long again when its serde is undone. */
	seal.len = 100;
	seal.serde = 1;
	seal.raw_len = UINT64_C(1) << 32;
	kvr_seal_put_head(&seal, ends);
	ck_assert_int_eq(
	    kvr_seal_get_head(ends, 512, kvr_seal_total(&seal), &seal, &why), KVR_E_TOO_BIG);
	seal.raw_len--;
	kvr_seal_put_head(&seal, ends);
	ck_assert_int_eq(kvr_seal_get_head(ends, 512, kvr_seal_total(&seal), &seal, &why), KVR_OK);
}
END_TEST

START_TEST(what_was_sealed_for_something_else_is_told_apart)
{
	uint8_t ends[1100], table[8];
	struct kvr_seal seal;
	const char *why = NULL;

	seal_small(&seal, ends, table);
	const struct kvr_meta layout = seal.meta;
	const struct kvr_seal_want good = {
		.key = "a-key", .key_len = 5, .meta = &layout, .fingerprint = 77, .serdes = 1
	};
	struct kvr_meta shorter = layout, other = layout, anything = { 0 };
	shorter.group[0].dim[2] = 4;
	other.group[0].dim[1] = 9;
	struct kvr_seal_want bad[4] = { good, good, good, good };
	struct kvr_seal_want fine[3] = { good, good, good };

	fine[0].fingerprint = 0;
	fine[1].meta = &anything;
	fine[2].meta = &shorter;
	bad[0].key = "b-key";
	bad[1].key_len = 4;
	bad[2].fingerprint = 78;
	bad[3].meta = &other;
	ck_assert_int_eq(kvr_seal_fits(&seal, &good, &why), KVR_OK);
	for (size_t i = 0; i < KVR_LEN(fine); i++)
		ck_assert_int_eq(kvr_seal_fits(&seal, &fine[i], &why), KVR_OK);
	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		why = NULL;
		ck_assert_int_eq(kvr_seal_fits(&seal, &bad[i], &why), KVR_E_IDENTITY);
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

START_TEST(a_serde_that_cannot_be_read_is_told_apart)
{
	const struct kvr_meta anything = { 0 };
	struct kvr_seal_want reader = { .key = "a-key", .key_len = 5, .meta = &anything };
	uint8_t ends[1100], table[8];
	struct kvr_seal seal;
	const char *why = NULL;

	seal_small(&seal, ends, table);
	seal.serde = 2;
	seal.serde_version = 3;
	ck_assert_int_eq(kvr_seal_fits(&seal, &reader, &why), KVR_OK);
	reader.serdes = 1;
	ck_assert_int_eq(kvr_seal_fits(&seal, &reader, &why), KVR_E_IDENTITY);
	reader.serdes = 5;
	ck_assert_int_eq(kvr_seal_fits(&seal, &reader, &why), KVR_OK);
	reader.serde_version = 3;
	ck_assert_int_eq(kvr_seal_fits(&seal, &reader, &why), KVR_OK);
	reader.serde_version = 4;
	ck_assert_int_eq(kvr_seal_fits(&seal, &reader, &why), KVR_E_IDENTITY);
	seal.serde = 64;
	ck_assert_int_eq(kvr_seal_fits(&seal, &reader, &why), KVR_E_IDENTITY);
	seal.serde = 0; /* stored as it was given, whatever the tier's serde is */
	ck_assert_int_eq(kvr_seal_fits(&seal, &reader, &why), KVR_OK);
}
END_TEST

/* Two texts of one digest cannot be made here; a value with the other text inside can. */
START_TEST(the_key_text_is_compared_beside_its_digest)
{
	uint8_t ends[1100], table[8];
	struct kvr_seal seal;
	const char *why = NULL;

	seal_small(&seal, ends, table);
	kvr_seal_put_tail(&seal, "b-key", ends);
	ck_assert_int_eq(kvr_seal_check_tail(&seal, ends, table, "a-key", &why), KVR_E_IDENTITY);
	ck_assert_ptr_nonnull(why);
}
END_TEST

KVR_CHECK_MAIN("wire.seal", golden_values_are_written_byte_by_byte, golden_values_are_read,
    any_flipped_bit_of_the_ends_is_seen, a_header_with_an_impossible_field_is_corrupt,
    what_was_sealed_for_something_else_is_told_apart, a_serde_that_cannot_be_read_is_told_apart,
    the_key_text_is_compared_beside_its_digest)
