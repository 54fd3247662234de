/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of plain data that an instance shows to other processes of its user: a mapped file beside
 * its trace, which its readers map read-only. It is gone after a close; a process that was killed
 * leaves it behind, without its lock, until the next instance opens.
 */
#ifndef KVR_PAGE_H
#define KVR_PAGE_H

#include "kvr_err.h"

struct kvr_page {
	void  *at; /* zero bytes at first */
	size_t bytes;
	int    fd; /* locked as long as the process lives; -1: memory of this process only */
	char   path[320];
};

/*
 * dir as trace.dir: NULL or "auto", "none", a directory. Without a file it is memory that nobody
 * else sees, and why says so. NOMEM: not even that.
 */
KVR_MUST_USE enum kvr_err kvr_page_open(const char *dir, const char *instance, size_t bytes,
    struct kvr_page *ret, char *why, size_t why_cap);
void kvr_page_close(struct kvr_page *);

/*
 * Every page in a directory of them, by name. at is mapped read-only for the call; alive: a process
 * has it open. Returns how many there were; -1: the directory cannot be read, errno says why.
 */
typedef void kvr_page_fn(void *arg, const char *path, bool alive, const void *at, size_t bytes);
int kvr_page_each(const char *dir, kvr_page_fn *, void *arg);
/* The directory that dir means: that of this user for NULL and "auto". */
const char *kvr_page_dir(const char *dir, char *ret, size_t cap);

#endif
