/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS stream against a server that the test holds by the hand: what it sees of us, and what its
 * own timing does to us. The sockets between them hold a few KiB, so everything gets stuck.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "kvr_check.h"
#include "kvr_stream_tls.h"
#include "kvr_test_ca.h"

__attribute__((constructor)) static void
needs_openssl(void)
{
	if (system("openssl version >/dev/null 2>&1") == 0)
		return;
	fprintf(stderr, "not run: the openssl command is missing\n");
	_exit(77);
}

static struct kvr_test_ca *ca;

__attribute__((constructor)) static void
make_ca(void)
{
	ca = kvr_test_ca_make("stream");
	kvr_test_ca_sign(ca, "server", "IP:127.0.0.1,DNS:cache.example", 2);
}

__attribute__((destructor)) static void
drop_ca(void)
{
	kvr_test_ca_drop(ca);
}

struct server {
	int       listener;
	uint16_t  port;
	pthread_t thread;
	int       version; /* TLS1_2_VERSION or TLS1_3_VERSION */
	void    (*play)(struct server *, SSL *);
	size_t    len;  /* for play */
	int       lines;
	bool      wide; /* towards us; a window of a few KiB is opened by delayed ACKs only */
	/* What it has seen. */
	char      name[64]; /* SNI; "" none */
	bool      shut;     /* we have said goodbye */
};

static void *
server_main(void *arg)
{
	struct server *me = arg;
	int fd = accept4(me->listener, NULL, NULL, SOCK_CLOEXEC);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	ck_assert(fd >= 0 && ctx != NULL);
	SSL_CTX_set_min_proto_version(ctx, me->version);
	SSL_CTX_set_max_proto_version(ctx, me->version);
	ck_assert_int_eq(
	    SSL_CTX_use_certificate_chain_file(ctx, kvr_test_ca_file(ca, "server.pem")), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(
	                     ctx, kvr_test_ca_file(ca, "server.key"), SSL_FILETYPE_PEM), 1);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		char byte;
		const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
		snprintf(me->name, sizeof(me->name), "%s", name != NULL ? name : "");
		me->play(me, ssl);
		me->shut = SSL_read(ssl, &byte, 1) == 0 &&
		    SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN;
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return NULL;
}

