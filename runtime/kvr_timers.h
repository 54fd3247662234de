/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers of a domain: one per (actor, number); setting it again moves it. Bounded, no
 * allocation after new, and the same order on every machine: by time, then actor, then number.
 *
 * Not thread-safe: only the thread that holds the domain's guard may use it.
 */
#ifndef KVR_TIMERS_H
#define KVR_TIMERS_H

#include "kvr_msg.h"

struct kvr_timers;

/* NULL: out of memory. */
struct kvr_timers *kvr_timers_new(uint32_t max);
void               kvr_timers_free(struct kvr_timers *take); /* NULL is fine */

/*
 * msg is the TIMER message as kvr_later made it: .to is the actor, .TIMER.timer the number. False
 * when all places are taken, which is a bug of whoever chose max.
 */
KVR_MUST_USE bool kvr_timers_set(struct kvr_timers *, const struct kvr_msg *, uint64_t at_ns);
/* UINT64_MAX when there is none. */
uint64_t kvr_timers_next(const struct kvr_timers *);
/* Takes the earliest that is due at now_ns; false when there is none. */
KVR_MUST_USE bool kvr_timers_pop(struct kvr_timers *, uint64_t now_ns, struct kvr_msg *ret);
void     kvr_timers_clear(struct kvr_timers *);
uint32_t kvr_timers_count(const struct kvr_timers *);

#endif
