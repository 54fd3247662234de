/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lmkey.h"
#include "kvr_meta.h"
#include "kvr_check.h"
#include "kvr_golden_key.h"

#include <string.h>

static void
span_is(struct kvr_const_span span, const char *text)
{
	ck_assert_uint_eq(span.len, strlen(text));
	if (span.len > 0)
		ck_assert_int_eq(memcmp(span.at, text, span.len), 0);
}

/* Golden tags come out of a dictionary: a name given twice keeps its place and its last value. */
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
		const char *want_name = kvr_golden_tag(tag, 0, scratch);
		while (kvr_lmkey_next_tag(&rest, &name, &value)) {
			if (name.len == strlen(want_name) &&
			    memcmp(name.at, want_name, name.len) == 0) {
				last = value;
				seen++;
			}
		}
		ck_assert_ptr_nonnull(last.at);
		span_is(last, kvr_golden_tag(tag, 1, scratch));
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
	struct kvr_big expected = kvr_big_read(number, strlen(number), 10);
	struct kvr_big found = kvr_big_read(key.hash.at, key.hash.len, 16);
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

	return kvr_lmkey_parse(text, strlen(text), &key) == KVR_OK &&
	       key.form == KVR_LMKEY_LATE25 && key.engine.len > 0;
}

START_TEST(every_golden_key_is_read)
{
	struct kvr_golden *file = kvr_golden_open("keys.json");
	size_t n = 0;

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	{
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

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	{
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

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "rejected_or_odd_strings"))
	{
		const char *text = kvr_golden_text_of(c, "string");
		const struct kvr_golden *result = kvr_golden_get(c, "parse_cache_key");

		if (!failed(result))
			check_parsed(text, result, KVR_LMKEY_NOW);
		else if (!reads_as_late25(text))
			check_refused(text);
	}
	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "accepted_unusual_strings"))
	check_parsed(kvr_golden_text_of(c, "string"),
	    kvr_golden_get(c, "CacheEngineKey.from_string"), KVR_LMKEY_NOW);
	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "layer_key_strings"))
	{
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

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "rejected_or_odd_strings"))
	{
		const char *text = kvr_golden_text_of(c, "string");

		if (reads_as_late25(text)) {
			ck_assert(strcmp(text, "vllm@m@1@0@ff@half") == 0 ||
			          strcmp(text, "user@host/model@1@0@77@half") == 0);
			n++;
		}
	}
	ck_assert_uint_eq(n, 2);
	kvr_golden_close(file);
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
		{ "a@b@c/m@8@7@abc@half@3", "a@b@c/m@8@0@abc@half@3" },
	};
	char text[KVR_LMKEY_LEN_MAX + 1];
	struct kvr_lmkey key;
	size_t len = 0;

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		size_t from = strlen(row[i][0]);

		ck_assert_msg(kvr_lmkey_parse(row[i][0], from, &key) == KVR_OK, "%s", row[i][0]);
		ck_assert_int_eq(
		    kvr_lmkey_worker0(&key, row[i][0], from, text, from + 1, &len), KVR_OK);
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

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	{
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
		uint32_t form;
		int64_t world_size, worker_id, layer;
		uint64_t group;
		const char *model, *hash, *tags;
	} row[] = {
		{ "vllm@m@8@3@1a2b", KVR_LMKEY_MID25, 8, 3, -1, 0, "m", "1a2b", "" },
		{ "vllm@m@8@3@-1a2b@t%x", KVR_LMKEY_MID25, 8, 3, -1, 0, "m", "-1a2b", "t%x" },
		{ "vllm@m@8@3@1a2b@12", KVR_LMKEY_MID25, 8, 3, 12, 0, "m", "1a2b", "" },
		{ "vllm@m@8@3@1a2b@half@12@t%x", KVR_LMKEY_LATE25, 8, 3, 12, 0, "m", "1a2b",
		    "t%x" },
		{ "m@08030803@ff00", KVR_LMKEY_MP, 8, 3, -1, 0, "m", "ff00", "" },
		{ "m@08030803@1f@ff00", KVR_LMKEY_MP, 8, 3, -1, 31, "m", "ff00", "" },
		{ "m@08030803@0@ff00@salt", KVR_LMKEY_MP, 8, 3, -1, 0, "m", "ff00", "salt" },
		{ "m@08030803@1@00@half", KVR_LMKEY_MP, 8, 3, -1, 1, "m", "00", "half" },
		{ "m@080a0803@1@00@half", KVR_LMKEY_MP, 8, 10, -1, 1, "m", "00", "half" },
		{ "vllm@deadbeef@8@3@1a2b@half", KVR_LMKEY_LATE25, 8, 3, -1, 0, "deadbeef", "1a2b",
		    "" },
		/* Sixteen decimal digits are no rank, so this is no key of mid 2025. */
		{ "m@01000100@0@1234567890123456@ab", KVR_LMKEY_MP, 1, 0, -1, 0, "m",
		    "1234567890123456", "ab" },
		/* A model with more than one '@': LMCache puts it, and the worker is found. */
		{ "a@b@c/m@8@3@1a2b@half", KVR_LMKEY_AT, 8, 3, -1, 0, "a@b@c/m", "1a2b", "" },
		{ "a@b@c@d@8@3@1a2b@half@12@t%x", KVR_LMKEY_AT, 8, 3, 12, 0, "a@b@c@d", "1a2b", "t%x" },
		{ "vllm@u@h/m@8@3@1a2b@half", KVR_LMKEY_AT, 8, 3, -1, 0, "vllm@u@h/m", "1a2b", "" },
	};
	struct kvr_lmkey key;

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		ck_assert_msg(kvr_lmkey_parse(row[i].text, strlen(row[i].text), &key) == KVR_OK,
		    "%s", row[i].text);
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

