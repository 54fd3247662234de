/* SPDX-License-Identifier: Apache-2.0 */
/* Key texts: what is read lies in the text and is rewritten to what reads the same; what is written
 * can be read. */
#include "kvr_lmkey.h"
#include "kvr_meta.h"
#include "kvr_fuzz.h"

#include <string.h>

static const char *const seeds[] = {
	"m@1@0@1234abcd@bfloat16",
	"meta-llama/Llama-3.1-8B-Instruct@8@3@-5d1b8de6da1b6d09@half@17@tenant%acme@v%2",
	"vllm@m@8@3@1a2b@uint8@2@t%x",
	"vllm@m@8@3@1a2b@t%x",
	"m@08030803@1f@ff00@salt",
	"m@08030803@ff00",
	" m@ +1 @-0@0xF_f@fp8_e4m3fnuz@%@a%b%c ",
	"@1@0@000102@float@31",
};

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

static void
inside(struct kvr_const_span span, const char *text, size_t len)
{
	const char *at = span.at;

	KVR_CHECK(span.len == 0 || (at >= text && at + span.len <= text + len));
}

static void
check_read(const struct kvr_lmkey *key, const char *text, size_t len)
{
	struct kvr_const_span rest = key->tags, name, value;
	uint32_t n_tags = 0;

	inside(key->engine, text, len);
	inside(key->model, text, len);
	inside(key->worker, text, len);
	inside(key->hash, text, len);
	inside(key->tags, text, len);
	KVR_CHECK(key->hash.len > 0 && key->layer >= -1);
	while (key->form != KVR_LMKEY_MP && kvr_lmkey_next_tag(&rest, &name, &value)) {
		inside(name, text, len);
		inside(value, text, len);
		n_tags++;
	}
	KVR_CHECK(n_tags == key->n_tags);
}

static void
check_worker0(const struct kvr_lmkey *key, const char *text, size_t len)
{
	char other[KVR_LMKEY_LEN_MAX + 1];
	struct kvr_lmkey again;
	size_t other_len = 0;

	KVR_CHECK(kvr_lmkey_worker0(key, text, len, other, len + 1, &other_len) == KVR_OK);
	KVR_CHECK(other_len <= len && other[other_len] == '\0');
	KVR_CHECK(kvr_lmkey_parse(other, other_len, &again) == KVR_OK);
	KVR_CHECK(
	    again.form == key->form && again.layer == key->layer && again.dtype == key->dtype);
	KVR_CHECK(again.world_size == key->world_size && again.n_tags == key->n_tags);
	KVR_CHECK(again.worker_id == (key->form == KVR_LMKEY_MP ? key->worker_id : 0));
	KVR_CHECK(again.hash.len == key->hash.len);
	KVR_CHECK(memcmp(again.hash.at, key->hash.at, key->hash.len) == 0);
}

/* The same bytes as parts: two numbers, a dtype, a kind of hash, then texts that end with a NUL. */
static void
check_written(const uint8_t *at, size_t len)
{
	char texts[KVR_LMKEY_LEN_MAX + 4] = { 0 }, key_text[KVR_LMKEY_LEN_MAX + 1];
	struct kvr_lmkey key;
	size_t key_len = 0;

	if (len < 24 || len > 24 + KVR_LMKEY_LEN_MAX)
		return;
	memcpy(texts, at + 24, len - 24);
	const char *name = texts + strlen(texts) + 1;
	const char *value = name < texts + sizeof(texts) ? name + strlen(name) + 1 : name;
	const struct kvr_lmtag tag = { name, value < texts + sizeof(texts) ? value : "" };
	struct kvr_lmkey_parts parts = { .engine = at[0] & 1 ? "vllm" : NULL,
		.model = texts,
		.world_size = (int8_t)at[1] * (at[0] & 2 ? 100000 : 1),
		.worker_id = (int8_t)at[2],
		.layer = (int8_t)at[3],
		.dtype = at[4] % 80,
		.hash_kind = at[5] % 5,
		.hash_bytes = at + 8,
		.n_hash_bytes = at[6] % 17,
		.tags = &tag,
		.n_tags = at[7] & 1 };
	memcpy(&parts.hash_int, at + 8, sizeof(parts.hash_int));
	if (kvr_lmkey_format(&parts, key_text, sizeof(key_text), &key_len) != KVR_OK)
		return;
	KVR_CHECK(key_len == strlen(key_text));
	KVR_CHECK(kvr_lmkey_parse(key_text, key_len, &key) == KVR_OK);
	KVR_CHECK(key.form == (parts.engine == NULL ? KVR_LMKEY_NOW : KVR_LMKEY_LATE25));
	KVR_CHECK(key.world_size == parts.world_size && key.worker_id == parts.worker_id);
	KVR_CHECK(key.layer == parts.layer && key.n_tags == parts.n_tags);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	const char *text = (const char *)at;
	struct kvr_lmkey key;

	if (kvr_lmkey_parse(text, len, &key) == KVR_OK) {
		check_read(&key, text, len);
		check_worker0(&key, text, len);
	}
	check_written(at, len);
	return 0;
}
