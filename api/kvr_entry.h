/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every call begins with: checks that this process opened the instance, that the instance is
 * open, and that the caller's arguments are an instant and a struct. Also sleeping on a word.
 */
#ifndef KVR_ENTRY_H
#define KVR_ENTRY_H

#include "kvrelay.h"

#include <stdatomic.h>

bool kvr_forked(void);
/* Call it before the first thread is started: from then on kvr_forked recognizes a child. */
KVR_MUST_USE enum kvr_err kvr_fork_watch(void);
/* True on a thread that is running a callback. */
bool kvr_in_callback(void);
void kvr_set_in_callback(bool);
/*
 * From here to the end of the block this thread cannot be cancelled: it would take a lock with it,
 * or be inside the gate for ever. Between kvr_enter and kvr_leave that holds anyway.
 */
int  kvr_cancel_off(void);
void kvr_cancel_back(const int *before);
#define KVR_UNCANCELLED                                                                            \
	__attribute__((cleanup(kvr_cancel_back), unused)) const int kvr_cancel_before_ =           \
	    kvr_cancel_off()
/*
 * FORKED, or INVALID for NULL and for what is not an instance. Accepts a closed or dead instance.
 */
KVR_MUST_USE enum kvr_err kvr_check_instance(const struct kvr *);
/* The same, and SHUTDOWN or DEAD; every OK needs a kvr_leave. */
KVR_MUST_USE enum kvr_err kvr_enter(struct kvr *);
/* For the canary, which is let in a little longer: what it has put into a store it deletes. */
KVR_MUST_USE enum kvr_err kvr_enter_canary(struct kvr *);
void                      kvr_leave(struct kvr *);
/* The instant that a caller's until_ns means. INVALID: a duration. never: KVR_NEVER is allowed. */
KVR_MUST_USE enum kvr_err kvr_until(struct kvr *, const char *call, uint64_t until_ns,
    uint64_t limit_ns, bool never, uint64_t *ret_ns);
/*
 * Copies a caller's struct into ours: at least `least` bytes, and more than ours only if they are
 * zero.
 */
KVR_MUST_USE bool kvr_read_struct(void *to, size_t to_size, size_t least, const void *from);
void kvr_futex_wait(_Atomic uint32_t *, uint32_t value, uint64_t until_ns); /* may return early */

#endif
