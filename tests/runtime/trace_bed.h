/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of traces and replays begin with. Each fails where it does not succeed. */
#ifndef KVR_TEST_TRACE_BED_H
#define KVR_TEST_TRACE_BED_H

#include "kvr_replay.h"
#include "kvr_trace_view.h"

extern char bed_why[256];
extern struct kvr_replay_diff bed_diff; /* of the last bed_all_same */

/* dir "none": in memory only. keep: how many older files stay; 0 for the default. */
struct kvr_trace *bed_trace(const char *dir, uint64_t size, uint32_t keep);
struct kvr_trace_view *bed_copy(const struct kvr_trace *);
struct kvr_replay *bed_replay(const struct kvr_trace_view *);
/* Replays all of it and returns how many steps that were. */
uint64_t bed_all_same(const struct kvr_trace_view *);

#endif
