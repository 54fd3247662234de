/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that fail, processes that crash, batches that are kicked in the middle. */
#include "kvr_fs_bed.h"
#include "kvr_fs_disk.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvr_check.h"
#include "kvr_connectors.h"

static struct kvr_fs_bed bed;

START_TEST(a_full_disk_is_told_and_leaves_nothing_behind)
{
	static const struct {
		int     error;
		int32_t status;
	} fault[] = { { ENOSPC, KVR_E_NOSPACE }, { EDQUOT, KVR_E_NOSPACE },
		{ EFBIG, KVR_E_TOO_BIG }, { EIO, KVR_E_REFUSED }, { -1, KVR_E_REFUSED } };

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 1000000, 1), KVR_OK);
	for (size_t i = 0; i < KVR_LEN(fault); i++) {
		/* At the header, in the payload, at the trailer. */
		for (int in = 0; in < 6; in++) {
			kvr_fs_disk.write_errno = fault[i].error;
			kvr_fs_disk.in = in;
			ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 1000000, 2), fault[i].status);
			ck_assert_str_ne(kvr_fs_ops.why(bed.lane), "");
			ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
			ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 1000000, 1), KVR_OK);
		}
	}
	kvr_fs_disk.write_errno = 0;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 1000000, 3), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 1000000, 3), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(short_and_interrupted_calls_change_nothing)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	kvr_fs_disk.at_most = 777;
	kvr_fs_disk.interrupts = 2;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 300000, 1), KVR_OK);
	ck_assert_int_gt(kvr_fs_disk.writes, 1000);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 300000, 1), KVR_OK);
	ck_assert_int_eq(kvr_ask1(bed.lane, &kvr_fs_ops, KVR_VERB_STAT, "k"), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_read_that_fails_is_no_hit)
{
	static const struct {
		int     error; /* -1: the end of the file, too early */
		int32_t status;
	} fault[] = { { EIO, KVR_E_REFUSED }, { -1, KVR_E_CORRUPT } };

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 1000000, 1), KVR_OK);
	for (size_t i = 0; i < KVR_LEN(fault); i++) {
		for (int in = 0; in < 6; in++) {
			kvr_fs_disk.read_errno = fault[i].error;
			kvr_fs_disk.in = in;
			ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 1000000, 1), fault[i].status);
			ck_assert_str_ne(kvr_fs_ops.why(bed.lane), "");
		}
		kvr_fs_disk.in = 0;
		ck_assert_int_eq(kvr_ask1(bed.lane, &kvr_fs_ops, KVR_VERB_STAT, "k"),
		    fault[i].status);
	}
	kvr_fs_disk.read_errno = 0;
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 1000000, 1), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

static void
wait_for(_Atomic uint32_t *count, uint32_t n)
{
	for (uint32_t seen; (seen = atomic_load(count)) < n;)
		(void)kvr_sleep_on(count, seen, UINT64_MAX);
}

/* All n opens stand still, and then come back. */
static void
goes_on(uint32_t n)
{
	wait_for(&kvr_fs_disk.came, n);
	atomic_store(&kvr_fs_disk.stands_still, 0);
	kvr_wake_every(&kvr_fs_disk.stands_still);
	wait_for(&kvr_fs_disk.went_on, n);
}

