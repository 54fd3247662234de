/* SPDX-License-Identifier: Apache-2.0 */
/* Reading key texts. The writing half is kvr_lmkey_format.c. */
#include "kvr_lmkey.h"
#include "kvr_meta.h"

#include <string.h>

/* What Python's strip() takes as blank, within ASCII. */
static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static struct kvr_const_span
strip(struct kvr_const_span s)
{
	const char *at = s.at;

	while (s.len > 0 && is_blank(at[0])) {
		at++;
		s.len--;
	}
	while (s.len > 0 && is_blank(at[s.len - 1]))
		s.len--;
	return (struct kvr_const_span){ at, s.len };
}

/* Cuts off the first field. An empty text is one empty field; after the last, rest->at is NULL. */
static bool
take_field(struct kvr_const_span *rest, struct kvr_const_span *ret)
{
	if (rest->at == NULL)
		return false;
	const char *at = rest->at;
	const char *end = rest->len > 0 ? memchr(at, '@', rest->len) : NULL;

	if (end == NULL) {
		*ret = *rest;
		*rest = (struct kvr_const_span){ NULL, 0 };
		return true;
	}
	size_t len = (size_t)(end - at);
	*ret = (struct kvr_const_span){ at, len };
	*rest = (struct kvr_const_span){ end + 1, rest->len - len - 1 };
	return true;
}

static int
digit_of(char c, int base)
{
	int d = -1;

	if (c >= '0' && c <= '9')
		d = c - '0';
	else if (c >= 'a' && c <= 'f')
		d = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		d = c - 'A' + 10;
	return d < base ? d : -1;
}

/*
 * Digits with single underscores between them. The value saturates: a hash may have any length and
 * its value is not used, and no world size comes near 2^58.
 */
static bool
read_digits(struct kvr_const_span s, int base, int64_t *ret)
{
	const char *at = s.at;
	int64_t value = 0;
	bool digit = false; /* the previous character was one */

	for (size_t i = 0; i < s.len; i++) {
		int d = digit_of(at[i], base);

		if (d < 0 && (at[i] != '_' || !digit))
			return false;
		digit = d >= 0;
		if (digit && value < INT64_MAX / 32)
			value = value * base + d;
	}
	*ret = value;
	return digit;
}

/* As Python's int(text, base) does for base 10 or 16. */
static bool
read_number(struct kvr_const_span s, int base, int64_t *ret)
{
	s = strip(s);
	const char *at = s.at;
	bool minus = s.len > 0 && at[0] == '-';
	int64_t value = 0;

	if (minus || (s.len > 0 && at[0] == '+')) {
		at++;
		s.len--;
	}
	if (base == 16 && s.len > 2 && at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) {
		at += 2;
		s.len -= 2;
		if (at[0] == '_') { /* 0x_ff */
			at++;
			s.len--;
		}
	}
	if (!read_digits((struct kvr_const_span){ at, s.len }, base, &value))
		return false;
	*ret = minus ? -value : value;
	return true;
}

/*
 * A world size or a rank. The bound tells a key of mid 2025 from one of multi-process mode whose
 * hash happens to have only decimal digits.
 */
static bool
read_rank(struct kvr_const_span s, int64_t *ret)
{
	int64_t value = 0;

	if (!read_number(s, 10, &value) || value > KVR_LMKEY_RANK_MAX ||
	    value < -KVR_LMKEY_RANK_MAX)
		return false;
	*ret = value;
	return true;
}

static bool
is_layer(struct kvr_const_span s, int64_t *ret)
{
	const char *at = s.at;
	int64_t value = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (digit_of(at[i], 10) < 0)
			return false;
	}
	if (s.len == 0 || !read_digits(s, 10, &value) || value > INT32_MAX)
		return false;
	*ret = value;
	return true;
}

bool
kvr_lmkey_next_tag(
    struct kvr_const_span *rest, struct kvr_const_span *ret_name, struct kvr_const_span *ret_value)
{
	struct kvr_const_span field;

	if (!take_field(rest, &field))
		return false;
	const char *at = field.at;
	const char *cut = field.len > 0 ? memchr(at, '%', field.len) : NULL;

	if (cut == NULL)
		return false;
	size_t len = (size_t)(cut - at);
	*ret_name = (struct kvr_const_span){ at, len };
	*ret_value = (struct kvr_const_span){ cut + 1, field.len - len - 1 };
	return true;
}

/* Everything behind hash or dtype. False when a part is neither a layer nor a tag. */
static bool
read_layer_and_tags(struct kvr_const_span rest, struct kvr_lmkey *key)
{
	struct kvr_const_span ahead = rest, field, name, value;

	key->layer = -1;
	if (take_field(&ahead, &field) && is_layer(field, &key->layer))
		rest = ahead;
	key->tags = rest;
	while (rest.at != NULL) {
		if (!kvr_lmkey_next_tag(&rest, &name, &value))
			return false;
		key->n_tags++;
	}
	return true;
}

/* LMCache up to 0.3.13 wrote "fp8_e4m3" for both types of that name, so stored texts have it. */
static bool
read_dtype(struct kvr_const_span s, struct kvr_lmkey *key)
{
	static const char old[] = "fp8_e4m3";
	int code = kvr_dtype_find(s.at, s.len);

	key->old_dtype = code < 0 && s.len == sizeof(old) - 1 && memcmp(s.at, old, s.len) == 0;
	key->dtype = key->old_dtype ? KVR_DTYPE_FP8_E4M3FN : (uint32_t)code;
	return code >= 0 || key->old_dtype;
}

