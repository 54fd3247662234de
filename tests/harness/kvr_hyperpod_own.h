/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's files share: one reads requests, one serves, one keeps objects. */
#ifndef KVR_HARNESS_HYPERPOD_OWN_H
#define KVR_HARNESS_HYPERPOD_OWN_H

#include <stddef.h>

#include "kvr_hyperpod_page.h"

enum { KEY_MAX = 4096, FRAGMENTS_MAX = 4096 };

extern struct kvr_hyperpod_page *page;

void need(int ok, const char *what);
void deviation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- kvr_hyperpod_ask.c: requests, and whether they are as LMCache's client sends them ---- */

enum verb { PUT, LEASE, RELEASE, OTHER };

struct ask {
	enum verb verb;
	char   name[KEY_MAX]; /* "bucket/key" decoded, or the id of a lease */
	size_t name_len;
	double ttl_s;
	long   timeout_ms;
	size_t body_len;
};

/* heads: NUL-terminated, with the empty line. 0: not to be understood, 400. */
int ask_read(const char *heads, struct ask *ret);

/* ---- kvr_hyperpod_keep.c: objects in shared memory, and leases ---- */

struct fragment {
	size_t at, len;
};

void keep_begin(const char *segment, size_t capacity);
/* Where an object of len bytes may be written; NULL: no room. */
struct object *keep_room(size_t len);
void keep_write(struct object *, size_t at, const void *from, size_t len);
void keep_drop(struct object *take);
/* 200, or 409 when the name is there; take is then gone. */
int keep_name(struct object *take, const char *name, size_t name_len);
int keep_has(const char *name, size_t name_len);
/* Waits for the name so long. Writes the JSON of a lease; 0: the name did not come. */
int keep_lease(const struct ask *, int wait, char *ret, size_t cap);
int keep_release(const char *id);

#endif
