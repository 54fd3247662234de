/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's key texts through the public header. What they mean exactly is tested in tests/base. */
#include "kvr_api_bed.h"
#include "kvr_golden.h"

/* Whatever LMCache can read again itself comes out of us letter by letter. */
START_TEST(what_lmcache_writes_comes_back)
{
	struct kvr_golden *doc = kvr_golden_open("keys.json");
	char scratch[4096], text[KVR_KEY_MAX + 1];
	int n = 0;

	KVR_GOLDEN_EACH(c, kvr_golden_get(doc, "cases"))
	{
		const char *want = kvr_golden_text_of(c, "to_string");
		const struct kvr_golden *back = kvr_golden_get(c, "from_string");
		struct kvr_key_parts p = { .size = sizeof(p) };

		if (kvr_golden_find(back, "error") != NULL || strlen(want) > KVR_KEY_MAX)
			continue;
		enum kvr_err err = kvr_key_parse(want, &p, scratch, sizeof(scratch));

		ck_assert_msg(err == KVR_OK, "%s: %s", want, kvr_err_name(err));
		ck_assert_str_eq(p.model, kvr_golden_text_of(back, "model_name"));
		ck_assert_int_eq(p.world_size, kvr_golden_int_of(back, "world_size"));
		ck_assert_int_eq(p.worker_id, kvr_golden_int_of(back, "worker_id"));
		ck_assert_int_eq(p.layer, -1);
		ck_assert_ptr_null(p.engine);
		err = kvr_key_format(&p, text, sizeof(text));
		ck_assert_msg(err == KVR_OK, "%s: %s", want, kvr_err_name(err));
		ck_assert_str_eq(text, want);
		n++;
	}
	ck_assert_int_gt(n, 30);
	kvr_golden_close(doc);
}
END_TEST

START_TEST(parts)
{
	const uint8_t hash[] = { 0x00, 0xab, 0xcd };
	const char *name[] = { "lora", "tenant" }, *value[] = { "x1", "b" };
	struct kvr_key_parts p = { .size = sizeof(p),
		.model = "org/m",
		.world_size = 4,
		.worker_id = 3,
		.layer = -1,
		.dtype = KVR_DT_FLOAT16,
		.hash = -255 };
	char text[KVR_KEY_MAX + 1], scratch[4096];

	OK(kvr_key_format(&p, text, sizeof(text)));
	ck_assert_str_eq(text, "org/m@4@3@-ff@half");
	p.hash_kind = KVR_HASH_BYTES;
	p.hash_bytes = hash;
	p.n_hash_bytes = sizeof(hash);
	p.layer = 0;
	p.n_tags = 2;
	p.tag_name = name;
	p.tag_value = value;
	OK(kvr_key_format(&p, text, sizeof(text)));
	ck_assert_str_eq(text, "org/m@4@3@00abcd@half@0@lora%x1@tenant%b");
	struct kvr_key_parts q = { .size = sizeof(q) };
	OK(kvr_key_parse(text, &q, scratch, sizeof(scratch)));
	ck_assert_uint_eq(q.n_hash_bytes, 3);
	ck_assert_int_eq(memcmp(q.hash_bytes, hash, 3), 0);
	ck_assert_int_eq(q.hash, 0xabcd);
	ck_assert_int_eq(q.layer, 0);
	ck_assert_uint_eq(q.dtype, KVR_DT_FLOAT16);
	ck_assert_uint_eq(q.n_tags, 2);
	ck_assert_str_eq(q.tag_name[1], "tenant");
	ck_assert_str_eq(q.tag_value[1], "b");
	OK(kvr_key_parse("vllm@org/m@4@3@1f@bfloat16", &q, scratch, sizeof(scratch)));
	ck_assert_str_eq(q.engine, "vllm");
	ck_assert_uint_eq(q.hash_kind, KVR_HASH_BYTES);
	OK(kvr_key_format(&q, text, sizeof(text)));
	ck_assert_str_eq(text, "vllm@org/m@4@3@1f@bfloat16");
}
END_TEST

START_TEST(what_is_refused)
{
	struct kvr_key_parts p = { .size = sizeof(p),
		.model = "a@b",
		.world_size = 1,
		.layer = -1,
		.dtype = KVR_DT_FLOAT16,
		.hash = 1 };
	char text[KVR_KEY_MAX + 1], scratch[4096], longest[KVR_KEY_MAX + 2];

	ERR(kvr_key_format(&p, text, sizeof(text)), KVR_E_INVALID);
	p.model = "m";
	ERR(kvr_key_format(&p, text, 5), KVR_E_TOO_SMALL);
	p.n_tags = 1;
	ERR(kvr_key_format(&p, text, sizeof(text)), KVR_E_INVALID);
	p.n_tags = 0;
	p.size = 12;
	ERR(kvr_key_format(&p, text, sizeof(text)), KVR_E_INVALID);
	memset(longest, 'm', sizeof(longest));
	longest[KVR_KEY_MAX + 1] = '\0';
	p.size = sizeof(p);
	p.model = longest;
	ERR(kvr_key_format(&p, text, sizeof(text)), KVR_E_TOO_BIG);
	ERR(kvr_key_parse("somebody's key", &p, scratch, sizeof(scratch)), KVR_E_INVALID);
	ERR(kvr_key_parse("a@b@c/m@8@3@1a2b@half", &p, scratch, sizeof(scratch)), KVR_E_UNSUPPORTED);
	ERR(kvr_key_parse(longest, &p, scratch, sizeof(scratch)), KVR_E_TOO_BIG);
	/* However small the scratch is, it is not written past its end. */
	enum kvr_err err = KVR_E_TOO_SMALL;
	size_t cap = 0;
	for (; err == KVR_E_TOO_SMALL; cap++) {
		char *exact = malloc(cap + 1);

		err = kvr_key_parse("model@1@0@00ff@half@7@a%b@c%d", &p, exact, cap);
		free(exact);
	}
	ERR(err, KVR_OK);
	ck_assert_uint_gt(cap, 20);
	ck_assert_uint_lt(cap, 200);
}
END_TEST

KVR_CHECK_MAIN("api.lmtext", what_lmcache_writes_comes_back, parts, what_is_refused)
