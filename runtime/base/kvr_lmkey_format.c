/* SPDX-License-Identifier: Apache-2.0 */
/* Writing key texts. The reading half is kvr_lmkey.c. */
#include "kvr_lmkey.h"
#include "kvr_meta.h"

#include <string.h>

/* len keeps counting past the end, so that one check after the last field is enough. */
struct writer {
	char *at;
	size_t cap, len;
};

static void
put(struct writer *w, char c)
{
	if (w->len < w->cap)
		w->at[w->len] = c;
	w->len++;
}

static void
put_text(struct writer *w, const char *text)
{
	for (; *text != '\0' && w->len <= KVR_LMKEY_LEN_MAX; text++)
		put(w, *text);
}

static void
put_natural(struct writer *w, uint64_t value, unsigned base)
{
	char digits[24];
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value > 0);
	while (n > 0)
		put(w, digits[--n]);
}

static void
put_integer(struct writer *w, int64_t value, unsigned base)
{
	uint64_t magnitude = (uint64_t)value;

	if (value < 0) {
		put(w, '-');
		/* Unsigned, because the smallest int64_t has no positive counterpart. */
		magnitude = 0 - magnitude;
	}
	put_natural(w, magnitude, base);
}

static void
put_bytes(struct writer *w, const uint8_t *at, size_t len, bool keep_zeros)
{
	bool begun = keep_zeros;

	for (size_t i = 0; i < 2 * len && w->len <= KVR_LMKEY_LEN_MAX; i++) {
		unsigned digit = i % 2 == 0 ? at[i / 2] >> 4 : at[i / 2] & 15U;

		begun = begun || digit != 0;
		if (begun)
			put(w, "0123456789abcdef"[digit]);
	}
	if (!begun)
		put(w, '0');
}

static bool
put_hash(struct writer *w, const struct kvr_lmkey_parts *parts)
{
	if (parts->hash_kind == KVR_LMHASH_INT64) {
		put_integer(w, parts->hash_int, 16);
		return true;
	}
	if (parts->hash_kind > KVR_LMHASH_NEGATIVE || parts->hash_bytes == NULL ||
	    parts->n_hash_bytes == 0)
		return false;
	if (parts->hash_kind == KVR_LMHASH_NEGATIVE)
		put(w, '-');
	put_bytes(w, parts->hash_bytes, parts->n_hash_bytes, parts->hash_kind == KVR_LMHASH_BYTES);
	return true;
}

/* An '@' inside a field would shift all fields behind it by one. */
static bool
put_field(struct writer *w, const char *text)
{
	if (text == NULL || strchr(text, '@') != NULL)
		return false;
	put_text(w, text);
	return true;
}

static bool
put_tags(struct writer *w, const struct kvr_lmkey_parts *parts)
{
	for (uint32_t i = 0; i < parts->n_tags; i++) {
		put(w, '@');
		if (!put_field(w, parts->tags[i].name))
			return false;
		put(w, '%');
		if (!put_field(w, parts->tags[i].value))
			return false;
	}
	return true;
}

static bool
put_all(struct writer *w, const struct kvr_lmkey_parts *parts, const char *dtype)
{
	if (parts->engine != NULL) {
		if (parts->engine[0] == '\0' || !put_field(w, parts->engine))
			return false;
		put(w, '@');
	}
	if (!put_field(w, parts->model))
		return false;
	put(w, '@');
	put_integer(w, parts->world_size, 10);
	put(w, '@');
	put_integer(w, parts->worker_id, 10);
	put(w, '@');
	if (!put_hash(w, parts))
		return false;
	put(w, '@');
	put_text(w, dtype);
	if (parts->layer >= 0) {
		put(w, '@');
		put_integer(w, parts->layer, 10);
	}
	return put_tags(w, parts);
}

static bool
is_rank(int64_t value)
{
	return value <= KVR_LMKEY_RANK_MAX && value >= -KVR_LMKEY_RANK_MAX;
}

enum kvr_err
kvr_lmkey_format(const struct kvr_lmkey_parts *parts, char *ret, size_t cap, size_t *ret_len)
{
	char text[KVR_LMKEY_LEN_MAX];
	struct writer w = { text, sizeof(text), 0 };
	const char *dtype = kvr_dtype_name(parts->dtype);

	if (dtype == NULL || parts->dtype == KVR_DTYPE_NONE || parts->layer < -1 ||
	    parts->layer > INT32_MAX || !is_rank(parts->world_size) || !is_rank(parts->worker_id) ||
	    (parts->n_tags > 0 && parts->tags == NULL))
		return KVR_E_INVALID;
	if (!put_all(&w, parts, dtype))
		return KVR_E_INVALID;
	if (w.len > KVR_LMKEY_LEN_MAX)
		return KVR_E_TOO_BIG;
	if (w.len >= cap)
		return KVR_E_TOO_SMALL;
	memcpy(ret, text, w.len);
	ret[w.len] = '\0';
	*ret_len = w.len;
	return KVR_OK;
}
