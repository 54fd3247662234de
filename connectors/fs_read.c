/* SPDX-License-Identifier: Apache-2.0 */
/* GET, STAT, EXISTS of fs://. The payload goes from the file into the caller's span, uncopied. */
#include "kvr_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvr_stop.h"

/* The status of a key that has no file name. */
static int32_t
name_item(struct kvr_connector *c, const struct kvr_item *item, struct kvr_fs_name *ret)
{
	enum kvr_err err = kvr_fs_name(c->store, item->key, item->key_len, ret);

	if (err != KVR_OK)
		kvr_fs_explain_name(c, err);
	return err;
}

/* A descriptor and the length, or a negative status in ret_status. */
static int
open_file(struct kvr_connector *c, const struct kvr_fs_name *name, uint64_t *ret_len,
    int32_t *ret_status)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(c->dir[name->dir].fd, name->text, flags);
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		kvr_fs_gone(c, name);
		*ret_status = KVR_E_MISS;
		return -1;
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		*ret_status = kvr_fs_blame(c, "open", name->text, errno);
	} else if (!S_ISREG(st.st_mode)) {
		snprintf(c->why, sizeof(c->why), "%s/%s is not a file", c->store->path[name->dir],
		    name->text);
		*ret_status = KVR_E_REFUSED;
	} else {
		*ret_len = (uint64_t)st.st_size;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* All of span from offset at. CORRUPT: the file ends before it. */
static int32_t
read_span(struct kvr_connector *c, int fd, const struct kvr_fs_name *name, uint8_t *to, size_t len,
    uint64_t at)
{
	while (len > 0) {
		ssize_t n = pread(fd, to, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kvr_fs_blame(c, "read", name->text, errno);
		if (n == 0) {
			snprintf(c->why, sizeof(c->why), "%s became shorter while it was read",
			    name->text);
			return KVR_E_CORRUPT;
		}
		to += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return KVR_OK;
}

/* KVR_OK: ret_status is the item's. Else the batch ends here. */
static enum kvr_err
read_value(struct kvr_connector *c, int fd, const struct kvr_fs_name *name, uint64_t len,
    struct kvr_item *item, uint64_t until_ns, int32_t *ret_status)
{
	struct kvr_frame frame;
	struct kvr_span  span;
	uint64_t         at = 0;
	int32_t          status;

	kvr_frame_in_begin(&frame, &c->store->rules, item, c->scratch, len);
	while (frame.err == KVR_OK &&
	    (span = kvr_frame_in_next(&frame, KVR_FS_SLICE)).len > 0) {
		if ((status = read_span(c, fd, name, span.at, span.len, at)) != KVR_OK) {
			*ret_status = status;
			return KVR_OK;
		}
		kvr_frame_in_got(&frame, span.len);
		uint64_t before = at / KVR_STOP_SLICE;
		at += span.len;
		enum kvr_err err = at / KVR_STOP_SLICE > before ? kvr_stop(c->kick, until_ns)
		                                                : KVR_OK;
		if (err != KVR_OK)
			return err;
	}
	*ret_status = kvr_frame_in_end(&frame);
	if (*ret_status != KVR_OK)
		snprintf(c->why, sizeof(c->why), "%s of %llu bytes: %s", name->text,
		    (unsigned long long)len, kvr_frame_why(&frame));
	return KVR_OK;
}

enum kvr_err
kvr_fs_get(struct kvr_connector *c, struct kvr_item *item, uint64_t until_ns)
{
	struct kvr_fs_name name;
	uint64_t           len = 0;
	int32_t            status = name_item(c, item, &name);
	int                fd = status == KVR_OK ? open_file(c, &name, &len, &status) : -1;
	enum kvr_err       err = KVR_OK;

	if (fd >= 0) {
		err = read_value(c, fd, &name, len, item, until_ns, &status);
		close(fd);
		if (err == KVR_OK && status == KVR_OK)
			kvr_fs_used(c, &name, len);
	}
	return kvr_fs_finish(item, err, status);
}

int32_t
kvr_fs_stat(struct kvr_connector *c, struct kvr_item *item)
{
	struct kvr_fs_name name;
	uint64_t           len = 0;
	int32_t            status = name_item(c, item, &name);
	int                fd = status == KVR_OK ? open_file(c, &name, &len, &status) : -1;

	if (fd < 0)
		return status;
	size_t have = KVR_MIN(len, KVR_SEAL_HEAD_FS);
	status = read_span(c, fd, &name, c->scratch, have, 0);
	close(fd);
	if (status != KVR_OK)
		return status;
	return kvr_frame_stat(&c->store->rules, item, c->scratch, have, len);
}

int32_t
kvr_fs_exists(struct kvr_connector *c, struct kvr_item *item)
{
	struct kvr_fs_name name;
	struct stat        st;
	int32_t            status = name_item(c, item, &name);

	/* A key that cannot be put is not there. */
	if (status != KVR_OK)
		return KVR_E_MISS;
	if (fstatat(c->dir[name.dir].fd, name.text, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			return kvr_fs_blame(c, "look for", name.text, errno);
		kvr_fs_gone(c, &name);
		return KVR_E_MISS;
	}
	/* A stray or empty file is no hit: who asked would plan with a chunk that is not there. */
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < c->store->min_len)
		return KVR_E_MISS;
	kvr_fs_used(c, &name, (uint64_t)st.st_size);
	return KVR_OK;
}
