/* SPDX-License-Identifier: Apache-2.0 */
/* Reports the state of a file tier's directories; leaves nothing in them. */
#include "kvr_fs.h"
#include "kvr_tell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Bytes of our files there, which new files can replace: counted only if there is a limit. */
static uint64_t
gives_way(struct kvr_store *s, uint32_t dir)
{
	uint64_t bytes = 0;

	kvr_lock(&s->lock);
	for (const struct kvr_index_node *x = s->index.oldest; x != NULL; x = x->newer)
		bytes += x->key[0] == (char)dir ? x->bytes : 0;
	kvr_unlock(&s->lock);
	return bytes;
}

static void
space(struct kvr_store *s, uint32_t number, const struct kvr_examination *e)
{
	const char *dir = s->path[number];
	struct statvfs v;
	char text[400];

	if (statvfs(dir, &v) != 0) {
		kvr_tell(e, KVR_FOUND_FAIL, "directory", "it has to be there, and to be ours",
		    "%s: %s", dir, strerror(errno));
		return;
	}
	uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize, ours = gives_way(s, number);
	/* A small value fits long after a chunk does not. */
	uint64_t room = KVR_MAX(e->slot_bytes, KVR_MIB(1));
	bool floor = free_bytes < room || free_bytes - room < s->free_floor;
	bool unbounded = s->capacity == UINT64_MAX, little = free_bytes < KVR_MIB(1024);

	snprintf(text, sizeof(text), "%.200s: %.1f %s free", dir,
	    (double)free_bytes / (little ? 1048576 : 1073741824), little ? "MiB" : "GiB");
	/* The normal state of a cache that has filled its disk. */
	if (floor && ours > 0)
		kvr_tell(e, KVR_FOUND_OK, "space", NULL, "%s, and %.1f MiB of ours give way to what is new",
		    text, (double)ours / 1048576);
	else if (floor)
		kvr_tell(e, KVR_FOUND_FAIL, "space",
		    s->indexed ? "no more than free_floor, and nothing of ours is there to give way: others "
		                 "have to make room"
		               : "the file system is full: make room, or set the tier's capacity",
		    "%s", text);
	else if (unbounded && s->free_floor == 0)
		kvr_tell(e, KVR_FOUND_WARN, "space",
		    "set the tier's capacity or free_floor: else it fills the file system", "%s",
		    text);
	else
		kvr_tell(e, KVR_FOUND_OK, "space", NULL, "%s", text);
}

/* A file without a name, which is gone when it is closed. */
static void
direct(const char *dir, const struct kvr_examination *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		kvr_tell(e, KVR_FOUND_FAIL, "directory", "files cannot be made there", "%s",
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_DIRECT, 0600);
	kvr_tell(e, KVR_FOUND_OK, "O_DIRECT", NULL, "%s",
	    fd >= 0 ? "files can go past the page cache"
	            : "not here: files go through the page cache");
	if (fd >= 0)
		close(fd);
}

void
kvr_fs_examine(struct kvr_store *s, struct kvr_connector *c, const struct kvr_examination *e)
{
	(void)c;
	for (uint32_t i = 0; i < s->n_dirs; i++) {
		space(s, i, e);
		if (e->writes && access(s->path[i], W_OK) == 0)
			direct(s->path[i], e);
		else if (e->writes && errno == EACCES)
			kvr_tell(e, KVR_FOUND_FAIL, "directory",
			    "it cannot be written by this user", "%s", s->path[i]);
	}
	static const char *const advice =
	    "a wait there cannot be ended: values are copied, and a hang is a stuck thread";
	bool far = s->where == KVR_FS_FAR;
	kvr_tell(e, far ? KVR_FOUND_WARN : KVR_FOUND_OK, "mount", far ? advice : NULL, "%s",
	    far ? "a network or FUSE file system" : "a file system of this machine");
}
