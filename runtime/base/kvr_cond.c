/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cond.h"

#include <errno.h>
#include <time.h>

static struct timespec
timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / KVR_SEC(1)),
		.tv_nsec = (long)(ns % KVR_SEC(1)) };
}

void
kvr_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	KVR_CHECK(pthread_condattr_init(&attr) == 0);
	KVR_CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	KVR_CHECK(pthread_cond_init(cond, &attr) == 0);
	pthread_condattr_destroy(&attr);
}

bool
kvr_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns)
{
	struct timespec ts = timespec_of(until_ns);
	int e;

	if (until_ns == UINT64_MAX)
		e = pthread_cond_wait(cond, lock);
	else
		e = pthread_cond_timedwait(cond, lock, &ts);
	KVR_CHECK(e == 0 || e == ETIMEDOUT);
	return e == 0;
}
