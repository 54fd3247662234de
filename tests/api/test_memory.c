/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvr_open without memory: the n-th call for it fails, for each n until the open succeeds. Every
 * time it says NOMEM or CONFIG's sentence, leaves nothing behind, and the next open works.
 */
#include "kvr_api_bed.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

/* Counts down on the thread that opens only: threads of libraries are not what is tested. */
static _Thread_local int left = -1;

static bool
fails(void)
{
	if (left < 0)
		return false;
	return left-- == 0;
}

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_mmap(void *, size_t, int, int, int, off_t);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);

void *
__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	return fails() ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, off);
}

/* An older kernel, or an emulator, that does not know the advice. */
static bool old_kernel;
int __real_madvise(void *, size_t, int);
int __wrap_madvise(void *, size_t, int);

int
__wrap_madvise(void *at, size_t len, int advice)
{
	if (old_kernel && advice == MADV_WIPEONFORK) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(at, len, advice);
}

START_TEST(a_kernel_that_cannot_tell_a_child_is_named)
{
	const struct kvr_options o = { .size = sizeof(o), .config_text = MEMORY, BED_SET };
	struct kvr *k = NULL;
	char why[256] = "";

	old_kernel = true;
	ERR(kvr_open(&o, 0, &k, why, sizeof(why)), KVR_E_UNSUPPORTED);
	ck_assert_ptr_null(k);
	ck_assert_msg(strstr(why, "MADV_WIPEONFORK") != NULL, "%s", why);
	old_kernel = false;
	bed_close(bed_open(MEMORY, NULL, NULL, NULL));
}
END_TEST

START_TEST(open_survives_every_failure)
{
	const struct kvr_options o = { .size = sizeof(o), .config_text = MEMORY, BED_SET };
	struct kvr *k = NULL;
	enum kvr_err err = KVR_E_NOMEM;
	int n = 0;

	bed_close(bed_open(MEMORY, NULL, NULL, NULL));
	for (; err != KVR_OK && n < 10000; n++) {
		char why[256] = "";

		left = n;
		err = kvr_open(&o, 0, &k, why, sizeof(why));
		if (err != KVR_OK) {
			left = -1;
			ck_assert_msg(
			    err == KVR_E_NOMEM, "failure %d: %s: %s", n, kvr_err_name(err), why);
			ck_assert_str_ne(why, "");
			ck_assert_ptr_null(k);
		}
	}
	/* What is left of the count did not matter; how many there were is not our business. */
	left = -1;
	ck_assert_int_gt(n, 20);
	bed_close(k);
}
END_TEST

START_TEST(calls_survive_failures)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const char *key = "k";
	struct kvr_queue *q = NULL;
	kvr_obj obj;

	left = 0;
	ERR(kvr_queue_open(k, &q), KVR_E_NOMEM);
	left = -1;
	ck_assert_ptr_null(q);
	for (int n = 0; n < 6; n++) {
		left = n;
		enum kvr_err err = kvr_get_blocking(k, key, 0, &obj);

		left = -1;
		ck_assert_msg(err == KVR_E_NOMEM || err == KVR_E_MISS, "%s", kvr_err_name(err));
		ck_assert_uint_eq(obj, 0);
	}
	for (int n = 0; n < 4; n++) {
		left = n;
		enum kvr_err err =
		    kvr_alloc(kvr_get_allocator_backend(k), NULL, 100, KVR_NOW, &obj);

		left = -1;
		ck_assert_msg(err == KVR_E_NOMEM || err == KVR_OK, "%s", kvr_err_name(err));
	}
	/* Nothing on the way of a submission asks for memory. */
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .key = &key };
	left = 0;
	enum kvr_err err = kvr_run(k, &b, NULL, NULL, NULL);
	int after = left;
	left = -1;
	ERR(err, KVR_E_MISS);
	ck_assert_int_eq(after, 0);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.memory", a_kernel_that_cannot_tell_a_child_is_named,
    open_survives_every_failure, calls_survive_failures)
