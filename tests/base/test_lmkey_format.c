/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lmkey.h"
#include "kvr_meta.h"
#include "kvr_check.h"
#include "kvr_golden_key.h"

#include <string.h>

static bool
failed(const struct kvr_golden *result)
{
	return kvr_golden_find(result, "error") != NULL;
}

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
		struct kvr_big b =
		    kvr_big_read(kvr_golden_text(number), strlen(kvr_golden_text(number)), 10);
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = b.byte[sizeof(bytes) - 1 - i];
		ret->hash_kind = b.minus ? KVR_LMHASH_NEGATIVE : KVR_LMHASH_NATURAL;
		ret->n_hash_bytes = sizeof(bytes);
	}
	KVR_GOLDEN_EACH(tag, kvr_golden_get(c, "tags"))
	{
		ck_assert_uint_lt(n, 8);
		tags[n].name = kvr_golden_tag(tag, 0, scratch[n]);
		tags[n].value = kvr_golden_tag(tag, 1, scratch[n]);
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

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	{
		parts_of(c, &parts, tags, scratch);
		/* Written is what LMCache can read again. */
		if (failed(kvr_golden_get(c, "parse_cache_key"))) {
			ck_assert_int_eq(
			    kvr_lmkey_format(&parts, text, sizeof(text), &len), KVR_E_INVALID);
			continue;
		}
		check_written(&parts, kvr_golden_text_of(c, "to_string"));
		KVR_GOLDEN_EACH(layer, kvr_golden_get(c, "split_layers_3"))
		{
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
		int64_t hash;
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
		struct kvr_lmkey_parts parts = { .model = "m",
			.world_size = 1,
			.layer = -1,
			.dtype = KVR_DTYPE_FLOAT16,
			.hash_int = row[i].hash };
		check_written(&parts, row[i].want);
		parts.dtype = KVR_DTYPE_HALF;
		check_written(&parts, row[i].want);
	}
}
END_TEST

START_TEST(what_would_not_read_back_is_not_written)
{
	const struct kvr_lmkey_parts good = {
		.model = "m", .world_size = 1, .layer = -1, .dtype = KVR_DTYPE_BFLOAT16
	};
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
		ck_assert_int_eq(
		    kvr_lmkey_format(&bad[i], text, sizeof(text), &len), KVR_E_INVALID);

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

KVR_CHECK_MAIN("base.lmkey_format", every_golden_key_is_written,
    a_small_integer_hash_is_written_like_the_big_one, what_would_not_read_back_is_not_written)
