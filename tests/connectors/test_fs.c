/* SPDX-License-Identifier: Apache-2.0 */
/* What a file tier writes and reads, byte by byte, and what it makes of files that are damaged. */
#include "kvr_fs_bed.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvr_check.h"
#include "kvr_connectors.h"
#include "kvr_golden.h"

static struct kvr_fs_bed bed;

/* ---- LMCache's layout ---- */

static uint32_t
memfmt_of(const char *name)
{
	for (uint32_t f = 0; kvr_memfmt_name(f) != NULL; f++)
		if (strcmp(kvr_memfmt_name(f), name) == 0)
			return f;
	ck_abort_msg("no memory format %s", name);
	return 0;
}

static struct kvr_meta
meta_of(const struct kvr_golden *entry)
{
	const char      *dtype = kvr_golden_text_of(entry, "dtype");
	struct kvr_meta  meta = { .memfmt = memfmt_of(kvr_golden_text_of(entry, "fmt")),
		 .n_groups = 1 };
	struct kvr_shape *shape = &meta.group[0];

	int code = kvr_dtype_find(dtype, strlen(dtype));
	ck_assert_int_ge(code, 0);
	shape->dtype = (uint32_t)code;
	KVR_GOLDEN_EACH(dim, kvr_golden_get(entry, "shape"))
		shape->dim[shape->n_dims++] = (uint64_t)kvr_golden_int(dim);
	return meta;
}

/* One chunk of the golden set: put by us, it is LMCache's file; LMCache's file is read by us. */
static void
check_entry(const struct kvr_golden *entry, bool with_header)
{
	const struct kvr_golden *files = kvr_golden_get(entry, "files");
	const struct kvr_golden *file = kvr_golden_first(files);
	const char              *name = kvr_golden_name(file);
	size_t                   payload_len = 0, want_len = 0;
	uint8_t        *payload = kvr_golden_hex_of(entry, "payload_hex", &payload_len);
	uint8_t        *want = kvr_golden_hex(file, &want_len);
	uint8_t         have[4096];
	struct kvr_meta meta, found;
	struct kvr_item item = kvr_item_of(kvr_golden_text_of(entry, "key"), &meta);

	ck_assert_uint_eq(kvr_golden_count(files), 1);
	meta = meta_of(entry);
	item.span = (struct kvr_span){ payload, payload_len };
	item.raw_len = payload_len;
	ck_assert_int_eq(kvr_fs_ops.run(bed.lane, KVR_VERB_PUT, &item, 1, kvr_soon()), KVR_OK);
	ck_assert_msg(kvr_item_status(&item) == KVR_OK, "%s: %s", name, kvr_fs_ops.why(bed.lane));
	ck_assert_int_eq(kvr_file_read(bed.dir, name, have, sizeof(have)), (long)want_len);
	ck_assert_msg(memcmp(have, want, want_len) == 0, "%s has other bytes", name);

	kvr_file_write(bed.dir, name, want, want_len);
	item = kvr_item_of(kvr_golden_text_of(entry, "key"), &found);
	memset(have, 0, sizeof(have));
	item.span = (struct kvr_span){ have, payload_len };
	ck_assert_int_eq(kvr_fs_ops.run(bed.lane, KVR_VERB_GET, &item, 1, kvr_soon()), KVR_OK);
	ck_assert_int_eq(kvr_item_status(&item), KVR_OK);
	ck_assert_int_eq(memcmp(have, payload, payload_len), 0);
	ck_assert(!with_header || kvr_meta_fits(&meta, &found));
	free(payload);
	free(want);
}

static void
check_set(const char *set_name, const char *url_format, bool no_chunk_meta, const char *tmp_dir)
{
	struct kvr_golden       *doc = kvr_golden_open("fs_layout.json");
	const struct kvr_golden *set = kvr_golden_get(kvr_golden_get(doc, "sets"), set_name);
	size_t                   n = 0;

	kvr_fs_bed_make(&bed, KVR_FORMAT_LMCACHE);
	snprintf(bed.url, sizeof(bed.url), url_format, bed.dir, bed.dir);
	bed.opts.no_chunk_meta = no_chunk_meta;
	bed.opts.tmp_dir = tmp_dir;
	kvr_fs_bed_open(&bed);
	KVR_GOLDEN_EACH(entry, kvr_golden_get(set, "entries")) {
		check_entry(entry, !no_chunk_meta);
		n++;
	}
	ck_assert_uint_ge(n, 7);
	/* Nothing but the chunks: LMCache lists what ends in .data, and we leave no temporaries. */
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
	kvr_fs_bed_remove(&bed);
	kvr_golden_close(doc);
}

