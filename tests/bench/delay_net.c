/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long network between clients and a server on loopback: what the server sends arrives later, by
 * the time that is said, and as much of it is on its way at once as the server sends. Two threads a
 * connection and direction, and a ring of blocks between them; a ring that is full holds the server
 * up, as a window would.
 */
#include "delay_net.h"

#include "kvr_measure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 65536, BLOCKS = 512, CONNECTIONS_MAX = 64 };

struct block {
	uint64_t due_ns;
	ssize_t len; /* 0: the end */
	char bytes[BLOCK];
};

/* One way of one connection. */
struct way {
	int from, to;
	uint64_t delay_ns;
	struct block *ring;
	sem_t full, empty;
	pthread_t reader, writer;
};

struct delay_net {
	int listen_fd;
	uint16_t port, server_port;
	uint64_t delay_ns;
	pthread_t thread;
	struct way way[2 * CONNECTIONS_MAX];
	uint32_t n;
};

static void
wait_for(sem_t *s)
{
	while (sem_wait(s) != 0)
		;
}

static void *
read_on(void *arg)
{
	struct way *w = arg;

	for (uint64_t i = 0;; i++) {
		struct block *b = &w->ring[i % BLOCKS];

		wait_for(&w->empty);
		b->len = recv(w->from, b->bytes, BLOCK, 0);
		b->due_ns = bench_now_ns() + w->delay_ns;
		sem_post(&w->full);
		if (b->len <= 0)
			return NULL;
	}
}

static void
sleep_until(uint64_t ns)
{
	const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000) };

	while (
	    ns > bench_now_ns() && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		;
}

/* False: nobody is there any more. */
static bool
send_block(const struct way *w, const struct block *b)
{
	for (ssize_t sent = 0, n; sent < b->len; sent += n) {
		n = send(w->to, b->bytes + sent, (size_t)(b->len - sent), MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

/* Goes on until the reader has seen the end, for that one waits for room in the ring. */
static void *
write_on(void *arg)
{
	struct way *w = arg;
	bool dead = false;

	for (uint64_t i = 0;; i++) {
		struct block *b = &w->ring[i % BLOCKS];

		wait_for(&w->full);
		ssize_t len = b->len;

		if (!dead && len > 0)
			sleep_until(b->due_ns);
		dead = dead || len <= 0 || !send_block(w, b);
		if (dead) {
			shutdown(w->to, SHUT_RDWR);
			shutdown(w->from, SHUT_RDWR);
		}
		sem_post(&w->empty);
		if (len <= 0)
			return NULL;
	}
}

static void
start_way(struct delay_net *me, int from, int to, uint64_t delay_ns)
{
	struct way *w = &me->way[me->n];

	*w = (struct way){ .from = from, .to = to, .delay_ns = delay_ns };
	w->ring = calloc(BLOCKS, sizeof(*w->ring));
	if (w->ring == NULL || sem_init(&w->full, 0, 0) != 0 ||
	    sem_init(&w->empty, 0, BLOCKS) != 0 ||
	    pthread_create(&w->reader, NULL, read_on, w) != 0 ||
	    pthread_create(&w->writer, NULL, write_on, w) != 0)
		bench_give_up("delay", "no memory or no thread");
	me->n++;
}

static struct sockaddr_in
loopback(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void *
accept_on(void *arg)
{
	struct delay_net *me = arg;

	for (;;) {
		struct sockaddr_in a = loopback(me->server_port);
		const int on = 1;
		int client = accept(me->listen_fd, NULL, NULL);

		if (client < 0) /* shut down: that is the end */
			return NULL;
		int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (me->n + 2 > 2 * CONNECTIONS_MAX ||
		    connect(server, (struct sockaddr *)&a, sizeof(a)) != 0)
			bench_give_up("delay", "the server cannot be reached");
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		start_way(me, client, server, 0);
		start_way(me, server, client, me->delay_ns);
	}
}

struct delay_net *
delay_net_start(uint16_t server_port, uint64_t delay_ns)
{
	struct delay_net *me = calloc(1, sizeof(*me));
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);

	if (me == NULL)
		bench_give_up("delay", "no memory");
	me->server_port = server_port;
	me->delay_ns = delay_ns;
	me->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(me->listen_fd, (struct sockaddr *)&a, len) != 0 ||
	    listen(me->listen_fd, 64) != 0 ||
	    getsockname(me->listen_fd, (struct sockaddr *)&a, &len) != 0 ||
	    pthread_create(&me->thread, NULL, accept_on, me) != 0)
		bench_give_up("delay", "no listener");
	me->port = ntohs(a.sin_port);
	return me;
}

uint16_t
delay_net_port(const struct delay_net *me)
{
	return me->port;
}

void
delay_net_stop(struct delay_net *take)
{
	shutdown(take->listen_fd, SHUT_RDWR);
	pthread_join(take->thread, NULL);
	close(take->listen_fd);
	for (uint32_t i = 0; i < take->n; i++)
		shutdown(take->way[i].from, SHUT_RDWR);
	for (uint32_t i = 0; i < take->n; i++) {
		struct way *w = &take->way[i];

		pthread_join(w->reader, NULL);
		pthread_join(w->writer, NULL);
		sem_destroy(&w->full);
		sem_destroy(&w->empty);
		free(w->ring);
	}
	/* Two ways share two descriptors. */
	for (uint32_t i = 0; i < take->n; i++)
		close(take->way[i].from);
	free(take);
}
