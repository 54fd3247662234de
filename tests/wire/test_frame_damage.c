/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are cut, changed, or of something else: none of them is ever delivered. */
#include "kvr_value.h"
#include "kvr_check.h"

#include <string.h>

static _Alignas(64) uint8_t scratch[KVR_FRAME_SCRATCH];

START_TEST(every_truncation_is_seen)
{
	/* Bare values have nothing that says how long they were meant to be but the reader. */
	for (size_t r = 0; r < KVR_LEN(kvr_value_rules); r++) {
		struct kvr_meta meta = kvr_value_meta, found = { 0 };
		struct kvr_item put, get;
		uint8_t into[100 + KVR_VALUE_GUARD];

		kvr_value_item(&put, &meta, kvr_value_payload(100), 100);
		struct kvr_value whole = kvr_value_write(kvr_value_rules[r], &put, r);
		struct kvr_value longer = { kvr_value_room(whole.len + 9), whole.len + 9 };
		memcpy(longer.at, whole.at, whole.len);
		for (size_t len = 0; len <= longer.len; len++) {
			memset(into, 0xa5, sizeof(into));
			kvr_value_item(&get, &found, into, 100);
			int32_t err = kvr_value_read(
			    kvr_value_rules[r], &get, (struct kvr_value){ longer.at, len }, len);
			kvr_value_check_guard(into, 100);
			if (len == whole.len)
				ck_assert_int_eq(err, KVR_OK);
			else
				ck_assert_int_eq(err,
				    kvr_value_rules[r]->format == KVR_FORMAT_SEALED ? KVR_E_CORRUPT
				                                                    : KVR_E_LENGTH);
			get.flags = KVR_ITEM_AT_MOST;
			err = kvr_value_read(
			    kvr_value_rules[r], &get, (struct kvr_value){ longer.at, len }, len);
			if (kvr_value_rules[r]->format == KVR_FORMAT_SEALED && len != whole.len)
				ck_assert_int_eq(err, KVR_E_CORRUPT);
		}
		free(longer.at);
		free(whole.at);
		free(put.span.at);
	}
}
END_TEST

START_TEST(a_value_that_ends_early_is_never_whole)
{
	struct kvr_meta meta = kvr_value_meta;
	struct kvr_item put;
	struct kvr_frame f;
	struct kvr_span span;

	kvr_value_item(&put, &meta, kvr_value_payload(100), 100);
	for (size_t r = 0; r < KVR_LEN(kvr_value_rules); r++) {
		struct kvr_value v = kvr_value_write(kvr_value_rules[r], &put, r);

		for (size_t stop = 0; stop < v.len; stop++) {
			struct kvr_meta found = { 0 };
			struct kvr_item get;
			uint8_t into[100];
			size_t at = 0;

			kvr_value_item(&get, &found, into, sizeof(into));
			kvr_frame_in_begin(&f, kvr_value_rules[r], &get, scratch, v.len);
			while ((span = kvr_frame_in_next(&f, stop - at)).len > 0) {
				memcpy(span.at, v.at + at, span.len);
				kvr_frame_in_got(&f, span.len);
				at += span.len;
			}
			ck_assert_int_eq(kvr_frame_in_end(&f), KVR_E_LENGTH);
			ck_assert_str_ne(kvr_frame_why(&f), "");
		}
		free(v.at);
	}
	free(put.span.at);
}
END_TEST

START_TEST(no_flipped_bit_of_a_sealed_value_is_delivered)
{
	struct kvr_meta meta = kvr_value_meta;
	struct kvr_item put, get;
	uint8_t into[100];

	kvr_value_item(&put, &meta, kvr_value_payload(100), 100);
	struct kvr_value v = kvr_value_write(&kvr_value_sealed, &put, 1);
	for (size_t bit = 0; bit < 8 * v.len; bit++) {
		struct kvr_meta found = kvr_value_meta;

		kvr_value_item(&get, &found, into, sizeof(into));
		v.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
		int32_t err = kvr_value_read(&kvr_value_sealed, &get, v, bit);
		ck_assert_msg(err == KVR_E_CORRUPT, "bit %zu gives %s", bit, kvr_err_name(err));
		v.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	free(v.at);
	free(put.span.at);
}
END_TEST

START_TEST(no_damage_of_a_large_sealed_value_is_delivered)
{
	size_t len = 2 * KVR_SEAL_BLOCK + 333333;
	struct kvr_meta meta = kvr_value_meta, found = kvr_value_meta;
	struct kvr_item put, get;
	uint64_t rand = 2026;

	kvr_value_item(&put, &meta, kvr_value_payload(len), len);
	kvr_value_item(&get, &found, kvr_value_room(len), len);
	struct kvr_value v = kvr_value_write(&kvr_value_sealed_fs, &put, 3);
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed_fs, &get, v, 4), KVR_OK);
	for (int round = 0; round < 25; round++) {
		size_t bit = (size_t)(kvr_value_draw(&rand) % (8 * v.len)),
		       cut = (size_t)(kvr_value_draw(&rand) % v.len);

		found = kvr_value_meta;
		v.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
		ck_assert_int_eq(kvr_value_read(&kvr_value_sealed_fs, &get, v, bit), KVR_E_CORRUPT);
		v.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
		found = kvr_value_meta;
		ck_assert_int_eq(kvr_value_read(&kvr_value_sealed_fs, &get,
		                     (struct kvr_value){ v.at, cut }, bit),
		    KVR_E_CORRUPT);
	}
	/* Two blocks exchanged: each is sound, and the order is wrong. */
	uint8_t *block = kvr_value_room(KVR_SEAL_BLOCK);
	memcpy(block, v.at + 4096, KVR_SEAL_BLOCK);
	memcpy(v.at + 4096, v.at + 4096 + KVR_SEAL_BLOCK, KVR_SEAL_BLOCK);
	memcpy(v.at + 4096 + KVR_SEAL_BLOCK, block, KVR_SEAL_BLOCK);
	found = kvr_value_meta;
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed_fs, &get, v, 5), KVR_E_CORRUPT);
	free(block);
	free(get.span.at);
	free(v.at);
	free(put.span.at);
}
END_TEST