/* A mount whose server is gone, for example. */
START_TEST(a_directory_that_does_not_answer_holds_up_nobody_who_opens)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	bed.opts.connect_ns = KVR_MS(20);
	atomic_store(&kvr_fs_disk.stands_still, 1);
	for (uint32_t i = 0; i < KVR_FS_LOOKS_MAX + 2; i++) {
		if (i > 0)
			kvr_fs_ops.close(bed.store);
		ck_assert_int_eq(
		    kvr_fs_ops.open(&bed.opts, &bed.store, bed.why, sizeof(bed.why)), KVR_OK);
		ck_assert_ptr_nonnull(strstr(bed.why, "does not answer"));
		ck_assert_ptr_nonnull(strstr(bed.why, bed.dir));
		/* What it is, and so whether a wait there can be ended, nobody knows. */
		ck_assert_uint_eq(kvr_store_caps(&kvr_fs_ops, bed.store), KVR_CAP(PIPELINE));
	}
	goes_on(KVR_FS_LOOKS_MAX);
	ck_assert_int_eq(kvr_fs_ops.dial(bed.store, kvr_soon(), &bed.kick, &bed.lane, bed.why,
	                     sizeof(bed.why)),
	    KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 1000000, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 1000000, 1), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* What serves it has died: that is a store which is down, and no wrong configuration. */
START_TEST(a_mount_that_is_dead_now_is_used_when_it_lives)
{
	static const int error[] = { ENOTCONN, ESTALE, EIO, ETIMEDOUT, EHOSTDOWN, ENODEV, ENOSPC,
		EMFILE };

	for (size_t i = 0; i < KVR_LEN(error); i++) {
		kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
		kvr_fs_disk.open_errno = error[i];
		ck_assert_int_eq(
		    kvr_fs_ops.open(&bed.opts, &bed.store, bed.why, sizeof(bed.why)), KVR_OK);
		ck_assert_ptr_nonnull(strstr(bed.why, strerror(error[i])));
		ck_assert_int_ne(kvr_fs_ops.dial(bed.store, kvr_soon(), &bed.kick, &bed.lane,
		                     bed.why, sizeof(bed.why)),
		    KVR_OK);
		kvr_fs_disk.open_errno = 0;
		ck_assert_int_eq(kvr_fs_ops.dial(bed.store, kvr_soon(), &bed.kick, &bed.lane,
		                     bed.why, sizeof(bed.why)),
		    KVR_OK);
		ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 1000, 1), KVR_OK);
		ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 1000, 1), KVR_OK);
		kvr_fs_bed_remove(&bed);
	}
}
END_TEST

/* An engine restarts over a disk that went read-only: it has every value, and takes no new one. */
START_TEST(a_disk_that_is_read_only_is_opened_and_read)
{
	for (int direct = 0; direct < 2; direct++) {
		kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
		bed.opts.direct = direct != 0;
		kvr_fs_bed_open(&bed);
		bool goes_past = bed.store->direct;
		ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 1000, 1), KVR_OK);
		kvr_fs_bed_close(&bed);
		kvr_fs_disk.create_errno = EROFS;
		kvr_fs_bed_open(&bed);
		ck_assert_ptr_nonnull(strstr(bed.why, "mounted read-only: what is there is read"));
		ck_assert(bed.store->direct == goes_past);
		ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 1000, 1), KVR_OK);
		ck_assert_int_eq(kvr_fs_bed_put(&bed, "l", 1000, 1), KVR_E_REFUSED);
		kvr_fs_disk.create_errno = 0;
		ck_assert_int_eq(kvr_fs_bed_put(&bed, "l", 1000, 1), KVR_OK);
		kvr_fs_bed_remove(&bed);
	}
}
END_TEST

