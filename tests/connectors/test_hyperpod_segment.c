/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's shared memory is cut off, made anew, or not there: an error for whoever asked, never
 * another's bytes, never a signal.
 */
#include "kvr_hyperpod_get.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

static void
segment_path(struct hp *h, char *ret, size_t cap)
{
	snprintf(ret, cap, "/dev/shm/%s", kvr_hyperpod_server_segment(h->server));
}

START_TEST(memory_that_is_cut_off_under_a_reader_is_an_error_and_no_signal)
{
	struct getter g;
	char path[128];
	struct hp h;
	up_with(&h, "k");
	segment_path(&h, path, sizeof(path));
	/* The lease comes when its bytes are no longer there, which nobody can see before. */
	hold(&h, KVR_HYPERPOD_LEASE);
	getter_start(&g, &h, "k", bed_in(BED_LONG));
	wait_held(&h);
	ck_assert_int_eq(truncate(path, 4096), 0);
	let_go(&h, KVR_HYPERPOD_LEASE);
	pthread_join(g.thread, NULL);
	ck_assert_int_eq(g.err, KVR_E_DOWN);
	ck_assert_int_eq(g.status, KVR_PENDING);
	hp_says(&h, "ended under a copy");
	hp_down(&h);
}
END_TEST

START_TEST(memory_that_comes_and_goes_all_the_time_is_survived)
{
	char path[128];
	struct hp h;
	int32_t status;
	up_with(&h, "k");
	segment_path(&h, path, sizeof(path));
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	pid_t shaker = fork();
	ck_assert_int_ge(shaker, 0);
	if (shaker == 0)
		for (int i = 0;; i++)
			(void)!truncate(path, i % 2 == 0 ? 1000000 : st.st_size);
	for (int i = 0; i < 300; i++) {
		if (hp_run(&h, KVR_VERB_GET, "k", out, LEN, bed_in(BED_LONG), &status) != KVR_OK)
			hp_redial(&h);
	}
	kill(shaker, SIGKILL);
	hp_down(&h);
}
END_TEST

START_TEST(memory_that_is_made_anew_while_a_lease_is_read_is_not_believed)
{
	struct getter g;
	char path[128];
	struct hp h;
	/* It is not given back either: to us the daemon that granted it is gone. */
	up_with_ttl(&h, "k", 1500);
	segment_path(&h, path, sizeof(path));
	hold(&h, KVR_HYPERPOD_LEASE);
	getter_start(&g, &h, "k", bed_in(BED_LONG));
	wait_held(&h);
	ck_assert_int_eq(unlink(path), 0);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert(fd >= 0 && ftruncate(fd, 1 << 24) == 0);
	close(fd);
	let_go(&h, KVR_HYPERPOD_LEASE);
	pthread_join(g.thread, NULL);
	ck_assert_int_eq(g.err, KVR_E_DOWN);
	ck_assert_int_eq(g.status, KVR_PENDING);
	hp_says(&h, "new shared memory");
	hp_down(&h);
}
END_TEST

START_TEST(a_daemon_that_starts_again_is_read_from_its_new_memory)
{
	struct hp h;
	int32_t status;
	up_with(&h, "k");
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	kvr_hyperpod_server_restart(h.server);
	atomic_store(&h.page->miss_at_once, 1);
	/* A kept connection is dead and its request goes out on another, or the lane is. */
	memset(out, 0xee, LEN);
	enum kvr_err err = hp_run(&h, KVR_VERB_GET, "k", out, LEN, bed_in(BED_LONG), &status);
	ck_assert_msg((err == KVR_OK && status == KVR_E_MISS) || err == KVR_E_DOWN, "%s %s",
	    kvr_err_name(err), h.bed.ops->why(h.bed.lane));
	ck_assert(untouched());
	hp_redial(&h);
	in[7] ^= 1;
	/* Ids begin anew, and none of the old ones is given back to the new daemon. */
	atomic_store(&h.page->unknown, 0);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	ck_assert(memcmp(in, out, LEN) == 0);
	ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	ck_assert_uint_eq(atomic_load(&h.page->unknown), 0);
	hp_down(&h);
}
END_TEST

START_TEST(what_was_owed_to_a_daemon_is_not_given_to_the_next)
{
	struct hp h;
	up_with(&h, "k");
	atomic_store(&h.page->status[KVR_HYPERPOD_RELEASE], 500);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	uint32_t before = atomic_load(&h.page->requests);
	while (atomic_load(&h.page->requests) == before)
		usleep(1000);
	kvr_hyperpod_server_restart(h.server);
	atomic_store(&h.page->unknown, 0);
	atomic_store(&h.page->status[KVR_HYPERPOD_RELEASE], 0);
	/* Its own leases come and go meanwhile. */
	hp_redial(&h);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
		ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	}
	ck_assert_uint_eq(atomic_load(&h.page->unknown), 0);
	hp_down(&h);
}
END_TEST

START_TEST(a_daemon_that_dies_with_a_lease_granted_leaves_a_hit_or_an_error)
{
	struct hp h;
	int32_t status;
	up_with(&h, "k");
	atomic_store(&h.page->die_after_lease, 1);
	enum kvr_err err = hp_run(&h, KVR_VERB_GET, "k", out, LEN, bed_in(BED_LONG), &status);
	/* Its memory outlives it, so the bytes may be right. */
	ck_assert((err == KVR_OK && status == KVR_OK && memcmp(in, out, LEN) == 0) ||
	    err == KVR_E_DOWN);
	uint64_t start = kvr_now_ns();
	bed_down(&h.bed);
	ck_assert_uint_lt(kvr_now_ns() - start, KVR_SEC(20));
	atomic_store(&h.page->die_after_lease, 0);
	kvr_hyperpod_server_restart(h.server);
	hp_end(&h);
}
END_TEST

START_TEST(memory_that_cannot_be_opened_says_why)
{
	struct hp h;
	struct bed bed;
	char path[128], other[64];
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	h.opts.hyperpod.shared_memory_name = "kvr_test_no_such_segment";
	ck_assert_int_eq(bed_try(&bed, &h.opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_msg(strstr(bed.why, "shared_memory_name") != NULL, "%s", bed.why);
	bed_down(&bed);
	snprintf(other, sizeof(other), "kvr_test_hyperpod_other_%d", (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm/%s", other);
	h.opts.hyperpod.shared_memory_name = other;
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(bed_try(&bed, &h.opts, bed_in(BED_LONG)), KVR_E_DOWN);
	bed_down(&bed);
	unlink(path);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(bed_try(&bed, &h.opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_msg(strstr(bed.why, "starting") != NULL, "%s", bed.why);
	bed_down(&bed);
	unlink(path);
	hp_end(&h);
}
END_TEST

KVR_CHECK_MAIN("connectors.hyperpod_segment",
    memory_that_is_cut_off_under_a_reader_is_an_error_and_no_signal,
    memory_that_comes_and_goes_all_the_time_is_survived,
    memory_that_is_made_anew_while_a_lease_is_read_is_not_believed,
    a_daemon_that_starts_again_is_read_from_its_new_memory,
    a_daemon_that_dies_with_a_lease_granted_leaves_a_hit_or_an_error,
    what_was_owed_to_a_daemon_is_not_given_to_the_next,
    memory_that_cannot_be_opened_says_why)
