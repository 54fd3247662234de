/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon ends in the middle of a copy, at a known byte of it: the linker puts the pread below
 * in place of the system's, and what a test wants to happen happens between two slices.
 */
#include "kvr_hyperpod_get.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

ssize_t __real_pread(int fd, void *to, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t len, off_t offset);

enum crash { NOTHING, CUT, CUT_TO_NOTHING, KILL, KILL_AND_CUT, KILL_AND_START };

static struct hp *crash_of;
static enum crash crash;
static int crash_at, reads; /* the pread before which it happens, from 1 on */
static char path[128];

static void
happen(void)
{
	switch (crash) {
	case CUT:
		ck_assert_int_eq(truncate(path, 100000), 0);
		break;
	case CUT_TO_NOTHING:
		ck_assert_int_eq(truncate(path, 0), 0);
		break;
	case KILL:
		kvr_hyperpod_server_kill(crash_of->server);
		break;
	case KILL_AND_CUT:
		kvr_hyperpod_server_kill(crash_of->server);
		ck_assert_int_eq(truncate(path, 4096), 0);
		break;
	case KILL_AND_START:
		kvr_hyperpod_server_restart(crash_of->server);
		break;
	case NOTHING:
	default:
		break;
	}
}

ssize_t
__wrap_pread(int fd, void *to, size_t len, off_t offset)
{
	if (++reads == crash_at)
		happen();
	return __real_pread(fd, to, len, offset);
}

/* A GET in pieces, with that before its n-th. Its connection ends, or its bytes are right. */
static enum kvr_err
get_with(struct hp *h, enum crash what, int nth, int32_t *ret_status)
{
	up_with(h, "k");
	snprintf(path, sizeof(path), "/dev/shm/%s", kvr_hyperpod_server_segment(h->server));
	crash_of = h;
	crash = what;
	crash_at = nth;
	reads = 0;
	enum kvr_err err =
	    hp_run(h, KVR_VERB_GET, "k", out, LEN, bed_in(BED_LONG), ret_status);
	ck_assert_int_ge(reads, nth);
	crash = NOTHING;
	return err;
}

static void
check_error(enum crash what, int nth, const char *says)
{
	struct hp h;
	int32_t status;
	enum kvr_err err = get_with(&h, what, nth, &status);
	ck_assert_msg(err == KVR_E_DOWN, "%s", kvr_err_name(err));
	ck_assert_int_eq(status, KVR_PENDING);
	hp_says(&h, says);
	bed_down(&h.bed);
	kvr_hyperpod_server_restart(h.server);
	hp_end(&h);
}

START_TEST(memory_is_cut_off_between_two_slices)
{
	/* The first read is that of the header. */
	check_error(CUT, 2, "ended under a copy");
	check_error(CUT, 3, "ended under a copy");
	check_error(CUT_TO_NOTHING, 1, "ended under a copy");
	check_error(CUT_TO_NOTHING, 4, "ended under a copy");
}
END_TEST

START_TEST(the_daemon_is_killed_and_its_memory_goes_with_it)
{
	check_error(KILL_AND_CUT, 3, "ended under a copy");
}
END_TEST

START_TEST(the_daemon_is_killed_and_another_has_started)
{
	check_error(KILL_AND_START, 3, "new shared memory");
}
END_TEST

/* Memory outlives who made it, and nobody has written to it since: the bytes are the object's. */
START_TEST(the_daemon_is_killed_and_its_memory_stays)
{
	struct hp h;
	int32_t status;
	enum kvr_err err = get_with(&h, KILL, 3, &status);
	ck_assert_msg(err == KVR_OK && status == KVR_OK, "%s: %s", kvr_err_name(err),
	    h.bed.ops->why(h.bed.lane));
	ck_assert(memcmp(in, out, LEN) == 0);
	/* The next one finds nobody, within its deadline. */
	err = hp_run(&h, KVR_VERB_GET, "k", out, LEN, bed_in(BED_LONG), &status);
	ck_assert_msg(err == KVR_E_DOWN, "%s", kvr_err_name(err));
	/* And the lease that nobody takes back holds up the end a moment only. */
	uint64_t start = kvr_now_ns();
	bed_down(&h.bed);
	ck_assert_uint_lt(kvr_now_ns() - start, KVR_SEC(20));
	kvr_hyperpod_server_restart(h.server);
	hp_end(&h);
}
END_TEST

START_TEST(after_a_crash_the_next_daemon_is_used)
{
	struct hp h;
	int32_t status;
	ck_assert_int_eq(get_with(&h, KILL_AND_START, 2, &status), KVR_E_DOWN);
	hp_redial(&h);
	atomic_store(&h.page->miss_at_once, 1);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_E_MISS);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	memset(out, 0, LEN);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	ck_assert(memcmp(in, out, LEN) == 0);
	hp_down(&h);
}
END_TEST

KVR_CHECK_MAIN("connectors.hyperpod_crash", memory_is_cut_off_between_two_slices,
    the_daemon_is_killed_and_its_memory_goes_with_it,
    the_daemon_is_killed_and_another_has_started, the_daemon_is_killed_and_its_memory_stays,
    after_a_crash_the_next_daemon_is_used)
