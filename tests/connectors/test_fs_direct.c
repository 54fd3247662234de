/* SPDX-License-Identifier: Apache-2.0 */
/* Files past the page cache: the same bytes as through it, at any length and from any address. */
#include "kvr_fs_bed.h"
#include "kvr_fs_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kvr_check.h"
#include "kvr_connectors.h"

static struct kvr_fs_bed bed;

/* Where the directories of tests lie on something that takes no direct I/O, there is no test. */
__attribute__((constructor)) static void
needs_direct(void)
{
	char path[] = "/tmp/kvr-direct-XXXXXX";
	int fd = mkostemp(path, O_DIRECT | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	unlink(path);
	if (fd < 0) {
		fprintf(stderr, "not run: /tmp does not take O_DIRECT\n");
		_exit(77);
	}
}

static void
open_bed(uint32_t format, bool headless, bool direct)
{
	kvr_fs_bed_make(&bed, format);
	bed.opts.no_chunk_meta = headless;
	bed.opts.direct = direct;
	kvr_fs_bed_open(&bed);
	ck_assert(bed.store->direct == direct);
}

static void
reopen(bool direct)
{
	kvr_fs_bed_close(&bed);
	bed.opts.direct = direct;
	kvr_fs_bed_open(&bed);
}

static const char *
file_of(uint32_t format)
{
	return format == KVR_FORMAT_SEALED ? "m@1@0@5@half.kvr"
	       : format == KVR_FORMAT_BARE ? "m@1@0@5@half.raw"
	                                   : "m@1@0@5@half.data";
}

static const size_t lengths[] = { 1, 511, 4068, 4096, 4097, 262143, 1048576 - 28, 1048576,
	2 * 1048576 + 123 };

enum { LONGEST = 2 * 1048576 + 123, FILE_MAX = LONGEST + 3 * 4096 };

static int32_t
put(const uint8_t *at, size_t len)
{
	return kvr_put1(bed.lane, &kvr_fs_ops, "m@1@0@5@half", at, len);
}

/* In one way, then in the other; off: how far the caller's memory is from a page. */
static void
both_ways(uint32_t format, bool headless, size_t off)
{
	uint8_t *page = aligned_alloc(KVR_FS_ALIGN, 2 * FILE_MAX / KVR_FS_ALIGN * KVR_FS_ALIGN);
	uint8_t *cached = malloc(FILE_MAX), *direct = malloc(FILE_MAX), *at = page + off;

	open_bed(format, headless, false);
	for (size_t i = 0; i < KVR_LEN(lengths); i++) {
		size_t len = lengths[i];
		kvr_fill(at, len, i);
		ck_assert_int_eq(put(at, len), KVR_OK);
		long n = kvr_file_read(bed.dir, file_of(format), cached, FILE_MAX);
		reopen(true);
		kvr_fs_disk.direct_calls = 0;
		ck_assert_int_eq(put(at, len), KVR_OK);
		ck_assert_int_gt(kvr_fs_disk.direct_calls, 0);
		ck_assert_int_eq(kvr_file_read(bed.dir, file_of(format), direct, FILE_MAX), n);
		ck_assert_msg(memcmp(cached, direct, (size_t)n) == 0, "%zu bytes differ", len);
		kvr_fs_disk.direct_calls = 0;
		memset(at, 0xEE, len + 1);
		ck_assert_int_eq(
		    kvr_get1(bed.lane, &kvr_fs_ops, "m@1@0@5@half", at, len, 0, NULL), KVR_OK);
		ck_assert_int_gt(kvr_fs_disk.direct_calls, 0);
		ck_assert(kvr_filled(at, len, i));
		ck_assert_uint_eq(at[len], 0xEE);
		ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
		reopen(false);
		ck_assert_int_eq(
		    kvr_get1(bed.lane, &kvr_fs_ops, "m@1@0@5@half", at, len, 0, NULL), KVR_OK);
		ck_assert(kvr_filled(at, len, i));
	}
	kvr_fs_bed_remove(&bed);
	free(page);
	free(cached);
	free(direct);
}

START_TEST(any_length_is_the_same_file_from_aligned_memory)
{
	both_ways(KVR_FORMAT_SEALED, false, 0);
	both_ways(KVR_FORMAT_LMCACHE, false, 0);
	both_ways(KVR_FORMAT_LMCACHE, true, 0);
	both_ways(KVR_FORMAT_BARE, false, 0);
}
END_TEST

START_TEST(and_from_memory_that_is_not)
{
	both_ways(KVR_FORMAT_SEALED, false, 1);
	both_ways(KVR_FORMAT_LMCACHE, false, KVR_FS_ALIGN - 28);
	both_ways(KVR_FORMAT_BARE, false, 4095);
}
END_TEST

START_TEST(an_empty_value_is_a_file_too)
{
	open_bed(KVR_FORMAT_BARE, false, true);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 0, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 0, 1), KVR_OK);
	kvr_fs_bed_remove(&bed);
	open_bed(KVR_FORMAT_SEALED, false, true);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 0, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 0, 1), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(short_and_interrupted_calls_change_nothing)
{
	open_bed(KVR_FORMAT_SEALED, false, true);
	kvr_fs_disk.at_most = 4096;
	kvr_fs_disk.interrupts = 1;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 300000, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 300000, 1), KVR_OK);
	/* Within a block: the rest goes through the cache. */
	kvr_fs_disk.at_most = 777;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 300000, 2), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 300000, 2), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_disk_that_fails_is_told_and_leaves_nothing_behind)
{
	open_bed(KVR_FORMAT_SEALED, false, true);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 3000000, 1), KVR_OK);
	for (int in = 0; in < 3; in++) {
		kvr_fs_disk.write_errno = ENOSPC;
		kvr_fs_disk.in = in;
		ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 3000000, 2), KVR_E_NOSPACE);
		kvr_fs_disk.write_errno = 0;
		kvr_fs_disk.read_errno = in % 2 == 0 ? EIO : -1;
		kvr_fs_disk.in = in;
		ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 3000000, 1),
		    in % 2 == 0 ? KVR_E_REFUSED : KVR_E_CORRUPT);
		kvr_fs_disk.read_errno = 0;
		ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
	}
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 3000000, 1), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_file_system_that_refuses_is_used_through_the_cache)
{
	/* Already at open, with a remark; */
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	bed.opts.direct = true;
	kvr_fs_disk.refuses_direct = true;
	ck_assert_int_eq(kvr_fs_ops.open(&bed.opts, &bed.store, bed.why, sizeof(bed.why)), KVR_OK);
	ck_assert_ptr_nonnull(strstr(bed.why, "does not take direct I/O (Invalid argument)"));
	ck_assert(!bed.store->direct);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
	kvr_fs_ops.close(bed.store);
	/* or later, in the middle of its life. */
	kvr_fs_disk.refuses_direct = false;
	kvr_fs_bed_open(&bed);
	ck_assert(bed.store->direct);
	ck_assert_str_eq(bed.why, "");
	kvr_fs_disk.refuses_direct = true;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 300000, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 300000, 1), KVR_OK);
	kvr_fs_disk.refuses_direct = false;
	kvr_fs_disk.refuses_writes = true;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 300001, 2), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 300001, 2), KVR_OK);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

KVR_CHECK_MAIN("connectors.fs_direct", any_length_is_the_same_file_from_aligned_memory,
    and_from_memory_that_is_not, an_empty_value_is_a_file_too,
    short_and_interrupted_calls_change_nothing, a_disk_that_fails_is_told_and_leaves_nothing_behind,
    a_file_system_that_refuses_is_used_through_the_cache)
