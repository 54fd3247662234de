/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of files, for tiers that have a capacity or a floor of free space. The rule:
 *
 *   files in the index + files that are being written <= capacity
 *
 * A file leaves the directory under the same lock under which it leaves the index. Otherwise an
 * eviction could remove the file that another lane has just put under that name, and its bytes
 * would be counted for ever. Reads take the lock only if it is free: the order of use tolerates a
 * missing use, and a hit must not wait for somebody's unlink.
 *
 * Files that other processes put into the directory are counted when the scan or a read finds them.
 * So n processes that share a directory should each be given 1/n of the capacity.
 */
#include "kvr_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kvr_stop.h"

enum { LOOK_EVERY = 16 }; /* evictions between two checks of the clock */
#define ANY_DIR UINT32_MAX

/* One byte for the directory, then the name: the key of a file in the index. */
struct index_key {
	uint32_t len;
	char     text[1 + KVR_FS_NAME_MAX + 1];
};

static struct index_key
key_of(uint32_t dir, const char *name)
{
	struct index_key key;

	key.text[0] = (char)dir;
	key.len = 1U + (uint32_t)strnlen(name, KVR_FS_NAME_MAX);
	memcpy(key.text + 1, name, key.len - 1);
	key.text[key.len] = '\0';
	return key;
}

static struct kvr_fs_file *
new_file(uint32_t dir, const char *name, uint64_t len)
{
	struct index_key    key = key_of(dir, name);
	struct kvr_fs_file *file = malloc(sizeof(*file) + key.len + 1U);

	if (file == NULL)
		return NULL;
	*file = (struct kvr_fs_file){ .node = { .bytes = len, .key_len = key.len } };
	memcpy(file->key, key.text, key.len + 1U);
	file->node.key = file->key;
	return file;
}

static struct kvr_index_node *
find(const struct kvr_store *s, uint32_t dir, const char *name)
{
	struct index_key key = key_of(dir, name);

	return kvr_index_find(&s->index, key.text, key.len);
}

static void
forget(struct kvr_store *s, struct kvr_index_node *node)
{
	if (node == NULL)
		return;
	kvr_index_drop(&s->index, node);
	free((struct kvr_fs_file *)node);
}

bool
kvr_fs_enter(struct kvr_store *s, uint32_t dir, const char *name, uint64_t len)
{
	struct kvr_fs_file *file = new_file(dir, name, len);

	if (file == NULL)
		return false;
	forget(s, find(s, dir, name));
	kvr_index_add(&s->index, &file->node);
	return true;
}

bool
kvr_fs_forget(struct kvr_store *s, uint64_t n_max)
{
	for (uint64_t n = 0; n < n_max && s->index.oldest != NULL; n++)
		forget(s, s->index.oldest);
	return s->index.oldest == NULL;
}

/*
 * The lock, for a lane whose directories are the counted ones. A lane that has not noticed yet that
 * its directories were replaced must neither put files where nobody counts them, nor remove a file
 * there and then take the file of that name in the new directory for gone.
 */
static enum kvr_err
lock_ours(struct kvr_connector *c, uint64_t until_ns)
{
	if (!kvr_lock_until(&c->store->lock, until_ns))
		return KVR_E_TIMEOUT;
	enum kvr_err err = kvr_fs_scan_check(c);
	if (err != KVR_OK)
		kvr_unlock(&c->store->lock);
	return err;
}

/* For bookkeeping that no answer depends on: if the lock is not free, it is skipped silently. */
static bool
lock_to_note(struct kvr_connector *c)
{
	if (!c->store->indexed || !kvr_lock_try(&c->store->lock))
		return false;
	bool fits = kvr_fs_scan_fits(c);
	if (!fits)
		kvr_unlock(&c->store->lock);
	return fits;
}

