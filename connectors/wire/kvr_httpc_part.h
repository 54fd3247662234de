/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kvr_httpc_lib.c does without libcurl: bodies on their way out and in, and the server's
 * address.
 */
#ifndef KVR_HTTPC_PART_H
#define KVR_HTTPC_PART_H

#include "kvr_httpc.h"

/* A request's body: two spans, concatenated. */
struct kvr_httpc_out {
	struct kvr_const_span span[2];
	uint64_t at;    /* bytes taken so far */
	uint32_t piece; /* at most so many bytes at a time */
};

uint64_t kvr_httpc_out_len(const struct kvr_httpc_out *);
size_t kvr_httpc_out_take(struct kvr_httpc_out *, char *to, size_t max);

/* An answer as it arrives. */
struct kvr_httpc_in {
	uint32_t status;
	bool     heads_over, has_coding;
	bool     enough;   /* the rest need not be read: the status says everything */
	bool     too_long; /* or there is no memory for it */
	char    *at;
	size_t   len, cap;
	uint64_t came;
};

/* Keeps of the buffer only what is worth reusing. */
void kvr_httpc_in_begin(struct kvr_httpc_in *);
/* A header line, not the status line. True: it was the last one. */
bool kvr_httpc_in_header(struct kvr_httpc_in *, const char *line, size_t len, uint32_t status);
/* After the last header line: the length of the body, -1: unknown. False: stop reading. */
bool kvr_httpc_in_announced(struct kvr_httpc_in *, int64_t len);
bool kvr_httpc_in_body(struct kvr_httpc_in *, const char *from, size_t len);

/*
 * "https://host:port", and "host:port:address,..." with what a resolver would return; "" if host is
 * an address. False: does not fit.
 */
bool kvr_httpc_base(const struct kvr_httpc_opts *, char *ret, size_t cap);
bool kvr_httpc_resolved(const struct kvr_httpc_opts *, char *ret, size_t cap);

/* Whether the files can be read; if not, why says which one. */
bool kvr_httpc_files(const struct kvr_tls_opts *, char *why, size_t why_cap);

#endif
