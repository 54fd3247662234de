/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of payloads: read from the caller's struct, and cut to a length. */
#ifndef KVR_LAYOUT_H
#define KVR_LAYOUT_H

#include "kvrelay.h"

#include "kvr_meta.h"

KVR_MUST_USE enum kvr_err kvr_layout_read(const struct kvr_layout *, struct kvr_meta *ret,
    uint64_t *ret_bytes);
/* The shape of len bytes of it; false: not a whole number of tokens. */
bool kvr_layout_cut(const struct kvr_meta *full, uint64_t full_bytes, uint64_t len,
    struct kvr_meta *ret);

#endif
