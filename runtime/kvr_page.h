/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of plain data that an instance shows to other processes of the same user: a mapped file in
 * the directory of its trace, which readers map read-only. Closing removes it. A killed process
 * leaves it behind, unlocked, until the next instance opens in that directory.
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
 * dir: as trace.dir: NULL or "auto", "none", a directory. When there is no file, the page is
 * private memory, and why says so unless dir is "none". NOMEM: not even that.
 */
KVR_MUST_USE enum kvr_err kvr_page_open(const char *dir, const char *instance, size_t bytes,
    struct kvr_page *ret, char *why, size_t why_cap);
void kvr_page_close(struct kvr_page *);

/*
 * Calls fn for every page in a directory, by name. at is mapped read-only for the call; alive: a
 * process has it open. Returns how many there were; -1: the directory cannot be read, see errno.
 */
typedef void kvr_page_fn(void *arg, const char *path, bool alive, const void *at, size_t bytes);
int kvr_page_each(const char *dir, kvr_page_fn *, void *arg);

#endif
