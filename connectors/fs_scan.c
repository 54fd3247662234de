/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the directories contain at the start. Every file of ours enters the index, least recently
 * used first (as far as atime tells: most mounts update it once a day), and temporary files whose
 * writer is gone are removed.
 *
 * A writer holds flock() on its temporary file until it is renamed. So whoever gets that lock knows
 * that the writer is dead, whichever process, container or pid namespace it was in, and no process
 * id has to be trusted.
 *
 * The scan is part of dialling, which has a deadline; open() must not hang on a million files. A
 * dial that runs out of time leaves the scan where it is, and the next dial of any lane continues
 * it.
 *
 * A lane that comes with other directories than the scanned ones starts the scan again. Until the
 * other lanes notice, everything that they would do to the index is DOWN, which makes them dial.
 */
#include "kvr_dir.h"
#include "kvr_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kvr_stop.h"

enum { NAMES_AT_ONCE = 128 }; /* in one hold of the lock, between two checks of the clock */

struct kvr_fs_found {
	uint64_t used_ns; /* wall clock */
	uint64_t len;
	uint32_t dir;
	uint32_t spare;
	char    *name;
};

static uint64_t
nanoseconds(struct timespec t)
{
	return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * KVR_SEC(1) + (uint64_t)t.tv_nsec;
}

static void
remove_leftover(struct kvr_fs_scan *scan, int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dir_fd, name, 0) == 0)
		scan->removed++;
	close(fd);
}

static enum kvr_err
note(struct kvr_fs_scan *scan, int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return KVR_OK;
	if (scan->n_found == scan->found_cap) {
		uint64_t             cap = KVR_MAX(scan->found_cap * 2, 1024U);
		struct kvr_fs_found *more = realloc(scan->found, cap * sizeof(*more));
		if (more == NULL)
			return KVR_E_NOMEM;
		scan->found = more;
		scan->found_cap = cap;
	}
	char *copy = strdup(name);
	if (copy == NULL)
		return KVR_E_NOMEM;
	uint64_t read_ns = nanoseconds(st.st_atim), written_ns = nanoseconds(st.st_mtim);
	scan->found[scan->n_found++] = (struct kvr_fs_found){ .dir = scan->dir, .name = copy,
		.len = (uint64_t)st.st_size, .used_ns = KVR_MAX(read_ns, written_ns) };
	return KVR_OK;
}

