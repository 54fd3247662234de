/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A HyperPod daemon for tests, a program of its own: kvr_hyperpod_daemon SEGMENT PORT [FD]. HTTP on
 * loopback, objects in POSIX shared memory. FD is a struct kvr_hyperpod_page of a test; without it
 * the daemon prints its port (for PORT 0) and serves until it is killed.
 *
 * What it does is what the daemon's clients, their notes and field reports tell of it: a put that
 * breaks off leaves nothing, one of a name that is there is 409 and changes nothing, a lease ends
 * by its time or by its release, the shared memory is made anew at every start.
 */
#include "kvr_hyperpod_own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 65536, TEXT_MAX = 1 << 20, CONNECTIONS_MAX = 128, CAPACITY = 512 << 20 };

struct kvr_hyperpod_page *page;
static pthread_mutex_t text_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned connected;

void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "HyperPod daemon for a test: %s: %s\n", what, strerror(errno));
	abort();
}

void
deviation(const char *fmt, ...)
{
	va_list args;
	pthread_mutex_lock(&text_lock);
	va_start(args, fmt);
	if (atomic_load(&page->deviations) == 0)
		vsnprintf(page->first_deviation, sizeof(page->first_deviation), fmt, args);
	va_end(args);
	atomic_fetch_add(&page->deviations, 1);
	pthread_mutex_unlock(&text_lock);
}

struct connection {
	int    fd;
	char   in[KVR_HYPERPOD_ASK_MAX];
	size_t have; /* bytes of in */
	char   text[TEXT_MAX];
};

static int
send_all(int fd, const char *from, size_t len, int flags)
{
	for (ssize_t n; len > 0; from += n, len -= (size_t)n)
		if ((n = send(fd, from, len, MSG_NOSIGNAL | flags)) <= 0)
			return 0;
	return 1;
}

static const char *
reason(int status)
{
	return status == 200 ? "OK" : status == 404 ? "Not Found" : status == 409 ? "Conflict" :
	    status == 504 ? "Gateway Timeout" : "Status";
}

static int
answer(struct connection *c, int status, const char *type, const char *text, size_t cut)
{
	char heads[256];
	int n = snprintf(heads, sizeof(heads),
	    "HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n", status,
	    reason(status), type, strlen(text));
	/* Not in two packets: the second would wait until the first is acknowledged. */
	if (!send_all(c->fd, heads, (size_t)n, text[0] != '\0' ? MSG_MORE : 0))
		return 0;
	if (cut > 0 && cut < strlen(text)) {
		send_all(c->fd, text, cut, 0);
		return 0;
	}
	return send_all(c->fd, text, strlen(text), 0);
}

static int
plain(struct connection *c, int status)
{
	return answer(c, status, "text/plain", status == 200 ? "" : reason(status), 0);
}

/* A request's heads; 0: the connection has ended. */
static int
receive_heads(struct connection *c, char *ret)
{
	char *end;
	c->in[c->have] = '\0';
	while ((end = memmem(c->in, c->have, "\r\n\r\n", 4)) == NULL) {
		if (c->have + 1 == sizeof(c->in))
			return 0;
		ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - 1 - c->have, 0);
		if (n <= 0)
			return 0;
		c->have += (size_t)n;
	}
	size_t len = (size_t)(end - c->in) + 4;
	memcpy(ret, c->in, len);
	ret[len] = '\0';
	c->have -= len;
	memmove(c->in, c->in + len, c->have);
	return 1;
}

/* Up to PIECE bytes of a body; what was read ahead first. */
static size_t
receive_some(struct connection *c, char *to, size_t max)
{
	size_t n = max < PIECE ? max : PIECE;
	if (c->have > 0) {
		n = n < c->have ? n : c->have;
		memcpy(to, c->in, n);
		c->have -= n;
		memmove(c->in, c->in + n, c->have);
		return n;
	}
	ssize_t got = recv(c->fd, to, n, 0);
	return got > 0 ? (size_t)got : 0;
}

static void
hold(enum kvr_hyperpod_what what)
{
	if (!atomic_load(&page->hold[what]))
		return;
	atomic_fetch_add(&page->held, 1);
	while (atomic_load(&page->hold[what]))
		usleep(500);
	atomic_fetch_sub(&page->held, 1);
}

