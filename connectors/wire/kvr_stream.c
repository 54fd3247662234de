/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_stream_own.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void
kvr_stream_take(struct kvr_sock *s, int take_fd, struct kvr_kick *kick)
{
	s->fd = take_fd;
	s->err = KVR_OK;
	s->ops = &kvr_stream_plain;
	s->carrier = NULL;
	s->kick = kick;
	s->until_ns = s->patience_ns = 0;
	s->moved = s->gave_way = s->keep_ns = s->brief = 0;
	s->fill_max = KVR_STREAM_IN;
	s->brisk = false;
	s->look_skip = s->look_failed = 0;
	s->naps = KVR_NAPS_ASK;
	s->in_at = s->in_end = 0;
	s->out_len = s->n_iov = 0;
	s->out_bytes = 0;
	s->why[0] = '\0';
}

void
kvr_stream_hang_up(struct kvr_sock *s)
{
	if (s->fd >= 0)
		s->ops->close(s);
	s->fd = -1;
	if (s->err == KVR_OK)
		s->err = KVR_E_DOWN;
}

enum kvr_err
kvr_stream_fail(struct kvr_sock *s, enum kvr_err err, const char *fmt, ...)
{
	if (s->err == KVR_OK) {
		va_list args;
		va_start(args, fmt);
		vsnprintf(s->why, sizeof(s->why), fmt, args);
		va_end(args);
		s->err = err;
	}
	return s->err;
}

enum kvr_err
kvr_stream_stage(struct kvr_sock *s, const char *stage)
{
	char was[sizeof(s->why)];

	snprintf(was, sizeof(was), "%s", s->err == KVR_E_TIMEOUT ? "no answer" : s->why);
	snprintf(s->why, sizeof(s->why), "%.40s: %.140s", stage, was);
	return s->err;
}

enum kvr_err
kvr_stream_wait(int fd, short events, uint64_t until_ns, struct kvr_kick *kick)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = fd, .events = events },
			{ .fd = kick != NULL ? kick->fd : -1, .events = POLLIN } };
		if (kick != NULL && kvr_kick_meant(kick))
			return KVR_E_CANCELLED;
		int rc = poll(p, 2, kvr_poll_ms(until_ns));
		if (rc > 0 && p[1].revents != 0 && kvr_kicked(kick))
			return KVR_E_CANCELLED;
		if (rc > 0 && p[0].revents != 0)
			return KVR_OK;
		if (kvr_now_ns() >= until_ns)
			return KVR_E_TIMEOUT;
	}
}

uint64_t
kvr_stream_patient_until(const struct kvr_sock *s)
{
	return s->patience_ns > 0 ? KVR_MIN(kvr_now_ns() + s->patience_ns, s->until_ns) : s->until_ns;
}

enum kvr_err
kvr_stream_ready(struct kvr_sock *s, short events, uint64_t end_ns)
{
	enum kvr_err err = kvr_stream_wait(s->fd, events, end_ns, s->kick);
	if (err == KVR_E_TIMEOUT && end_ns < s->until_ns)
		return kvr_stream_fail(s, err, "silent for %llu ms",
		    (unsigned long long)(s->patience_ns / KVR_MS(1)));
	return err == KVR_OK ? KVR_OK : kvr_stream_fail(s, err, "%s", kvr_err_text(err));
}

enum kvr_err
kvr_stream_check(struct kvr_sock *s)
{
	enum kvr_err err = KVR_OK;
	if (s->err != KVR_OK)
		return s->err;
	if (s->kick != NULL && kvr_kick_meant(s->kick))
		err = KVR_E_CANCELLED;
	else if (kvr_now_ns() >= s->until_ns)
		err = KVR_E_TIMEOUT;
	return err == KVR_OK ? KVR_OK : kvr_stream_fail(s, err, "%s", kvr_err_text(err));
}

enum kvr_err
kvr_stream_blame(const struct kvr_sock *s, enum kvr_err err)
{
	bool silent = err == KVR_E_TIMEOUT && s->patience_ns > 0 && kvr_now_ns() < s->until_ns;
	return silent ? KVR_E_DOWN : err;
}

enum kvr_err
kvr_stream_begin(struct kvr_sock *s, uint64_t until_ns, uint32_t fill_max)
{
	s->until_ns = until_ns;
	s->fill_max = KVR_MIN(fill_max, KVR_STREAM_IN);
	s->brisk = false;
	return kvr_stream_check(s);
}

enum kvr_err
kvr_stream_ask(struct kvr_sock *s, uint64_t until_ns, uint32_t fill_max)
{
	enum kvr_err err = kvr_stream_begin(s, until_ns, fill_max);

	if (err == KVR_OK && kvr_stream_held(s) > 0)
		err = kvr_stream_fail(s, KVR_E_PROTO, "the server sent bytes that nobody asked for");
	return err;
}

/* Whether a lookup of this instance is under way while this stream moves something else. */
static bool
is_in_the_way(const struct kvr_sock *s)
{
	return !s->brisk && s->kick != NULL && s->kick->lookups != NULL &&
	    atomic_load_explicit(s->kick->lookups, memory_order_relaxed) > 0;
}

/*
 * A write of megabytes lasts for milliseconds while the server empties the socket on another
 * processor, and many kernels do not preempt a thread in the middle of one. A lookup decides what
 * is computed and what is loaded at all; nobody waits for a put. So, for machines with fewer
 * processors than lanes, server and callers, a stream that moves payload yields its processor every
 * 128 KiB while a lookup is under way: the 99th percentile of lookups beside puts fell to between a
 * fourth and a sixth, the 90th of those beside gets to a half. Another thread may then keep the
 * processor for long, so it is not yielded again for half of that time: at most two thirds of the
 * time are lost. Without that limit, puts beside two busy threads of other programs kept a tenth of
 * their speed; with it, two thirds. If processors are free, all this costs 0.8 us.
 */
