/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's key texts by their parts, for callers; runtime/base does the work. */
#include "kvrelay.h"

#include "kvr_entry.h"
#include "kvr_lmkey.h"

#include <string.h>

_Static_assert((int)KVR_LMHASH_INT64 == (int)KVR_HASH_INT64 &&
                   (int)KVR_LMHASH_BYTES == (int)KVR_HASH_BYTES &&
                   (int)KVR_LMHASH_NATURAL == (int)KVR_HASH_NATURAL &&
                   (int)KVR_LMHASH_NEGATIVE == (int)KVR_HASH_NEGATIVE,
    "one list of kinds");

enum { TAGS_MAX = KVR_KEY_MAX / 3 /* "@a%" is the shortest */ };

enum kvr_err
kvr_key_format(const struct kvr_key_parts *parts, char *ret_text, size_t cap)
{
	struct kvr_key_parts p;
	struct kvr_lmtag tag[TAGS_MAX];
	size_t len;

	if (parts == NULL || ret_text == NULL ||
	    !kvr_read_struct(&p, sizeof(p), sizeof(p), parts) || p.model == NULL ||
	    (p.n_tags > 0 && (p.tag_name == NULL || p.tag_value == NULL)))
		return KVR_E_INVALID;
	if (p.n_tags > TAGS_MAX)
		return KVR_E_TOO_BIG;
	for (uint32_t i = 0; i < p.n_tags; i++) {
		if (p.tag_name[i] == NULL || p.tag_value[i] == NULL)
			return KVR_E_INVALID;
		tag[i] = (struct kvr_lmtag){ .name = p.tag_name[i], .value = p.tag_value[i] };
	}
	const struct kvr_lmkey_parts lm = { .engine = p.engine,
		.model = p.model,
		.world_size = p.world_size,
		.worker_id = p.worker_id,
		.layer = p.layer,
		.hash_int = p.hash,
		.hash_bytes = p.hash_bytes,
		.n_hash_bytes = p.n_hash_bytes,
		.hash_kind = p.hash_kind,
		.dtype = p.dtype,
		.n_tags = p.n_tags,
		.tags = tag };

	return kvr_lmkey_format(&lm, ret_text, cap, &len);
}

/* ---- reading ---- */

/* The caller's scratch: texts are appended from its beginning. full: there was no more room. */
struct scratch {
	char *at;
	size_t left;
	bool full;
};

static const char *
keep(struct scratch *s, struct kvr_const_span text)
{
	char *at = s->at;

	if (s->full || text.len + 1 > s->left) {
		s->full = true;
		return "";
	}
	memcpy(at, text.at, text.len);
	at[text.len] = '\0';
	s->at += text.len + 1;
	s->left -= text.len + 1;
	return at;
}

static const char **
keep_pointers(struct scratch *s, uint32_t n)
{
	size_t pad = (size_t)(-(uintptr_t)s->at % _Alignof(char *));
	size_t bytes = n * sizeof(char *);
	char *at = s->at + pad;

	if (s->full || pad + bytes > s->left) {
		s->full = true;
		return NULL;
	}
	s->at = at + bytes;
	s->left -= pad + bytes;
	return (const char **)(void *)at;
}

static int
digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

/* Digits as bytes; the last digit is the low half of the last byte. */
static const uint8_t *
keep_hex(struct scratch *s, const char *text, size_t len, uint32_t *ret_n)
{
	size_t n = (len + 1) / 2;
	uint8_t *at = (uint8_t *)s->at;

	if (s->full || n > s->left) {
		s->full = true;
		return NULL;
	}
	memset(at, 0, n);
	for (size_t i = 0; i < len; i++) {
		size_t from_end = len - 1 - i;

		at[n - 1 - from_end / 2] |=
		    (uint8_t)((unsigned)digit(text[i]) << (from_end % 2 * 4));
	}
	s->at += n;
	s->left -= n;
	*ret_n = (uint32_t)n;
	return at;
}

/*
 * An even number of digits may be bytes with leading zeros, and is written unchanged as bytes; an
 * odd number can only come from an integer.
 */
static enum kvr_err
read_hash(struct scratch *s, struct kvr_const_span hash, struct kvr_key_parts *p)
{
	const char *text = hash.at;
	size_t len = hash.len;
	bool minus = len > 0 && text[0] == '-';
	uint64_t value = 0;

	text += minus;
	len -= minus;
	if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		text += 2;
		len -= 2;
	}
	for (size_t i = 0; i < len; i++) {
		if (digit(text[i]) < 0)
			return KVR_E_UNSUPPORTED; /* blanks: LMCache accepts them, but writes none */
		value = value << 4 | (unsigned)digit(text[i]);
	}
	p->hash_kind = minus ? KVR_HASH_NEGATIVE : len % 2 == 0 ? KVR_HASH_BYTES : KVR_HASH_NATURAL;
	p->hash_bytes = keep_hex(s, text, len, &p->n_hash_bytes);
	if (len <= 16 && value <= (uint64_t)INT64_MAX)
		p->hash = minus ? -(int64_t)value : (int64_t)value;
	return KVR_OK;
}

static void
read_tags(struct scratch *s, const struct kvr_lmkey *key, struct kvr_key_parts *p)
{
	struct kvr_const_span rest = key->tags, name, value;
	const char **names = keep_pointers(s, key->n_tags),
	           **values = keep_pointers(s, key->n_tags);

	while (!s->full && p->n_tags < key->n_tags && kvr_lmkey_next_tag(&rest, &name, &value)) {
		names[p->n_tags] = keep(s, name);
		values[p->n_tags++] = keep(s, value);
	}
	p->tag_name = names;
	p->tag_value = values;
}

enum kvr_err
kvr_key_parse(const char *text, struct kvr_key_parts *ret, char *scratch, size_t cap)
{
	struct scratch s = { .at = scratch, .left = cap };
	struct kvr_key_parts p = { .size = sizeof(p), .layer = -1 };
	struct kvr_lmkey key;

	if (text == NULL || ret == NULL || scratch == NULL || ret->size < sizeof(*ret))
		return KVR_E_INVALID;
	size_t len = strnlen(text, KVR_KEY_MAX + 1);
	enum kvr_err err = kvr_lmkey_parse(text, len, &key);

	if (err == KVR_OK && (key.form == KVR_LMKEY_MP || key.form == KVR_LMKEY_AT))
		err = KVR_E_UNSUPPORTED;
	if (err != KVR_OK)
		return err;
	read_tags(&s, &key, &p); /* first, because its pointers must be aligned */
	p.engine = key.form == KVR_LMKEY_NOW ? NULL : keep(&s, key.engine);
	p.model = keep(&s, key.model);
	p.world_size = key.world_size;
	p.worker_id = key.worker_id;
	p.layer = key.layer;
	p.dtype = key.dtype;
	err = read_hash(&s, key.hash, &p);
	if (err == KVR_OK && s.full)
		err = KVR_E_TOO_SMALL;
	if (err != KVR_OK)
		return err;
	p.size = ret->size;
	memcpy(ret, &p, sizeof(p));
	return KVR_OK;
}
