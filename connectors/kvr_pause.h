/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until an instant, for stores that make time pass instead of moving bytes. */
#ifndef KVR_PAUSE_H
#define KVR_PAUSE_H

#include "kvr_connector.h"

/* KVR_OK at at_ns; TIMEOUT at until_ns and CANCELLED at a kick, if they come first. */
enum kvr_err kvr_pause(struct kvr_kick *, uint64_t at_ns, uint64_t until_ns);

#endif
