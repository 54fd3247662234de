/* SPDX-License-Identifier: Apache-2.0 */
/* Memory is locked in pieces, all or nothing; a machine without a device says so in words. */
#include "kvr_device.h"
#include "kvr_big_pages.h"
#include "kvr_check.h"
#include "kvr_populate.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)

/* A driver that refuses one call, and remembers the others. */
static struct {
	uint64_t at[16], len[16];
	uint32_t n, n_calls, fail_at; /* fail_at: the call that is refused, from 1; 0: none */
	bool     bad_unlock;
} driver;

static uint32_t
driver_count(char *why, size_t cap)
{
	(void)why;
	(void)cap;
	return 1;
}

static enum kvr_err
driver_lock(void *at, uint64_t len, enum kvr_touch use, char *why, size_t cap)
{
	(void)use;
	if (++driver.n_calls == driver.fail_at) {
		snprintf(why, cap, "call %u was refused", driver.n_calls);
		return KVR_E_NOMEM;
	}
	driver.at[driver.n] = (uint64_t)(uintptr_t)at;
	driver.len[driver.n++] = len;
	return KVR_OK;
}

static void
driver_unlock(void *at, uint64_t len)
{
	for (uint32_t i = 0; i < driver.n; i++) {
		if (driver.at[i] == (uint64_t)(uintptr_t)at && driver.len[i] == len) {
			driver.at[i] = driver.at[--driver.n];
			driver.len[i] = driver.len[driver.n];
			return;
		}
	}
	driver.bad_unlock = true;
}

static const struct kvr_device fake = { "fake", driver_count, driver_lock, driver_unlock, NULL };

static void
reset(uint32_t fail_at)
{
	memset(&driver, 0, sizeof(driver));
	driver.fail_at = fail_at;
}

START_TEST(pieces_cover_the_memory_once)
{
	char why[128] = "";
	uint8_t *at = (uint8_t *)0x10000000;

	for (uint64_t len = 0; len <= 9 * PAGE; len += PAGE) {
		uint64_t next = (uint64_t)(uintptr_t)at;

		reset(0);
		ck_assert_int_eq(kvr_device_lock(&fake, at, len, 4 * PAGE, KVR_TOUCH_FRESH, UINT64_MAX, why,
		    sizeof(why)), KVR_OK);
		ck_assert_uint_eq(driver.n, (len + 4 * PAGE - 1) / (4 * PAGE));
		for (uint32_t i = 0; i < driver.n; i++) {
			ck_assert_uint_eq(driver.at[i], next);
			ck_assert(driver.len[i] > 0 && driver.len[i] <= 4 * PAGE);
			next += driver.len[i];
		}
		ck_assert_uint_eq(next, (uint64_t)(uintptr_t)at + len);
		kvr_device_unlock(&fake, at, len, 4 * PAGE);
		ck_assert_uint_eq(driver.n, 0);
		ck_assert(!driver.bad_unlock);
	}
}
END_TEST

START_TEST(a_refused_piece_leaves_none_behind)
{
	uint8_t *at = (uint8_t *)0x10000000;
	char why[128];

	for (uint32_t nth = 1; nth <= 3; nth++) {
		why[0] = '\0';
		reset(nth);
		ck_assert_int_eq(kvr_device_lock(&fake, at, 9 * PAGE, 4 * PAGE, KVR_TOUCH_FRESH, UINT64_MAX,
		    why, sizeof(why)), KVR_E_NOMEM);
		ck_assert_uint_eq(driver.n_calls, nth);
		ck_assert_uint_eq(driver.n, 0);
		ck_assert(!driver.bad_unlock);
		ck_assert_msg(strstr(why, "was refused") != NULL, "'%s'", why);
	}
}
END_TEST

START_TEST(a_deadline_that_has_passed_locks_nothing)
{
	char why[128] = "";

	reset(0);
	ck_assert_int_eq(kvr_device_lock(&fake, (uint8_t *)0x10000000, 9 * PAGE, 4 * PAGE,
	    KVR_TOUCH_FRESH, 1, why, sizeof(why)), KVR_E_TIMEOUT);
	ck_assert_uint_eq(driver.n_calls, 0);
	ck_assert_msg(strstr(why, "0 of 36864 bytes") != NULL, "'%s'", why);
}
END_TEST

