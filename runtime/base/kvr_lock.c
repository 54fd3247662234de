/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

bool
kvr_sleep_on(_Atomic uint32_t *word, uint32_t seen, uint64_t until_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(until_ns / KVR_SEC(1)),
		.tv_nsec = (long)(until_ns % KVR_SEC(1)) };
	/* The bitset form takes an absolute time; the plain form a duration, which would restart. */
	long e = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen,
	    until_ns == UINT64_MAX ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);

	KVR_CHECK(e == 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
	return e == 0 || errno != ETIMEDOUT;
}

void
kvr_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

void
kvr_wake_every(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, 0);
}

bool
kvr_lock_try(struct kvr_lock *l)
{
	uint32_t free_word = 0;

	return atomic_compare_exchange_strong(&l->word, &free_word, 1);
}

/*
 * A thread that has slept takes the lock as 2, because it cannot know whether others still sleep.
 * That costs at most one wake too many and never loses one. A sleeper that gives up leaves the 2
 * behind, with the same effect.
 */
bool
kvr_lock_until(struct kvr_lock *l, uint64_t until_ns)
{
	if (kvr_lock_try(l))
		return true;
	while (atomic_exchange(&l->word, 2) != 0)
		if (!kvr_sleep_on(&l->word, 2, until_ns))
			return false;
	return true;
}

void
kvr_lock(struct kvr_lock *l)
{
	bool got = kvr_lock_until(l, UINT64_MAX);

	KVR_CHECK(got);
}

void
kvr_unlock(struct kvr_lock *l)
{
	if (atomic_exchange(&l->word, 0) == 2)
		kvr_wake(&l->word);
}
