/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of a lease, parsed in place: no table of fragments is built, because an object may have
 * thousands. The first pass checks everything and adds up the lengths; the copying pass walks the
 * text again.
 *
 * Unknown members are skipped, as in LMCache. A member that comes twice, text after the end, or a
 * number that is not a whole number ends the parsing.
 */
#include "kvr_hyperpod.h"

#include <string.h>

enum { DEPTH_MAX = 16 };

struct text {
	const char *at, *end;
	const char *why; /* the first error */
};

static bool
wrong(struct text *t, const char *why)
{
	if (t->why == NULL)
		t->why = why;
	t->at = t->end;
	return false;
}

static void
blanks(struct text *t)
{
	while (t->at < t->end && *t->at != '\0' && strchr(" \t\n\r", *t->at) != NULL)
		t->at++;
}

/* Takes c, and the blanks on both sides of it. */
static bool
take(struct text *t, char c)
{
	blanks(t);
	if (t->at == t->end || *t->at != c)
		return false;
	t->at++;
	blanks(t);
	return true;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * The character after a backslash. Of \u only ASCII: an id becomes part of a path, a name is
 * compared.
 */
static bool
escaped(struct text *t, char *ret)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int code = 0;
	if (t->at == t->end)
		return wrong(t, "a text without end");
	const char *known = *t->at != '\0' ? strchr(from, *t->at) : NULL;
	if (known != NULL) {
		*ret = to[known - from];
		t->at++;
		return true;
	}
	if (*t->at != 'u' || t->end - t->at < 5)
		return wrong(t, "an escape that JSON has not");
	for (int i = 1; i <= 4; i++) {
		int digit = hex_digit(t->at[i]);
		if (digit < 0)
			return wrong(t, "an escape that JSON has not");
		code = code << 4 | digit;
	}
	t->at += 5;
	*ret = code > 0 && code < 0x80 ? (char)code : '?';
	return true;
}

/* A string, of which at most cap - 1 bytes are kept. *ret_whole: it fits and has no odd escape. */
static bool
string(struct text *t, char *ret, size_t cap, bool *ret_whole)
{
	size_t len = 0;
	*ret_whole = true;
	if (!take(t, '"'))
		return wrong(t, "no text where one belongs");
	for (;;) {
		if (t->at == t->end)
			return wrong(t, "a text without end");
		char c = *t->at++;
		if (c == '"')
			break;
		if ((uint8_t)c < 0x20)
			return wrong(t, "a control byte in a text");
		if (c == '\\') {
			if (!escaped(t, &c))
				return false;
			*ret_whole &= c != '?';
		}
		if (len + 1 < cap)
			ret[len++] = c;
		else
			*ret_whole = false;
	}
	ret[len] = '\0';
	return true;
}

/* Skips any value, looking at it only as far as needed to find its end. */
static bool
skip(struct text *t)
{
	char open[DEPTH_MAX], key[2];
	int depth = 0;
	bool whole;
	do {
		blanks(t);
		if (t->at == t->end)
			return wrong(t, "a value without end");
		char c = *t->at;
		if (c == '"') {
			if (!string(t, key, sizeof(key), &whole))
				return false;
			continue;
		}
		t->at++;
		if (c == '{' || c == '[') {
			if (depth == DEPTH_MAX)
				return wrong(t, "values in values beyond all measure");
			open[depth++] = c;
		} else if (c == '}' || c == ']') {
			if (depth == 0 || open[--depth] != (c == '}' ? '{' : '['))
				return wrong(t, "a bracket without its other half");
		} else if (depth == 0) {
			while (t->at < t->end && strchr(",}] \t\r\n", *t->at) == NULL)
				t->at++;
		}
	} while (depth > 0);
	return true;
}

static bool
number(struct text *t, uint64_t *ret)
{
	uint64_t n = 0;
	const char *from;
	blanks(t);
	for (from = t->at; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
		if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*t->at - '0'), &n))
			return wrong(t, "a number beyond 64 bits");
	if (t->at == from || (*from == '0' && t->at - from > 1) ||
	    (t->at < t->end && strchr(".eE", *t->at) != NULL))
		return wrong(t, "an offset or a length that is no whole number from 0 on");
	*ret = n;
	return true;
}

