/* SPDX-License-Identifier: Apache-2.0 */
/* A condition variable with deadlines; for one waiter, or a single broadcast: see kvr_lock.h. */
#ifndef KVR_COND_H
#define KVR_COND_H

#include "kvr_base.h"

#include <pthread.h>

void kvr_cond_init(pthread_cond_t *);
/* False when until_ns has passed; like every such wait it may also return true for no reason. */
bool kvr_cond_wait(pthread_cond_t *, pthread_mutex_t *, uint64_t until_ns);

#endif
