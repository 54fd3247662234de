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
 * Sleeps while *word is `seen`. False when until_ns has passed; true when somebody woke it, when
 * the word was another already, or for no reason. UINT64_MAX: no deadline.
 */
bool kvr_sleep_on(_Atomic uint32_t *word, uint32_t seen, uint64_t until_ns);
/* Wakes one sleeper. The word has been changed before. */
void kvr_wake(_Atomic uint32_t *word);

/*
 * Wakes all sleepers; between hold and release on the same thread it only takes note. For who has a
 * lock that the woken thread wants next: woken before the lock is free, on a busy machine it runs at
 * once, sleeps on the lock and has to be woken again. The word is not read, so it does not matter if it
 * is no more by then.
 */
void kvr_wake_all(_Atomic uint32_t *word);
void kvr_wakes_hold(void);
void kvr_wakes_release(void);

/*
 * A mutex that can be waited for until an instant, which pthread's can only by a clock that people
 * set. Zero bytes are an open one.
 */
struct kvr_lock {
	_Atomic uint32_t word; /* 0 free, 1 taken, 2 taken and somebody may sleep */
};

KVR_MUST_USE bool kvr_lock_try(struct kvr_lock *);
KVR_MUST_USE bool kvr_lock_until(struct kvr_lock *, uint64_t until_ns);
void              kvr_lock(struct kvr_lock *);
void              kvr_unlock(struct kvr_lock *);

/* A condition variable that understands until_ns. */
void kvr_cond_init(pthread_cond_t *);
/* False when until_ns has passed; like every wait it may also return true for no reason. */
bool kvr_cond_wait(pthread_cond_t *, pthread_mutex_t *, uint64_t until_ns);

#endif
