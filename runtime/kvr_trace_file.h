/* SPDX-License-Identifier: Apache-2.0 */
/* Where a trace lives: the mapped file, and what happens to earlier files. */
#ifndef KVR_TRACE_FILE_H
#define KVR_TRACE_FILE_H

#include "kvr_trace.h"

struct kvr_trace_file {
	void    *at; /* zero bytes at first, shared with everybody who maps the file */
	uint64_t bytes;
	int      fd; /* locked as long as the process lives; -1: anonymous memory */
	char     path[320];
};

/*
 * Maps extra + ring bytes; if there is not enough room, the ring shrinks. why: "" when all is as
 * requested. NOMEM: not even anonymous memory.
 */
KVR_MUST_USE enum kvr_err kvr_trace_file_map(const struct kvr_trace_options *, uint64_t extra,
    struct kvr_trace_file *ret, char *why, size_t why_cap);
void kvr_trace_file_unmap(struct kvr_trace_file *);

#endif
