/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is bounded, and by how much. Tables have these sizes, the configuration may lower some of
 * them, and the sum of memory that `kvrelay config check` prints is computed from them.
 */
#ifndef KVR_LIMITS_H
#define KVR_LIMITS_H

#include "kvr_base.h"

enum {
	KVR_OPS_MAX = 1024,   /* operations in flight per instance */
	KVR_KEYS_MAX = 65536, /* keys of all operations in flight; also the longest batch */
	KVR_TIERS_MAX = 8,
	KVR_LANES_MAX = 16, /* per tier */
	KVR_CLUSTER_HELPERS = 7, /* extra threads of a cluster's lane: it talks to 8 nodes at once */
	KVR_CLUSTER_NODES = 32, /* masters of one cluster; a lane connects to those it needs */
	KVR_CLUSTER_NODE_BYTES = 131072,  /* memory of one such connection, at most */
	KVR_REPLICA_BYTES = 393216, /* of a lane that reads from replicas: answers on trial */
	KVR_DIRECT_STAGE_BYTES = 1048576, /* buffer of a lane that bypasses the page cache */
	KVR_DEVICE_STAGE_BYTES = 8388608, /* of the device's memory per slot of a stage; two slots each way */
	KVR_DEVICE_STAGE_SPARE = 65792,   /* and behind it room for one more piece, wherever that is aligned */
	KVR_DEVICE_STAGE_SLOTS = 2,
	KVR_SERDE_MAX = 8,                /* threads of the serde pool */
	KVR_STAGING_MAX = 4096,           /* staging slots */
	KVR_TEXT_MAX = 16777216,          /* bytes of key text in flight */
	KVR_RUNS_MAX = 4194304,           /* runs of cache slots in flight, of 8 bytes each */

	/*
	 * A part is what one lane does at a time: up to 16 keys or 8 MiB of one operation for one
	 * tier. Lookups, which move no payload, use wide parts: one round trip for a whole batch.
	 * So does payload of many keys, if the store has a window of requests. Such a part is long,
	 * because at its end the window drains, which takes as long as the last value. 32 MiB are
	 * eight values of 4 MiB, or 10 ms of a fast connection: that is how long others wait for
	 * the lane, and how much is in flight during a round trip of 10 ms.
	 */
	KVR_PART_KEYS = 16,
	KVR_PARTS_SMALL = 1024,
	KVR_WIDE_KEYS = 1024,
	KVR_PARTS_WIDE = 32,
	KVR_PARTS_MAX = KVR_PARTS_SMALL + KVR_PARTS_WIDE,
	KVR_PART_BYTES = 8388608,
	KVR_LONG_BYTES = 33554432,

	KVR_SLICE_KEYS = 1024, /* keys of one operation that one step looks at */
	KVR_BOUNDS_MAX = 63,   /* bounds of one histogram */
	KVR_PAGE = 4096,       /* unit and alignment of staging memory */
	/*
	 * Pages that a driver locks at a time; some drivers refuse one registration of 512 GiB. No
	 * value in a staging slot crosses from one such range into the next, because a driver takes
	 * them for unrelated memory and refuses a copy that begins in one and ends in the other.
	 */
	KVR_LOCK_PAGES = 16777216,
	KVR_VALUE_PAGES = 1048576 /* of the longest value */
};

#endif
