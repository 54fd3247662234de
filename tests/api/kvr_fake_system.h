/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A router of a few lines in the place of the real system, for what a test cannot make the real one
 * do at a chosen moment: hold operations, die, get stuck, release late, fail a key in some way.
 * It keeps values in a table and answers on a thread of its own, under one lock, as the real one
 * does under its guard. One instance at a time.
 */
#ifndef KVR_FAKE_SYSTEM_H
#define KVR_FAKE_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

/* Operations wait until they are let go, cancelled, or past their deadline. */
void kvr_fake_hold(bool hold);
/* After COMPLETE the operations keep their slots until this is false: what a write-back does. */
void kvr_fake_release_late(bool late);
/* Between the two completions of a KVR_EARLY operation. */
void kvr_fake_hold_memory(bool hold);
/* Every key of operations to come gets this; 0: none. */
void kvr_fake_fail(int32_t err);
/* As a broken invariant would: STOPPED from nobody, and nothing is answered any more. */
void kvr_fake_die(void);
/* Threads that kvr_system_join will not end. */
void kvr_fake_stuck(uint32_t n);
/* Until when the last kvr_system_join would have waited for them. */
uint64_t kvr_fake_join_until(void);
/* Systems that were freed. */
uint32_t kvr_fake_freed(void);
/* What a thread of the system has to say, also one that kvr_free has left behind. */
void kvr_fake_say(const char *line);
/* enum kvr_tier_state of the only tier. */
void kvr_fake_tier(uint32_t state);
/* The next thread that comes there, which has no lock of the system's, calls fn first. Once. */
enum kvr_fake_place { KVR_FAKE_SUBMIT, KVR_FAKE_WHY, KVR_FAKE_JOIN, KVR_FAKE_PLACES };
void kvr_fake_at(enum kvr_fake_place, void (*fn)(void *), void *arg);
/* Waits until this many operations are held. */
void kvr_fake_wait_held(uint32_t n);
/* How many lookups whoever moves payload would make room for. */
uint32_t kvr_fake_lookups(void);
/* SUBMITs so far. */
uint32_t kvr_fake_submits(void);

#endif
