/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_resp.h"

#include <ctype.h>
#include <string.h>

/*
 * Accepts only what a server writes: an optional '-', then digits, at most 64 bits. strtoll would
 * also accept blanks, '+' and text after the number, so garbage could pass for a length.
 */
static bool
integer(const char *at, size_t len, int64_t *ret)
{
	bool minus = len > 0 && at[0] == '-';
	uint64_t n = 0;
	uint64_t limit = (uint64_t)INT64_MAX + (minus ? 1U : 0U);
	if (len == (minus ? 1U : 0U))
		return false;
	for (size_t i = minus ? 1 : 0; i < len; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(at[i] - '0');
		if (n > (limit - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*ret = minus ? (int64_t)(0U - n) : (int64_t)n;
	return true;
}

static bool
length(struct kvr_resp *r, enum kvr_resp_kind kind, int64_t max)
{
	if (!integer(r->text, r->text_len, &r->n) || r->n < -1 || r->n > max)
		return false;
	r->kind = r->n < 0 ? KVR_RESP_NIL : kind;
	return true;
}

bool
kvr_resp_parse(const void *line, size_t len, struct kvr_resp *ret)
{
	if (len == 0)
		return false;
	const char *text = line;
	struct kvr_resp r = { .text = text + 1, .text_len = len - 1 };
	bool ok = true;
	switch (text[0]) {
	case '+':
		r.kind = KVR_RESP_STATUS;
		break;
	case '-':
		r.kind = KVR_RESP_ERROR;
		break;
	case ':':
		r.kind = KVR_RESP_INTEGER;
		ok = integer(r.text, r.text_len, &r.n);
		break;
	case '$':
		ok = length(&r, KVR_RESP_BULK, KVR_RESP_BULK_MAX);
		break;
	case '*':
		ok = length(&r, KVR_RESP_ARRAY, KVR_RESP_ARRAY_MAX);
		break;
	default:
		ok = false;
	}
	if (ok)
		*ret = r;
	return ok;
}

static bool
starts_with(const char *text, size_t len, const char *code)
{
	size_t n = strlen(code);
	return len >= n && memcmp(text, code, n) == 0 && (len == n || text[n] == ' ');
}

bool
kvr_resp_is_code(const struct kvr_resp *r, const char *code)
{
	return r->kind == KVR_RESP_ERROR && starts_with(r->text, r->text_len, code);
}

int32_t
kvr_resp_error(const char *text, size_t len)
{
	static const struct {
		const char *code;
		int32_t     err;
	} codes[] = {
		{ "OOM", KVR_E_NOSPACE },
		{ "NOAUTH", KVR_E_AUTH },
		{ "WRONGPASS", KVR_E_AUTH },
		{ "NOPERM", KVR_E_AUTH },
		{ "DENIED", KVR_E_AUTH },
		{ "WRONGTYPE", KVR_E_LENGTH },
	};
	for (size_t i = 0; i < KVR_LEN(codes); i++)
		if (starts_with(text, len, codes[i].code))
			return codes[i].err;
	return KVR_E_REFUSED;
}

/* The first bytes of what came instead of a reply, made printable for a message. */
static void
show(const struct kvr_const_span *line, char *to, size_t cap)
{
	const uint8_t *from = line->at;
	size_t n = KVR_MIN(line->len, cap - 1);
	for (size_t i = 0; i < n; i++)
		to[i] = isprint(from[i]) ? (char)from[i] : '.';
	to[n] = '\0';
}

enum kvr_err
kvr_resp_of(struct kvr_sock *s, const struct kvr_const_span *line, struct kvr_resp *ret)
{
	char text[40];
	if (kvr_resp_parse(line->at, line->len, ret))
		return KVR_OK;
	show(line, text, sizeof(text));
	return kvr_stream_fail(
	    s, KVR_E_PROTO, "not a RESP2 reply: \"%s\"; is this a Redis server?", text);
}

/* A fast path: ":0" and ":1" are the only replies to most lookups. */
static bool
digit_of(struct kvr_sock *s, struct kvr_resp *ret)
{
	const uint8_t *at = s->in + s->in_at;
	if (s->err != KVR_OK || kvr_stream_held(s) < 4 || at[0] != ':' || at[1] < '0' ||
	    at[1] > '9' || at[2] != '\r' || at[3] != '\n')
		return false;
	*ret = (struct kvr_resp){ .kind = KVR_RESP_INTEGER,
		.n = at[1] - '0',
		.text = (const char *)at + 1,
		.text_len = 1 };
	s->in_at += 4;
	return true;
}

enum kvr_err
kvr_resp_read(struct kvr_sock *s, struct kvr_resp *ret)
{
	struct kvr_const_span line;
	if (digit_of(s, ret))
		return KVR_OK;
	enum kvr_err err = kvr_stream_line(s, &line);
	return err == KVR_OK ? kvr_resp_of(s, &line, ret) : err;
}

enum kvr_err
kvr_resp_bulk_end(struct kvr_sock *s)
{
	uint8_t end[2];
	enum kvr_err err = kvr_stream_read_all(s, end, sizeof(end));
	if (err != KVR_OK || memcmp(end, "\r\n", 2) == 0)
		return err;
	return kvr_stream_fail(s, KVR_E_PROTO, "a bulk reply that is longer than its length");
}

/*
 * Written by hand: printf parsing "%llu" again and again was half of the cost of a lookup of many
 * keys. The common case, the two digits of a name's length, comes first. Needs room for 20 digits
 * and CR LF.
 */
static char *
number_line(char *to, uint64_t n)
{
	char digits[20];
	size_t len = 0;
	if (n >= 10 && n < 100) {
		*to++ = (char)('0' + n / 10);
		n %= 10;
	}
	for (; n >= 10; n /= 10)
		digits[len++] = (char)('0' + n % 10);
	*to++ = (char)('0' + n);
	while (len > 0)
		*to++ = digits[--len];
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

enum { LINE_MAX_LEN = 22 };
_Static_assert(LINE_MAX_LEN + KVR_RESP_VERB_MAX <= KVR_RESP_VERB_ROOM, "room for a verb");

static enum kvr_err
put_count(struct kvr_sock *s, char kind, uint64_t n)
{
	char head[1 + LINE_MAX_LEN] = { kind };
	return kvr_stream_copy(s, head, (size_t)(number_line(head + 1, n) - head));
}

enum kvr_err
kvr_resp_put_array(struct kvr_sock *s, uint32_t argc)
{
	return put_count(s, '*', argc);
}

enum kvr_err
kvr_resp_put_head(struct kvr_sock *s, uint64_t len)
{
	return put_count(s, '$', len);
}

enum kvr_err
kvr_resp_put(struct kvr_sock *s, const void *at, size_t len)
{
	enum kvr_err err = kvr_resp_put_head(s, len);
	if (err == KVR_OK)
		err = kvr_stream_copy(s, at, len);
	return err == KVR_OK ? kvr_stream_copy(s, "\r\n", 2) : err;
}

enum kvr_err
kvr_resp_put_number(struct kvr_sock *s, uint64_t number)
{
	char text[LINE_MAX_LEN];
	char *end = number_line(text, number);
	return kvr_resp_put(s, text, (size_t)(end - text) - 2);
}

char *
kvr_resp_put_verb(char *to, const struct kvr_resp_verb *verb, uint64_t next_len)
{
	memcpy(to, verb->at, sizeof(verb->at));
	return number_line(to + verb->len, next_len);
}
