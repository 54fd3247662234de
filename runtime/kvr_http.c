/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread polls the listener and its connections. No client can make another wait: sockets never
 * block, and a connection that is not done after five seconds is closed. When all places are taken,
 * the oldest connection is closed.
 */
#include "kvr_http_own.h"
#include "kvr_thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONNS = 16, HEAD_MAX = 8192, REPLY_HEAD = 256 };
static const uint64_t patience_ns = KVR_SEC(5), retry_ns = KVR_SEC(1);

struct conn {
	int fd; /* -1: free */
	uint64_t until_ns;
	uint32_t in_len;
	char *out; /* NULL: still reading */
	size_t out_len, out_at;
	char in[HEAD_MAX];
};

struct kvr_http {
	struct kvr_http_options opt;
	struct kvr_http_place place;
	int listener, wake; /* listener -1: not yet */
	bool said;
	uint64_t again_ns;
	_Atomic bool stop;
	struct kvr_thread *thread;
	struct conn conn[CONNS];
};

static void
hang_up(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->out);
	c->out = NULL;
	c->fd = -1;
}

/* ---- answers ---- */

static const char *
reason(int32_t status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 400:
		return "Bad Request";
	default:
		return "Service Unavailable";
	}
}

static void
reply(struct conn *c, const struct kvr_http_answer *a, bool with_body)
{
	char none[80];
	const char *body = a->body;
	size_t len = a->len;

	if (body == NULL) {
		len = (size_t)snprintf(none, sizeof(none), "%d %s\n", a->status, reason(a->status));
		body = none;
	}
	c->out = malloc(REPLY_HEAD + len);
	if (c->out == NULL) {
		hang_up(c);
		return;
	}
	c->out_len = (size_t)snprintf(c->out, REPLY_HEAD,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: "
	    "no-store\r\nConnection: close\r\n%s\r\n",
	    a->status, reason(a->status), a->type, len,
	    a->status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (with_body) {
		memcpy(c->out + c->out_len, body, len);
		c->out_len += len;
	}
	c->out_at = 0;
}

static void
refuse(struct conn *c, int32_t status)
{
	reply(c,
	    &(struct kvr_http_answer){ .status = status, .type = "text/plain; charset=utf-8" },
	    true);
}

static void
serve(struct kvr_http *h, struct conn *c, size_t head_len)
{
	struct kvr_http_answer a = { .status = 200, .type = "text/plain; charset=utf-8" };
	struct kvr_http_request r;
	bool with_body = true;
	int32_t status = kvr_http_request_read(c->in, head_len, &r, &with_body);

	if (status != 200) {
		refuse(c, status);
		return;
	}
	h->opt.answer(h->opt.arg, &r, &a);
	if (a.body == NULL && a.status == 200)
		a.status = 503;
	reply(c, &a, with_body);
	free(a.body);
}

/* ---- connections ---- */

static void
take_in(struct kvr_http *h, struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, HEAD_MAX - c->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(c);
		return;
	}
	c->in_len += (uint32_t)n;
	size_t head_len = kvr_http_head_len(c->in, c->in_len);

	if (head_len > 0)
		serve(h, c, head_len);
	else if (c->in_len == HEAD_MAX)
		refuse(c, 431);
}

static void
give_out(struct conn *c)
{
	ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->out_at += (size_t)n;
	if (n <= 0 || c->out_at == c->out_len)
		hang_up(c);
}

static void
welcome(struct kvr_http *h, uint64_t now_ns)
{
	struct conn *to = &h->conn[0];
	int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (uint32_t i = 0; i < CONNS && to->fd >= 0; i++) {
		if (h->conn[i].fd < 0 || h->conn[i].until_ns < to->until_ns)
			to = &h->conn[i];
	}
	hang_up(to);
	to->fd = fd;
	to->in_len = 0;
	to->until_ns = now_ns + patience_ns;
}

/* ---- the thread ---- */

