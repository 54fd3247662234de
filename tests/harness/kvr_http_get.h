/* SPDX-License-Identifier: Apache-2.0 */
/* A client of HTTP for tests: one request, the whole answer. */
#ifndef KVR_HARNESS_HTTP_GET_H
#define KVR_HARNESS_HTTP_GET_H

#include <stddef.h>
#include <stdint.h>

/* where: "unix:/path", or a port of 127.0.0.1 as text. Blocks for at most 30 s. -1: nobody there. */
int kvr_http_connect(const char *where);

struct kvr_http_got {
	int status; /* 0: no answer */
	char *head, *body; /* NUL-terminated; body is "" when there is none */
	size_t len; /* of body */
	char *all;  /* what both lie in */
};
/* The answer to these bytes; kvr_http_drop frees it. */
struct kvr_http_got kvr_http_ask(const char *where, const char *request, size_t len);
/* GET path with "Accept: accept". */
struct kvr_http_got kvr_http_fetch(const char *where, const char *path, const char *accept);
void kvr_http_drop(struct kvr_http_got *);

#endif
