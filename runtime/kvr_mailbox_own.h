/* SPDX-License-Identifier: Apache-2.0 */
/* What carries the messages of a mailbox with a function: nng, in kvr_mailbox_nng.c. */
#ifndef KVR_MAILBOX_OWN_H
#define KVR_MAILBOX_OWN_H

#include "kvr_mailbox.h"

enum { KVR_CARRIER_MAX = 8192 }; /* nng's limit for a buffer */

struct kvr_carrier;

/* fn runs on a thread of nng. The mailbox makes sure that at most `places` messages are inside. */
KVR_MUST_USE enum kvr_err kvr_carrier_open(
    const char *name, uint32_t places, kvr_mailbox_fn *fn, void *arg, struct kvr_carrier **ret);
/* After the last post. */
void kvr_carrier_close(struct kvr_carrier *take);
void kvr_carrier_post(struct kvr_carrier *, const struct kvr_msg *);

#endif
