/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds of histograms. A dashboard made for LMCache finds exactly LMCache's bounds. All histograms
 * are counted with the union of all bounds, and each one shows only its own.
 */
#include "kvr_config.h"

#include <string.h>

static const uint32_t own_us[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
	250000, 500000, 1000000, 2500000, 5000000, 10000000 };

/* LMCache's defaults: for histograms in milliseconds, and in seconds. */
static const uint32_t ms_us[] = { 1000, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 250000,
	500000, 750000, 1000000, 2500000, 5000000, 7500000, 10000000 };
static const uint32_t s_us[] = { 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480,
	40960, 81920, 163840, 327680, 655360, 1310720, 2621440, 5242880 };

_Static_assert(KVR_LEN(own_us) <= KVR_CONFIG_BUCKETS_MAX &&
                   KVR_CONFIG_BUCKETS_MAX + KVR_LEN(ms_us) + KVR_LEN(s_us) <= KVR_BOUNDS_MAX,
    "where LMCache's are as ever, any bounds of our own fit");

const struct kvr_histogram kvr_histograms[KVR_HISTOGRAMS] = {
#define X(name, text, unit) [KVR_HISTOGRAM_##name] = { text, unit },
	KVR_HISTOGRAM_TABLE(X)
#undef X
};

const uint32_t *
kvr_config_own_bounds(const struct kvr_config *config, uint32_t *ret_n)
{
	*ret_n = config->metrics.n_buckets > 0 ? config->metrics.n_buckets : KVR_LEN(own_us);
	return config->metrics.n_buckets > 0 ? config->metrics.bucket_us : own_us;
}

const uint32_t *
kvr_config_lmcache_bounds(
    const struct kvr_config *config, enum kvr_histogram_id which, uint32_t *ret_n)
{
	const struct kvr_config_bounds *b = &config->lmcache.histogram[which];
	bool in_ms = kvr_histograms[which].unit_us == 1000;

	*ret_n = b->n > 0 ? b->n : in_ms ? KVR_LEN(ms_us) : KVR_LEN(s_us);
	return b->n > 0 ? b->us : in_ms ? ms_us : s_us;
}

/* us has n bounds, and room for n + n_more. */
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
kvr_config_bounds(const struct kvr_config *config, uint32_t ret_us[KVR_BOUNDS_MAX])
{
	uint32_t all[KVR_CONFIG_BUCKETS_MAX * (1 + KVR_HISTOGRAMS)], more, n = 0;
	const uint32_t *us = kvr_config_own_bounds(config, &more);

	n = merge(all, n, us, more);
	for (uint32_t h = 0; h < KVR_HISTOGRAMS; h++) {
		us = kvr_config_lmcache_bounds(config, (enum kvr_histogram_id)h, &more);
		n = merge(all, n, us, more);
	}
	memcpy(ret_us, all, KVR_MIN(n, (uint32_t)KVR_BOUNDS_MAX) * sizeof(*ret_us));
	return n;
}
