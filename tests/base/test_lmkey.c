/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lmkey.h"
#include "kvr_meta.h"
#include "kvr_check.h"
#include "kvr_golden.h"

#include <stdio.h>
#include <string.h>

/* An integer of any length, lowest byte first; enough for what a key can hold. */
struct big {
	uint8_t byte[256];
	bool    minus;
};

static void
big_push(struct big *b, unsigned base, unsigned digit)
{
	unsigned carry = digit;

	for (size_t i = 0; i < sizeof(b->byte); i++) {
		carry += b->byte[i] * base;
		b->byte[i] = (uint8_t)carry;
		carry >>= 8;
	}
	ck_assert_uint_eq(carry, 0);
}

static struct big
big_read(const char *at, size_t len, unsigned base)
{
	struct big b = { 0 };

	for (size_t i = 0; i < len; i++) {
		char c = at[i];

		if (c == '-')
			b.minus = true;
		else if (c >= '0' && c <= '9')
			big_push(&b, base, (unsigned)(c - '0'));
		else if (c >= 'a' && c <= 'f')
			big_push(&b, base, (unsigned)(c - 'a') + 10);
		else if (c >= 'A' && c <= 'F')
			big_push(&b, base, (unsigned)(c - 'A') + 10);
		else /* the 0 of 0x adds nothing */
			ck_assert(c == ' ' || c == '+' || c == '_' || c == 'x');
	}
	return b;
}

static void
span_is(struct kvr_const_span span, const char *text)
{
	ck_assert_uint_eq(span.len, strlen(text));
	if (span.len > 0)
		ck_assert_int_eq(memcmp(span.at, text, span.len), 0);
}

/* Golden tags come out of a dictionary: a name given twice keeps its place and its last value. */
static const char *
tag_text(const struct kvr_golden *tag, unsigned which, char scratch[32])
{
	const struct kvr_golden *part = kvr_golden_first(tag);

	if (which == 1)
		part = kvr_golden_next(part);
	if (kvr_golden_is_text(part))
		return kvr_golden_text(part);
	snprintf(scratch, 32, "%lld", (long long)kvr_golden_int(part));
	return scratch;
}

static void
check_tags(const struct kvr_lmkey *key, const struct kvr_golden *want)
{
	size_t n = kvr_golden_is_null(want) ? 0 : kvr_golden_count(want);
	uint32_t seen = 0;

	for (size_t i = 0; i < n; i++) {
		struct kvr_const_span rest = key->tags, name, value, last = { NULL, 0 };
		const struct kvr_golden *tag = kvr_golden_first(want);
		char scratch[32];

		for (size_t skip = 0; skip < i; skip++)
			tag = kvr_golden_next(tag);
		const char *want_name = tag_text(tag, 0, scratch);
		while (kvr_lmkey_next_tag(&rest, &name, &value)) {
			if (name.len == strlen(want_name) && memcmp(name.at, want_name, name.len) == 0) {
				last = value;
				seen++;
			}
		}
		ck_assert_ptr_nonnull(last.at);
		span_is(last, tag_text(tag, 1, scratch));
	}
	ck_assert_uint_eq(seen, key->n_tags);
}

static void
check_parsed(const char *text, const struct kvr_golden *want, uint32_t form)
{
	struct kvr_lmkey key;

	ck_assert_msg(kvr_lmkey_parse(text, strlen(text), &key) == KVR_OK, "%s", text);
	ck_assert_uint_eq(key.form, form);
	span_is(key.model, kvr_golden_text_of(want, "model_name"));
	ck_assert_int_eq(key.world_size, kvr_golden_int_of(want, "world_size"));
	ck_assert_int_eq(key.worker_id, kvr_golden_int_of(want, "worker_id"));
	ck_assert_str_eq(kvr_dtype_name(key.dtype), kvr_golden_text_of(want, "dtype"));
	const char *number = kvr_golden_text_of(kvr_golden_get(want, "chunk_hash"), "int");
	struct big expected = big_read(number, strlen(number), 10);
	struct big found = big_read(key.hash.at, key.hash.len, 16);
	ck_assert_mem_eq(&found, &expected, sizeof(found));
	check_tags(&key, kvr_golden_get(want, "tags"));
	const struct kvr_golden *layer = kvr_golden_find(want, "layer_id");
	ck_assert_int_eq(key.layer, layer == NULL ? -1 : kvr_golden_int(layer));
}

static void
check_refused(const char *text)
{
	struct kvr_lmkey key;

	ck_assert_msg(kvr_lmkey_parse(text, strlen(text), &key) == KVR_E_INVALID, "%s", text);
}

