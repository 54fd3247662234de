/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET, STAT, EXISTS of fs://. The payload goes from the file into the caller's span without a copy.
 */
#include "kvr_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvr_stop.h"

/* KVR_OK, or the status of a key that cannot have a file name. */
static int32_t
name_item(struct kvr_connector *c, const struct kvr_item *item, struct kvr_fs_name *ret)
{
	enum kvr_err err = kvr_fs_name(c->store, item->key, item->key_len, ret);

	if (err != KVR_OK)
		kvr_fs_explain_name(c, err);
	return err;
}

/* A flow at the beginning of the file, and its length; or fd -1 and the item's status. */
static struct kvr_fs_flow
open_file(struct kvr_connector *c, const struct kvr_fs_name *name, bool direct, uint64_t *ret_len,
    int32_t *ret_status)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (direct ? O_DIRECT : 0);
	int fd = openat(c->dir[name->dir].fd, name->text, flags);
	struct kvr_fs_flow none = { .fd = -1 };
	struct stat st;

	if (fd < 0 && errno == EINVAL && direct)
		return open_file(c, name, false, ret_len, ret_status);
	if (fd < 0 && errno == ENOENT) {
		kvr_fs_gone(c, name);
		*ret_status = KVR_E_MISS;
		return none;
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		*ret_status = kvr_fs_blame(c, "open", name->text, errno);
	} else if (!S_ISREG(st.st_mode)) {
		snprintf(c->why, sizeof(c->why), "%s/%s is not a file", c->store->path[name->dir],
		    name->text);
		*ret_status = KVR_E_REFUSED;
	} else {
		*ret_len = (uint64_t)st.st_size;
		return (struct kvr_fs_flow){ .fd = fd, .direct = direct };
	}
	if (fd >= 0)
		close(fd);
	return none;
}

/* KVR_OK: ret_status is the item's. Otherwise the batch ends here. */
static enum kvr_err
read_value(struct kvr_connector *c, struct kvr_fs_flow *flow, const struct kvr_fs_name *name,
    uint64_t len, struct kvr_item *item, uint64_t until_ns, int32_t *ret_status)
{
	struct kvr_frame frame;
	struct kvr_span  span;
	uint64_t         at = 0;
	int32_t          status;

	kvr_frame_in_begin(&frame, &c->store->rules, item, c->scratch, len);
	while (frame.err == KVR_OK &&
	    (span = kvr_frame_in_next(&frame, KVR_FS_SLICE)).len > 0) {
		if ((status = kvr_fs_flow_in(c, flow, name, span.at, span.len)) != KVR_OK) {
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
	struct kvr_fs_flow flow = { .fd = -1 };
	enum kvr_err       err = KVR_OK;

	if (status == KVR_OK)
		flow = open_file(c, &name, c->store->direct, &len, &status);
	if (flow.fd >= 0) {
		err = read_value(c, &flow, &name, len, item, until_ns, &status);
		close(flow.fd);
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

	if (status != KVR_OK)
		return status;
	struct kvr_fs_flow flow = open_file(c, &name, false, &len, &status);
	if (flow.fd < 0)
		return status;
	size_t have = KVR_MIN(len, KVR_SEAL_HEAD_FS);
	status = kvr_fs_flow_in(c, &flow, &name, c->scratch, have);
	close(flow.fd);
	if (status != KVR_OK)
		return status;
	return kvr_frame_stat(
	    &c->store->rules, item, c->scratch, have, len, c->why, sizeof(c->why));
}

int32_t
kvr_fs_exists(struct kvr_connector *c, struct kvr_item *item)
{
	struct kvr_fs_name name;
	struct stat        st;
	int32_t            status = name_item(c, item, &name);

	/* A key that cannot be put cannot exist. */
	if (status != KVR_OK)
		return KVR_E_MISS;
	if (fstatat(c->dir[name.dir].fd, name.text, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			return kvr_fs_blame(c, "look for", name.text, errno);
		kvr_fs_gone(c, &name);
		return KVR_E_MISS;
	}
	/*
	 * A stray or empty file is not a hit: the caller would plan with a chunk that does not
	 * exist.
	 */
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < c->store->min_len)
		return KVR_E_MISS;
	kvr_fs_used(c, &name, (uint64_t)st.st_size);
	return KVR_OK;
}
