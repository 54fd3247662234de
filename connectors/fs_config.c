/* SPDX-License-Identifier: Apache-2.0 */
/* The URL and options of fs://, and the directories that the URL names. */
#include "kvr_fs.h"
#include "kvr_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { DIR_MODE = 0777, FILE_MODE = 0666 }; /* minus the umask, which is the operator's choice */

static enum kvr_err
wrong(char *why, size_t why_cap, const char *what)
{
	return kvr_refuse(&(struct kvr_why){ why, why_cap }, "%s", what);
}

/* One of the paths of a URL: len bytes at text. */
static enum kvr_err
add_path(struct kvr_store *s, const char *text, size_t len, char *why, size_t why_cap)
{
	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len == 0 || text[0] != '/')
		return wrong(why, why_cap, "fs:// needs absolute directories: fs:///var/cache");
	if (s->n_dirs == KVR_FS_DIRS_MAX) {
		snprintf(why, why_cap, "fs:// takes at most %d directories", KVR_FS_DIRS_MAX);
		return KVR_E_TOO_BIG;
	}
	if ((s->path[s->n_dirs] = strndup(text, len)) == NULL)
		return KVR_E_NOMEM;
	s->n_dirs++;
	return KVR_OK;
}

/*
 * fs://[host[:port]]/dir[,/dir...]. LMCache's parser demands a host and a port and then ignores
 * them; here they are ignored too. The path is used literally, without decoding %XX, as in LMCache.
 */
static enum kvr_err
add_paths(struct kvr_store *s, const char *url, char *why, size_t why_cap)
{
	const char *at = strstr(url, "://");

	at = at == NULL ? NULL : strchr(at + 3, '/');
	if (at == NULL)
		return wrong(why, why_cap, "the url has no directory: write fs:///var/cache");
	if (strpbrk(at, "?#") != NULL)
		return wrong(why, why_cap, "fs:// takes no options in the url ('?' or '#')");
	for (;;) {
		size_t len = strcspn(at, ",");
		enum kvr_err err = add_path(s, at, len, why, why_cap);
		if (err != KVR_OK || at[len] == '\0')
			return err;
		at += len + 1;
	}
}

/* Relative and without leaving the directory: rename() does not cross file systems. */
static bool
is_inside(const char *path)
{
	if (path[0] == '\0' || path[0] == '/')
		return false;
	for (const char *at = path; at != NULL; at = strchr(at, '/')) {
		at += *at == '/';
		if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
			return false;
	}
	return true;
}

static enum kvr_err
check_opts(const struct kvr_store_opts *opts, char *why, size_t why_cap)
{
	static const char *const no[KVR_SETTING_N] = {
		[KVR_SETTING_LOGIN] = "files have no login",
		[KVR_SETTING_TTL] = "files do not expire; bound them with capacity instead",
	};
	const uint32_t takes =
	    KVR_TAKES(CAPACITY) | KVR_TAKES(FREE_FLOOR) | KVR_TAKES(TMP_DIR) | KVR_TAKES(DIRECT);
	enum kvr_err err = kvr_settings_only(opts, takes, no, &(struct kvr_why){ why, why_cap });

	if (err != KVR_OK)
		return err;
	if (opts->format > KVR_FORMAT_SEALED)
		return wrong(why, why_cap, "fs:// has the formats sealed, bare and lmcache");
	if (opts->format != KVR_FORMAT_LMCACHE && (opts->no_chunk_meta || opts->tmp_dir != NULL))
		return wrong(why, why_cap,
		    "save_chunk_meta and the temporary directory belong to the format lmcache");
	if (opts->tmp_dir != NULL && !is_inside(opts->tmp_dir))
		return wrong(why, why_cap,
		    "the temporary directory must be relative and inside the cache's: \"tmp\"");
	if (opts->prefix != NULL && strlen(opts->prefix) > KVR_FS_PREFIX_MAX)
		return wrong(why, why_cap, "the prefix is longer than 256 bytes");
	return KVR_OK;
}

