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
/* How a canary went. err OK after KVR_CANARY_COMPARE: the store cannot delete. */
struct kvr_canary_end {
	int32_t  err;
	uint32_t step; /* enum kvr_canary_step: where it ended */
	char     why[KVR_WHY_MAX]; /* in words, without the tier's name; "": there are none */
};
/* One value through one tier. Blocks at most until until_ns. */
void kvr_canary_run(
    struct kvr *, uint32_t tier, uint64_t until_ns, struct kvr_canary_end *ret);
const char *kvr_canary_step_name(uint32_t step);

#endif
