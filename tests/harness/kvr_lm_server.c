/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lm_own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Not Check's macros: they work in tests only, and programs that measure need a server too. */
static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "lm server for a test: %s: %s\n", what, strerror(errno));
	abort();
}

static void __attribute__((format(printf, 2, 3)))
deviation(struct kvr_lm_server *me, const char *fmt, ...)
{
	va_list args;
	pthread_mutex_lock(&me->lock);
	va_start(args, fmt);
	if (me->count.deviations++ == 0)
		vsnprintf(me->count.first_deviation, sizeof(me->count.first_deviation), fmt, args);
	va_end(args);
	pthread_mutex_unlock(&me->lock);
}

static void
note(struct kvr_lm_server *me, struct log *log, const void *at, size_t len)
{
	pthread_mutex_lock(&me->lock);
	size_t n = len < LOG_MAX - log->len ? len : LOG_MAX - log->len;
	memcpy(log->at + log->len, at, n);
	log->len += n;
	pthread_mutex_unlock(&me->lock);
}

enum { PIECE = 65536 };

enum end { WHOLE, CLOSED, RESET };

static int
may_go_on(struct kvr_lm_server *me, int fd, short events)
{
	struct pollfd p[2] = { { .fd = fd, .events = events },
		{ .fd = me->stop_fd, .events = POLLIN } };
	poll(p, 2, -1);
	return p[1].revents == 0;
}

static enum end
receive(struct connection *c, void *to, size_t len)
{
	uint8_t *at = to;
	while (len > 0) {
		if (!may_go_on(c->server, c->fd, POLLIN))
			return RESET;
		ssize_t n = recv(c->fd, at, len, 0);
		if (n == 0)
			return CLOSED;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return RESET;
		note(c->server, &c->server->came, at, (size_t)n);
		at += n;
		len -= (size_t)n;
	}
	return WHOLE;
}

static enum end
send_all(struct connection *c, const void *from, size_t len)
{
	const uint8_t *at = from;
	/* Before it goes: whoever has received it may look at once. */
	note(c->server, &c->server->went, from, len);
	while (len > 0) {
		if (!may_go_on(c->server, c->fd, POLLOUT))
			return RESET;
		ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0)
			return RESET;
		at += n;
		len -= (size_t)n;
	}
	return WHOLE;
}

static void
hold(struct kvr_lm_server *me, uint64_t from, uint64_t to)
{
	pthread_mutex_lock(&me->lock);
	if (from <= me->hold_at && me->hold_at < to) {
		me->holds = 1;
		pthread_cond_broadcast(&me->moved);
		while (me->holds)
			pthread_cond_wait(&me->moved, &me->lock);
	}
	pthread_mutex_unlock(&me->lock);
}

static enum end
receive_payload(struct connection *c, uint8_t *to, size_t len)
{
	enum end end = WHOLE;
	for (size_t at = 0; end == WHOLE && at < len; at += PIECE) {
		size_t n = len - at < PIECE ? len - at : PIECE;
		hold(c->server, at, at + n);
		end = receive(c, to + at, n);
	}
	return end;
}

static struct value *
find(struct kvr_lm_server *me, const char *key)
{
	struct value *v = me->values;
	while (v != NULL && strcmp(v->key, key) != 0)
		v = v->next;
	return v;
}

static void
keep(struct kvr_lm_server *me, const struct kvr_lm_words *words, uint8_t *take_bytes)
{
	pthread_mutex_lock(&me->lock);
	struct value *v = find(me, words->key);
	me->count.puts++;
	me->count.broken += take_bytes == NULL;
	if (me->forgets) {
		free(take_bytes);
	} else {
		if (v == NULL) {
			v = calloc(1, sizeof(*v));
			need(v != NULL, "memory");
			snprintf(v->key, sizeof(v->key), "%s", words->key);
			v->next = me->values;
			me->values = v;
		}
		free(v->bytes);
		memcpy(v->head, words->head, sizeof(v->head));
		v->bytes = take_bytes;
		v->len = words->len;
	}
	pthread_mutex_unlock(&me->lock);
}

/* As CPython's: a receive that ends answers nothing and is kept, one that fails unwinds. */
static enum end
put(struct connection *c, const struct kvr_lm_words *words)
{
	uint8_t *bytes = malloc(words->len + 1);
	need(bytes != NULL, "memory");
	enum end end = receive_payload(c, bytes, words->len);
	if (end == WHOLE)
		keep(c->server, words, bytes);
	else
		free(bytes);
	if (end == CLOSED)
		keep(c->server, words, NULL);
	return end;
}

static enum end
answer(struct connection *c, int yes, const uint8_t *head)
{
	uint8_t tell[KVR_LM_WORDS_TELL];
	kvr_lm_words_tell(tell, yes, head);
	return send_all(c, tell, sizeof(tell));
}

static enum end
exist(struct connection *c, const struct kvr_lm_words *words)
{
	pthread_mutex_lock(&c->server->lock);
	int yes = find(c->server, words->key) != NULL;
	pthread_mutex_unlock(&c->server->lock);
	return answer(c, yes, NULL);
}

