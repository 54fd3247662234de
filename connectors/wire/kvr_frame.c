/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as spans. The scratch of a frame holds, in this order,
 *
 *   the running checksum of a block,
 *   the ends of a value: the header, directly followed by the trailer (kvr_seal.h says why),
 *   at its end, when reading: the checksums of the blocks that have arrived.
 *
 * The offset of a byte alone determines which part of a value it belongs to, so there is no state
 * besides `at` and the first error. After an error the rest of the value is written over all this,
 * from the start of scratch: nothing there is needed any more.
 */
#include "kvr_frame.h"
#include "kvr_le.h"
#include "kvr_lmmeta.h"

#include <string.h>

#define ENDS_AT  sizeof(struct kvr_hash_stream)
#define TABLE_AT (KVR_FRAME_SCRATCH - 8U * KVR_SEAL_BLOCKS_MAX)

_Static_assert(
    ENDS_AT + KVR_SEAL_HEAD_FS + KVR_KEY_LEN_MAX + 8U * KVR_SEAL_BLOCKS_MAX + 8U <= TABLE_AT,
    "the ends of the longest value do not reach the table");
_Static_assert(KVR_KEY_LEN_MAX == KVR_SEAL_KEY_MAX, "every key can be sealed");

static uint8_t *
ends(const struct kvr_frame *f)
{
	return f->scratch + ENDS_AT;
}

static bool
is_sealed(const struct kvr_frame *f)
{
	return f->rules->format == KVR_FORMAT_SEALED;
}

uint64_t
kvr_frame_head_len(const struct kvr_frame_rules *rules)
{
	switch (rules->format) {
	case KVR_FORMAT_LMCACHE:
		return rules->n_groups == 0 ? 0 : KVR_LMMETA_BYTES(rules->n_groups);
	case KVR_FORMAT_BARE:
		return 0;
	case KVR_FORMAT_SEALED:
		KVR_CHECK(
		    rules->seal_head == KVR_SEAL_HEAD || rules->seal_head == KVR_SEAL_HEAD_FS);
		return rules->seal_head;
	default:
		KVR_WRONG("a store format that is not in the list");
	}
}

static void
begin(struct kvr_frame *f, const struct kvr_frame_rules *rules, struct kvr_item *item,
    uint8_t *scratch)
{
	KVR_CHECK(((uintptr_t)scratch & 63U) == 0);
	KVR_CHECK(rules->n_groups <= KVR_GROUPS_MAX);
	/* Not the seal: it is as large as all the rest, and is written completely before it is read. */
	memset(f, 0, offsetof(struct kvr_frame, seal));
	f->rules = rules;
	f->item = item;
	f->scratch = scratch;
	f->head_len = kvr_frame_head_len(rules);
}

/*
 * Checksums of payload bytes, which are at offset `at` of the payload. A complete block is one
 * call; a block that comes in pieces goes through the running checksum.
 */
static void
hash_payload(struct kvr_frame *f, uint8_t *table, uint64_t at, const uint8_t *bytes, size_t len)
{
	struct kvr_hash_stream *stream = (struct kvr_hash_stream *)(void *)f->scratch;

	while (len > 0) {
		uint64_t block = at / KVR_SEAL_BLOCK, begun = at % KVR_SEAL_BLOCK;
		uint64_t block_len = KVR_MIN(KVR_SEAL_BLOCK, f->body_len - block * KVR_SEAL_BLOCK);
		size_t n = (size_t)KVR_MIN(len, block_len - begun);
		bool ends_here = begun + n == block_len;

		if (begun == 0 && ends_here) {
			kvr_le64_put(table + 8 * block, kvr_hash64(bytes, n));
		} else {
			if (begun == 0)
				kvr_hash_begin(stream);
			kvr_hash_feed(stream, bytes, n);
			if (ends_here)
				kvr_le64_put(table + 8 * block, kvr_hash_end(stream));
		}
		at += n;
		bytes += n;
		len -= n;
	}
}

/* ---- out ---- */

static enum kvr_err
seal_out(struct kvr_frame *f)
{
	const struct kvr_item *item = f->item;

	if (item->key_len == 0 || item->key_len > KVR_KEY_LEN_MAX ||
	    item->meta->n_groups > KVR_GROUPS_MAX)
		return KVR_E_INVALID;
	if (kvr_seal_blocks(item->span.len) > KVR_SEAL_BLOCKS_MAX)
		return KVR_E_TOO_BIG;
	f->seal = (struct kvr_seal){ .head_len = f->rules->seal_head,
		.key_len = item->key_len,
		.serde = item->serde,
		.serde_version = item->serde == 0 ? 0 : f->rules->serde_version,
		.raw_len = item->serde == 0 ? item->span.len : item->raw_len,
		.len = item->span.len,
		.fingerprint = f->rules->fingerprint,
		.key = kvr_hash128(item->key, item->key_len),
		.meta = *item->meta };
	kvr_seal_put_head(&f->seal, ends(f));
	f->tail_len = kvr_seal_tail_len(item->key_len, item->span.len);
	return KVR_OK;
}

