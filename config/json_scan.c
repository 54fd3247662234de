/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this JSON, and if not, where is the first error and what is it? A strict scanner that builds
 * nothing. It runs before the parser, because parsers report at best a position near the error, and
 * accept some invalid input (01, a tab in a text, a second document after the first).
 */
#include "kvr_json_scan.h"

#include <string.h>

struct scan {
	struct kvr_json_bad *bad;
	const char *text, *at, *end;
	uint32_t depth;
};

static bool
wrong(struct scan *s, const char *what)
{
	s->bad->at = s->at;
	s->bad->what = what;
	return false;
}

static void
skip_space(struct scan *s)
{
	while (s->at < s->end && strchr(" \t\r\n", *s->at) != NULL && *s->at != '\0')
		s->at++;
}

/* Explains a character that cannot start anything that is allowed here. */
static bool
unexpected(struct scan *s, const char *wanted)
{
	if (s->at == s->end)
		return wrong(s, "the document ends before it is complete");
	switch (*s->at) {
	case '/':
	case '#':
		return wrong(s, "JSON has no comments");
	case '\'':
		return wrong(s, "texts and names stand in double quotes");
	case '\0':
		return wrong(s, "a NUL in the document");
	default:
		return wrong(s, wanted);
	}
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
escape(struct scan *s)
{
	size_t left = (size_t)(s->end - s->at);

	if (left < 2 || strchr("\"\\/bfnrtu", s->at[1]) == NULL || s->at[1] == '\0')
		return wrong(s, "there is no such escape in JSON");
	if (s->at[1] != 'u') {
		s->at += 2;
		return true;
	}
	for (size_t i = 2; i < 6; i++) {
		if (i >= left || !is_hex(s->at[i]))
			return wrong(s, "\\u takes four hexadecimal digits");
	}
	if (memcmp(s->at + 2, "0000", 4) == 0)
		return wrong(s, "a text cannot hold a NUL");
	s->at += 6;
	return true;
}

static bool
quoted(struct scan *s)
{
	const char *from = s->at++;

	while (s->at < s->end && *s->at != '"') {
		if (*s->at == '\n')
			break;
		if ((unsigned char)*s->at < 0x20)
			return wrong(
			    s, "a control character in a text: write it as an escape, such as \\t");
		if (*s->at != '\\')
			s->at++;
		else if (!escape(s))
			return false;
	}
	if (s->at == s->end || *s->at == '\n') {
		s->at = from;
		return wrong(s, "this text has no closing quote");
	}
	s->at++;
	return true;
}

static size_t
digits(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return (size_t)(s->at - from);
}

static bool
number(struct scan *s)
{
	const char *from = s->at, *whole;
	size_t n;

	s->at += *s->at == '-';
	whole = s->at;
	n = digits(s);
	if (n == 0 || (n > 1 && *whole == '0'))
		goto bad;
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (digits(s) == 0)
			goto bad;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		s->at += s->at < s->end && (*s->at == '-' || *s->at == '+');
		if (digits(s) == 0)
			goto bad;
	}
	/* The parser reads at most this many characters of a number. */
	if (s->at - from < 60)
		return true;
bad:
	s->at = from;
	return wrong(s, "this is no number of JSON");
}

static bool
word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < KVR_LEN(words); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(s->end - s->at) >= len && memcmp(s->at, words[i], len) == 0) {
			s->at += len;
			return true;
		}
	}
	return unexpected(s, "expected a value");
}

static bool value(struct scan *s);

static bool
member(struct scan *s)
{
	if (s->at == s->end || *s->at != '"')
		return unexpected(s, "expected a name in double quotes");
	if (!quoted(s))
		return false;
	skip_space(s);
	if (s->at == s->end || *s->at != ':')
		return unexpected(s, "expected ':' between name and value");
	s->at++;
	skip_space(s);
	return value(s);
}

/* What follows an entry: a comma and another entry, or the end of the container. */
static bool
separator(struct scan *s, char close, bool *ret_more)
{
	const char *after = s->at;

	skip_space(s);
	*ret_more = s->at < s->end && *s->at == ',';
	if (s->at < s->end && *s->at == close)
		return true;
	if (*ret_more) {
		after = s->at++;
		skip_space(s);
		if (s->at == s->end || *s->at != close)
			return true;
		s->at = after;
		return wrong(s, "this comma is one too many");
	}
	if (s->at == s->end || *s->at == '\0' || strchr("\"{[-0123456789tfn", *s->at) == NULL)
		return unexpected(s, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
	/* The comma belongs after the last value, not before the next name. */
	s->at = after;
	return wrong(s, "a ',' is missing here");
}

static bool
container(struct scan *s, char close)
{
	bool more;

	if (s->depth++ == KVR_TREE_DEPTH_MAX)
		return wrong(s, "nested too deeply");
	s->at++;
	skip_space(s);
	more = s->at == s->end || *s->at != close;
	while (more) {
		if (!(close == '}' ? member(s) : value(s)) || !separator(s, close, &more))
			return false;
	}
	s->at++;
	s->depth--;
	return true;
}

static bool
value(struct scan *s)
{
	if (s->at == s->end)
		return unexpected(s, "");
	if (*s->at == '{')
		return container(s, '}');
	if (*s->at == '[')
		return container(s, ']');
	if (*s->at == '"')
		return quoted(s);
	if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
		return number(s);
	return word(s);
}

bool
kvr_json_scan(const char *text, size_t len, struct kvr_json_bad *ret_bad)
{
	struct scan s = { ret_bad, text, text, text + len, 0 };

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		s.at += 3;
	skip_space(&s);
	if (s.at == s.end)
		return wrong(&s, "the document is empty");
	if (!value(&s))
		return false;
	skip_space(&s);
	return s.at == s.end || wrong(&s, "something follows the end of the document");
}
