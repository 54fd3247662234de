/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of a trace at one moment, and an index of its records. The trace may belong to a process
 * that is still writing it, to one that was killed, or to this one.
 */
#ifndef KVR_TRACE_VIEW_H
#define KVR_TRACE_VIEW_H

#include "kvr_trace.h"

struct kvr_trace_view;

/* This program's decider with that id; NULL: it has none. */
typedef const struct kvr_spec *kvr_spec_find_fn(uint16_t id);

/*
 * INVALID: no trace, or one of another version; DOWN: the file cannot be read; CORRUPT: the head is
 * damaged or no record is whole; NOMEM. why: a sentence with the path.
 */
KVR_MUST_USE enum kvr_err kvr_trace_view_open(const char *path, struct kvr_trace_view **ret,
    char *why, size_t why_cap);
/* The same from memory: kvr_trace_bytes. */
KVR_MUST_USE enum kvr_err kvr_trace_view_copy(const void *bytes, uint64_t len,
    struct kvr_trace_view **ret, char *why, size_t why_cap);
void kvr_trace_view_free(struct kvr_trace_view *take); /* NULL is fine */

/* Whatever is in the file, texts of the head and the actors end with a NUL and can be printed. */
const struct kvr_trace_head  *kvr_trace_view_head(const struct kvr_trace_view *);
const struct kvr_trace_actor *kvr_trace_view_actors(const struct kvr_trace_view *, uint32_t *ret_n);
const char *kvr_trace_view_config(const struct kvr_trace_view *, size_t *ret_len);

/* Records by index, oldest first, without the padding at the end of the ring. */
uint64_t              kvr_trace_view_count(const struct kvr_trace_view *);
const struct kvr_rec *kvr_trace_view_at(const struct kvr_trace_view *, uint64_t index);
/* The index of the first record with at least this number; count if there is none. */
uint64_t kvr_trace_view_find(const struct kvr_trace_view *, uint64_t number);

/*
 * Where a replay must begin to reach `index`: the record after the newest whole snapshot before it,
 * or 0 if the trace still has its beginning. ret_snapshot: the first record of that snapshot,
 * UINT64_MAX for the beginning. False: nothing before `index` can be replayed.
 */
KVR_MUST_USE bool kvr_trace_view_start(const struct kvr_trace_view *, uint64_t index,
    uint64_t *ret_start, uint64_t *ret_snapshot);
/* The lowest index that a replay can reach; count if there is none. */
uint64_t kvr_trace_view_first_start(const struct kvr_trace_view *);

/* "", or what is wrong behind the last good record: "record 17 is damaged", for example. */
const char *kvr_trace_view_tail(const struct kvr_trace_view *);

/* A record as its own type; the kind must fit. */
static inline const struct kvr_rec_step *
kvr_rec_step(const struct kvr_rec *r)
{
	KVR_CHECK(r->kind == KVR_REC_STEP);
	return (const struct kvr_rec_step *)(const void *)r;
}

static inline const struct kvr_rec_state *
kvr_rec_state(const struct kvr_rec *r)
{
	KVR_CHECK(r->kind == KVR_REC_STATE);
	return (const struct kvr_rec_state *)(const void *)r;
}

static inline const struct kvr_rec_text *
kvr_rec_text(const struct kvr_rec *r)
{
	KVR_CHECK(r->kind == KVR_REC_TEXT);
	return (const struct kvr_rec_text *)(const void *)r;
}

static inline const struct kvr_rec_mark *
kvr_rec_mark(const struct kvr_rec *r)
{
	KVR_CHECK(r->kind == KVR_REC_MARK);
	return (const struct kvr_rec_mark *)(const void *)r;
}

#endif
