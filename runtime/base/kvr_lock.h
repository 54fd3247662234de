/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping on a word until an instant, and a lock made of that.
 *
 * Where several threads sleep for one thing, they do it here and not on a condition variable: before
 * version 2.41 of the GNU C library one of those can lose a wake (its bug 25847), and then waiters and
 * whoever signals next stand still for ever. Lanes of a file tier did.
 */
#ifndef KVR_LOCK_H
#define KVR_LOCK_H

#include "kvr_base.h"

#include <stdatomic.h>

/*
 * Sleeps while *word is `seen`. False when until_ns has passed; true when somebody woke it, when
 * the word was another already, or for no reason. UINT64_MAX: no deadline.
 */
bool kvr_sleep_on(_Atomic uint32_t *word, uint32_t seen, uint64_t until_ns);
/* Wakes one sleeper. The word has been changed before. */
void kvr_wake(_Atomic uint32_t *word);
/* Wakes all. The word is not read, so it does not matter if it is no more by then. */
void kvr_wake_every(_Atomic uint32_t *word);

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

#endif
