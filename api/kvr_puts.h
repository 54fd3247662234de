/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys are being put: chains through the sides of the puts' keys. */
#ifndef KVR_PUTS_H
#define KVR_PUTS_H

#include "kvrelay.h"

#include "kvr_hash.h"

struct kvr_call;

enum { KVR_PUT_CHAINS = 65536 };

/* unique: returns false, and adds nothing, if one of its keys is already being put. */
bool kvr_puts_add(struct kvr *, const struct kvr_call *, bool unique);
void kvr_puts_drop(struct kvr *, const struct kvr_call *);
bool kvr_puts_has(struct kvr *, kvr_digest);

#endif
