/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoded payloads: the first byte is the serde, the next two are the length of the payload, the
 * rest is what a store gave for it. Nothing is written behind the payload, and what a store gave
 * is the payload or CORRUPT. Then the same input as a payload: what is encoded is shorter and
 * gives the payload again, as it is and in a codec that has decoded anything before.
 */
#include "kvr_err.h"
#include "kvr_fuzz.h"
#include "kvr_le.h"
#include "kvr_workers.h"

#include <stdlib.h>
#include <string.h>

enum { RAW_MAX = 32768, GUARD = 0xa5 };

static const uint32_t serdes[] = { KVR_SERDE_NAIVE, KVR_SERDE_ZSTD, KVR_SERDE_PLANES, 17 };

static struct kvr_codec *codec;

__attribute__((constructor)) static void
set_up(void)
{
	codec = kvr_codec_new();
	KVR_CHECK(codec != NULL);
}

__attribute__((destructor)) static void
clean_up(void)
{
	kvr_codec_free(codec);
}

/* bf16 between 1/16 and 2 with low bytes that are noise, or a sentence again and again. */
static void
fill(uint8_t *ret, size_t len, bool noise)
{
	static const char text[] = "the same again and ";
	uint32_t seed = (uint32_t)len;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		ret[i] = noise ? (uint8_t)(seed >> 24) : (uint8_t)text[i % (sizeof(text) - 1)];
		if (noise && i % 2 != 0)
			ret[i] = (uint8_t)(0x3d + ret[i] % 3 + (ret[i] & 0x80));
	}
}

/* zstd of bytes, of split bytes, and of high bytes only, then planes. */
size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const size_t len[] = { 100, 128, 129, 1000, 5001, 16000 };
	static const struct {
		uint8_t serde, bytes;
		bool noise;
	} form[] = { { 1, 1, false }, { 1, 2, false }, { 1, 2, true }, { 2, 2, true } };
	uint8_t raw[RAW_MAX];
	size_t raw_len = len[i / KVR_LEN(form) % KVR_LEN(len)], f = i % KVR_LEN(form);

	if (i >= KVR_LEN(len) * KVR_LEN(form))
		return 0;
	fill(raw, raw_len, form[f].noise);
	size_t n = kvr_codec_encode(codec, (enum kvr_serde_id)serdes[form[f].serde], form[f].bytes,
	    (struct kvr_const_span){ raw, raw_len },
	    (struct kvr_span){ ret + 3, KVR_FUZZ_LEN_MAX - 3 });

	ret[0] = n > 0 ? form[f].serde : 0;
	kvr_le16_put(ret + 1, (uint16_t)raw_len);
	if (n == 0) { /* too short to shrink */
		memcpy(ret + 3, raw, raw_len);
		n = raw_len;
	}
	return 3 + n;
}

static void
as_stored(uint32_t serde, struct kvr_const_span stored, size_t raw_len)
{
	uint8_t *first = malloc(raw_len + 1), *second = malloc(raw_len + 1);

	KVR_CHECK(first != NULL && second != NULL);
	first[raw_len] = second[raw_len] = GUARD;
	enum kvr_err err = kvr_codec_decode(codec, serde, stored, first, raw_len);

	KVR_CHECK(err == KVR_OK || err == KVR_E_CORRUPT || (err == KVR_E_IDENTITY && serde == 17));
	KVR_CHECK(kvr_codec_decode(codec, serde, stored, second, raw_len) == err);
	KVR_CHECK(first[raw_len] == GUARD && second[raw_len] == GUARD);
	KVR_CHECK(err != KVR_OK || memcmp(first, second, raw_len) == 0);
	free(first);
	free(second);
}

static void
as_payload(enum kvr_serde_id serde, uint32_t dtype_bytes, struct kvr_const_span raw, size_t room)
{
	uint8_t *to = malloc(room + 1), *back = malloc(raw.len + 1);

	KVR_CHECK(to != NULL && back != NULL);
	to[room] = back[raw.len] = GUARD;
	size_t n =
	    kvr_codec_encode(codec, serde, dtype_bytes, raw, (struct kvr_span){ to, room });

	KVR_CHECK(to[room] == GUARD && n <= room && (n == 0 || n < raw.len));
	if (n > 0) {
		const struct kvr_const_span stored = { to, n };

		KVR_CHECK(kvr_codec_decode(codec, serde, stored, back, raw.len) == KVR_OK);
		KVR_CHECK(memcmp(back, raw.at, raw.len) == 0 && back[raw.len] == GUARD);
	}
	free(to);
	free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	if (len < 3)
		return 0;
	const struct kvr_const_span rest = { at + 3, len - 3 };
	uint32_t serde = serdes[at[0] % KVR_LEN(serdes)];

	as_stored(serde, rest, kvr_le16(at + 1) % RAW_MAX);
	for (uint32_t bytes = 1; bytes <= 2; bytes++) {
		as_payload(KVR_SERDE_ZSTD, bytes, rest, rest.len);
		as_payload(KVR_SERDE_PLANES, bytes, rest, rest.len * at[1] / 256);
	}
	return 0;
}
