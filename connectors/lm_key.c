/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys LMCache's server can hold. It parses every key it gets and stores the value under the
 * parsed key. On a text that it cannot parse it closes the connection, and everything in flight
 * there is lost. So such a key must not be sent. Neither must a key that parses like another one:
 * "+1" is 1 to the server, and blanks at the ends are dropped. It also drops leading zeros of a
 * hash; but all hashes of one model have the same length, so no two of them collide.
 */
#include "kvr_lm.h"
#include "kvr_lmkey.h"

#include <string.h>

/* Decodes one code point; 0: not UTF-8. Surrogates and overlong forms are not UTF-8. */
static size_t
take_code(const uint8_t *at, size_t left, uint32_t *ret)
{
	uint8_t lead = at[0];
	size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	uint32_t code = n == 1 ? lead : lead & (0x7fU >> n);
	if (n == 0 || n > left || lead > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3fU);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret = code;
	return n;
}

/* What Python's strip() removes. */
static bool
is_blank(uint32_t code)
{
	static const uint32_t others[] = { 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f,
		0x3000 };
	if ((code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20) ||
	    (code >= 0x2000 && code <= 0x200a))
		return true;
	for (size_t i = 0; i < KVR_LEN(others); i++)
		if (others[i] == code)
			return true;
	return false;
}

static const char *
check_text(const char *text, size_t len)
{
	uint32_t first = 0, last = 0;
	for (size_t at = 0, n; at < len; at += n) {
		n = take_code((const uint8_t *)text + at, len - at, &last);
		if (n == 0)
			return "an LMCache server takes no key that is not UTF-8";
		if (at == 0)
			first = last;
	}
	return is_blank(first) || is_blank(last)
	           ? "an LMCache server drops blanks at the ends of a key"
	           : NULL;
}

/* A number as LMCache writes it. A hash may begin with zeros, because it may come from bytes. */
static bool
is_plain(const char *at, size_t len, bool is_hash)
{
	bool minus = len > 0 && at[0] == '-';
	if (minus) {
		at++;
		len--;
	}
	if (len == 0 || (at[0] == '0' && (minus || (len > 1 && !is_hash))))
		return false;
	return strspn(at, is_hash ? "0123456789abcdef" : "0123456789") >= len;
}

static bool
has_a_tag_twice(const struct kvr_lmkey *key)
{
	struct kvr_const_span rest = key->tags, name, other, value;
	while (kvr_lmkey_next_tag(&rest, &name, &value)) {
		struct kvr_const_span more = rest;
		while (kvr_lmkey_next_tag(&more, &other, &value))
			if (name.len == other.len && memcmp(name.at, other.at, name.len) == 0)
				return true;
	}
	return false;
}

static bool
reads_as_itself(const struct kvr_lmkey *key)
{
	const char *world = (const char *)key->model.at + key->model.len + 1;
	const char *worker = key->worker.at;
	const char *hash = key->hash.at;
	if (!is_plain(world, (size_t)(worker - 1 - world), false) ||
	    !is_plain(worker, key->worker.len, false) || !is_plain(hash, key->hash.len, true))
		return false;
	if (key->layer >= 0) {
		const char *layer = strchr(hash + key->hash.len + 1, '@') + 1;
		if (!is_plain(layer, strcspn(layer, "@"), false))
			return false;
	}
	return !has_a_tag_twice(key);
}

enum kvr_err
kvr_lm_key(const struct kvr_store *store, const char *key, uint32_t key_len, const char **why)
{
	char text[KVR_LM_KEY_MAX + 1];
	size_t len = (size_t)store->prefix_len + key_len;
	struct kvr_lmkey parsed;
	if (len > KVR_LM_KEY_MAX) {
		*why = "an LMCache server has 150 bytes for a key, prefix included";
		return KVR_E_TOO_BIG;
	}
	memcpy(text, store->prefix, store->prefix_len);
	memcpy(text + store->prefix_len, key, key_len);
	text[len] = '\0';
	const char *wrong = check_text(text, len);
	if (wrong == NULL && memchr(text, '\0', len) != NULL)
		wrong = "a key with a NUL byte";
	else if (wrong == NULL &&
	         (kvr_lmkey_parse(text, len, &parsed) != KVR_OK || parsed.form != KVR_LMKEY_NOW))
		wrong = "an LMCache server takes only keys like model@world@worker@hash@dtype";
	else if (wrong == NULL && parsed.old_dtype)
		wrong = "an LMCache server knows no dtype fp8_e4m3 any more";
	else if (wrong == NULL && !reads_as_itself(&parsed))
		wrong = "an LMCache server would take this key for another one";
	if (wrong == NULL)
		return KVR_OK;
	*why = wrong;
	return KVR_E_UNSUPPORTED;
}
