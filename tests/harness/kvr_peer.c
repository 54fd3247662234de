/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_peer.h"
#include "kvr_check.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEEN_MAX = 65536 };

struct kvr_peer {
	const struct kvr_peer_act *acts;
	size_t          n;
	int             listen_fd, stop_fd;
	uint16_t        port;
	char            url[40];
	pthread_t       thread;
	pthread_mutex_t lock;
	pthread_cond_t  moved;
	size_t          at; /* under lock */
	char            seen[SEEN_MAX];
	size_t          seen_len;
};

/* False: stop was asked for. */
static int
ready(struct kvr_peer *me, int fd, short events)
{
	struct pollfd p[2] = { { .fd = fd, .events = events },
		{ .fd = me->stop_fd, .events = POLLIN } };
	poll(p, 2, -1);
	return p[1].revents == 0;
}

static void
arrived(struct kvr_peer *me, size_t at)
{
	pthread_mutex_lock(&me->lock);
	me->at = at;
	pthread_cond_broadcast(&me->moved);
	pthread_mutex_unlock(&me->lock);
}

static int
await(struct kvr_peer *me, int fd, const char *text)
{
	size_t want = strlen(text);
	for (;;) {
		char *hit = memmem(me->seen, me->seen_len, text, want);
		if (hit != NULL) {
			size_t used = (size_t)(hit - me->seen) + want;
			me->seen_len -= used;
			memmove(me->seen, me->seen + used, me->seen_len);
			return 1;
		}
		/* What can no longer be part of a hit makes room: payloads are longer than seen. */
		if (me->seen_len == SEEN_MAX) {
			memmove(me->seen, me->seen + SEEN_MAX - want, want);
			me->seen_len = want;
		}
		if (!ready(me, fd, POLLIN))
			return 0;
		ssize_t n = recv(fd, me->seen + me->seen_len, SEEN_MAX - me->seen_len, 0);
		if (n <= 0)
			return 0;
		me->seen_len += (size_t)n;
	}
}

static int
send_all(struct kvr_peer *me, int fd, const char *text, size_t len)
{
	while (len > 0) {
		if (!ready(me, fd, POLLOUT))
			return 0;
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return 0;
		text += n;
		len -= (size_t)n;
	}
	return 1;
}

static int
fill(struct kvr_peer *me, int fd, char byte, size_t len)
{
	char block[8192];
	memset(block, byte, sizeof(block));
	for (size_t n = 0; len > 0; len -= n) {
		n = len < sizeof(block) ? len : sizeof(block);
		if (!send_all(me, fd, block, n))
			return 0;
	}
	return 1;
}

static int
stall(struct kvr_peer *me, int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLRDHUP },
		{ .fd = me->stop_fd, .events = POLLIN } };
	poll(p, 2, -1);
	return 0;
}

/* False: this connection is over. */
static int
act(struct kvr_peer *me, int fd, const struct kvr_peer_act *a)
{
	const struct linger abort_it = { .l_onoff = 1, .l_linger = 0 };
	size_t len = a->len > 0 || a->text == NULL ? a->len : strlen(a->text);
	switch (a->what) {
	case KVR_PEER_AWAIT:
		return await(me, fd, a->text);
	case KVR_PEER_SEND:
		return send_all(me, fd, a->text, len);
	case KVR_PEER_FILL:
		return fill(me, fd, a->text[0], len);
	case KVR_PEER_STALL:
		return stall(me, fd);
	case KVR_PEER_RESET:
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
		return 0;
	case KVR_PEER_CLOSE:
	default:
		return 0;
	}
}

static void *
peer_main(void *arg)
{
	struct kvr_peer *me = arg;
	size_t at = 0;
	while (at < me->n && ready(me, me->listen_fd, POLLIN)) {
		int fd = accept(me->listen_fd, NULL, NULL);
		int go = fd >= 0;
		me->seen_len = 0;
		while (go && at < me->n) {
			go = act(me, fd, &me->acts[at]);
			arrived(me, ++at);
		}
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

struct kvr_peer *
kvr_peer_start(const struct kvr_peer_act *acts, size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	sigset_t all, before;
	struct kvr_peer *me = calloc(1, sizeof(*me));
	ck_assert_ptr_nonnull(me);
	me->acts = acts;
	me->n = n;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	me->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	me->stop_fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(bind(me->listen_fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(me->listen_fd, 16), 0);
	ck_assert_int_eq(getsockname(me->listen_fd, (struct sockaddr *)&a, &len), 0);
	me->port = ntohs(a.sin_port);
	snprintf(me->url, sizeof(me->url), "redis://127.0.0.1:%u", me->port);
	pthread_mutex_init(&me->lock, NULL);
	pthread_cond_init(&me->moved, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ck_assert_int_eq(pthread_create(&me->thread, NULL, peer_main, me), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return me;
}

uint16_t
kvr_peer_port(const struct kvr_peer *me)
{
	return me->port;
}

const char *
kvr_peer_url(const struct kvr_peer *me)
{
	return me->url;
}

void
kvr_peer_wait(struct kvr_peer *me, size_t nth)
{
	pthread_mutex_lock(&me->lock);
	while (me->at < nth)
		pthread_cond_wait(&me->moved, &me->lock);
	pthread_mutex_unlock(&me->lock);
}

void
kvr_peer_stop(struct kvr_peer *take)
{
	uint64_t one = 1;
	ck_assert_int_eq(write(take->stop_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(take->thread, NULL);
	close(take->listen_fd);
	close(take->stop_fd);
	pthread_mutex_destroy(&take->lock);
	pthread_cond_destroy(&take->moved);
	free(take);
}
