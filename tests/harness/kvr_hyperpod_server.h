/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A HyperPod daemon in a process of its own (kvr_hyperpod_daemon.c), on a free loopback port and
 * with a shared memory of its own name. Whatever LMCache's client never sends is a deviation.
 */
#ifndef KVR_HARNESS_HYPERPOD_SERVER_H
#define KVR_HARNESS_HYPERPOD_SERVER_H

#include "kvr_hyperpod_page.h"

struct kvr_hyperpod_server;

struct kvr_hyperpod_server *kvr_hyperpod_server_start(void);
/* Kills it and takes its shared memory away. NULL is fine. */
void kvr_hyperpod_server_stop(struct kvr_hyperpod_server *take);
/* As a crash and a new start: the same port, other shared memory of the same name, no objects. */
void kvr_hyperpod_server_restart(struct kvr_hyperpod_server *);
void kvr_hyperpod_server_kill(struct kvr_hyperpod_server *);

/* sagemaker-hyperpod://127.0.0.1:port */
const char *kvr_hyperpod_server_url(const struct kvr_hyperpod_server *);
const char *kvr_hyperpod_server_segment(const struct kvr_hyperpod_server *); /* its name */
struct kvr_hyperpod_page *kvr_hyperpod_server_page(struct kvr_hyperpod_server *);

/* Waits until so many requests are held, or until no lease is open. 0: that did not come. */
int kvr_hyperpod_server_wait_held(struct kvr_hyperpod_server *, uint32_t n);
int kvr_hyperpod_server_wait_no_lease(struct kvr_hyperpod_server *);

#endif
