/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics pages of this user's processes, as ps and top show them. */
#ifndef KVR_SEEN_H
#define KVR_SEEN_H

#include "kvr_cli.h"
#include "kvr_stats.h"

enum { SEEN_MAX = 64 };

struct seen_page {
	bool alive;
	uint64_t at_ns; /* time of this copy */
	struct kvr_stats s;
	char why[KVR_STATS_WHY + KVR_STATS_NAME + 64]; /* the verdict; "": healthy */
};

struct seen {
	uint32_t n, n_others; /* others: pages of another version, skipped */
	struct seen_page *page[SEEN_MAX];
};

/*
 * Copies all pages of dir (NULL: this user's folder). pid 0: of all processes. False after a line
 * on standard error. A missing folder has no pages.
 */
bool seen_read(const struct cli *, const char *dir, uint64_t pid, struct seen *ret);
void seen_drop(struct seen *);
/* Says that no instance was found, and where. An instance with its own trace.dir is found there. */
void seen_nobody(const char *dir);

const char *seen_tier_state(uint32_t state);
const char *seen_lane_state(uint32_t state);
/* "1.5 s", "3 min", "2.0 h" */
const char *seen_age(uint64_t ns, char *ret, size_t cap);

#endif
