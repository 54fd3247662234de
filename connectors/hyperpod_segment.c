/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's shared memory, a file below /dev/shm that the daemon owns and that is only read
 * here. It is not mapped: a daemon that dies or restarts truncates it, and touching a mapped page
 * beyond the new end is SIGBUS for the whole process, whatever was checked before. pread copies the
 * same pages into the destination in one step, and comes back short instead.
 */
#include "kvr_hyperpod.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum kvr_err
cannot(const char *path, int sys_errno, char *why, size_t why_cap)
{
	if (sys_errno == EACCES || sys_errno == EPERM) {
		snprintf(why, why_cap, "%s: no permission; run as the daemon's user", path);
		return KVR_E_AUTH;
	}
	if (sys_errno == ENOENT)
		snprintf(why, why_cap, "%s is not there; see shared_memory_name", path);
	else
		snprintf(why, why_cap, "%s: %s", path, strerror(sys_errno));
	return KVR_E_DOWN;
}

void
kvr_hp_segment_close(struct kvr_hp_segment *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static bool
is(const struct kvr_hp_file *f, const struct stat *st)
{
	return f->dev == st->st_dev && f->ino == st->st_ino;
}

bool
kvr_hp_file_is(const struct kvr_hp_file *f, const char *path)
{
	struct stat st;
	/* While the file is open, its inode number is not given to another one. */
	return stat(path, &st) == 0 && is(f, &st);
}

enum kvr_err
kvr_hp_segment_fresh(struct kvr_hp_segment *s, const char *path, char *why, size_t why_cap)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return cannot(path, errno, why, why_cap);
	if (s->fd < 0 || !is(&s->file, &st)) {
		kvr_hp_segment_close(s);
		/* Nonblocking, because somebody may have put a pipe there. */
		s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (s->fd < 0 || fstat(s->fd, &st) != 0)
			return cannot(path, errno, why, why_cap);
		s->file = (struct kvr_hp_file){ st.st_dev, st.st_ino };
	}
	s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	if (s->size == 0) {
		snprintf(why, why_cap, "%s is %s", path, S_ISREG(st.st_mode)
		        ? "empty: the daemon is starting" : "no shared memory");
		return KVR_E_DOWN;
	}
	return KVR_OK;
}

bool
kvr_hp_segment_read(const struct kvr_hp_segment *s, void *to, size_t len, uint64_t offset)
{
	uint8_t *at = to;
	while (len > 0) {
		ssize_t n = pread(s->fd, at, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}
