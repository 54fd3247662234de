/* SPDX-License-Identifier: Apache-2.0 */
/* The canary: a value that makes the round trip through a tier, periodically or on request. */
#ifndef KVR_CANARY_H
#define KVR_CANARY_H

#include "kvrelay.h"

struct kvr_msg;

KVR_MUST_USE enum kvr_err kvr_canary_open(struct kvr *);
/* False: it has not ended by until_ns; it was told to end, and a later call waits again. */
bool kvr_canary_end(struct kvr *, uint64_t until_ns);
/* Under the domain's guard. */
void kvr_canary_wish(struct kvr *, const struct kvr_msg *);
/*
 * One value through one tier; returns the error and at which step. OK after KVR_CANARY_COMPARE: the
 * store cannot delete. Blocks at most until until_ns.
 */
int32_t kvr_canary_run(struct kvr *, uint32_t tier, uint64_t until_ns, uint32_t *ret_step);
const char *kvr_canary_step_name(uint32_t step);

#endif
