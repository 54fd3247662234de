/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the caller's that is page-locked, and the operations that use it. */
#ifndef KVR_REGION_H
#define KVR_REGION_H

#include "kvrelay.h"

#include <stdatomic.h>

struct kvr_call;

enum { KVR_REGIONS_MAX = 64 }; /* a bit each in kvr_call.regions */

/* COMING, GOING: a thread is at it, and its memory is neither used nor anybody else's yet. */
enum kvr_region_state { KVR_REGION_NONE, KVR_REGION_COMING, KVR_REGION_LIVE, KVR_REGION_GOING };

/* Memory of the caller's that is page-locked. Under region_lock but for users. */
struct kvr_region {
	enum kvr_region_state state;
	_Atomic uint32_t users; /* operations with places in it; grows under the lock, while LIVE */
	void            *at;    /* as it was named */
	uint64_t         len;
	uintptr_t        first; /* whole pages */
	uint64_t         bytes;
};

/* All places of a batch lie in registered memory, which is the host's. at and len were checked. */
bool kvr_regions_hold(struct kvr *, const struct kvr_batch *);
/* An operation that was filled uses what its places lie in, until its memory is quiet. */
void kvr_regions_use(struct kvr *, struct kvr_call *);
void kvr_regions_unuse(struct kvr *, struct kvr_call *);
/* Takes no more, and gives back what nobody uses, or all. hangs: threads do, maybe below the driver. */
void kvr_regions_end(struct kvr *, bool all, bool hangs);

#endif
