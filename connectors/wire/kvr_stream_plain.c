/* SPDX-License-Identifier: Apache-2.0 */
/* The calls on a socket without TLS. */
#include "kvr_stream_own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* MSG_DONTWAIT everywhere, because a socket with naps is a blocking one. */
static ssize_t
plain_recv(struct kvr_sock *s, struct iovec *iov, int n, short *ret_events)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	*ret_events = POLLIN;
	return recvmsg(s->fd, &msg, MSG_DONTWAIT);
}

static ssize_t
plain_send(struct kvr_sock *s, struct iovec *iov, int n, short *ret_events)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	*ret_events = POLLOUT;
	/* Without MSG_NOSIGNAL a server that goes away would kill the host process. */
	return sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
plain_close(struct kvr_sock *s)
{
	close(s->fd);
}

/* Sets the timeout first: a blocking socket without one could hold its thread for ever. */
static bool
may_block(struct kvr_sock *s)
{
	const struct timeval most = { .tv_usec = KVR_STREAM_NAP_NS / 1000 };
	int flags = fcntl(s->fd, F_GETFL);
	return flags >= 0 &&
	    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) == 0 &&
	    fcntl(s->fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

static ssize_t
plain_nap(struct kvr_sock *s, struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	if (s->naps == KVR_NAPS_ASK)
		s->naps = may_block(s) ? KVR_NAPS : KVR_NAPS_NEVER;
	if (s->naps == KVR_NAPS)
		return recvmsg(s->fd, &msg, 0);
	errno = EAGAIN;
	return -1;
}

const struct kvr_stream_ops kvr_stream_plain = { plain_recv, plain_send, plain_close, plain_nap };