static bool
failed(const struct kvr_golden *result)
{
	return kvr_golden_find(result, "error") != NULL;
}

/* A model with one '@' is what a key with an engine's name in front looks like: read as that. */
static bool
reads_as_late25(const char *text)
{
	struct kvr_lmkey key;

	return kvr_lmkey_parse(text, strlen(text), &key) == KVR_OK && key.form == KVR_LMKEY_LATE25
	    && key.engine.len > 0;
}

START_TEST(every_golden_key_is_read)
{
	struct kvr_golden *file = kvr_golden_open("keys.json");
	size_t n = 0;

	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "cases")) {
		const char *text = kvr_golden_text_of(c, "to_string");
		const struct kvr_golden *plain = kvr_golden_get(c, "parse_cache_key");
		const struct kvr_golden *layer = kvr_golden_get(c, "split_layers_3");
		const char *layer2 =
		    kvr_golden_text(kvr_golden_next(kvr_golden_next(kvr_golden_first(layer))));

		n++;
		if (!failed(plain)) {
			check_parsed(text, plain, KVR_LMKEY_NOW);
			check_parsed(layer2, kvr_golden_get(c, "parse_layer_2"), KVR_LMKEY_NOW);
		} else if (!reads_as_late25(text)) {
			check_refused(text);
			check_refused(layer2);
		}
	}
	ck_assert_uint_ge(n, 60);
	kvr_golden_close(file);
}
END_TEST

START_TEST(the_older_form_is_read_and_gives_the_same_parts)
{
	struct kvr_golden *file = kvr_golden_open("keys.json");

	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "cases")) {
		const struct kvr_golden *older = kvr_golden_find(c, "older_form_with_engine_name");
		const struct kvr_golden *plain = kvr_golden_get(c, "parse_cache_key");
		struct kvr_lmkey key;

		if (older == NULL || failed(plain))
			continue;
		const char *text = kvr_golden_text_of(older, "to_string");
		check_parsed(text, plain, KVR_LMKEY_LATE25);
		ck_assert_int_eq(kvr_lmkey_parse(text, strlen(text), &key), KVR_OK);
		span_is(key.engine, "vllm");
	}
	kvr_golden_close(file);
}
END_TEST

START_TEST(odd_texts_are_read_or_refused_as_by_lmcache)
{
	struct kvr_golden *file = kvr_golden_open("keys.json");

	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "rejected_or_odd_strings")) {
		const char *text = kvr_golden_text_of(c, "string");
		const struct kvr_golden *result = kvr_golden_get(c, "parse_cache_key");

		if (!failed(result))
			check_parsed(text, result, KVR_LMKEY_NOW);
		else if (!reads_as_late25(text))
			check_refused(text);
	}
	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "accepted_unusual_strings"))
		check_parsed(kvr_golden_text_of(c, "string"), kvr_golden_get(c, "CacheEngineKey.from_string"),
		    KVR_LMKEY_NOW);
	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "layer_key_strings")) {
		const char *text = kvr_golden_text_of(c, "string");
		const struct kvr_golden *result = kvr_golden_get(c, "parse_cache_key");

		/* The one difference: Python's digits are any script's, ours are ASCII. */
		if (failed(result) || strstr(text, "\xd9\xa3") != NULL)
			check_refused(text);
		else
			check_parsed(text, result, KVR_LMKEY_NOW);
	}
	kvr_golden_close(file);
}
END_TEST

/* What the odd texts above take the longer way through, by name. */
START_TEST(only_the_two_known_texts_read_as_an_older_form)
{
	struct kvr_golden *file = kvr_golden_open("keys.json");
	size_t n = 0;

	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "rejected_or_odd_strings")) {
		const char *text = kvr_golden_text_of(c, "string");

		if (reads_as_late25(text)) {
			ck_assert(strcmp(text, "vllm@m@1@0@ff@half") == 0
			    || strcmp(text, "user@host/model@1@0@77@half") == 0);
			n++;
		}
	}
	ck_assert_uint_eq(n, 2);
	kvr_golden_close(file);
}
END_TEST

