/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_value.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(64) uint8_t scratch[KVR_FRAME_SCRATCH];

uint64_t
kvr_value_draw(uint64_t *rand)
{
	uint64_t z = *rand += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Small, middling and large cuts, so that pieces both straddle and fill blocks. */
static size_t
draw_max(uint64_t *rand)
{
	static const size_t scale[] = { 2, 100, 5000, 70000, 300000, 3000000 };
	uint64_t which = kvr_value_draw(rand) % KVR_LEN(scale);

	return 1 + (size_t)(kvr_value_draw(rand) % scale[which]);
}

void *
kvr_value_room(size_t len)
{
	uint8_t *at = malloc(len + KVR_VALUE_GUARD);

	ck_assert_ptr_nonnull(at);
	memset(at, 0xa5, len + KVR_VALUE_GUARD);
	return at;
}

void
kvr_value_check_guard(const void *at, size_t len)
{
	const uint8_t *byte = at;

	for (size_t i = 0; i < KVR_VALUE_GUARD; i++)
		ck_assert_uint_eq(byte[len + i], 0xa5);
}

uint8_t *
kvr_value_payload(size_t len)
{
	uint8_t *payload = kvr_value_room(len);

	for (uint64_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
	return payload;
}

struct kvr_value
kvr_value_write(const struct kvr_frame_rules *rules, struct kvr_item *item, uint64_t seed)
{
	struct kvr_frame f;
	struct kvr_const_span span;
	uint64_t rand = seed;
	size_t at = 0;

	ck_assert_int_eq(kvr_frame_out_begin(&f, rules, item, scratch), KVR_OK);
	struct kvr_value v = { kvr_value_room((size_t)kvr_frame_out_len(&f)),
		(size_t)kvr_frame_out_len(&f) };
	while ((span = kvr_frame_out_next(&f, draw_max(&rand))).len > 0) {
		ck_assert_uint_le(span.len, v.len - at);
		memcpy(v.at + at, span.at, span.len);
		at += span.len;
	}
	ck_assert_uint_eq(at, v.len);
	ck_assert_uint_eq(item->len, v.len);
	kvr_value_check_guard(v.at, v.len);
	return v;
}

/* Reads all of v, whatever is wrong with it: a stream must stay in step. */
int32_t
kvr_value_read(
    const struct kvr_frame_rules *rules, struct kvr_item *item, struct kvr_value v, uint64_t seed)
{
	struct kvr_frame f;
	struct kvr_span span;
	uint64_t rand = seed;
	size_t at = 0;

	kvr_frame_in_begin(&f, rules, item, scratch, v.len);
	while ((span = kvr_frame_in_next(&f, draw_max(&rand))).len > 0) {
		size_t n = 1 + (size_t)(kvr_value_draw(&rand) % span.len);

		ck_assert_uint_le(span.len, v.len - at);
		memcpy(span.at, v.at + at, n);
		kvr_frame_in_got(&f, n);
		at += n;
	}
	ck_assert_uint_eq(at, v.len);
	int32_t err = kvr_frame_in_end(&f);
	ck_assert((err == KVR_OK) == (kvr_frame_why(&f)[0] == '\0'));
	return err;
}

const struct kvr_meta kvr_value_meta = { KVR_MEMFMT_KV_2LTD, 1,
	{ { KVR_DTYPE_BFLOAT16, 4, { 2, 1, 5, 5 } } } };

const struct kvr_frame_rules kvr_value_bare = { .format = KVR_FORMAT_BARE };
const struct kvr_frame_rules kvr_value_lmcache = { .format = KVR_FORMAT_LMCACHE, .n_groups = 1 };
const struct kvr_frame_rules kvr_value_headless = { .format = KVR_FORMAT_LMCACHE };
const struct kvr_frame_rules kvr_value_sealed = {
	.format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD, .fingerprint = 77
};
const struct kvr_frame_rules kvr_value_sealed_fs = { .format = KVR_FORMAT_SEALED,
	.seal_head = KVR_SEAL_HEAD_FS };
const struct kvr_frame_rules *const kvr_value_rules[5] = { &kvr_value_bare, &kvr_value_lmcache,
	&kvr_value_headless, &kvr_value_sealed, &kvr_value_sealed_fs };

void
kvr_value_item(struct kvr_item *item, struct kvr_meta *meta, void *at, size_t len)
{
	memset(item, 0, sizeof(*item));
	item->key = "a-key";
	item->key_len = 5;
	item->span = (struct kvr_span){ at, len };
	item->meta = meta;
	atomic_init(&item->status, KVR_PENDING);
}
