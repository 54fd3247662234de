/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are instance.pid.n.kvrt; nothing else in the directory is ever touched. The lock on a file
 * tells whether its writer lives, not the process number in its name: containers share /dev/shm,
 * and each has a process 1.
 */
#include "kvr_trace_file.h"
#include "kvr_populate.h"
#include "kvr_dir.h"
#include "kvr_trace_dir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { OLD_MAX = 512, NAME_CAP = 96, TRIES = 1000 };

static const uint64_t ring_min = KVR_MIB(1);
static const uint64_t kept_bytes_max = KVR_MIB(256);
#define TOUCHED_AT_OPEN KVR_MIB(64)

struct old {
	int64_t mtime_s;
	uint64_t bytes;
	char name[NAME_CAP];
};

/* ---- earlier files ---- */

static bool
digits(const char **at)
{
	const char *from = *at;

	while (isdigit((unsigned char)**at))
		(*at)++;
	return *at > from;
}

/* instance.pid.n.kvrt, where instance is as clean_name makes it. */
static bool
is_ours(const char *name)
{
	const char *at = name;

	if (strlen(name) >= NAME_CAP)
		return false;
	while (isalnum((unsigned char)*at) || *at == '-' || *at == '_')
		at++;
	if (at == name || *at++ != '.' || !digits(&at) || *at++ != '.' || !digits(&at))
		return false;
	return strcmp(at, ".kvrt") == 0;
}

/*
 * What an instance's name is without its number. Each kind has its own files: whoever looks around
 * with a dozen commands after a crash must not push out the trace of what crashed.
 */
static size_t
kind_len(const char *name)
{
	size_t n = strcspn(name, ".");

	while (n > 0 && isdigit((unsigned char)name[n - 1]))
		n--;
	return n;
}

static bool
is_kind(const char *name, const char *instance)
{
	size_t n = kind_len(instance);

	return kind_len(name) == n && strncmp(name, instance, n) == 0;
}

static int
newest_first(const void *a, const void *b)
{
	const struct old *x = a, *y = b;

	if (x->mtime_s != y->mtime_s)
		return x->mtime_s < y->mtime_s ? 1 : -1;
	return strcmp(y->name, x->name);
}

/* True when no process is writing it any more. */
static bool
is_left_behind(int dir, const char *name, struct old *ret)
{
	struct stat st;
	int fd = kvr_trace_dir_take_dead(dir, name, &st);

	if (fd < 0)
		return false;
	close(fd);
	ret->mtime_s = (int64_t)st.st_mtime;
	ret->bytes = (uint64_t)st.st_size;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return true;
}

static void
drop_old(int dir, uint32_t keep, const char *instance)
{
	struct old *old = calloc(OLD_MAX, sizeof(*old));
	DIR *d = kvr_dir_read(dir);
	uint32_t n = 0;
	uint64_t sum = 0;

	for (struct dirent *e; old != NULL && d != NULL && n < OLD_MAX && (e = readdir(d)) != NULL;)
		if (is_ours(e->d_name) && is_kind(e->d_name, instance) &&
		    is_left_behind(dir, e->d_name, &old[n]))
			n++;
	if (n > 0)
		qsort(old, n, sizeof(*old), newest_first);
	for (uint32_t i = 0; i < n; i++) {
		sum += old[i].bytes;
		if (i >= keep || sum > kept_bytes_max)
			unlinkat(dir, old[i].name, 0);
	}
	if (d != NULL)
		closedir(d);
	free(old);
}

/* ---- the file ---- */

static void
clean_name(const char *instance, char *ret, size_t cap)
{
	size_t n = 0;

	for (; instance != NULL && instance[n] != '\0' && n + 1 < cap; n++)
		ret[n] =
		    instance[n] == '-' || isalnum((unsigned char)instance[n]) ? instance[n] : '_';
	ret[n] = '\0';
	if (n == 0)
		snprintf(ret, cap, "kvrelay");
}

