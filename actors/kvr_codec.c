/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lossless codecs. A zstd value begins with one byte that says how the payload was laid out
 * before compression, then the zstd frame:
 *
 *   0  as it is
 *   2  byte planes of 2-byte elements: all first bytes, then all second bytes, then an odd last one
 *
 * Separating the planes pays because the exponents of KV data are alike and its mantissas are not.
 */
#include "kvr_workers.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

enum { LAYOUT_PLAIN = 0, LAYOUT_PLANES2 = 2, LEVEL = 1 };

struct kvr_codec {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
	uint8_t   *scratch; /* one payload with its planes separated; grows to the largest seen */
	size_t     scratch_len;
};

struct kvr_codec *
kvr_codec_new(void)
{
	struct kvr_codec *codec = calloc(1, sizeof(*codec));

	if (codec == NULL)
		return NULL;
	codec->c = ZSTD_createCCtx();
	codec->d = ZSTD_createDCtx();
	if (codec->c == NULL || codec->d == NULL) {
		kvr_codec_free(codec);
		return NULL;
	}
	return codec;
}

void
kvr_codec_free(struct kvr_codec *take)
{
	if (take == NULL)
		return;
	ZSTD_freeCCtx(take->c);
	ZSTD_freeDCtx(take->d);
	free(take->scratch);
	free(take);
}

static bool
need_scratch(struct kvr_codec *codec, size_t len)
{
	if (codec->scratch_len >= len)
		return true;
	free(codec->scratch);
	codec->scratch = aligned_alloc(4096, (len + 4095) / 4096 * 4096);
	codec->scratch_len = codec->scratch == NULL ? 0 : len;
	return codec->scratch != NULL;
}

static void
split(const uint8_t *restrict from, uint8_t *restrict to, size_t len)
{
	uint8_t *restrict low = to, *restrict high = to + len / 2;

	for (size_t i = 0; i < len / 2; i++) {
		low[i] = from[2 * i];
		high[i] = from[2 * i + 1];
	}
	if (len % 2 != 0)
		to[len - 1] = from[len - 1];
}

static void
join(const uint8_t *restrict from, uint8_t *restrict to, size_t len)
{
	const uint8_t *restrict low = from, *restrict high = from + len / 2;

	for (size_t i = 0; i < len / 2; i++) {
		to[2 * i] = low[i];
		to[2 * i + 1] = high[i];
	}
	if (len % 2 != 0)
		to[len - 1] = from[len - 1];
}

size_t
kvr_codec_encode(struct kvr_codec *codec, enum kvr_serde_id serde, uint32_t dtype_bytes,
    struct kvr_const_span raw, struct kvr_span into)
{
	const uint8_t *from = raw.at;
	uint8_t *to = into.at;
	/* A value that does not shrink is not worth decoding, so the room ends before its length. */
	size_t room = KVR_MIN(into.len, raw.len);
	bool planes = dtype_bytes == 2 && raw.len >= 64;

	if (serde != KVR_SERDE_ZSTD || room < 2 || (planes && !need_scratch(codec, raw.len)))
		return 0;
	if (planes)
		split(from, codec->scratch, raw.len);
	to[0] = planes ? LAYOUT_PLANES2 : LAYOUT_PLAIN;
	size_t n = ZSTD_compressCCtx(codec->c, to + 1, room - 2, planes ? codec->scratch : from, raw.len, LEVEL);

	return ZSTD_isError(n) ? 0 : n + 1;
}

static enum kvr_err
decode_zstd(struct kvr_codec *codec, struct kvr_const_span stored, void *into, size_t raw_len)
{
	const uint8_t *from = stored.at;

	if (stored.len < 2 || (from[0] != LAYOUT_PLAIN && from[0] != LAYOUT_PLANES2))
		return KVR_E_CORRUPT;
	bool planes = from[0] == LAYOUT_PLANES2;

	if (planes && !need_scratch(codec, raw_len))
		return KVR_E_NOMEM;
	uint8_t *to = planes ? codec->scratch : into;
	size_t n = ZSTD_decompressDCtx(codec->d, to, raw_len, from + 1, stored.len - 1);

	if (ZSTD_isError(n) || n != raw_len)
		return KVR_E_CORRUPT;
	if (planes)
		join(codec->scratch, into, raw_len);
	return KVR_OK;
}

enum kvr_err
kvr_codec_decode(struct kvr_codec *codec, uint32_t serde, struct kvr_const_span stored, void *into,
    size_t raw_len)
{
	switch (serde) {
	case KVR_SERDE_NAIVE:
		if (stored.len != raw_len)
			return KVR_E_CORRUPT;
		if (raw_len > 0)
			memcpy(into, stored.at, raw_len);
		return KVR_OK;
	case KVR_SERDE_ZSTD:
		return decode_zstd(codec, stored, into, raw_len);
	default:
		return KVR_E_IDENTITY;
	}
}

const char *
kvr_codec_library(void)
{
	return ZSTD_versionString();
}
