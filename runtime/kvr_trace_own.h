/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the writer: kvr_trace.c records steps, kvr_trace_shot.c writes snapshots,
 * kvr_trace_save.c makes a small file of a trace in memory.
 */
#ifndef KVR_TRACE_OWN_H
#define KVR_TRACE_OWN_H

#include "kvr_trace.h"

#include "kvr_trace_file.h"
#include "kvr_trace_ring.h"

enum {
	KVR_TRACE_SEEN = KVR_ROWS_MAX - KVR_ROWS_PARTS,
	KVR_TRACE_SEEN_BYTES = KVR_TRACE_SEEN * (int)sizeof(struct kvr_row),
	KVR_TRACE_ROWS_PAGE = KVR_PAGE / (int)sizeof(struct kvr_row)
};

/* The snapshot that is being written, or else the next one. */
struct kvr_trace_shot {
	bool     running;
	uint64_t due;   /* in bytes ever written */
	uint64_t from;  /* where it began */
	uint64_t last;  /* where its last share ended */
	uint32_t actor; /* index of the one being written; past the last: the rows */
	uint32_t line;  /* its next line; for the rows: the next page */
};

struct kvr_trace {
	struct kvr_trace_file  file;
	struct kvr_trace_head *head;
	struct kvr_ring        ring;
	struct kvr_trace_shot  shot;
	uint16_t        place[KVR_ID_N]; /* of an actor in the table, + 1 */
	struct kvr_row *seen;            /* the rows of parts, as deciders know them */
	bool seen_page[(KVR_TRACE_SEEN + KVR_TRACE_ROWS_PAGE - 1) / KVR_TRACE_ROWS_PAGE];
};

/* Notes rows that a decider has been given or has written. */
void kvr_trace_remember(struct kvr_trace *, uint32_t first, const struct kvr_row *, uint32_t n);
/* After a step of it: rewrites lines that a running snapshot has already written. */
void kvr_trace_changed(struct kvr_trace *, const struct kvr_actor *);

#endif
