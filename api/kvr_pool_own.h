/* SPDX-License-Identifier: Apache-2.0 */
/* What the pool's files share: where its slots come from. The lock must be held. */
#ifndef KVR_POOL_OWN_H
#define KVR_POOL_OWN_H

#include "kvr_pool.h"

/* Decides the size of a slot, once. False: no memory. */
bool kvr_pool_settle(struct kvr_pool *);
/* One part more; false: there are no more. */
bool kvr_pool_grow(struct kvr_pool *);

#endif
