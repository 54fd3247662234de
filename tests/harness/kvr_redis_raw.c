/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_redis_raw.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { WORDS_MAX = 16, LIMIT_S = 60, BLOCK = 65536 };

struct kvr_raw {
	int      fd;
	uint8_t *bytes;
	size_t   cap;
};

/* Not Check's macros: they work in tests only, and programs look into servers too. */
static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "raw client: %s\n", what);
	abort();
}

static void
send_all(struct kvr_raw *me, const void *at, size_t len)
{
	const uint8_t *from = at;
	while (len > 0) {
		ssize_t n = send(me->fd, from, len, MSG_NOSIGNAL);
		need(n > 0, "send failed");
		from += n;
		len -= (size_t)n;
	}
}

static void
recv_all(struct kvr_raw *me, void *to, size_t len)
{
	uint8_t *at = to;
	while (len > 0) {
		ssize_t n = recv(me->fd, at, len, 0);
		need(n > 0, "the server does not answer");
		at += n;
		len -= (size_t)n;
	}
}

static void
reserve(struct kvr_raw *me, size_t len)
{
	if (len < me->cap)
		return;
	free(me->bytes);
	me->cap = len + 1;
	me->bytes = malloc(me->cap);
	need(me->bytes != NULL, "no memory");
}

static size_t
recv_line(struct kvr_raw *me)
{
	size_t len = 0;
	reserve(me, 4096);
	do {
		need(len < 4095, "an endless line");
		recv_all(me, me->bytes + len, 1);
	} while (me->bytes[len++] != '\n');
	me->bytes[len - 2] = '\0';
	return len - 2;
}

static struct kvr_raw_reply
recv_reply(struct kvr_raw *me)
{
	char end[2];
	size_t len = recv_line(me);
	struct kvr_raw_reply r = {
		.kind = (char)me->bytes[0], .bytes = me->bytes + 1, .len = len - 1
	};
	if (r.kind == ':')
		r.n = strtoll((const char *)r.bytes, NULL, 10);
	if (r.kind != '$')
		return r;
	long long n = strtoll((const char *)r.bytes, NULL, 10);
	if (n < 0) {
		r.kind = '0';
		return r;
	}
	r.len = (size_t)n;
	reserve(me, r.len + 1);
	recv_all(me, me->bytes, r.len);
	recv_all(me, end, 2);
	me->bytes[r.len] = '\0';
	r.bytes = me->bytes;
	return r;
}

/* Gathered: a write per word would be most of what a long command costs. */
static void
gather(struct kvr_raw *me, char *block, size_t *held, const void *at, size_t len)
{
	if (*held + len > BLOCK) {
		send_all(me, block, *held);
		*held = 0;
	}
	if (len > BLOCK) {
		send_all(me, at, len);
		return;
	}
	memcpy(block + *held, at, len);
	*held += len;
}

struct kvr_raw_reply
kvr_raw_words(struct kvr_raw *me, const struct kvr_raw_word *words, size_t n)
{
	char block[BLOCK], head[32];
	size_t held = 0;
	gather(me, block, &held, head, (size_t)snprintf(head, sizeof(head), "*%zu\r\n", n));
	for (size_t i = 0; i < n; i++) {
		size_t len = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", words[i].len);
		gather(me, block, &held, head, len);
		gather(me, block, &held, words[i].at, words[i].len);
		gather(me, block, &held, "\r\n", 2);
	}
	send_all(me, block, held);
	return recv_reply(me);
}

struct kvr_raw_reply
kvr_raw(struct kvr_raw *me, const char *line)
{
	char text[2048];
	struct kvr_raw_word words[WORDS_MAX];
	size_t n = 0;
	char *rest = NULL;
	snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok_r(text, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
		need(n < WORDS_MAX, "too many words");
		words[n++] = (struct kvr_raw_word){ w, strlen(w) };
	}
	return kvr_raw_words(me, words, n);
}

struct kvr_raw_reply
kvr_raw_more(struct kvr_raw *me)
{
	return recv_reply(me);
}

struct kvr_raw_reply
kvr_raw_get(struct kvr_raw *me, const char *key)
{
	const struct kvr_raw_word words[] = { { "GET", 3 }, { key, strlen(key) } };
	return kvr_raw_words(me, words, 2);
}

void
kvr_raw_set(struct kvr_raw *me, const char *key, const void *at, size_t len)
{
	const struct kvr_raw_word words[] = { { "SET", 3 }, { key, strlen(key) }, { at, len } };
	struct kvr_raw_reply r = kvr_raw_words(me, words, 3);
	need(r.kind == '+', (const char *)r.bytes);
}

struct kvr_raw *
kvr_raw_open(uint16_t port, const char *password)
{
	struct kvr_raw *me = calloc(1, sizeof(*me));
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct timeval limit = { .tv_sec = LIMIT_S };
	need(me != NULL, "no memory");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	me->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(me->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(me->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	/* A request is several writes: with delays between them each would take 40 ms. */
	setsockopt(me->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	need(connect(me->fd, (struct sockaddr *)&a, sizeof(a)) == 0, "nobody listens");
	if (password != NULL) {
		const struct kvr_raw_word words[] = { { "AUTH", 4 },
			{ password, strlen(password) } };
		need(kvr_raw_words(me, words, 2).kind == '+', "the password is refused");
	}
	return me;
}

void
kvr_raw_close(struct kvr_raw *take)
{
	close(take->fd);
	free(take->bytes);
	free(take);
}
