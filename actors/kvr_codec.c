/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lossless codecs. "planes" has files of its own, see kvr_planes.h. A zstd value begins with
 * one byte that says how the payload was laid out before compression:
 *
 *   0  as it is, a zstd frame
 *   2  a zstd frame of the bytes of 2-byte elements: all first bytes, then all second bytes, then
 *      an odd last one
 *   3  elements rotated left by one bit, in whole groups of 64: their low bytes as they are, the
 *      bytes behind the last group as they are, a zstd frame of the high bytes
 *
 * Separating the bytes pays because the exponents of KV data are alike and its mantissas are not.
 * In layout 3 zstd sees only exponents and is told to do nothing but its entropy coding, because
 * there are no repeats to be found: on the KV data in tests/data that gives 1.49 instead of 1.46,
 * at two to three times the speed.
 */
#include "kvr_planes.h"
#include "kvr_workers.h"

#include <stdlib.h>
#include <string.h>

/* For ZSTD_c_literalCompressionMode, which every version since 1.3.6 has. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

enum { LAYOUT_PLAIN = 0, LAYOUT_PLANES2 = 2, LAYOUT_HIGH = 3, LEVEL = 1 };

struct kvr_codec {
	ZSTD_CCtx *c;
	ZSTD_CCtx *entropy; /* does not search for repeats; NULL: this zstd has no such setting */
	ZSTD_DCtx *d;
	const struct kvr_planes_path *path;
	uint8_t   *scratch; /* one payload with its bytes separated; grows to the largest seen */
	size_t     scratch_len;
};

/* NULL if a later zstd refuses one of these: then layout 2 is written. */
static ZSTD_CCtx *
entropy_only(void)
{
#ifdef ZSTD_c_literalCompressionMode
	/* Always code literals (1 is "on" in each version); the rest makes matches rare. */
	static const struct {
		ZSTD_cParameter name;
		int             value;
	} want[] = {
		{ ZSTD_c_compressionLevel, -1000 }, { ZSTD_c_minMatch, 7 }, { ZSTD_c_hashLog, 6 },
		{ ZSTD_c_literalCompressionMode, 1 }
	};
	ZSTD_CCtx *c = ZSTD_createCCtx();

	for (size_t i = 0; c != NULL && i < KVR_LEN(want); i++) {
		if (ZSTD_isError(ZSTD_CCtx_setParameter(c, want[i].name, want[i].value))) {
			ZSTD_freeCCtx(c);
			c = NULL;
		}
	}
	return c;
#else
	return NULL;
#endif
}

struct kvr_codec *
kvr_codec_new(void)
{
	struct kvr_codec *codec = calloc(1, sizeof(*codec));

	if (codec == NULL)
		return NULL;
	codec->c = ZSTD_createCCtx();
	codec->d = ZSTD_createDCtx();
	codec->entropy = entropy_only();
	codec->path = kvr_planes_path(0);
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
	ZSTD_freeCCtx(take->entropy);
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

/* Layout 3. room is less than the payload. */
static size_t
encode_high(struct kvr_codec *codec, struct kvr_const_span raw, uint8_t *to, size_t room)
{
	const uint8_t *from = raw.at;
	size_t groups = raw.len / KVR_PLANES_GROUP_BYTES, low = groups * KVR_PLANES_GROUP,
	       tail = raw.len % KVR_PLANES_GROUP_BYTES;

	if (room <= 1 + low + tail || !need_scratch(codec, low))
		return 0;
	to[0] = LAYOUT_HIGH;
	codec->path->split(from, groups, to + 1, codec->scratch);
	memcpy(to + 1 + low, from + raw.len - tail, tail);
	to += 1 + low + tail;
	room -= 1 + low + tail;
	size_t n = ZSTD_compress2(codec->entropy, to, room, codec->scratch, low);

	return ZSTD_isError(n) ? 0 : 1 + low + tail + n;
}

static size_t
encode_zstd(
    struct kvr_codec *codec, uint32_t dtype_bytes, struct kvr_const_span raw, struct kvr_span into)
{
	const uint8_t *from = raw.at;
	uint8_t *to = into.at;
	/* A value that does not shrink is not worth decoding, so room is less than its length. */
	size_t room = KVR_MIN(into.len, raw.len - (raw.len > 0));
	bool planes = dtype_bytes == 2 && raw.len >= 64;

	if (room < 2)
		return 0;
	if (planes && codec->entropy != NULL &&
	    kvr_planes_low_is_noise(from, raw.len / KVR_PLANES_GROUP_BYTES))
		return encode_high(codec, raw, to, room);
	if (planes && !need_scratch(codec, raw.len))
		return 0;
	if (planes)
		split(from, codec->scratch, raw.len);
	to[0] = planes ? LAYOUT_PLANES2 : LAYOUT_PLAIN;
	size_t n = ZSTD_compressCCtx(
	    codec->c, to + 1, room - 1, planes ? codec->scratch : from, raw.len, LEVEL);

	return ZSTD_isError(n) ? 0 : n + 1;
}

size_t
kvr_codec_encode(struct kvr_codec *codec, enum kvr_serde_id serde, uint32_t dtype_bytes,
    struct kvr_const_span raw, struct kvr_span into)
{
	switch (serde) {
	case KVR_SERDE_ZSTD:
		return encode_zstd(codec, dtype_bytes, raw, into);
	case KVR_SERDE_PLANES:
		return dtype_bytes == 2 ? kvr_planes_encode(codec->path, raw, into) : 0;
	case KVR_SERDE_NAIVE:
	default:
		return 0;
	}
}

static enum kvr_err
decode_high(struct kvr_codec *codec, struct kvr_const_span stored, void *into, size_t raw_len)
{
	const uint8_t *from = (const uint8_t *)stored.at + 1;
	size_t groups = raw_len / KVR_PLANES_GROUP_BYTES, low = groups * KVR_PLANES_GROUP,
	       tail = raw_len % KVR_PLANES_GROUP_BYTES;

	if (stored.len - 1 < low + tail)
		return KVR_E_CORRUPT;
	if (!need_scratch(codec, low))
		return KVR_E_NOMEM;
	size_t n = ZSTD_decompressDCtx(
	    codec->d, codec->scratch, low, from + low + tail, stored.len - 1 - low - tail);

	if (ZSTD_isError(n) || n != low)
		return KVR_E_CORRUPT;
	codec->path->join(from, codec->scratch, groups, into);
	if (tail > 0)
		memcpy((uint8_t *)into + raw_len - tail, from + low, tail);
	return KVR_OK;
}

static enum kvr_err
decode_zstd(struct kvr_codec *codec, struct kvr_const_span stored, void *into, size_t raw_len)
{
	const uint8_t *from = stored.at;

	if (stored.len < 2 ||
	    (from[0] != LAYOUT_PLAIN && from[0] != LAYOUT_PLANES2 && from[0] != LAYOUT_HIGH))
		return KVR_E_CORRUPT;
	if (from[0] == LAYOUT_HIGH)
		return decode_high(codec, stored, into, raw_len);
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
	case KVR_SERDE_PLANES:
		return kvr_planes_decode(codec->path, stored, into, raw_len) ? KVR_OK : KVR_E_CORRUPT;
	default:
		return KVR_E_IDENTITY;
	}
}

const char *
kvr_codec_library(void)
{
	return ZSTD_versionString();
}
