/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the fs:// store share.
 *
 *   fs.c         the table of functions, a lane's life, one batch
 *   fs_config.c  the URL and options; making, opening and probing directories
 *   fs_look.c    the first look at the directories, which must not hang
 *   fs_name.c    key text to file name
 *   fs_space.c   the index of files: capacity, free space, eviction
 *   fs_scan.c    what the directories contain at the start: files to count, leftovers to remove
 *   fs_read.c    GET, STAT, EXISTS
 *   fs_write.c   PUT
 *   fs_flow.c    the bytes of one file, through the page cache or past it
 *   fs_examine.c what doctor reports
 *
 * One chunk is one file, in one flat directory or in one of several, chosen by the key. A file
 * appears by rename, so a reader sees a whole value, old or new. Nothing is ever fsynced: this is a
 * cache, and after a power failure a file may be short or full of zeros. `sealed` notices both;
 * `lmcache` notices a wrong length; `bare` delivers whatever it reads.
 */
#ifndef KVR_FS_H
#define KVR_FS_H

#include <dirent.h>

#include "kvr_connector.h"
#include "kvr_frame.h"
#include "kvr_index.h"
#include "kvr_limits.h"
#include "kvr_lock.h"

#define KVR_FS_STORE_MAGIC KVR_MAGIC('F', 'S', 'S', 'T')
#define KVR_FS_LANE_MAGIC KVR_MAGIC('F', 'S', 'L', 'N')

enum {
	KVR_FS_DIRS_MAX = 16,
	KVR_FS_NAME_MAX = 255, /* bytes of a file name, as on every file system of Linux */
	KVR_FS_PREFIX_MAX = 256,
	KVR_FS_KEY_MAX = KVR_FS_PREFIX_MAX + KVR_KEY_LEN_MAX
};

/*
 * Read or written with one call, so its duration is how late a kick is noticed. Sealed values come
 * in slices of their own, small enough to be still in cache when they are hashed.
 */
#define KVR_FS_SLICE ((size_t)KVR_MIB(1))

/*
 * FAR (NFS, FUSE, CIFS, Lustre, and any unknown type): a read may hang while a server is gone, and
 * nothing ends it. DISK: answers in bounded time unless the disk dies. MEMORY: only copies.
 */
enum kvr_fs_where { KVR_FS_FAR, KVR_FS_DISK, KVR_FS_MEMORY };

/* Alignment of direct calls: the largest block size of disks. */
#define KVR_FS_ALIGN ((size_t)KVR_KIB(4))
#define KVR_FS_STAGE ((size_t)KVR_DIRECT_STAGE_BYTES)

/*
 * Both descriptors belong to one lane, so redialling is enough when a directory was removed, moved
 * or mounted over.
 */
struct kvr_fs_dir {
	int fd;     /* directory of the final names */
	int tmp_fd; /* directory of the temporary names; fd itself without tmp_dir */
};

/* A file in the index. Its key: one byte for the directory, then the name. */
struct kvr_fs_file {
	struct kvr_index_node node; /* first: the index knows only this */
	char                  key[];
};

/* Identifies a directory whatever its name. */
struct kvr_fs_id {
	uint64_t dev, ino; /* 0: none */
};

/*
 * Under the store's lock: any lane continues where another stopped. If other directories have taken
 * the place of the counted ones, what was counted is forgotten and the scan starts again.
 */
struct kvr_fs_scan {
	struct kvr_fs_id of[KVR_FS_DIRS_MAX]; /* the directories that the index describes */
	uint64_t gen;      /* how often these changed; a lane with another number uses others */
	bool     emptied;  /* the index has forgotten what was counted before */
	bool     done;
	uint32_t dir;      /* which one is being read */
	bool     tmp;      /* its tmp_dir, not itself */
	DIR     *open;     /* NULL: not opened yet */
	uint64_t seen;     /* names read */
	uint64_t removed;  /* leftovers removed */
	struct kvr_fs_found *found; /* files to sort by age before they enter the index */
	uint64_t n_found, found_cap;
	bool     sorted;
	uint64_t entered; /* how many of found are in the index */
};

/* fs_examine.c */
void kvr_fs_examine(struct kvr_store *, struct kvr_connector *, const struct kvr_examination *);