static void
set_format(struct kvr_store *s, const struct kvr_store_opts *opts)
{
	static const char *const suffix[] = {
		[KVR_FORMAT_LMCACHE] = ".data",
		[KVR_FORMAT_BARE] = ".raw",
		[KVR_FORMAT_SEALED] = ".kvr",
	};

	s->suffix = suffix[opts->format];
	s->rules = (struct kvr_frame_rules){ .format = opts->format,
		.seal_head = KVR_SEAL_HEAD_FS,
		.fingerprint = opts->fingerprint,
		.spoil = opts->spoil };
	if (opts->format == KVR_FORMAT_SEALED)
		s->min_len = KVR_SEAL_HEAD_FS + 1;
	if (opts->format == KVR_FORMAT_LMCACHE && !opts->no_chunk_meta) {
		s->rules.n_groups = KVR_MAX(opts->n_groups, 1U);
		s->min_len = 8U + 20U * (uint64_t)s->rules.n_groups;
	}
}

enum kvr_err
kvr_fs_configure(struct kvr_store *s, const struct kvr_store_opts *opts, char *why, size_t why_cap)
{
	enum kvr_err err = check_opts(opts, why, why_cap);
	if (err == KVR_OK)
		err = add_paths(s, opts->url, why, why_cap);
	if (err != KVR_OK)
		return err;
	set_format(s, opts);
	s->capacity = opts->capacity == 0 ? UINT64_MAX : opts->capacity;
	s->free_floor = opts->free_floor;
	s->direct = opts->direct;
	s->staged = opts->staged;
	s->indexed = opts->capacity != 0 || opts->free_floor != 0;
	s->prefix_len = opts->prefix == NULL ? 0 : (uint32_t)strlen(opts->prefix);
	if (s->prefix_len > 0)
		memcpy(s->prefix, opts->prefix, s->prefix_len);
	if (opts->tmp_dir != NULL && (s->tmp_dir = strdup(opts->tmp_dir)) == NULL)
		return KVR_E_NOMEM;
	/* Without entropy O_EXCL still keeps two writers apart; they only need more attempts. */
	if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) != sizeof(s->seed))
		s->seed = kvr_now_ns() ^ (uint64_t)getpid() << 40;
	return KVR_OK;
}

void
kvr_fs_unconfigure(struct kvr_store *s)
{
	for (uint32_t i = 0; i < s->n_dirs; i++)
		free(s->path[i]);
	free(s->tmp_dir);
}

static enum kvr_err
explain(const char *doing, const char *path, int error, char *why, size_t why_cap)
{
	enum kvr_err err = KVR_E_CONFIG;
	const char *cure = "correct the url";

	switch (error) {
	case EACCES:
	case EPERM:
		err = KVR_E_AUTH;
		cure = "give the directory to the user that runs this process, or name another";
		break;
	case EROFS:
		cure = "it is mounted read-only: remount it, or name another directory";
		break;
	case ENOSPC:
	case EDQUOT:
		err = KVR_E_NOSPACE;
		cure = "free some space or inodes there";
		break;
	case ENOTDIR:
	case EEXIST:
		cure = "a part of this path is a file; name a directory";
		break;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EIO:
		err = KVR_E_DOWN;
		cure = "this is the system's trouble and may pass";
		break;
	default:
		if (!kvr_fs_is_gone(error))
			break;
		err = KVR_E_DOWN;
		cure = "look whether it is mounted, and whether what serves it runs";
		break;
	}
	snprintf(why, why_cap, "cannot %s %s: %s; %s", doing, path, strerror(error), cure);
	return err;
}

/* Including all parents. -1: errno says why. */
static int
make_dirs(int at_fd, const char *path)
{
	char copy[4096];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash != NULL)
			*slash = '\0';
		/* mkdir of a parent may be forbidden although the parent exists: opening decides. */
		if (mkdirat(at_fd, copy, DIR_MODE) != 0 && errno != EEXIST && slash == NULL)
			return -1;
		if (slash == NULL)
			return 0;
		*slash = '/';
	}
}

static int
open_dir(int at_fd, const char *path)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = openat(at_fd, path, flags);

	if (fd >= 0 || errno != ENOENT || make_dirs(at_fd, path) != 0)
		return fd;
	return openat(at_fd, path, flags);
}

enum kvr_err
kvr_fs_open_dirs(const struct kvr_store *s, struct kvr_fs_dir *ret, char *why, size_t why_cap)
{
	struct kvr_fs_dir dir[KVR_FS_DIRS_MAX];
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < KVR_FS_DIRS_MAX; i++)
		dir[i] = (struct kvr_fs_dir){ .fd = -1, .tmp_fd = -1 };
	for (uint32_t i = 0; err == KVR_OK && i < s->n_dirs; i++) {
		if ((dir[i].fd = open_dir(AT_FDCWD, s->path[i])) < 0)
			err = explain("open", s->path[i], errno, why, why_cap);
		else if (s->tmp_dir == NULL)
			dir[i].tmp_fd = dir[i].fd;
		else if ((dir[i].tmp_fd = open_dir(dir[i].fd, s->tmp_dir)) < 0)
			err = explain(
			    "open in the cache's directory", s->tmp_dir, errno, why, why_cap);
	}
	if (err != KVR_OK)
		kvr_fs_close_dirs(s, dir);
	else
		memcpy(ret, dir, sizeof(dir));
	return err;
}

