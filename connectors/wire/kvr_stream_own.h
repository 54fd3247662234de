/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of a stream: kvr_stream.c reads and waits, kvr_stream_out.c writes. */
#ifndef KVR_STREAM_OWN_H
#define KVR_STREAM_OWN_H

#include "kvr_stream.h"

/*
 * Before every call on the socket, not only before a wait: a server that never lets the socket
 * run dry would otherwise carry the stream past its deadline.
 */
enum kvr_err kvr_stream_check(struct kvr_sock *);
/* Sleeps until the socket is ready for events; a deadline or a kick ends the stream. */
enum kvr_err kvr_stream_ready(struct kvr_sock *, short events);
/* *ret_n 0: nothing has arrived yet. */
enum kvr_err kvr_stream_try_recv(
    struct kvr_sock *, struct iovec *, int n_iov, size_t *ret_n, short *ret_events);
/*
 * Lookups of this instance come first. give_way: before a call that moves payload; and how much one
 * call may write.
 */
void   kvr_stream_give_way(struct kvr_sock *);
size_t kvr_stream_piece(struct kvr_sock *);
/* What has been received and not read goes to the start of its buffer. */
void kvr_stream_compact(struct kvr_sock *);

#endif