enum kvr_err
kvr_frame_out_begin(struct kvr_frame *f, const struct kvr_frame_rules *rules, struct kvr_item *item,
    uint8_t *scratch)
{
	enum kvr_err err = KVR_OK;
	size_t len = 0;

	begin(f, rules, item, scratch);
	f->body_len = item->span.len;
	if (is_sealed(f))
		err = seal_out(f);
	else if (f->head_len > 0)
		err = kvr_lmmeta_encode(
		    item->meta, f->body_len, rules->n_groups, ends(f), KVR_LMMETA_BYTES_MAX, &len);
	if (err != KVR_OK)
		return err;
	f->total = f->head_len + f->body_len + f->tail_len;
	item->len = f->total;
	return KVR_OK;
}

static struct kvr_const_span
slice_out(struct kvr_frame *f, const uint8_t *at, uint64_t rest, size_t max)
{
	size_t n = (size_t)KVR_MIN(rest, max);

	f->at += n;
	return (struct kvr_const_span){ at, n };
}

struct kvr_const_span
kvr_frame_out_next(struct kvr_frame *f, size_t max)
{
	uint64_t body_end = f->head_len + f->body_len;

	if (f->at == f->total || max == 0)
		return (struct kvr_const_span){ NULL, 0 };
	if (f->at < f->head_len)
		return slice_out(f, ends(f) + f->at, f->head_len - f->at, max);
	if (f->at < body_end) {
		uint64_t at = f->at - f->head_len;
		const uint8_t *bytes = (const uint8_t *)f->item->span.at + at;

		if (!is_sealed(f))
			return slice_out(f, bytes, f->body_len - at, max);
		struct kvr_const_span slice =
		    slice_out(f, bytes, f->body_len - at, KVR_MIN(max, KVR_FRAME_SLICE));
		hash_payload(f, ends(f) + f->head_len + f->seal.key_len, at, slice.at, slice.len);
		return slice;
	}
	if (f->at == body_end)
		kvr_seal_put_tail(&f->seal, f->item->key, ends(f));
	return slice_out(f, ends(f) + f->at - f->body_len, f->total - f->at, max);
}

/* ---- in ---- */

static void
fail(struct kvr_frame *f, enum kvr_err err, const char *why)
{
	f->err = err;
	f->why = why;
}

static void
want_length(struct kvr_frame *f, uint64_t len)
{
	const struct kvr_item *item = f->item;

	f->body_len = len;
	f->item->len = len;
	if (len > item->span.len)
		fail(f, KVR_E_LENGTH, "the stored payload is longer than the room for it");
	else if (len < item->span.len && (item->flags & KVR_ITEM_AT_MOST) == 0)
		fail(f, KVR_E_LENGTH, "the stored payload is shorter than the one asked for");
}

static void
found(struct kvr_item *item, const struct kvr_seal *seal)
{
	item->len = seal->len;
	item->raw_len = seal->raw_len;
	item->serde = seal->serde;
	*item->meta = seal->meta;
}

static void
seal_head_in(struct kvr_frame *f)
{
	struct kvr_item *item = f->item;
	const struct kvr_meta expected = *item->meta;
	const struct kvr_seal_want want = { .key = item->key,
		.key_len = item->key_len,
		.serde_version = f->rules->serde_version,
		.serdes = f->rules->serdes,
		.fingerprint = f->rules->fingerprint,
		.meta = &expected };
	const char *why = NULL;
	enum kvr_err err =
	    kvr_seal_get_head(ends(f), f->rules->seal_head, f->total, &f->seal, &why);

	if (err == KVR_OK) {
		found(item, &f->seal);
		err = kvr_seal_fits(&f->seal, &want, &why);
	}
	if (err != KVR_OK) {
		fail(f, err, why);
		return;
	}
	f->tail_len = kvr_seal_tail_len(f->seal.key_len, f->seal.len);
	want_length(f, f->seal.len);
}

static void
lmcache_head_in(struct kvr_frame *f)
{
	const struct kvr_meta expected = *f->item->meta;
	struct kvr_meta meta;
	uint64_t len = 0;
	enum kvr_err err =
	    kvr_lmmeta_decode(ends(f), (size_t)f->head_len, f->rules->n_groups, &meta, &len);

	if (err != KVR_OK) {
		fail(f, err, "the value does not begin with an LMCache header");
		return;
	}
	*f->item->meta = meta;
	f->item->raw_len = len;
	if (len != f->total - f->head_len)
		fail(
		    f, KVR_E_LENGTH, "the value is shorter or longer than its LMCache header says");
	else if (!kvr_meta_fits(&expected, &meta))
		fail(f, KVR_E_IDENTITY, "the LMCache header has another dtype or layout");
	else
		want_length(f, len);
}

