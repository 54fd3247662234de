/* SPDX-License-Identifier: Apache-2.0 */
/* PUT of fs://: a temporary file in the same file system, then rename. */
#include "kvr_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvr_stop.h"

enum { FILE_MODE = 0666, NAMES_TRIED = 8 }; /* the umask is the operator's choice */

/*
 * Holds the flock that keeps other processes' scans (fs_scan.c) away. Between open and flock, such
 * a scan may take the file for a leftover and unlink it; then another name is tried.
 */
static bool
hold(int fd)
{
	struct stat st;

	/* Other errors: a file system without locks, where the scan cannot lock either. */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return false;
	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* fd -1: errno says why. */
static struct kvr_fs_flow
open_tmp(struct kvr_connector *c, uint32_t dir, char ret_name[KVR_FS_TMP_LEN])
{
	int  flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	bool direct = c->store->direct;

	for (int i = 0; i < NAMES_TRIED; i++) {
		kvr_fs_tmp_name(c->store, ret_name);
		int fd = openat(c->dir[dir].tmp_fd, ret_name, flags | (direct ? O_DIRECT : 0),
		    FILE_MODE);
		if (fd >= 0 && hold(fd))
			return (struct kvr_fs_flow){ .fd = fd, .direct = direct };
		if (fd < 0 && errno == EINVAL && direct) {
			/* Some file systems create the file before they refuse it. */
			(void)unlinkat(c->dir[dir].tmp_fd, ret_name, 0);
			direct = false;
			continue;
		}
		if (fd < 0 && errno != EEXIST)
			return (struct kvr_fs_flow){ .fd = -1 };
		if (fd >= 0)
			close(fd);
	}
	errno = EEXIST;
	return (struct kvr_fs_flow){ .fd = -1 };
}

/*
 * Network file systems report a full disk at close. The file itself must stay open, for its lock,
 * until it has its final name; so a duplicate descriptor is closed, which flushes just the same.
 */
static int32_t
flush(struct kvr_connector *c, int fd, const struct kvr_fs_name *name)
{
	int copy = c->store->where != KVR_FS_FAR ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy >= 0 && close(copy) != 0 && errno != EINTR)
		return kvr_fs_blame(c, "flush", name->text, errno);
	return KVR_OK;
}

/* KVR_OK: ret_status says whether everything was written. Otherwise the batch ends here. */
static enum kvr_err
write_value(struct kvr_connector *c, struct kvr_fs_flow *flow, const struct kvr_fs_name *name,
    struct kvr_frame *frame, uint64_t until_ns, int32_t *ret_status)
{
	struct kvr_const_span span;
	size_t                looked = 0;
	int32_t               status = KVR_OK;

	while (status == KVR_OK && (span = kvr_frame_out_next(frame, KVR_FS_SLICE)).len > 0) {
		status = kvr_fs_flow_out(c, flow, name, span.at, span.len);
		if ((looked += span.len) >= KVR_STOP_SLICE) {
			enum kvr_err err = kvr_stop(c->kick, until_ns);
			if (err != KVR_OK)
				return err;
			looked = 0;
		}
	}
	if (status == KVR_OK)
		status = kvr_fs_flow_end(c, flow, name);
	*ret_status = status == KVR_OK ? flush(c, flow->fd, name) : status;
	return KVR_OK;
}

/* len bytes must be reserved. If this is KVR_OK and ret_status too, they now belong to the file. */
static enum kvr_err
write_file(struct kvr_connector *c, const struct kvr_fs_name *name, struct kvr_frame *frame,
    uint64_t len, uint64_t until_ns, int32_t *ret_status)
{
	char tmp_name[KVR_FS_TMP_LEN];
	struct kvr_fs_flow flow = open_tmp(c, name->dir, tmp_name);

	if (flow.fd < 0) {
		*ret_status = kvr_fs_blame(c, "make a file for", name->text, errno);
		return KVR_OK;
	}
	int32_t      status = KVR_OK;
	enum kvr_err err = write_value(c, &flow, name, frame, until_ns, &status);
	if (err == KVR_OK && status == KVR_OK)
		status = kvr_fs_commit(c, tmp_name, name, len);
	if (err != KVR_OK || status != KVR_OK)
		(void)unlinkat(c->dir[name->dir].tmp_fd, tmp_name, 0);
	close(flow.fd); /* after rename or unlink, because this releases the lock */
	*ret_status = status;
	return err;
}

static enum kvr_err
put_once(struct kvr_connector *c, struct kvr_item *item, const struct kvr_fs_name *name,
    uint64_t *ret_len, uint64_t until_ns, int32_t *ret_status)
{
	struct kvr_frame frame;
	enum kvr_err     err = kvr_frame_out_begin(&frame, &c->store->rules, item, c->scratch);

	*ret_status = err;
	if (err != KVR_OK) {
		snprintf(c->why, sizeof(c->why), "%s", kvr_err_text(err));
		return KVR_OK;
	}
	*ret_len = kvr_frame_out_len(&frame);
	err = kvr_fs_reserve(c, name->dir, *ret_len, until_ns);
	*ret_status = err;
	if (err != KVR_OK)
		return err == KVR_E_TIMEOUT || err == KVR_E_CANCELLED ? err : KVR_OK;
	err = write_file(c, name, &frame, *ret_len, until_ns, ret_status);
	if (err != KVR_OK || *ret_status != KVR_OK)
		kvr_fs_unreserve(c->store, *ret_len);
	return err;
}

/*
 * A file that would grow past RLIMIT_FSIZE raises SIGXFSZ, which ends a process that does not
 * expect it. A lane has it blocked, like all signals. A caller's thread that does a lane's work has
 * not, so it is blocked here, and a pending one is removed before the caller's mask is restored.
 */
static void
block_signal(sigset_t *ret_before)
{
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGXFSZ);
	KVR_CHECK(pthread_sigmask(SIG_BLOCK, &one, ret_before) == 0);
}

static void
unblock_signal(const sigset_t *before)
{
	const struct timespec at_once = { 0 };
	sigset_t one;

	if (sigismember(before, SIGXFSZ))
		return;
	sigemptyset(&one);
	sigaddset(&one, SIGXFSZ);
	while (sigtimedwait(&one, NULL, &at_once) < 0 && errno == EINTR)
		;
	KVR_CHECK(pthread_sigmask(SIG_SETMASK, before, NULL) == 0);
}

enum kvr_err
kvr_fs_put(struct kvr_connector *c, struct kvr_item *item, uint64_t until_ns)
{
	struct kvr_fs_name name;
	uint64_t           len = 0;
	int32_t            status = kvr_fs_name(c->store, item->key, item->key_len, &name);
	enum kvr_err       err = KVR_OK;

	if (status != KVR_OK) {
		kvr_fs_explain_name(c, status);
		return kvr_fs_finish(item, KVR_OK, status);
	}
	sigset_t before;

	block_signal(&before);
	err = put_once(c, item, &name, &len, until_ns, &status);
	/*
	 * The disk is smaller than the capacity says. Old files must give way, otherwise it stays
	 * full.
	 */
	if (err == KVR_OK && status == KVR_E_NOSPACE &&
	    kvr_fs_relieve(c, name.dir, len, until_ns))
		err = put_once(c, item, &name, &len, until_ns, &status);
	unblock_signal(&before);
	if (err == KVR_OK && status == KVR_OK)
		item->len = len;
	return kvr_fs_finish(item, err, status);
}
