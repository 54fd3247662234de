/* SPDX-License-Identifier: Apache-2.0 */
/* What kvr_httpc_lib.c does itself: bodies as they go out and come in, and where the server is. */
#ifndef KVR_HTTPC_PART_H
#define KVR_HTTPC_PART_H

#include "kvr_httpc.h"

/* A request's body: two spans, one behind the other. */
struct kvr_httpc_out {
	struct kvr_const_span span[2];
	uint64_t at;    /* bytes that have been taken */
	uint32_t piece; /* at most so many at a time */
};

uint64_t kvr_httpc_out_len(const struct kvr_httpc_out *);
size_t kvr_httpc_out_take(struct kvr_httpc_out *, char *to, size_t max);

/* An answer as it comes. */
struct kvr_httpc_in {
	uint32_t status;
	bool     heads_over, has_coding;
	bool     enough;   /* the rest is not worth waiting for: the status says it all */
	bool     too_long; /* or there is no memory for it */
	char    *at;
	size_t   len, cap;
	uint64_t came;
};

/* Of the buffer only what is worth keeping stays. */
void kvr_httpc_in_begin(struct kvr_httpc_in *);
/* A line of the heads, that of the status left out. True: it was the last one. */
bool kvr_httpc_in_header(struct kvr_httpc_in *, const char *line, size_t len, uint32_t status);
/* After the last line: how long the body will be, -1: nobody said. False: stop reading. */
bool kvr_httpc_in_announced(struct kvr_httpc_in *, int64_t len);
bool kvr_httpc_in_body(struct kvr_httpc_in *, const char *from, size_t len);

/*
 * "https://host:port", and "host:port:address,..." of what a resolver would be asked otherwise; ""
 * for a host that is an address. False: does not fit.
 */
bool kvr_httpc_base(const struct kvr_httpc_opts *, char *ret, size_t cap);
bool kvr_httpc_resolved(const struct kvr_httpc_opts *, char *ret, size_t cap);

/* Whether the files can be read; why: which one cannot. */
bool kvr_httpc_files(const struct kvr_tls_opts *, char *why, size_t why_cap);

#endif
