/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping on a word until a point in time, and a lock made of that.
 *
 * Where several threads sleep for one thing, they do it here and not on a condition variable:
 * before version 2.41 of the GNU C library a condition variable can lose a wake-up (its bug 25847),
 * and then waiters and later signallers hang for ever. It has happened to lanes of a file tier.
 */
#ifndef KVR_LOCK_H
#define KVR_LOCK_H

#include "kvr_base.h"

#include <stdatomic.h>

/*
 * Sleeps while *word is `seen`. False: until_ns has passed. True: it was woken, or the word had
 * another value already, or for no reason. UINT64_MAX: no deadline.
 */
bool kvr_sleep_on(_Atomic uint32_t *word, uint32_t seen, uint64_t until_ns);
/* Wakes one sleeper. The word must have been changed before. */
void kvr_wake(_Atomic uint32_t *word);
/* Wakes all. The word is not read, so it may have been freed by then. */
void kvr_wake_every(_Atomic uint32_t *word);

/*
 * A mutex that can be waited for until a point in monotonic time; pthread's deadline is on the
 * clock that people set. All zero bytes: unlocked.
 */
struct kvr_lock {
	_Atomic uint32_t word; /* 0 free, 1 taken, 2 taken and a thread may be sleeping */
};

KVR_MUST_USE bool kvr_lock_try(struct kvr_lock *);
KVR_MUST_USE bool kvr_lock_until(struct kvr_lock *, uint64_t until_ns);
void              kvr_lock(struct kvr_lock *);
void              kvr_unlock(struct kvr_lock *);

#endif
