/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a batch has to end now: for stores that check between two slices instead of in poll(). */
#ifndef KVR_STOP_H
#define KVR_STOP_H

#include "kvr_connector.h"

/* How much is moved between two checks: well below a millisecond of copying. */
#define KVR_STOP_SLICE ((size_t)KVR_MIB(1))

static inline enum kvr_err
kvr_stop(struct kvr_kick *kick, uint64_t until_ns)
{
	if (kick != NULL && kvr_kicked(kick))
		return KVR_E_CANCELLED;
	return kvr_now_ns() >= until_ns ? KVR_E_TIMEOUT : KVR_OK;
}

#endif
