/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do we decide the same today? Rebuilds the deciders of a trace and gives them the recorded events
 * again: no thread, no clock, no connector. Every step must come out as recorded, bit for bit.
 */
#ifndef KVR_REPLAY_H
#define KVR_REPLAY_H

#include "kvr_trace_view.h"

struct kvr_replay;

enum kvr_replay_what {
	KVR_REPLAY_SAME,
	KVR_REPLAY_BEFORE,  /* another state before the step: records are missing or changed */
	KVR_REPLAY_AFTER,   /* another state after it */
	KVR_REPLAY_EFFECTS, /* another number of effects */
	KVR_REPLAY_DIGEST,  /* other bytes in the state, in the effects or in the rows */
	KVR_REPLAY_BROKEN,  /* an invariant breaks that held when it was recorded */
	KVR_REPLAY_WHOLE,   /* an invariant holds that broke when it was recorded */
	KVR_REPLAY_SNAPSHOT /* at a snapshot, the state is not the recorded one */
};

struct kvr_replay_diff {
	enum kvr_replay_what what;
	uint16_t actor, type; /* type: of the message */
	uint64_t index, number; /* of the record */
	uint32_t state_then, state_now;
	uint64_t digest_then, digest_now;
	char     text[320]; /* all of it in one line */
};

/*
 * The view stays the caller's and must live longer. UNSUPPORTED: this program lacks an actor of the
 * trace, or has it with other states, messages, fields or size; why names the first one. anyway:
 * only a missing actor or another size counts.
 */
KVR_MUST_USE enum kvr_err kvr_replay_open(const struct kvr_trace_view *, kvr_spec_find_fn *find,
    bool anyway, struct kvr_replay **ret, char *why, size_t why_cap);
void kvr_replay_free(struct kvr_replay *take); /* NULL is fine */

/*
 * Moves to just before record `index`, also backwards. MISS: the trace has no snapshot that old;
 * CORRUPT: a difference on the way, in ret; the replay then stands behind it.
 */
KVR_MUST_USE enum kvr_err kvr_replay_seek(struct kvr_replay *, uint64_t index,
    struct kvr_replay_diff *ret);
/* One record. MISS: none is left. CORRUPT: it came out differently, see ret. */
KVR_MUST_USE enum kvr_err kvr_replay_next(struct kvr_replay *, struct kvr_replay_diff *ret);
/* From the oldest possible start to the end. OK: all as recorded; ret_steps: number of steps. */
KVR_MUST_USE enum kvr_err kvr_replay_all(struct kvr_replay *, uint64_t *ret_steps,
    struct kvr_replay_diff *ret);

/*
 * Raises SIGTRAP just before the step of this number; a debugger is then one `step` away from its
 * handler. 0: never.
 */
void kvr_replay_break_at(struct kvr_replay *, uint64_t step);

uint64_t kvr_replay_position(const struct kvr_replay *); /* index of the next record */
/* NULL: no such actor. Its state is valid until the next call. */
const struct kvr_actor *kvr_replay_actor(const struct kvr_replay *, uint16_t id);
/* The effects of the last step. */
const struct kvr_out   *kvr_replay_out(const struct kvr_replay *);

#endif
