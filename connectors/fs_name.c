/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key text to file name. Two different keys never share a file.
 *
 * lmcache  '/' becomes "-SEP-", then ".data". Under that rule some keys share a name ("a/b" and
 *          "a-SEP-b"); of these, only the key that the name decodes to is accepted.
 * sealed   letters, digits and -_.@=+,~ stand for themselves; any other byte, and a '.' at the
 *          beginning, becomes %XX; then ".kvr". A name that would be too long is replaced by "%%"
 *          and the digest of the key. The key itself is in the file's trailer, so should two keys
 *          ever have the same digest, a read says IDENTITY.
 * bare     the same with ".raw"; but a bare file has no trailer, so a long name is TOO_BIG.
 *
 * Letters keep their case, so a case-insensitive file system would merge keys: only `sealed`
 * notices that.
 */
#include "kvr_fs.h"
#include "kvr_lmkey.h"

#include <stdio.h>
#include <string.h>

static const char sep[] = "-SEP-";
static const char hex[] = "0123456789ABCDEF";

#define SEP_LEN (sizeof(sep) - 1)
#define HASHED_LEN 34U /* "%%" and 32 digits */

static bool
stands_for_itself(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("-_.@=+,~", c) != NULL);
}

/*
 * Whether the name decodes to this text: of several keys with one name, only that one may have it.
 */
static bool
reads_back(const char *name, size_t name_len, const char *text, size_t text_len)
{
	size_t at = 0, i = 0;

	for (; i < text_len && at < name_len; i++) {
		bool slash = name_len - at >= SEP_LEN && memcmp(name + at, sep, SEP_LEN) == 0;
		if (text[i] != (slash ? '/' : name[at]))
			return false;
		at += slash ? SEP_LEN : 1;
	}
	return i == text_len && at == name_len;
}

static enum kvr_err
lmcache_name(const char *text, size_t text_len, const char *suffix, struct kvr_fs_name *ret)
{
	size_t room = KVR_FS_NAME_MAX - strlen(suffix);
	size_t n = 0;

	for (size_t i = 0; i < text_len; i++) {
		size_t more = text[i] == '/' ? SEP_LEN : 1;
		if (more > room - n)
			return KVR_E_TOO_BIG;
		memcpy(ret->text + n, text[i] == '/' ? sep : &text[i], more);
		n += more;
	}
	if (memchr(text, '\0', text_len) != NULL || !reads_back(ret->text, n, text, text_len))
		return KVR_E_UNSUPPORTED;
	ret->len = (uint32_t)n;
	return KVR_OK;
}

/* False: too long. */
static bool
escaped_name(const char *text, size_t text_len, const char *suffix, struct kvr_fs_name *ret)
{
	size_t room = KVR_FS_NAME_MAX - strlen(suffix);
	size_t n = 0;

	for (size_t i = 0; i < text_len; i++) {
		uint8_t c = (uint8_t)text[i];
		bool    plain = stands_for_itself(text[i]) && !(i == 0 && c == '.');
		if ((plain ? 1U : 3U) > room - n)
			return false;
		if (plain) {
			ret->text[n++] = text[i];
		} else {
			ret->text[n++] = '%';
			ret->text[n++] = hex[c >> 4];
			ret->text[n++] = hex[c & 15];
		}
	}
	ret->len = (uint32_t)n;
	return true;
}

