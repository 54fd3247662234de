/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of histograms. A dashboard made for LMCache finds its bounds exactly, so they are all in. */
#include "kvr_stats_own.h"

#include <string.h>

static const uint32_t own_us[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
	250000, 500000, 1000000, 2500000, 5000000, 10000000 };

const uint32_t kvr_bounds_ms[KVR_BOUNDS_MS_N] = { 1000, 5000, 10000, 20000, 40000, 60000, 80000,
	100000, 250000, 500000, 750000, 1000000, 2500000, 5000000, 7500000, 10000000 };

const uint32_t kvr_bounds_s[KVR_BOUNDS_S_N] = { 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120,
	10240, 20480, 40960, 81920, 163840, 327680, 655360, 1310720, 2621440, 5242880 };

_Static_assert(KVR_LEN(own_us) <= KVR_CONFIG_BUCKETS_MAX &&
	KVR_CONFIG_BUCKETS_MAX + KVR_BOUNDS_MS_N + KVR_BOUNDS_S_N <= KVR_BOUNDS_MAX,
    "all bounds at once fit");

uint32_t
kvr_stats_own_bounds(const struct kvr_config *config, uint32_t ret_us[KVR_BOUNDS_MAX])
{
	uint32_t n = config->metrics.n_buckets;

	if (n > 0) {
		memcpy(ret_us, config->metrics.bucket_us, n * sizeof(*ret_us));
		return n;
	}
	memcpy(ret_us, own_us, sizeof(own_us));
	return KVR_LEN(own_us);
}

static uint32_t
merge(uint32_t *us, uint32_t n, const uint32_t *more, uint32_t n_more)
{
	for (uint32_t i = 0; i < n_more; i++) {
		uint32_t at = n;

		while (at > 0 && us[at - 1] > more[i])
			at--;
		if (at > 0 && us[at - 1] == more[i])
			continue;
		memmove(&us[at + 1], &us[at], (n - at) * sizeof(*us));
		us[at] = more[i];
		n++;
	}
	return n;
}

uint32_t
kvr_stats_bounds(const struct kvr_config *config, uint32_t ret_us[KVR_BOUNDS_MAX])
{
	uint32_t n = kvr_stats_own_bounds(config, ret_us);

	n = merge(ret_us, n, kvr_bounds_ms, KVR_BOUNDS_MS_N);
	return merge(ret_us, n, kvr_bounds_s, KVR_BOUNDS_S_N);
}
