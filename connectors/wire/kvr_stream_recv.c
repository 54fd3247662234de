/* SPDX-License-Identifier: Apache-2.0 */
/* How a stream receives: at once, or after looking, napping or waiting. */
#include "kvr_stream_own.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static enum kvr_err
received(struct kvr_sock *s, ssize_t n, size_t *ret_n)
{
	if (n == 0)
		return kvr_stream_fail(s, KVR_E_DOWN, "the server closed the connection");
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return kvr_stream_fail(s, KVR_E_DOWN, "receive failed: %s", strerror(errno));
	*ret_n = n > 0 ? (size_t)n : 0;
	s->moved += *ret_n;
	return KVR_OK;
}

enum kvr_err
kvr_stream_try_recv(
    struct kvr_sock *s, struct iovec *iov, int n_iov, size_t *ret_n, short *ret_events)
{
	enum kvr_err err = kvr_stream_check(s);
	return err == KVR_OK ? received(s, s->ops->recv(s, iov, n_iov, ret_events), ret_n) : err;
}

/*
 * On a virtual machine a processor that has gone to sleep needs 20 to 36 us to wake up, more than a
 * near server needs for a small answer. So we keep looking for such an answer for LOOK_NS. Whether
 * that pays is learnt: it does not if the server is far away or needs this very processor. Each
 * failure doubles the number of times that looking is skipped, up to LOOK_SKIP_MAX. So an idle
 * connection costs nothing, and a slow one costs one LOOK_NS per thousand answers.
 */
enum { LOOK_NS = 50000, LOOK_SKIP_MAX = 1023 };

static enum kvr_err
look_again(struct kvr_sock *s, struct iovec *iov, int n_iov, size_t *ret_n)
{
	enum kvr_err err = KVR_OK;
	short events;
	if (s->look_skip > 0) {
		s->look_skip--;
		return KVR_OK;
	}
	uint64_t end_ns = kvr_now_ns() + LOOK_NS;
	do {
		err = kvr_stream_try_recv(s, iov, n_iov, ret_n, &events);
		if (err != KVR_OK || *ret_n > 0) {
			s->look_failed /= 2;
			return err;
		}
	} while (kvr_now_ns() < end_ns);
	s->look_failed = (uint16_t)KVR_MIN(2 * s->look_failed + 1, LOOK_SKIP_MAX);
	s->look_skip = s->look_failed;
	return KVR_OK;
}

/*
 * Receiving in vain, polling and receiving again are three system calls. A single one that sleeps
 * until the first byte does the same, and saved 2 of the 66 us of a lookup of 64 keys with its
 * server on the same processor. But it notices no kick, and its timeout is imprecise. So it is
 * short, kicks are checked between two of them, and near the stream's deadline poll is used. Only
 * small answers are worth this: a get has a destination, which its caller wants back at once when
 * it is cancelled.
 */
#define NAP_LATE_NS KVR_MS(50) /* two ticks of the slowest kernels, and as much again */

static enum kvr_err
nap(struct kvr_sock *s, struct iovec *iov, int n_iov, uint64_t end_ns, size_t *ret_n)
{
	while (*ret_n == 0 && s->naps != KVR_NAPS_NEVER &&
	    kvr_now_ns() + KVR_STREAM_NAP_NS + NAP_LATE_NS < end_ns &&
	    kvr_stream_check(s) == KVR_OK)
		(void)received(s, s->ops->nap(s, iov, n_iov), ret_n);
	return (enum kvr_err)s->err;
}

enum kvr_err
kvr_stream_recv_some(struct kvr_sock *s, struct iovec *iov, int n_iov, size_t *ret_n)
{
	bool naps = s->brisk && s->ops->nap != NULL;
	short events = POLLIN;
	enum kvr_err err = KVR_OK;
	for (;;) {
		if (!naps)
			err = kvr_stream_try_recv(s, iov, n_iov, ret_n, &events);
		if (err == KVR_OK && *ret_n == 0 && s->brisk)
			err = look_again(s, iov, n_iov, ret_n);
		if (err != KVR_OK || *ret_n > 0)
			return err;
		uint64_t end_ns = kvr_stream_patient_until(s);
		if (naps && ((err = nap(s, iov, n_iov, end_ns, ret_n)) != KVR_OK || *ret_n > 0))
			return err;
		if ((err = kvr_stream_ready(s, events, end_ns)) != KVR_OK)
			return err;
		naps = false;
	}
}
