/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fault_proxy.h"
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

struct kvr_fault_proxy {
	int             listen_fd;
	int             event_fd; /* wakes the thread: stop or let_go */
	uint16_t        server_port;
	char            url[40];
	pthread_t       thread;
	pthread_mutex_t lock; /* over all below */
	pthread_cond_t  moved;
	uint64_t        cut_at, flip_at, hold_at;
	uint64_t        sent;
	int             held, stop;
};

static struct sockaddr_in
loopback(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* The other side may be gone already: then there is nobody to tell. */
static int
send_all(int fd, const char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n <= 0)
			return 0;
		at += n;
		len -= (size_t)n;
	}
	return 1;
}

static void
drain_events(struct kvr_fault_proxy *me)
{
	uint64_t count;
	ssize_t n = read(me->event_fd, &count, sizeof(count));
	(void)n;
}

/* How many bytes of the server may pass now; -1: the connection ends here. */
static ssize_t
allowed(struct kvr_fault_proxy *me, size_t max)
{
	ssize_t n = (ssize_t)max;
	pthread_mutex_lock(&me->lock);
	uint64_t until = me->cut_at < me->hold_at ? me->cut_at : me->hold_at;
	if (me->stop || me->sent >= me->cut_at) {
		n = -1;
	} else if (me->sent >= me->hold_at) {
		n = 0;
		me->held = 1;
		pthread_cond_broadcast(&me->moved);
	} else if (until - me->sent < max) {
		n = (ssize_t)(until - me->sent);
	}
	pthread_mutex_unlock(&me->lock);
	return n;
}

static int
down(struct kvr_fault_proxy *me, int from, int to, size_t max)
{
	char block[65536];
	ssize_t n = recv(from, block, max < sizeof(block) ? max : sizeof(block), 0);
	if (n <= 0)
		return 0;
	pthread_mutex_lock(&me->lock);
	if (me->flip_at >= me->sent && me->flip_at - me->sent < (uint64_t)n)
		block[me->flip_at - me->sent] ^= 4;
	me->sent += (uint64_t)n;
	pthread_mutex_unlock(&me->lock);
	return send_all(to, block, (size_t)n);
}

static int
up(int from, int to)
{
	char block[65536];
	ssize_t n = recv(from, block, sizeof(block), 0);
	return n > 0 && send_all(to, block, (size_t)n);
}

static void
relay(struct kvr_fault_proxy *me, int client, int server)
{
	for (;;) {
		ssize_t room = allowed(me, 65536);
		if (room < 0)
			return;
		struct pollfd p[3] = { { .fd = client, .events = POLLIN },
			{ .fd = room > 0 ? server : -1, .events = POLLIN },
			{ .fd = me->event_fd, .events = POLLIN } };
		poll(p, 3, -1);
		if (p[2].revents != 0)
			drain_events(me);
		if (p[0].revents != 0 && !up(client, server))
			return;
		if (p[1].revents != 0 && !down(me, server, client, (size_t)room))
			return;
	}
}

static int
stopped(struct kvr_fault_proxy *me)
{
	pthread_mutex_lock(&me->lock);
	int stop = me->stop;
	pthread_mutex_unlock(&me->lock);
	return stop;
}

static void *
proxy_main(void *arg)
{
	struct kvr_fault_proxy *me = arg;
	while (!stopped(me)) {
		struct pollfd p[2] = { { .fd = me->listen_fd, .events = POLLIN },
			{ .fd = me->event_fd, .events = POLLIN } };
		poll(p, 2, -1);
		if (p[1].revents != 0)
			drain_events(me);
		if (p[0].revents == 0)
			continue;
		struct sockaddr_in a = loopback(me->server_port);
		int client = accept(me->listen_fd, NULL, NULL);
		int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		pthread_mutex_lock(&me->lock);
		me->sent = 0;
		pthread_mutex_unlock(&me->lock);
		if (connect(server, (struct sockaddr *)&a, sizeof(a)) == 0)
			relay(me, client, server);
		close(client);
		close(server);
	}
	return NULL;
}

struct kvr_fault_proxy *
kvr_fault_proxy_start(uint16_t server_port)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	sigset_t all, before;
	struct kvr_fault_proxy *me = calloc(1, sizeof(*me));
	ck_assert_ptr_nonnull(me);
	me->server_port = server_port;
	me->cut_at = me->flip_at = me->hold_at = KVR_FAULT_NEVER;
	me->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	me->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(bind(me->listen_fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(me->listen_fd, 16), 0);
	ck_assert_int_eq(getsockname(me->listen_fd, (struct sockaddr *)&a, &len), 0);
	snprintf(me->url, sizeof(me->url), "redis://127.0.0.1:%u", ntohs(a.sin_port));
	pthread_mutex_init(&me->lock, NULL);
	pthread_cond_init(&me->moved, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ck_assert_int_eq(pthread_create(&me->thread, NULL, proxy_main, me), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return me;
}

const char *
kvr_fault_proxy_url(const struct kvr_fault_proxy *me)
{
	return me->url;
}

static void
set(struct kvr_fault_proxy *me, uint64_t *what, uint64_t at)
{
	uint64_t one = 1;
	pthread_mutex_lock(&me->lock);
	*what = at;
	me->held = 0;
	pthread_mutex_unlock(&me->lock);
	ck_assert_int_eq(write(me->event_fd, &one, sizeof(one)), sizeof(one));
}

void
kvr_fault_proxy_cut_at(struct kvr_fault_proxy *me, uint64_t at)
{
	set(me, &me->cut_at, at);
}

void
kvr_fault_proxy_flip_at(struct kvr_fault_proxy *me, uint64_t at)
{
	set(me, &me->flip_at, at);
}

void
kvr_fault_proxy_hold_at(struct kvr_fault_proxy *me, uint64_t at)
{
	set(me, &me->hold_at, at);
}

void
kvr_fault_proxy_wait_held(struct kvr_fault_proxy *me)
{
	pthread_mutex_lock(&me->lock);
	while (!me->held)
		pthread_cond_wait(&me->moved, &me->lock);
	pthread_mutex_unlock(&me->lock);
}

void
kvr_fault_proxy_let_go(struct kvr_fault_proxy *me)
{
	set(me, &me->hold_at, KVR_FAULT_NEVER);
}

uint64_t
kvr_fault_proxy_sent(struct kvr_fault_proxy *me)
{
	pthread_mutex_lock(&me->lock);
	uint64_t sent = me->sent;
	pthread_mutex_unlock(&me->lock);
	return sent;
}

void
kvr_fault_proxy_stop(struct kvr_fault_proxy *take)
{
	uint64_t one = 1;
	pthread_mutex_lock(&take->lock);
	take->stop = 1;
	pthread_mutex_unlock(&take->lock);
	ck_assert_int_eq(write(take->event_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(take->thread, NULL);
	close(take->listen_fd);
	close(take->event_fd);
	pthread_mutex_destroy(&take->lock);
	pthread_cond_destroy(&take->moved);
	free(take);
}
