/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that misbehaves: tests that link fs_disk.c with --wrap get these calls in place of the
 * system's. Zero everywhere: the disk as it is. Set while no lane is running.
 */
#ifndef KVR_FS_DISK_H
#define KVR_FS_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvr_fs_disk {
	int         write_errno;    /* from call number `in` on; 0: none; -1: 0 bytes */
	int         read_errno;     /* the same; -1: the end of the file, too early */
	_Atomic int in;
	size_t      at_most;        /* bytes of one call; 0: all */
	int         interrupts;     /* EINTR so many times before each call */
	uint64_t    free_bytes;     /* what statvfs says; 0: the truth */
	uint64_t    frees_per_file; /* what an eviction adds to it */
	bool        heals_when_evicted;
	void      (*after_write)(void);
	_Atomic uint32_t stands_still; /* 1: no directory is opened until it is 0, and woken */
	_Atomic uint32_t came; /* opens that have come to stand still; each wakes */
	int         open_errno;     /* of directories; 0: none */
	int         create_errno;   /* of new files; 0: none */
	_Atomic uint32_t went_on; /* those that stood still and have returned; each wakes */
	bool        refuses_direct; /* opens of O_DIRECT are EINVAL */
	bool        refuses_writes; /* direct reads and writes are EINVAL */
	_Atomic int direct_calls;   /* reads and writes past the page cache, so far */
	_Atomic int writes;         /* to regular files, so far */
};

extern struct kvr_fs_disk kvr_fs_disk;

#endif
