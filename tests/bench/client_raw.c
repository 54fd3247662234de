/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client to beat: socket calls and nothing else. Receives go straight into the destination and
 * writes straight from the source, both in slices; with several connections each takes every n-th
 * value, on a thread of its own. What number of connections, requests in flight and slice is best
 * differs from server to server, so whoever compares with it tries them first.
 */
#include "kvr_measure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { COMMAND = 160, REPLY = 32 };
enum act { PUT, GET, END };

struct line {
	int fd;
	uint32_t first, step, flight;
	uint64_t slice;
	enum act act;
	pthread_t thread;
	sem_t go, done;
	const struct bench_work *work;
};

struct raw {
	struct raw_setting setting;
	struct line line[RAW_CONNECTIONS];
	char commands[BENCH_KEYS_MAX * COMMAND];
};

static void
send_all(int fd, struct iovec *iov, int n, uint64_t slice)
{
	while (n > 0) {
		struct iovec one = *iov;

		if (one.iov_len > slice)
			one.iov_len = slice;
		ssize_t sent =
		    one.iov_len < iov->iov_len ? writev(fd, &one, 1) : writev(fd, iov, n);

		if (sent <= 0)
			bench_give_up("raw", "send failed");
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
recv_all(int fd, void *to, size_t len, uint64_t slice)
{
	uint8_t *at = to;

	while (len > 0) {
		ssize_t n = recv(fd, at, len < slice ? len : slice, 0);

		if (n <= 0)
			bench_give_up("raw", "receive failed");
		at += n;
		len -= (size_t)n;
	}
}

static void
ask(const struct line *l, uint32_t i)
{
	char text[COMMAND];
	const char *key = l->work->key[i];
	int len =
	    snprintf(text, sizeof(text), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
	struct iovec iov = { text, (size_t)len };

	send_all(l->fd, &iov, 1, sizeof(text));
}

static void
take(const struct line *l, uint32_t i)
{
	char want[REPLY], got[REPLY], end[2];
	size_t len =
	    (size_t)snprintf(want, sizeof(want), "$%llu\r\n", (unsigned long long)l->work->len[i]);

	recv_all(l->fd, got, len, len);
	if (memcmp(got, want, len) != 0)
		bench_give_up("raw", "the value is not as long as it was stored");
	recv_all(l->fd, l->work->at[i], l->work->len[i], l->slice);
	recv_all(l->fd, end, sizeof(end), sizeof(end));
}

static void
line_get(const struct line *l)
{
	uint32_t asked = l->first;

	for (uint32_t i = l->first; i < l->work->n; i += l->step) {
		for (; asked < l->work->n && asked < i + l->flight * l->step; asked += l->step)
			ask(l, asked);
		take(l, i);
	}
}

static void
wait_ok(const struct line *l)
{
	char got[5];

	recv_all(l->fd, got, sizeof(got), sizeof(got));
	if (memcmp(got, "+OK\r\n", sizeof(got)) != 0)
		bench_give_up("raw", "a value was not stored");
}

static void
line_put(const struct line *l)
{
	uint32_t flying = 0;

	for (uint32_t i = l->first; i < l->work->n; i += l->step) {
		char text[COMMAND], end[] = "\r\n";
		const char *key = l->work->key[i];
		int len = snprintf(text, sizeof(text), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%llu\r\n",
		    strlen(key), key, (unsigned long long)l->work->len[i]);
		struct iovec iov[3] = { { text, (size_t)len }, { l->work->at[i], l->work->len[i] },
			{ end, 2 } };

		send_all(l->fd, iov, 3, l->slice);
		if (++flying >= l->flight) {
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
	if (l->act == PUT)
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
		if (l->act == END)
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
		bench_give_up("raw", "connect failed");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
raw_close(void *self)
{
	struct raw *me = self;

	for (uint32_t i = 0; i < RAW_CONNECTIONS; i++) {
		struct line *l = &me->line[i];

		l->act = END;
		sem_post(&l->go);
		pthread_join(l->thread, NULL);
		sem_destroy(&l->go);
		sem_destroy(&l->done);
		close(l->fd);
	}
	free(me);
}

/* The caller's own thread serves the first connection, as everybody would write it. */
static void
raw_run(struct raw *me, const struct bench_work *w, enum act act)
{
	uint32_t n = me->setting.connections;

	for (uint32_t i = n; i-- > 0;) {
		struct line *l = &me->line[i];

		l->work = w;
		l->act = act;
		l->first = i;
		l->step = n;
		l->flight = me->setting.flight;
		l->slice = me->setting.slice;
		if (i > 0)
			sem_post(&l->go);
		else
			line_run(l);
	}
	for (uint32_t i = 1; i < n; i++)
		while (sem_wait(&me->line[i].done) != 0)
			;
}

static void
raw_put(void *self, const struct bench_work *w)
{
	raw_run(self, w, PUT);
}

static void
raw_get(void *self, const struct bench_work *w)
{
	raw_run(self, w, GET);
}

/* One write for all, as a pipeline is. */
static void
raw_look(void *self, const struct bench_work *w)
{
	struct raw *me = self;
	static const char yes[] = ":1\r\n";
	char got[4 * BENCH_KEYS_MAX];
	size_t len = 0;

	for (uint32_t i = 0; i < w->n; i++)
		len += (size_t)snprintf(me->commands + len, COMMAND,
		    "*2\r\n$6\r\nEXISTS\r\n$%zu\r\n%s\r\n", strlen(w->key[i]), w->key[i]);
	struct iovec iov = { me->commands, len };

	send_all(me->line[0].fd, &iov, 1, len);
	recv_all(me->line[0].fd, got, 4 * w->n, sizeof(got));
	for (uint32_t i = 0; i < w->n; i++)
		if (memcmp(got + 4 * i, yes, 4) != 0)
			bench_give_up("raw", "a value that was stored is not there");
}

void
raw_choose(const struct bench_client *c, struct raw_setting setting)
{
	((struct raw *)c->self)->setting = setting;
}

void
raw_name(char *ret, size_t cap, struct raw_setting s)
{
	char slice[24] = "whole", flight[24] = "all";

	if (s.slice < BENCH_BYTES_MAX)
		snprintf(slice, sizeof(slice), "%lluK", (unsigned long long)(s.slice >> 10));
	if (s.flight < RAW_ALL)
		snprintf(flight, sizeof(flight), "%u", s.flight);
	snprintf(ret, cap, "raw %uc %sf %s", s.connections, flight, slice);
}

struct bench_client
raw_open(uint16_t port)
{
	struct raw *me = calloc(1, sizeof(*me));

	if (me == NULL)
		bench_give_up("raw", "no memory");
	me->setting = (struct raw_setting){ 1, 2, BENCH_KIB(64) };
	for (uint32_t i = 0; i < RAW_CONNECTIONS; i++) {
		struct line *l = &me->line[i];

		l->fd = dial(port);
		if (sem_init(&l->go, 0, 0) != 0 || sem_init(&l->done, 0, 0) != 0 ||
		    pthread_create(&l->thread, NULL, line_main, l) != 0)
			bench_give_up("raw", "no thread");
	}
	return (struct bench_client){ .name = "raw",
		.self = me,
		.put = raw_put,
		.get = raw_get,
		.look = raw_look,
		.close = raw_close };
}
