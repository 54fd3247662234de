/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_frame.h"
#include "kvr_lmmeta.h"
#include "kvr_check.h"
#include "kvr_golden.h"

#include <string.h>

#define GUARD 64U

/* A value as it lies in a store. */
struct value {
	uint8_t *at;
	size_t   len;
};

static _Alignas(64) uint8_t scratch[KVR_FRAME_SCRATCH];

static uint64_t
draw(uint64_t *rand)
{
	uint64_t z = *rand += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Small, middling and large cuts, so that pieces both straddle and fill blocks. */
static size_t
draw_max(uint64_t *rand)
{
	static const size_t scale[] = { 2, 100, 5000, 70000, 300000, 3000000 };
	uint64_t which = draw(rand) % KVR_LEN(scale);

	return 1 + (size_t)(draw(rand) % scale[which]);
}

static void *
room(size_t len)
{
	uint8_t *at = malloc(len + GUARD);

	ck_assert_ptr_nonnull(at);
	memset(at, 0xa5, len + GUARD);
	return at;
}

static void
check_guard(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < GUARD; i++)
		ck_assert_uint_eq(at[len + i], 0xa5);
}

static uint8_t *
payload_of(size_t len)
{
	uint8_t *payload = room(len);

	for (uint64_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
	return payload;
}

static struct value
write_value(const struct kvr_frame_rules *rules, struct kvr_item *item, uint64_t seed)
{
	struct kvr_frame f;
	struct kvr_const_span span;
	uint64_t rand = seed;
	size_t at = 0;

	ck_assert_int_eq(kvr_frame_out_begin(&f, rules, item, scratch), KVR_OK);
	struct value v = { room((size_t)kvr_frame_out_len(&f)), (size_t)kvr_frame_out_len(&f) };
	while ((span = kvr_frame_out_next(&f, draw_max(&rand))).len > 0) {
		ck_assert_uint_le(span.len, v.len - at);
		memcpy(v.at + at, span.at, span.len);
		at += span.len;
	}
	ck_assert_uint_eq(at, v.len);
	ck_assert_uint_eq(item->len, v.len);
	check_guard(v.at, v.len);
	return v;
}

/* Reads all of v, whatever is wrong with it: a stream must stay in step. */
static int32_t
read_value(const struct kvr_frame_rules *rules, struct kvr_item *item, struct value v, uint64_t seed)
{
	struct kvr_frame f;
	struct kvr_span span;
	uint64_t rand = seed;
	size_t at = 0;

	kvr_frame_in_begin(&f, rules, item, scratch, v.len);
	while ((span = kvr_frame_in_next(&f, draw_max(&rand))).len > 0) {
		size_t n = 1 + (size_t)(draw(&rand) % span.len);

		ck_assert_uint_le(span.len, v.len - at);
		memcpy(span.at, v.at + at, n);
		kvr_frame_in_got(&f, n);
		at += n;
	}
	ck_assert_uint_eq(at, v.len);
	int32_t err = kvr_frame_in_end(&f);
	ck_assert((err == KVR_OK) == (kvr_frame_why(&f)[0] == '\0'));
	return err;
}

static const struct kvr_meta chunk_meta = { KVR_MEMFMT_KV_2LTD, 1,
	{ { KVR_DTYPE_BFLOAT16, 4, { 2, 1, 5, 5 } } } };

static const struct kvr_frame_rules bare = { .format = KVR_FORMAT_BARE };
static const struct kvr_frame_rules lmcache = { .format = KVR_FORMAT_LMCACHE, .n_groups = 1 };
static const struct kvr_frame_rules headless = { .format = KVR_FORMAT_LMCACHE };
static const struct kvr_frame_rules sealed = { .format = KVR_FORMAT_SEALED,
	.seal_head = KVR_SEAL_HEAD, .fingerprint = 77 };
static const struct kvr_frame_rules sealed_fs = { .format = KVR_FORMAT_SEALED,
	.seal_head = KVR_SEAL_HEAD_FS };
static const struct kvr_frame_rules *const every[] = { &bare, &lmcache, &headless, &sealed,
	&sealed_fs };

static void
item_of(struct kvr_item *item, struct kvr_meta *meta, void *at, size_t len)
{
	memset(item, 0, sizeof(*item));
	item->key = "a-key";
	item->key_len = 5;
	item->span = (struct kvr_span){ at, len };
	item->meta = meta;
	atomic_init(&item->status, KVR_PENDING);
}

/* ---- golden ---- */

static void
golden_item(const struct kvr_golden *c, struct kvr_item *item, struct kvr_meta *meta)
{
	size_t len = (size_t)kvr_golden_int_of(c, "len");

	*meta = (struct kvr_meta){ .memfmt = (uint32_t)kvr_golden_int_of(c, "memfmt") };
	KVR_GOLDEN_EACH (group, kvr_golden_get(c, "groups")) {
		struct kvr_shape *shape = &meta->group[meta->n_groups++];

		shape->dtype = (uint32_t)kvr_golden_int_of(group, "dtype");
		KVR_GOLDEN_EACH (dim, kvr_golden_get(group, "dims"))
			shape->dim[shape->n_dims++] = (uint64_t)kvr_golden_int(dim);
	}
	item_of(item, meta, payload_of(len), len);
	item->key = kvr_golden_text_of(c, "key");
	item->key_len = (uint32_t)strlen(item->key);
	item->serde = (uint32_t)kvr_golden_int_of(c, "serde");
	item->raw_len = item->serde == 0 ? 0 : (uint64_t)kvr_golden_int_of(c, "raw_len");
}

static void
check_golden(const struct kvr_golden *c, struct value v)
{
	size_t head_len = 0, tail_len = 0;
	uint8_t *head = kvr_golden_hex_of(c, "header_hex", &head_len);
	uint8_t *tail = kvr_golden_hex_of(c, "trailer_hex", &tail_len);

	ck_assert_uint_eq(v.len, (uint64_t)kvr_golden_int_of(c, "total"));
	ck_assert_mem_eq(v.at, head, head_len);
	ck_assert_mem_eq(v.at + v.len - tail_len, tail, tail_len);
	ck_assert_uint_eq(kvr_hash64(v.at, v.len),
	    strtoull(kvr_golden_text_of(c, "value_xxh3_64"), NULL, 10));
	free(head);
	free(tail);
}

static void
check_golden_read(const struct kvr_golden *c, const struct kvr_frame_rules *rules,
    const struct kvr_item *put, struct value v, uint64_t seed)
{
	struct kvr_meta found = *put->meta;
	struct kvr_item get;

	item_of(&get, &found, room(put->span.len), put->span.len);
	get.key = put->key;
	get.key_len = put->key_len;
	ck_assert_int_eq(read_value(rules, &get, v, seed), KVR_OK);
	ck_assert_mem_eq(get.span.at, put->span.at, put->span.len);
	check_guard(get.span.at, get.span.len);
	ck_assert_uint_eq(get.len, put->span.len);
	ck_assert_uint_eq(get.raw_len, (uint64_t)kvr_golden_int_of(c, "raw_len"));
	ck_assert_uint_eq(get.serde, put->serde);
	ck_assert(kvr_meta_same(&found, put->meta));
	free(get.span.at);
}

START_TEST(golden_sealed_values_however_they_are_cut)
{
	struct kvr_golden *file = kvr_golden_open("sealed.json");

	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "cases")) {
		const struct kvr_frame_rules rules = { .format = KVR_FORMAT_SEALED,
			.seal_head = (uint32_t)kvr_golden_int_of(c, "head_len"),
			.serde_version = (uint32_t)kvr_golden_int_of(c, "serde_version"),
			.fingerprint = strtoull(kvr_golden_text_of(c, "fingerprint"), NULL, 10) };
		struct kvr_item item;
		struct kvr_meta meta;

		golden_item(c, &item, &meta);
		for (uint64_t seed = 1; seed < 12; seed++) {
			struct value v = write_value(&rules, &item, seed);

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
	struct value want;
	size_t len = 0;
	uint8_t *payload = kvr_golden_hex_of(e, "payload_hex", &len);

	while (strcmp(kvr_memfmt_name(meta.memfmt), fmt) != 0)
		meta.memfmt++;
	meta.group[0].dtype = (uint32_t)kvr_dtype_find(dtype, strlen(dtype));
	KVR_GOLDEN_EACH (dim, kvr_golden_get(e, "shape"))
		meta.group[0].dim[meta.group[0].n_dims++] = (uint64_t)kvr_golden_int(dim);
	want.at = kvr_golden_hex(content, &want.len);
	item_of(&put, &meta, payload, len);
	struct value v = write_value(rules, &put, len);
	ck_assert_uint_eq(v.len, want.len);
	ck_assert_mem_eq(v.at, want.at, want.len);

	item_of(&get, &found, room(len), len);
	ck_assert_int_eq(read_value(rules, &get, want, len), KVR_OK);
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

	KVR_GOLDEN_EACH (set, kvr_golden_get(file, "sets")) {
		const struct kvr_golden *config = kvr_golden_get(set, "extra_config");
		const struct kvr_golden *save = kvr_golden_is_null(config)
		    ? NULL
		    : kvr_golden_find(config, "save_chunk_meta");
		bool no_header = save != NULL && !kvr_golden_is_true(save);

		KVR_GOLDEN_EACH (e, kvr_golden_get(set, "entries")) {
			check_fs_entry(e, no_header ? &headless : &lmcache);
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
		size_t  stored, room;
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

	for (size_t i = 0; i < KVR_LEN(row) * KVR_LEN(every) * 2; i++) {
		const struct kvr_frame_rules *rules = every[i % KVR_LEN(every)];
		size_t r = i / KVR_LEN(every) % KVR_LEN(row);
		bool at_most = i / KVR_LEN(every) / KVR_LEN(row) != 0;
		struct kvr_meta meta = chunk_meta, found = { 0 };
		struct kvr_item put, get;

		item_of(&put, &meta, payload_of(row[r].stored), row[r].stored);
		struct value v = write_value(rules, &put, i);
		item_of(&get, &found, room(row[r].room), row[r].room);
		get.flags = at_most ? KVR_ITEM_AT_MOST : 0;
		int32_t want = at_most ? row[r].at_most : row[r].exact;
		ck_assert_int_eq(read_value(rules, &get, v, i), want);
		ck_assert_uint_eq(get.len, row[r].stored);
		check_guard(get.span.at, row[r].room);
		if (want == KVR_OK)
			ck_assert_mem_eq(get.span.at, put.span.at, row[r].stored);
		free(get.span.at);
		free(v.at);
		free(put.span.at);
	}
}
END_TEST

START_TEST(every_truncation_is_seen)
{
	/* Bare values have nothing that says how long they were meant to be but the reader. */
	for (size_t r = 0; r < KVR_LEN(every); r++) {
		struct kvr_meta meta = chunk_meta, found = { 0 };
		struct kvr_item put, get;
		uint8_t into[100 + GUARD];

		item_of(&put, &meta, payload_of(100), 100);
		struct value whole = write_value(every[r], &put, r);
		struct value longer = { room(whole.len + 9), whole.len + 9 };
		memcpy(longer.at, whole.at, whole.len);
		for (size_t len = 0; len <= longer.len; len++) {
			memset(into, 0xa5, sizeof(into));
			item_of(&get, &found, into, 100);
			int32_t err = read_value(every[r], &get, (struct value){ longer.at, len }, len);
			check_guard(into, 100);
			if (len == whole.len)
				ck_assert_int_eq(err, KVR_OK);
			else
				ck_assert_int_eq(err,
				    every[r]->format == KVR_FORMAT_SEALED ? KVR_E_CORRUPT : KVR_E_LENGTH);
			get.flags = KVR_ITEM_AT_MOST;
			err = read_value(every[r], &get, (struct value){ longer.at, len }, len);
			if (every[r]->format == KVR_FORMAT_SEALED && len != whole.len)
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
	struct kvr_meta meta = chunk_meta;
	struct kvr_item put;
	struct kvr_frame f;
	struct kvr_span span;

	item_of(&put, &meta, payload_of(100), 100);
	for (size_t r = 0; r < KVR_LEN(every); r++) {
		struct value v = write_value(every[r], &put, r);

		for (size_t stop = 0; stop < v.len; stop++) {
			struct kvr_meta found = { 0 };
			struct kvr_item get;
			uint8_t into[100];
			size_t at = 0;

			item_of(&get, &found, into, sizeof(into));
			kvr_frame_in_begin(&f, every[r], &get, scratch, v.len);
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

/* ---- seals ---- */

START_TEST(no_flipped_bit_of_a_sealed_value_is_delivered)
{
	struct kvr_meta meta = chunk_meta;
	struct kvr_item put, get;
	uint8_t into[100];

	item_of(&put, &meta, payload_of(100), 100);
	struct value v = write_value(&sealed, &put, 1);
	for (size_t bit = 0; bit < 8 * v.len; bit++) {
		struct kvr_meta found = chunk_meta;

		item_of(&get, &found, into, sizeof(into));
		v.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
		int32_t err = read_value(&sealed, &get, v, bit);
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
	struct kvr_meta meta = chunk_meta, found = chunk_meta;
	struct kvr_item put, get;
	uint64_t rand = 2026;

	item_of(&put, &meta, payload_of(len), len);
	item_of(&get, &found, room(len), len);
	struct value v = write_value(&sealed_fs, &put, 3);
	ck_assert_int_eq(read_value(&sealed_fs, &get, v, 4), KVR_OK);
	for (int round = 0; round < 60; round++) {
		size_t bit = (size_t)(draw(&rand) % (8 * v.len)), cut = (size_t)(draw(&rand) % v.len);

		found = chunk_meta;
		v.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
		ck_assert_int_eq(read_value(&sealed_fs, &get, v, bit), KVR_E_CORRUPT);
		v.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
		found = chunk_meta;
		ck_assert_int_eq(
		    read_value(&sealed_fs, &get, (struct value){ v.at, cut }, bit), KVR_E_CORRUPT);
	}
	/* Two blocks exchanged: each is sound, and the order is wrong. */
	uint8_t *block = room(KVR_SEAL_BLOCK);
	memcpy(block, v.at + 4096, KVR_SEAL_BLOCK);
	memcpy(v.at + 4096, v.at + 4096 + KVR_SEAL_BLOCK, KVR_SEAL_BLOCK);
	memcpy(v.at + 4096 + KVR_SEAL_BLOCK, block, KVR_SEAL_BLOCK);
	found = chunk_meta;
	ck_assert_int_eq(read_value(&sealed_fs, &get, v, 5), KVR_E_CORRUPT);
	free(block);
	free(get.span.at);
	free(v.at);
	free(put.span.at);
}
END_TEST

START_TEST(a_sound_value_of_something_else_is_identity)
{
	struct kvr_frame_rules other_rules = sealed;
	struct kvr_meta meta = chunk_meta, other_meta = chunk_meta, found;
	struct kvr_item put, get;
	uint8_t into[100];

	item_of(&put, &meta, payload_of(100), 100);
	struct value v = write_value(&sealed, &put, 1);
	item_of(&get, &found, into, sizeof(into));
	found = chunk_meta;
	ck_assert_int_eq(read_value(&sealed, &get, v, 1), KVR_OK);

	get.key = "b-key";
	ck_assert_int_eq(read_value(&sealed, &get, v, 2), KVR_E_IDENTITY);
	get.key = "a-key";
	get.key_len = 4;
	ck_assert_int_eq(read_value(&sealed, &get, v, 3), KVR_E_IDENTITY);
	get.key_len = 5;
	other_rules.fingerprint = 78;
	ck_assert_int_eq(read_value(&other_rules, &get, v, 4), KVR_E_IDENTITY);
	other_rules.fingerprint = 0;
	ck_assert_int_eq(read_value(&other_rules, &get, v, 5), KVR_OK);
	other_rules.serdes = 2;
	ck_assert_int_eq(read_value(&other_rules, &get, v, 5), KVR_E_IDENTITY);

	other_meta.group[0].dtype = KVR_DTYPE_FLOAT16;
	found = other_meta;
	ck_assert_int_eq(read_value(&sealed, &get, v, 6), KVR_E_IDENTITY);
	ck_assert_msg(kvr_meta_same(&found, &chunk_meta), "the item says what was found");
	found = (struct kvr_meta){ 0 };
	ck_assert_int_eq(read_value(&sealed, &get, v, 7), KVR_OK);
	ck_assert(kvr_meta_same(&found, &chunk_meta));
	free(v.at);

	v = write_value(&lmcache, &put, 8);
	found = other_meta;
	ck_assert_int_eq(read_value(&lmcache, &get, v, 9), KVR_E_IDENTITY);
	ck_assert(kvr_meta_same(&found, &chunk_meta));
	v.at[8] = 99;
	ck_assert_int_eq(read_value(&lmcache, &get, v, 9), KVR_E_CORRUPT);
	free(v.at);
	free(put.span.at);
}
END_TEST

/* Damage is told from a wrong wish: a value can be refused before its payload was looked at. */
START_TEST(what_is_refused_does_not_touch_the_span)
{
	struct kvr_meta meta = chunk_meta, found = chunk_meta;
	struct kvr_item put, get;
	size_t len = 200000;

	item_of(&put, &meta, payload_of(len), len);
	struct value v = write_value(&sealed, &put, 1);
	item_of(&get, &found, room(len), len);
	get.key = "b-key";
	ck_assert_int_eq(read_value(&sealed, &get, v, 2), KVR_E_IDENTITY);
	v.at[100] ^= 1;
	get.key = "a-key";
	ck_assert_int_eq(read_value(&sealed, &get, v, 2), KVR_E_CORRUPT);
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(((uint8_t *)get.span.at)[i], 0xa5);
	free(get.span.at);
	free(v.at);
	free(put.span.at);
}
END_TEST

/* ---- spans ---- */

START_TEST(payload_is_never_copied_and_sealed_slices_fit_the_cache)
{
	size_t len = KVR_SEAL_BLOCK + 5;
	struct kvr_meta meta = chunk_meta;
	struct kvr_item put;

	item_of(&put, &meta, payload_of(len), len);
	for (size_t r = 0; r < KVR_LEN(every); r++) {
		struct kvr_const_span span;
		struct kvr_frame f;
		uint64_t in_payload = 0, spans = 0;

		ck_assert_int_eq(kvr_frame_out_begin(&f, every[r], &put, scratch), KVR_OK);
		while ((span = kvr_frame_out_next(&f, SIZE_MAX)).len > 0) {
			uintptr_t at = (uintptr_t)span.at - (uintptr_t)put.span.at;

			spans++;
			if (at < len) {
				ck_assert_uint_eq(at, in_payload);
				in_payload += span.len;
			}
			if (every[r]->format == KVR_FORMAT_SEALED)
				ck_assert_uint_le(span.len, KVR_FRAME_SLICE);
		}
		ck_assert_uint_eq(in_payload, len);
		uint64_t ends = every[r]->format == KVR_FORMAT_SEALED ? 2 : every[r]->n_groups;
		ck_assert_uint_eq(spans, ends + (every[r]->format == KVR_FORMAT_SEALED ? 5 : 1));
	}
	free(put.span.at);
}
END_TEST

START_TEST(what_a_format_cannot_say_is_refused_before_the_first_byte)
{
	const struct kvr_frame_rules two_groups = { .format = KVR_FORMAT_LMCACHE, .n_groups = 2 };
	struct kvr_meta meta = chunk_meta;
	struct kvr_item put;
	struct kvr_frame f;

	item_of(&put, &meta, NULL, (size_t)KVR_SEAL_BLOCKS_MAX * KVR_SEAL_BLOCK);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &sealed, &put, scratch), KVR_OK);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &sealed_fs, &put, scratch), KVR_OK);
	put.span.len++;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &sealed, &put, scratch), KVR_E_TOO_BIG);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &lmcache, &put, scratch), KVR_E_TOO_BIG);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &bare, &put, scratch), KVR_OK);
	put.span.len = 0;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &two_groups, &put, scratch), KVR_E_INVALID);
	meta.group[0].dtype = KVR_DTYPE_INT8;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &lmcache, &put, scratch), KVR_E_INVALID);
	ck_assert_int_eq(kvr_frame_out_begin(&f, &sealed, &put, scratch), KVR_OK);
	put.key_len = 0;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &sealed, &put, scratch), KVR_E_INVALID);
	put.key_len = 513;
	ck_assert_int_eq(kvr_frame_out_begin(&f, &sealed, &put, scratch), KVR_E_INVALID);
}
END_TEST