/* Removes the least recently used file of this directory. */
static enum kvr_err
evict(struct kvr_connector *c, uint32_t dir, uint64_t *ret_len)
{
	struct kvr_store      *s = c->store;
	struct kvr_index_node *x = s->index.oldest;

	while (x != NULL && dir != ANY_DIR && x->key[0] != (char)dir)
		x = x->newer;
	if (x == NULL)
		return KVR_E_MISS;
	const char *name = x->key + 1;
	if (unlinkat(c->dir[(uint8_t)x->key[0]].fd, name, 0) != 0 && errno != ENOENT) {
		/* It stays counted because it is still on the disk; the next one may go. */
		int error = errno;
		kvr_index_touch(&s->index, x);
		(void)kvr_fs_blame(c, "evict", name, error);
		return KVR_E_REFUSED;
	}
	*ret_len = x->bytes;
	forget(s, x);
	return KVR_OK;
}

/* Evicts until `bytes` are freed. MISS: there is nothing left to evict. Under the lock. */
static enum kvr_err
evict_bytes(struct kvr_connector *c, uint32_t dir, uint64_t bytes, uint64_t until_ns)
{
	enum kvr_err err = KVR_OK;
	uint64_t     freed = 0, len = 0;

	for (uint32_t i = 1; err == KVR_OK && freed < bytes; i++) {
		if ((err = evict(c, dir, &len)) == KVR_OK)
			freed += len;
		if (err == KVR_OK && freed < bytes && i % LOOK_EVERY == 0)
			err = kvr_stop(c->kick, until_ns);
	}
	return err;
}

/* Bytes that must be freed in a directory's file system so that len more still leave the floor. */
static uint64_t
shortfall(const struct kvr_connector *c, uint32_t dir, uint64_t len)
{
	const struct kvr_store *s = c->store;
	struct statvfs          fs;

	if (s->free_floor == 0 || fstatvfs(c->dir[dir].fd, &fs) != 0)
		return 0;
	uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize;
	uint64_t want = s->free_floor + s->reserved + len;
	return want > have ? want - have : 0;
}

static enum kvr_err
keep_floor(struct kvr_connector *c, uint32_t dir, uint64_t len, uint64_t until_ns)
{
	uint64_t     missing = shortfall(c, dir, len);
	enum kvr_err err = KVR_OK;

	if (missing > 0)
		err = evict_bytes(c, dir, missing, until_ns);
	if (err != KVR_OK && err != KVR_E_MISS)
		return err;
	/*
	 * Checked again: others use the disk too, and removing a file that is open frees nothing
	 * yet.
	 */
	if (missing > 0 && shortfall(c, dir, len) > 0) {
		snprintf(c->why, sizeof(c->why),
		    "less than free_floor is free in %s and nothing of ours is left to evict",
		    c->store->path[dir]);
		return KVR_E_NOSPACE;
	}
	return KVR_OK;
}

static enum kvr_err
keep_capacity(struct kvr_connector *c, uint64_t len, uint64_t until_ns)
{
	struct kvr_store *s = c->store;
	uint64_t          sum = s->index.bytes + s->reserved + len;

	if (sum <= s->capacity)
		return KVR_OK;
	enum kvr_err err = evict_bytes(c, ANY_DIR, sum - s->capacity, until_ns);
	if (err != KVR_E_MISS)
		return err;
	snprintf(c->why, sizeof(c->why),
	    "all of the capacity is being written just now: try again, or raise the tier's capacity");
	return KVR_E_BUSY;
}

enum kvr_err
kvr_fs_reserve(struct kvr_connector *c, uint32_t dir, uint64_t len, uint64_t until_ns)
{
	struct kvr_store *s = c->store;

	if (!s->indexed)
		return KVR_OK;
	if (len > s->capacity) {
		snprintf(c->why, sizeof(c->why),
		    "a file of %llu bytes is beyond the capacity of %llu",
		    (unsigned long long)len, (unsigned long long)s->capacity);
		return KVR_E_TOO_BIG;
	}
	enum kvr_err err = lock_ours(c, until_ns);
	if (err != KVR_OK)
		return err;
	err = keep_capacity(c, len, until_ns);
	if (err == KVR_OK)
		err = keep_floor(c, dir, len, until_ns);
	if (err == KVR_OK)
		s->reserved += len;
	kvr_unlock(&s->lock);
	return err;
}

