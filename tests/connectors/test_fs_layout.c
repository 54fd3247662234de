/* SPDX-License-Identifier: Apache-2.0 */
/* What a file tier writes and reads, byte by byte, and under which names. */
#include "kvr_fs_bed.h"

#include <stdio.h>
#include <string.h>

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
check_set_so(const char *set_name, const char *url_format, bool no_chunk_meta,
    const char *tmp_dir, bool direct)
{
	struct kvr_golden       *doc = kvr_golden_open("fs_layout.json");
	const struct kvr_golden *set = kvr_golden_get(kvr_golden_get(doc, "sets"), set_name);
	size_t                   n = 0;

	kvr_fs_bed_make(&bed, KVR_FORMAT_LMCACHE);
	snprintf(bed.url, sizeof(bed.url), url_format, bed.dir, bed.dir);
	bed.opts.no_chunk_meta = no_chunk_meta;
	bed.opts.tmp_dir = tmp_dir;
	bed.opts.direct = direct;
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

/* Through the page cache and past it. */
static void
check_set(const char *set_name, const char *url_format, bool no_chunk_meta, const char *tmp_dir)
{
	check_set_so(set_name, url_format, no_chunk_meta, tmp_dir, false);
	check_set_so(set_name, url_format, no_chunk_meta, tmp_dir, true);
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

/* Its place is that of its hash, which is one field further on where the engine's name is in front. */
START_TEST(lmcache_picks_the_same_directory_for_keys_of_2025)
{
	static const struct {
		const char *key;
		uint32_t dir;
	} row[] = {
		{ "m@2@1@75bcd16@half", 0x75bcd16 % 3 }, { "vllm@m@2@1@75bcd16@half", 0x75bcd16 % 3 },
		{ "vllm@m@2@1@75bcd17@half", 0x75bcd17 % 3 }, { "vllm@m@2@1@75bcd18", 0x75bcd18 % 3 },
		{ "vllm@m@2@0@-ff@half@t%1", 0xff % 3 }, { "vllm@m@2@0@-fe@3", 0xfe % 3 },
	};
	struct kvr_fs_name name;

	kvr_fs_bed_make(&bed, KVR_FORMAT_LMCACHE);
	snprintf(bed.url, sizeof(bed.url), "fs://%s/p0,%s/p1,%s/p2", bed.dir, bed.dir, bed.dir);
	kvr_fs_bed_open(&bed);
	for (size_t i = 0; i < KVR_LEN(row); i++) {
		ck_assert_int_eq(kvr_fs_name(bed.store, row[i].key, (uint32_t)strlen(row[i].key), &name),
		    KVR_OK);
		ck_assert_msg(name.dir == row[i].dir, "%s: %u, not %u", row[i].key, name.dir, row[i].dir);
	}
	kvr_fs_bed_remove(&bed);
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

KVR_CHECK_MAIN("connectors.fs_layout", lmcache_files_are_the_same_byte_by_byte,
    lmcache_files_without_header_are_the_same, lmcache_picks_the_same_of_two_directories,
    lmcache_picks_the_same_directory_for_keys_of_2025,
    lmcache_temporary_directories_leave_the_same_files, lmcache_names_with_a_twin_are_refused,
    sealed_names_can_be_read_back, names_that_are_not_ours_are_known)
