/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values from a store that says anything, or with LMMETA the header of LMCache's values alone. The
 * first byte chooses format, flags and how the value is cut; the rest is the value. With REPAIR the
 * checksums of a sealed value are made right again, else no mutation would come past the first of
 * them.
 */
#include "kvr_frame.h"
#include "kvr_fuzz.h"
#include "kvr_le.h"
#include "kvr_lmmeta.h"

#include <string.h>

enum { AT_MOST = 8, REPAIR = 16, SMALL_CUTS = 32, LMMETA = 64, PAYLOAD = 3000, GUARD = 64 };

static _Alignas(64) uint8_t scratch[KVR_FRAME_SCRATCH];

static const struct kvr_frame_rules formats[8] = {
	{ .format = KVR_FORMAT_BARE },
	{ .format = KVR_FORMAT_LMCACHE },
	{ .format = KVR_FORMAT_LMCACHE, .n_groups = 1 },
	{ .format = KVR_FORMAT_LMCACHE, .n_groups = 2 },
	{ .format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD, .fingerprint = 77 },
	{ .format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD_FS },
	{ .format = KVR_FORMAT_SEALED,
	    .seal_head = KVR_SEAL_HEAD,
	    .serdes = 5,
	    .serde_version = 1 },
	{ .format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD },
};

static const struct kvr_meta metas[2] = {
	{ KVR_MEMFMT_KV_2LTD, 1, { { KVR_DTYPE_BFLOAT16, 4, { 2, 3, 25, 10 } } } },
	{ KVR_MEMFMT_KV_MLA, 2,
	    { { KVR_DTYPE_BFLOAT16, 4, { 1, 3, 25, 10 } },
	        { KVR_DTYPE_UINT8, 4, { 1, 3, 25, 20 } } } },
};

static void
item_of(struct kvr_item *item, struct kvr_meta *meta, uint8_t *at, size_t len)
{
	memset(item, 0, sizeof(*item));
	item->key = "a-key";
	item->key_len = 5;
	item->span = (struct kvr_span){ at, len };
	item->meta = meta;
}

/* Everything of a frame that is given away, in one piece behind ret. */
static size_t
write_value(const struct kvr_frame_rules *rules, struct kvr_item *item, uint8_t *ret)
{
	struct kvr_const_span span;
	struct kvr_frame f;
	size_t len = 0;

	KVR_CHECK(kvr_frame_out_begin(&f, rules, item, scratch) == KVR_OK);
	while ((span = kvr_frame_out_next(&f, SIZE_MAX)).len > 0) {
		memcpy(ret + len, span.at, span.len);
		len += span.len;
	}
	KVR_CHECK(len == kvr_frame_out_len(&f));
	return len;
}

static size_t
lmmeta_seed(size_t i, uint8_t *ret)
{
	const struct kvr_meta meta[] = {
		{ KVR_MEMFMT_KV_2LTD, 1, { { KVR_DTYPE_BFLOAT16, 4, { 2, 32, 256, 1024 } } } },
		{ KVR_MEMFMT_KV_T2D, 1, { { KVR_DTYPE_FLOAT16, 3, { 256, 2, 1024 } } } },
		{ KVR_MEMFMT_KV_MLA, 2,
		    { { KVR_DTYPE_BFLOAT16, 4, { 1, 61, 256, 512 } },
		        { KVR_DTYPE_UINT8, 4, { 1, 61, 256, 132 } } } },
		{ KVR_MEMFMT_BINARY_BUFFER, 0, { { 0 } } },
		{ KVR_MEMFMT_BINARY, 0, { { 0 } } },
	};
	size_t len = 0;

	if (i >= KVR_LEN(meta))
		return 0;
	ret[0] = LMMETA;
	ret[1] = (uint8_t)KVR_MAX(meta[i].n_groups, 1U);
	KVR_CHECK(kvr_lmmeta_encode(&meta[i], 12345, ret[1], ret + 2, KVR_LMMETA_BYTES_MAX, &len) ==
	          KVR_OK);
	return 2 + len;
}

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static uint8_t payload[PAYLOAD];
	size_t which = i / 2;
	struct kvr_item item;

	if (which >= KVR_LEN(formats))
		return lmmeta_seed(i - 2 * KVR_LEN(formats), ret);
	struct kvr_meta meta = metas[which == 3];
	item_of(&item, &meta, payload, i % 2 == 0 ? PAYLOAD : 100);
	ret[0] = (uint8_t)(which | (i % 2 == 0 ? 0U : (unsigned)AT_MOST | REPAIR));
	return 1 + write_value(&formats[which], &item, ret + 1);
}

static void
repair(const struct kvr_frame_rules *rules, uint8_t *value, size_t len)
{
	size_t head_len = rules->seal_head;
	uint8_t *all;

	if (rules->format != KVR_FORMAT_SEALED || len < head_len + 8)
		return;
	/* The length the header would have to say; a mutation changes both of them or neither. */
	kvr_le64_put(value + 504, kvr_hash64(value, 504));
	uint64_t stored = kvr_le64(value + 40), key_len = kvr_le32(value + 72);
	if (stored > len || key_len > 512 ||
	    head_len + stored + kvr_seal_tail_len((uint32_t)key_len, stored) != len)
		return;
	size_t tail_len = len - head_len - (size_t)stored;
	all = scratch; /* 4096 + 512 + 24 at most: no value here has over two blocks */
	memcpy(all, value, head_len);
	memcpy(all + head_len, value + head_len + stored, tail_len);
	kvr_le64_put(value + len - 8, kvr_hash64(all, head_len + tail_len - 8));
}