START_TEST(the_host_counts)
{
	const struct kvr_device *host = kvr_device_find("host");
	char why[128] = "";

	ck_assert_ptr_eq(host, &kvr_device_host);
	ck_assert_uint_ge(host->count(why, sizeof(why)), 1);
	uint64_t far = KVR_DEVICE_PIECE + PAGE; /* never touched, so it need not be there */
	ck_assert_int_eq(kvr_device_lock(host, NULL, far, KVR_DEVICE_PIECE, KVR_TOUCH_FRESH, UINT64_MAX,
	    why, sizeof(why)), KVR_OK);
	ck_assert_uint_eq(kvr_device_host_bytes(), far);
	ck_assert_uint_eq(kvr_device_host_pieces(), 2);
	kvr_device_unlock(host, NULL, far, KVR_DEVICE_PIECE);
	ck_assert_uint_eq(kvr_device_host_bytes(), 0);
	ck_assert_uint_eq(kvr_device_host_pieces(), 0);
}
END_TEST

/* On a machine with a device the memory is really locked, elsewhere the driver says why not. */
START_TEST(cuda_locks_or_says_why_not)
{
	const struct kvr_device *cuda = kvr_device_find("cuda");
	const uint64_t len = KVR_MIB(8);
	char why[256] = "";

	ck_assert_ptr_null(kvr_device_find("gopher"));
	if (cuda == NULL) {
		fprintf(stderr, "this build has no CUDA\n");
		return;
	}
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	uint32_t n = cuda->count(why, sizeof(why));
	enum kvr_err err =
	    kvr_device_lock(cuda, at, len, len / 2, KVR_TOUCH_FRESH, UINT64_MAX, why, sizeof(why));
	if (n == 0) {
		ck_assert_int_eq(err, KVR_E_DEVICE);
		ck_assert_msg(strlen(why) > 10, "'%s'", why);
		fprintf(stderr, "no device: %s\n", why);
	} else {
		ck_assert_msg(err == KVR_OK, "%u devices: %s", n, why);
		memset(at, 1, len);
		/* What is locked cannot be locked again: the driver has really seen it. */
		ck_assert_int_eq(
		    cuda->lock(at, len / 2, KVR_TOUCH_FRESH, why, sizeof(why)), KVR_E_INVALID);
		kvr_device_unlock(cuda, at, len, len / 2);
		ck_assert_int_eq(cuda->lock(at, len / 2, KVR_TOUCH_FRESH, why, sizeof(why)), KVR_OK);
		cuda->unlock(at, len / 2);
	}
	munmap(at, len);
}
END_TEST

/* Pages that nobody has used are there afterwards, and one that was used is as it was. */
START_TEST(pages_are_touched_by_several_and_keep_what_they_have)
{
	enum { PAGES = 301 };
	static unsigned char there[PAGES];
	const uint64_t len = PAGES * PAGE;
	uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	for (uint32_t n = 0; n < 20; n += 3) {
		ck_assert_int_eq(madvise(at, len, MADV_DONTNEED), 0);
		at[100 * PAGE + 7] = 42;
		kvr_device_touch(at, len, KVR_TOUCH_FRESH, n);
		ck_assert_int_eq(mincore(at, len, there), 0);
		for (uint32_t i = 0; i < PAGES; i++)
			ck_assert_msg((there[i] & 1) != 0, "page %u with %u threads", i, n);
		ck_assert_uint_eq(at[100 * PAGE + 7], 42);
		ck_assert_uint_eq(at[100 * PAGE + 8], 0);
	}
	kvr_device_touch(at, 0, KVR_TOUCH_FRESH, 4);
	ck_assert_uint_eq(kvr_device_touchers(1), 0);
	ck_assert_uint_ge(kvr_device_touchers(UINT64_C(1) << 40), 1);
	munmap(at, len);
}
END_TEST

/* Of memory that somebody uses nothing is there but what the kernel makes of whole pages. */
START_TEST(pages_are_touched_where_they_are_large)
{
	enum { PAGES = 301 };
	static unsigned char there[PAGES * KVR_BIG_PAGE / PAGE];

	kvr_big_pages = true;
	for (uint32_t n = 0; n < 20; n += 3) {
		const uint64_t len = PAGES * KVR_BIG_PAGE - n * PAGE;
		uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ck_assert_ptr_ne(at, MAP_FAILED);
		if (kvr_populate(at, 1) == 0) {
			kvr_device_touch(at, len, KVR_TOUCH_USED, n);
			ck_assert_int_eq(mincore(at, len, there), 0);
			for (uint32_t i = 0; i < len / PAGE; i++)
				ck_assert_msg((there[i] & 1) != 0, "page %u with %u threads", i, n);
		} else {
			printf("a kernel that makes no pages ahead of time: not run\n");
		}
		munmap(at, len);
	}
	ck_assert_uint_eq(kvr_big_pages_refused, 0);
}
END_TEST

KVR_CHECK_MAIN("runtime.device", pieces_cover_the_memory_once, a_refused_piece_leaves_none_behind,
    a_deadline_that_has_passed_locks_nothing, the_host_counts, cuda_locks_or_says_why_not,
    pages_are_touched_by_several_and_keep_what_they_have, pages_are_touched_where_they_are_large)
