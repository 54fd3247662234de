/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a trace as a trace of its own: for a bug report, or to be kept as a test. */
#ifndef KVR_TRACE_CUT_H
#define KVR_TRACE_CUT_H

#include "kvr_replay.h"

struct kvr_trace_cut {
	uint64_t first, end; /* indices of records; end is the first that is left out */
	/* Which actors; NULL: all. If set, steps are recorded with all rows that they read. */
	bool (*wants)(void *arg, uint16_t id);
	void *arg;
	/*
	 * Leaves out what identifies users and machines: texts of keys and requests, the request's
	 * hash, configuration, instance, process, date. Digests of keys stay, because without them
	 * nothing can be replayed.
	 */
	bool for_report;
};

/*
 * The cut begins with a snapshot made at `first`, unless that is the beginning. MISS: the replay
 * cannot get there; CORRUPT: it differs before that; DOWN: the file cannot be written. why: a
 * sentence.
 */
KVR_MUST_USE enum kvr_err kvr_trace_cut(const struct kvr_trace_view *, struct kvr_replay *,
    const struct kvr_trace_cut *, const char *path, char *why, size_t why_cap);

#endif
