/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a request, and holds every byte of it against what LMCache's client was seen to send. */
#include "kvr_hyperpod_own.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char stays[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                            "-._~!$&'()*,;=:@";

/* One part of a path. What need not be encoded and is, or the other way round, is a deviation. */
static int
decode(const char *from, size_t len, char *ret, size_t cap, size_t *ret_len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; n++) {
		char c = from[i++];
		if (n + 1 >= cap)
			return 0;
		if (c == '%') {
			char hex[3] = { 0 };
			if (i + 2 > len || !isxdigit((unsigned char)from[i]) ||
			    !isxdigit((unsigned char)from[i + 1]))
				return 0;
			memcpy(hex, from + i, 2);
			i += 2;
			c = (char)strtol(hex, NULL, 16);
			if (islower((unsigned char)hex[0]) || islower((unsigned char)hex[1]))
				deviation("%%%s in lower case", hex);
			if (c != '\0' && strchr(stays, c) != NULL)
				deviation("%%%s need not be encoded", hex);
		} else if (strchr(stays, c) == NULL) {
			deviation("'%c' (%02x) must be encoded", c, (unsigned char)c);
		}
		ret[n] = c;
	}
	ret[n] = '\0';
	*ret_len = n;
	return 1;
}

/* "5000", as Python writes a whole number. */
static int
whole(const char *at, size_t len)
{
	return len > 0 && len < 10 && strspn(at, "0123456789") >= len && (len == 1 || at[0] != '0');
}

/* "30.0", "0.25": as Python writes a float of this size. */
static int
python_float(const char *at, size_t len)
{
	const char *dot = memchr(at, '.', len);
	if (dot == NULL || !whole(at, (size_t)(dot - at)))
		return 0;
	size_t n = len - (size_t)(dot - at) - 1;
	return n > 0 && strspn(dot + 1, "0123456789") >= n && (n == 1 || dot[n] != '0');
}

static int
read_query(const char *at, size_t len, struct ask *ret)
{
	const char *ttl = memmem(at, len, "&ttl_s=", 7);
	if (len < 11 || strncmp(at, "timeout_ms=", 11) != 0 || ttl == NULL)
		return 0;
	size_t n = (size_t)(ttl - at) - 11, m = len - (size_t)(ttl - at) - 7;
	if (!whole(at + 11, n) || !python_float(ttl + 7, m))
		deviation("a query not as Python writes it: %.*s", (int)len, at);
	ret->timeout_ms = strtol(at + 11, NULL, 10);
	ret->ttl_s = strtod(ttl + 7, NULL);
	return ret->ttl_s > 0;
}

static int
read_target(const char *method, const char *at, size_t len, struct ask *ret)
{
	static const char kv[] = "/v1/kv/", leases[] = "/v1/leases/";
	const char *end = at + len, *query = memchr(at, '?', len), *slash;
	size_t n = 0, path = query != NULL ? (size_t)(query - at) : len;
	if (strcmp(method, "GET") == 0)
		return query == NULL;
	if (strncmp(at, leases, sizeof(leases) - 1) == 0) {
		ret->verb = RELEASE;
		at += sizeof(leases) - 1;
		slash = memchr(at, '/', (size_t)(end - at));
		return strcmp(method, "POST") == 0 && slash != NULL && query == NULL &&
		    end - slash == 8 && memcmp(slash, "/release", 8) == 0 &&
		    decode(at, (size_t)(slash - at), ret->name, KEY_MAX, &ret->name_len);
	}
	if (strncmp(at, kv, sizeof(kv) - 1) != 0)
		return 0;
	ret->verb = strcmp(method, "PUT") == 0 ? PUT : LEASE;
	if (ret->verb == LEASE) {
		if (strcmp(method, "POST") != 0 || path < 8 || query == NULL ||
		    memcmp(at + path - 7, "/leases", 7) != 0 ||
		    !read_query(query + 1, (size_t)(end - query) - 1, ret))
			return 0;
		path -= 7;
	} else if (query != NULL) {
		return 0;
	}
	end = at + path;
	at += sizeof(kv) - 1;
	slash = end > at ? memchr(at, '/', (size_t)(end - at)) : NULL;
	if (slash == NULL || slash == at || slash + 1 == end ||
	    memchr(slash + 1, '/', (size_t)(end - slash) - 1) != NULL ||
	    !decode(at, (size_t)(slash - at), ret->name, KEY_MAX / 2, &n))
		return 0;
	/* A bucket has no slash, so this tells all pairs apart. */
	ret->name[n] = '/';
	if (!decode(slash + 1, (size_t)(end - slash) - 1, ret->name + n + 1, KEY_MAX / 2,
	        &ret->name_len))
		return 0;
	const char *key = ret->name + n + 1;
	ret->name_len += n + 1;
	return strcmp(key, ".") != 0 && strcmp(key, "..") != 0;
}

