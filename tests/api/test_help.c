/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever would only sleep until his answer does a lane's part himself, and the lanes sleep on. */
#include "kvr_api_bed.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

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
static void
wakes_no_lane(const char *config)
{
	struct kvr *k = bed_open(config, NULL, NULL, NULL);
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

START_TEST(a_call_that_only_waits_wakes_no_lane)
{
	wakes_no_lane(MEMORY);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

enum { STACK = 256 * 1024, ENOUGH = 32 * 1024, UNTOUCHED = 0x5a };

struct small {
	struct kvr *k;
	enum kvr_err err[4];
};

static void *
run_on_little(void *arg)
{
	static const uint32_t kinds[] = { KVR_PUT, KVR_LOOKUP, KVR_SIZE, KVR_GET };
	struct small *s = arg;

	for (size_t i = 0; i < 4; i++)
		s->err[i] = run(s->k, kinds[i]);
	return NULL;
}

/* It is the engine's, which may have made it small. */
START_TEST(a_call_that_helps_takes_little_of_the_stack)
{
	struct small s = { .k = bed_open(MEMORY, NULL, NULL, NULL) };
	char *stack = aligned_alloc(4096, STACK);
	size_t left = 0;
	pthread_attr_t attr;
	pthread_t id;

	ck_assert_ptr_nonnull(stack);
	memset(stack, UNTOUCHED, STACK);
	bed_fill(bytes, sizeof(bytes), 5);
	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstack(&attr, stack, STACK), 0);
	ck_assert_int_eq(pthread_create(&id, &attr, run_on_little, &s), 0);
	pthread_join(id, NULL);
	for (int i = 0; i < 4; i++)
		OK(s.err[i]);
	while (left < STACK && stack[left] == UNTOUCHED)
		left++;
	ck_assert_uint_lt(STACK - left, ENOUGH);
	pthread_attr_destroy(&attr);
	bed_close(s.k);
	free(stack);
}
END_TEST

#else

/* Their frames are others. */
START_TEST(a_call_that_helps_takes_little_of_the_stack)
{
}
END_TEST

#endif

/* Where a file system only copies, its lanes sleep on, too. */
static const char *
in_memory(char config[256])
{
	static char dir[] = "/dev/shm/kvr-help-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(config, 256,
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"fs://%s\"}],\"log\":{\"level\":\"error\"}}", dir);
	return dir;
}

static void
remove_all(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(files_in_memory_wake_no_lane)
{
	char config[256];
	const char *dir = in_memory(config);

	wakes_no_lane(config);
	remove_all(dir);
}
END_TEST

/* The kernel raises SIGXFSZ then, and its default ends the process. */
START_TEST(a_file_beyond_the_limit_of_this_process_ends_no_caller)
{
	char config[256];
	const char *dir = in_memory(config);
	struct kvr *k = bed_open(config, NULL, NULL, NULL);
	struct rlimit limit, small;
	sigset_t before, after;
	int refused = 0;

	bed_fill(bytes, sizeof(bytes), 4);
	OK(run(k, KVR_PUT));
	ck_assert(signal(SIGXFSZ, SIG_DFL) == SIG_DFL);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	ck_assert(!sigismember(&before, SIGXFSZ));
	small = limit;
	small.rlim_cur = LEN - 1;
	unsigned long slept = lanes_slept();

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	/* No check and no log line in between: both may be written to a file. */
	for (int n = 0; n < CALLS; n++)
		refused += run(k, KVR_PUT) == KVR_E_TOO_BIG;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(refused, CALLS);
	ck_assert_uint_lt(lanes_slept() - slept, CALLS / 2);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	ck_assert(!sigismember(&after, SIGXFSZ));
	OK(run(k, KVR_PUT));
	OK(run(k, KVR_GET));
	bed_same(bytes, sizeof(bytes), 4);
	bed_close(k);
	remove_all(dir);
}
END_TEST

KVR_CHECK_MAIN("api.help", a_call_that_only_waits_wakes_no_lane,
    a_call_that_helps_takes_little_of_the_stack, files_in_memory_wake_no_lane,
    a_file_beyond_the_limit_of_this_process_ends_no_caller)
