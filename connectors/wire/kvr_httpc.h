/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 to one server, as many exchanges at once as the lane wants: each has a connection while
 * it lasts, connections are kept and used again. One thread owns all of it, and nothing here waits
 * but kvr_httpc_wait.
 *
 *   i = kvr_httpc_start(h, &ask)         the request leaves with the next wait
 *   kvr_httpc_wait(h, until_ns, kick)    until an answer is there
 *   i = kvr_httpc_next(h)                its number; kvr_httpc_answer says what came
 *   kvr_httpc_end(h, i)                  the number is free again
 *
 * kvr_httpc_lib.c does it with libcurl. A build without it has kvr_httpc_lib_none.c in its place.
 */
#ifndef KVR_HTTPC_H
#define KVR_HTTPC_H

#include "kvr_connector.h"
#include "kvr_resolve.h"

#define KVR_HTTPC_URL_MAX 4096U
#define KVR_HTTPC_BODY_MAX KVR_MIB(1) /* of an answer */
#define KVR_HTTPC_AT_ONCE_MAX 1024U

struct kvr_httpc;

/* All but tls is only read while kvr_httpc_new runs. */
struct kvr_httpc_opts {
	const char *host;    /* of the URL; IPv6 without brackets */
	uint16_t    port;
	const struct kvr_addrs *addrs; /* where host is: nobody looks names up in here */
	const char *agent;   /* User-Agent */
	const char *accept_encoding;
	const struct kvr_tls_opts *tls; /* NULL: plain; server_name is not for here */
	uint64_t    connect_ns;
	uint64_t    idle_ns; /* a connection that was idle so long is not used again */
	uint32_t    at_once; /* exchanges, 1 to KVR_HTTPC_AT_ONCE_MAX */
	uint32_t    piece;   /* bytes of a body that are taken at a time */
};

bool kvr_httpc_is_built(void);
/* Whether there can be a kvr_httpc with these files: CONFIG says what is missing. */
KVR_MUST_USE enum kvr_err kvr_httpc_check(const struct kvr_tls_opts *, char *why, size_t why_cap);

/* NOMEM with a sentence. Connects nothing yet. */
KVR_MUST_USE enum kvr_err kvr_httpc_new(
    const struct kvr_httpc_opts *, struct kvr_httpc **ret, char *why, size_t why_cap);
/* Drops what is in flight. NULL is fine. */
void kvr_httpc_free(struct kvr_httpc *take);

enum kvr_httpc_method { KVR_HTTPC_GET, KVR_HTTPC_POST, KVR_HTTPC_PUT };

struct kvr_httpc_ask {
	enum kvr_httpc_method method;
	const char *path;    /* from '/' on, encoded; copied */
	const char *type;    /* Content-Type of PUT and POST; lives as long as the process */
	/* PUT: one behind the other. What they point to stays until end or free. */
	struct kvr_const_span body[2];
	uint64_t limit_ns;   /* longest time for the whole exchange */
};

/* The number that the next exchange will have; -1: at_once are in flight, or no memory. */
int32_t kvr_httpc_idle(struct kvr_httpc *);
/* That number; -1 as above. */
int32_t kvr_httpc_start(struct kvr_httpc *, const struct kvr_httpc_ask *);

/*
 * KVR_OK: an answer is there, or nothing is in flight. TIMEOUT, CANCELLED. PROTO: there was no memory
 * to go on with, what is in flight will never be over, and kvr_httpc_free is left. kick may be NULL.
 */
KVR_MUST_USE enum kvr_err kvr_httpc_wait(
    struct kvr_httpc *, uint64_t until_ns, struct kvr_kick *kick);

/* One that is over and has not been given out; -1: none. */
int32_t kvr_httpc_next(struct kvr_httpc *);

struct kvr_httpc_answer {
	enum kvr_err err;    /* OK: an answer came. DOWN, PROTO, AUTH: none did */
	uint32_t    status;  /* 200 */
	const char *type;    /* Content-Type; "" */
	struct kvr_const_span body; /* of a 200 all of it, else the beginning */
	const char *why;     /* err: what happened, without the server's name */
};

/* Good until kvr_httpc_end of this number. */
void kvr_httpc_answer(const struct kvr_httpc *, int32_t i, struct kvr_httpc_answer *ret);
/* Gives a number back, also one that is in flight: its connection is then closed. */
void kvr_httpc_end(struct kvr_httpc *, int32_t i);
bool kvr_httpc_in_flight(const struct kvr_httpc *, int32_t i);

#endif
