/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of this machine stands still, as one does that dies or whose volume is cut off: system
 * calls do not come back. The linker puts the calls below in place of the system's.
 */
#include "kvr_system_bed.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EACH = 65536, KEYS = 4, HELD_S = 30 };

static const char *const tier =
    "{'memory':{'staging':'4MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':["
    "{'name':'disk','url':'fs://%s','staged':%s,'breaker':{'backoff_max':'100ms'}}]}";

ssize_t __real_pread(int fd, void *at, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *at, size_t len, off_t offset);
ssize_t __real_write(int fd, const void *at, size_t len);
ssize_t __wrap_write(int fd, const void *at, size_t len);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool still, forgotten; /* forgotten: whoever should have let go did not come back */
static uint32_t held;

static void
stand_still(int fd)
{
	struct timespec until;
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += HELD_S;
	pthread_mutex_lock(&lock);
	held += still;
	while (still && !forgotten)
		forgotten = pthread_cond_timedwait(&changed, &lock, &until) != 0;
	pthread_mutex_unlock(&lock);
}

ssize_t
__wrap_pread(int fd, void *at, size_t len, off_t offset)
{
	stand_still(fd);
	return __real_pread(fd, at, len, offset);
}

ssize_t
__wrap_write(int fd, const void *at, size_t len)
{
	stand_still(fd);
	return __real_write(fd, at, len);
}

