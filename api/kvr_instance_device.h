/* SPDX-License-Identifier: Apache-2.0 */
/* The device of an instance, whose memory payloads may lie in. */
#ifndef KVR_INSTANCE_DEVICE_H
#define KVR_INSTANCE_DEVICE_H

#include "kvrelay.h"

struct kvr_device;

/*
 * CONFIG: there is no device and the configuration insists. Call it on the thread of kvr_open: what
 * is current there is the engine's device.
 */
KVR_MUST_USE enum kvr_err kvr_device_take(struct kvr *, uint64_t until_ns, char *ret_why,
    size_t cap);
void kvr_device_give(struct kvr *);
/* The device in whose memory payloads may lie; NULL: there is none, all is the host's. */
const struct kvr_device *kvr_device_memory(const struct kvr *);

#endif