START_TEST(the_dtype_of_2025_is_read)
{
	static const struct {
		const char *text;
		uint32_t form;
		int64_t layer;
	} row[] = {
		{ "vllm@m@8@3@1a2b@fp8_e4m3", KVR_LMKEY_LATE25, -1 },
		{ "vllm@m@8@3@1a2b@fp8_e4m3@12@t%x", KVR_LMKEY_LATE25, 12 },
		{ "m@8@3@1a2b@fp8_e4m3", KVR_LMKEY_NOW, -1 },
	};
	struct kvr_lmkey key;

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		ck_assert_int_eq(kvr_lmkey_parse(row[i].text, strlen(row[i].text), &key), KVR_OK);
		ck_assert_uint_eq(key.form, row[i].form);
		ck_assert_uint_eq(key.dtype, KVR_DTYPE_FP8_E4M3FN);
		ck_assert(key.old_dtype);
		ck_assert_int_eq(key.layer, row[i].layer);
	}
	ck_assert_int_eq(kvr_lmkey_parse("m@8@3@1a2b@fp8_e4m3fn", 21, &key), KVR_OK);
	ck_assert(!key.old_dtype);
	check_refused("m@8@3@1a2b@fp8_e4m");
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
	static const char *const row[] = { "", " ", "@", "@@@@", "@@@@@", "plain", "m@0803080@ff",
		"m@0803080g@ff", "m@08030803@", "m@08030803@x@ff", "m@08030803@1@", "m@1@0@-@half",
		"m@1@0@0x@half", "m@1@0@_1@half", "m@1@0@1__2@half", "m@1@0@1_@half",
		"m@2147483648@0@1@half", "m@1@10000000@1@half", "m@1@99999999999999999999@1@half",
		"m@1@0@1@half@2147483648", "@m@1@0@ff@half",
		"@a@m@1@0@ff@half", "a@b@m@1@0@ff", "a@b@1@0@ff@no", "m@1@0@ff@half@1@2", "m@1@0@ff@none" };
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
    only_the_two_known_texts_read_as_an_older_form, worker_0_keeps_layer_tags_and_every_other_byte,
    worker_0_of_every_golden_key, older_and_multi_process_keys_are_told_apart,
    the_dtype_of_2025_is_read, what_is_no_key_is_refused)