/* ---- stat ---- */

START_TEST(stat_says_what_is_there_and_sees_what_is_broken)
{
	struct kvr_meta meta = chunk_meta;
	struct kvr_item put, stat;

	item_of(&put, &meta, payload_of(100), 100);
	for (size_t r = 0; r < KVR_LEN(every); r++) {
		const struct kvr_frame_rules *rules = every[r];
		size_t head_len = (size_t)kvr_frame_head_len(rules);
		struct value v = write_value(rules, &put, r);
		struct kvr_meta found = { 0 };

		item_of(&stat, &found, NULL, 0);
		ck_assert_int_eq(kvr_frame_stat(rules, &stat, v.at, head_len, v.len), KVR_OK);
		ck_assert_uint_eq(stat.len, 100);
		ck_assert_uint_eq(stat.raw_len, 100);
		ck_assert_uint_eq(stat.serde, 0);
		if (head_len == 0) {
			free(v.at);
			continue;
		}
		ck_assert(kvr_meta_same(&found, &chunk_meta));
		bool is_sealed = rules->format == KVR_FORMAT_SEALED;
		int32_t broken = is_sealed ? KVR_E_CORRUPT : KVR_E_LENGTH;
		ck_assert_int_eq(
		    kvr_frame_stat(rules, &stat, v.at, head_len - 1, v.len), KVR_E_INVALID);
		ck_assert_int_eq(kvr_frame_stat(rules, &stat, v.at, 5, 5), broken);
		ck_assert_int_eq(kvr_frame_stat(rules, &stat, v.at, head_len, v.len - 1), broken);
		stat.key = "b-key";
		ck_assert_int_eq(kvr_frame_stat(rules, &stat, v.at, head_len, v.len),
		    is_sealed ? KVR_E_IDENTITY : KVR_OK);
		v.at[9] ^= 0x40;
		ck_assert_int_eq(kvr_frame_stat(rules, &stat, v.at, head_len, v.len), KVR_E_CORRUPT);
		free(v.at);
	}
	free(put.span.at);
}
END_TEST

KVR_CHECK_MAIN("wire.frame", golden_sealed_values_however_they_are_cut, files_that_lmcache_wrote,
    a_get_wants_its_exact_length_or_at_most_its_room, every_truncation_is_seen,
    a_value_that_ends_early_is_never_whole, no_flipped_bit_of_a_sealed_value_is_delivered,
    no_damage_of_a_large_sealed_value_is_delivered, a_sound_value_of_something_else_is_identity,
    what_is_refused_does_not_touch_the_span,
    payload_is_never_copied_and_sealed_slices_fit_the_cache,
    what_a_format_cannot_say_is_refused_before_the_first_byte,
    stat_says_what_is_there_and_sees_what_is_broken)