/* key already has its form and the fields in front of the world size. */
static bool
read_behind_model(struct kvr_const_span rest, struct kvr_lmkey key, struct kvr_lmkey *ret)
{
	struct kvr_const_span world, dtype;
	int64_t unused = 0;

	if (!take_field(&rest, &world) || !take_field(&rest, &key.worker) ||
	    !take_field(&rest, &key.hash))
		return false;
	if (!read_rank(world, &key.world_size) || !read_rank(key.worker, &key.worker_id) ||
	    !read_number(key.hash, 16, &unused))
		return false;
	if (key.form != KVR_LMKEY_MID25) {
		if (!take_field(&rest, &dtype) || !read_dtype(dtype, &key))
			return false;
	}
	if (!read_layer_and_tags(rest, &key))
		return false;
	*ret = key;
	return true;
}

static bool
read_engine_form(struct kvr_const_span rest, uint32_t form, struct kvr_lmkey *ret)
{
	struct kvr_lmkey key = { .form = form };

	if (form != KVR_LMKEY_NOW && (!take_field(&rest, &key.engine) || key.engine.len == 0))
		return false;
	return take_field(&rest, &key.model) && read_behind_model(rest, key, ret);
}

/*
 * Takes the shortest model behind which the rest reads as a key, with two '@' in it or more. One
 * '@' reads as form LATE25, which has the same fields in the same places.
 */
static bool
read_at_form(struct kvr_const_span rest, struct kvr_lmkey *ret)
{
	struct kvr_lmkey key = { .form = KVR_LMKEY_AT };
	struct kvr_const_span field;

	if (!take_field(&rest, &key.model) || key.model.len == 0)
		return false;
	for (uint32_t ats = 1; take_field(&rest, &field); ats++) {
		key.model.len += 1 + field.len;
		if (ats > 1 && read_behind_model(rest, key, ret))
			return true;
	}
	return false;
}

static bool
is_hex(struct kvr_const_span s)
{
	const char *at = s.at;

	for (size_t i = 0; i < s.len; i++) {
		if (digit_of(at[i], 16) < 0)
			return false;
	}
	return s.len > 0;
}

/* kv_rank: world size, global rank, local world size, local rank, a byte each. */
static bool
is_kv_rank(struct kvr_const_span s, int64_t *ret)
{
	return s.len == 8 && is_hex(s) && read_digits(s, 16, ret);
}

static bool
read_mp_form(struct kvr_const_span rest, struct kvr_lmkey *ret)
{
	struct kvr_lmkey key = { .form = KVR_LMKEY_MP, .layer = -1 };
	struct kvr_const_span rank_text;
	int64_t rank = 0, group = 0;

	if (!take_field(&rest, &key.model) || !take_field(&rest, &rank_text) ||
	    !take_field(&rest, &key.hash))
		return false;
	if (!is_kv_rank(rank_text, &rank) || !is_hex(key.hash))
		return false;
	if (rest.at != NULL) {
		if (!read_digits(key.hash, 16, &group) || !take_field(&rest, &key.hash) ||
		    !is_hex(key.hash))
			return false;
	}
	key.group = (uint64_t)group;
	key.tags = rest;
	key.world_size = rank >> 24 & 0xff;
	key.worker_id = rank >> 16 & 0xff;
	*ret = key;
	return true;
}

/* A second field of eight hex digits: no world size is that large, but every kv_rank looks so. */
static bool
looks_like_mp(struct kvr_const_span rest)
{
	struct kvr_const_span field;
	int64_t unused = 0;

	return take_field(&rest, &field) && take_field(&rest, &field) && is_kv_rank(field, &unused);
}

enum kvr_err
kvr_lmkey_parse(const char *text, size_t len, struct kvr_lmkey *ret)
{
	if (len > KVR_LMKEY_LEN_MAX)
		return KVR_E_TOO_BIG;
	struct kvr_const_span all = strip((struct kvr_const_span){ text, len });

	if (all.len == 0)
		return KVR_E_INVALID;
	/*
	 * The order matters. No dtype has a hash's name, so NOW and LATE25 cannot be taken for one
	 * another. MP comes before NOW only by its rank: a salt may be spelled like a dtype.
	 */
	if (!looks_like_mp(all) && read_engine_form(all, KVR_LMKEY_NOW, ret))
		return KVR_OK;
	if (read_engine_form(all, KVR_LMKEY_LATE25, ret) ||
	    read_engine_form(all, KVR_LMKEY_MID25, ret) || read_mp_form(all, ret))
		return KVR_OK;
	return read_at_form(all, ret) ? KVR_OK : KVR_E_INVALID;
}

enum kvr_err
kvr_lmkey_worker0(const struct kvr_lmkey *key, const char *text, size_t len, char *ret, size_t cap,
    size_t *ret_len)
{
	if (len >= cap)
		return KVR_E_TOO_SMALL;
	if (key->form == KVR_LMKEY_MP || key->worker_id == 0) {
		memcpy(ret, text, len);
		ret[len] = '\0';
		*ret_len = len;
		return KVR_OK;
	}
	const char *worker = key->worker.at;

	KVR_CHECK(worker > text && worker + key->worker.len < text + len);
	size_t before = (size_t)(worker - text);
	size_t after = len - before - key->worker.len;
	memcpy(ret, text, before);
	ret[before] = '0';
	memcpy(ret + before + 1, worker + key->worker.len, after);
	ret[before + 1 + after] = '\0';
	*ret_len = before + 1 + after;
	return KVR_OK;
}
