/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 to one server, with as many exchanges at once as the lane wants. Each exchange has a
 * connection while it lasts; connections are kept and reused. One thread owns all of it, and only
 * kvr_httpc_wait waits.
 *
 *   i = kvr_httpc_start(h, &ask)         the request is sent by the next wait
 *   kvr_httpc_wait(h, until_ns, kick)    until an answer has arrived
 *   i = kvr_httpc_next(h)                its number; kvr_httpc_answer returns what came
 *   kvr_httpc_end(h, i)                  the number is free again
 *
 * kvr_httpc_lib.c implements it with libcurl. Builds without libcurl have kvr_httpc_lib_none.c
 * instead.
 */
#ifndef KVR_HTTPC_H
#define KVR_HTTPC_H

#include "kvr_connector.h"
#include "kvr_resolve.h"

#define KVR_HTTPC_URL_MAX 4096U
#define KVR_HTTPC_BODY_MAX KVR_MIB(1) /* of an answer */
#define KVR_HTTPC_AT_ONCE_MAX 1024U

struct kvr_httpc;

/* Everything but tls is read only while kvr_httpc_new runs. */
struct kvr_httpc_opts {
	const char *host;    /* of the URL; IPv6 without brackets */
	uint16_t    port;
	const struct kvr_addrs *addrs; /* addresses of host: no names are looked up in here */
	const char *agent;   /* User-Agent */
	const char *accept_encoding;
	const struct kvr_tls_opts *tls; /* NULL: plain; server_name is not supported here */
	uint64_t    connect_ns;
	uint64_t    idle_ns; /* a connection that was idle for so long is not reused */
	uint32_t    at_once; /* exchanges, 1 to KVR_HTTPC_AT_ONCE_MAX */
	uint32_t    piece;   /* bytes of a body that are taken at a time */
};

bool kvr_httpc_is_built(void);
/* Whether a kvr_httpc can be made with these files. CONFIG says what is missing. */
KVR_MUST_USE enum kvr_err kvr_httpc_check(const struct kvr_tls_opts *, char *why, size_t why_cap);

/* NOMEM with a sentence. Does not connect yet. */
KVR_MUST_USE enum kvr_err kvr_httpc_new(
    const struct kvr_httpc_opts *, struct kvr_httpc **ret, char *why, size_t why_cap);
/* Drops what is in flight. NULL is fine. */
void kvr_httpc_free(struct kvr_httpc *take);

enum kvr_httpc_method { KVR_HTTPC_GET, KVR_HTTPC_POST, KVR_HTTPC_PUT };

struct kvr_httpc_ask {
	enum kvr_httpc_method method;
	const char *path;    /* from '/' on, encoded; copied */
	const char *type;    /* Content-Type of PUT and POST; lives as long as the process */
	/* PUT: two spans, concatenated. Their memory must stay until end or free. */
	struct kvr_const_span body[2];
	uint64_t limit_ns;   /* longest time for the whole exchange */
};

/* The number that the next exchange will have; -1: at_once are in flight, or no memory. */
int32_t kvr_httpc_idle(struct kvr_httpc *);
/* Returns that number; -1 as above. */
int32_t kvr_httpc_start(struct kvr_httpc *, const struct kvr_httpc_ask *);

/*
 * KVR_OK: an answer has arrived, or nothing is in flight. TIMEOUT, CANCELLED. PROTO: no memory;
 * what is in flight will never end, and only kvr_httpc_free may follow. kick may be NULL.
 */
KVR_MUST_USE enum kvr_err kvr_httpc_wait(
    struct kvr_httpc *, uint64_t until_ns, struct kvr_kick *kick);

/* An exchange that is over and was not returned yet; -1: none. */
int32_t kvr_httpc_next(struct kvr_httpc *);

struct kvr_httpc_answer {
	enum kvr_err err;    /* OK: an answer came. DOWN, PROTO, AUTH: none did */
	uint32_t    status;  /* 200 */
	const char *type;    /* Content-Type; "" */
	struct kvr_const_span body; /* all of it if the status is 200, else the beginning */
	const char *why;     /* err: what happened, without the server's name */
};

/* Valid until kvr_httpc_end of this number. */
void kvr_httpc_answer(const struct kvr_httpc *, int32_t i, struct kvr_httpc_answer *ret);
/* Gives a number back. If it is still in flight, its connection is closed. */
void kvr_httpc_end(struct kvr_httpc *, int32_t i);
bool kvr_httpc_in_flight(const struct kvr_httpc *, int32_t i);

#endif
