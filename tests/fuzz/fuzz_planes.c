/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec "planes": the first two bytes are the length of the payload, the rest is its frame. All
 * paths of this processor say the same of it and make the same of it. Then the same input as a
 * payload: all paths write the same frame, and it gives the payload again.
 */
#include "kvr_planes.h"
#include "kvr_fuzz.h"
#include "kvr_le.h"

#include <stdlib.h>
#include <string.h>

enum { RAW_MAX = 32768 };

/* bf16 between 1/16 and 2, a stretch of noise, a stretch of one number, and an odd end. */
static void
fill(uint8_t *ret, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		ret[i] = (uint8_t)(seed >> 24);
		if (i % 2 != 0 && i % 4096 < 3900)
			ret[i] = (uint8_t)(0x3d + ret[i] % 3 + (ret[i] & 0x80));
		if (i % 1024 < 128)
			ret[i] = (uint8_t)(i & 1);
	}
}

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const size_t len[] = { 128, 129, 192, 1024, 4096, 4223, 10001, 20000 };
	uint8_t raw[RAW_MAX];
	struct kvr_span into = { ret + 2, KVR_FUZZ_LEN_MAX - 2 };

	if (i >= KVR_LEN(len))
		return 0;
	fill(raw, len[i], (uint32_t)i);
	if (len[i] <= 192)
		memset(raw, 0, len[i]);
	size_t n =
	    kvr_planes_encode(&kvr_planes_scalar, (struct kvr_const_span){ raw, len[i] }, into);

	KVR_CHECK(n > 0);
	kvr_le16_put(ret, (uint16_t)len[i]);
	return 2 + n;
}

/* One byte after what may be written, to see that it is not. */
static bool
decode(
    const struct kvr_planes_path *path, struct kvr_const_span stored, size_t raw_len, uint8_t *to)
{
	to[raw_len] = 0xa5;
	bool ok = kvr_planes_decode(path, stored, to, raw_len);

	KVR_CHECK(to[raw_len] == 0xa5);
	return ok;
}

static void
as_frame(struct kvr_const_span stored, size_t raw_len)
{
	uint8_t *want = malloc(raw_len + 1), *got = malloc(raw_len + 1);

	KVR_CHECK(want != NULL && got != NULL);
	bool fits = decode(&kvr_planes_scalar, stored, raw_len, want);

	for (uint32_t p = 0; kvr_planes_path(p) != NULL; p++) {
		KVR_CHECK(decode(kvr_planes_path(p), stored, raw_len, got) == fits);
		KVR_CHECK(!fits || memcmp(want, got, raw_len) == 0);
	}
	free(want);
	free(got);
}

static void
as_payload(struct kvr_const_span raw)
{
	uint8_t *want = malloc(raw.len + 1), *got = malloc(raw.len + 1);

	KVR_CHECK(want != NULL && got != NULL);
	size_t n = kvr_planes_encode(&kvr_planes_scalar, raw, (struct kvr_span){ want, raw.len });

	KVR_CHECK(n == 0 || n < raw.len);
	for (uint32_t p = 0; kvr_planes_path(p) != NULL; p++) {
		got[raw.len] = 0xa5;
		KVR_CHECK(kvr_planes_encode(
		              kvr_planes_path(p), raw, (struct kvr_span){ got, raw.len }) == n);
		KVR_CHECK(got[raw.len] == 0xa5 && memcmp(want, got, n) == 0);
	}
	if (n > 0) {
		KVR_CHECK(
		    decode(kvr_planes_path(0), (struct kvr_const_span){ want, n }, raw.len, got));
		KVR_CHECK(memcmp(got, raw.at, raw.len) == 0);
	}
	free(want);
	free(got);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	if (len < 2)
		return 0;
	as_frame((struct kvr_const_span){ at + 2, len - 2 }, kvr_le16(at) % RAW_MAX);
	as_payload((struct kvr_const_span){ at + 2, len - 2 });
	return 0;
}
