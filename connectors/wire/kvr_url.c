/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_url.h"
#include "kvr_why.h"

#include <stdio.h>
#include <string.h>

struct text {
	const char *at;
	size_t len;
};

/* Takes everything up to the first byte that is in stop; text then begins at that byte. */
static struct text
cut(struct text *text, const char *stop)
{
	size_t n = 0;
	while (n < text->len && strchr(stop, text->at[n]) == NULL)
		n++;
	struct text head = { text->at, n };
	text->at += n;
	text->len -= n;
	return head;
}

static void
skip(struct text *text, size_t n)
{
	text->at += n;
	text->len -= n;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum kvr_err
decode(struct text from, const char *part, char *to, size_t cap, const struct kvr_why *w)
{
	size_t n = 0;
	for (size_t i = 0; i < from.len; i++) {
		int c = (unsigned char)from.at[i];
		if (c == '%') {
			bool room = from.len - i > 2;
			int hi = room ? hex_digit(from.at[i + 1]) : -1;
			int lo = room ? hex_digit(from.at[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return kvr_refuse(w,
				    "%s: '%%' needs two hex digits after it; "
				    "write a percent sign itself as %%25",
				    part);
			c = hi * 16 + lo;
			i += 2;
		}
		if (c == 0)
			return kvr_refuse(
			    w, "%s: holds %%00, and a NUL byte cannot be used there", part);
		if (n + 1 >= cap)
			return kvr_refuse(w, "%s: longer than %zu bytes", part, cap - 1);
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return KVR_OK;
}

static enum kvr_err
keep(struct text from, const char *part, char *to, size_t cap, const struct kvr_why *w)
{
	if (from.len >= cap)
		return kvr_refuse(w, "%s: longer than %zu bytes", part, cap - 1);
	memcpy(to, from.at, from.len);
	to[from.len] = '\0';
	return KVR_OK;
}

static enum kvr_err
scheme(struct text *text, struct kvr_url *u, const struct kvr_why *w)
{
	struct text name = cut(text, ":/?#@");
	if (text->len < 3 || memcmp(text->at, "://", 3) != 0)
		return kvr_refuse(w, "URL has no scheme; write it as scheme://host:port");
	skip(text, 3);
	if (name.len == 0)
		return kvr_refuse(w, "scheme: empty; write it as scheme://host:port");
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
		if (!letter && (i == 0 || !other))
			return kvr_refuse(
			    w, "scheme: only letters, then letters, digits, '+', '-' and '.'");
	}
	return keep(name, "scheme", u->scheme, sizeof(u->scheme), w);
}

static enum kvr_err
userinfo(struct text *authority, struct kvr_url *u, const struct kvr_why *w)
{
	size_t at = authority->len;
	while (at > 0 && authority->at[at - 1] != '@')
		at--;
	if (at == 0)
		return KVR_OK;
	struct text info = { authority->at, at - 1 };
	skip(authority, at);
	struct text user = cut(&info, ":");
	u->has_user = user.len > 0;
	enum kvr_err err = decode(user, "user", u->user, sizeof(u->user), w);
	if (err != KVR_OK || info.len == 0)
		return err;
	skip(&info, 1);
	u->has_password = true;
	return decode(info, "password", u->password, sizeof(u->password), w);
}

static enum kvr_err
port(struct text text, const char *host, uint16_t *ret, const struct kvr_why *w)
{
	uint32_t n = 0;
	bool digits = text.len > 0 && text.len <= 5;
	for (size_t i = 0; digits && i < text.len; i++) {
		digits = text.at[i] >= '0' && text.at[i] <= '9';
		n = n * 10 + (uint32_t)(text.at[i] - '0');
	}
	/* Without the text: if a password has an unencoded '/', part of it would end up here. */
	if (!digits || n == 0 || n > 65535)
		return kvr_refuse(w,
		    "port of host \"%s\": not a number from 1 to 65535; a '/', '?', '#' or "
		    "'%%' in a password must be percent-encoded",
		    host);
	*ret = (uint16_t)n;
	return KVR_OK;
}

static bool
host_byte(char c, bool bracket)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c == '.' || c == '-' || c == '_' || (bracket && (c == ':' || c == '%'));
}

static enum kvr_err
one_host(struct text text, struct kvr_url_host *h, uint32_t nth, const struct kvr_why *w)
{
	struct text name = text;
	bool bracket = text.len > 0 && text.at[0] == '[';
	if (bracket) {
		skip(&text, 1);
		name = cut(&text, "]");
		if (text.len == 0)
			return kvr_refuse(w, "host %u: '[' without ']'", nth);
		skip(&text, 1);
	} else {
		name = cut(&text, ":");
		if (text.len > 1 && memchr(text.at + 1, ':', text.len - 1) != NULL)
			return kvr_refuse(w,
			    "host %u: more than one ':'; write an IPv6 address in brackets", nth);
	}
	if (name.len == 0)
		return kvr_refuse(w, "host %u: empty", nth);
	for (size_t i = 0; i < name.len; i++)
		if (!host_byte(name.at[i], bracket))
			return kvr_refuse(w,
			    "host %u: byte %zu (0x%02x) cannot stand in a host name", nth, i + 1,
			    (unsigned)(unsigned char)name.at[i]);
	enum kvr_err err = keep(name, "host", h->name, sizeof(h->name), w);
	if (err != KVR_OK || text.len == 0)
		return err;
	if (text.at[0] != ':')
		return kvr_refuse(w, "host %u: only :port may follow ']'", nth);
	skip(&text, 1);
	return port(text, h->name, &h->port, w);
}

static enum kvr_err
hosts(struct text text, struct kvr_url *u, const struct kvr_why *w)
{
	enum kvr_err err = KVR_OK;
	while (text.len > 0 && err == KVR_OK) {
		if (u->n_hosts == KVR_URL_HOSTS_MAX)
			return kvr_refuse(w, "more than %u hosts", KVR_URL_HOSTS_MAX);
		struct text one = cut(&text, ",");
		err = one_host(one, &u->host[u->n_hosts], u->n_hosts + 1, w);
		u->n_hosts++;
		if (text.len == 1)
			return kvr_refuse(w, "a host must follow the last ','");
		if (text.len > 0)
			skip(&text, 1);
	}
	return err;
}

static enum kvr_err
parse(struct text text, struct kvr_url *u, const struct kvr_why *w)
{
	enum kvr_err err = scheme(&text, u, w);
	if (err != KVR_OK)
		return err;
	struct text authority = cut(&text, "/?#");
	if ((err = userinfo(&authority, u, w)) != KVR_OK ||
	    (err = hosts(authority, u, w)) != KVR_OK)
		return err;
	struct text path = cut(&text, "?#");
	if ((err = decode(path, "path", u->path, sizeof(u->path), w)) != KVR_OK)
		return err;
	if (text.len > 0 && text.at[0] == '?') {
		skip(&text, 1);
		struct text query = cut(&text, "#");
		if ((err = keep(query, "options", u->query, sizeof(u->query), w)) != KVR_OK)
			return err;
	}
	return text.len == 0 ? KVR_OK
	                     : kvr_refuse(w, "a '#' has no meaning here; write it as %%23");
}

enum kvr_err
kvr_url_parse(const char *text, struct kvr_url *ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	struct text whole = { text, strlen(text) };
	for (size_t i = 0; i < whole.len; i++)
		if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
			return kvr_refuse(
			    &w, "URL: byte %zu is a blank or a control character", i + 1);
	struct kvr_url url = { 0 };
	enum kvr_err err = parse(whole, &url, &w);
	if (err == KVR_OK)
		*ret = url;
	return err;
}

enum kvr_err
kvr_url_option_next(
    const struct kvr_url *u, size_t *at, struct kvr_url_option *ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	struct text rest = { u->query + *at, strlen(u->query + *at) };
	while (rest.len > 0 && rest.at[0] == '&')
		skip(&rest, 1);
	if (rest.len == 0)
		return KVR_E_MISS;
	struct text value = cut(&rest, "&");
	struct text name = cut(&value, "=");
	struct kvr_url_option option;
	enum kvr_err err = decode(name, "option", option.name, sizeof(option.name), &w);
	if (err != KVR_OK)
		return err;
	if (value.len == 0)
		return kvr_refuse(
		    &w, "option %s: has no value; write %s=value", option.name, option.name);
	skip(&value, 1);
	if ((err = decode(value, option.name, option.value, sizeof(option.value), &w)) != KVR_OK)
		return err;
	*at = (size_t)(rest.at - u->query);
	*ret = option;
	return KVR_OK;
}
