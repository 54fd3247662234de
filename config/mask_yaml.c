/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces the secrets of a YAML text by stars, line by line and not by its tree, because a
 * document that does not parse may contain a password too. If it is not clear how far a secret
 * goes, more is masked than necessary.
 */
#include "kvr_config_own.h"

#include <ctype.h>
#include <string.h>

struct mask {
	char *text;
	size_t from, end; /* the line */
	bool secret;      /* a secret began in an earlier line */
	bool first;       /* no part of it has been seen yet: it may start in any column */
	char quote;       /* it ends with this quote; 0: it lasts while lines are indented more than */
	size_t column;    /* its key, which is in this column */
};

static size_t
inside(const struct mask *m)
{
	size_t at = m->from;

	while (at < m->end && (m->text[at] == ' ' || m->text[at] == '\t' || m->text[at] == '\r'))
		at++;
	return at;
}

/* Masks from `at` to the end of the line; an opened quote that is not closed continues. */
static void
star(struct mask *m, size_t at)
{
	while (at < m->end && isspace((unsigned char)m->text[at]))
		at++;
	m->first = at == m->end;
	m->quote = 0;
	if (at < m->end && (m->text[at] == '"' || m->text[at] == '\'') &&
	    memchr(m->text + at + 1, m->text[at], m->end - at - 1) == NULL)
		m->quote = m->text[at];
	memset(m->text + at, '*', m->end - at);
}

/* True: the line belongs to the secret. */
static bool
goes_on(struct mask *m)
{
	size_t at = inside(m);
	char quote = m->quote;

	if (!m->secret || at == m->end)
		return m->secret;
	if (!m->first && quote == 0 && at - m->from <= m->column) {
		m->secret = false;
		return false;
	}
	if (quote != 0 && memchr(m->text + at, quote, m->end - at) != NULL)
		m->secret = false;
	star(m, at);
	if (quote != 0)
		m->quote = quote;
	return true;
}

/* No name is longer. Without a limit a line of colons would be read once for each of them. */
enum { NAME_MAX_LEN = 64 };

static bool
is_secret(const struct mask *m, size_t from, size_t to)
{
	from = KVR_MAX(from, to - KVR_MIN(to, (size_t)NAME_MAX_LEN));
	return kvr_is_secret_name(m->text + from, to - from) &&
	       memmem(m->text + from, to - from, "_env", 4) == NULL;
}

/*
 * *ret: the position after the colon of a key with a secret name. False: there is none. A comma or
 * bracket may also be a slip of the finger in the name, and the colon may be missing.
 */
static bool
find_key(const struct mask *m, size_t *ret)
{
	size_t word = m->from;

	for (size_t at = m->from; at < m->end; at++) {
		char c = m->text[at];

		if (c == '{' || c == ',')
			word = at + 1;
		if (c != ':' && c != '"' && c != '\'')
			continue;
		/* A quote where the colon is missing, unless it is the one behind the key. */
		bool ends_key = c != ':' && at + 1 < m->end && m->text[at + 1] == ':';

		/* Behind another mark there is no name that was not looked at before. */
		if (at == m->from || m->text[at - 1] == c)
			continue;
		if (!ends_key && (is_secret(m, word, at) ||
		                     (word > m->from && is_secret(m, m->from, at)))) {
			*ret = c == ':' ? at + 1 : at;
			return true;
		}
	}
	return false;
}

/* With a letter of "://" missing it is still known where a password may begin. */
static void
mask_login(struct mask *m)
{
	char *key = memchr(m->text + m->from, ':', m->end - m->from);
	char *at = memrchr(m->text + m->from, '@', m->end - m->from);

	if (key == NULL || at == NULL || at <= key ||
	    memmem(m->text + m->from, m->end - m->from, "://", 3) != NULL)
		return;
	char *colon = memchr(key + 1, ':', (size_t)(at - key) - 1);

	if (colon != NULL)
		memset(colon + 1, '*', (size_t)(at - colon) - 1);
}

static void
mask_urls(struct mask *m)
{
	mask_login(m);
	for (size_t at = m->from; at + 3 <= m->end; at++) {
		size_t from = at;

		if (memcmp(m->text + at, "://", 3) != 0)
			continue;
		while (from > m->from && (isalnum((unsigned char)m->text[from - 1]) ||
		                             m->text[from - 1] == '-'))
			from--;
		kvr_mask_url(m->text, from, m->end);
	}
}

static void
mask_line(struct mask *m)
{
	size_t at = inside(m), value = 0;

	if (goes_on(m))
		return;
	if (find_key(m, &value)) {
		while (at < m->end && (m->text[at] == '-' || m->text[at] == ' '))
			at++;
		m->secret = true;
		m->column = at - m->from;
		star(m, value);
	} else if (at < m->end && m->text[at] == '?') {
		m->secret = m->first = kvr_is_secret_name(m->text + at, m->end - at);
	}
	mask_urls(m);
}

void
kvr_mask_yaml(char *text, size_t len)
{
	struct mask m = { .text = text };

	while (m.from < len) {
		char *newline = memchr(text + m.from, '\n', len - m.from);

		m.end = newline == NULL ? len : (size_t)(newline - text);
		mask_line(&m);
		m.from = m.end + 1;
	}
}
