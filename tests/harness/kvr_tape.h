/* SPDX-License-Identifier: Apache-2.0 */
/* Records a simulated world as an instance records itself. */
#ifndef KVR_HARNESS_TAPE_H
#define KVR_HARNESS_TAPE_H

#include "kvr_sim.h"
#include "kvr_trace.h"

struct kvr_tape {
	struct kvr_trace *trace; /* NULL: not recorded */
	struct kvr_event  running;
	struct kvr_row    rows[KVR_SLICE_KEYS];
};

/* All actors of the world, which has not begun. False: no memory. */
bool kvr_tape_open(struct kvr_tape *, struct kvr_sim *, uint64_t ring_bytes, const char *instance);
/* For kvr_sim_watch. */
void kvr_tape_before(struct kvr_tape *, const struct kvr_event *);
void kvr_tape_after(struct kvr_tape *, struct kvr_sim *, const struct kvr_actor *,
    uint32_t state_before, uint64_t digest, const struct kvr_out *);

#endif
