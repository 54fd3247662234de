/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_bad_net.h"
#include "kvr_command_swap.h"
#include "kvr_net_faults.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 64, ROOM = KVR_SWAP_OUT, AT_ONCE = 65536, DRIP_MS = 100 };

/* Bytes on their way in one direction. */
struct way {
	size_t at, len;
	char bytes[ROOM];
};

struct pair {
	int fd[2];     /* client, server; -1: the pair is free */
	uint64_t sent; /* bytes of the server since the mode was set */
	uint64_t drip_at_ms;
	struct kvr_net_chunk chunk;   /* SCRIPT: what becomes of the bytes that wait */
	struct kvr_command_swap swap; /* SCRIPT */
	struct way way[2]; /* from client, from server */
};

struct kvr_bad_net {
	int listen_fd, event_fd;
	uint16_t server_port;
	char url[40];
	pthread_t thread;
	pthread_mutex_t lock; /* over all below */
	enum kvr_net_mode mode;
	uint64_t at, changes, accepted;
	int stop;
	struct kvr_net_faults faults; /* of SCRIPT */
	struct pair pair[PAIRS]; /* the thread's own */
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000U + (uint64_t)t.tv_nsec / 1000000U;
}

static struct sockaddr_in
loopback(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void
end_pair(struct pair *p, int reset)
{
	const struct linger rst = { .l_onoff = 1 };

	if (reset)
		setsockopt(p->fd[0], SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
	close(p->fd[0]);
	close(p->fd[1]);
	p->fd[0] = p->fd[1] = -1;
}

static void
accept_one(struct kvr_bad_net *me)
{
	struct sockaddr_in a = loopback(me->server_port);
	int client = accept4(me->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pair *p = NULL;

	for (int i = 0; i < PAIRS && p == NULL; i++) {
		if (me->pair[i].fd[0] < 0)
			p = &me->pair[i];
	}
	pthread_mutex_lock(&me->lock);
	me->accepted++;
	pthread_mutex_unlock(&me->lock);
	if (client < 0 || p == NULL || connect(server, (struct sockaddr *)&a, sizeof(a)) != 0) {
		if (client >= 0)
			close(client);
		close(server);
		return;
	}
	p->fd[0] = client;
	p->fd[1] = server;
	p->sent = p->drip_at_ms = 0;
	memset(&p->swap, 0, sizeof(p->swap));
	p->way[0].at = p->way[0].len = p->way[1].at = p->way[1].len = 0;
}

/* 0: the connection ends. faults: NULL without a script. */
static int
fill(struct pair *p, int from, struct kvr_net_faults *faults)
{
	struct way *w = &p->way[from];
	char commands[KVR_SWAP_IN];
	bool swaps = faults != NULL && from == 0;
	ssize_t n = swaps ? recv(p->fd[0], commands, sizeof(commands), MSG_DONTWAIT)
	                  : recv(p->fd[from], w->bytes, AT_ONCE, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		return 0;
	w->at = 0;
	w->len = n < 0 ? 0 : (size_t)n;
	if (swaps)
		w->len = kvr_command_swap(&p->swap, commands, w->len,
		    kvr_net_faults_code(faults), kvr_net_faults_hit_command, faults, w->bytes);
	else if (faults != NULL && n > 0)
		kvr_net_faults_meet(faults, w->bytes, w->len, &p->chunk);
	return 1;
}

static int
empty(struct pair *p, int from, size_t max)
{
	struct way *w = &p->way[from];
	ssize_t n = send(p->fd[1 - from], w->bytes + w->at, max < w->len ? max : w->len,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN;
	w->at += (size_t)n;
	w->len -= (size_t)n;
	return 1;
}

/* What the mode does to the bytes of the server that wait; how many may go. -1: it ends here. */
static ssize_t
spoil(struct pair *p, enum kvr_net_mode mode, uint64_t at)
{
	struct way *w = &p->way[1];
	size_t n = w->len;

	switch (mode) {
	case KVR_NET_PASS:
		break;
	case KVR_NET_SCRIPT:
		return kvr_net_chunk_room(&p->chunk, w->len);
	case KVR_NET_BLACKHOLE:
		w->len = n = 0;
		break;
	case KVR_NET_DRIP:
		n = n > 0 && now_ms() >= p->drip_at_ms ? 1 : 0;
		if (n == 1)
			p->drip_at_ms = now_ms() + DRIP_MS;
		break;
	case KVR_NET_RESET:
	case KVR_NET_CUT:
		if (p->sent >= at)
			return -1;
		n = at - p->sent < n ? (size_t)(at - p->sent) : n;
		break;
	case KVR_NET_FLIP:
		for (size_t i = 0; i < n; i++) {
			if ((p->sent + i + 1) % at == 0)
				w->bytes[w->at + i] ^= 4;
		}
		break;
	}
	return (ssize_t)n;
}

static void
serve(struct pair *p, const struct pollfd *polled, enum kvr_net_mode mode, uint64_t at,
    struct kvr_net_faults *faults)
{
	if (faults != NULL && kvr_net_faults_down(faults)) {
		end_pair(p, 1);
		return;
	}
	for (int from = 0; from < 2; from++) {
		struct way *w = &p->way[from];

		if (w->len == 0 && polled[from].revents != 0 && !fill(p, from, faults)) {
			end_pair(p, 0);
			return;
		}
		/* FLIP must see each byte once, so what it has seen goes before more is read. */
		ssize_t n = from == 0 ? (ssize_t)w->len : spoil(p, mode, at);
		size_t before = w->len;

		if (n < 0 || (n > 0 && !empty(p, from, (size_t)n))) {
			end_pair(p, mode == KVR_NET_RESET || (faults != NULL && p->chunk.reset));
			return;
		}
		if (from == 1 && faults != NULL)
			kvr_net_chunk_sent(&p->chunk, before - w->len);
		if (from == 1 && mode == KVR_NET_FLIP) {
			for (size_t i = before - w->len; i < before;
			     i++) { /* unsent: as they came */
				if ((p->sent + i + 1) % at == 0)
					w->bytes[w->at + i - (before - w->len)] ^= 4;
			}
		}
		if (from == 1)
			p->sent += before - w->len;
	}
}

/* How long poll may sleep: bytes that wait for room are looked at again soon. */
static int
watch(struct kvr_bad_net *me, struct pollfd *polled)
{
	int wait_ms = -1;

	polled[0] = (struct pollfd){ .fd = me->listen_fd, .events = POLLIN };
	polled[1] = (struct pollfd){ .fd = me->event_fd, .events = POLLIN };
	for (int i = 0; i < PAIRS; i++) {
		struct pair *p = &me->pair[i];

		for (int side = 0; side < 2; side++) {
			short events = p->fd[0] >= 0 && p->way[side].len == 0 ? POLLIN : 0;

			polled[2 + 2 * i + side] =
			    (struct pollfd){ .fd = p->fd[0] < 0 ? -1 : p->fd[side],
				    .events = events };
			if (p->fd[0] >= 0 && p->way[side].len > 0)
				wait_ms = 1;
		}
	}
	return wait_ms;
}

static void *
net_main(void *arg)
{
	struct kvr_bad_net *me = arg;
	struct pollfd polled[2 + 2 * PAIRS];
	struct kvr_net_faults faults;
	uint64_t changes = 0, count;

	for (;;) {
		poll(polled, 2 + 2 * PAIRS, watch(me, polled));
		pthread_mutex_lock(&me->lock);
		enum kvr_net_mode mode = me->mode;
		uint64_t at = me->at, now_changes = me->changes;
		int stop = me->stop;

		if (changes != now_changes)
			faults = me->faults;

		pthread_mutex_unlock(&me->lock);
		if (stop)
			return NULL;
		if (polled[1].revents != 0) {
			ssize_t n = read(me->event_fd, &count, sizeof(count));
			(void)n;
		}
		for (int i = 0; i < PAIRS; i++) {
			if (changes != now_changes)
				me->pair[i].sent = 0;
			if (me->pair[i].fd[0] >= 0)
				serve(&me->pair[i], &polled[2 + 2 * i], mode, at,
				    mode == KVR_NET_SCRIPT ? &faults : NULL);
		}
		changes = now_changes;
		if (polled[0].revents != 0)
			accept_one(me);
	}
}

/* No assertion of a test: benches have a bad network, too. */
static void
must(bool ok)
{
	if (ok)
		return;
	perror("kvr_bad_net");
	abort();
}

struct kvr_bad_net *
kvr_bad_net_start(uint16_t server_port)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	sigset_t all, before;
	struct kvr_bad_net *me = calloc(1, sizeof(*me));

	must(me != NULL);
	me->server_port = server_port;
	for (int i = 0; i < PAIRS; i++)
		me->pair[i].fd[0] = me->pair[i].fd[1] = -1;
	me->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	me->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(bind(me->listen_fd, (struct sockaddr *)&a, len) == 0);
	must(listen(me->listen_fd, 64) == 0);
	must(getsockname(me->listen_fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(me->url, sizeof(me->url), "redis://127.0.0.1:%u", ntohs(a.sin_port));
	pthread_mutex_init(&me->lock, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	must(pthread_create(&me->thread, NULL, net_main, me) == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return me;
}

const char *
kvr_bad_net_url(const struct kvr_bad_net *me)
{
	return me->url;
}

static void
wake(struct kvr_bad_net *me)
{
	uint64_t one = 1;

	must(write(me->event_fd, &one, sizeof(one)) == sizeof(one));
}

void
kvr_bad_net_mode(struct kvr_bad_net *me, enum kvr_net_mode mode, uint64_t at)
{
	must(mode != KVR_NET_FLIP || at > 0);
	pthread_mutex_lock(&me->lock);
	me->mode = mode;
	me->at = at;
	me->changes++;
	pthread_mutex_unlock(&me->lock);
	wake(me);
}

int
kvr_bad_net_script(struct kvr_bad_net *me, const char *text)
{
	struct kvr_net_faults faults;

	if (!kvr_net_faults_parse(&faults, text))
		return 0;
	pthread_mutex_lock(&me->lock);
	me->faults = faults;
	me->mode = KVR_NET_SCRIPT;
	me->changes++;
	pthread_mutex_unlock(&me->lock);
	wake(me);
	return 1;
}

uint64_t
kvr_bad_net_accepted(struct kvr_bad_net *me)
{
	pthread_mutex_lock(&me->lock);
	uint64_t n = me->accepted;

	pthread_mutex_unlock(&me->lock);
	return n;
}

void
kvr_bad_net_stop(struct kvr_bad_net *take)
{
	pthread_mutex_lock(&take->lock);
	take->stop = 1;
	pthread_mutex_unlock(&take->lock);
	wake(take);
	pthread_join(take->thread, NULL);
	for (int i = 0; i < PAIRS; i++) {
		if (take->pair[i].fd[0] >= 0)
			end_pair(&take->pair[i], 0);
	}
	close(take->listen_fd);
	close(take->event_fd);
	pthread_mutex_destroy(&take->lock);
	free(take);
}