/* A ping would find the lane well, and so nobody would ever dial again. */
START_TEST(a_mount_that_dies_ends_the_lane)
{
	static const int error[] = { ENOTCONN, ESTALE, ETIMEDOUT };
	static uint8_t at[1000000];
	struct kvr_meta meta;

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", sizeof(at), 1), KVR_OK);
	for (size_t i = 0; i < KVR_LEN(error); i++)
		for (enum kvr_verb verb = KVR_VERB_GET; verb <= KVR_VERB_PUT; verb++) {
			struct kvr_item item = kvr_item_of("k", &meta);
			item.span = (struct kvr_span){ at, sizeof(at) };
			item.raw_len = sizeof(at);
			kvr_fs_disk.in = 2;
			kvr_fs_disk.read_errno = kvr_fs_disk.write_errno = error[i];
			ck_assert_int_eq(
			    kvr_fs_ops.run(bed.lane, verb, &item, 1, kvr_soon()), KVR_E_DOWN);
			ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
			ck_assert_ptr_nonnull(strstr(kvr_fs_ops.why(bed.lane), strerror(error[i])));
			ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
		}
	kvr_fs_disk.read_errno = kvr_fs_disk.write_errno = 0;
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* ---- in the middle ---- */

static void
kick_now(void)
{
	if (kvr_fs_disk.writes == 9)
		kvr_kick_batch(&bed.kick, bed.kick.current);
}

START_TEST(a_kick_in_the_middle_of_a_put_leaves_nothing_behind)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of("k", &meta);
	size_t          len = (size_t)KVR_MIB(16);

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	bed.opts.capacity = KVR_MIB(64);
	kvr_fs_bed_open(&bed);
	item.span = (struct kvr_span){ calloc(1, len), len };
	item.raw_len = len;
	kvr_fs_disk.after_write = kick_now;
	ck_assert_int_eq(kvr_fs_ops.run(bed.lane, KVR_VERB_PUT, &item, 1, kvr_soon()),
	    KVR_E_CANCELLED);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	/* One mebibyte more at most after the kick. */
	ck_assert_int_le(kvr_fs_disk.writes, 14);
	ck_assert_uint_eq(kvr_fs_bed_bytes(&bed), 0);
	ck_assert_uint_eq(bed.store->reserved, 0);
	free(item.span.at);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* ---- leftovers ---- */

static void
crash_in_put(void)
{
	if (kvr_fs_disk.writes == 3)
		_exit(42);
}

START_TEST(what_a_crash_leaves_is_removed_by_the_next)
{
	int status = 0;

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_file_write(bed.dir, "somebody.tmp", "x", 1);
	kvr_fs_bed_open(&bed);
	pid_t pid = fork();
	if (pid == 0) {
		kvr_fs_disk.after_write = crash_in_put;
		(void)kvr_fs_bed_put(&bed, "k", 3000000, 1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 42);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 2);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".kvr"), 0);
	kvr_fs_bed_close(&bed);
	kvr_fs_bed_open(&bed);
	ck_assert_uint_eq(bed.store->scan.removed, 1);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 1);
	kvr_fs_bed_remove(&bed);
}
END_TEST

static struct kvr_fs_bed other;

/* Another instance comes while this one is writing. */
static void
open_another(void)
{
	if (kvr_fs_disk.writes != 3)
		return;
	other.opts = bed.opts;
	kvr_kick_open(&other.kick);
	kvr_fs_bed_open(&other);
}

START_TEST(what_somebody_is_writing_is_left_alone)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	kvr_fs_disk.after_write = open_another;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 3000000, 1), KVR_OK);
	kvr_fs_disk.after_write = NULL;
	ck_assert_ptr_nonnull(other.store);
	ck_assert_uint_eq(other.store->scan.removed, 0);
	ck_assert_uint_ge(other.store->scan.seen, 3);
	ck_assert_int_eq(kvr_fs_bed_get(&other, "k", 3000000, 1), KVR_OK);
	kvr_fs_bed_close(&other);
	kvr_kick_close(&other.kick);
	kvr_fs_bed_remove(&bed);
}
END_TEST

KVR_CHECK_MAIN("connectors.fs_faults", a_full_disk_is_told_and_leaves_nothing_behind,
    short_and_interrupted_calls_change_nothing, a_read_that_fails_is_no_hit,
    a_directory_that_does_not_answer_holds_up_nobody_who_opens,
    a_mount_that_is_dead_now_is_used_when_it_lives, a_disk_that_is_read_only_is_opened_and_read,
    a_mount_that_dies_ends_the_lane,
    a_kick_in_the_middle_of_a_put_leaves_nothing_behind, what_a_crash_leaves_is_removed_by_the_next,
    what_somebody_is_writing_is_left_alone)
