/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program that uses an installed kvrelay: it opens a store in memory and closes it. */
#include <kvrelay.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t
in_seconds(uint64_t seconds)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec + seconds) * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int
main(void)
{
	struct kvr_options options = { .size = sizeof(options), .url = "memory://" };
	char why[KVR_WHY_MAX] = "";
	struct kvr *kvr = NULL;
	enum kvr_err err = kvr_open(&options, in_seconds(10), &kvr, why, sizeof(why));
	if (err != KVR_OK) {
		fprintf(stderr, "kvr_open: %s: %s\n", kvr_err_name(err), why);
		return 1;
	}
	struct kvr_close_report report = { .size = sizeof(report) };
	err = kvr_close(kvr, in_seconds(10), KVR_DRAIN, &report);
	kvr_free(kvr);
	if (err != KVR_OK || report.stuck_threads != 0) {
		fprintf(stderr, "kvr_close: %s, %" PRIu32 " threads stuck\n", kvr_err_name(err),
		    report.stuck_threads);
		return 1;
	}
	uint32_t version = kvr_version();
	printf("kvrelay %" PRIu32 ".%" PRIu32 ".%" PRIu32 "\n", version >> 16, version >> 8 & 0xff,
	    version & 0xff);
	return 0;
}