static int
put(struct connection *c, const struct ask *ask)
{
	size_t limit = atomic_load(&page->capacity_left), at = 0;
	int forced = (int)atomic_load(&page->status[KVR_HYPERPOD_PUT]);
	struct object *o = forced == 0 && (limit == 0 || ask->body_len <= limit)
	    ? keep_room(ask->body_len) : NULL;
	char piece[PIECE];
	atomic_fetch_add(&page->puts, 1);
	while (at < ask->body_len) {
		size_t n = receive_some(c, piece, ask->body_len - at);
		hold(KVR_HYPERPOD_PUT);
		if (n == 0)
			break;
		if (o != NULL)
			keep_write(o, at, piece, n);
		at += n;
	}
	if (at < ask->body_len) {
		if (o != NULL)
			keep_drop(o);
		return 0;
	}
	hold(KVR_HYPERPOD_PUT);
	int status = forced != 0 ? forced : 507;
	if (o != NULL)
		status = keep_name(o, ask->name, ask->name_len);
	atomic_fetch_add(&page->stored, status == 200);
	return plain(c, status);
}

static int
lease(struct connection *c, const struct ask *ask)
{
	int forced = (int)atomic_load(&page->status[KVR_HYPERPOD_LEASE]);
	int at_once = (int)atomic_load(&page->miss_at_once);
	if (forced != 0)
		return plain(c, forced);
	int granted = keep_lease(ask, !at_once, c->text, sizeof(c->text));
	hold(KVR_HYPERPOD_LEASE);
	if (!granted)
		return plain(c, at_once ? 404 : 504);
	const char *type = "application/json; charset=utf-8", *text = c->text;
	if (atomic_load(&page->other_text)) {
		type = page->lease_type;
		/* "%s" in it is the id that was granted. */
		char id[32] = "";
		sscanf(c->text, "{\"id\":\"%31[^\"]", id);
		const char *mark = strstr(page->lease_text, "%s");
		if (mark == NULL)
			snprintf(c->text, sizeof(c->text), "%s", page->lease_text);
		else
			snprintf(c->text, sizeof(c->text), "%.*s%s%s",
			    (int)(mark - page->lease_text), page->lease_text, id, mark + 2);
	}
	int more = answer(c, 200, type, text, atomic_load(&page->cut_lease));
	if (atomic_load(&page->die_after_lease))
		_exit(1);
	return more;
}

static int
release(struct connection *c, const struct ask *ask)
{
	int forced = (int)atomic_load(&page->status[KVR_HYPERPOD_RELEASE]);
	hold(KVR_HYPERPOD_RELEASE);
	if (forced != 0)
		return plain(c, forced);
	int known = keep_release(ask->name);
	atomic_fetch_add(&page->unknown, !known);
	return plain(c, known ? 200 : 404);
}

static int
serve_one(struct connection *c)
{
	char heads[KVR_HYPERPOD_ASK_MAX];
	struct ask ask;
	if (!receive_heads(c, heads))
		return 0;
	atomic_fetch_add(&page->requests, 1);
	if (!ask_read(heads, &ask)) {
		deviation("a request that nobody documents: %.100s", heads);
		return plain(c, 400) && 0;
	}
	if (ask.verb != OTHER) {
		pthread_mutex_lock(&text_lock);
		memcpy(page->last[ask.verb], heads, strlen(heads) + 1);
		pthread_mutex_unlock(&text_lock);
	}
	switch (ask.verb) {
	case PUT:
		return put(c, &ask);
	case LEASE:
		return lease(c, &ask);
	case RELEASE:
		return release(c, &ask);
	case OTHER:
	default:
		return plain(c, 404);
	}
}

static void *
connection_main(void *arg)
{
	struct connection *c = arg;
	while (serve_one(c))
		;
	close(c->fd);
	free(c);
	atomic_fetch_sub(&connected, 1);
	return NULL;
}

static int
listen_at(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t len = sizeof(a);
	const int on = 1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	need(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 256) == 0 &&
	        getsockname(fd, (struct sockaddr *)&a, &len) == 0, "port");
	atomic_store(&page->port, ntohs(a.sin_port));
	return fd;
}

int
main(int argc, char **argv)
{
	need(argc >= 3, "usage: kvr_hyperpod_daemon SEGMENT PORT [FD]");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	page = argc > 3
	    ? mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[3]), 0)
	    : calloc(1, sizeof(*page));
	need(page != NULL && page != MAP_FAILED, "page");
	keep_begin(argv[1], CAPACITY);
	int fd = listen_at((uint16_t)atoi(argv[2]));
	if (argc == 3) {
		printf("%u\n", atomic_load(&page->port));
		fflush(stdout);
	}
	for (;;) {
		pthread_t thread;
		pthread_attr_t attr;
		struct connection *c = calloc(1, sizeof(*c));
		need(c != NULL, "memory");
		c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (c->fd < 0) {
			free(c);
			continue;
		}
		atomic_fetch_add(&page->connections, 1);
		if (atomic_fetch_add(&connected, 1) >= 2 * CONNECTIONS_MAX)
			deviation("more than %d connections", 2 * CONNECTIONS_MAX);
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		need(pthread_create(&thread, &attr, connection_main, c) == 0, "thread");
		pthread_attr_destroy(&attr);
	}
}
