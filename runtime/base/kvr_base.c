/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_base.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Thread_local struct {
	kvr_panic_fn *fn;
	void         *arg;
} on_panic;

void
kvr_on_panic(kvr_panic_fn *fn, void *arg)
{
	on_panic.fn = fn;
	on_panic.arg = arg;
}

_Noreturn void
kvr_panic(const char *file, int line, const char *what)
{
	if (on_panic.fn != NULL)
		on_panic.fn(on_panic.arg, file, line, what);
	fprintf(stderr, "kvrelay: panic at %s:%d: %s\n", file, line, what);
	abort();
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	KVR_CHECK(clock_gettime(clock, &ts) == 0);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

uint64_t
kvr_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t
kvr_real_now_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int
kvr_poll_ms(uint64_t until_ns)
{
	uint64_t now = kvr_now_ns();

	if (until_ns <= now)
		return 0;
	/* Rounded up: rounded down, the last fraction of a millisecond would be a busy loop. */
	uint64_t ms = (until_ns - now + 999999U) / 1000000U;
	return ms > 3600000U ? 3600000 : (int)ms;
}
