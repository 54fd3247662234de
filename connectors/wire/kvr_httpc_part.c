/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_httpc_part.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	WORDS_MAX = 200,   /* of an answer other than 200: enough for a sentence */
	DRAIN_MAX = 65536, /* reading more than that costs more than a new connection */
	FIRST = 1024,
	KEEP_MAX = 16384
};

uint64_t
kvr_httpc_out_len(const struct kvr_httpc_out *o)
{
	return o->span[0].len + o->span[1].len;
}

size_t
kvr_httpc_out_take(struct kvr_httpc_out *o, char *to, size_t max)
{
	size_t have = 0;
	max = KVR_MIN(max, (size_t)o->piece);
	for (uint32_t i = 0; i < KVR_LEN(o->span); i++) {
		uint64_t before = i == 0 ? 0 : o->span[0].len;
		if (o->at < before || o->at >= before + o->span[i].len)
			continue;
		size_t from = (size_t)(o->at - before);
		size_t n = KVR_MIN(o->span[i].len - from, max - have);
		memcpy(to + have, (const char *)o->span[i].at + from, n);
		have += n;
		o->at += n;
	}
	return have;
}

void
kvr_httpc_in_begin(struct kvr_httpc_in *in)
{
	char *at = in->at;
	size_t cap = in->cap;
	if (cap > KEEP_MAX) {
		free(at);
		at = NULL;
		cap = 0;
	}
	*in = (struct kvr_httpc_in){ .at = at, .cap = cap };
}

static bool
is_named(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);
	return len > n && strncasecmp(line, name, n) == 0 && line[n] == ':';
}

bool
kvr_httpc_in_header(struct kvr_httpc_in *in, const char *line, size_t len, uint32_t status)
{
	if (in->heads_over || len == 0) /* trailer lines after a chunked body */
		return false;
	if (is_named(line, len, "Transfer-Encoding"))
		in->has_coding = true;
	/* A status below 200 only announces another one. */
	if ((line[0] != '\r' && line[0] != '\n') || status < 200)
		return false;
	in->status = status;
	in->heads_over = true;
	return true;
}

bool
kvr_httpc_in_announced(struct kvr_httpc_in *in, int64_t len)
{
	/* Such a body ends with the connection, so waiting for its end may take for ever. */
	in->enough = in->status >= 300 && in->status != 304 && len < 0 && !in->has_coding;
	return !in->enough;
}

static bool
grow(struct kvr_httpc_in *in, size_t len)
{
	size_t cap = KVR_MAX(in->cap, (size_t)FIRST);
	while (cap < len)
		cap *= 2;
	char *at = cap > in->cap ? realloc(in->at, cap) : in->at;
	if (at == NULL)
		return false;
	in->at = at;
	in->cap = cap;
	return true;
}

bool
kvr_httpc_in_body(struct kvr_httpc_in *in, const char *from, size_t len)
{
	size_t keep = len;
	in->came += len;
	if (in->status != 200) {
		keep = in->len < WORDS_MAX ? KVR_MIN(len, WORDS_MAX - in->len) : 0;
		in->enough = in->came > DRAIN_MAX;
	}
	in->too_long = in->len + keep > KVR_HTTPC_BODY_MAX || !grow(in, in->len + keep);
	if (in->enough || in->too_long)
		return false;
	if (keep > 0)
		memcpy(in->at + in->len, from, keep);
	in->len += keep;
	return true;
}

bool
kvr_httpc_base(const struct kvr_httpc_opts *o, char *ret, size_t cap)
{
	bool v6 = strchr(o->host, ':') != NULL;
	int len = snprintf(ret, cap, "%s://%s%s%s:%u", o->tls != NULL ? "https" : "http",
	    v6 ? "[" : "", o->host, v6 ? "]" : "", (unsigned)o->port);
	return len > 0 && (size_t)len < cap;
}

bool
kvr_httpc_resolved(const struct kvr_httpc_opts *o, char *ret, size_t cap)
{
	struct in6_addr any;
	char text[64];
	ret[0] = '\0';
	if (inet_pton(AF_INET, o->host, &any) == 1 || strchr(o->host, ':') != NULL)
		return true;
	size_t len = (size_t)snprintf(ret, cap, "%s:%u:", o->host, (unsigned)o->port);
	for (uint32_t i = 0; i < o->addrs->n && len < cap; i++) {
		const struct kvr_addr *a = &o->addrs->addr[i];
		bool v6 = a->at.ss_family == AF_INET6;
		if (getnameinfo((const struct sockaddr *)&a->at, a->len, text, sizeof(text), NULL,
		        0, NI_NUMERICHOST) != 0)
			continue;
		len += (size_t)snprintf(ret + len, cap - len, v6 ? "%s[%s]" : "%s%s",
		    i > 0 ? "," : "", text);
	}
	return len < cap;
}

bool
kvr_httpc_files(const struct kvr_tls_opts *tls, char *why, size_t why_cap)
{
	const char *const files[][2] = { { "tls.ca", tls->ca }, { "tls.crl", tls->crl },
		{ "tls.cert", tls->cert }, { "tls.key", tls->key } };
	for (size_t i = 0; i < KVR_LEN(files); i++) {
		FILE *f = files[i][1] != NULL ? fopen(files[i][1], "re") : NULL;
		if (files[i][1] != NULL && f == NULL) {
			snprintf(why, why_cap, "%s: cannot read %s: %s", files[i][0], files[i][1],
			    strerror(errno));
			return false;
		}
		if (f != NULL)
			fclose(f);
	}
	return true;
}