static void
server_start(struct server *me)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	const int small = 4096;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	me->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Accepted sockets inherit both. */
	setsockopt(me->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (!me->wide)
		setsockopt(me->listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	ck_assert_int_eq(bind(me->listener, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(me->listener, 1), 0);
	ck_assert_int_eq(getsockname(me->listener, (struct sockaddr *)&a, &len), 0);
	me->port = ntohs(a.sin_port);
	ck_assert_int_eq(pthread_create(&me->thread, NULL, server_main, me), 0);
}

static void
server_join(struct server *me)
{
	pthread_join(me->thread, NULL);
	close(me->listener);
}

static struct kvr_sock sock;

static uint64_t
soon(void)
{
	return kvr_now_ns() + KVR_SEC(20);
}

#define ok(err)                                                                                    \
	do {                                                                                       \
		enum kvr_err err_ = (err);                                                         \
		ck_assert_msg(err_ == KVR_OK, "%s: %s", kvr_err_name(err_), sock.why);             \
	} while (0)

static void
dial(const struct server *server, const char *name)
{
	const struct kvr_tls_opts opts = { .ca = kvr_test_ca_file(ca, "ca.pem"),
		.server_name = name };
	const int small = 4096;
	struct kvr_tls *tls = NULL;
	char why[256];
	ck_assert_int_eq(kvr_tls_open(&opts, &tls, why, sizeof(why)), KVR_OK);
	ok(kvr_stream_dial_tcp(&sock, "127.0.0.1", server->port, soon(), NULL));
	setsockopt(sock.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	if (!server->wide)
		setsockopt(sock.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	ok(kvr_stream_tls(&sock, tls, "127.0.0.1", soon()));
	ok(kvr_stream_begin(&sock, soon(), KVR_STREAM_IN));
	/* A stream that is up needs no more of it. */
	kvr_tls_close(tls);
}

static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i * 7U + (i >> 8) * 3U + (i >> 16));
}

static uint8_t *
bytes_new(size_t len)
{
	uint8_t *bytes = malloc(len);
	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(i);
	return bytes;
}

/* False: other bytes came, or too few. */
static bool
take(SSL *ssl, size_t len)
{
	uint8_t got[3000];
	for (size_t at = 0; at < len;) {
		int n = SSL_read(ssl, got, (int)KVR_MIN(sizeof(got), len - at));
		if (n <= 0)
			return false;
		for (int i = 0; i < n; i++)
			if (got[i] != byte_at(at++))
				return false;
	}
	return true;
}

static void
answer(SSL *ssl, const char *line)
{
	(void)!SSL_write(ssl, line, (int)strlen(line));
}

static void
expect_line(const char *want)
{
	struct kvr_const_span line;
	ok(kvr_stream_line(&sock, &line));
	ck_assert_uint_eq(line.len, strlen(want));
	ck_assert_int_eq(memcmp(line.at, want, line.len), 0);
}

static void
play_take(struct server *me, SSL *ssl)
{
	answer(ssl, take(ssl, me->len) ? "+ALL\r\n" : "-WRONG\r\n");
}

/* The end of a request that stayed behind would never leave: we wait for the answer to it. */
START_TEST(everything_has_left_when_a_flush_returns)
{
	static const size_t lens[] = { 1, 1000, 16384, 16385, 60000, 131072, 200000, 524288, 700001,
		3000000 };
	for (size_t i = 0; i < 2 * KVR_LEN(lens); i++) {
		struct server server = { .version = i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION,
			.play = play_take, .len = lens[i / 2] };
		uint8_t *bytes = bytes_new(server.len);
		server_start(&server);
		dial(&server, NULL);
		/* Half of it as a short-lived copy, half as a loan, as heads and payloads are. */
		ok(kvr_stream_copy(&sock, bytes, server.len / 2));
		ok(kvr_stream_lend(&sock, bytes + server.len / 2, server.len - server.len / 2));
		ok(kvr_stream_flush(&sock));
		expect_line("+ALL");
		kvr_stream_hang_up(&sock);
		server_join(&server);
		ck_assert(server.shut);
		free(bytes);
	}
}
END_TEST

static void
play_talk_first(struct server *me, SSL *ssl)
{
	char line[101] = "";
	memset(line, 'x', 98);
	memcpy(line + 98, "\r\n", 2);
	for (int i = 0; i < me->lines; i++)
		answer(ssl, line);
	play_take(me, ssl);
}

/*
 * Neither reads before it has written. What the stream's buffer can hold is taken in meanwhile,
 * also when it is filled to the last byte and the rest stays in the socket.
 */
START_TEST(two_sides_that_write_first_do_not_wait_for_each_other)
{
	for (int wide = 0; wide < 2; wide++) {
		struct server server = { .version = TLS1_3_VERSION, .play = play_talk_first,
			.len = 2000000, .wide = wide, .lines = wide ? 700 : 300 };
		uint8_t *bytes = bytes_new(server.len);
		char want[99] = "";
		memset(want, 'x', 98);
		server_start(&server);
		dial(&server, NULL);
		ok(kvr_stream_lend(&sock, bytes, server.len));
		ok(kvr_stream_flush(&sock));
		for (int i = 0; i < server.lines; i++)
			expect_line(want);
		expect_line("+ALL");
		kvr_stream_hang_up(&sock);
		server_join(&server);
		free(bytes);
	}
}
END_TEST

static void
play_new_keys(struct server *me, SSL *ssl)
{
	bool good = true;
	for (int i = 0; i < 8; i++) {
		good = take(ssl, me->len) && good;
		/* The other side must change its keys too, in the middle of what it does. */
		good = SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && good;
		answer(ssl, good ? "+ON\r\n" : "-WRONG\r\n");
	}
}

START_TEST(new_keys_in_the_middle_change_nothing)
{
	struct server server = { .version = TLS1_3_VERSION, .play = play_new_keys, .len = 150000 };
	uint8_t *bytes = bytes_new(server.len);
	server_start(&server);
	dial(&server, NULL);
	for (int i = 0; i < 8; i++) {
		ok(kvr_stream_lend(&sock, bytes, server.len));
		ok(kvr_stream_flush(&sock));
		expect_line("+ON");
	}
	kvr_stream_hang_up(&sock);
	server_join(&server);
	ck_assert(server.shut);
	free(bytes);
}
END_TEST

static void
play_give(struct server *me, SSL *ssl)
{
	uint8_t *bytes = malloc(me->len);
	for (size_t i = 0; i < me->len; i++)
		bytes[i] = byte_at(i);
	/* Records of all lengths, so that their ends and those of the reads drift apart. */
	for (size_t at = 0, n = 1; at < me->len; at += n, n = n * 5 % 16383 + 1) {
		n = KVR_MIN(n, me->len - at);
		if (SSL_write(ssl, bytes + at, (int)n) != (int)n)
			break;
	}
	answer(ssl, "+END\r\n");
	free(bytes);
}

START_TEST(reads_go_straight_to_their_place_whatever_the_records_are)
{
	struct server server = { .version = TLS1_3_VERSION, .play = play_give, .len = 3000000,
		.wide = true };
	uint8_t *got = malloc(server.len);
	size_t at = 0, ask = 1;
	server_start(&server);
	dial(&server, NULL);
	while (at < server.len) {
		size_t n = 0, max = KVR_MIN(ask, server.len - at);
		ok(kvr_stream_read(&sock, got + at, max, KVR_STREAM_AHEAD, &n));
		ck_assert_uint_le(n, max);
		at += n;
		ask = ask * 3 % 131071 + 1;
	}
	uint8_t *want = bytes_new(server.len);

	ck_assert(memcmp(got, want, server.len) == 0);
	free(want);
	expect_line("+END");
	kvr_stream_hang_up(&sock);
	server_join(&server);
	free(got);
}
END_TEST

static void
play_close(struct server *me, SSL *ssl)
{
	(void)me;
	answer(ssl, "+BYE\r\n");
	SSL_shutdown(ssl);
}

START_TEST(what_came_before_a_goodbye_is_read_then_the_end)
{
	struct server server = { .version = TLS1_3_VERSION, .play = play_close };
	struct kvr_const_span line;
	server_start(&server);
	dial(&server, NULL);
	expect_line("+BYE");
	ck_assert_int_eq(kvr_stream_line(&sock, &line), KVR_E_DOWN);
	ck_assert_msg(strstr(sock.why, "closed the connection") != NULL, "%s", sock.why);
	kvr_stream_hang_up(&sock);
	server_join(&server);
}
END_TEST

static void
play_nothing(struct server *me, SSL *ssl)
{
	(void)me;
	(void)ssl;
}

START_TEST(a_server_is_told_the_name_but_never_an_address)
{
	static const char *const names[][2] = { { NULL, "" }, { "cache.example", "cache.example" },
		{ "cache.example.", "cache.example" } };
	for (size_t i = 0; i < KVR_LEN(names); i++) {
		struct server server = { .version = TLS1_2_VERSION, .play = play_nothing };
		server_start(&server);
		dial(&server, names[i][0]);
		kvr_stream_hang_up(&sock);
		server_join(&server);
		ck_assert_str_eq(server.name, names[i][1]);
		ck_assert(server.shut);
	}
}
END_TEST

KVR_CHECK_MAIN("wire.stream_tls", everything_has_left_when_a_flush_returns,
    two_sides_that_write_first_do_not_wait_for_each_other, new_keys_in_the_middle_change_nothing,
    reads_go_straight_to_their_place_whatever_the_records_are,
    what_came_before_a_goodbye_is_read_then_the_end,
    a_server_is_told_the_name_but_never_an_address)
