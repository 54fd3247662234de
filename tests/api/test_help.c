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
run(struct kvr *k, uint32_t kind, uint32_t flags)
{
	void *at[KEYS] = { bytes[0], bytes[1], bytes[2] };
	const uint64_t len[KEYS] = { LEN, LEN, LEN };
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = KEYS, .keys = "a\0b\0c", .at = at, .len = len
	};
	const struct kvr_opts o = { .size = sizeof(o), .flags = flags };
	struct kvr_done d = { .size = sizeof(d) };
	enum kvr_err err = kvr_run(k, &b, &o, &d, NULL);

	while ((d.flags & KVR_DONE_QUIET) == 0)
		ck_assert_int_eq(kvr_wait(k, d.op, KVR_NEVER, &d, NULL), err);
	return err;
}

static unsigned long
slept_in(struct kvr *k, uint32_t kind, uint32_t flags)
{
	unsigned long before = lanes_slept();

	for (int i = 0; i < CALLS; i++)
		OK(run(k, kind, flags));
	return lanes_slept() - before;
}

START_TEST(a_call_that_only_waits_wakes_no_lane)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const uint32_t kinds[] = { KVR_PUT, KVR_LOOKUP, KVR_SIZE, KVR_GET };

	bed_fill(bytes, sizeof(bytes), 3);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ck_assert_uint_lt(slept_in(k, kinds[i], 0), CALLS / 2);
	bed_same(bytes, sizeof(bytes), 3);
	bed_close(k);
}
END_TEST

/* It goes on at the first of its completions, so what is left is the lane's. */
START_TEST(a_call_that_may_return_before_its_parts_leaves_them_to_the_lane)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);

	OK(run(k, KVR_PUT, 0));
	ck_assert_uint_gt(slept_in(k, KVR_PUT, KVR_EARLY), CALLS / 2);
	ck_assert_uint_gt(slept_in(k, KVR_GET, KVR_EARLY), CALLS / 2);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.help", a_call_that_only_waits_wakes_no_lane,
    a_call_that_may_return_before_its_parts_leaves_them_to_the_lane)
