/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file tier finds in its directory. The first byte says what: even, a file in the place of a
 * key's, or a link, directory or pipe; odd, names of files, separated by NULs.
 *
 * A file: only a regular one is ever a hit, nothing lands behind a span, what a sealed get calls a
 * hit is the value that was put, and lookup, stat and get agree. Names: what is ours is counted,
 * what a dead writer left is removed, all the rest is left alone, even when the tier has to make
 * room. As keys: no two have one name, and no name leads out of the directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvr_connectors.h"
#include "kvr_fs.h"
#include "kvr_fuzz.h"

enum { LEN = 8, ROOM = 64, GUARD = 0x5A, NAMES_MAX = 48, STRAY_LEN = 512, CAPACITY = 8192 };
enum { SEALED, LMCACHE, BARE_LM, BARE, FORMATS };
enum { IS_FILE, IS_LINK, IS_DIR, IS_PIPE, KINDS };

static const char key[] = "m@1@0@0@half", target[] = "elsewhere";
static char dir[64], url[80];
static struct kvr_store *stores[FORMATS];
static struct kvr_connector *lanes[FORMATS];

static struct kvr_store_opts
opts_of(uint32_t format)
{
	static const enum kvr_store_format formats[FORMATS] = { KVR_FORMAT_SEALED,
		KVR_FORMAT_LMCACHE, KVR_FORMAT_LMCACHE, KVR_FORMAT_BARE };

	return (struct kvr_store_opts){ .tier = "fuzz", .url = url, .format = formats[format],
		.n_groups = 1, .no_chunk_meta = format == BARE_LM, .direct = format == SEALED };
}

static int
drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level == 0 ? 0 : remove(path);
}

