/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KVR_DIR_H
#define KVR_DIR_H

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * Reads an open directory from its beginning. Not over a dup(), which would share its position with
 * other readers of that descriptor. NULL: errno.
 */
static inline DIR *
kvr_dir_read(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

#endif
