/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are .instance.pid.n.kvrs: hidden, because they are not meant for people. As with traces,
 * the lock tells whether the writer lives: containers share /dev/shm, and each has a process 1.
 */
#include "kvr_page.h"

#include "kvr_dir.h"
#include "kvr_trace_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 1000, NAME_CAP = 96 };

static const char suffix[] = ".kvrs";

static bool
is_page(const char *name)
{
	size_t len = strlen(name), tail = sizeof(suffix) - 1;

	return name[0] == '.' && len > tail && len < NAME_CAP && strcmp(name + len - tail, suffix) == 0;
}

static void
drop_dead(int dir)
{
	DIR *d = kvr_dir_read(dir);
	struct stat st;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		int fd = is_page(e->d_name) ? kvr_trace_dir_take_dead(dir, e->d_name, &st) : -1;

		if (fd >= 0) {
			unlinkat(dir, e->d_name, 0);
			close(fd);
		}
	}
	if (d != NULL)
		closedir(d);
}

static int
create(int dir, const char *instance, char *ret_name, size_t cap)
{
	for (unsigned n = 0; n < TRIES; n++) {
		snprintf(ret_name, cap, ".%.40s.%ld.%u%s", instance, (long)getpid(), n, suffix);
		int fd = openat(
		    dir, ret_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0 && errno != EEXIST)
			return -1;
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		/* Another instance that cleans up has locked it as one that was left behind. */
		if (fd >= 0)
			close(fd);
	}
	errno = EEXIST;
	return -1;
}

/* Takes all blocks now: a sparse map on a full file system would be SIGBUS later. */
static bool
allocate(int fd, size_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    bytes > limit.rlim_cur) {
		errno = EFBIG;
		return false;
	}
	errno = posix_fallocate(fd, 0, (off_t)bytes);
	return errno == 0;
}

static bool
map_file(const char *asked, const char *instance, struct kvr_page *p, char *why, size_t why_cap)
{
	char path[192], name[NAME_CAP] = "";
	int dir = kvr_trace_dir_open(asked, path, sizeof(path), why, why_cap);

	if (dir < 0)
		return false;
	drop_dead(dir);
	int fd = create(dir, instance, name, sizeof(name));
	void *at = MAP_FAILED;

	if (fd >= 0 && allocate(fd, p->bytes))
		at = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		snprintf(why, why_cap, "%s/%s: %s", path, name, strerror(errno));
	if (at == MAP_FAILED && fd >= 0) {
		unlinkat(dir, name, 0);
		close(fd);
	}
	close(dir);
	if (at == MAP_FAILED)
		return false;
	p->at = at;
	p->fd = fd;
	snprintf(p->path, sizeof(p->path), "%s/%s", path, name);
	return true;
}

enum kvr_err
kvr_page_open(const char *dir, const char *instance, size_t bytes, struct kvr_page *ret, char *why,
    size_t why_cap)
{
	struct kvr_page p = { .bytes = bytes, .fd = -1 };

	if (why_cap > 0)
		why[0] = '\0';
	if ((dir == NULL || strcmp(dir, "none") != 0) && map_file(dir, instance, &p, why, why_cap)) {
		*ret = p;
		return KVR_OK;
	}
	p.at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p.at == MAP_FAILED)
		return KVR_E_NOMEM;
	*ret = p;
	return KVR_OK;
}

void
kvr_page_close(struct kvr_page *p)
{
	if (p->at == NULL)
		return;
	munmap(p->at, p->bytes);
	p->at = NULL;
	if (p->fd < 0)
		return;
	unlink(p->path);
	close(p->fd);
}

/* ---- readers ---- */

static bool
show(const char *path, kvr_page_fn *fn, void *arg)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	void *at = MAP_FAILED;

	/* A page that is just being made has no bytes yet. */
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED) {
		bool alive = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;

		fn(arg, path, alive, at, (size_t)st.st_size);
		munmap(at, (size_t)st.st_size);
	}
	if (fd >= 0)
		close(fd);
	return at != MAP_FAILED;
}

static int
is_page_entry(const struct dirent *e)
{
	return is_page(e->d_name);
}

int
kvr_page_each(const char *asked, kvr_page_fn *fn, void *arg)
{
	struct dirent **entry = NULL;
	char dir[200], path[512];
	int n = scandir(kvr_trace_dir_path(asked, dir, sizeof(dir)), &entry, is_page_entry, alphasort);
	int shown = n < 0 ? -1 : 0;

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
		shown += show(path, fn, arg);
		free(entry[i]);
	}
	free(entry);
	return shown;
}
