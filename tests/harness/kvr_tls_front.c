/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tls_front.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 512, PIECE = 16384 };

struct kvr_tls_front {
	SSL_CTX  *ctx;
	int       listen_fd;
	uint16_t  port, server_port;
	pthread_t thread;
	_Atomic uint32_t served;
	/* Of the accepting thread, and of stop after it is joined. */
	uint32_t n;
	struct connection {
		struct kvr_tls_front *front;
		pthread_t thread;
		int fd, server;
	} connection[CONNECTIONS_MAX];
};

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static struct sockaddr_in
loopback(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int
send_all(int fd, const char *at, int len)
{
	for (ssize_t n; len > 0; at += n, len -= (int)n)
		if ((n = send(fd, at, (size_t)len, MSG_NOSIGNAL)) <= 0)
			return 0;
	return 1;
}

/* Both ways, until one side ends. A request and its answer do not overlap, so waiting in a write
 * locks nobody out. */
static void
pump(SSL *ssl, int fd, int server)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = server, .events = POLLIN } };
	char piece[PIECE];
	for (int n;;) {
		int pending = SSL_pending(ssl) > 0;
		if (poll(p, 2, pending ? 0 : -1) < 0)
			return;
		if (pending || p[0].revents != 0) {
			n = SSL_read(ssl, piece, sizeof(piece));
			if (n <= 0 || !send_all(server, piece, n))
				return;
		}
		if (p[1].revents != 0) {
			n = (int)recv(server, piece, sizeof(piece), 0);
			if (n <= 0 || SSL_write(ssl, piece, n) != n)
				return;
		}
	}
}

static void *
connection_main(void *arg)
{
	struct connection *c = arg;
	struct sockaddr_in a = loopback(c->front->server_port);
	SSL *ssl = SSL_new(c->front->ctx);
	need(ssl != NULL && SSL_set_fd(ssl, c->fd) == 1, "TLS connection");
	if (SSL_accept(ssl) == 1) {
		atomic_fetch_add(&c->front->served, 1);
		if (connect(c->server, (struct sockaddr *)&a, sizeof(a)) == 0)
			pump(ssl, c->fd, c->server);
	}
	/* The descriptors stay until stop, which must not shut down another's. */
	shutdown(c->server, SHUT_RDWR);
	shutdown(c->fd, SHUT_RDWR);
	SSL_free(ssl);
	return NULL;
}

static void *
front_main(void *arg)
{
	struct kvr_tls_front *me = arg;
	for (;;) {
		int fd = accept4(me->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return NULL;
		need(me->n < CONNECTIONS_MAX, "so many connections were not foreseen");
		struct connection *c = &me->connection[me->n];
		*c = (struct connection){ .front = me, .fd = fd,
			.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
		need(c->server >= 0, "socket");
		need(pthread_create(&c->thread, NULL, connection_main, c) == 0, "thread");
		me->n++;
	}
}

struct kvr_tls_front *
kvr_tls_front_start(uint16_t server_port, const char *cert, const char *key, const char *clients)
{
	struct kvr_tls_front *me = calloc(1, sizeof(*me));
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	need(me != NULL, "memory");
	me->server_port = server_port;
	me->ctx = SSL_CTX_new(TLS_server_method());
	need(me->ctx != NULL && SSL_CTX_use_certificate_chain_file(me->ctx, cert) == 1 &&
	        SSL_CTX_use_PrivateKey_file(me->ctx, key, SSL_FILETYPE_PEM) == 1, cert);
	if (clients != NULL) {
		need(SSL_CTX_load_verify_locations(me->ctx, clients, NULL) == 1, clients);
		SSL_CTX_set_verify(
		    me->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		/* Without a name a server that asks for certificates refuses sessions that go on. */
		need(SSL_CTX_set_session_id_context(me->ctx, (const unsigned char *)"front", 5) == 1, "a name");
	}
	me->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(me->listen_fd >= 0 && bind(me->listen_fd, (struct sockaddr *)&a, len) == 0 &&
	        listen(me->listen_fd, 256) == 0 &&
	        getsockname(me->listen_fd, (struct sockaddr *)&a, &len) == 0, "port");
	me->port = ntohs(a.sin_port);
	/* A write to whom has gone must not end the process; the library has to see to its own. */
	sigset_t pipe, before;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	need(pthread_create(&me->thread, NULL, front_main, me) == 0, "thread");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return me;
}

uint16_t
kvr_tls_front_port(const struct kvr_tls_front *me)
{
	return me->port;
}

uint32_t
kvr_tls_front_served(const struct kvr_tls_front *me)
{
	return atomic_load(&me->served);
}

void
kvr_tls_front_stop(struct kvr_tls_front *take)
{
	if (take == NULL)
		return;
	shutdown(take->listen_fd, SHUT_RDWR);
	pthread_join(take->thread, NULL);
	close(take->listen_fd);
	for (uint32_t i = 0; i < take->n; i++) {
		struct connection *c = &take->connection[i];
		shutdown(c->fd, SHUT_RDWR);
		shutdown(c->server, SHUT_RDWR);
		pthread_join(c->thread, NULL);
		close(c->fd);
		close(c->server);
	}
	SSL_CTX_free(take->ctx);
	free(take);
}
