/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.buckets: ascending durations separated by blanks or commas, converted to microseconds. */
#include "kvr_config_own.h"

#include <string.h>

/* Reads one word of the text and moves *at past it. False: none is left. */
static bool
word(const char **at, char *ret, size_t cap)
{
	*at += strspn(*at, " ,\t");
	size_t len = strcspn(*at, " ,\t");

	if (len == 0)
		return false;
	ret[0] = '\0';
	if (len < cap) {
		memcpy(ret, *at, len);
		ret[len] = '\0';
	}
	*at += len;
	return true;
}

void
kvr_derive_buckets(struct kvr_load *load)
{
	struct kvr_config *cfg = load->cfg;
	const struct kvr_place place = { kvr_option_find(false, "metrics.buckets", 15), -1 };
	const struct kvr_origin *origin = kvr_place_origin(cfg, place);
	const char *at = cfg->metrics.buckets;
	char text[24];

	cfg->metrics.n_buckets = 0;
	while (at != NULL && word(&at, text, sizeof(text))) {
		uint32_t n = cfg->metrics.n_buckets;
		uint64_t ns = 0;
		bool huge = false;

		if (n == KVR_CONFIG_BUCKETS_MAX) {
			kvr_load_error(load, origin, "metrics.buckets: at most %u bounds",
			    KVR_CONFIG_BUCKETS_MAX);
			return;
		}
		if (!kvr_parse_duration(text, &ns, &huge) || huge || ns < 1000 ||
		    ns > KVR_SEC(3600)) {
			kvr_load_error(load, origin,
			    "metrics.buckets: number %u is no duration from 1us to 1h", n + 1);
			return;
		}
		if (n > 0 && ns / 1000 <= cfg->metrics.bucket_us[n - 1]) {
			kvr_load_error(load, origin,
			    "metrics.buckets: %s does not come after the one before it", text);
			return;
		}
		cfg->metrics.bucket_us[n] = (uint32_t)(ns / 1000);
		cfg->metrics.n_buckets++;
	}
	uint32_t all[KVR_BOUNDS_MAX], n = kvr_config_bounds(cfg, all);

	if (n > KVR_BOUNDS_MAX)
		kvr_load_error(load, origin,
		    "metrics.buckets and histogram_bucket_*: %u different bounds in all; at most %u", n,
		    (unsigned)KVR_BOUNDS_MAX);
}