struct kvr_store {
	uint32_t magic;
	uint32_t n_dirs;
	char    *path[KVR_FS_DIRS_MAX]; /* absolute, without a slash at the end */
	char    *tmp_dir;               /* relative to each; NULL: none */
	uint32_t prefix_len;
	char     prefix[KVR_FS_PREFIX_MAX];
	struct kvr_frame_rules rules;
	const char *suffix;     /* ".data", ".raw", ".kvr" */
	uint64_t    min_len;    /* a shorter file is not a value */
	uint64_t    capacity;   /* UINT64_MAX: no limit */
	uint64_t    free_floor;
	enum kvr_fs_where where; /* the farthest of the directories; FAR also if unknown */
	bool        indexed;    /* there is a capacity or a floor, so files must be counted */
	bool        direct;     /* files bypass the page cache */
	bool        staged;     /* treat every directory as one whose waits cannot be ended */
	uint64_t    seed;       /* makes temporary names unique, also across machines */
	_Atomic uint64_t tmp_count;

	/* Protects what is below. Held during unlink(), which may take a while. */
	struct kvr_lock    lock;
	struct kvr_index   index;
	uint64_t           reserved; /* bytes of files being written */
	struct kvr_fs_scan scan;
};

struct kvr_connector {
	uint32_t          magic;
	struct kvr_store *store;
	struct kvr_kick  *kick;
	uint8_t          *scratch;
	uint8_t          *stage; /* KVR_FS_STAGE bytes, aligned; NULL unless direct */
	struct kvr_fs_dir dir[KVR_FS_DIRS_MAX];
	uint64_t          gen;       /* scan generation of these directories; 0: not scanned yet */
	uint64_t          looked_ns; /* when the paths last led to these directories */
	char              why[384];
};

/* The file of one item. */
struct kvr_fs_name {
	uint32_t dir;
	uint32_t len;
	char     text[KVR_FS_NAME_MAX + 1];
};

/* One file, from beginning to end. */
struct kvr_fs_flow {
	int      fd;
	bool     direct;
	uint64_t at;   /* bytes moved; when writing, without those still in the stage */
	size_t   held; /* bytes in the lane's stage */
	size_t   taken; /* reading: how many of these were consumed */
};

/* fs_flow.c. Returns the status of the item: KVR_OK, or what the disk said. No kick ends these. */
int32_t kvr_fs_flow_out(struct kvr_connector *, struct kvr_fs_flow *, const struct kvr_fs_name *,
    const uint8_t *from, size_t len);
int32_t kvr_fs_flow_end(
    struct kvr_connector *, struct kvr_fs_flow *, const struct kvr_fs_name *); /* finishes out */
int32_t kvr_fs_flow_in(struct kvr_connector *, struct kvr_fs_flow *, const struct kvr_fs_name *,
    uint8_t *to, size_t len);

/* fs_config.c */
enum kvr_err kvr_fs_configure(
    struct kvr_store *, const struct kvr_store_opts *, char *why, size_t why_cap);
void kvr_fs_unconfigure(struct kvr_store *);
/*
 * Makes what is missing and opens everything. KVR_E_AUTH, NOSPACE or CONFIG, with the path and what
 * to do.
 */
enum kvr_err kvr_fs_open_dirs(
    const struct kvr_store *, struct kvr_fs_dir *ret, char *why, size_t why_cap);
void kvr_fs_close_dirs(const struct kvr_store *, struct kvr_fs_dir *);
/* Whether we may write there: makes a file and removes it. */
enum kvr_err kvr_fs_probe(
    struct kvr_store *, const struct kvr_fs_dir *, char *why, size_t why_cap);
/* Clears s->direct if one of the directories refuses it; then why has a remark, else "". */
void kvr_fs_probe_direct(
    struct kvr_store *, const struct kvr_fs_dir *, char *why, size_t why_cap);
/* The farthest of the directories. */
enum kvr_fs_where kvr_fs_where(const struct kvr_fs_dir *, uint32_t n);

/*
 * fs_look.c. Whether the directories can be used, what kind they are and what they support. AUTH
 * and CONFIG as in kvr_fs_open_dirs. What may pass is KVR_OK with a remark, and so are directories
 * that do not answer within the time of a dial. At most KVR_FS_LOOKS_MAX looks may hang in a
 * process; after that nobody looks.
 */