static void
hashed_name(const char *text, size_t text_len, struct kvr_fs_name *ret)
{
	kvr_digest d = kvr_hash128(text, text_len);

	snprintf(ret->text, sizeof(ret->text), "%%%%%016llX%016llX", (unsigned long long)d.hi,
	    (unsigned long long)d.lo);
	ret->len = HASHED_LEN;
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * LMCache takes the chunk hash, without its sign, modulo the number of directories. False: this is not
 * a key of LMCache's.
 */
static bool
lmcache_dir(const char *key, uint32_t key_len, uint32_t n_dirs, uint32_t *ret)
{
	struct kvr_lmkey parsed;
	uint32_t         mod = 0;

	if (kvr_lmkey_parse(key, key_len, &parsed) != KVR_OK)
		return false;
	const char *at = parsed.hash.at, *end = at + parsed.hash.len;
	at += at < end && *at == '-';
	for (; at < end; at++) {
		if (digit(*at) < 0)
			return false;
		mod = (mod * 16U + (uint32_t)digit(*at)) % n_dirs;
	}
	*ret = mod;
	return true;
}

static uint32_t
pick_dir(const struct kvr_store *s, const char *key, uint32_t key_len)
{
	uint32_t dir = 0;

	if (s->n_dirs == 1)
		return 0;
	if (s->rules.format == KVR_FORMAT_LMCACHE && lmcache_dir(key, key_len, s->n_dirs, &dir))
		return dir;
	return (uint32_t)(kvr_hash64(key, key_len) % s->n_dirs);
}

enum kvr_err
kvr_fs_name(const struct kvr_store *s, const char *key, uint32_t key_len, struct kvr_fs_name *ret)
{
	char         text[KVR_FS_KEY_MAX];
	size_t       text_len = s->prefix_len + key_len;
	enum kvr_err err = KVR_OK;

	KVR_CHECK(key_len >= 1 && key_len <= KVR_KEY_LEN_MAX);
	memcpy(text, s->prefix, s->prefix_len);
	memcpy(text + s->prefix_len, key, key_len);
	ret->dir = pick_dir(s, key, key_len);
	if (s->rules.format == KVR_FORMAT_LMCACHE)
		err = lmcache_name(text, text_len, s->suffix, ret);
	else if (!escaped_name(text, text_len, s->suffix, ret)) {
		if (s->rules.format == KVR_FORMAT_BARE)
			err = KVR_E_TOO_BIG;
		else
			hashed_name(text, text_len, ret);
	}
	if (err != KVR_OK)
		return err;
	memcpy(ret->text + ret->len, s->suffix, strlen(s->suffix) + 1);
	ret->len += (uint32_t)strlen(s->suffix);
	return KVR_OK;
}

/* %XX with capital digits, as escaped_name writes it: each key has exactly one name. */
static bool
is_escaped(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (stands_for_itself(at[i]) && !(i == 0 && at[i] == '.'))
			continue;
		if (at[i] != '%' || len - i < 3 || strchr(hex, at[i + 1]) == NULL ||
		    strchr(hex, at[i + 2]) == NULL)
			return false;
		i += 2;
	}
	return len > 0;
}

static bool
is_hashed(const char *at, size_t len)
{
	return len == HASHED_LEN && at[0] == '%' && at[1] == '%' &&
	    strspn(at + 2, hex) >= HASHED_LEN - 2;
}

bool
kvr_fs_is_ours(const struct kvr_store *s, const char *name)
{
	size_t len = strlen(name), suffix_len = strlen(s->suffix);

	if (len <= suffix_len || strcmp(name + len - suffix_len, s->suffix) != 0)
		return false;
	len -= suffix_len;
	switch (s->rules.format) {
	case KVR_FORMAT_LMCACHE:
		return true;
	case KVR_FORMAT_SEALED:
		return is_escaped(name, len) || is_hashed(name, len);
	default:
		return is_escaped(name, len);
	}
}

/*
 * Not LMCache's name with .tmp: two writers of one key would share that file and mix their bytes.
 * The last suffix is the same, so a job that removes *.tmp removes ours too.
 */
void
kvr_fs_tmp_name(struct kvr_store *s, char ret[KVR_FS_TMP_LEN])
{
	uint64_t n = atomic_fetch_add_explicit(&s->tmp_count, 1, memory_order_relaxed);

	snprintf(ret, KVR_FS_TMP_LEN, ".kvr-%016llx-%016llx.tmp", (unsigned long long)s->seed,
	    (unsigned long long)n);
}

bool
kvr_fs_is_tmp(const char *name)
{
	static const char digits[] = "0123456789abcdef";

	return strlen(name) == KVR_FS_TMP_LEN - 1 && memcmp(name, ".kvr-", 5) == 0 &&
	    strspn(name + 5, digits) == 16 && name[21] == '-' &&
	    strspn(name + 22, digits) == 16 && strcmp(name + 38, ".tmp") == 0;
}
