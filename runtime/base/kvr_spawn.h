/* SPDX-License-Identifier: Apache-2.0 */
/* Threads on which no signal is delivered: signals belong to the host process. */
#ifndef KVR_SPAWN_H
#define KVR_SPAWN_H

#include "kvr_base.h"

#include <pthread.h>
#include <signal.h>

/* 0, or what pthread_create says. The thread must be joined or detached. */
KVR_MUST_USE int kvr_spawn(pthread_t *ret, void *(*fn)(void *), void *arg);

/*
 * Around every call that may start threads which are not ours: they inherit the mask, and if a
 * library's thread takes the engine's SIGINT, nobody finds out why.
 */
void kvr_signals_block(sigset_t *ret_before);
void kvr_signals_restore(const sigset_t *before);

#endif