static void
empty_dir(void)
{
	KVR_CHECK(nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

static uint64_t
soon(void)
{
	return kvr_now_ns() + KVR_SEC(20);
}

__attribute__((constructor)) static void
set_up(void)
{
	char why[512] = "";

	snprintf(dir, sizeof(dir), "%s/kvr-fuzz-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	KVR_CHECK(mkdtemp(dir) != NULL);
	snprintf(url, sizeof(url), "fs://%s", dir);
	for (uint32_t f = 0; f < FORMATS; f++) {
		const struct kvr_store_opts opts = opts_of(f);

		KVR_CHECK(kvr_fs_ops.open(&opts, &stores[f], why, sizeof(why)) == KVR_OK);
		KVR_CHECK(kvr_fs_ops.dial(stores[f], soon(), NULL, &lanes[f], why, sizeof(why)) ==
		          KVR_OK);
	}
}

__attribute__((destructor)) static void
clean_up(void)
{
	for (uint32_t f = 0; f < FORMATS; f++) {
		kvr_fs_ops.hang_up(lanes[f]);
		kvr_fs_ops.close(stores[f]);
	}
	empty_dir();
	(void)rmdir(dir);
}

static void
path_of(const char *name, char ret[400])
{
	snprintf(ret, 400, "%s/%s", dir, name);
}

static void
write_file(const char *name, const void *at, size_t len)
{
	char path[400];

	path_of(name, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	KVR_CHECK(fd >= 0 && (len == 0 || write(fd, at, len) == (ssize_t)len));
	close(fd);
}

static size_t
take_file(const char *name, uint8_t *ret)
{
	char path[400];

	path_of(name, path);
	FILE *f = fopen(path, "rb");

	KVR_CHECK(f != NULL);
	size_t len = fread(ret, 1, KVR_FUZZ_LEN_MAX - 2, f);

	fclose(f);
	return len;
}

static const char *
name_of_key(uint32_t format)
{
	static struct kvr_fs_name name;

	KVR_CHECK(kvr_fs_name(stores[format], key, sizeof(key) - 1, &name) == KVR_OK);
	return name.text;
}

static int32_t
ask(uint32_t format, enum kvr_verb verb, uint8_t *at, uint32_t flags, struct kvr_item *ret)
{
	static const struct kvr_meta meta = { KVR_MEMFMT_KV_2LTD, 1,
		{ { KVR_DTYPE_BFLOAT16, 4, { 2, 1, 1, 2 } } } };
	static struct kvr_meta of_item;

	of_item = verb == KVR_VERB_PUT ? meta : (struct kvr_meta){ 0 };
	*ret = (struct kvr_item){ .key = key, .key_len = sizeof(key) - 1, .flags = flags,
		.meta = &of_item, .raw_len = LEN, .span = { at, LEN } };
	atomic_init(&ret->status, KVR_PENDING);
	KVR_CHECK(kvr_fs_ops.run(lanes[format], verb, ret, 1, soon()) == KVR_OK);
	KVR_CHECK(kvr_item_status(ret) != KVR_PENDING);
	return kvr_item_status(ret);
}

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const char names[] = "m@8@3@-5d1b@half\0a.kvr\0%2E.kvr\0x-SEP-y.data\0.kvr-0123456789abcdef-"
	                            "0123456789abcdef.tmp\0notes.txt\0k.raw\0%%00000000000000000000"
	                            "000000000000.kvr\0..data";
	struct kvr_item item;
	uint8_t payload[LEN];

	if (i >= 2 * FORMATS)
		return 0;
	uint32_t format = (uint32_t)(i / 2);
	ret[0] = (uint8_t)(i % 2);
	ret[1] = (uint8_t)format;
	if (i % 2 == 1) {
		memcpy(ret + 2, names, sizeof(names));
		return 2 + sizeof(names);
	}
	memset(payload, 'a', LEN);
	KVR_CHECK(ask(format, KVR_VERB_PUT, payload, 0, &item) == KVR_OK);
	size_t len = take_file(name_of_key(format), ret + 2);

	KVR_CHECK(len == item.len);
	empty_dir();
	return 2 + len;
}

/* ---- one file ---- */

static void
make(const char *name, uint32_t kind, const uint8_t *at, size_t len)
{
	char path[400];

	path_of(name, path);
	write_file(target, at, len);
	if (kind == IS_FILE)
		write_file(name, at, len);
	else if (kind == IS_LINK)
		KVR_CHECK(symlink(target, path) == 0);
	else if (kind == IS_DIR)
		KVR_CHECK(mkdir(path, 0700) == 0);
	else
		KVR_CHECK(mkfifo(path, 0600) == 0);
}

static void
check_hit(uint32_t format, const uint8_t *got, const struct kvr_item *item, const uint8_t *at,
    size_t len)
{
	uint64_t head = kvr_frame_head_len(&stores[format]->rules);
	uint8_t put[LEN];

	memset(put, 'a', LEN);
	KVR_CHECK(item->len <= LEN && head + item->len <= len);
	KVR_CHECK(memcmp(got, at + head, (size_t)item->len) == 0);
	KVR_CHECK(format != SEALED || (item->len == LEN && memcmp(got, put, LEN) == 0));
}

static void
one_file(uint32_t format, uint32_t kind, uint32_t flags, const uint8_t *at, size_t len)
{
	uint8_t got[ROOM];
	struct kvr_item looked, get, other;
	char path[400];

	make(name_of_key(format), kind, at, len);
	memset(got, GUARD, sizeof(got));
	int32_t exists = ask(format, KVR_VERB_EXISTS, NULL, 0, &other);
	int32_t stat = ask(format, KVR_VERB_STAT, NULL, 0, &looked);
	int32_t status = ask(format, KVR_VERB_GET, got, flags, &get);

	for (size_t i = LEN; i < ROOM; i++)
		KVR_CHECK(got[i] == GUARD);
	KVR_CHECK(exists == KVR_OK || exists == KVR_E_MISS);
	KVR_CHECK(kind == IS_FILE || (exists == KVR_E_MISS && stat < 0 && status < 0));
	if (status == KVR_OK) {
		KVR_CHECK(exists == KVR_OK && stat == KVR_OK);
		KVR_CHECK(looked.len == get.len && looked.raw_len == get.raw_len);
		check_hit(format, got, &get, at, len);
	}
	KVR_CHECK(kind != IS_FILE || status == KVR_OK || kvr_fs_ops.why(lanes[format])[0] != '\0');
	/* Removed is what has the name, and never what it leads to. */
	int32_t gone = ask(format, KVR_VERB_DEL, NULL, 0, &other);

	path_of(name_of_key(format), path);
	KVR_CHECK((gone == KVR_OK) == (kind != IS_DIR) && (access(path, F_OK) == 0) == (kind == IS_DIR));
	path_of(target, path);
	KVR_CHECK(access(path, F_OK) == 0);
}

/* ---- names ---- */

struct names {
	uint32_t n;
	const char *at[NAMES_MAX];
	size_t len[NAMES_MAX];
};

static void
split(const char *at, size_t len, struct names *ret)
{
	ret->n = 0;
	for (const char *end = at + len; at < end && ret->n < NAMES_MAX;) {
		const char *nul = memchr(at, '\0', (size_t)(end - at));

		if (nul == NULL)
			nul = end;
		ret->at[ret->n] = at;
		ret->len[ret->n] = (size_t)(nul - at);
		ret->n += nul > at;
		at = nul + 1;
	}
}

static bool
as_name(const struct names *s, uint32_t i, char ret[KVR_FS_NAME_MAX + 1])
{
	if (s->len[i] > KVR_FS_NAME_MAX || memchr(s->at[i], '/', s->len[i]) != NULL)
		return false;
	memcpy(ret, s->at[i], s->len[i]);
	ret[s->len[i]] = '\0';
	return strcmp(ret, ".") != 0 && strcmp(ret, "..") != 0;
}

static void
check_key(const struct kvr_store *store, const char *at, size_t len, struct kvr_fs_name *ret)
{
	if (len > KVR_KEY_LEN_MAX || kvr_fs_name(store, at, (uint32_t)len, ret) != KVR_OK) {
		ret->len = 0;
		return;
	}
	KVR_CHECK(ret->len == strlen(ret->text) && ret->len <= KVR_FS_NAME_MAX);
	KVR_CHECK(strchr(ret->text, '/') == NULL && strcmp(ret->text, "..") != 0);
	KVR_CHECK(kvr_fs_is_ours(store, ret->text) && !kvr_fs_is_tmp(ret->text));
}

/* Of several directories it is one of them, however many there are. */
static void
check_dir(const struct kvr_store *store, const char *at, size_t len)
{
	static struct kvr_store wide;
	struct kvr_fs_name name;

	memcpy(&wide, store, sizeof(wide));
	for (wide.n_dirs = 1; wide.n_dirs <= KVR_FS_DIRS_MAX && len <= KVR_KEY_LEN_MAX; wide.n_dirs++)
		if (kvr_fs_name(&wide, at, (uint32_t)len, &name) == KVR_OK)
			KVR_CHECK(name.dir < wide.n_dirs);
}

static void
check_keys(const struct kvr_store *store, const struct names *s)
{
	static struct kvr_fs_name name[NAMES_MAX];

	for (uint32_t i = 0; i < s->n; i++) {
		check_key(store, s->at[i], s->len[i], &name[i]);
		check_dir(store, s->at[i], s->len[i]);
		for (uint32_t k = 0; k < i; k++)
			KVR_CHECK(name[i].len == 0 || name[i].len != name[k].len ||
			          memcmp(name[i].text, name[k].text, name[i].len) != 0 ||
			          (s->len[i] == s->len[k] &&
			              memcmp(s->at[i], s->at[k], s->len[i]) == 0));
	}
}

static bool
is_there(const char *name)
{
	struct stat st;
	char path[400];

	path_of(name, path);
	return lstat(path, &st) == 0;
}

/* Every name once; the fourth of each five is a link, the fifth a directory. */
static uint32_t
make_names(const struct kvr_store *store, const struct names *s)
{
	static const uint8_t bytes[STRAY_LEN];
	char name[KVR_FS_NAME_MAX + 1], path[400];
	uint32_t n_ours = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (!as_name(s, i, name) || is_there(name))
			continue;
		path_of(name, path);
		if (i % 5 == 3)
			KVR_CHECK(symlink("nowhere", path) == 0);
		else if (i % 5 == 4)
			KVR_CHECK(mkdir(path, 0700) == 0);
		else
			write_file(name, bytes, sizeof(bytes));
		n_ours += i % 5 < 3 && kvr_fs_is_ours(store, name);
	}
	return n_ours;
}

/* What is not ours is there; ours may have given way. */
static void
check_names(const struct kvr_store *store, const struct names *s, bool gave_way)
{
	char name[KVR_FS_NAME_MAX + 1];

	for (uint32_t i = 0; i < s->n; i++) {
		if (!as_name(s, i, name))
			continue;
		struct stat st;
		char path[400];
		bool there, left_over = kvr_fs_is_tmp(name);

		path_of(name, path);
		there = lstat(path, &st) == 0;
		KVR_CHECK(there || left_over || (gave_way && kvr_fs_is_ours(store, name)));
		KVR_CHECK(!there || !left_over || !S_ISREG(st.st_mode));
	}
}

static void
many_names(uint32_t format, const uint8_t *at, size_t len)
{
	struct kvr_store_opts opts = opts_of(format);
	struct kvr_connector *lane = NULL;
	struct kvr_store *store = NULL;
	struct names s;
	struct kvr_item item;
	uint8_t payload[LEN] = { 0 };
	char why[512] = "";

	split((const char *)at, len, &s);
	check_keys(stores[format], &s);
	uint32_t n_ours = make_names(stores[format], &s);

	opts.capacity = CAPACITY;
	KVR_CHECK(kvr_fs_ops.open(&opts, &store, why, sizeof(why)) == KVR_OK);
	KVR_CHECK(kvr_fs_ops.dial(store, soon(), NULL, &lane, why, sizeof(why)) == KVR_OK);
	KVR_CHECK(store->index.n == n_ours && store->index.bytes == n_ours * (uint64_t)STRAY_LEN);
	check_names(store, &s, false);
	struct kvr_connector *other = lanes[format];

	lanes[format] = lane;
	int32_t put = ask(format, KVR_VERB_PUT, payload, 0, &item);

	lanes[format] = other;
	/* There may be a directory in its place. */
	KVR_CHECK(put == KVR_OK || is_there(name_of_key(format)));
	KVR_CHECK(put != KVR_OK || store->index.bytes <= CAPACITY);
	check_names(store, &s, true);
	kvr_fs_ops.hang_up(lane);
	kvr_fs_ops.close(store);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	if (len < 2)
		return 0;
	if (at[0] % 2 == 1)
		many_names(at[1] % FORMATS, at + 2, len - 2);
	else
		one_file(at[1] % FORMATS, at[1] / FORMATS % KINDS,
		    at[0] & 2 ? KVR_ITEM_AT_MOST : 0, at + 2, len - 2);
	empty_dir();
	return 0;
}
