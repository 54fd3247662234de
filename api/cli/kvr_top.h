/* SPDX-License-Identifier: Apache-2.0 */
/* top: what a tier did between two copies of its page. */
#ifndef KVR_TOP_H
#define KVR_TOP_H

#include "kvr_seen.h"

struct top_tier {
	double keys_s, in_s, out_s; /* per second: keys, bytes read, bytes written */
	double p50_us, p99_us;      /* of a part, waiting and work; < 0: no parts */
	double hit;                 /* of gets and lookups, 0 to 1; < 0: none */
	double error_s, drop_s;     /* keys per second */
	uint64_t dropped, failed, corrupt; /* keys, since the start */
};

/* One instance: now, with rates since before (NULL: since its start). */
struct top_row {
	const struct seen_page *now, *before;
	struct top_tier tier[KVR_TIERS_MAX];
};

void top_rates(struct top_row *);
void top_text(const struct top_row *, uint32_t n);
void top_json(const struct top_row *, uint32_t n);

#endif
