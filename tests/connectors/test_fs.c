/* SPDX-License-Identifier: Apache-2.0 */
/* What a file tier makes of damaged files, odd directories and wrong options. */
#include "kvr_fs_bed.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvr_check.h"
#include "kvr_connectors.h"

static struct kvr_fs_bed bed;

/* ---- damaged files ---- */

enum { LEN = 3000, HEAD = 4096 };

/* No single wrong byte of a sealed file goes unnoticed. */
START_TEST(a_sealed_file_with_any_wrong_byte_is_no_hit)
{
	uint8_t file[HEAD + LEN + 200];

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", LEN, 1), KVR_OK);
	long len = kvr_file_read(bed.dir, "k.kvr", file, sizeof(file));
	ck_assert_int_gt(len, HEAD + LEN);
	ck_assert_int_le(len, (long)sizeof(file));
	for (long at = 0; at < len; at += at < 512 || at > HEAD + LEN - 4 ? 1 : 97) {
		file[at] ^= 0x20;
		kvr_file_write(bed.dir, "k.kvr", file, (size_t)len);
		int32_t status = kvr_fs_bed_get(&bed, "k", LEN, 1);
		ck_assert_msg(status == KVR_E_CORRUPT || status == KVR_E_IDENTITY ||
		    status == KVR_E_LENGTH, "byte %ld: %s", at, kvr_err_name(status));
		file[at] ^= 0x20;
	}
	kvr_file_write(bed.dir, "k.kvr", file, (size_t)len);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", LEN, 1), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_truncated_file_is_no_hit_at_any_length)
{
	static const uint32_t formats[] = { KVR_FORMAT_SEALED, KVR_FORMAT_LMCACHE,
		KVR_FORMAT_BARE };
	static const char *const names[] = { "k.kvr", "k.data", "k.raw" };
	uint8_t file[HEAD + LEN + 200];

	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		kvr_fs_bed_make(&bed, formats[f]);
		kvr_fs_bed_open(&bed);
		ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", LEN, 1), KVR_OK);
		long len = kvr_file_read(bed.dir, names[f], file, sizeof(file));
		ck_assert_int_ge(len, LEN);
		for (long n = 0; n < len; n += 61) {
			kvr_file_write(bed.dir, names[f], file, (size_t)n);
			ck_assert_int_ne(kvr_fs_bed_get(&bed, "k", LEN, 1), KVR_OK);
		}
		kvr_file_write(bed.dir, names[f], file, 0);
		ck_assert(formats[f] == KVR_FORMAT_BARE || !kvr_fs_bed_has(&bed, "k"));
		kvr_fs_bed_remove(&bed);
	}
}
END_TEST

START_TEST(another_keys_file_is_not_taken_for_this_ones)
{
	uint8_t file[HEAD + LEN + 200];

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", LEN, 1), KVR_OK);
	long len = kvr_file_read(bed.dir, "k.kvr", file, sizeof(file));
	kvr_file_write(bed.dir, "l.kvr", file, (size_t)len);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "l", LEN, 1), KVR_E_IDENTITY);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(what_is_not_a_file_is_refused)
{
	char path[512];

	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	kvr_fs_bed_open(&bed);
	snprintf(path, sizeof(path), "%s/d.raw", bed.dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/p.raw", bed.dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/l.raw", bed.dir);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	for (const char *key = "dpl"; *key != '\0'; key++) {
		char one[2] = { *key, '\0' };
		ck_assert_int_eq(kvr_fs_bed_get(&bed, one, 10, 1), KVR_E_REFUSED);
		ck_assert_str_ne(kvr_fs_ops.why(bed.lane), "");
		ck_assert(!kvr_fs_bed_has(&bed, one));
	}
	/* A put replaces a link, not what it points to; a directory it cannot replace. */
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "l", 10, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "l", 10, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "d", 10, 1), KVR_E_REFUSED);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* ---- directories ---- */

