/* SPDX-License-Identifier: Apache-2.0 */
/* The stores that are compiled in. connectors/registry.c is the only place that lists them. */
#ifndef KVR_CONNECTORS_H
#define KVR_CONNECTORS_H

#include "kvr_connector.h"

extern const struct kvr_connector_ops kvr_memory_ops, kvr_fs_ops, kvr_redis_ops, kvr_valkey_ops,
    kvr_resp_ops, kvr_lm_ops, kvr_hyperpod_ops, kvr_eic_ops, kvr_blackhole_ops, kvr_mock_ops,
    kvr_redis_cluster_ops, kvr_valkey_cluster_ops;
/* Wraps one of them; no URL leads to it. */
extern const struct kvr_connector_ops kvr_fault_ops;

#endif
