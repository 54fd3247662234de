/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads as the library starts them: with a name, with every signal blocked (signals belong to
 * the host process), joined by a deadline. And the one way of waiting for an instant.
 */
#ifndef KVR_THREAD_H
#define KVR_THREAD_H

#include "kvr_err.h"
#include "kvr_lock.h"

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
/* In place of a join, of one that hangs: nobody waits for it any more, and its stack goes with it. */
void kvr_thread_leave(struct kvr_thread *take);

/*
 * Whether the system gives n more threads, to KVR_THREADS_FIT_MAX: it is tried, and they end at once.
 * For a library that does not survive it when it is given some of them and not all.
 */
enum { KVR_THREADS_FIT_MAX = 512 };
KVR_MUST_USE bool kvr_threads_fit(uint32_t n);

/*
 * Around every call that may start threads which are not ours: they inherit the mask, and a
 * library's thread that takes the engine's SIGINT is a bug that nobody finds.
 */
void kvr_signals_block(sigset_t *ret_before);
void kvr_signals_restore(const sigset_t *before);

/*
 * Wakes all sleepers of a word; between hold and release on the same thread it only takes note. For who
 * has a lock that the woken thread wants next: woken before the lock is free, on a busy machine it runs
 * at once, sleeps on the lock and has to be woken again.
 */
void kvr_wake_all(_Atomic uint32_t *word);
void kvr_wakes_hold(void);
void kvr_wakes_release(void);
bool kvr_wakes_held(void);

/* A condition variable that understands until_ns, for one waiter or a single broadcast: kvr_lock.h says why. */
void kvr_cond_init(pthread_cond_t *);
/* False when until_ns has passed; like every wait it may also return true for no reason. */
bool kvr_cond_wait(pthread_cond_t *, pthread_mutex_t *, uint64_t until_ns);

#endif
