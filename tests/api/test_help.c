/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever would only sleep until his answer does a lane's part himself, and the lanes sleep on. */
#include "kvr_api_bed.h"

#include <stdlib.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

enum { KEYS = 3, LEN = 5000, CALLS = 200 };

static char bytes[KEYS][LEN];

/* How often the lanes' threads have gone to sleep. */
static unsigned long
lanes_slept(void)
{
	unsigned long sum = 0, n_lanes = 0;
	DIR *tasks = opendir("/proc/self/task");

	ck_assert_ptr_nonnull(tasks);
	for (struct dirent *e; (e = readdir(tasks)) != NULL;) {
		char path[300], line[128];
		bool lane = false;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		FILE *f = fopen(path, "re");

		while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
			unsigned long n;

			if (strncmp(line, "Name:\tkvr-lane", 14) == 0)
				lane = true;
			if (lane && sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1) {
				sum += n;
				n_lanes++;
			}
		}
		if (f != NULL)
			fclose(f);
	}
	closedir(tasks);
	ck_assert_uint_gt(n_lanes, 0);
	return sum;
}

static enum kvr_err
run(struct kvr *k, uint32_t kind)
{
	void *at[KEYS] = { bytes[0], bytes[1], bytes[2] };
	const uint64_t len[KEYS] = { LEN, LEN, LEN };
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = KEYS, .keys = "a\0b\0c", .at = at, .len = len
	};

	return kvr_run(k, &b, NULL, NULL, NULL);
}

/* A lane that were woken for each would have slept as often; now and then one is pinged. */
START_TEST(a_call_that_only_waits_wakes_no_lane)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const uint32_t kinds[] = { KVR_PUT, KVR_LOOKUP, KVR_SIZE, KVR_GET };

	bed_fill(bytes, sizeof(bytes), 3);
	OK(run(k, KVR_PUT));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned long before = lanes_slept();

		for (int n = 0; n < CALLS; n++)
			OK(run(k, kinds[i]));
		ck_assert_uint_lt(lanes_slept() - before, CALLS / 2);
	}
	bed_same(bytes, sizeof(bytes), 3);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.help", a_call_that_only_waits_wakes_no_lane)
