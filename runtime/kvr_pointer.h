/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CUDA's driver knows of an address. We ask the driver and not CUDA's runtime, whose query
 * creates a context on the calling thread's device: an engine's side thread that has chosen none
 * would take some hundred MiB of device 0 in every rank of a node, and after a reset the device
 * would be set up again.
 */
#ifndef KVR_POINTER_H
#define KVR_POINTER_H

#include "kvr_err.h"

/* NOBODYS: neither the driver's nor page-locked memory; most often ordinary host memory. */
enum kvr_pointer_type {
	KVR_POINTER_NOBODYS,
	KVR_POINTER_LOCKED,
	KVR_POINTER_DEVICE,
	KVR_POINTER_MANAGED
};

struct kvr_pointer {
	enum kvr_pointer_type type;
	int device; /* of DEVICE: its number */
};

/* False: the driver does not say; it is missing or its context is lost. Any thread; never waits. */
bool kvr_pointer_look(const void *at, struct kvr_pointer *ret);

/*
 * Unlocks page-locked memory, whatever device the thread has chosen and whatever is captured
 * meanwhile. (The runtime's call, too, would create a context, and would abort a graph that another
 * thread captures.) False: it is still locked.
 */
bool kvr_pointer_unlock(void *at);

#endif
