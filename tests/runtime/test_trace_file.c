/* SPDX-License-Identifier: Apache-2.0 */
/* Where a trace lives, who may read it, what becomes of old ones, and what a killed process leaves. */
#include "kvr_populate.h"
#include "kvr_trace_file.h"
#include "kvr_trace_view.h"
#include "kvr_check.h"
#include "trace_bed.h"
#include "duo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The linker puts this in place of the system's: a file system has no more room than that. */
int __real_posix_fallocate(int fd, off_t off, off_t len);
int __wrap_posix_fallocate(int fd, off_t off, off_t len);

static uint64_t room_left = UINT64_MAX;

int
__wrap_posix_fallocate(int fd, off_t off, off_t len)
{
	return (uint64_t)(off + len) > room_left ? ENOSPC : __real_posix_fallocate(fd, off, len);
}

/* And what a file says may change between two reads of it. */
ssize_t __real_pread(int fd, void *at, size_t len, off_t off);
ssize_t __wrap_pread(int fd, void *at, size_t len, off_t off);

static uint32_t heads_read, head_changes_at = UINT32_MAX;

ssize_t
__wrap_pread(int fd, void *at, size_t len, off_t off)
{
	ssize_t n = __real_pread(fd, at, len, off);

	if (off == 0 && len == sizeof(struct kvr_trace_head) && heads_read++ == head_changes_at)
		((struct kvr_trace_head *)at)->n_actors = UINT32_MAX;
	return n;
}

