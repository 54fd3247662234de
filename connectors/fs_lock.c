/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of a file store. It is held over unlink(), which may take a while, so waiting for it has
 * a deadline on the monotonic clock; that is a flag under a mutex, for pthread_mutex_clocklock()
 * is a stranger to the thread sanitizer of gcc 12.
 */
#include "kvr_fs.h"

#include <time.h>

void
kvr_fs_lock_open(struct kvr_fs_lock *lock)
{
	pthread_condattr_t attr;

	KVR_CHECK(pthread_mutex_init(&lock->mutex, NULL) == 0);
	KVR_CHECK(pthread_condattr_init(&attr) == 0);
	KVR_CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	KVR_CHECK(pthread_cond_init(&lock->freed, &attr) == 0);
	KVR_CHECK(pthread_condattr_destroy(&attr) == 0);
}

void
kvr_fs_lock_close(struct kvr_fs_lock *lock)
{
	KVR_CHECK(!lock->held);
	KVR_CHECK(pthread_cond_destroy(&lock->freed) == 0);
	KVR_CHECK(pthread_mutex_destroy(&lock->mutex) == 0);
}

bool
kvr_fs_lock(struct kvr_store *s, uint64_t until_ns)
{
	struct kvr_fs_lock *lock = &s->lock;
	struct timespec     at = { .tv_sec = (time_t)(until_ns / KVR_SEC(1)),
		    .tv_nsec = (long)(until_ns % KVR_SEC(1)) };
	int late = 0;

	KVR_CHECK(pthread_mutex_lock(&lock->mutex) == 0);
	while (lock->held && late == 0)
		late = pthread_cond_timedwait(&lock->freed, &lock->mutex, &at);
	bool got = !lock->held;
	lock->held = true;
	KVR_CHECK(pthread_mutex_unlock(&lock->mutex) == 0);
	return got;
}

void
kvr_fs_unlock(struct kvr_store *s)
{
	struct kvr_fs_lock *lock = &s->lock;

	KVR_CHECK(pthread_mutex_lock(&lock->mutex) == 0);
	KVR_CHECK(lock->held);
	lock->held = false;
	KVR_CHECK(pthread_cond_signal(&lock->freed) == 0);
	KVR_CHECK(pthread_mutex_unlock(&lock->mutex) == 0);
}
