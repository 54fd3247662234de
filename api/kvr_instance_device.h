/* SPDX-License-Identifier: Apache-2.0 */
/* The device of an instance, in whose memory payloads may be. */
#ifndef KVR_INSTANCE_DEVICE_H
#define KVR_INSTANCE_DEVICE_H

#include "kvrelay.h"

struct kvr_device;

/*
 * CONFIG: there is no device and the configuration insists on one. Call it on the thread of
 * kvr_open: the device that is current there is the engine's.
 */
KVR_MUST_USE enum kvr_err kvr_device_take(struct kvr *, uint64_t until_ns, char *ret_why,
    size_t cap);
void kvr_device_give(struct kvr *);
/* The device in whose memory payloads may be; NULL: none, all are in host memory. */
const struct kvr_device *kvr_device_memory(const struct kvr *);

#endif
