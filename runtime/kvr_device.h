/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam to a device's driver. What goes through it today is the staging arena: page-locked, a
 * device copies from and to it in one go; not locked, its driver copies through a buffer of its own.
 *
 * One device is always there, the host: to it all memory is alike, and it only counts. The others
 * are there when the library was built with them, whether or not the machine has such a device.
 */
#ifndef KVR_DEVICE_H
#define KVR_DEVICE_H

#include "kvr_err.h"

/*
 * One registration of 512 GiB is refused by some drivers. Pieces are also what a copy must not
 * reach across, for a driver takes two registrations for two unrelated ranges.
 */
#define KVR_DEVICE_PIECE (UINT64_C(64) << 30)

struct kvr_device {
	const char *name; /* "host", "cuda" */
	/* How many there are. 0: none that can be used, and why has the driver's words for it. */
	uint32_t (*count)(char *why, size_t why_cap);
	/*
	 * at and len are whole pages. Takes the memory for good until unlock: what was mapped and not
	 * touched is there afterwards. NOMEM, with the driver's words: nothing is locked.
	 */
	KVR_MUST_USE enum kvr_err (*lock)(void *at, uint64_t len, char *why, size_t why_cap);
	void (*unlock)(void *at, uint64_t len);
};

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
    uint64_t piece, uint64_t until_ns, char *why, size_t why_cap);
void kvr_device_unlock(const struct kvr_device *, void *at, uint64_t len, uint64_t piece);

/* What the host has locked now, in all instances of the process. */
uint64_t kvr_device_host_bytes(void);
uint32_t kvr_device_host_pieces(void);

#endif