void
kvr_fs_unreserve(struct kvr_store *s, uint64_t len)
{
	if (!s->indexed)
		return;
	kvr_lock(&s->lock);
	KVR_CHECK(s->reserved >= len);
	s->reserved -= len;
	kvr_unlock(&s->lock);
}

bool
kvr_fs_relieve(struct kvr_connector *c, uint32_t dir, uint64_t len, uint64_t until_ns)
{
	struct kvr_store *s = c->store;

	if (!s->indexed || lock_ours(c, until_ns) != KVR_OK)
		return false;
	bool any_left = s->index.n > 0;
	enum kvr_err err = evict_bytes(c, dir, len, until_ns);
	kvr_unlock(&s->lock);
	return any_left && (err == KVR_OK || err == KVR_E_MISS);
}

int32_t
kvr_fs_commit(struct kvr_connector *c, const char *tmp_name, const struct kvr_fs_name *name,
    uint64_t len)
{
	struct kvr_store *s = c->store;
	int               from = c->dir[name->dir].tmp_fd, to = c->dir[name->dir].fd;

	if (!s->indexed)
		return renameat(from, tmp_name, to, name->text) == 0
		    ? KVR_OK
		    : kvr_fs_blame(c, "rename to", name->text, errno);
	struct kvr_fs_file *file = new_file(name->dir, name->text, len);
	if (file == NULL)
		return KVR_E_NOMEM;
	enum kvr_err err = lock_ours(c, KVR_FS_ALWAYS);
	if (err != KVR_OK) {
		free(file);
		return err;
	}
	int error = renameat(from, tmp_name, to, name->text) == 0 ? 0 : errno;
	if (error == 0) {
		forget(s, find(s, name->dir, name->text));
		kvr_index_add(&s->index, &file->node);
		s->reserved -= len;
	}
	kvr_unlock(&s->lock);
	if (error == 0)
		return KVR_OK;
	free(file);
	return kvr_fs_blame(c, "rename to", name->text, error);
}

void
kvr_fs_used(struct kvr_connector *c, const struct kvr_fs_name *name, uint64_t len)
{
	struct kvr_store *s = c->store;

	if (!lock_to_note(c))
		return;
	struct kvr_index_node *node = find(s, name->dir, name->text);
	/* Put there by another process: from now on it is counted here too. */
	if (node == NULL)
		(void)kvr_fs_enter(s, name->dir, name->text, len);
	else
		kvr_index_touch(&s->index, node);
	kvr_unlock(&s->lock);
}

void
kvr_fs_gone(struct kvr_connector *c, const struct kvr_fs_name *name)
{
	struct kvr_store *s = c->store;

	if (!lock_to_note(c))
		return;
	/* Checked again under the lock: another lane may have put it since we missed it. */
	struct stat st;
	if (fstatat(c->dir[name->dir].fd, name->text, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
	    errno == ENOENT)
		forget(s, find(s, name->dir, name->text));
	kvr_unlock(&s->lock);
}

int32_t
kvr_fs_delete(struct kvr_connector *c, const struct kvr_fs_name *name)
{
	struct kvr_store *s = c->store;

	enum kvr_err err = s->indexed ? lock_ours(c, KVR_FS_ALWAYS) : KVR_OK;
	if (err != KVR_OK)
		return err;
	int error = unlinkat(c->dir[name->dir].fd, name->text, 0) == 0 ? 0 : errno;
	if (s->indexed) {
		if (error == 0 || error == ENOENT)
			forget(s, find(s, name->dir, name->text));
		kvr_unlock(&s->lock);
	}
	if (error == 0)
		return KVR_OK;
	return error == ENOENT ? KVR_E_MISS : kvr_fs_blame(c, "remove", name->text, error);
}
