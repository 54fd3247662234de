/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the tier's own certificate (tls.cert) is valid. A server that does not ask for it says
 * nothing, and one that does refuses it on the day it expires. So check it before.
 */
#ifndef KVR_TLS_CERT_H
#define KVR_TLS_CERT_H

#include "kvr_connector.h"
#include "kvr_finding.h"

/* For opening a store: "", or that it has expired or is not valid yet. */
void kvr_tls_cert_remark(const struct kvr_tls_opts *, char *ret, size_t cap);
/* How long it is valid, unless the remark applies. Without tls.cert: no finding. */
void kvr_tls_cert_examine(const struct kvr_tls_opts *, const struct kvr_examination *);

#endif