struct header {
	const char *name, *value; /* NULL: a length */
	int  of_get, seen;
};

static int
read_header(const char *line, size_t len, struct header *known, size_t n, struct ask *ret)
{
	const char *colon = memchr(line, ':', len);
	if (colon == NULL || colon[1] != ' ')
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t name = strlen(known[i].name), value = len - (size_t)(colon + 2 - line);
		if ((size_t)(colon - line) != name || strncmp(line, known[i].name, name) != 0)
			continue;
		if (known[i].seen++)
			deviation("%s twice", known[i].name);
		if (known[i].value == NULL) {
			if (!whole(colon + 2, value))
				return 0;
			ret->body_len = strtoul(colon + 2, NULL, 10);
		} else if (value != strlen(known[i].value) ||
		    memcmp(colon + 2, known[i].value, value) != 0) {
			deviation("a header that differs: %.*s", (int)len, line);
		}
		return 1;
	}
	deviation("a header that LMCache does not send: %.*s", (int)len, line);
	return 1;
}

static int
read_headers(const char *at, int is_get, struct ask *ret)
{
	char host[32];
	struct header known[] = { { "Host", host, 1, 0 },
		{ "User-Agent", "LMCache-SageMaker-HyperPod/1.0", 1, 0 },
		{ "Accept", "*/*", 1, 0 }, { "Accept-Encoding", "gzip, deflate", 1, 0 },
		{ "Content-Length", NULL, 0, 0 },
		{ "Content-Type", "application/octet-stream", 0, 0 } };
	size_t n = sizeof(known) / sizeof(known[0]);
	uint32_t front = atomic_load(&page->front);
	snprintf(host, sizeof(host), "%s:%u", atomic_load(&page->by_name) ? "localhost" : "127.0.0.1",
	    front != 0 ? front : atomic_load(&page->port));
	for (const char *end; (end = strstr(at, "\r\n")) != at; at = end + 2)
		if (end == NULL || !read_header(at, (size_t)(end - at), known, n, ret))
			return 0;
	for (size_t i = 0; i < n; i++)
		if (known[i].seen == 0 && (known[i].of_get || !is_get))
			deviation("%s is missing", known[i].name);
	return 1;
}

int
ask_read(const char *heads, struct ask *ret)
{
	char method[8];
	const char *blank = strchr(heads, ' '), *target = blank != NULL ? blank + 1 : NULL;
	*ret = (struct ask){ .verb = OTHER };
	const char *end = target != NULL ? strchr(target, ' ') : NULL;
	if (end == NULL || blank - heads >= (long)sizeof(method) ||
	    strncmp(end, " HTTP/1.1\r\n", 11) != 0)
		return 0;
	memcpy(method, heads, (size_t)(blank - heads));
	method[blank - heads] = '\0';
	if (!read_target(method, target, (size_t)(end - target), ret) ||
	    !read_headers(end + 11, strcmp(method, "GET") == 0, ret))
		return 0;
	if (ret->verb != PUT && ret->body_len > 0)
		deviation("a body where none belongs");
	return 1;
}