START_TEST(lmcache_files_are_the_same_byte_by_byte)
{
	check_set("one_directory", "fs://%s", false, NULL);
}
END_TEST

START_TEST(lmcache_files_without_header_are_the_same)
{
	check_set("without_chunk_meta", "fs://host:1234%s", true, NULL);
}
END_TEST

START_TEST(lmcache_picks_the_same_of_two_directories)
{
	check_set("two_directories", "fs://host:1234%s/p0,%s/p1", false, NULL);
}
END_TEST

START_TEST(lmcache_temporary_directories_leave_the_same_files)
{
	check_set("relative_tmp_dir", "fs://%s/", false, "tmp");
}
END_TEST

/* ---- names ---- */

static int
name_of(const char *key, char ret[KVR_FS_NAME_MAX + 1])
{
	struct kvr_fs_name name;
	int err = kvr_fs_name(bed.store, key, (uint32_t)strlen(key), &name);

	if (err == KVR_OK) {
		ck_assert_uint_eq(name.len, strlen(name.text));
		ck_assert_uint_le(name.len, KVR_FS_NAME_MAX);
		ck_assert_ptr_null(strchr(name.text, '/'));
		ck_assert(kvr_fs_is_ours(bed.store, name.text));
		ck_assert(!kvr_fs_is_tmp(name.text));
		memcpy(ret, name.text, name.len + 1);
	}
	return err;
}

static void
check_name(const char *key, const char *want)
{
	char name[KVR_FS_NAME_MAX + 1] = "";

	ck_assert_int_eq(name_of(key, name), KVR_OK);
	ck_assert_str_eq(name, want);
}

