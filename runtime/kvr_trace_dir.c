/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_trace_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static bool
is_own(const char *asked)
{
	return asked == NULL || strcmp(asked, "auto") == 0;
}

const char *
kvr_trace_dir_path(const char *asked, char *ret, size_t cap)
{
	if (is_own(asked))
		snprintf(ret, cap, "/dev/shm/kvrelay-%lu", (unsigned long)geteuid());
	else
		snprintf(ret, cap, "%s", asked);
	return ret;
}

int
kvr_trace_dir_open(const char *asked, char *path, size_t path_cap, char *why, size_t why_cap)
{
	bool own = is_own(asked);
	struct stat st;

	/* What fits of it would be the path of another directory. */
	if (!own && strlen(asked) >= path_cap) {
		snprintf(why, why_cap, "%.40s...: longer than the %zu bytes that a trace's directory may have",
		    asked, path_cap - 1);
		return -1;
	}
	kvr_trace_dir_path(asked, path, path_cap);
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		snprintf(why, why_cap, "%s: %s", path, strerror(errno));
		return -1;
	}
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (own ? O_NOFOLLOW : 0));
	if (dir < 0) {
		snprintf(why, why_cap, "%s: %s", path, strerror(errno));
		return -1;
	}
	/* Anybody may make that name in /dev/shm before us, and read what we would write there. */
	if (own && (fstat(dir, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0)) {
		snprintf(why, why_cap, "%s: is another user's or open to others", path);
		close(dir);
		return -1;
	}
	return dir;
}

int
kvr_trace_dir_take_dead(int dir, const char *name, struct stat *ret)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0 && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_uid == geteuid() &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}