static void
say(struct kvr_http *h, bool bad, const char *fmt, const char *more)
{
	char where[160], line[320];

	kvr_http_where(&h->place, h->listener, where, sizeof(where));
	snprintf(line, sizeof(line), fmt, where, more);
	h->opt.say(h->opt.arg, bad, line);
}

static void
try_listen(struct kvr_http *h, uint64_t now_ns)
{
	h->again_ns = now_ns + retry_ns;
	h->listener = kvr_http_listen(&h->place);
	if (h->listener >= 0)
		say(h, false, "metrics are served at %s%s", "");
	else if (!h->said)
		say(h, true, "metrics.listen %s: %s; it is tried again every second", strerror(errno));
	h->said = true;
}

static uint64_t
next_ns(const struct kvr_http *h)
{
	uint64_t next = h->listener < 0 ? h->again_ns : UINT64_MAX;

	for (uint32_t i = 0; i < CONNS; i++) {
		if (h->conn[i].fd >= 0)
			next = KVR_MIN(next, h->conn[i].until_ns);
	}
	return next;
}

static void
one_round(struct kvr_http *h)
{
	struct pollfd p[2 + CONNS] = { { .fd = h->wake, .events = POLLIN },
		{ .fd = h->listener, .events = POLLIN } };

	for (uint32_t i = 0; i < CONNS; i++)
		p[2 + i] = (struct pollfd){ .fd = h->conn[i].fd,
			.events = h->conn[i].out == NULL ? POLLIN : POLLOUT };
	if (poll(p, KVR_LEN(p), kvr_poll_ms(next_ns(h))) < 0 && errno != EINTR)
		return;
	uint64_t now_ns = kvr_now_ns();

	for (uint32_t i = 0; i < CONNS; i++) {
		struct conn *c = &h->conn[i];

		if (c->fd >= 0 && p[2 + i].revents != 0 && c->out == NULL)
			take_in(h, c);
		else if (c->fd >= 0 && p[2 + i].revents != 0)
			give_out(c);
		if (c->fd >= 0 && now_ns >= c->until_ns)
			hang_up(c);
	}
	if (h->listener >= 0 && p[1].revents != 0)
		welcome(h, now_ns);
	if (h->listener < 0 && now_ns >= h->again_ns)
		try_listen(h, now_ns);
}

static void
run(void *arg)
{
	struct kvr_http *h = arg;

	while (!atomic_load(&h->stop))
		one_round(h);
}

enum kvr_err
kvr_http_open(const struct kvr_http_options *opt, struct kvr_http **ret, char *why, size_t why_cap)
{
	struct kvr_http *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return KVR_E_NOMEM;
	h->opt = *opt;
	h->listener = -1;
	for (uint32_t i = 0; i < CONNS; i++)
		h->conn[i].fd = -1;
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	enum kvr_err err = h->wake < 0 ? KVR_E_NOMEM : kvr_http_place(opt->listen, &h->place, why, why_cap);

	if (err == KVR_OK) {
		try_listen(h, kvr_now_ns());
		err = kvr_thread_start("kvr-http", run, h, &h->thread);
	}
	if (err != KVR_OK) {
		KVR_CHECK(kvr_http_close(h, UINT64_MAX));
		return err;
	}
	*ret = h;
	return KVR_OK;
}

bool
kvr_http_close(struct kvr_http *take, uint64_t until_ns)
{
	uint64_t one = 1;

	if (take == NULL)
		return true;
	atomic_store(&take->stop, true);
	if (take->thread != NULL) {
		KVR_CHECK(write(take->wake, &one, sizeof(one)) == (ssize_t)sizeof(one));
		if (kvr_thread_join(take->thread, until_ns) != KVR_OK)
			return false;
	}
	for (uint32_t i = 0; i < CONNS; i++)
		hang_up(&take->conn[i]);
	if (take->listener >= 0) {
		close(take->listener);
		if (take->place.path[0] != '\0')
			(void)unlink(take->place.path);
	}
	if (take->wake >= 0)
		close(take->wake);
	free(take);
	return true;
}