static enum end
get(struct connection *c, const struct kvr_lm_words *words)
{
	uint8_t head[KVR_LM_WORDS_HEAD], *copy = NULL;
	size_t len = 0;
	pthread_mutex_lock(&c->server->lock);
	const struct value *v = find(c->server, words->key);
	int yes = v != NULL, broken = yes && v->bytes == NULL;
	if (yes) {
		memcpy(head, v->head, sizeof(head));
		len = v->len;
		copy = malloc(len + 1);
		need(copy != NULL, "memory");
		if (!broken)
			memcpy(copy, v->bytes, len);
	}
	pthread_mutex_unlock(&c->server->lock);
	enum end end = answer(c, yes, yes ? head : NULL);
	if (end == WHOLE && broken)
		end = CLOSED;
	else if (end == WHOLE && yes)
		end = send_all(c, copy, len);
	free(copy);
	return end;
}

/* CLOSED also when it is the server that closes. */
static enum end
serve_one(struct connection *c)
{
	uint8_t ask[KVR_LM_WORDS_ASK];
	struct kvr_lm_words words;
	struct kvr_lm_server *me = c->server;
	char odd[128] = "";
	enum end end = receive(c, ask, sizeof(ask));
	if (end != WHOLE)
		return end;
	pthread_mutex_lock(&me->lock);
	me->count.requests++;
	pthread_mutex_unlock(&me->lock);
	int readable = kvr_lm_words_read(ask, &words, odd, sizeof(odd));
	if (odd[0] != '\0')
		deviation(me, "%s", odd);
	if (!readable)
		return CLOSED;
	switch (words.command) {
	case KVR_LM_WORDS_PUT:
		return put(c, &words);
	case KVR_LM_WORDS_GET:
		return get(c, &words);
	case KVR_LM_WORDS_EXIST:
		return exist(c, &words);
	case KVR_LM_WORDS_HEALTH:
		return answer(c, 1, NULL);
	case KVR_LM_WORDS_LIST:
	default:
		return WHOLE;
	}
}

static void *
connection_main(void *arg)
{
	struct connection *c = arg;
	struct kvr_lm_server *me = c->server;
	enum end end = WHOLE;
	while (end == WHOLE)
		end = serve_one(c);
	shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_lock(&me->lock);
	me->count.ends += end == CLOSED;
	me->count.resets += end == RESET;
	me->over++;
	pthread_cond_broadcast(&me->moved);
	pthread_mutex_unlock(&me->lock);
	return NULL;
}

static void *
server_main(void *arg)
{
	struct kvr_lm_server *me = arg;
	while (may_go_on(me, me->listen_fd, POLLIN)) {
		int fd = accept4(me->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (me->n == CONNECTIONS_MAX) {
			deviation(me, "more than %d connections", CONNECTIONS_MAX);
			close(fd);
			continue;
		}
		pthread_mutex_lock(&me->lock);
		me->count.connections++;
		pthread_mutex_unlock(&me->lock);
		struct connection *c = &me->connections[me->n++];
		*c = (struct connection){ .server = me, .fd = fd };
		need(pthread_create(&c->thread, NULL, connection_main, c) == 0, "thread");
	}
	return NULL;
}

struct kvr_lm_server *
kvr_lm_server_start(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	sigset_t all, before;
	struct kvr_lm_server *me = calloc(1, sizeof(*me));
	need(me != NULL, "memory");
	me->hold_at = UINT64_MAX;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	me->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	me->stop_fd = eventfd(0, EFD_CLOEXEC);
	need(bind(me->listen_fd, (struct sockaddr *)&a, len) == 0 &&
	        listen(me->listen_fd, 64) == 0 &&
	        getsockname(me->listen_fd, (struct sockaddr *)&a, &len) == 0, "no free port");
	me->port = ntohs(a.sin_port);
	snprintf(me->url, sizeof(me->url), "lm://127.0.0.1:%u", me->port);
	pthread_mutex_init(&me->lock, NULL);
	pthread_cond_init(&me->moved, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	need(pthread_create(&me->thread, NULL, server_main, me) == 0, "thread");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return me;
}

void
kvr_lm_server_stop(struct kvr_lm_server *take)
{
	uint64_t one = 1;
	if (take == NULL)
		return;
	need(write(take->stop_fd, &one, sizeof(one)) == sizeof(one), "eventfd");
	pthread_join(take->thread, NULL);
	kvr_lm_server_hold_at(take, UINT64_MAX);
	kvr_lm_server_let_go(take);
	for (uint32_t i = 0; i < take->n; i++) {
		pthread_join(take->connections[i].thread, NULL);
		close(take->connections[i].fd);
	}
	for (struct value *v = take->values, *next; v != NULL; v = next) {
		next = v->next;
		free(v->bytes);
		free(v);
	}
	close(take->listen_fd);
	close(take->stop_fd);
	pthread_mutex_destroy(&take->lock);
	pthread_cond_destroy(&take->moved);
	free(take);
}
