/* SPDX-License-Identifier: Apache-2.0 */
/* The writing half of a stream: small bytes and payload are gathered and sent in large pieces. */
#include "kvr_stream_own.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/*
 * From this length on an iovec, and a call of its own, pay; shorter data is cheaper to copy, and
 * rides along with what is before it.
 */
enum { LEND_MIN = 1024 };

/*
 * Called when a write is stuck. Takes in arriving bytes, because two full sockets would deadlock.
 */
static enum kvr_err
wait_writable(struct kvr_sock *s, short events)
{
	kvr_stream_compact(s);
	size_t room = KVR_STREAM_IN - s->in_end;
	enum kvr_err err = kvr_stream_ready(
	    s, (short)(events | (room > 0 ? POLLIN : 0)), kvr_stream_patient_until(s));
	if (err != KVR_OK || room == 0)
		return err;
	struct iovec iov = { s->in + s->in_end, room };
	size_t n = 0;
	err = kvr_stream_try_recv(s, &iov, 1, &n, &events);
	s->in_end += (uint32_t)n;
	return err;
}

/* The part of iov[0..n) after the first skip bytes, of at most room bytes. */
static int
piece(const struct iovec *iov, uint32_t n, size_t skip, size_t room, struct iovec *ret)
{
	int count = 0;
	for (uint32_t i = 0; i < n && room > 0; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		size_t len = KVR_MIN(iov[i].iov_len - skip, room);
		ret[count++] = (struct iovec){ (uint8_t *)iov[i].iov_base + skip, len };
		room -= len;
		skip = 0;
	}
	return count;
}

enum kvr_err
kvr_stream_flush(struct kvr_sock *s)
{
	struct iovec iov[KVR_STREAM_IOV];
	uint32_t first = 0;
	size_t skip = 0;
	while (s->out_bytes > 0) {
		short events = POLLOUT;
		enum kvr_err err = kvr_stream_check(s);
		if (err != KVR_OK)
			return err;
		kvr_stream_give_way(s);
		size_t room = kvr_stream_piece(s);
		if (s->out_bytes < room + LEND_MIN)
			room = s->out_bytes;
		int count = piece(s->iov + first, s->n_iov - first, skip, room, iov);
		ssize_t n = s->ops->send(s, iov, count, &events);
		int cause = n < 0 ? errno : 0; /* saved, because the wait receives and changes errno */
		if (cause == EAGAIN && (err = wait_writable(s, events)) != KVR_OK)
			return err;
		if (cause != 0 && cause != EAGAIN && cause != EINTR)
			return kvr_stream_fail(s, KVR_E_DOWN, "send failed: %s", strerror(cause));
		if (n <= 0)
			continue;
		s->moved += (uint64_t)n;
		s->out_bytes -= (uint64_t)n;
		skip += (size_t)n;
		while (first < s->n_iov && skip >= s->iov[first].iov_len)
			skip -= s->iov[first++].iov_len;
	}
	s->out_len = s->n_iov = 0;
	return s->err;
}

/*
 * Before more is added. A whole piece leaves when more payload comes, and not at once: the end of a
 * request and the head of the next would otherwise be calls, and packets, of their own.
 */
static enum kvr_err
make_room(struct kvr_sock *s, size_t len)
{
	bool whole = s->out_bytes >= KVR_STREAM_PIECE && len >= LEND_MIN;
	return whole || s->n_iov == KVR_STREAM_IOV ? kvr_stream_flush(s) : s->err;
}

static void
add(struct kvr_sock *s, const void *at, size_t len)
{
	struct iovec *last = s->n_iov > 0 ? &s->iov[s->n_iov - 1] : NULL;
	if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == at)
		last->iov_len += len;
	else
		s->iov[s->n_iov++] = (struct iovec){ (void *)(uintptr_t)at, len };
	s->out_bytes += len;
}

char *
kvr_stream_room(struct kvr_sock *s, size_t len)
{
	uint8_t *to = s->out + s->out_len;
	if (s->err != KVR_OK || len >= KVR_STREAM_OUT - s->out_len)
		return NULL;
	if (s->n_iov == 0)
		s->iov[s->n_iov++] = (struct iovec){ to, 0 };
	struct iovec *last = &s->iov[s->n_iov - 1];
	return (uint8_t *)last->iov_base + last->iov_len == to ? (char *)to : NULL;
}

enum kvr_err
kvr_stream_wrote(struct kvr_sock *s, size_t len)
{
	s->iov[s->n_iov - 1].iov_len += len;
	s->out_len += (uint32_t)len;
	s->out_bytes += len;
	return s->err;
}

enum kvr_err
kvr_stream_copy(struct kvr_sock *s, const void *at, size_t len)
{
	const uint8_t *from = at;
	char *follows = kvr_stream_room(s, len);
	if (follows != NULL) {
		memcpy(follows, at, len);
		return kvr_stream_wrote(s, len);
	}
	/* Before the bytes are in s->out, which a flush empties. */
	while (len > 0 && make_room(s, len) == KVR_OK) {
		size_t n = KVR_MIN(len, KVR_STREAM_OUT - s->out_len);
		uint8_t *to = s->out + s->out_len;
		memcpy(to, from, n);
		s->out_len += (uint32_t)n;
		from += n;
		len -= n;
		add(s, to, n);
		if (s->out_len == KVR_STREAM_OUT)
			(void)!kvr_stream_flush(s);
	}
	return s->err;
}

enum kvr_err
kvr_stream_lend(struct kvr_sock *s, const void *at, size_t len)
{
	if (len < LEND_MIN || s->err != KVR_OK)
		return kvr_stream_copy(s, at, len);
	enum kvr_err err = make_room(s, len);
	if (err == KVR_OK)
		add(s, at, len);
	return err;
}
