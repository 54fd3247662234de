/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam to a device's driver: the staging arena is page-locked through it, so that a device
 * copies from and to it in one go, and the copy worker copies through it.
 *
 * One device is always there, the host: to it all memory is alike, and it only counts. The others
 * are there when the library was built with them, whether or not the machine has such a device.
 */
#ifndef KVR_DEVICE_H
#define KVR_DEVICE_H

#include "kvr_err.h"
#include "kvr_limits.h"
#include "kvr_pages.h"

#define KVR_DEVICE_PIECE ((uint64_t)KVR_LOCK_PAGES * KVR_PAGE)

/*
 * FRESH: nobody uses it yet, so it may be written to where that brings its pages in. USED: somebody may
 * be writing to it, and it may be read-only, or none.
 */
enum kvr_touch { KVR_TOUCH_FRESH, KVR_TOUCH_USED };

struct kvr_device {
	const char *name; /* "host", "cuda" */
	/* How many there are. 0: none that can be used, and why has the driver's words for it. */
	uint32_t (*count)(char *why, size_t why_cap);
	/*
	 * at and len are whole pages. Takes the memory for good until unlock: what was mapped and not
	 * touched is there afterwards. With the driver's words, and nothing is locked: NOMEM; INVALID: no
	 * memory that could be, or it is locked already; DEVICE: of the device itself.
	 */
	KVR_MUST_USE enum kvr_err (*lock)(
	    void *at, uint64_t len, enum kvr_touch, char *why, size_t why_cap);
	void (*unlock)(void *at, uint64_t len);
	const struct kvr_copy_ops *copy;
};

/* IN: from where an engine keeps it into a chunk. OUT: the reverse. Each way is a queue of its own. */
enum kvr_way { KVR_WAY_IN, KVR_WAY_OUT, KVR_WAYS };

/* ELSEWHERE: in another device than the one that was asked about. */
enum kvr_where { KVR_IN_HOST, KVR_IN_DEVICE, KVR_IN_ELSEWHERE };

/*
 * What copies: one thread owns it. Errors are DEVICE, and why begins with the call that failed. lost:
 * the device will not copy again, only close may follow.
 */
struct kvr_copier;
struct kvr_copy_ops {
	/* Which of the devices is current on the calling thread. */
	uint32_t (*current)(void);
	/* Where a byte of the caller's lies. Any thread, whatever device it has chosen. */
	enum kvr_where (*where)(uint32_t number, const void *at);
	/* On the thread that will own it. */
	KVR_MUST_USE enum kvr_err (*open)(
	    uint32_t number, struct kvr_copier **ret, char *why, size_t why_cap);
	void (*close)(struct kvr_copier *take); /* waits for what runs; NULL is fine */
	/* What is begun after this way has been told so does not begin before the device's event. */
	KVR_MUST_USE enum kvr_err (*await)(struct kvr_copier *, enum kvr_way, void *event, char *why,
	    size_t why_cap);
	/* The event stands behind what was begun in this way so far, and no longer behind what it did. */
	KVR_MUST_USE enum kvr_err (*record)(struct kvr_copier *, enum kvr_way, void *event,
	    char *why, size_t why_cap);
	/* Begins to copy. Chunks lie in the staging arena. It may be over when this returns. */
	KVR_MUST_USE enum kvr_err (*copy)(struct kvr_copier *, enum kvr_way,
	    const struct kvr_piece *, uint32_t n, char *why, size_t why_cap);
	/* What was begun since the last mark, also where that failed, ends with this mark. */
	KVR_MUST_USE enum kvr_err (*mark)(
	    struct kvr_copier *, enum kvr_way, char *why, size_t why_cap);
	/* OK: the oldest mark of this way is reached, and forgotten. UNFINISHED: not yet. */
	KVR_MUST_USE enum kvr_err (*poll)(
	    struct kvr_copier *, enum kvr_way, char *why, size_t why_cap);
	bool (*lost)(const struct kvr_copier *);
};

enum { KVR_MARKS_MAX = 64 }; /* that may be on their way in one way */

extern const struct kvr_device kvr_device_host;
/* Refer to it through kvr_device_find: it is not in every build. */
extern const struct kvr_device kvr_device_cuda;

/* NULL: this build has no such device. */
const struct kvr_device *kvr_device_find(const char *name);

/*
 * All of [at, at + len) in pieces, or nothing. A driver's call cannot be given up, so until_ns is
 * looked at between pieces: TIMEOUT comes late by at most one piece.
 */
KVR_MUST_USE enum kvr_err kvr_device_lock(const struct kvr_device *, void *at, uint64_t len,
    uint64_t piece, enum kvr_touch, uint64_t until_ns, char *why, size_t why_cap);
void kvr_device_unlock(const struct kvr_device *, void *at, uint64_t len, uint64_t piece);

/* Brings the pages of [at, at + len) in, by n threads; what stands there stays. */
void kvr_device_touch(void *at, uint64_t len, enum kvr_touch, uint32_t n_threads);
/* How many threads are worth it here. */
uint32_t kvr_device_touchers(uint64_t len);

/* What the host has locked now, in all instances of the process. */
uint64_t kvr_device_host_bytes(void);
uint32_t kvr_device_host_pieces(void);

#endif