static void
parts_of(const struct kvr_golden *c, struct kvr_lmkey_parts *ret, struct kvr_lmtag tags[8],
    char scratch[8][32])
{
	const struct kvr_golden *hash = kvr_golden_get(c, "chunk_hash");
	const struct kvr_golden *number = kvr_golden_find(hash, "int");
	static uint8_t bytes[256];
	size_t len = 0;
	uint32_t n = 0;

	*ret = (struct kvr_lmkey_parts){ .layer = -1, .tags = tags, .hash_bytes = bytes };
	ret->model = kvr_golden_text_of(c, "model_name");
	ret->world_size = kvr_golden_int_of(c, "world_size");
	ret->worker_id = kvr_golden_int_of(c, "worker_id");
	const char *dtype = kvr_golden_text_of(c, "dtype");
	ret->dtype = (uint32_t)kvr_dtype_find(dtype, strlen(dtype));
	if (number == NULL) {
		uint8_t *hex = kvr_golden_hex_of(hash, "bytes_hex", &len);
		memcpy(bytes, hex, len);
		free(hex);
		ret->hash_kind = KVR_LMHASH_BYTES;
		ret->n_hash_bytes = (uint32_t)len;
	} else {
		struct big b = big_read(kvr_golden_text(number), strlen(kvr_golden_text(number)), 10);
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = b.byte[sizeof(bytes) - 1 - i];
		ret->hash_kind = b.minus ? KVR_LMHASH_NEGATIVE : KVR_LMHASH_NATURAL;
		ret->n_hash_bytes = sizeof(bytes);
	}
	KVR_GOLDEN_EACH (tag, kvr_golden_get(c, "tags")) {
		ck_assert_uint_lt(n, 8);
		tags[n].name = tag_text(tag, 0, scratch[n]);
		tags[n].value = tag_text(tag, 1, scratch[n]);
		n++;
	}
	ret->n_tags = n;
}

static void
check_written(const struct kvr_lmkey_parts *parts, const char *want)
{
	char text[KVR_LMKEY_LEN_MAX + 1];
	size_t len = 0;

	ck_assert_int_eq(kvr_lmkey_format(parts, text, sizeof(text), &len), KVR_OK);
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(len, strlen(want));
	ck_assert_int_eq(kvr_lmkey_format(parts, text, len + 1, &len), KVR_OK);
	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(kvr_lmkey_format(parts, text, len, &len), KVR_E_TOO_SMALL);
	ck_assert_int_eq(text[0], 'x');
}

START_TEST(every_golden_key_is_written)
{
	struct kvr_golden *file = kvr_golden_open("keys.json");
	char text[KVR_LMKEY_LEN_MAX + 1], scratch[8][32];
	struct kvr_lmtag tags[8];
	struct kvr_lmkey_parts parts;
	size_t len = 0;

	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "cases")) {
		parts_of(c, &parts, tags, scratch);
		/* Written is what LMCache can read again. */
		if (failed(kvr_golden_get(c, "parse_cache_key"))) {
			ck_assert_int_eq(
			    kvr_lmkey_format(&parts, text, sizeof(text), &len), KVR_E_INVALID);
			continue;
		}
		check_written(&parts, kvr_golden_text_of(c, "to_string"));
		KVR_GOLDEN_EACH (layer, kvr_golden_get(c, "split_layers_3")) {
			parts.layer++;
			check_written(&parts, kvr_golden_text(layer));
		}
		parts.layer = -1;
		parts.engine = "vllm";
		const struct kvr_golden *older = kvr_golden_find(c, "older_form_with_engine_name");
		if (older != NULL)
			check_written(&parts, kvr_golden_text_of(older, "to_string"));
	}
	kvr_golden_close(file);
}
END_TEST

START_TEST(a_small_integer_hash_is_written_like_the_big_one)
{
	static const struct {
		int64_t     hash;
		const char *want;
	} row[] = {
		{ 0, "m@1@0@0@half" },
		{ -1, "m@1@0@-1@half" },
		{ -255, "m@1@0@-ff@half" },
		{ 0x1a2b3c, "m@1@0@1a2b3c@half" },
		{ INT64_MAX, "m@1@0@7fffffffffffffff@half" },
		{ INT64_MIN, "m@1@0@-8000000000000000@half" },
	};

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		struct kvr_lmkey_parts parts = { .model = "m", .world_size = 1, .layer = -1,
			.dtype = KVR_DTYPE_FLOAT16, .hash_int = row[i].hash };
		check_written(&parts, row[i].want);
		parts.dtype = KVR_DTYPE_HALF;
		check_written(&parts, row[i].want);
	}
}
END_TEST

