/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tmp_dir.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[256];

const char *
kvr_tmp_dir_make(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/kvr-test-XXXXXX", base == NULL ? "/tmp" : base);
	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

static int
remove_one(const char *name, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(name);
}

void
kvr_tmp_dir_remove(void)
{
	(void)chmod(path, 0700);
	ck_assert_int_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len >= n && strcmp(name + len - n, suffix) == 0;
}

size_t
kvr_dir_count(const char *dir_path, const char *suffix)
{
	DIR           *dir = opendir(dir_path);
	struct dirent *entry;
	size_t         n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_type != DT_DIR && ends_with(entry->d_name, suffix);
	closedir(dir);
	return n;
}

static void
join(char ret[1024], const char *dir, const char *name)
{
	ck_assert_int_lt(snprintf(ret, 1024, "%s/%s", dir, name), 1024);
}

void
kvr_file_write(const char *dir, const char *name, const void *at, size_t len)
{
	char full[1024];

	join(full, dir, name);
	int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, at, len), (long)len);
	close(fd);
}

long
kvr_file_read(const char *dir, const char *name, void *at, size_t cap)
{
	char        full[1024];
	struct stat st;

	join(full, dir, name);
	int fd = open(full, O_RDONLY);
	if (fd < 0)
		return -1;
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_ge(read(fd, at, cap), 0);
	close(fd);
	return (long)st.st_size;
}
