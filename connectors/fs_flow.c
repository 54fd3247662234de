/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one file from beginning to end, through the page cache or past it.
 *
 * Past it (O_DIRECT) the kernel wants addresses, offsets and lengths that are multiples of a block.
 * Offsets are, because whole blocks are moved. Aligned parts of a span go straight to and from the
 * caller's memory. The rest (a header of 28 bytes, the payload after it, an incomplete last block)
 * goes through the lane's stage. The last block is padded with zeros and the file then truncated to
 * its length, so any length works. If a file rejects direct calls after all, it is moved through
 * the cache: slower, but never wrong.
 */
#include "kvr_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static size_t
whole_blocks(size_t len)
{
	return len / KVR_FS_ALIGN * KVR_FS_ALIGN;
}

static bool
is_aligned(const void *at)
{
	return (uintptr_t)at % KVR_FS_ALIGN == 0;
}

/* False: it was not direct, or could not be changed. */
static bool
give_up_direct(struct kvr_fs_flow *f)
{
	if (!f->direct)
		return false;
	f->direct = false;
	int flags = fcntl(f->fd, F_GETFL);
	return flags >= 0 && fcntl(f->fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

/* ---- out ---- */

static int32_t
write_all(struct kvr_connector *c, struct kvr_fs_flow *f, const struct kvr_fs_name *name,
    const uint8_t *from, size_t len)
{
	while (len > 0) {
		ssize_t n = write(f->fd, from, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && give_up_direct(f))
			continue;
		/* A FUSE file system may report for ever that it has written nothing. */
		if (n <= 0)
			return kvr_fs_blame(c, "write", name->text, n < 0 ? errno : EIO);
		from += n;
		len -= (size_t)n;
		f->at += (uint64_t)n;
		/* A short write may end inside a block, where no direct write can start. */
		if (len > 0 && !is_aligned(from))
			(void)give_up_direct(f);
	}
	return KVR_OK;
}

static int32_t
write_stage(
    struct kvr_connector *c, struct kvr_fs_flow *f, const struct kvr_fs_name *name, size_t len)
{
	int32_t status = write_all(c, f, name, c->stage, len);

	f->held = 0;
	return status;
}

int32_t
kvr_fs_flow_out(struct kvr_connector *c, struct kvr_fs_flow *f, const struct kvr_fs_name *name,
    const uint8_t *from, size_t len)
{
	int32_t status = KVR_OK;

	if (f->held == 0 && !f->direct)
		return write_all(c, f, name, from, len);
	while (status == KVR_OK && len > 0) {
		size_t n = whole_blocks(len);
		if (n > 0 && is_aligned(from) && f->held % KVR_FS_ALIGN == 0) {
			status = write_stage(c, f, name, f->held);
			if (status == KVR_OK)
				status = write_all(c, f, name, from, n);
		} else {
			n = KVR_MIN(len, KVR_FS_STAGE - f->held);
			memcpy(c->stage + f->held, from, n);
			f->held += n;
			if (f->held == KVR_FS_STAGE)
				status = write_stage(c, f, name, f->held);
		}
		from += n;
		len -= n;
	}
	return status;
}

int32_t
kvr_fs_flow_end(struct kvr_connector *c, struct kvr_fs_flow *f, const struct kvr_fs_name *name)
{
	uint64_t len = f->at + f->held;
	size_t odd = f->held % KVR_FS_ALIGN, more = odd == 0 ? 0 : KVR_FS_ALIGN - odd;

	if (f->held == 0)
		return KVR_OK;
	memset(c->stage + f->held, 0, more);
	int32_t status = write_stage(c, f, name, f->held + more);
	if (status == KVR_OK && more > 0 && ftruncate(f->fd, (off_t)len) != 0)
		status = kvr_fs_blame(c, "cut", name->text, errno);
	return status;
}

/* ---- in ---- */

static int32_t
ended(struct kvr_connector *c, const struct kvr_fs_name *name)
{
	snprintf(c->why, sizeof(c->why), "%s became shorter while it was read", name->text);
	return KVR_E_CORRUPT;
}

/* Reads up to len bytes at the flow's position; *ret_n is more than 0. */
static int32_t
read_some(struct kvr_connector *c, struct kvr_fs_flow *f, const struct kvr_fs_name *name,
    uint8_t *to, size_t len, size_t *ret_n)
{
	for (;;) {
		ssize_t n = pread(f->fd, to, len, (off_t)f->at);
		if (n > 0) {
			f->at += (uint64_t)n;
			*ret_n = (size_t)n;
			return KVR_OK;
		}
		if (n == 0)
			return ended(c, name);
		if (errno == EINTR || (errno == EINVAL && give_up_direct(f)))
			continue;
		return kvr_fs_blame(c, "read", name->text, errno);
	}
}

/* One block if little is wanted, so that the payload after a header can go to its own place. */
static int32_t
fill_stage(
    struct kvr_connector *c, struct kvr_fs_flow *f, const struct kvr_fs_name *name, size_t wanted)
{
	size_t n = wanted < KVR_FS_ALIGN ? KVR_FS_ALIGN : KVR_FS_STAGE;

	f->held = f->taken = 0;
	return read_some(c, f, name, c->stage, n, &f->held);
}

int32_t
kvr_fs_flow_in(struct kvr_connector *c, struct kvr_fs_flow *f, const struct kvr_fs_name *name,
    uint8_t *to, size_t len)
{
	int32_t status = KVR_OK;

	while (status == KVR_OK && len > 0) {
		size_t n = 0;
		/* A short read ends inside a block, where no direct read can start. */
		if (f->at % KVR_FS_ALIGN != 0)
			(void)give_up_direct(f);
		if (f->taken < f->held) {
			n = KVR_MIN(len, f->held - f->taken);
			memcpy(to, c->stage + f->taken, n);
			f->taken += n;
		} else if (!f->direct) {
			status = read_some(c, f, name, to, len, &n);
		} else if (is_aligned(to) && len >= KVR_FS_ALIGN) {
			status = read_some(c, f, name, to, whole_blocks(len), &n);
		} else {
			status = fill_stage(c, f, name, len);
		}
		to += n;
		len -= n;
	}
	return status;
}
