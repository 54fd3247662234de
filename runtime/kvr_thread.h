/* SPDX-License-Identifier: Apache-2.0 */
/* The library's long-lived threads: with a name, with every signal blocked, joined by a deadline. */
#ifndef KVR_THREAD_H
#define KVR_THREAD_H

#include "kvr_cond.h"
#include "kvr_err.h"
#include "kvr_lock.h"
#include "kvr_spawn.h"

struct kvr_thread;

typedef void kvr_thread_fn(void *arg);

/* name: what ps and gdb show; the kernel keeps 15 characters of it. */
KVR_MUST_USE enum kvr_err kvr_thread_start(const char *name, kvr_thread_fn *fn, void *arg,
    struct kvr_thread **ret);
/*
 * OK: the thread has ended and the handle is gone. TIMEOUT: it still runs and the handle stays
 * valid. UINT64_MAX waits for ever.
 */
KVR_MUST_USE enum kvr_err kvr_thread_join(struct kvr_thread *take, uint64_t until_ns);
/* Instead of joining a thread that hangs: nobody waits for it any more; its handle is leaked. */
void kvr_thread_leave(struct kvr_thread *take);

/*
 * For a thread that looks at something every few microseconds: its timed waits end when they should.
 * The kernel lets them end 50 us later otherwise, to wake for several threads at once.
 */
void kvr_thread_prompt(void);

/*
 * Whether the system grants n more threads, at most KVR_THREADS_FIT_MAX: starts them and lets them
 * end at once. For libraries that do not survive getting some of their threads but not all.
 */
enum { KVR_THREADS_FIT_MAX = 512 };
KVR_MUST_USE bool kvr_threads_fit(uint32_t n);

/*
 * Wakes all sleepers of a word. Between hold and release on the same thread it only notes the word.
 * For a thread that holds a lock which the woken thread wants next: on a busy machine that one runs
 * at once, sleeps on the lock and has to be woken again.
 */
void kvr_wake_all(_Atomic uint32_t *word);
void kvr_wakes_hold(void);
void kvr_wakes_release(void);
bool kvr_wakes_held(void);

#endif
