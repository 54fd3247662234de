/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the tier's own certificate (tls.cert) is good. A server that does not ask for it says nothing, and
 * one that does refuses it on the day that it ends: so it is looked at before.
 */
#ifndef KVR_TLS_OWN_H
#define KVR_TLS_OWN_H

#include "kvr_connector.h"
#include "kvr_finding.h"

/* For whoever opens a store: "", or that its time is over or has not come. */
void kvr_tls_own_remark(const struct kvr_tls_opts *, char *ret, size_t cap);
/* How long it is good, where that is nothing for the remark. Without tls.cert nothing is found. */
void kvr_tls_own_examine(const struct kvr_tls_opts *, const struct kvr_examination *);

#endif
