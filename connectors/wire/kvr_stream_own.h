/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the parts of a stream: kvr_stream.c reads and waits, kvr_stream_recv.c and
 * kvr_stream_plain.c receive, kvr_stream_out.c writes.
 */
#ifndef KVR_STREAM_OWN_H
#define KVR_STREAM_OWN_H

#include "kvr_stream.h"

/*
 * Called before every call on the socket, not only before a wait: otherwise a server that always
 * has data ready would carry the stream past its deadline.
 */
enum kvr_err kvr_stream_check(struct kvr_sock *);
/* When a silence that begins now ends the stream: at its deadline, or when its patience is over. */
uint64_t kvr_stream_patient_until(const struct kvr_sock *);
/* Sleeps until the socket is ready for events. Reaching end_ns, or a kick, ends the stream. */
enum kvr_err kvr_stream_ready(struct kvr_sock *, short events, uint64_t end_ns);
/* *ret_n 0: nothing has arrived yet. */
enum kvr_err kvr_stream_try_recv(
    struct kvr_sock *, struct iovec *, int n_iov, size_t *ret_n, short *ret_events);
/* At least one byte, or an error. */
enum kvr_err kvr_stream_recv_some(struct kvr_sock *, struct iovec *, int n_iov, size_t *ret_n);
extern const struct kvr_stream_ops kvr_stream_plain;
/*
 * Lookups of this instance come first. give_way: call it before every call that moves payload.
 * piece: how much one call may write.
 */
void   kvr_stream_give_way(struct kvr_sock *);
size_t kvr_stream_piece(struct kvr_sock *);
/* Moves what was received but not read to the start of its buffer. */
void kvr_stream_compact(struct kvr_sock *);

#endif
