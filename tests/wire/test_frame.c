/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_value.h"
#include "kvr_check.h"
#include "kvr_golden.h"

#include <string.h>

static _Alignas(64) uint8_t scratch[KVR_FRAME_SCRATCH];

/* ---- golden ---- */

static void
golden_item(const struct kvr_golden *c, struct kvr_item *item, struct kvr_meta *meta)
{
	size_t len = (size_t)kvr_golden_int_of(c, "len");

	*meta = (struct kvr_meta){ .memfmt = (uint32_t)kvr_golden_int_of(c, "memfmt") };
	KVR_GOLDEN_EACH(group, kvr_golden_get(c, "groups"))
	{
		struct kvr_shape *shape = &meta->group[meta->n_groups++];

		shape->dtype = (uint32_t)kvr_golden_int_of(group, "dtype");
		KVR_GOLDEN_EACH(dim, kvr_golden_get(group, "dims"))
		shape->dim[shape->n_dims++] = (uint64_t)kvr_golden_int(dim);
	}
	kvr_value_item(item, meta, kvr_value_payload(len), len);
	item->key = kvr_golden_text_of(c, "key");
	item->key_len = (uint32_t)strlen(item->key);
	item->serde = (uint32_t)kvr_golden_int_of(c, "serde");
	item->raw_len = item->serde == 0 ? 0 : (uint64_t)kvr_golden_int_of(c, "raw_len");
}

static void
check_golden(const struct kvr_golden *c, struct kvr_value v)
{
	size_t head_len = 0, tail_len = 0;
	uint8_t *head = kvr_golden_hex_of(c, "header_hex", &head_len);
	uint8_t *tail = kvr_golden_hex_of(c, "trailer_hex", &tail_len);

	ck_assert_uint_eq(v.len, (uint64_t)kvr_golden_int_of(c, "total"));
	ck_assert_mem_eq(v.at, head, head_len);
	ck_assert_mem_eq(v.at + v.len - tail_len, tail, tail_len);
	ck_assert_uint_eq(
	    kvr_hash64(v.at, v.len), strtoull(kvr_golden_text_of(c, "value_xxh3_64"), NULL, 10));
	free(head);
	free(tail);
}

static void
check_golden_read(const struct kvr_golden *c, const struct kvr_frame_rules *rules,
    const struct kvr_item *put, struct kvr_value v, uint64_t seed)
{
	struct kvr_meta found = *put->meta;
	struct kvr_item get;

	kvr_value_item(&get, &found, kvr_value_room(put->span.len), put->span.len);
	get.key = put->key;
	get.key_len = put->key_len;
	ck_assert_int_eq(kvr_value_read(rules, &get, v, seed), KVR_OK);
	ck_assert_mem_eq(get.span.at, put->span.at, put->span.len);
	kvr_value_check_guard(get.span.at, get.span.len);
	ck_assert_uint_eq(get.len, put->span.len);
	ck_assert_uint_eq(get.raw_len, (uint64_t)kvr_golden_int_of(c, "raw_len"));
	ck_assert_uint_eq(get.serde, put->serde);
	ck_assert(kvr_meta_same(&found, put->meta));
	free(get.span.at);
}

START_TEST(golden_sealed_values_however_they_are_cut)
{
	struct kvr_golden *file = kvr_golden_open("sealed.json");

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	{
		const struct kvr_frame_rules rules = { .format = KVR_FORMAT_SEALED,
			.seal_head = (uint32_t)kvr_golden_int_of(c, "head_len"),
			.serde_version = (uint32_t)kvr_golden_int_of(c, "serde_version"),
			.fingerprint = strtoull(kvr_golden_text_of(c, "fingerprint"), NULL, 10) };
		struct kvr_item item;
		struct kvr_meta meta;

		golden_item(c, &item, &meta);
		for (uint64_t seed = 1; seed < 8; seed++) {
			struct kvr_value v = kvr_value_write(&rules, &item, seed);

			check_golden(c, v);
			check_golden_read(c, &rules, &item, v, seed * 77);
			free(v.at);
		}
		free(item.span.at);
	}
	kvr_golden_close(file);
}
END_TEST

