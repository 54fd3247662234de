/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fs_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kvr_fs.h"

struct kvr_fs_disk kvr_fs_disk;

ssize_t __real_write(int fd, const void *at, size_t len);
ssize_t __wrap_write(int fd, const void *at, size_t len);
ssize_t __real_pread(int fd, void *at, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *at, size_t len, off_t offset);
int     __real_fstatvfs(int fd, struct statvfs *ret);
int     __wrap_fstatvfs(int fd, struct statvfs *ret);
int     __real_unlinkat(int fd, const char *name, int flags);
int     __wrap_unlinkat(int fd, const char *name, int flags);
int     __real_openat(int fd, const char *name, int flags, ...);
int     __wrap_openat(int fd, const char *name, int flags, ...);

static bool
interrupted(void)
{
	static _Thread_local int n;

	if (n++ < kvr_fs_disk.interrupts)
		return true;
	n = 0;
	return false;
}

/* Check writes to its pipes, and a kick to its eventfd: not those. */
static bool
is_disk(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* True: it is to be refused. */
static bool
past_the_cache(int fd)
{
	if ((fcntl(fd, F_GETFL) & O_DIRECT) == 0)
		return false;
	kvr_fs_disk.direct_calls++;
	errno = EINVAL;
	return kvr_fs_disk.refuses_writes;
}

ssize_t
__wrap_write(int fd, const void *at, size_t len)
{
	if (!is_disk(fd))
		return __real_write(fd, at, len);
	kvr_fs_disk.writes++;
	if (interrupted()) {
		errno = EINTR;
		return -1;
	}
	if (past_the_cache(fd))
		return -1;
	if (kvr_fs_disk.write_errno != 0 && kvr_fs_disk.in-- <= 0) {
		errno = kvr_fs_disk.write_errno == -1 ? 0 : kvr_fs_disk.write_errno;
		return kvr_fs_disk.write_errno == -1 ? 0 : -1;
	}
	if (kvr_fs_disk.at_most != 0)
		len = KVR_MIN(len, kvr_fs_disk.at_most);
	ssize_t n = __real_write(fd, at, len);
	if (kvr_fs_disk.after_write != NULL)
		kvr_fs_disk.after_write();
	return n;
}

ssize_t
__wrap_pread(int fd, void *at, size_t len, off_t offset)
{
	if (interrupted()) {
		errno = EINTR;
		return -1;
	}
	if (past_the_cache(fd))
		return -1;
	if (kvr_fs_disk.read_errno != 0 && kvr_fs_disk.in-- <= 0) {
		errno = kvr_fs_disk.read_errno == -1 ? 0 : kvr_fs_disk.read_errno;
		return kvr_fs_disk.read_errno == -1 ? 0 : -1;
	}
	if (kvr_fs_disk.at_most != 0)
		len = KVR_MIN(len, kvr_fs_disk.at_most);
	return __real_pread(fd, at, len, offset);
}

int
__wrap_fstatvfs(int fd, struct statvfs *ret)
{
	int err = __real_fstatvfs(fd, ret);

	if (kvr_fs_disk.free_bytes != 0) {
		ret->f_frsize = 1;
		ret->f_bavail = kvr_fs_disk.free_bytes;
	}
	return err;
}

int
__wrap_unlinkat(int fd, const char *name, int flags)
{
	int err = __real_unlinkat(fd, name, flags);

	if (err == 0 && !kvr_fs_is_tmp(name)) {
		kvr_fs_disk.free_bytes += kvr_fs_disk.frees_per_file;
		if (kvr_fs_disk.heals_when_evicted)
			kvr_fs_disk.write_errno = 0;
	}
	return err;
}

int
__wrap_openat(int fd, const char *name, int flags, ...)
{
	va_list args;

	bool stood_still =
	    (flags & O_DIRECTORY) != 0 && atomic_load(&kvr_fs_disk.stands_still) != 0;
	if (stood_still) {
		atomic_fetch_add(&kvr_fs_disk.came, 1);
		kvr_wake_every(&kvr_fs_disk.came);
	}
	while (stood_still && atomic_load(&kvr_fs_disk.stands_still) != 0)
		(void)kvr_sleep_on(&kvr_fs_disk.stands_still, 1, UINT64_MAX);
	if ((flags & O_DIRECTORY) != 0 && kvr_fs_disk.open_errno != 0) {
		errno = kvr_fs_disk.open_errno;
		return -1;
	}
	if ((flags & O_CREAT) != 0 && kvr_fs_disk.create_errno != 0) {
		errno = kvr_fs_disk.create_errno;
		return -1;
	}
	if ((flags & O_DIRECT) != 0 && kvr_fs_disk.refuses_direct) {
		errno = EINVAL;
		return -1;
	}
	va_start(args, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	int got = __real_openat(fd, name, flags, mode);
	if (stood_still) {
		atomic_fetch_add(&kvr_fs_disk.went_on, 1);
		kvr_wake_every(&kvr_fs_disk.went_on);
	}
	return got;
}