void
kvr_stream_give_way(struct kvr_sock *s)
{
	if (s->moved - s->gave_way < KVR_STREAM_WAY || !is_in_the_way(s))
		return;
	uint64_t now_ns = kvr_now_ns();
	if (now_ns < s->keep_ns)
		return;
	s->gave_way = s->moved;
	sched_yield();
	uint64_t back_ns = kvr_now_ns();
	s->keep_ns = back_ns + (back_ns - now_ns) / 2;
}

/* One lookup is usually followed by another: calls stay short between two of them, too. */
size_t
kvr_stream_piece(struct kvr_sock *s)
{
	if (is_in_the_way(s))
		s->brief = s->moved + KVR_STREAM_PIECE;
	return s->moved < s->brief ? KVR_STREAM_WAY : KVR_STREAM_PIECE;
}

void
kvr_stream_compact(struct kvr_sock *s)
{
	if (s->in_at == 0)
		return;
	memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
	s->in_end -= s->in_at;
	s->in_at = 0;
}

size_t
kvr_stream_held(const struct kvr_sock *s)
{
	return s->in_end - s->in_at;
}

bool
kvr_stream_hear_out(struct kvr_sock *s)
{
	short events;
	if (s->err != KVR_E_DOWN || s->fd < 0)
		return false;
	kvr_stream_compact(s);
	struct iovec iov = { s->in + s->in_end, KVR_STREAM_IN - s->in_end };
	ssize_t n = iov.iov_len > 0 ? s->ops->recv(s, &iov, 1, &events) : 0;
	s->in_end += n > 0 ? (uint32_t)n : 0;
	if (kvr_stream_held(s) == 0)
		return false;
	s->err = KVR_OK;
	s->out_len = s->n_iov = 0;
	s->out_bytes = 0;
	return true;
}

static enum kvr_err
fill(struct kvr_sock *s)
{
	if (s->in_at == s->in_end)
		s->in_at = s->in_end = 0;
	else if (s->in_end == KVR_STREAM_IN)
		kvr_stream_compact(s);
	if (s->in_end == KVR_STREAM_IN)
		return kvr_stream_fail(
		    s, KVR_E_PROTO, "a reply line of more than %u bytes", KVR_STREAM_IN);
	struct iovec iov = { s->in + s->in_end, KVR_MIN(s->fill_max, KVR_STREAM_IN - s->in_end) };
	size_t n = 0;
	enum kvr_err err = kvr_stream_recv_some(s, &iov, 1, &n);
	s->in_end += (uint32_t)n;
	return err;
}

enum kvr_err
kvr_stream_line(struct kvr_sock *s, struct kvr_const_span *ret)
{
	size_t seen = 0;
	for (;;) {
		const uint8_t *line = s->in + s->in_at;
		size_t held = kvr_stream_held(s);
		const uint8_t *lf = held > seen ? memchr(line + seen, '\n', held - seen) : NULL;
		if (lf != NULL) {
			size_t len = (size_t)(lf - line);
			if (len == 0 || lf[-1] != '\r')
				return kvr_stream_fail(s, KVR_E_PROTO, "a reply line without CR");
			s->in_at += (uint32_t)len + 1;
			*ret = (struct kvr_const_span){ line, len - 1 };
			return s->err;
		}
		seen = held;
		enum kvr_err err = fill(s);
		if (err != KVR_OK)
			return err;
	}
}

enum kvr_err
kvr_stream_read(struct kvr_sock *s, void *to, size_t max, size_t ahead, size_t *ret_n)
{
	size_t held = KVR_MIN(kvr_stream_held(s), max);
	if (s->err != KVR_OK)
		return s->err;
	memcpy(to, s->in + s->in_at, held);
	s->in_at += (uint32_t)held;
	*ret_n = held;
	if (held == max)
		return KVR_OK;
	/* The buffer is empty now, so the bytes read ahead may go to its start. */
	s->in_at = s->in_end = 0;
	struct iovec iov[2] = { { (uint8_t *)to + held, max - held },
		{ s->in, KVR_MIN(ahead, KVR_STREAM_IN) } };
	size_t n = 0;
	kvr_stream_give_way(s);
	enum kvr_err err = kvr_stream_recv_some(s, iov, ahead > 0 ? 2 : 1, &n);
	size_t direct = KVR_MIN(n, max - held);
	s->in_end = (uint32_t)(n - direct);
	*ret_n += direct;
	return err;
}

enum kvr_err
kvr_stream_read_all(struct kvr_sock *s, void *to, size_t len)
{
	uint8_t *at = to;
	while (len > 0) {
		size_t n = 0;
		enum kvr_err err = kvr_stream_read(s, at, len, 0, &n);
		if (err != KVR_OK)
			return err;
		at += n;
		len -= n;
	}
	return s->err;
}

enum kvr_err
kvr_stream_skip(struct kvr_sock *s, uint64_t len)
{
	uint8_t scratch[8192];
	while (len > 0) {
		size_t n = 0;
		size_t max = (size_t)KVR_MIN(len, sizeof(scratch));
		enum kvr_err err = kvr_stream_read(s, scratch, max, 0, &n);
		if (err != KVR_OK)
			return err;
		len -= n;
	}
	return s->err;
}
