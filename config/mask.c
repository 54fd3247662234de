/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source line is shown with its error, so secrets in the source are replaced by stars beforehand.
 * This works on characters, not on the tree, because a document that does not parse may contain a
 * password too.
 */
#include "kvr_config_own.h"

#include <string.h>

/* A text may lack its closing quote: then it ends with its line. */
static size_t
text_end(const char *text, size_t at, size_t len)
{
	while (at < len && text[at] != '"' && text[at] != '\n')
		at += text[at] == '\\' && at + 1 < len && text[at + 1] != '\n' ? 2 : 1;
	return KVR_MIN(at, len);
}

static void
stars(char *text, size_t from, size_t to)
{
	memset(text + from, '*', to - from);
}

void
kvr_mask_url(char *text, size_t from, size_t to)
{
	size_t login, end;
	char *colon, *at;

	if (kvr_url_login(text + from, to - from, &login, &end)) {
		colon = memchr(text + from + login, ':', end - login);
		if (colon != NULL)
			login = (size_t)(colon + 1 - (text + from));
		stars(text, from + login, from + end);
	} else if (kvr_url_slip(text + from, to - from, &login, &end)) {
		stars(text, from + login, from + end);
	} else if (memmem(text + from, to - from, "://", 3) == NULL) {
		/* With a letter of "://" missing it is still known where a password may begin. */
		at = memrchr(text + from, '@', to - from);
		colon = at == NULL ? NULL : memchr(text + from, ':', (size_t)(at - (text + from)));
		if (colon != NULL)
			stars(text, (size_t)(colon + 1 - text), (size_t)(at - text));
	}
	at = memchr(text + from, '?', to - from);
	while (at != NULL && at < text + to) {
		size_t left = (size_t)(text + to - at);
		char *next = left < 2 ? NULL : memchr(at + 1, '&', left - 1);
		char *is = memchr(at, '=', next == NULL ? left : (size_t)(next - at));

		if (is != NULL && kvr_is_secret_name(at, (size_t)(is - at)))
			stars(text, (size_t)(is + 1 - text),
			    next == NULL ? to : (size_t)(next - text));
		at = next;
	}
}

static bool
is_mark(char c)
{
	return (unsigned char)c <= ' ' || strchr("\"'{}[]:,", c) != NULL;
}

void
kvr_mask_broken(char *line, size_t len, size_t column)
{
	const char *login = memmem(line, len, "://", 3), *last = memrchr(line, '@', len);
	size_t host = last == NULL ? 0 : (size_t)(last - line);
	bool secret = false;

	if (login == NULL && last != NULL)
		login = memchr(line, ':', host);
	for (size_t at = 0, end; at < len; at = end) {
		for (end = at; end < len && !is_mark(line[end]); end++)
			;
		if (end == at) {
			end++;
			continue;
		}
		if (secret || at >= column || (login != NULL && at > (size_t)(login - line) && at < host))
			stars(line, at, end);
		else
			secret = kvr_is_secret_name(line + at, end - at) &&
			         memmem(line + at, end - at, "_env", 4) == NULL;
	}
}

static size_t
skip_space(const char *text, size_t at, size_t len)
{
	while (at < len && (unsigned char)text[at] <= ' ')
		at++;
	return at;
}

void
kvr_mask_json(char *text, size_t len)
{
	bool secret = false;

	for (size_t at = 0; at < len; at++) {
		size_t end, after;
		bool is_key;

		if (text[at] == ',' || text[at] == '}')
			secret = false;
		if (text[at] != '"')
			continue;
		end = text_end(text, at + 1, len);
		after = skip_space(text, end + 1, len);
		is_key = end < len && after < len && text[after] == ':';
		/* "password_env" names a variable, which an error should show. */
		if (is_key)
			secret = kvr_is_secret_name(text + at + 1, end - at - 1) &&
			         memmem(text + at, end - at, "_env", 4) == NULL;
		else if (secret)
			stars(text, at + 1, end);
		else
			kvr_mask_url(text, at + 1, end);
		at = end;
	}
}
