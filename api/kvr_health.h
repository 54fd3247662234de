/* SPDX-License-Identifier: Apache-2.0 */
/* The state of an instance, and how fast its gets are. */
#ifndef KVR_HEALTH_H
#define KVR_HEALTH_H

#include "kvrelay.h"

#include <stdatomic.h>

struct kvr_call;
struct kvr_outcome;

/* Moving averages; written under the domain's guard only. */
struct kvr_pace {
	_Atomic uint64_t rtt_ns;
	_Atomic uint64_t bytes_per_s;
	_Atomic uint64_t ahead; /* bytes of gets in flight; written by all threads */
};

/* No tier accepts operations, not even to let them wait for a connection. */
bool kvr_all_down(struct kvr *);
void kvr_pace_note(struct kvr *, const struct kvr_call *, const struct kvr_outcome *);

#endif
