/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every call begins with: whether this is the process that opened the instance, whether it is open,
 * and whether what the caller gave is an instant and a struct. And sleeping on a word.
 */
#ifndef KVR_ENTRY_H
#define KVR_ENTRY_H

#include "kvrelay.h"

#include <stdatomic.h>

bool kvr_forked(void);
/* Before the first thread: from then on kvr_forked knows a child. */
KVR_MUST_USE enum kvr_err kvr_fork_watch(void);
/* True on a thread that runs a callback of ours. */
bool kvr_in_callback(void);
void kvr_set_in_callback(bool);
/* NULL, no instance, forked, dead: what to answer. The gate stays open to a closed instance. */
KVR_MUST_USE enum kvr_err kvr_check_instance(const struct kvr *);
/* The same and SHUTDOWN; every OK needs a kvr_leave. */
KVR_MUST_USE enum kvr_err kvr_enter(struct kvr *);
void                      kvr_leave(struct kvr *);
/* An instant from what a caller gave. INVALID: a duration. never: KVR_NEVER may pass. */
KVR_MUST_USE enum kvr_err kvr_until(struct kvr *, const char *call, uint64_t until_ns,
    uint64_t limit_ns, bool never, uint64_t *ret_ns);
/* A struct of the caller's into one of ours: at least `least` bytes, more only if they are zero. */
KVR_MUST_USE bool kvr_read_struct(void *to, size_t to_size, size_t least, const void *from);
void kvr_futex_wait(_Atomic uint32_t *, uint32_t value, uint64_t until_ns); /* may return early */

#endif
