/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client to beat: socket calls and nothing else, with what measured fastest. Two GETs in
 * flight, for with all of them the server builds every reply in fresh memory; receives of 64 KiB
 * straight into the destination; writes of at most 1 MiB. With two connections each takes every
 * other value, on a thread of its own.
 */
#include "kvr_race.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SLICE = 65536, PIECE = 1 << 20, GETS = 2, PUTS = 4, CONNECTIONS = 2 };

struct line {
	int fd;
	uint32_t first, step;
	bool put, end;
	pthread_t thread;
	sem_t go, done;
	const struct race_work *work;
};

struct raw {
	uint32_t n;
	struct line line[CONNECTIONS];
};

static void
send_all(int fd, struct iovec *iov, int n)
{
	while (n > 0) {
		struct iovec one = *iov;

		if (one.iov_len > PIECE)
			one.iov_len = PIECE;
		ssize_t sent =
		    one.iov_len < iov->iov_len ? writev(fd, &one, 1) : writev(fd, iov, n);

		if (sent <= 0)
			race_give_up("raw", "send failed");
		while (n > 0 && (size_t)sent >= iov->iov_len) {
			sent -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + sent;
			iov->iov_len -= (size_t)sent;
		}
	}
}

static void
recv_all(int fd, void *to, size_t len)
{
	uint8_t *at = to;

	while (len > 0) {
		ssize_t n = recv(fd, at, len < SLICE ? len : SLICE, 0);

		if (n <= 0)
			race_give_up("raw", "receive failed");
		at += n;
		len -= (size_t)n;
	}
}

static void
ask(const struct line *l, uint32_t i)
{
	char text[192];
	const char *key = l->work->key[i];
	int len =
	    snprintf(text, sizeof(text), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
	struct iovec iov = { text, (size_t)len };

	send_all(l->fd, &iov, 1);
}

static void
take(const struct line *l, uint32_t i)
{
	char want[32], got[32], end[2];
	size_t len =
	    (size_t)snprintf(want, sizeof(want), "$%llu\r\n", (unsigned long long)l->work->len[i]);

	recv_all(l->fd, got, len);
	if (memcmp(got, want, len) != 0)
		race_give_up("raw", "the value is not as long as it was stored");
	recv_all(l->fd, l->work->at[i], l->work->len[i]);
	recv_all(l->fd, end, sizeof(end));
}

static void
line_get(const struct line *l)
{
	uint32_t asked = l->first;

	for (uint32_t i = l->first; i < l->work->n; i += l->step) {
		for (; asked < l->work->n && asked < i + GETS * l->step; asked += l->step)
			ask(l, asked);
		take(l, i);
	}
}

static void
wait_ok(const struct line *l)
{
	char got[5];

	recv_all(l->fd, got, sizeof(got));
	if (memcmp(got, "+OK\r\n", sizeof(got)) != 0)
		race_give_up("raw", "a value was not stored");
}

static void
line_put(const struct line *l)
{
	uint32_t flying = 0;

	for (uint32_t i = l->first; i < l->work->n; i += l->step) {
		char text[224], end[] = "\r\n";
		const char *key = l->work->key[i];
		int len = snprintf(text, sizeof(text), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%llu\r\n",
		    strlen(key), key, (unsigned long long)l->work->len[i]);
		struct iovec iov[3] = { { text, (size_t)len }, { l->work->at[i], l->work->len[i] },
			{ end, 2 } };

		send_all(l->fd, iov, 3);
		if (++flying > PUTS) {
			wait_ok(l);
			flying--;
		}
	}
	for (; flying > 0; flying--)
		wait_ok(l);
}

static void
line_run(const struct line *l)
{
	if (l->put)
		line_put(l);
	else
		line_get(l);
}

static void *
line_main(void *arg)
{
	struct line *l = arg;

	for (;;) {
		while (sem_wait(&l->go) != 0)
			;
		if (l->end)
			return NULL;
		line_run(l);
		sem_post(&l->done);
	}
}

static int
dial(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		race_give_up("raw", "connect failed");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void *
raw_open(const struct racer *r, const struct kvr_redis_server *server)
{
	struct raw *me = calloc(1, sizeof(*me));

	if (me == NULL)
		race_give_up(r->name, "no memory");
	me->n = (uint32_t)atoi(r->setting);
	for (uint32_t i = 0; i < me->n; i++) {
		struct line *l = &me->line[i];

		l->fd = dial(server->port);
		l->first = i;
		l->step = me->n;
		if (i > 0 && (sem_init(&l->go, 0, 0) != 0 || sem_init(&l->done, 0, 0) != 0 ||
		                 pthread_create(&l->thread, NULL, line_main, l) != 0))
			race_give_up(r->name, "no thread");
	}
	return me;
}

static void
raw_close(void *self)
{
	struct raw *me = self;

	for (uint32_t i = 0; i < me->n; i++) {
		struct line *l = &me->line[i];

		if (i > 0) {
			l->end = true;
			sem_post(&l->go);
			pthread_join(l->thread, NULL);
			sem_destroy(&l->go);
			sem_destroy(&l->done);
		}
		close(l->fd);
	}
	free(me);
}

static void
raw_run(struct raw *me, const struct race_work *w, bool put)
{
	for (uint32_t i = me->n; i-- > 0;) {
		me->line[i].work = w;
		me->line[i].put = put;
		if (i > 0)
			sem_post(&me->line[i].go);
		else
			line_run(&me->line[0]);
	}
	for (uint32_t i = 1; i < me->n; i++)
		while (sem_wait(&me->line[i].done) != 0)
			;
}

static void
raw_put(void *self, const struct race_work *w)
{
	raw_run(self, w, true);
}

static void
raw_get(void *self, const struct race_work *w)
{
	raw_run(self, w, false);
}

static bool
raw_look(void *self, const char *key)
{
	struct raw *me = self;
	char text[192], got[4];
	int len =
	    snprintf(text, sizeof(text), "*2\r\n$6\r\nEXISTS\r\n$%zu\r\n%s\r\n", strlen(key), key);
	struct iovec iov = { text, (size_t)len };

	send_all(me->line[0].fd, &iov, 1);
	recv_all(me->line[0].fd, got, sizeof(got));
	return memcmp(got, ":1\r\n", sizeof(got)) == 0;
}

const struct racer race_raw_1 = { .name = "raw",
	.what = "socket calls, one connection",
	.for_look = true,
	.open = raw_open,
	.close = raw_close,
	.put = raw_put,
	.get = raw_get,
	.look = raw_look,
	.setting = "1" };
const struct racer race_raw_2 = { .name = "raw x2",
	.what = "socket calls, two connections on two threads",
	.open = raw_open,
	.close = raw_close,
	.put = raw_put,
	.get = raw_get,
	.look = raw_look,
	.setting = "2" };