/* What LMCache's fs connector wrote: header in front of the payload, or none. */
static void
check_fs_entry(const struct kvr_golden *e, const struct kvr_frame_rules *rules)
{
	const struct kvr_golden *content = kvr_golden_first(kvr_golden_get(e, "files"));
	const char *dtype = kvr_golden_text_of(e, "dtype"), *fmt = kvr_golden_text_of(e, "fmt");
	struct kvr_meta meta = { .n_groups = 1 }, found = { 0 };
	struct kvr_item put, get;
	struct kvr_value want;
	size_t len = 0;
	uint8_t *payload = kvr_golden_hex_of(e, "payload_hex", &len);

	while (strcmp(kvr_memfmt_name(meta.memfmt), fmt) != 0)
		meta.memfmt++;
	meta.group[0].dtype = (uint32_t)kvr_dtype_find(dtype, strlen(dtype));
	KVR_GOLDEN_EACH(dim, kvr_golden_get(e, "shape"))
	meta.group[0].dim[meta.group[0].n_dims++] = (uint64_t)kvr_golden_int(dim);
	want.at = kvr_golden_hex(content, &want.len);
	kvr_value_item(&put, &meta, payload, len);
	struct kvr_value v = kvr_value_write(rules, &put, len);
	ck_assert_uint_eq(v.len, want.len);
	ck_assert_mem_eq(v.at, want.at, want.len);

	kvr_value_item(&get, &found, kvr_value_room(len), len);
	ck_assert_int_eq(kvr_value_read(rules, &get, want, len), KVR_OK);
	ck_assert_mem_eq(get.span.at, payload, len);
	if (rules->n_groups > 0)
		ck_assert(kvr_meta_same(&found, &meta));
	free(get.span.at);
	free(v.at);
	free(want.at);
	free(payload);
}

START_TEST(files_that_lmcache_wrote)
{
	struct kvr_golden *file = kvr_golden_open("fs_layout.json");
	size_t with = 0, without = 0;

	KVR_GOLDEN_EACH(set, kvr_golden_get(file, "sets"))
	{
		const struct kvr_golden *config = kvr_golden_get(set, "extra_config");
		const struct kvr_golden *save =
		    kvr_golden_is_null(config) ? NULL : kvr_golden_find(config, "save_chunk_meta");
		bool no_header = save != NULL && !kvr_golden_is_true(save);

		KVR_GOLDEN_EACH(e, kvr_golden_get(set, "entries"))
		{
			check_fs_entry(e, no_header ? &kvr_value_headless : &kvr_value_lmcache);
			no_header ? without++ : with++;
		}
	}
	ck_assert_uint_ge(with, 8);
	ck_assert_uint_ge(without, 1);
	kvr_golden_close(file);
}
END_TEST

/* ---- lengths ---- */

START_TEST(a_get_wants_its_exact_length_or_at_most_its_room)
{
	static const struct {
		size_t stored, room;
		int32_t exact, at_most;
	} row[] = {
		{ 100, 100, KVR_OK, KVR_OK },
		{ 100, 101, KVR_E_LENGTH, KVR_OK },
		{ 100, 99, KVR_E_LENGTH, KVR_E_LENGTH },
		{ 100, 0, KVR_E_LENGTH, KVR_E_LENGTH },
		{ 0, 0, KVR_OK, KVR_OK },
		{ 0, 1, KVR_E_LENGTH, KVR_OK },
		{ 300000, 200000, KVR_E_LENGTH, KVR_E_LENGTH },
	};

	for (size_t i = 0; i < KVR_LEN(row) * KVR_LEN(kvr_value_rules) * 2; i++) {
		const struct kvr_frame_rules *rules = kvr_value_rules[i % KVR_LEN(kvr_value_rules)];
		size_t r = i / KVR_LEN(kvr_value_rules) % KVR_LEN(row);
		bool at_most = i / KVR_LEN(kvr_value_rules) / KVR_LEN(row) != 0;
		struct kvr_meta meta = kvr_value_meta, found = { 0 };
		struct kvr_item put, get;

		kvr_value_item(&put, &meta, kvr_value_payload(row[r].stored), row[r].stored);
		struct kvr_value v = kvr_value_write(rules, &put, i);
		kvr_value_item(&get, &found, kvr_value_room(row[r].room), row[r].room);
		get.flags = at_most ? KVR_ITEM_AT_MOST : 0;
		int32_t want = at_most ? row[r].at_most : row[r].exact;
		ck_assert_int_eq(kvr_value_read(rules, &get, v, i), want);
		ck_assert_uint_eq(get.len, row[r].stored);
		kvr_value_check_guard(get.span.at, row[r].room);
		if (want == KVR_OK)
			ck_assert_mem_eq(get.span.at, put.span.at, row[r].stored);
		free(get.span.at);
		free(v.at);
		free(put.span.at);
	}
}
END_TEST

/* ---- spans ---- */

START_TEST(payload_is_never_copied_and_sealed_slices_fit_the_cache)
{
	size_t len = KVR_SEAL_BLOCK + 5;
	struct kvr_meta meta = kvr_value_meta;
	struct kvr_item put;

	kvr_value_item(&put, &meta, kvr_value_payload(len), len);
	for (size_t r = 0; r < KVR_LEN(kvr_value_rules); r++) {
		struct kvr_const_span span;
		struct kvr_frame f;
		uint64_t in_payload = 0, spans = 0;

		ck_assert_int_eq(
		    kvr_frame_out_begin(&f, kvr_value_rules[r], &put, scratch), KVR_OK);
		while ((span = kvr_frame_out_next(&f, SIZE_MAX)).len > 0) {
			uintptr_t at = (uintptr_t)span.at - (uintptr_t)put.span.at;

			spans++;
			if (at < len) {
				ck_assert_uint_eq(at, in_payload);
				in_payload += span.len;
			}
			if (kvr_value_rules[r]->format == KVR_FORMAT_SEALED)
				ck_assert_uint_le(span.len, KVR_FRAME_SLICE);
		}
		ck_assert_uint_eq(in_payload, len);
		uint64_t ends = kvr_value_rules[r]->format == KVR_FORMAT_SEALED
		                    ? 2
		                    : kvr_value_rules[r]->n_groups;
		ck_assert_uint_eq(
		    spans, ends + (kvr_value_rules[r]->format == KVR_FORMAT_SEALED ? 5 : 1));
	}
	free(put.span.at);
}
END_TEST