static int
create(int dir, const char *clean, char *ret_name, size_t cap)
{
	for (unsigned n = 0; n < TRIES; n++) {
		snprintf(ret_name, cap, "%s.%ld.%u.kvrt", clean, (long)getpid(), n);
		int fd =
		    openat(dir, ret_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	errno = EEXIST;
	return -1;
}

/* ---- memory ---- */

/*
 * Halves the ring as long as the file system has no room. Returns the ring's bytes, or 0; errno
 * says why it is less than was requested. A limit on the size of files is checked first, because
 * hitting it is a signal that ends the process.
 */
static uint64_t
allocate(int fd, uint64_t extra, uint64_t ring)
{
	struct rlimit limit;
	int reason = 0;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
		limit.rlim_cur = RLIM_INFINITY;
	for (; ring >= ring_min; ring = ring / 2 / KVR_PAGE * KVR_PAGE) {
		bool may = limit.rlim_cur == RLIM_INFINITY || extra + ring <= limit.rlim_cur;
		int e = may ? posix_fallocate(fd, 0, (off_t)(extra + ring)) : EFBIG;

		if (e == 0)
			break;
		reason = e;
		if ((e != ENOSPC && e != EFBIG) || (may && ftruncate(fd, 0) != 0))
			ring = 0;
	}
	errno = reason;
	return ring >= ring_min ? ring : 0;
}

/*
 * On tmpfs the file's pages are allocated, but each is cleared and mapped only when it is first
 * written: 3 us for each lookup of 64 keys, until the ring has gone round once. Only the first part
 * of a large ring is touched, because all of it would make an open take seconds. On a disk nothing
 * is, because all of it would be written back.
 */
static void
touch(int fd, void *at, uint64_t bytes)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		(void)kvr_populate(at, (size_t)KVR_MIN(bytes, TOUCHED_AT_OPEN));
}

static bool
map_file(const struct kvr_trace_options *opt, uint64_t extra, struct kvr_trace_file *f, char *why,
    size_t why_cap)
{
	char path[192], name[NAME_CAP] = "", clean[40];
	int dir = kvr_trace_dir_open(opt->dir, path, sizeof(path), why, why_cap);

	if (dir < 0)
		return false;
	clean_name(opt->instance, clean, sizeof(clean));
	drop_old(dir, opt->keep, clean);
	int fd = create(dir, clean, name, sizeof(name));
	uint64_t ring =
	    fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 ? 0 : allocate(fd, extra, opt->size);
	void *at = ring == 0 ? MAP_FAILED
	                     : mmap(NULL, extra + ring, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		snprintf(why, why_cap, "%s/%s: %s", path, name, strerror(errno));
	else if (ring < opt->size)
		snprintf(why, why_cap, "%s/%s: %.1f MiB instead of %.1f: %s", path, name,
		    (double)ring / (double)KVR_MIB(1), (double)opt->size / (double)KVR_MIB(1),
		    strerror(errno));
	if (at == MAP_FAILED && fd >= 0) {
		unlinkat(dir, name, 0);
		close(fd);
	}
	close(dir);
	if (at == MAP_FAILED)
		return false;
	touch(fd, at, extra + ring);
	f->at = at;
	f->bytes = extra + ring;
	f->fd = fd;
	snprintf(f->path, sizeof(f->path), "%s/%s", path, name);
	return true;
}

enum kvr_err
kvr_trace_file_map(const struct kvr_trace_options *opt, uint64_t extra, struct kvr_trace_file *ret,
    char *why, size_t why_cap)
{
	struct kvr_trace_file f = { .fd = -1 };

	if (why_cap > 0)
		why[0] = '\0';
	if (opt->dir != NULL && strcmp(opt->dir, "none") == 0) {
		f.at = NULL;
	} else if (map_file(opt, extra, &f, why, why_cap)) {
		*ret = f;
		return KVR_OK;
	}
	f.bytes = extra + opt->size;
	f.at = mmap(NULL, f.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f.at == MAP_FAILED)
		return KVR_E_NOMEM;
	*ret = f;
	return KVR_OK;
}

void
kvr_trace_file_unmap(struct kvr_trace_file *f)
{
	munmap(f->at, f->bytes);
	if (f->fd >= 0)
		close(f->fd);
}