START_TEST(lmcache_names_with_a_twin_are_refused)
{
	char name[KVR_FS_NAME_MAX + 1], key[KVR_KEY_LEN_MAX + 1];

	kvr_fs_bed_make(&bed, KVR_FORMAT_LMCACHE);
	kvr_fs_bed_open(&bed);
	check_name("facebook/opt-125m@1@0@75bcd15@bfloat16",
	    "facebook-SEP-opt-125m@1@0@75bcd15@bfloat16.data");
	check_name("a/SEP-b", "a-SEP-SEP-b.data");
	ck_assert_int_eq(name_of("a-SEP/b", name), KVR_E_UNSUPPORTED);
	ck_assert_int_eq(name_of("a-SEP-b", name), KVR_E_UNSUPPORTED);
	check_name("..", "...data");
	check_name("a%b @\\", "a%b @\\.data");
	memset(key, 'k', sizeof(key));
	key[250] = '\0';
	ck_assert_int_eq(name_of(key, name), KVR_OK);
	key[0] = '/';
	ck_assert_int_eq(name_of(key, name), KVR_E_TOO_BIG);
	key[0] = key[250] = 'k';
	key[251] = '\0';
	ck_assert_int_eq(name_of(key, name), KVR_E_TOO_BIG);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(sealed_names_can_be_read_back)
{
	char name[KVR_FS_NAME_MAX + 1], key[KVR_KEY_LEN_MAX + 1], other[KVR_FS_NAME_MAX + 1];

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	check_name("a/b-SEP-c@1@0@ff@half", "a%2Fb-SEP-c@1@0@ff@half.kvr");
	check_name("%2F", "%252F.kvr");
	check_name("..", "%2E..kvr");
	check_name("a b\n\xff", "a%20b%0A%FF.kvr");
	memset(key, 'k', sizeof(key));
	key[251] = '\0';
	ck_assert_int_eq(name_of(key, name), KVR_OK);
	ck_assert_uint_eq(strlen(name), 255);
	key[251] = 'k';
	key[512] = '\0';
	ck_assert_int_eq(name_of(key, name), KVR_OK);
	ck_assert_uint_eq(strlen(name), 34 + 4);
	ck_assert_int_eq(memcmp(name, "%%", 2), 0);
	key[511] = 'l';
	ck_assert_int_eq(name_of(key, other), KVR_OK);
	ck_assert_str_ne(name, other);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(names_that_are_not_ours_are_known)
{
	static const char *const foreign[] = { "", ".kvr", "x", "x.data", "x.raw", "a%2fb.kvr",
		"a%2.kvr", "a%.kvr", "a b.kvr", ".x.kvr", "%%12.kvr",
		"%%0123456789abcdef0123456789abcdef.kvr", "x.kvr.tmp" };
	static const char *const not_tmp[] = { ".kvr-0123456789abcdef-0123456789abcdef.tm",
		".kvr-0123456789abcdef_0123456789abcdef.tmp", "x.tmp", ".kvr-.tmp",
		"_kvr-0123456789abcdef-0123456789abcdef.tmp",
		".kvr-0123456789abcdeg-0123456789abcdef.tmp" };

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	for (size_t i = 0; i < KVR_LEN(foreign); i++)
		ck_assert_msg(!kvr_fs_is_ours(bed.store, foreign[i]), "%s", foreign[i]);
	for (size_t i = 0; i < KVR_LEN(not_tmp); i++)
		ck_assert_msg(!kvr_fs_is_tmp(not_tmp[i]), "%s", not_tmp[i]);
	ck_assert(kvr_fs_is_tmp(".kvr-0123456789abcdef-0123456789abcdef.tmp"));
	kvr_fs_bed_remove(&bed);
}
END_TEST

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
		ck_assert_ptr_nonnull(strstr(bed.why, "tier bed: "));
	}
	bed.opts.url = bed.url;
	struct kvr_store_opts good = bed.opts;
#define BAD(member, value) \
	bed.opts = good; \
	bed.opts.member = (value); \
	ck_assert_int_eq(try_open(), KVR_E_CONFIG); \
	ck_assert_ptr_nonnull(strstr(bed.why, "tier bed: "))
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
	snprintf(bed.url, sizeof(bed.url), "fs:///a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a,/a");
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
	ck_assert(!kvr_fs_is_local(&dir, 1));
	close(dir.fd);
	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	kvr_fs_bed_open(&bed);
	ck_assert_uint_eq(kvr_store_caps(&kvr_fs_ops, bed.store) & KVR_CAP(CAPACITY), 0);
	kvr_fs_bed_close(&bed);
	bed.opts.capacity = KVR_MIB(1);
	kvr_fs_bed_open(&bed);
	ck_assert_uint_ne(kvr_store_caps(&kvr_fs_ops, bed.store) & KVR_CAP(CAPACITY), 0);
	bed.store->local = false;
	ck_assert_uint_eq(kvr_store_caps(&kvr_fs_ops, bed.store) & KVR_CAP(GIVE_UP), 0);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "k", 10, 1), KVR_OK);
	bed.store->local = true;
	ck_assert_uint_ne(kvr_store_caps(&kvr_fs_ops, bed.store) & KVR_CAP(GIVE_UP), 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

KVR_CHECK_MAIN("connectors.fs", lmcache_files_are_the_same_byte_by_byte,
    lmcache_files_without_header_are_the_same, lmcache_picks_the_same_of_two_directories,
    lmcache_temporary_directories_leave_the_same_files, lmcache_names_with_a_twin_are_refused,
    sealed_names_can_be_read_back, names_that_are_not_ours_are_known,
    a_sealed_file_with_any_wrong_byte_is_no_hit, a_truncated_file_is_no_hit_at_any_length,
    another_keys_file_is_not_taken_for_this_ones, what_is_not_a_file_is_refused,
    a_directory_that_was_removed_ends_the_lane_and_comes_back_with_the_next,
    a_url_or_option_that_makes_no_sense_is_told_why, a_file_where_a_directory_should_be_is_told,
    a_directory_of_somebody_else_is_told,
    a_local_file_system_can_be_given_up_and_a_limit_is_a_capacity)