/* As with a disk that is mounted when the engine runs already. */
START_TEST(a_directory_that_another_one_stands_for_ends_the_lane)
{
	char kv[300], old[310];

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	snprintf(kv, sizeof(kv), "%s/kv", bed.dir);
	snprintf(old, sizeof(old), "%s.old", kv);
	snprintf(bed.url, sizeof(bed.url), "fs://%s", kv);
	kvr_fs_bed_open(&bed);
	bed.lane->looked_ns = 0;
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 10, 1), KVR_OK);
	ck_assert_int_eq(rename(kv, old), 0);
	ck_assert_int_eq(mkdir(kv, 0755), 0);
	bed.lane->looked_ns = 0; /* a second later */

	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of("k", &meta);
	uint8_t         byte = 1;

	item.span = (struct kvr_span){ &byte, 1 };
	item.raw_len = 1;
	ck_assert_int_eq(kvr_fs_ops.run(bed.lane, KVR_VERB_PUT, &item, 1, kvr_soon()), KVR_E_DOWN);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	ck_assert_ptr_nonnull(strstr(kvr_fs_ops.why(bed.lane), "is another directory now"));
	kvr_fs_ops.hang_up(bed.lane);
	ck_assert_int_eq(kvr_fs_ops.dial(bed.store, kvr_soon(), &bed.kick, &bed.lane, bed.why,
	    sizeof(bed.why)), KVR_OK);
	bed.lane->looked_ns = 0;
	ck_assert(!kvr_fs_bed_has(&bed, "k"));
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 10, 1), KVR_OK);
	ck_assert_uint_eq(kvr_dir_count(kv, ".kvr"), 1);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_directory_that_was_removed_ends_the_lane_and_comes_back_with_the_next)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of("k", &meta);
	uint8_t         byte = 1;

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	bed.opts.capacity = KVR_MIB(1);
	kvr_fs_bed_open(&bed);
	kvr_tmp_dir_remove();
	item.span = (struct kvr_span){ &byte, 1 };
	item.raw_len = 1;
	ck_assert_int_eq(kvr_fs_ops.run(bed.lane, KVR_VERB_PUT, &item, 1, kvr_soon()), KVR_E_DOWN);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	ck_assert_int_eq(kvr_fs_ops.run(bed.lane, KVR_VERB_PING, NULL, 0, kvr_soon()), KVR_E_DOWN);
	kvr_fs_ops.hang_up(bed.lane);
	ck_assert_int_eq(kvr_fs_ops.dial(bed.store, kvr_soon(), &bed.kick, &bed.lane, bed.why,
	    sizeof(bed.why)), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 10, 1), KVR_OK);
	ck_assert_int_eq(kvr_fs_bed_get(&bed, "k", 10, 1), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* Answers what open() says; the sentence is in bed.why. */
static int
try_open(void)
{
	struct kvr_store *store = NULL;

	bed.why[0] = '\0';
	int err = kvr_fs_ops.open(&bed.opts, &store, bed.why, sizeof(bed.why));
	ck_assert(err == KVR_OK || store == NULL);
	kvr_fs_ops.close(store);
	return err;
}

START_TEST(a_url_or_option_that_makes_no_sense_is_told_why)
{
	static const char *const urls[] = { "fs://", "fs://host", "fs:///", "fs:///a,", "fs:///a,b",
		"fs:///a?x=1", "fs:///a#b", "fs://host:1//" };

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	for (size_t i = 0; i < KVR_LEN(urls); i++) {
		bed.opts.url = urls[i];
		ck_assert_msg(try_open() == KVR_E_CONFIG, "%s", urls[i]);
		ck_assert_str_ne(bed.why, "");
	}
	bed.opts.url = bed.url;
	struct kvr_store_opts good = bed.opts;
#define BAD(member, value) \
	bed.opts = good; \
	bed.opts.member = (value); \
	ck_assert_int_eq(try_open(), KVR_E_CONFIG); \
	ck_assert_str_ne(bed.why, "")
	BAD(user, "u");
	BAD(password, "p");
	BAD(ttl_ms, 1);
	BAD(format, 3);
	BAD(tmp_dir, "tmp");
	BAD(no_chunk_meta, true);
	good.format = KVR_FORMAT_LMCACHE;
	BAD(tmp_dir, "/tmp");
	BAD(tmp_dir, "../tmp");
	BAD(tmp_dir, "a/..");
	BAD(tmp_dir, "");
	bed.opts = good;
	bed.opts.tmp_dir = "a/..b/c";
	ck_assert_int_eq(try_open(), KVR_OK);
	snprintf(bed.url, sizeof(bed.url), "fs://%s",
	    "/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a");
	ck_assert_int_eq(try_open(), KVR_E_TOO_BIG);
	ck_assert_ptr_nonnull(strstr(bed.why, "16"));
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_file_where_a_directory_should_be_is_told)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_file_write(bed.dir, "file", "x", 1);
	snprintf(bed.url, sizeof(bed.url), "fs://%s/file", bed.dir);
	ck_assert_int_eq(try_open(), KVR_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(bed.why, "name a directory"));
	snprintf(bed.url, sizeof(bed.url), "fs://%s/file/below", bed.dir);
	ck_assert_int_eq(try_open(), KVR_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(bed.why, "/file/below"));
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_directory_of_somebody_else_is_told)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	/* Root may do anything, so it becomes somebody who may not. */
	bool root = geteuid() == 0;
	ck_assert_int_eq(chmod(bed.dir, root ? 0755 : 0555), 0);
	ck_assert(!root || seteuid(65534) == 0);
	ck_assert_int_eq(try_open(), KVR_E_AUTH);
	ck_assert_ptr_nonnull(strstr(bed.why, bed.dir));
	ck_assert_ptr_nonnull(strstr(bed.why, "give the directory to the user"));
	snprintf(bed.url, sizeof(bed.url), "fs://%s/deeper", bed.dir);
	ck_assert_int_eq(try_open(), KVR_E_AUTH);
	ck_assert(!root || seteuid(0) == 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_local_file_system_can_be_given_up_and_a_limit_is_a_capacity)
{
	struct kvr_fs_dir dir = { .fd = open("/proc", O_RDONLY | O_CLOEXEC), .tmp_fd = -1 };

	/* proc is on nobody's list of local file systems, like NFS and what is not invented yet. */
	ck_assert_int_eq(kvr_fs_where(&dir, 1), KVR_FS_FAR);
	close(dir.fd);
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	ck_assert_uint_eq(kvr_store_caps(&kvr_fs_ops, bed.store) & KVR_CAP(CAPACITY), 0);
	kvr_fs_bed_close(&bed);
	bed.opts.capacity = KVR_MIB(1);
	kvr_fs_bed_open(&bed);
	ck_assert_uint_ne(kvr_store_caps(&kvr_fs_ops, bed.store) & KVR_CAP(CAPACITY), 0);
	bed.store->where = KVR_FS_FAR;
	ck_assert_uint_eq(kvr_store_caps(&kvr_fs_ops, bed.store) & KVR_CAP(GIVE_UP), 0);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 10, 1), KVR_OK);
	bed.store->where = KVR_FS_DISK;
	ck_assert_uint_eq(kvr_store_caps(&kvr_fs_ops, bed.store) &
	        (KVR_CAP(GIVE_UP) | KVR_CAP(ANY_THREAD)), KVR_CAP(GIVE_UP));
	kvr_fs_bed_close(&bed);
	bed.opts.staged = true;
	kvr_fs_bed_open(&bed);
	ck_assert_uint_eq(
	    kvr_store_caps(&kvr_fs_ops, bed.store) & (KVR_CAP(GIVE_UP) | KVR_CAP(ANY_THREAD)), 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

KVR_CHECK_MAIN("connectors.fs", a_sealed_file_with_any_wrong_byte_is_no_hit,
    a_truncated_file_is_no_hit_at_any_length, another_keys_file_is_not_taken_for_this_ones,
    what_is_not_a_file_is_refused,
    a_directory_that_another_one_stands_for_ends_the_lane,
    a_directory_that_was_removed_ends_the_lane_and_comes_back_with_the_next,
    a_url_or_option_that_makes_no_sense_is_told_why, a_file_where_a_directory_should_be_is_told,
    a_directory_of_somebody_else_is_told,
    a_local_file_system_can_be_given_up_and_a_limit_is_a_capacity)
