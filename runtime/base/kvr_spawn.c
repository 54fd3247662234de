/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_spawn.h"

void
kvr_signals_block(sigset_t *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	KVR_CHECK(pthread_sigmask(SIG_SETMASK, &all, ret_before) == 0);
}

void
kvr_signals_restore(const sigset_t *before)
{
	KVR_CHECK(pthread_sigmask(SIG_SETMASK, before, NULL) == 0);
}

int
kvr_spawn(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	sigset_t before;

	kvr_signals_block(&before);
	int e = pthread_create(ret, NULL, fn, arg);
	kvr_signals_restore(&before);
	return e;
}