START_TEST(what_would_not_read_back_is_not_written)
{
	const struct kvr_lmkey_parts good = { .model = "m", .world_size = 1, .layer = -1,
		.dtype = KVR_DTYPE_BFLOAT16 };
	const struct kvr_lmtag at_in_name = { "a@b", "v" }, no_value = { "a", NULL };
	char text[KVR_LMKEY_LEN_MAX + 1], longer[600];
	struct kvr_lmkey_parts bad[12];
	size_t len = 0;

	for (size_t i = 0; i < KVR_LEN(bad); i++)
		bad[i] = good;
	bad[0].model = "a@b";
	bad[1].model = NULL;
	bad[2].dtype = KVR_DTYPE_NONE;
	bad[3].dtype = 9;
	bad[4].layer = -2;
	bad[5].tags = &at_in_name;
	bad[5].n_tags = 1;
	bad[6].tags = &no_value;
	bad[6].n_tags = 1;
	bad[7].hash_kind = KVR_LMHASH_BYTES;
	bad[8].engine = "";
	bad[9].layer = INT64_C(1) << 31;
	bad[10].world_size = 10000000;
	bad[11].worker_id = -10000000;
	ck_assert_int_eq(kvr_lmkey_format(&good, text, sizeof(text), &len), KVR_OK);
	for (size_t i = 0; i < KVR_LEN(bad); i++)
		ck_assert_int_eq(kvr_lmkey_format(&bad[i], text, sizeof(text), &len), KVR_E_INVALID);

	/* 512 bytes are a key, 513 are not. "@1@0@0@bfloat16" is 15 bytes. */
	memset(longer, 'm', sizeof(longer));
	for (size_t n = 490; n < 520; n++) {
		struct kvr_lmkey_parts parts = good;

		longer[n] = '\0';
		parts.model = longer;
		enum kvr_err err = kvr_lmkey_format(&parts, text, sizeof(text), &len);
		ck_assert_int_eq(err, n + 15 <= 512 ? KVR_OK : KVR_E_TOO_BIG);
		longer[n] = 'm';
	}
}
END_TEST

START_TEST(worker_0_keeps_layer_tags_and_every_other_byte)
{
	static const char *const row[][2] = {
		{ "m@8@7@abc@half", "m@8@0@abc@half" },
		{ "m@8@7@abc@half@17", "m@8@0@abc@half@17" },
		{ "m@8@7@abc@half@17@tenant%acme@v%2", "m@8@0@abc@half@17@tenant%acme@v%2" },
		{ "7@7@7@7@half@7@7%7", "7@7@0@7@half@7@7%7" },
		{ "m@8@127@000abc@half", "m@8@0@000abc@half" },
		{ "m@8@-1@0xFF@half", "m@8@0@0xFF@half" },
		{ " m@8@ 7 @abc@half ", " m@8@0@abc@half " },
		{ "m@8@0@abc@half", "m@8@0@abc@half" },
		{ "m@8@00@abc@half", "m@8@00@abc@half" },
		{ "vllm@m@8@7@abc@half@3", "vllm@m@8@0@abc@half@3" },
		{ "vllm@m@8@7@abc", "vllm@m@8@0@abc" },
		{ "m@08070807@5@abc", "m@08070807@5@abc" },
	};
	char text[KVR_LMKEY_LEN_MAX + 1];
	struct kvr_lmkey key;
	size_t len = 0;

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		size_t from = strlen(row[i][0]);

		ck_assert_msg(kvr_lmkey_parse(row[i][0], from, &key) == KVR_OK, "%s", row[i][0]);
		ck_assert_int_eq(kvr_lmkey_worker0(&key, row[i][0], from, text, from + 1, &len), KVR_OK);
		ck_assert_str_eq(text, row[i][1]);
		ck_assert_uint_eq(len, strlen(row[i][1]));
		ck_assert_int_eq(
		    kvr_lmkey_worker0(&key, row[i][0], from, text, from, &len), KVR_E_TOO_SMALL);
	}
}
END_TEST

START_TEST(worker_0_of_every_golden_key)
{
	struct kvr_golden *file = kvr_golden_open("keys.json");
	char text[KVR_LMKEY_LEN_MAX + 1];
	struct kvr_lmkey key;
	size_t len = 0;

	KVR_GOLDEN_EACH (c, kvr_golden_get(file, "cases")) {
		const char *from = kvr_golden_text_of(c, "to_string");

		if (kvr_lmkey_parse(from, strlen(from), &key) != KVR_OK)
			continue;
		ck_assert_int_eq(
		    kvr_lmkey_worker0(&key, from, strlen(from), text, sizeof(text), &len), KVR_OK);
		ck_assert_str_eq(text, kvr_golden_text_of(c, "mla_rewrite_worker_0"));
	}
	kvr_golden_close(file);
}
END_TEST

