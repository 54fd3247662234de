/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A very small HTTP server for a few pages: one thread, one request a connection, GET and HEAD.
 * What it serves is the caller's. It listens on a TCP address or on a Unix socket, and it bounds
 * everything: 16 connections, 8 KiB of request, five seconds from connect to the last byte.
 *
 * It is our own because nng's server has no Unix socket and no limit on how long a client may take.
 */
#ifndef KVR_HTTP_H
#define KVR_HTTP_H

#include "kvr_err.h"

struct kvr_http;

struct kvr_http_request {
	const char *path;   /* without what follows '?' */
	const char *accept; /* "" when there is none */
};

struct kvr_http_answer {
	int32_t status; /* 200 at first */
	const char *type; /* "text/plain; charset=utf-8" at first */
	char  *body; /* from malloc; taken by the server. NULL: 503 when status is 200 */
	size_t len;
};

/* On the server's thread, one at a time; it may not close the server. */
typedef void kvr_http_fn(void *arg, const struct kvr_http_request *, struct kvr_http_answer *ret);
/* A line for the log: where it listens, or why it does not yet. On any thread. */
typedef void kvr_http_say_fn(void *arg, bool bad, const char *line);

struct kvr_http_options {
	const char      *listen; /* "127.0.0.1:9477", "[::1]:9477", "localhost:0", "unix:/path" */
	kvr_http_fn     *answer;
	kvr_http_say_fn *say;
	void            *arg;
};

/*
 * CONFIG: no such address can be; why says what is wrong. An address that somebody else has is no
 * failure: it is said once and tried again every second. NOMEM: no thread, no descriptor.
 */
KVR_MUST_USE enum kvr_err kvr_http_open(
    const struct kvr_http_options *, struct kvr_http **ret, char *why, size_t why_cap);
/* NULL is fine. False: its thread hangs in one of the functions that it was given, and nothing is freed. */
bool kvr_http_close(struct kvr_http *take, uint64_t until_ns);

#endif