void
kvr_fs_close_dirs(const struct kvr_store *s, struct kvr_fs_dir *dir)
{
	for (uint32_t i = 0; i < s->n_dirs; i++) {
		if (dir[i].tmp_fd >= 0 && dir[i].tmp_fd != dir[i].fd)
			close(dir[i].tmp_fd);
		if (dir[i].fd >= 0)
			close(dir[i].fd);
	}
}

enum kvr_err
kvr_fs_probe(struct kvr_store *s, const struct kvr_fs_dir *dir, char *why, size_t why_cap)
{
	char name[KVR_FS_TMP_LEN];

	for (uint32_t i = 0; i < s->n_dirs; i++) {
		kvr_fs_tmp_name(s, name);
		int fd =
		    openat(dir[i].tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
		int error = fd < 0 ? errno : 0;
		/*
		 * Full, or read-only since an error: no reason to refuse, because what is stored
		 * there can still be read, and an engine that restarts over it needs just that.
		 */
		if (error == EROFS)
			snprintf(why, why_cap,
			    "%s is mounted read-only: what is there is read, and puts are refused until it "
			    "is remounted",
			    s->path[i]);
		else if (error != 0 && error != ENOSPC && error != EDQUOT)
			return explain("write into", s->path[i], error, why, why_cap);
		if (fd >= 0) {
			close(fd);
			(void)unlinkat(dir[i].tmp_fd, name, 0);
		}
	}
	return KVR_OK;
}

/*
 * Writes one block in the way values are written: some file systems accept the open and refuse the
 * write.
 */
static int
try_direct(struct kvr_store *s, int tmp_fd)
{
	char name[KVR_FS_TMP_LEN];
	uint8_t *block = aligned_alloc(KVR_FS_ALIGN, KVR_FS_ALIGN);
	int error = 0;

	if (block == NULL)
		return ENOMEM;
	memset(block, 0, KVR_FS_ALIGN);
	kvr_fs_tmp_name(s, name);
	int fd =
	    openat(tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, FILE_MODE);
	if (fd < 0 || write(fd, block, KVR_FS_ALIGN) < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	(void)unlinkat(tmp_fd, name, 0);
	free(block);
	return error;
}

void
kvr_fs_probe_direct(struct kvr_store *s, const struct kvr_fs_dir *dir, char *why, size_t why_cap)
{
	for (uint32_t i = 0; s->direct && i < s->n_dirs; i++) {
		int error = try_direct(s, dir[i].tmp_fd);
		/* A full or read-only disk says nothing about direct reads. */
		if (error == 0 || error == ENOSPC || error == EDQUOT || error == EROFS)
			continue;
		s->direct = false;
		snprintf(why, why_cap,
		    "%s does not take direct I/O (%s): files go through the page cache", s->path[i],
		    strerror(error));
	}
}

/* A type that is not listed counts as far. */
static enum kvr_fs_where
where_is(unsigned long type)
{
	static const unsigned long disk[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
		F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC, NILFS_SUPER_MAGIC,
		0x2FC12FC1UL /* ZFS */, 0xCA451A4EUL /* bcachefs */, 0x2011BAB0UL /* exFAT */,
		0x3153464AUL /* JFS */ };

	if (type == TMPFS_MAGIC || type == RAMFS_MAGIC)
		return KVR_FS_MEMORY;
	for (size_t i = 0; i < KVR_LEN(disk); i++)
		if (disk[i] == type)
			return KVR_FS_DISK;
	return KVR_FS_FAR;
}

enum kvr_fs_where
kvr_fs_where(const struct kvr_fs_dir *dir, uint32_t n)
{
	enum kvr_fs_where farthest = KVR_FS_MEMORY;
	struct statfs fs;

	for (uint32_t i = 0; i < n; i++) {
		if (fstatfs(dir[i].fd, &fs) != 0)
			return KVR_FS_FAR;
		farthest = KVR_MIN(farthest, where_is((unsigned long)fs.f_type));
	}
	return farthest;
}