static bool
fragment(struct text *t, uint64_t *ret_offset, uint64_t *ret_len)
{
	char name[16];
	bool whole, has_offset = false, has_len = false;
	if (!take(t, '{'))
		return wrong(t, "offsets that are no list of objects");
	do {
		if (!string(t, name, sizeof(name), &whole) || !take(t, ':'))
			return wrong(t, "a fragment that is no object");
		bool is_offset = whole && strcmp(name, "offset") == 0;
		bool is_len = whole && strcmp(name, "len") == 0;
		if ((is_offset && has_offset) || (is_len && has_len))
			return wrong(t, "a member that comes twice");
		has_offset |= is_offset;
		has_len |= is_len;
		if (!(is_offset || is_len ? number(t, is_offset ? ret_offset : ret_len) : skip(t)))
			return false;
	} while (take(t, ','));
	if (!take(t, '}'))
		return wrong(t, "a fragment without end");
	return has_offset && has_len ? true : wrong(t, "a fragment without offset or len");
}

static bool
list(struct text *t, struct kvr_hp_lease *ret)
{
	uint64_t offset, len, end;
	if (!take(t, '['))
		return wrong(t, "offsets that are no list");
	ret->list.at = t->at;
	if (!take(t, ']')) {
		do {
			if (!fragment(t, &offset, &len))
				return false;
			if (len == 0)
				return wrong(t, "a fragment of no bytes");
			if (__builtin_add_overflow(offset, len, &end) ||
			    __builtin_add_overflow(ret->total, len, &ret->total))
				return wrong(t, "a fragment beyond 64 bits");
			ret->n++;
		} while (take(t, ','));
		if (!take(t, ']'))
			return wrong(t, "a list without end");
	}
	ret->list.len = (size_t)(t->at - (const char *)ret->list.at);
	return true;
}

static bool
member(struct text *t, struct kvr_hp_lease *ret, bool id_only)
{
	char name[16];
	bool whole, fits;
	if (!string(t, name, sizeof(name), &whole) || !take(t, ':'))
		return wrong(t, "no member where one belongs");
	if (whole && strcmp(name, "id") == 0) {
		if (ret->id[0] != '\0')
			return wrong(t, "a member that comes twice");
		fits = false;
		if (string(t, ret->id, sizeof(ret->id), &fits) && fits)
			return true;
		ret->id[0] = '\0'; /* a truncated id would be another lease's */
		return wrong(t, "an id that is too long or not plain");
	}
	if (whole && !id_only && strcmp(name, "offsets") == 0)
		return ret->list.at == NULL ? list(t, ret) : wrong(t, "a member that comes twice");
	return skip(t);
}

static const char *
object(struct kvr_const_span text, struct kvr_hp_lease *ret, bool id_only)
{
	struct text t = { .at = text.at, .end = (const char *)text.at + text.len };
	memset(ret, 0, sizeof(*ret));
	if (!take(&t, '{'))
		(void)wrong(&t, "no object");
	while (t.why == NULL && member(&t, ret, id_only) && take(&t, ','))
		;
	if (t.why == NULL && (!take(&t, '}') || t.at != t.end))
		(void)wrong(&t, "an object without end, or more behind it");
	if (t.why == NULL && (ret->id[0] == '\0' || (ret->list.at == NULL && !id_only)))
		(void)wrong(&t, "no id or no offsets");
	return t.why;
}

enum kvr_err
kvr_hp_lease_read(struct kvr_const_span text, struct kvr_hp_lease *ret, const char **why)
{
	struct kvr_hp_lease bare;
	memset(ret, 0, sizeof(*ret));
	*why = text.len > 0 ? object(text, ret, false) : "nothing";
	if (*why == NULL)
		return KVR_OK;
	/* The offsets may be wrong while the id, perhaps after them, is right. */
	const char *id = ret->id;
	if (id[0] == '\0' && text.len > 0 && object(text, &bare, true) == NULL)
		id = bare.id;
	memmove(ret->id, id, sizeof(ret->id));
	ret->n = 0;
	ret->total = 0;
	return KVR_E_PROTO;
}

bool
kvr_hp_lease_next(
    const struct kvr_hp_lease *lease, size_t *at, uint64_t *ret_offset, uint64_t *ret_len)
{
	const char *from = lease->list.at;
	struct text t = { .at = from + *at, .end = from + lease->list.len };
	if (lease->n == 0 || take(&t, ']'))
		return false;
	(void)take(&t, ',');
	if (!fragment(&t, ret_offset, ret_len))
		return false;
	*at = (size_t)(t.at - from);
	return true;
}