START_TEST(a_sound_value_of_something_else_is_identity)
{
	struct kvr_frame_rules other_rules = kvr_value_sealed;
	struct kvr_meta meta = kvr_value_meta, other_meta = kvr_value_meta, found;
	struct kvr_item put, get;
	uint8_t into[100];

	kvr_value_item(&put, &meta, kvr_value_payload(100), 100);
	struct kvr_value v = kvr_value_write(&kvr_value_sealed, &put, 1);
	kvr_value_item(&get, &found, into, sizeof(into));
	found = kvr_value_meta;
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed, &get, v, 1), KVR_OK);

	get.key = "b-key";
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed, &get, v, 2), KVR_E_IDENTITY);
	get.key = "a-key";
	get.key_len = 4;
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed, &get, v, 3), KVR_E_IDENTITY);
	get.key_len = 5;
	other_rules.fingerprint = 78;
	ck_assert_int_eq(kvr_value_read(&other_rules, &get, v, 4), KVR_E_IDENTITY);
	other_rules.fingerprint = 0;
	ck_assert_int_eq(kvr_value_read(&other_rules, &get, v, 5), KVR_OK);
	other_rules.serdes = 2;
	ck_assert_int_eq(kvr_value_read(&other_rules, &get, v, 5), KVR_E_IDENTITY);

	other_meta.group[0].dtype = KVR_DTYPE_FLOAT16;
	found = other_meta;
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed, &get, v, 6), KVR_E_IDENTITY);
	ck_assert_msg(kvr_meta_same(&found, &kvr_value_meta), "the item says what was found");
	found = (struct kvr_meta){ 0 };
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed, &get, v, 7), KVR_OK);
	ck_assert(kvr_meta_same(&found, &kvr_value_meta));
	free(v.at);

	free(put.span.at);
}
END_TEST

START_TEST(an_lmcache_header_of_something_else_is_told_apart)
{
	struct kvr_meta meta = kvr_value_meta, found = kvr_value_meta;
	struct kvr_item put, get;
	uint8_t into[100];

	kvr_value_item(&put, &meta, kvr_value_payload(100), 100);
	kvr_value_item(&get, &found, into, sizeof(into));
	struct kvr_value v = kvr_value_write(&kvr_value_lmcache, &put, 8);
	found.group[0].dtype = KVR_DTYPE_FLOAT16;
	ck_assert_int_eq(kvr_value_read(&kvr_value_lmcache, &get, v, 9), KVR_E_IDENTITY);
	ck_assert(kvr_meta_same(&found, &kvr_value_meta));
	ck_assert_int_eq(kvr_value_read(&kvr_value_lmcache, &get, v, 9), KVR_OK);
	v.at[8] = 99;
	ck_assert_int_eq(kvr_value_read(&kvr_value_lmcache, &get, v, 9), KVR_E_CORRUPT);
	free(v.at);
	free(put.span.at);
}
END_TEST

/* Damage is told from a wrong wish: a value can be refused before its payload was looked at. */
START_TEST(what_is_refused_does_not_touch_the_span)
{
	struct kvr_meta meta = kvr_value_meta, found = kvr_value_meta;
	struct kvr_item put, get;
	size_t len = 200000;

	kvr_value_item(&put, &meta, kvr_value_payload(len), len);
	struct kvr_value v = kvr_value_write(&kvr_value_sealed, &put, 1);
	kvr_value_item(&get, &found, kvr_value_room(len), len);
	get.key = "b-key";
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed, &get, v, 2), KVR_E_IDENTITY);
	v.at[100] ^= 1;
	get.key = "a-key";
	ck_assert_int_eq(kvr_value_read(&kvr_value_sealed, &get, v, 2), KVR_E_CORRUPT);
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(((uint8_t *)get.span.at)[i], 0xa5);
	free(get.span.at);
	free(v.at);
	free(put.span.at);
}
END_TEST

KVR_CHECK_MAIN("wire.frame_damage", every_truncation_is_seen,
    a_value_that_ends_early_is_never_whole, no_flipped_bit_of_a_sealed_value_is_delivered,
    no_damage_of_a_large_sealed_value_is_delivered, a_sound_value_of_something_else_is_identity,
    an_lmcache_header_of_something_else_is_told_apart, what_is_refused_does_not_touch_the_span)
