/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kvr_connectors.h"
#include "kvr_stop.h"

/* Keys of a batch that moves no payload, between two checks of the clock. */
enum { LOOK_EVERY = 16 };

/* Between two checks of where the paths lead: rare enough to cost nothing, even on a network. */
#define LOOK_NS KVR_SEC(1)

bool
kvr_fs_is_gone(int error)
{
	switch (error) {
	case ENOTCONN: /* from FUSE; the others from network file systems */
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ESTALE:
	case ETIMEDOUT:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENETUNREACH:
	case ENODEV:
	case EREMOTEIO:
		return true;
	default:
		return false;
	}
}

int32_t
kvr_fs_blame(struct kvr_connector *c, const char *doing, const char *name, int error)
{
	snprintf(c->why, sizeof(c->why), "cannot %s %s: %s", doing, name, strerror(error));
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return KVR_E_NOSPACE;
	case EFBIG:
	case ENAMETOOLONG:
		return KVR_E_TOO_BIG;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EEXIST:
		return KVR_E_BUSY;
	case ENOENT: /* for a name that need not exist: the directory itself is gone */
	case ENOTDIR:
		return KVR_E_DOWN;
	default:
		return kvr_fs_is_gone(error) ? KVR_E_DOWN : KVR_E_REFUSED;
	}
}

void
kvr_fs_explain_name(struct kvr_connector *c, int32_t status)
{
	if (status == KVR_E_TOO_BIG)
		snprintf(c->why, sizeof(c->why),
		    "the key does not fit into a file name of %d bytes: use format sealed or a shorter key",
		    KVR_FS_NAME_MAX);
	else
		snprintf(c->why, sizeof(c->why),
		    "another key has the same file name in the format lmcache; use sealed");
}

enum kvr_err
kvr_fs_finish(struct kvr_item *item, enum kvr_err err, int32_t status)
{
	if (err != KVR_OK)
		return err;
	/* An error that closes the lane ends the batch, and leaves the item to the next lane. */
	if (status != KVR_OK && kvr_err_stream(status) == KVR_STREAM_CLOSE)
		return (enum kvr_err)status;
	kvr_item_done(item, status);
	return KVR_OK;
}

static enum kvr_err
open_store(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	struct kvr_store *s = calloc(1, sizeof(*s));

	snprintf(why, why_cap, "no memory for the tables of a file tier");
	if (s == NULL)
		return KVR_E_NOMEM;
	enum kvr_err err = kvr_fs_configure(s, opts, why, why_cap);
	if (err == KVR_OK)
		err = kvr_fs_look(s, opts, why, why_cap);
	if (err == KVR_OK)
		err = kvr_index_open(&s->index);
	if (err != KVR_OK) {
		kvr_fs_unconfigure(s);
		free(s);
		return err;
	}
	s->magic = KVR_FS_STORE_MAGIC;
	*ret = s;
	return KVR_OK;
}

static void
close_store(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == KVR_FS_STORE_MAGIC);
	KVR_CHECK(take->reserved == 0);
	kvr_fs_scan_close(take);
	(void)kvr_fs_forget(take, UINT64_MAX);
	kvr_index_close(&take->index);
	kvr_fs_unconfigure(take);
	take->magic = 0;
	free(take);
}

static void
hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == KVR_FS_LANE_MAGIC);
	kvr_fs_close_dirs(take->store, take->dir);
	take->magic = 0;
	free(take->scratch);
	free(take->stage);
	free(take);
}

static enum kvr_err
dial(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	KVR_CHECK(s->magic == KVR_FS_STORE_MAGIC);
	enum kvr_err err = kvr_stop(kick, until_ns);
	if (err != KVR_OK) {
		snprintf(why, why_cap, "%s", kvr_err_text(err));
		return err;
	}
	struct kvr_connector *c = calloc(1, sizeof(*c));
	uint8_t *scratch = c == NULL ? NULL : aligned_alloc(64, KVR_FRAME_SCRATCH);
	uint8_t *stage = s->direct ? aligned_alloc(KVR_FS_ALIGN, KVR_FS_STAGE) : NULL;
	if (scratch == NULL || (s->direct && stage == NULL)) {
		snprintf(why, why_cap, "no memory for a lane");
		err = KVR_E_NOMEM;
	} else {
		err = kvr_fs_open_dirs(s, c->dir, why, why_cap);
	}
	if (err != KVR_OK) {
		free(stage);
		free(scratch);
		free(c);
		return err;
	}
	c->magic = KVR_FS_LANE_MAGIC;
	c->store = s;
	c->kick = kick;
	c->scratch = scratch;
	c->stage = stage;
	c->looked_ns = kvr_now_ns();
	if ((err = kvr_fs_scan_on(c, until_ns, why, why_cap)) != KVR_OK) {
		hang_up(c);
		return err;
	}
	*ret = c;
	return KVR_OK;
}

