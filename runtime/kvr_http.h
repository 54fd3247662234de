/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A very small HTTP server for a few pages: one thread, one request per connection, GET and HEAD.
 * The caller provides the pages. It listens on a TCP address or on a Unix socket, and everything is
 * bounded: 16 connections, 8 KiB of request, five seconds from connect to the last byte.
 *
 * It is our own because nng's server has no Unix socket and no limit on how long a client may take.
 */
#ifndef KVR_HTTP_H
#define KVR_HTTP_H

#include "kvr_err.h"

struct kvr_http;

struct kvr_http_request {
	const char *path;   /* without '?' or '#' and what follows */
	const char *accept; /* "" when there is none */
};

struct kvr_http_answer {
	int32_t status; /* preset to 200 */
	const char *type; /* preset to "text/plain; charset=utf-8" */
	char  *body; /* from malloc; the server frees it. NULL with status 200: becomes 503 */
	size_t len;
};

/* On the server's thread, one at a time; it may not close the server. */
typedef void kvr_http_fn(void *arg, const struct kvr_http_request *, struct kvr_http_answer *ret);
/* A line for the log: where it listens, or why it cannot yet. On any thread. */
typedef void kvr_http_say_fn(void *arg, bool bad, const char *line);

struct kvr_http_options {
	const char      *listen; /* "127.0.0.1:9477", "[::1]:9477", "localhost:0", "unix:/path" */
	kvr_http_fn     *answer;
	kvr_http_say_fn *say;
	void            *arg;
};

/*
 * CONFIG: not a possible address; why says what is wrong. An address that is in use is no failure:
 * it is logged once and tried again every second. NOMEM: no memory, thread or descriptor.
 */
KVR_MUST_USE enum kvr_err kvr_http_open(
    const struct kvr_http_options *, struct kvr_http **ret, char *why, size_t why_cap);
/* NULL is fine. False: its thread hangs in a function of the caller's, and nothing is freed. */
bool kvr_http_close(struct kvr_http *take, uint64_t until_ns);

#endif