START_TEST(older_and_multi_process_keys_are_told_apart)
{
	static const struct {
		const char *text;
		uint32_t    form;
		int64_t     world_size, worker_id, layer;
		uint64_t    group;
		const char *model, *hash, *tags;
	} row[] = {
		{ "vllm@m@8@3@1a2b", KVR_LMKEY_MID25, 8, 3, -1, 0, "m", "1a2b", "" },
		{ "vllm@m@8@3@-1a2b@t%x", KVR_LMKEY_MID25, 8, 3, -1, 0, "m", "-1a2b", "t%x" },
		{ "vllm@m@8@3@1a2b@12", KVR_LMKEY_MID25, 8, 3, 12, 0, "m", "1a2b", "" },
		{ "vllm@m@8@3@1a2b@half@12@t%x", KVR_LMKEY_LATE25, 8, 3, 12, 0, "m", "1a2b", "t%x" },
		{ "m@08030803@ff00", KVR_LMKEY_MP, 8, 3, -1, 0, "m", "ff00", "" },
		{ "m@08030803@1f@ff00", KVR_LMKEY_MP, 8, 3, -1, 31, "m", "ff00", "" },
		{ "m@08030803@0@ff00@salt", KVR_LMKEY_MP, 8, 3, -1, 0, "m", "ff00", "salt" },
		{ "m@08030803@1@00@half", KVR_LMKEY_MP, 8, 3, -1, 1, "m", "00", "half" },
		{ "m@080a0803@1@00@half", KVR_LMKEY_MP, 8, 10, -1, 1, "m", "00", "half" },
		{ "vllm@deadbeef@8@3@1a2b@half", KVR_LMKEY_LATE25, 8, 3, -1, 0, "deadbeef", "1a2b", "" },
		/* Sixteen decimal digits are no rank, so this is no key of mid 2025. */
		{ "m@01000100@0@1234567890123456@ab", KVR_LMKEY_MP, 1, 0, -1, 0, "m",
		    "1234567890123456", "ab" },
	};
	struct kvr_lmkey key;

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		ck_assert_msg(
		    kvr_lmkey_parse(row[i].text, strlen(row[i].text), &key) == KVR_OK, "%s", row[i].text);
		ck_assert_msg(key.form == row[i].form, "%s: form %u", row[i].text, key.form);
		ck_assert_int_eq(key.world_size, row[i].world_size);
		ck_assert_int_eq(key.worker_id, row[i].worker_id);
		ck_assert_int_eq(key.layer, row[i].layer);
		ck_assert_uint_eq(key.group, row[i].group);
		span_is(key.model, row[i].model);
		span_is(key.hash, row[i].hash);
		span_is(key.tags, row[i].tags);
	}
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
	static const char *const row[] = { "", " ", "@", "@@@@", "@@@@@", "plain", "m@0803080@ff",
		"m@0803080g@ff", "m@08030803@", "m@08030803@x@ff", "m@08030803@1@", "m@1@0@-@half",
		"m@1@0@0x@half", "m@1@0@_1@half", "m@1@0@1__2@half", "m@1@0@1_@half", "m@2147483648@0@1@half", "m@1@10000000@1@half",
		"m@1@99999999999999999999@1@half", "m@1@0@1@half@2147483648", "@m@1@0@ff@half",
		"m@1@0@ff@half@1@2", "m@1@0@ff@none" };
	char longer[520];
	struct kvr_lmkey key;

	for (size_t i = 0; i < KVR_LEN(row); i++)
		check_refused(row[i]);
	memset(longer, 'm', sizeof(longer));
	memcpy(longer + 500, "@1@0@77@half", 12);
	ck_assert_int_eq(kvr_lmkey_parse(longer, 512, &key), KVR_OK);
	ck_assert_int_eq(kvr_lmkey_parse(longer, 513, &key), KVR_E_TOO_BIG);
}
END_TEST

KVR_CHECK_MAIN("base.lmkey", every_golden_key_is_read,
    the_older_form_is_read_and_gives_the_same_parts, odd_texts_are_read_or_refused_as_by_lmcache,
    only_the_two_known_texts_read_as_an_older_form, every_golden_key_is_written,
    a_small_integer_hash_is_written_like_the_big_one, what_would_not_read_back_is_not_written,
    worker_0_keeps_layer_tags_and_every_other_byte, worker_0_of_every_golden_key,
    older_and_multi_process_keys_are_told_apart, what_is_no_key_is_refused)
