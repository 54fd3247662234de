/* SPDX-License-Identifier: Apache-2.0 */
/* What a store has in place of a key that it does not have: why an engine misses what is there. */
#ifndef KVR_NEAR_H
#define KVR_NEAR_H

#include "kvr_connector.h"

/*
 * The same chunk under a key of LMCache's form with another world size or dtype. Asks in one round
 * trip; true: ret says which and what is different.
 */
bool near_key(const struct kvr_connector_ops *, struct kvr_connector *, const char *key,
    uint64_t until_ns, char *ret, size_t cap);
/* The same key in another layout than opts->format. */
bool near_format(const struct kvr_connector_ops *, const struct kvr_store_opts *, const char *key,
    uint64_t until_ns, char *ret, size_t cap);

#endif
