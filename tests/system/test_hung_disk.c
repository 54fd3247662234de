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

/* Until a lane hangs in it; on a busy machine the time may be over before one has begun. */
static void
run_into_it(struct kvr *kvr, struct bed_batch *b, uint32_t kind)
{
	for (uint64_t ms = 200; n_held() == 0; ms *= 2) {
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
		run_into_it(kvr, b, kinds[i]);
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

KVR_CHECK_MAIN("system.hung_disk", staged_values_leave_no_call_with_a_disk_that_hangs,
    an_early_call_tells_its_result_by_its_deadline_and_the_memory_later)