START_TEST(what_a_format_cannot_say_is_refused_before_the_first_byte)
{
	const struct kvr_frame_rules two_groups = { .format = KVR_FORMAT_LMCACHE, .n_groups = 2 };
	struct kvr_meta meta = kvr_value_meta;
	struct kvr_item put;
	struct kvr_frame f;

	kvr_value_item(&put, &meta, NULL, (size_t)KVR_SEAL_BLOCKS_MAX * KVR_SEAL_BLOCK);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_sealed, &put, scratch), KVR_OK);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_sealed_fs, &put, scratch), KVR_OK);
	put.span.len++;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_sealed, &put, scratch), KVR_E_TOO_BIG);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_lmcache, &put, scratch), KVR_E_TOO_BIG);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_bare, &put, scratch), KVR_OK);
	put.span.len = 0;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &two_groups, &put, scratch), KVR_E_INVALID);
	meta.group[0].dtype = KVR_DTYPE_INT8;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_lmcache, &put, scratch), KVR_E_INVALID);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_sealed, &put, scratch), KVR_OK);
	put.key_len = 0;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_sealed, &put, scratch), KVR_E_INVALID);
	put.key_len = 513;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &kvr_value_sealed, &put, scratch), KVR_E_INVALID);
}
END_TEST

/* ---- stat ---- */

/* There are words exactly where there is an error: else those of another key would be told. */
static int32_t
stat_of(const struct kvr_frame_rules *rules, struct kvr_item *item, const uint8_t *head,
    size_t have, uint64_t total)
{
	char why[128] = "";
	int32_t err = kvr_frame_stat(rules, item, head, have, total, why, sizeof(why));

	ck_assert_int_eq(err == KVR_OK, why[0] == '\0');
	return err;
}

START_TEST(stat_says_what_is_there_and_sees_what_is_broken)
{
	struct kvr_meta meta = kvr_value_meta;
	struct kvr_item put, stat;

	kvr_value_item(&put, &meta, kvr_value_payload(100), 100);
	for (size_t r = 0; r < KVR_LEN(kvr_value_rules); r++) {
		const struct kvr_frame_rules *rules = kvr_value_rules[r];
		size_t head_len = (size_t)kvr_frame_head_len(rules);
		struct kvr_value v = kvr_value_write(rules, &put, r);
		struct kvr_meta found = { 0 };

		kvr_value_item(&stat, &found, NULL, 0);
		ck_assert_int_eq(stat_of(rules, &stat, v.at, head_len, v.len), KVR_OK);
		ck_assert_uint_eq(stat.len, 100);
		ck_assert_uint_eq(stat.raw_len, 100);
		ck_assert_uint_eq(stat.serde, 0);
		if (head_len == 0) {
			ck_assert_int_eq(
			    stat_of(rules, &stat, v.at, 0, UINT64_C(1) << 32), KVR_E_TOO_BIG);
			free(v.at);
			continue;
		}
		ck_assert(kvr_meta_same(&found, &kvr_value_meta));
		bool is_sealed = rules->format == KVR_FORMAT_SEALED;
		int32_t broken = is_sealed ? KVR_E_CORRUPT : KVR_E_LENGTH;
		ck_assert_int_eq(
		    stat_of(rules, &stat, v.at, head_len - 1, v.len), KVR_E_INVALID);
		ck_assert_int_eq(stat_of(rules, &stat, v.at, 5, 5), broken);
		ck_assert_int_eq(stat_of(rules, &stat, v.at, head_len, v.len - 1), broken);
		stat.key = "b-key";
		ck_assert_int_eq(stat_of(rules, &stat, v.at, head_len, v.len),
		    is_sealed ? KVR_E_IDENTITY : KVR_OK);
		v.at[9] ^= 0x40;
		ck_assert_int_eq(
		    stat_of(rules, &stat, v.at, head_len, v.len), KVR_E_CORRUPT);
		free(v.at);
	}
	free(put.span.at);
}
END_TEST

KVR_CHECK_MAIN("wire.frame", golden_sealed_values_however_they_are_cut, files_that_lmcache_wrote,
    a_get_wants_its_exact_length_or_at_most_its_room,
    payload_is_never_copied_and_sealed_slices_fit_the_cache,
    what_a_format_cannot_say_is_refused_before_the_first_byte,
    stat_says_what_is_there_and_sees_what_is_broken)