static void
make_dir(char *ret, size_t cap)
{
	snprintf(ret, cap, "/tmp/kvr-trace-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(ret));
}

static uint32_t
count_files(const char *dir)
{
	DIR *d = opendir(dir);
	uint32_t n = 0;

	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void
remove_dir(const char *dir)
{
	DIR *d = opendir(dir);

	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(a_file_is_only_for_its_user)
{
	char dir[64], inside[96];
	struct stat st;

	make_dir(dir, sizeof(dir));
	snprintf(inside, sizeof(inside), "%s/traces", dir);
	struct kvr_trace *t = bed_trace(inside, KVR_MIB(1), 8);
	ck_assert_str_eq(bed_why, "");
	ck_assert_int_eq(stat(inside, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(stat(kvr_trace_path(t), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_ge(st.st_blocks * 512, (int64_t)KVR_MIB(1)); /* not sparse */
	ck_assert_ptr_nonnull(strstr(kvr_trace_path(t), "/test_1."));
	kvr_trace_close(t);
	remove_dir(inside);
	remove_dir(dir);
}
END_TEST

START_TEST(old_files_go_and_others_stay)
{
	static const char *const not_ours[] = { "notes.txt", "test_1.kvrt", "test_1.12.x.kvrt",
		"a b.1.2.kvrt", "test_1.1.2.kvrt.gz" };
	char dir[64], path[256], first[400];

	make_dir(dir, sizeof(dir));
	for (size_t i = 0; i < KVR_LEN(not_ours); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, not_ours[i]);
		int fd = open(path, O_WRONLY | O_CREAT, 0600);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	struct kvr_trace *alive = bed_trace(dir, KVR_MIB(1), 2);
	snprintf(first, sizeof(first), "%s", kvr_trace_path(alive));
	for (int i = 0; i < 6; i++)
		kvr_trace_close(bed_trace(dir, KVR_MIB(1), 2));
	/* the living one, two of earlier runs, and the one that was opened last */
	ck_assert_uint_eq(count_files(dir), KVR_LEN(not_ours) + 1 + 2 + 1);
	ck_assert_int_eq(access(first, F_OK), 0);
	kvr_trace_close(alive);
	kvr_trace_close(bed_trace(dir, KVR_MIB(1), 0));
	ck_assert_uint_eq(count_files(dir), KVR_LEN(not_ours) + 1);
	remove_dir(dir);
}
END_TEST

/* Whoever looks around after a crash opens instances, too, and looks for just one trace. */
START_TEST(files_of_another_kind_are_counted_apart)
{
	static const char *const other[] = { "engine1.7.0.kvrt", "engine12.8.0.kvrt",
		"tes.9.0.kvrt" };
	char dir[64], path[128];

	make_dir(dir, sizeof(dir));
	for (size_t i = 0; i < KVR_LEN(other); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, other[i]);
		FILE *f = fopen(path, "w");

		ck_assert_ptr_nonnull(f);
		fclose(f);
	}
	for (int i = 0; i < 6; i++)
		kvr_trace_close(bed_trace(dir, KVR_MIB(1), 2));
	ck_assert_uint_eq(count_files(dir), KVR_LEN(other) + 2 + 1);
	for (size_t i = 0; i < KVR_LEN(other); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, other[i]);
		ck_assert_int_eq(access(path, F_OK), 0);
	}
	remove_dir(dir);
}
END_TEST

START_TEST(no_directory_is_no_reason_to_fail)
{
	struct kvr_trace *t = bed_trace("/proc/no/such/place", KVR_MIB(1), 1);
	struct duo_run r;

	ck_assert_str_eq(kvr_trace_path(t), "");
	ck_assert_ptr_nonnull(strstr(bed_why, "/proc/no/such/place: "));
	duo_open(&r, t);
	duo_work(&r, 1, 10);
	struct kvr_trace_view *v = bed_copy(t);
	ck_assert_uint_eq(kvr_trace_view_count(v), r.n_steps);
	kvr_trace_view_free(v);
	duo_close(&r);
	kvr_trace_close(t);
}
END_TEST

/* What fits of a path is the path of another directory, which would be made. */
START_TEST(a_path_that_is_too_long_is_not_cut)
{
	char dir[64], deep[400];

	make_dir(dir, sizeof(dir));
	snprintf(deep, sizeof(deep), "%s/%0*d", dir, 250, 7);
	struct kvr_trace *t = bed_trace(deep, KVR_MIB(1), 1);
	ck_assert_str_eq(kvr_trace_path(t), "");
	ck_assert_msg(strstr(bed_why, "...: longer than the 191 bytes") != NULL, "%s", bed_why);
	kvr_trace_close(t);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing was made in it */
}
END_TEST

START_TEST(too_little_room_makes_a_smaller_ring)
{
	struct rlimit limit = { KVR_MIB(3), RLIM_INFINITY };
	char dir[64];
	uint64_t len;

	make_dir(dir, sizeof(dir));
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = KVR_MIB(3);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	struct kvr_trace *t = bed_trace(dir, KVR_MIB(16), 1);
	ck_assert_str_ne(kvr_trace_path(t), "");
	ck_assert_msg(
	    strstr(bed_why, ": 2.0 MiB instead of 16.0: File too large") != NULL, "%s", bed_why);
	kvr_trace_bytes(t, &len);
	ck_assert_uint_ge(len, KVR_MIB(2));
	ck_assert_uint_lt(len, KVR_MIB(3));
	kvr_trace_close(t);
	limit.rlim_cur = KVR_KIB(100);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	t = bed_trace(dir, KVR_MIB(16), 1);
	ck_assert_str_eq(kvr_trace_path(t), "");
	ck_assert_str_ne(bed_why, "");
	kvr_trace_close(t);
	remove_dir(dir);
}
END_TEST

/* /dev/shm is half of the memory, and others have theirs there. */
START_TEST(a_file_system_that_is_nearly_full_is_told_of)
{
	char dir[64];
	uint64_t len;

	make_dir(dir, sizeof(dir));
	room_left = KVR_MIB(5);
	struct kvr_trace *t = bed_trace(dir, KVR_MIB(16), 1);
	ck_assert_str_ne(kvr_trace_path(t), "");
	ck_assert_msg(strstr(bed_why, kvr_trace_path(t)) == bed_why, "%s", bed_why);
	ck_assert_msg(strstr(bed_why, ": 4.0 MiB instead of 16.0: No space left on device") != NULL,
	    "%s", bed_why);
	kvr_trace_bytes(t, &len);
	ck_assert_uint_gt(len, KVR_MIB(4));
	kvr_trace_close(t);
	/* What is said of it says why, too, where not even the shortest goes in. */
	room_left = KVR_KIB(100);
	t = bed_trace(dir, KVR_MIB(16), 1);
	ck_assert_str_eq(kvr_trace_path(t), "");
	ck_assert_msg(strstr(bed_why, ".kvrt: No space left on device") != NULL, "%s", bed_why);
	kvr_trace_close(t);
	room_left = UINT64_MAX;
	t = bed_trace(dir, KVR_MIB(2), 1);
	ck_assert_str_eq(bed_why, "");
	kvr_trace_close(t);
	remove_dir(dir);
}
END_TEST

/* Its writer, or whoever else may write there, does not stop for a reader. */
START_TEST(a_head_that_is_written_over_while_it_is_read_is_damaged)
{
	char dir[64];
	struct kvr_trace_view *v = NULL;

	make_dir(dir, sizeof(dir));
	struct kvr_trace *t = bed_trace(dir, KVR_MIB(1), 1);
	for (head_changes_at = 0; head_changes_at < 2; head_changes_at++) {
		heads_read = 0;
		ck_assert_int_eq(kvr_trace_view_open(kvr_trace_path(t), &v, bed_why, sizeof(bed_why)),
		    KVR_E_CORRUPT);
		ck_assert_ptr_nonnull(strstr(bed_why, " has a damaged head"));
	}
	head_changes_at = UINT32_MAX;
	ck_assert_int_eq(
	    kvr_trace_view_open(kvr_trace_path(t), &v, bed_why, sizeof(bed_why)), KVR_OK);
	kvr_trace_view_free(v);
	kvr_trace_close(t);
	remove_dir(dir);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
	struct kvr_trace_options o = { .dir = "none", .size = KVR_MIB(1) - 1 };
	struct kvr_trace *t = NULL;

	ck_assert_int_eq(kvr_trace_open(&o, &t, bed_why, sizeof(bed_why)), KVR_E_INVALID);
	o.size = UINT64_MAX;
	ck_assert_int_eq(kvr_trace_open(&o, &t, bed_why, sizeof(bed_why)), KVR_E_INVALID);
}
END_TEST

/* ---- a process that is killed ---- */

static void
write_until_killed(const char *dir, int tell)
{
	struct kvr_trace *t;
	struct duo_run r;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail before it kills */
	t = bed_trace(dir, KVR_MIB(8), 1);
	duo_open(&r, t);
	for (uint64_t seed = 0;; seed++) {
		duo_work(&r, seed, 100);
		if (seed == 100 && write(tell, "x", 1) != 1)
			_exit(1);
	}
}

static void
find_file(const char *dir, char *ret, size_t cap)
{
	DIR *d = opendir(dir);

	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			snprintf(ret, cap, "%s/%.200s", dir, e->d_name);
	closedir(d);
}

START_TEST(a_killed_process_leaves_a_whole_trace)
{
	char dir[64], path[300] = "", c;
	int ends[2], status = 0;

	make_dir(dir, sizeof(dir));
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		write_until_killed(dir, ends[1]);
	ck_assert_int_eq(read(ends[0], &c, 1), 1);
	find_file(dir, path, sizeof(path));
	/*
	 * While it runs as fast as it can, again and again: never a torn record. On a busy machine
	 * it may go once round between two reads, and the view says so.
	 */
	uint32_t seen = 0;
	for (int i = 0; i < 1000 && seen < 50; i++) {
		struct kvr_trace_view *v = NULL;
		if (kvr_trace_view_open(path, &v, bed_why, sizeof(bed_why)) != KVR_OK) {
			ck_assert_ptr_nonnull(strstr(bed_why, "written too fast"));
			continue;
		}
		ck_assert_str_eq(kvr_trace_view_tail(v), "");
		ck_assert_uint_gt(kvr_trace_view_count(v), 0);
		kvr_trace_view_free(v);
		seen++;
	}
	ck_assert_uint_eq(seen, 50);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	struct kvr_trace_view *v = NULL;
	ck_assert_int_eq(kvr_trace_view_open(path, &v, bed_why, sizeof(bed_why)), KVR_OK);
	ck_assert_str_eq(kvr_trace_view_tail(v), "");
	ck_assert_uint_lt(kvr_trace_view_first_start(v), kvr_trace_view_count(v));
	ck_assert_uint_eq(kvr_trace_view_head(v)->pid, (uint32_t)child);
	kvr_trace_view_free(v);
	close(ends[0]);
	close(ends[1]);
	remove_dir(dir);
}
END_TEST

/* Whether a write to each of its pages meets one that is mapped. */
static uint64_t
count_mapped(const void *at, uint64_t bytes)
{
	int map = open("/proc/self/pagemap", O_RDONLY);
	uint64_t n = 0, page;

	ck_assert_int_ge(map, 0);
	for (uint64_t i = 0; i < bytes; i += KVR_PAGE) {
		off_t entry = (off_t)(((uintptr_t)at + i) / KVR_PAGE * sizeof(page));

		ck_assert_int_eq(pread(map, &page, sizeof(page), entry), sizeof(page));
		n += page >> 63;
	}
	close(map);
	return n;
}

START_TEST(a_ring_is_mapped_before_it_is_written)
{
	struct kvr_trace_file f;
	char dir[] = "/dev/shm/kvr-trace-XXXXXX";

	if (sysconf(_SC_PAGESIZE) != KVR_PAGE || kvr_populate(NULL, 0) != 0 || mkdtemp(dir) == NULL) {
		printf("no file in memory here, or a kernel that maps nothing ahead of time: not run\n");
		return;
	}
	const struct kvr_trace_options o = {
		.dir = dir, .size = KVR_MIB(4), .instance = "test_1", .keep = 8
	};
	ck_assert_int_eq(
	    kvr_trace_file_map(&o, 3 * KVR_PAGE, &f, bed_why, sizeof(bed_why)), KVR_OK);
	ck_assert_uint_eq(count_mapped(f.at, f.bytes), f.bytes / KVR_PAGE);
	kvr_trace_file_unmap(&f);
	remove_dir(dir);
}
END_TEST

KVR_CHECK_MAIN("runtime.trace_file", a_ring_is_mapped_before_it_is_written,
    a_file_is_only_for_its_user, old_files_go_and_others_stay,
    files_of_another_kind_are_counted_apart, no_directory_is_no_reason_to_fail,
    a_path_that_is_too_long_is_not_cut, too_little_room_makes_a_smaller_ring,
    a_file_system_that_is_nearly_full_is_told_of,
    a_head_that_is_written_over_while_it_is_read_is_damaged, impossible_sizes_are_refused,
    a_killed_process_leaves_a_whole_trace)
