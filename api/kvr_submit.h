/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting and waiting, for functions built on top of the two. */
#ifndef KVR_SUBMIT_H
#define KVR_SUBMIT_H

#include "kvrelay.h"

/* In more_flags of kvr_submit_with: tier + 1; only this tier is asked, as background work. */
#define KVR_ONLY_SHIFT 24
#define KVR_ONLY(tier) (((tier) + 1U) << KVR_ONLY_SHIFT)

KVR_MUST_USE enum kvr_err kvr_submit_with(struct kvr *, const struct kvr_batch *,
    const struct kvr_opts *, uint32_t more_flags, uint32_t teller, kvr_op *ret);
/* KVR_OK: outcomes were reported; otherwise why not. quiet: not before the memory is quiet. */
KVR_MUST_USE enum kvr_err kvr_wait_for(struct kvr *, kvr_op, uint64_t until_ns, bool quiet,
    struct kvr_done *ret, struct kvr_results *res);
/* The caller must have marked it as cancelled, which bounds the number of cancels. */
enum kvr_err kvr_call_cancel(struct kvr *, kvr_op);

#endif
