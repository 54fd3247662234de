/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the whole library share: an instance from a short text, batches whose values tell
 * their keys, and the resources of this process. Sees nothing of the library but its public header.
 *
 * Checks are MUST and not ck_assert, for they are made by many threads at once: what fails says so
 * on stderr and ends the test's process.
 */
#ifndef KVR_SYSTEM_BED_H
#define KVR_SYSTEM_BED_H

#include "kvrelay.h"

#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

_Noreturn void bed_fail(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define MUST(cond, ...)                                                                            \
	do {                                                                                       \
		if (!(cond))                                                                       \
			bed_fail(__FILE__, __LINE__, #cond, __VA_ARGS__);                          \
	} while (0)

/* Compares errors by name, so that a failure reads well. */
#define ERR(call, want)                                                                            \
	do {                                                                                       \
		int32_t got_ = (int32_t)(call);                                                    \
		MUST(got_ == (int32_t)(want), "it is %s, not %s", kvr_err_name(got_),              \
		    kvr_err_name(want));                                                           \
	} while (0)
#define OK(call) ERR(call, KVR_OK)

uint64_t bed_now_ns(void);
uint64_t bed_in_ms(uint64_t ms);
/* A thread sanitizer makes everything several times slower: by how much limits are widened. */
uint64_t bed_slowness(void);

/* JSON with ' instead of ". The first form ends the test when it cannot be opened. */
struct kvr *bed_open(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The second gives the sentence of kvr_open. */
enum kvr_err bed_try(struct kvr **ret, char *why, size_t why_cap, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/*
 * Drains, and wants nothing left: no thread, no memory in use, no operation; and that every key
 * that a tier was asked for has been counted once, as ok, miss, error or dropped.
 */
void bed_close(struct kvr *take);
/*
 * The sum of all samples of a family ("tier_keys_error_total") whose labels begin like this
 * ("tier=\"a\",verb=\"get\""); "": of all.
 */
uint64_t bed_metric(struct kvr *, const char *family, const char *labels);
/* The lines that instances logged so far and that contain text. */
int bed_logged(const char *text);

/* A directory in /tmp for this process; removed at exit, with all that is in it. */
const char *bed_dir(char *ret, size_t cap);
size_t bed_files(const char *dir, const char *suffix);

/* The bytes of a value are made from its key and its length. */
void bed_fill(void *at, size_t len, const char *key);
/* The first byte that is another one; -1: none. */
long bed_wrong(const void *at, size_t len, const char *key);

/* n keys "name-0" and so on with `each` bytes of memory each. */
struct bed_batch {
	uint32_t n, kind, flags;
	size_t each;
	char (*text)[64];
	const char **key;
	void **at;
	uint64_t *len, *got;
	uint8_t *memory;
	int32_t *err;
	uint32_t *tier;
	struct kvr_done done; /* of the last run */
	uint32_t per_chunk;
};
struct bed_batch *bed_batch_new(const char *name, uint32_t n, size_t each);
void bed_batch_free(struct bed_batch *take);
/* What kvr_run answers. A put stores right bytes; a get starts from rubbish, and every hit is compared. */
enum kvr_err bed_run(
    struct kvr *, struct bed_batch *, uint32_t kind, uint32_t flags, uint64_t until_ns);
/* Compares every key that is OK. */
void bed_compare(const struct bed_batch *);
void bed_describe(struct bed_batch *, uint32_t kind, struct kvr_batch *ret);
/* n keys are err. */
void bed_all(const struct bed_batch *, int32_t err, const char *where);

/* A batch of one key: what became of it. */
int32_t bed_put1(struct kvr *, const char *key, size_t len);
int32_t bed_get1(struct kvr *, const char *key, size_t len, uint32_t *ret_tier);
int32_t bed_find1(struct kvr *, const char *key, uint32_t *ret_tier);

/* Of this process. */
struct bed_usage {
	size_t threads, fds, maps, mapped_kib;
	size_t heap_kib; /* what malloc has given out; 0 where a sanitizer has its own */
};
void bed_usage(struct bed_usage *ret);

#endif
