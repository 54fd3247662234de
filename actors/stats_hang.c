/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a tier whose lanes hang: the same words wherever its state is shown. */
#include "kvr_stats.h"

#include <inttypes.h>
#include <stdio.h>

bool
kvr_stats_hang_text(
    const struct kvr_stats_tier *t, uint32_t tier, uint64_t now_ns, char *ret, size_t cap)
{
	const struct kvr_stats_lane *longest = NULL;
	uint32_t n = 0;

	for (uint32_t l = 0; l < t->n_lanes && l < KVR_LANES_MAX; l++) {
		const struct kvr_stats_lane *lane = &t->lane[l];

		n += lane->stuck != 0;
		if (lane->stuck && (longest == NULL || lane->stuck_ns < longest->stuck_ns))
			longest = lane;
	}
	if (longest == NULL)
		return false;
	snprintf(ret, cap, "%u of %u lanes %s (thread kvr-lane-%u.%u) for %" PRIu64 " s", n,
	    t->n_lanes, n == 1 ? "hangs" : "hang, one of them", tier,
	    (uint32_t)(longest - t->lane),
	    (now_ns - KVR_MIN(longest->stuck_ns, now_ns)) / UINT64_C(1000000000));
	return true;
}
