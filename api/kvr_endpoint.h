/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics over HTTP. */
#ifndef KVR_ENDPOINT_H
#define KVR_ENDPOINT_H

#include "kvrelay.h"

/* Opens what metrics.listen names; does nothing without it. CONFIG: an impossible address. */
KVR_MUST_USE enum kvr_err kvr_endpoint_open(struct kvr *, char *ret_why, size_t cap);
/* False: its thread hangs in the log function, and stays. */
bool kvr_endpoint_close(struct kvr *, uint64_t until_ns);

#endif
