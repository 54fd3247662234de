/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam to a device's driver: it page-locks the staging arena, so that a device copies from and
 * to it directly, and the copy worker copies through it.
 *
 * One device always exists, the host: to it all memory is alike, and it only counts. Others exist
 * if the library was built with them, whether or not the machine has such a device.
 */
#ifndef KVR_DEVICE_H
#define KVR_DEVICE_H

#include "kvr_err.h"
#include "kvr_limits.h"
#include "kvr_pages.h"

#define KVR_DEVICE_PIECE ((uint64_t)KVR_LOCK_PAGES * KVR_PAGE)

/*
 * FRESH: nothing uses the memory yet, so pages may be brought in by writing to them. USED: somebody
 * may be writing to it; it may be read-only, or not be memory at all.
 */
enum kvr_touch { KVR_TOUCH_FRESH, KVR_TOUCH_USED };

struct kvr_device {
	const char *name; /* "host", "cuda" */
	/* How many there are. 0: none is usable, and why says so in the driver's words. */
	uint32_t (*count)(char *why, size_t why_cap);
	/*
	 * at and len are whole pages. Takes the memory for good until unlock: pages that were
	 * mapped but not touched exist afterwards. Errors lock nothing and give the driver's words:
	 * NOMEM; INVALID: not lockable memory, or locked already; DEVICE: memory of the device
	 * itself.
	 */
	KVR_MUST_USE enum kvr_err (*lock)(
	    void *at, uint64_t len, enum kvr_touch, char *why, size_t why_cap);
	void (*unlock)(void *at, uint64_t len);
	const struct kvr_copy_ops *copy;
};

/* IN: from the engine's memory into a chunk. OUT: the reverse. Each way is a queue of its own. */
enum kvr_way { KVR_WAY_IN, KVR_WAY_OUT, KVR_WAYS };

/* ELSEWHERE: in another device than the one asked about. */
enum kvr_where { KVR_IN_HOST, KVR_IN_DEVICE, KVR_IN_ELSEWHERE };

/*
 * Copies; one thread owns it. Errors are DEVICE, and why begins with the call that failed. lost:
 * the device will not copy again, and only close may follow.
 */
struct kvr_copier;
struct kvr_copy_ops {
	/* The number of the device that is current on the calling thread. */
	uint32_t (*current)(void);
	/* Where a byte of the caller's lies. Any thread, whatever device is current on it. */
	enum kvr_where (*where)(uint32_t number, const void *at);
	/* On the thread that will own the copier. */
	KVR_MUST_USE enum kvr_err (*open)(
	    uint32_t number, struct kvr_copier **ret, char *why, size_t why_cap);
	void (*close)(struct kvr_copier *take); /* waits for running copies; NULL is fine */
	/* Copies that are begun later in this way wait for the event, on the device. */
	KVR_MUST_USE enum kvr_err (*await)(struct kvr_copier *, enum kvr_way, void *event, char *why,
	    size_t why_cap);
	/* Records the event behind the copies begun so far in this way, no longer where it was. */
	KVR_MUST_USE enum kvr_err (*record)(struct kvr_copier *, enum kvr_way, void *event,
	    char *why, size_t why_cap);
	/* Begins to copy; it may be done when this returns. Chunks lie in the staging arena. */
	KVR_MUST_USE enum kvr_err (*copy)(struct kvr_copier *, enum kvr_way,
	    const struct kvr_piece *, uint32_t n, char *why, size_t why_cap);
	/* Marks the end of what was begun since the last mark, including what failed to begin. */
	KVR_MUST_USE enum kvr_err (*mark)(
	    struct kvr_copier *, enum kvr_way, char *why, size_t why_cap);
	/* OK: the oldest mark of this way is reached, and now forgotten. UNFINISHED: not yet. */
	KVR_MUST_USE enum kvr_err (*poll)(
	    struct kvr_copier *, enum kvr_way, char *why, size_t why_cap);
	bool (*lost)(const struct kvr_copier *);
};

enum { KVR_MARKS_MAX = 64 }; /* marks that may be pending in one way */

extern const struct kvr_device kvr_device_host;
/* Get it from kvr_device_find: not every build has it. */
extern const struct kvr_device kvr_device_cuda;

/* NULL: this build has no such device. */
const struct kvr_device *kvr_device_find(const char *name);

/*
 * Locks all of [at, at + len) in pieces, or nothing. A driver's call cannot be interrupted, so
 * until_ns is checked between pieces: TIMEOUT is late by at most one piece.
 */
KVR_MUST_USE enum kvr_err kvr_device_lock(const struct kvr_device *, void *at, uint64_t len,
    uint64_t piece, enum kvr_touch, uint64_t until_ns, char *why, size_t why_cap);
void kvr_device_unlock(const struct kvr_device *, void *at, uint64_t len, uint64_t piece);

/* Brings in the pages of [at, at + len) with n threads; their content stays. */
void kvr_device_touch(void *at, uint64_t len, enum kvr_touch, uint32_t n_threads);
/* How many threads are worth it on this machine. */
uint32_t kvr_device_touchers(uint64_t len);

/* What the host device has "locked" now, in all instances of the process. */
uint64_t kvr_device_host_bytes(void);
uint32_t kvr_device_host_pieces(void);

#endif