static int32_t
read_value(const struct kvr_frame_rules *rules, struct kvr_item *item, const uint8_t *value,
    size_t len, size_t cut)
{
	struct kvr_span span;
	struct kvr_frame f;
	size_t at = 0;

	kvr_frame_in_begin(&f, rules, item, scratch, len);
	while ((span = kvr_frame_in_next(&f, cut)).len > 0) {
		KVR_CHECK(span.len <= len - at && span.len <= cut);
		memcpy(span.at, value + at, span.len);
		kvr_frame_in_got(&f, span.len);
		at += span.len;
	}
	KVR_CHECK(at == len);
	int32_t err = kvr_frame_in_end(&f);
	KVR_CHECK((err == KVR_OK) == (kvr_frame_why(&f)[0] == '\0'));
	return err;
}

/* A sealed value that was read and not repaired is the one that a writer makes of what it says. */
static void
check_canonical(
    const struct kvr_frame_rules *rules, struct kvr_item *item, const uint8_t *value, size_t len)
{
	static uint8_t again[KVR_FUZZ_LEN_MAX];
	struct kvr_frame_rules writer = *rules;

	KVR_CHECK(len <= sizeof(again));
	writer.fingerprint = kvr_le64(value + 64);
	writer.serde_version = kvr_le32(value + 16);
	item->span.len = (size_t)item->len;
	KVR_CHECK(write_value(&writer, item, again) == len);
	KVR_CHECK(memcmp(again, value, len) == 0);
}

static void
check_stat(const struct kvr_frame_rules *rules, const struct kvr_item *got, const uint8_t *value,
    size_t len, int32_t err)
{
	struct kvr_meta meta = { 0 };
	struct kvr_item item;

	item_of(&item, &meta, NULL, 0);
	char why[128] = "";
	int32_t said = kvr_frame_stat(rules, &item, value,
	    (size_t)KVR_MIN(len, kvr_frame_head_len(rules)), len, why, sizeof(why));
	KVR_CHECK((said == KVR_OK) == (why[0] == '\0'));
	KVR_CHECK(KVR_IMPLIES(err == KVR_OK, said == KVR_OK));
	if (err != KVR_OK)
		return;
	KVR_CHECK(item.len == got->len && item.raw_len == got->raw_len && item.serde == got->serde);
}

/* n_groups, then a header. What is read is written back as it was. */
static void
read_lmmeta(const uint8_t *at, size_t len)
{
	uint8_t head[KVR_LMMETA_BYTES_MAX], want[KVR_LMMETA_BYTES_MAX];
	struct kvr_meta meta;
	uint64_t payload_len = 0, bytes = 0;
	size_t head_len = 0;

	if (len == 0)
		return;
	uint32_t n_groups = at[0];
	enum kvr_err err = kvr_lmmeta_decode(at + 1, len - 1, n_groups, &meta, &payload_len);
	KVR_CHECK(
	    err == KVR_OK || err == KVR_E_CORRUPT || err == KVR_E_LENGTH || err == KVR_E_INVALID);
	if (err != KVR_OK)
		return;
	KVR_CHECK(meta.n_groups == n_groups || meta.n_groups == 0);
	KVR_CHECK(payload_len <= INT32_MAX && kvr_memfmt_name(meta.memfmt) != NULL);
	err = kvr_meta_bytes(&meta, &bytes);
	KVR_CHECK(err == KVR_OK || err == KVR_E_INVALID || err == KVR_E_TOO_BIG);
	KVR_CHECK(kvr_lmmeta_encode(&meta, payload_len, n_groups, head, sizeof(head), &head_len) ==
	          KVR_OK);
	KVR_CHECK(head_len == KVR_LMMETA_BYTES(n_groups));
	memcpy(want, at + 1, head_len);
	for (uint32_t g = 0; g < n_groups; g++) {
		if (want[KVR_LMMETA_BYTES(g)] == 1) /* read like 2, never written */
			want[KVR_LMMETA_BYTES(g)] = 2;
	}
	KVR_CHECK(memcmp(head, want, head_len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static uint8_t into[PAYLOAD + GUARD], value[KVR_FUZZ_LEN_MAX];
	struct kvr_meta meta;
	struct kvr_item item;

	if (len == 0 || len > KVR_FUZZ_LEN_MAX)
		return 0;
	uint8_t how = at[0];
	if (how & LMMETA) {
		read_lmmeta(at + 1, len - 1);
		return 0;
	}
	const struct kvr_frame_rules *rules = &formats[how % 8];
	bool at_most = (how & AT_MOST) != 0;
	meta = metas[how % 8 == 3];
	memset(into, 0xa5, sizeof(into));
	item_of(&item, &meta, into, PAYLOAD);
	item.flags = at_most ? KVR_ITEM_AT_MOST : 0;
	memcpy(value, at + 1, --len);
	if (how & REPAIR)
		repair(rules, value, len);
	int32_t err = read_value(rules, &item, value, len, how & SMALL_CUTS ? 7 : 65536);
	for (size_t i = 0; i < GUARD; i++)
		KVR_CHECK(into[PAYLOAD + i] == 0xa5);
	KVR_CHECK(err == KVR_OK || err == KVR_E_LENGTH || err == KVR_E_TOO_BIG ||
	    err == KVR_E_CORRUPT || err == KVR_E_IDENTITY);
	check_stat(rules, &item, value, len, err);
	if (err == KVR_OK) {
		KVR_CHECK(item.len <= PAYLOAD && (at_most || item.len == PAYLOAD));
		KVR_CHECK(memcmp(into, value + kvr_frame_head_len(rules), (size_t)item.len) == 0);
		if (rules->format == KVR_FORMAT_SEALED && (how & REPAIR) == 0)
			check_canonical(rules, &item, value, len);
	}
	return 0;
}