#define KVR_FS_LOOKS_MAX 8U
enum kvr_err kvr_fs_look(
    struct kvr_store *, const struct kvr_store_opts *, char *why, size_t why_cap);

/*
 * fs_name.c. KVR_E_TOO_BIG: longer than a file name may be. KVR_E_UNSUPPORTED: an LMCache name that
 * another key shares.
 */
enum kvr_err kvr_fs_name(const struct kvr_store *, const char *key, uint32_t key_len,
    struct kvr_fs_name *ret);
/* Whether kvr_fs_name could have made this name. */
bool kvr_fs_is_ours(const struct kvr_store *, const char *name);
#define KVR_FS_TMP_LEN 43U /* with the NUL */
void kvr_fs_tmp_name(struct kvr_store *, char ret[KVR_FS_TMP_LEN]);
bool kvr_fs_is_tmp(const char *name);


/*
 * until_ns for callers that must record something and so wait for the store's lock as long as it
 * takes; nobody holds it for long.
 */
#define KVR_FS_ALWAYS UINT64_MAX

/*
 * fs_space.c. All of these lock for themselves, and wait for that at most until until_ns. A name
 * that is removed from the index is removed from the directory under the same lock, so that the two
 * agree. DOWN: the index now describes other directories than this lane's.
 */
enum kvr_err kvr_fs_reserve(struct kvr_connector *, uint32_t dir, uint64_t len, uint64_t until_ns);
void         kvr_fs_unreserve(struct kvr_store *, uint64_t len);
/*
 * For a disk that is full although the index says otherwise: evicts len bytes in that directory.
 * False: not possible.
 */
bool kvr_fs_relieve(struct kvr_connector *, uint32_t dir, uint64_t len, uint64_t until_ns);
/* Renames the temporary file to its name and turns the reservation into an entry. */
int32_t kvr_fs_commit(struct kvr_connector *, const char *tmp_name,
    const struct kvr_fs_name *, uint64_t len);
void    kvr_fs_used(struct kvr_connector *, const struct kvr_fs_name *, uint64_t len);
void    kvr_fs_gone(struct kvr_connector *, const struct kvr_fs_name *);
int32_t kvr_fs_delete(struct kvr_connector *, const struct kvr_fs_name *);
/* Under the lock. False: no memory; the file is not counted. */
bool kvr_fs_enter(struct kvr_store *, uint32_t dir, const char *name, uint64_t len);
/* Removes at most n_max entries, but no file. Under the lock. False: there are more. */
bool kvr_fs_forget(struct kvr_store *, uint64_t n_max);

/* fs_scan.c. KVR_OK: all is counted, or nothing needs to be. */
enum kvr_err kvr_fs_scan_on(struct kvr_connector *, uint64_t until_ns, char *why, size_t why_cap);
/*
 * Tells the scan that the lane's directories are no longer the counted ones; waits until until_ns.
 */
void         kvr_fs_scan_leave(struct kvr_connector *, uint64_t until_ns);
/* Under the lock: does the index describe this lane's directories? */
bool         kvr_fs_scan_fits(struct kvr_connector *);
enum kvr_err kvr_fs_scan_check(struct kvr_connector *); /* DOWN: it does not; why says so */
void         kvr_fs_scan_close(struct kvr_store *);

/* fs_read.c, fs_write.c. KVR_OK: the item has its status. Else the batch ends here. */
enum kvr_err kvr_fs_get(struct kvr_connector *, struct kvr_item *, uint64_t until_ns);
enum kvr_err kvr_fs_put(struct kvr_connector *, struct kvr_item *, uint64_t until_ns);
int32_t      kvr_fs_stat(struct kvr_connector *, struct kvr_item *);
int32_t      kvr_fs_exists(struct kvr_connector *, struct kvr_item *);

/* fs.c. Publishes status unless err or status ends the batch; returns what run() continues with. */
enum kvr_err kvr_fs_finish(struct kvr_item *, enum kvr_err err, int32_t status);
void         kvr_fs_explain_name(struct kvr_connector *, int32_t status);
/* Whether this is an errno of a network or FUSE mount whose server is gone. */
bool kvr_fs_is_gone(int error);
/* The status for this errno; `doing` and the name go into why. */
int32_t kvr_fs_blame(struct kvr_connector *, const char *doing, const char *name, int error);

#endif