static int32_t
delete_item(struct kvr_connector *c, const struct kvr_item *item)
{
	struct kvr_fs_name name;

	/* A key that cannot be put cannot exist. */
	if (kvr_fs_name(c->store, item->key, item->key_len, &name) != KVR_OK)
		return KVR_E_MISS;
	return kvr_fs_delete(c, &name);
}

/*
 * A directory that was removed, moved or mounted over still answers through its descriptor. But
 * nobody else would find what is put there, and it would fill the disk below the mount.
 */
static enum kvr_err
look(struct kvr_connector *c, uint64_t until_ns)
{
	struct stat is, was;

	for (uint32_t i = 0; i < c->store->n_dirs; i++) {
		const char *path = c->store->path[i];
		int         gone = stat(path, &is) == 0 ? 0 : errno;

		if (gone == ENOENT || gone == ENOTDIR)
			snprintf(c->why, sizeof(c->why), "the directory %s was removed", path);
		else if (gone == 0 && fstat(c->dir[i].fd, &was) == 0 &&
		         (is.st_dev != was.st_dev || is.st_ino != was.st_ino))
			snprintf(c->why, sizeof(c->why),
			    "%s is another directory now: moved, or mounted over", path);
		else if (kvr_fs_is_gone(gone))
			snprintf(c->why, sizeof(c->why), "%s: %s", path, strerror(gone));
		else
			continue; /* any other failure shows when files are used */
		kvr_fs_scan_leave(c, until_ns);
		return KVR_E_DOWN;
	}
	c->looked_ns = kvr_now_ns();
	return KVR_OK;
}

static enum kvr_err
one(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item, uint64_t until_ns)
{
	switch (verb) {
	case KVR_VERB_GET:
		return kvr_fs_get(c, item, until_ns);
	case KVR_VERB_PUT:
		return kvr_fs_put(c, item, until_ns);
	case KVR_VERB_STAT:
		return kvr_fs_finish(item, KVR_OK, kvr_fs_stat(c, item));
	case KVR_VERB_EXISTS:
		return kvr_fs_finish(item, KVR_OK, kvr_fs_exists(c, item));
	case KVR_VERB_DEL:
		return kvr_fs_finish(item, KVR_OK, delete_item(c, item));
	case KVR_VERB_PING:
	case KVR_VERB_N:
	default:
		KVR_WRONG("a verb that takes no keys");
	}
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	bool moves = verb == KVR_VERB_GET || verb == KVR_VERB_PUT;

	KVR_CHECK(c->magic == KVR_FS_LANE_MAGIC);
	c->why[0] = '\0';
	enum kvr_err err = kvr_stop(c->kick, until_ns);
	if (err == KVR_OK && (verb == KVR_VERB_PING || kvr_now_ns() >= c->looked_ns + LOOK_NS))
		err = look(c, until_ns);
	for (uint32_t i = 0; err == KVR_OK && i < n; i++) {
		if (i > 0 && (moves || i % LOOK_EVERY == 0))
			err = kvr_stop(c->kick, until_ns);
		if (err == KVR_OK && kvr_item_status(&items[i]) == KVR_PENDING)
			err = one(c, verb, &items[i], until_ns);
	}
	if (err == KVR_E_TIMEOUT || err == KVR_E_CANCELLED)
		snprintf(c->why, sizeof(c->why), "%s", kvr_err_text(err));
	return err;
}

static const char *
why_of(const struct kvr_connector *c)
{
	return c->why;
}

/*
 * A caller's thread does no disk I/O: a dying disk blocks whoever reads it for half a minute, and
 * that had better be a lane. A caller's memory is lent to a disk, because a copy of each value
 * costs up to half of what the page cache delivers; "staged" is for those who would rather pay that
 * than wait for a dead disk.
 */
static uint32_t
store_caps(const struct kvr_store *s)
{
	uint32_t caps = KVR_CAP(PIPELINE);

	caps |= s->where != KVR_FS_FAR && !s->staged ? KVR_CAP(GIVE_UP) : 0;
	caps |= s->where == KVR_FS_MEMORY && !s->staged ? KVR_CAP(ANY_THREAD) : 0;
	caps |= s->indexed ? KVR_CAP(CAPACITY) : 0;
	return caps;
}

static const char *const schemes[] = { "fs", NULL };

const struct kvr_connector_ops kvr_fs_ops = {
	.name = "fs",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(GIVE_UP) | KVR_CAP(ANY_THREAD) | KVR_CAP(CAPACITY),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE) | KVR_FORMAT_BIT(KVR_FORMAT_BARE) |
	    KVR_FORMAT_BIT(KVR_FORMAT_SEALED),
	.format_tier = KVR_FORMAT_SEALED,
	.format_url = KVR_FORMAT_LMCACHE,
	.open = open_store,
	.close = close_store,
	.dial = dial,
	.hang_up = hang_up,
	.examine = kvr_fs_examine,
	.run = run,
	.why = why_of,
	.store_caps = store_caps,
};