static int
by_use(const void *a, const void *b)
{
	const struct kvr_fs_found *x = a, *y = b;

	if (x->used_ns != y->used_ns)
		return x->used_ns < y->used_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* In portions as well: a million at once would carry a dial past its deadline. */
static enum kvr_err
enter_some(struct kvr_store *s)
{
	struct kvr_fs_scan *scan = &s->scan;

	if (!scan->sorted && scan->n_found > 0)
		qsort(scan->found, scan->n_found, sizeof(scan->found[0]), by_use);
	scan->sorted = true;
	for (int n = 0; n < NAMES_AT_ONCE && scan->entered < scan->n_found; n++) {
		const struct kvr_fs_found *x = &scan->found[scan->entered];
		if (!kvr_fs_enter(s, x->dir, x->name, x->len))
			return KVR_E_NOMEM;
		scan->entered++;
	}
	return KVR_OK;
}

static void
free_found(struct kvr_fs_scan *scan)
{
	for (uint64_t i = 0; i < scan->n_found; i++)
		free(scan->found[i].name);
	free(scan->found);
	scan->found = NULL;
	scan->n_found = scan->found_cap = 0;
}

/* Moves to the next directory to read: each one is followed by its tmp_dir. */
static void
next_dir(struct kvr_store *s)
{
	struct kvr_fs_scan *scan = &s->scan;

	closedir(scan->open);
	scan->open = NULL;
	if (s->tmp_dir != NULL && !scan->tmp) {
		scan->tmp = true;
	} else {
		scan->tmp = false;
		scan->dir++;
	}
}

static enum kvr_err
one_name(struct kvr_store *s)
{
	struct kvr_fs_scan *scan = &s->scan;

	errno = 0;
	struct dirent *entry = readdir(scan->open);
	if (entry == NULL && errno != 0)
		return KVR_E_DOWN;
	if (entry == NULL) {
		next_dir(s);
		return KVR_OK;
	}
	scan->seen++;
	if (kvr_fs_is_tmp(entry->d_name))
		remove_leftover(scan, dirfd(scan->open), entry->d_name);
	else if (s->indexed && !scan->tmp && kvr_fs_is_ours(s, entry->d_name))
		return note(scan, dirfd(scan->open), entry->d_name);
	return KVR_OK;
}

/* Reads some more names. Under the lock. */
static enum kvr_err
some_names(struct kvr_connector *c)
{
	struct kvr_store   *s = c->store;
	struct kvr_fs_scan *scan = &s->scan;
	enum kvr_err        err = KVR_OK;

	if (!scan->emptied) {
		scan->emptied = kvr_fs_forget(s, NAMES_AT_ONCE);
		return KVR_OK;
	}
	for (int i = 0; err == KVR_OK && i < NAMES_AT_ONCE && scan->dir < s->n_dirs; i++) {
		const struct kvr_fs_dir *dir = &c->dir[scan->dir];
		if (scan->open == NULL &&
		    (scan->open = kvr_dir_read(scan->tmp ? dir->tmp_fd : dir->fd)) == NULL)
			return KVR_E_DOWN;
		err = one_name(s);
	}
	if (err == KVR_OK && scan->dir == s->n_dirs) {
		err = enter_some(s);
		if (err == KVR_OK && scan->entered == scan->n_found) {
			free_found(scan);
			scan->done = true;
		}
	}
	return err;
}

/* Reservations for files being written stay: their writers give them back. */
static void
begin(struct kvr_store *s, const struct kvr_fs_id *of)
{
	struct kvr_fs_scan *scan = &s->scan;
	uint64_t gen = scan->gen + 1;

	kvr_fs_scan_close(s);
	*scan = (struct kvr_fs_scan){ .gen = gen };
	memcpy(scan->of, of, s->n_dirs * sizeof(*of));
}

/* Finds out which directories the lane has; starts a new scan unless they are the counted ones. */
static void
join(struct kvr_connector *c)
{
	struct kvr_store *s = c->store;
	struct kvr_fs_id  of[KVR_FS_DIRS_MAX] = { 0 };
	struct stat       st;

	for (uint32_t i = 0; i < s->n_dirs; i++)
		if (fstat(c->dir[i].fd, &st) == 0)
			of[i] = (struct kvr_fs_id){ st.st_dev, st.st_ino };
	if (s->scan.gen == 0 || memcmp(s->scan.of, of, s->n_dirs * sizeof(of[0])) != 0)
		begin(s, of);
	c->gen = s->scan.gen;
}

bool
kvr_fs_scan_fits(struct kvr_connector *c)
{
	if (c->gen == 0)
		join(c);
	return c->gen == c->store->scan.gen;
}

enum kvr_err
kvr_fs_scan_check(struct kvr_connector *c)
{
	if (kvr_fs_scan_fits(c))
		return KVR_OK;
	snprintf(c->why, sizeof(c->why), "the directory is another one now: moved, or mounted over");
	return KVR_E_DOWN;
}

/*
 * A new directory may get the inode number of the removed one, so the change is recorded here. If
 * the lock is not available in time, comparing the numbers has to do.
 */
void
kvr_fs_scan_leave(struct kvr_connector *c, uint64_t until_ns)
{
	struct kvr_store *s = c->store;

	if (!kvr_lock_until(&s->lock, until_ns))
		return;
	if (c->gen == s->scan.gen) {
		memset(s->scan.of, 0, sizeof(s->scan.of));
		s->scan.gen++;
	}
	kvr_unlock(&s->lock);
}

enum kvr_err
kvr_fs_scan_on(struct kvr_connector *c, uint64_t until_ns, char *why, size_t why_cap)
{
	struct kvr_store *s = c->store;
	uint64_t          seen = 0;
	bool              done = false;
	enum kvr_err      err = KVR_OK;

	while (!done && err == KVR_OK) {
		if (!kvr_lock_until(&s->lock, until_ns))
			err = KVR_E_TIMEOUT;
		else {
			err = kvr_fs_scan_check(c);
			if (err == KVR_OK && !s->scan.done)
				err = some_names(c);
			done = s->scan.done;
			seen = s->scan.seen;
			kvr_unlock(&s->lock);
		}
		if (!done && err == KVR_OK)
			err = kvr_stop(c->kick, until_ns);
	}
	if (err == KVR_E_TIMEOUT)
		snprintf(why, why_cap,
		    "still reading the directory, %llu names so far; next dial goes on",
		    (unsigned long long)seen);
	else if (err == KVR_E_DOWN && c->why[0] != '\0')
		snprintf(why, why_cap, "%s", c->why);
	else if (err != KVR_OK)
		snprintf(why, why_cap, "reading the directory: %s",
		    err == KVR_E_DOWN ? strerror(errno) : kvr_err_text(err));
	return err;
}

void
kvr_fs_scan_close(struct kvr_store *s)
{
	if (s->scan.open != NULL)
		closedir(s->scan.open);
	free_found(&s->scan);
}
