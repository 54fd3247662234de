/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads as the library starts them: with a name, with every signal blocked (signals belong to
 * the host process), joined by a deadline. And the one way of waiting for an instant.
 */
#ifndef KVR_THREAD_H
#define KVR_THREAD_H

#include "kvr_err.h"

#include <pthread.h>
#include <signal.h>

struct kvr_thread;

typedef void kvr_thread_fn(void *arg);

/* name: what ps and gdb show; the kernel keeps 15 characters of it. */
KVR_MUST_USE enum kvr_err kvr_thread_start(const char *name, kvr_thread_fn *fn, void *arg,
    struct kvr_thread **ret);
/*
 * OK: the thread has ended and the handle is gone. TIMEOUT: it still runs and the handle is as
 * good as before. UINT64_MAX waits for ever.
 */
KVR_MUST_USE enum kvr_err kvr_thread_join(struct kvr_thread *take, uint64_t until_ns);

/*
 * Around every call that may start threads which are not ours: they inherit the mask, and a
 * library's thread that takes the engine's SIGINT is a bug that nobody finds.
 */
void kvr_signals_block(sigset_t *ret_before);
void kvr_signals_restore(const sigset_t *before);

/* A condition variable that understands until_ns. */
void kvr_cond_init(pthread_cond_t *);
/* False when until_ns has passed; like every wait it may also return true for no reason. */
bool kvr_cond_wait(pthread_cond_t *, pthread_mutex_t *, uint64_t until_ns);

#endif