static void
set_still(bool is)
{
	pthread_mutex_lock(&lock);
	still = is;
	held = is ? 0 : held;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static uint32_t
n_held(void)
{
	pthread_mutex_lock(&lock);
	MUST(!forgotten, "a call was held for as long as the disk stood still");
	uint32_t n = held;

	pthread_mutex_unlock(&lock);
	return n;
}

/* Until n lanes hang in it; on a busy machine the time may be over before one has begun. */
static void
run_into_it(struct kvr *kvr, struct bed_batch *b, uint32_t kind, uint32_t n)
{
	for (uint64_t ms = 200; n_held() < n; ms *= 2) {
		ERR(bed_run(kvr, b, kind, 0, bed_in_ms(ms)), KVR_E_TIMEOUT);
		MUST((b->done.flags & KVR_DONE_QUIET) != 0, "its memory is in use");
	}
}

/* The same, and the lane has the memory of just this call. */
static void
run_into_it_early(struct kvr *kvr, struct bed_batch *b)
{
	for (uint64_t ms = 200;; ms *= 2) {
		ERR(bed_run(kvr, b, KVR_GET, KVR_EARLY, bed_in_ms(ms)), KVR_E_TIMEOUT);
		MUST((b->done.flags & KVR_DONE_QUIET) == 0, "the first says that it is the second");
		enum kvr_err err = kvr_wait(kvr, b->done.op, KVR_NOW, NULL, NULL);

		if (err == KVR_E_UNFINISHED && n_held() > 0)
			return;
		if (err == KVR_E_UNFINISHED)
			err = kvr_wait(kvr, b->done.op, 0, NULL, NULL);
		MUST(err == KVR_E_TIMEOUT, "%s", kvr_err_name(err));
	}
}

static void
wait_well(struct kvr *kvr, struct bed_batch *b)
{
	for (uint64_t until_ns = bed_in_ms(30000); bed_run(kvr, b, KVR_GET, 0, 0) != KVR_OK;)
		MUST(bed_now_ns() < until_ns, "it never comes back: %s", b->done.why);
}

START_TEST(staged_values_leave_no_call_with_a_disk_that_hangs)
{
	static const uint32_t kinds[] = { KVR_GET, KVR_PUT };
	struct bed_batch *b = bed_batch_new("hung", KEYS, EACH);
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open(tier, dir, "true");

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	for (uint32_t i = 0; i < 2; i++) {
		set_still(true);
		run_into_it(kvr, b, kinds[i], 1);
		set_still(false);
		wait_well(kvr, b);
	}
	MUST(n_held() > 0, "nothing hung");
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

/* The values of the others go straight to and from their memory. Who must not wait for it says so. */
START_TEST(an_early_call_tells_its_result_by_its_deadline_and_the_memory_later)
{
	struct bed_batch *b = bed_batch_new("hung", KEYS, EACH);
	struct kvr_done second = { .size = sizeof(second) };
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open(tier, dir, "false");

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	set_still(true);
	run_into_it_early(kvr, b);
	set_still(false);
	ERR(kvr_wait(kvr, b->done.op, 0, &second, NULL), KVR_E_TIMEOUT);
	MUST((second.flags & KVR_DONE_QUIET) != 0, "it is not quiet");
	wait_well(kvr, b);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

/* What `kvrelay ps` prints of the instances whose traces are here. */
static void
see(const char *dir, char *ret, size_t cap)
{
	char command[256];

	snprintf(command, sizeof(command), KVR_COMMAND " ps --dir %s", dir);
	FILE *out = popen(command, "r");

	MUST(out != NULL, "%s", command);
	ret[fread(ret, 1, cap - 1, out)] = '\0';
	(void)pclose(out);
}

static void
wait_health(struct kvr *kvr, int n_up, const char *word)
{
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t until_ns = bed_in_ms(30000);

	do {
		OK(kvr_health(kvr, &h));
		MUST(bed_now_ns() < until_ns, "health says \"%s\", not \"%s\"", h.why, word);
	} while (h.n_up != (uint32_t)n_up || h.ok != (word[0] == '\0') ||
	         strstr(h.why, word) == NULL);
}

static void
wait_logged(const char *line)
{
	for (uint64_t until_ns = bed_in_ms(30000); bed_logged(line) == 0;)
		MUST(bed_now_ns() < until_ns, "no line \"%s\"", line);
	MUST(bed_logged(line) == 1, "more than once");
}

/* The tier is up and serves: nothing else would say that a part of it is lost. */
START_TEST(lanes_that_hang_are_told_while_others_work)
{
	struct bed_batch *b = bed_batch_new("hung", 1, EACH);
	char dir[64], seen[1024];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{'memory':{'staging':'4MiB','slot_size':'64KiB'},"
	                           "'trace':{'dir':'%s/trace'},'tiers':[{'name':'disk',"
	                           "'url':'fs://%s','staged':true,'lanes':{'control':1,'bulk':1},"
	                           "'breaker':{'faults':1000}}]}",
	    dir, dir);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	wait_health(kvr, 1, "");
	set_still(true);
	run_into_it(kvr, b, KVR_GET, 1);
	wait_health(kvr, 1, "tier disk: 1 of 2 lanes hangs (thread kvr-lane-0.1) for ");
	wait_logged("warn: tier disk: lane 1 hangs: thread kvr-lane-0.1 is in a call");
	strcat(dir, "/trace");
	see(dir, seen, sizeof(seen));
	MUST(strstr(seen, "tier disk: 1 of 2 lanes hangs (thread kvr-lane-0.1) for ") != NULL,
	    "%s", seen);
	set_still(false);
	wait_well(kvr, b);
	wait_health(kvr, 1, "");
	wait_logged("info: tier disk: lane 1 is back after ");
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

/* The breaker opens over it, and no store has words for that. */
START_TEST(a_tier_whose_lanes_all_hang_says_so)
{
	struct bed_batch *b = bed_batch_new("hung", 1, EACH);
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{'memory':{'staging':'4MiB','slot_size':'64KiB'},"
	                           "'trace':{'dir':'none'},'tiers':[{'name':'disk','url':'fs://%s',"
	                           "'staged':true,'lanes':{'control':1,'bulk':1}}]}",
	    dir);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	set_still(true);
	run_into_it(kvr, b, KVR_GET, 1);
	run_into_it(kvr, b, KVR_SIZE, 2); /* reads a header, on the lane for short questions */
	wait_health(kvr, 0, "tier disk: 2 of 2 lanes hang, one of them (thread kvr-lane-0.1) for ");
	wait_logged("are answered DOWN: lane 0 hangs: thread kvr-lane-0.0 is in a call that does");
	ERR(bed_run(kvr, b, KVR_GET, 0, 0), KVR_E_DOWN);
	MUST(strstr(b->done.why, "lane 0 hangs") != NULL, "a call hears \"%s\"", b->done.why);
	set_still(false);
	wait_well(kvr, b);
	wait_health(kvr, 1, "");
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

KVR_CHECK_MAIN("system.hung_disk", staged_values_leave_no_call_with_a_disk_that_hangs,
    an_early_call_tells_its_result_by_its_deadline_and_the_memory_later,
    lanes_that_hang_are_told_while_others_work, a_tier_whose_lanes_all_hang_says_so)