/* Only if outages are rehearsed. Returns what remains of the length. */
static uint64_t
spoil(struct kvr_frame *f, uint64_t total)
{
	f->flip_at = UINT64_MAX;
	if (f->rules->spoil == NULL)
		return total;
	struct kvr_harm harm = f->rules->spoil->draw(f->rules->spoil, total);
	uint64_t        left = KVR_MIN(total, harm.cut_at);

	f->flip_at = harm.flip_at;
	f->flip = harm.flip;
	f->over = total - left;
	return left;
}

void
kvr_frame_in_begin(struct kvr_frame *f, const struct kvr_frame_rules *rules, struct kvr_item *item,
    uint8_t *scratch, uint64_t total)
{
	begin(f, rules, item, scratch);
	total = spoil(f, total);
	f->total = total;
	item->serde = 0;
	if (total < f->head_len) {
		item->len = 0;
		fail(f, is_sealed(f) ? KVR_E_CORRUPT : KVR_E_LENGTH,
		    "the value is shorter than its header");
	} else if (f->head_len == 0) {
		item->raw_len = total;
		want_length(f, total);
	}
}

/* Where byte `at` belongs, and how many bytes from there on. Only for frames without an error. */
static struct kvr_span
place_in(const struct kvr_frame *f)
{
	uint64_t body_end = f->head_len + f->body_len;

	if (f->at < f->head_len)
		return (struct kvr_span){ ends(f) + f->at, (size_t)(f->head_len - f->at) };
	if (f->at < body_end)
		return (struct kvr_span){ (uint8_t *)f->item->span.at + (f->at - f->head_len),
			(size_t)(body_end - f->at) };
	return (struct kvr_span){ ends(f) + f->at - f->body_len, (size_t)(f->total - f->at) };
}

struct kvr_span
kvr_frame_in_next(struct kvr_frame *f, size_t max)
{
	struct kvr_span span;

	if (max == 0 || (f->at == f->total && f->over == 0))
		return (struct kvr_span){ NULL, 0 };
	if (f->at == f->total)
		span = (struct kvr_span){ f->scratch,
			(size_t)KVR_MIN(KVR_FRAME_SCRATCH, f->over) };
	else if (f->err != KVR_OK)
		span = (struct kvr_span){ f->scratch,
			(size_t)KVR_MIN(KVR_FRAME_SCRATCH, f->total - f->at) };
	else
		span = place_in(f);
	if (is_sealed(f))
		span.len = KVR_MIN(span.len, KVR_FRAME_SLICE);
	span.len = KVR_MIN(span.len, max);
	return span;
}

static void
seal_tail_in(struct kvr_frame *f)
{
	const char *why = NULL;
	enum kvr_err err =
	    kvr_seal_check_tail(&f->seal, ends(f), f->scratch + TABLE_AT, f->item->key, &why);

	if (err != KVR_OK)
		fail(f, err, why);
}

void
kvr_frame_in_got(struct kvr_frame *f, size_t n)
{
	if (f->at == f->total) {
		KVR_CHECK(n <= f->over);
		f->over -= n;
		return;
	}
	KVR_CHECK(n <= f->total - f->at);
	if (f->err != KVR_OK) {
		f->at += n;
		return;
	}
	struct kvr_span place = place_in(f);
	bool in_body = f->at >= f->head_len && f->at < f->head_len + f->body_len;

	KVR_CHECK(n <= place.len);
	if (n == 0)
		return;
	if (f->flip_at >= f->at && f->flip_at - f->at < n)
		((uint8_t *)place.at)[f->flip_at - f->at] ^= (uint8_t)f->flip;
	if (in_body && is_sealed(f))
		hash_payload(f, f->scratch + TABLE_AT, f->at - f->head_len, place.at, n);
	f->at += n;
	if (f->at == f->head_len && is_sealed(f))
		seal_head_in(f);
	else if (f->at == f->head_len)
		lmcache_head_in(f);
	else if (f->at == f->total && is_sealed(f))
		seal_tail_in(f);
}

void
kvr_frame_in_copy(struct kvr_frame *f, const uint8_t *from, size_t len)
{
	while (len > 0) {
		struct kvr_span span = kvr_frame_in_next(f, len);
		KVR_CHECK(span.len > 0 && span.len <= len);
		memcpy(span.at, from, span.len);
		kvr_frame_in_got(f, span.len);
		from += span.len;
		len -= span.len;
	}
}

int32_t
kvr_frame_in_end(struct kvr_frame *f)
{
	if (f->err == KVR_OK && f->at != f->total)
		fail(f, KVR_E_LENGTH, "the value ended before its length");
	return f->err;
}

const char *
kvr_frame_why(const struct kvr_frame *f)
{
	return f->why == NULL ? "" : f->why;
}
