/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs whose size only their writer knew: room enough and KVR_AT_MOST, or ask and then get. */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

enum { MOST = 3000000 };

static enum kvr_err
blob(struct kvr *k, uint32_t kind, const char *key, void *at, uint64_t len, uint32_t flags,
    uint64_t *ret)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.key = &key,
		.at = &(void *const){ at },
		.len = &len };
	const struct kvr_opts o = { .size = sizeof(o), .flags = flags };
	struct kvr_results r = { .size = sizeof(r), .cap = 1, .len = ret };

	return kvr_run(k, &b, &o, NULL, &r);
}

static void
life(const char *url)
{
	const uint64_t size[] = { 0, 1, 4095, 4096, 65537, 1048576, 2999999 };
	const struct kvr_options o = { .size = sizeof(o), .url = url, BED_SET };
	char *in = malloc(MOST), *out = malloc(MOST), key[32];
	uint64_t found = 0;
	struct kvr *k;

	OK(kvr_open(&o, 0, &k, NULL, 0));
	for (uint32_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		snprintf(key, sizeof(key), "blob %u", i); /* a blank is a byte like others */
		bed_fill(in, size[i], i);
		OK(blob(k, KVR_PUT, key, in, size[i], 0, &found));
		ck_assert_uint_eq(found, size[i]);
		memset(out, 0xee, MOST);
		OK(blob(k, KVR_GET, key, out, MOST, KVR_AT_MOST, &found));
		ck_assert_uint_eq(found, size[i]);
		bed_same(out, found, i);
		ck_assert_uint_eq((unsigned char)out[found], 0xee); /* and not a byte more */
		found = 0;
		OK(blob(k, KVR_SIZE, key, NULL, 0, 0, &found));
		ck_assert_uint_eq(found, size[i]);
		OK(blob(k, KVR_GET, key, out, found, 0, &found));
		bed_same(out, found, i);
		if (size[i] > 0)
			ERR(blob(k, KVR_GET, key, out, size[i] - 1, KVR_AT_MOST, &found),
			    KVR_E_LENGTH);
	}
	ERR(blob(k, KVR_SIZE, "nowhere", NULL, 0, 0, &found), KVR_E_MISS);
	/* A shorter value in its place leaves nothing of the longer one. */
	OK(blob(k, KVR_PUT, "blob 5", "short", 5, 0, NULL));
	OK(blob(k, KVR_GET, "blob 5", out, MOST, KVR_AT_MOST, &found));
	ck_assert_uint_eq(found, 5);
	ck_assert_int_eq(memcmp(out, "short", 5), 0);
	free(in);
	free(out);
	bed_close(k);
}

START_TEST(blobs_of_unknown_size)
{
	KVR_EACH_STORE(bed, life(kvr_store_bed_url(bed)));
}
END_TEST

KVR_CHECK_MAIN("api.embed_blob", blobs_of_unknown_size)
