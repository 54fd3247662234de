/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_resp3.h"

#include <stdio.h>
#include <string.h>

/* Parts of one skipped reply: more than any HELLO or push has. */
enum { PARTS_MAX = 4096 };

static enum kvr_err
not_resp3(struct kvr_sock *s, char type)
{
	return kvr_stream_fail(
	    s, KVR_E_PROTO, "not a RESP3 reply: it begins with byte %u", (unsigned char)type);
}

/* The number after the type of a line like "%7", within the limits of RESP2's lengths. */
static bool
count(const struct kvr_const_span *line, uint8_t as, uint64_t max, uint64_t *ret)
{
	char text[24];
	struct kvr_resp r;

	if (line->len < 2 || line->len >= sizeof(text))
		return false;
	memcpy(text, line->at, line->len);
	text[0] = (char)as;
	if (!kvr_resp_parse(text, line->len, &r) || r.n < 0 || (uint64_t)r.n > max)
		return false;
	*ret = (uint64_t)r.n;
	return true;
}

/* Skips the body of one reply whose line was read; adds the parts that it contains to *parts. */
static enum kvr_err
skip_body(struct kvr_sock *s, const struct kvr_const_span *line, uint64_t *parts)
{
	char type = line->len > 0 ? ((const char *)line->at)[0] : '\0';
	uint64_t n = 0;

	switch (type) {
	case '+':
	case '-':
	case ':':
	case '_':
	case '#':
	case ',':
	case '(':
		return KVR_OK;
	case '$':
		if (line->len == 3 && memcmp(line->at, "$-1", 3) == 0)
			return KVR_OK;
		/* fall through */
	case '!':
	case '=':
		if (!count(line, '$', KVR_RESP_BULK_MAX, &n))
			return not_resp3(s, type);
		enum kvr_err err = kvr_stream_skip(s, n);
		return err == KVR_OK ? kvr_resp_bulk_end(s) : err;
	case '*':
	case '~':
	case '>':
	case '%':
	case '|':
		if (!count(line, '*', PARTS_MAX, &n))
			return not_resp3(s, type);
		*parts += type == '%' || type == '|' ? 2 * n : n;
		/* An attribute comes before the reply to which it belongs. */
		*parts += type == '|' ? 1 : 0;
		return KVR_OK;
	default:
		return not_resp3(s, type);
	}
}

/* Skips everything inside a reply. */
static enum kvr_err
skip_parts(struct kvr_sock *s, uint64_t parts)
{
	struct kvr_const_span line;

	for (uint32_t seen = 0; parts > 0; seen++) {
		if (seen == PARTS_MAX)
			return kvr_stream_fail(
			    s, KVR_E_PROTO, "a reply of more than %d parts", PARTS_MAX);
		enum kvr_err err = kvr_stream_line(s, &line);
		parts--;
		if (err == KVR_OK)
			err = skip_body(s, &line, &parts);
		if (err != KVR_OK)
			return err;
	}
	return KVR_OK;
}

static enum kvr_err
bulk_error(struct kvr_sock *s, const struct kvr_const_span *line, char *room, struct kvr_resp *ret)
{
	uint64_t n = 0;

	if (!count(line, '$', KVR_RESP_BULK_MAX, &n))
		return not_resp3(s, '!');
	size_t have = (size_t)KVR_MIN(n, KVR_RESP3_TEXT);
	enum kvr_err err = kvr_stream_read_all(s, room, have);
	if (err == KVR_OK)
		err = kvr_stream_skip(s, n - have);
	ret->kind = KVR_RESP_ERROR;
	ret->text = room;
	ret->text_len = have;
	return err == KVR_OK ? kvr_resp_bulk_end(s) : err;
}

enum kvr_err
kvr_resp3_read(struct kvr_sock *s, char room[KVR_RESP3_TEXT], struct kvr_resp *ret)
{
	for (;;) {
		struct kvr_const_span line;
		uint64_t parts = 0;
		enum kvr_err err = kvr_stream_line(s, &line);
		if (err != KVR_OK)
			return err;
		char type = line.len > 0 ? ((const char *)line.at)[0] : '\0';
		if (type == '!')
			return bulk_error(s, &line, room, ret);
		if (type == '_' && line.len == 1) {
			ret->kind = KVR_RESP_NIL;
			return KVR_OK;
		}
		if (type != '>' && type != '|') {
			bool known = kvr_resp_parse(line.at, line.len, ret);
			return known ? KVR_OK : not_resp3(s, type);
		}
		err = skip_body(s, &line, &parts);
		/* The reply after an attribute is the one that is wanted, so it is not skipped. */
		if (err == KVR_OK)
			err = skip_parts(s, parts - (type == '|' ? 1 : 0));
		if (err != KVR_OK)
			return err;
	}
}

enum kvr_err
kvr_resp3_hello(
    struct kvr_sock *s, const char *user, const char *password, char *ret_error, size_t error_cap)
{
	const char *words[] = { "HELLO", "3", "AUTH", user != NULL ? user : "default", password };
	uint32_t n = password != NULL ? 5 : 2;
	uint64_t parts = 0;
	struct kvr_const_span line;
	enum kvr_err err = kvr_resp_put_array(s, n);

	for (uint32_t i = 0; i < n && err == KVR_OK; i++)
		err = kvr_resp_put(s, words[i], strlen(words[i]));
	if (err == KVR_OK)
		err = kvr_stream_flush(s);
	if (err == KVR_OK)
		err = kvr_stream_line(s, &line);
	if (err != KVR_OK)
		return err;
	ret_error[0] = '\0';
	if (line.len > 0 && ((const char *)line.at)[0] == '-') {
		snprintf(ret_error, error_cap, "%.*s", (int)KVR_MIN(line.len - 1, 200U),
		    (const char *)line.at + 1);
		return KVR_OK;
	}
	if (line.len == 0 || ((const char *)line.at)[0] != '%')
		return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong kind to HELLO");
	err = skip_body(s, &line, &parts);
	return err == KVR_OK ? skip_parts(s, parts) : err;
}
