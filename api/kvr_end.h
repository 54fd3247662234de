/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an instance: its calls, its operations, its threads and its memory. */
#ifndef KVR_END_H
#define KVR_END_H

#include "kvrelay.h"

/* Returns when no call is inside the gate, which must be closed. */
void kvr_wait_outside(struct kvr *);
/*
 * Ends what the router will not answer any more; one thread at a time. quiet: no worker touches
 * memory.
 */
void kvr_call_end_all(struct kvr *, int32_t err, bool quiet);
/* Number of keys whose memory is in use. */
uint64_t kvr_call_not_quiet(struct kvr *);
/* Ends the system's threads. Returns how many have not ended by until_ns; may be called again. */
uint32_t kvr_join_system(struct kvr *, uint64_t until_ns);
void     kvr_instance_free(struct kvr *take);

#endif
