/* SPDX-License-Identifier: Apache-2.0 */
/* Page-locked memory of the caller's, and the operations that use it. */
#ifndef KVR_REGION_H
#define KVR_REGION_H

#include "kvrelay.h"

#include <stdatomic.h>

struct kvr_call;

enum { KVR_REGIONS_MAX = 64 }; /* one bit each in kvr_call.regions */

/*
 * COMING, GOING: a thread is working on it; the memory can neither be used nor registered again
 * yet.
 */
enum kvr_region_state { KVR_REGION_NONE, KVR_REGION_COMING, KVR_REGION_LIVE, KVR_REGION_GOING };

/* One page-locked range of the caller's. Under region_lock, except users. */
struct kvr_region {
	enum kvr_region_state state;
	_Atomic uint32_t users; /* operations with places in it; increases under the lock, while LIVE */
	void            *at;    /* as it was given */
	uint64_t         len;
	uintptr_t        first; /* whole pages */
	uint64_t         bytes;
};

bool kvr_region_overlaps(const struct kvr_region *, uintptr_t at, uint64_t len);
/*
 * Whether all places of a batch are in registered memory, which is host memory. at and len were
 * checked.
 */
bool kvr_regions_hold(struct kvr *, const struct kvr_batch *);
/* Marks the regions in which an operation's places are as used, until its memory is quiet. */
void kvr_regions_use(struct kvr *, struct kvr_call *);
void kvr_regions_unuse(struct kvr *, struct kvr_call *);
/* Accepts no more, and gives back what nobody uses. hangs: a thread may hang in the driver. */
void kvr_regions_close(struct kvr *, bool hangs);
/* Gives back all that is left: no thread can touch it any more. */
void kvr_regions_free(struct kvr *);

#endif
