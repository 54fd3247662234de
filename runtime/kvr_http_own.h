/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by kvr_http.c, which runs the server, kvr_http_request.c, which reads what clients send,
 * and kvr_http_listen.c, which knows addresses.
 */
#ifndef KVR_HTTP_OWN_H
#define KVR_HTTP_OWN_H

#include "kvr_http.h"

#include <sys/socket.h>

struct kvr_http_place {
	struct sockaddr_storage at;
	socklen_t len;
	char path[112]; /* of a Unix socket; "" for TCP */
};

/* CONFIG with a sentence in why. */
KVR_MUST_USE enum kvr_err kvr_http_place(
    const char *listen, struct kvr_http_place *ret, char *why, size_t why_cap);
/* A socket that listens there; -1 and errno if that fails. */
int kvr_http_listen(const struct kvr_http_place *);
/* The address that a socket listens on, as a URL. */
const char *kvr_http_where(const struct kvr_http_place *, int fd, char *ret, size_t cap);

/* Bytes of the head of a request, with the empty line that ends it; 0: that has not come yet. */
size_t kvr_http_head_len(const char *at, size_t len);
/*
 * Reads a whole head and writes over it; the texts in ret lie in there. 200, or the status that
 * refuses it: 400 for what is no request of HTTP/1, 405 for other methods than GET and HEAD.
 * ret_body: the answer has one.
 */
int32_t kvr_http_request_read(
    char *head, size_t len, struct kvr_http_request *ret, bool *ret_body);

#endif
