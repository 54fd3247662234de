/* SPDX-License-Identifier: Apache-2.0 */
/* The small server: what it answers, what it refuses, and that no client can hold up another. */
#include "kvr_check.h"
#include "kvr_http.h"
#include "kvr_http_get.h"
#include "kvr_http_own.h"
#include "kvr_thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], sock[96], why[256];
static _Atomic int n_bad;
static char last[320]; /* under last_lock: the server says things on its thread */
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;

static void
answer(void *arg, const struct kvr_http_request *r, struct kvr_http_answer *ret)
{
	(void)arg;
	if (strcmp(r->path, "/none") == 0)
		return;
	if (strcmp(r->path, "/missing") == 0)
		ret->status = 404;
	ret->len = strcmp(r->path, "/large") == 0 ? 4 << 20 : 64;
	ret->body = malloc(ret->len);
	memset(ret->body, 'x', ret->len);
	if (ret->len == 64)
		ret->len = (size_t)snprintf(ret->body, 64, "%s|%s", r->path, r->accept);
}

static void
say(void *arg, bool bad, const char *line)
{
	(void)arg;
	pthread_mutex_lock(&last_lock);
	snprintf(last, sizeof(last), "%s", line);
	pthread_mutex_unlock(&last_lock);
	atomic_fetch_add(&n_bad, bad);
}

/* A copy of what was said last. */
static const char *
said(void)
{
	static char copy[320];

	pthread_mutex_lock(&last_lock);
	memcpy(copy, last, sizeof(copy));
	pthread_mutex_unlock(&last_lock);
	return copy;
}

static struct kvr_http *
open_at(const char *listen)
{
	const struct kvr_http_options o = { .listen = listen, .answer = answer, .say = say };
	struct kvr_http *h = NULL;

	ck_assert_msg(kvr_http_open(&o, &h, why, sizeof(why)) == KVR_OK, "%s", why);
	return h;
}

static struct kvr_http *
open_unix(void)
{
	snprintf(dir, sizeof(dir), "/tmp/kvr-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "unix:%s/sock", dir);
	return open_at(sock);
}

static void
close_unix(struct kvr_http *h)
{
	ck_assert(kvr_http_close(h, UINT64_MAX));
	ck_assert_int_eq(access(sock + 5, F_OK), -1); /* nothing is left */
	ck_assert_int_eq(rmdir(dir), 0);
}

static void
expect(const char *request, int status, const char *body)
{
	struct kvr_http_got g = kvr_http_ask(sock, request, strlen(request));

	ck_assert_msg(g.status == status, "%s: %d", request, g.status);
	if (body != NULL)
		ck_assert_str_eq(g.body, body);
	kvr_http_drop(&g);
}

START_TEST(requests_get_their_answers)
{
	struct kvr_http *h = open_unix();
	struct stat st;

	ck_assert_int_eq(stat(sock + 5, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	expect("GET /a?x=1 HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n", 200, "/a|text/html");
	expect("GET /a HTTP/1.0\n\n", 200, "/a|");
	expect("HEAD /a HTTP/1.1\r\n\r\n", 200, "");
	expect("GET /missing HTTP/1.1\r\n\r\n", 404, "/missing|");
	expect("GET /none HTTP/1.1\r\n\r\n", 503, "503 Service Unavailable\n");
	expect("POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405, NULL);
	expect("GET a HTTP/1.1\r\n\r\n", 400, NULL);
	expect("GET /a\r\n\r\n", 400, NULL);
	expect("GET /a HTTP/2.0\r\n\r\n", 400, NULL);
	expect("\r\n\r\n", 400, NULL);
	/* What comes behind the head belongs to no header. */
	expect("GET /a HTTP/1.1\r\n\r\nAccept: text/html\r\n", 200, "/a|");
	expect("HEAD /a HTTP/1.1\n\r\n", 200, "");
	expect("GET /a#b HTTP/1.1\r\naccept:\t x/y \t\r\nAccept: z\r\n\r\n", 200, "/a|x/y");
	expect("GET /a HTTP/1.1x\r\n\r\n", 400, NULL);
	expect("GET /a\rb HTTP/1.1\r\n\r\n", 400, NULL);
	expect("GET /a HTTP/1.1\r\nX: a\rAccept: b\r\n\r\n", 400, NULL);
	struct kvr_http_got g = kvr_http_fetch(sock, "/large", "");

	ck_assert_uint_eq(g.len, 4 << 20);
	kvr_http_drop(&g);
	close_unix(h);
}
END_TEST

/* At once: it would be no news to the client after five seconds. */
START_TEST(a_byte_that_is_no_text_is_refused)
{
	static const char nul[] = "GET /a HTTP/1.1\r\nX: \0\r\n\r\n";
	struct kvr_http *h = open_unix();
	uint64_t since_ns = kvr_now_ns();
	struct kvr_http_got g = kvr_http_ask(sock, nul, sizeof(nul) - 1);

	ck_assert_int_eq(g.status, 400);
	ck_assert_uint_lt(kvr_now_ns() - since_ns, KVR_SEC(4));
	kvr_http_drop(&g);
	close_unix(h);
}
END_TEST

START_TEST(too_long_a_request_is_refused)
{
	struct kvr_http *h = open_unix();
	static char request[9000];

	memset(request, 'a', sizeof(request));
	memcpy(request, "GET /", 5);
	/* One that never ends its head, by exactly what fits. */
	struct kvr_http_got g = kvr_http_ask(sock, request, 8192);

	ck_assert_int_eq(g.status, 431);
	kvr_http_drop(&g);
	close_unix(h);
}
END_TEST

/* More clients that say nothing than there are places: the next one is still served. */
START_TEST(idle_clients_hold_up_nobody)
{
	struct kvr_http *h = open_unix();
	int fd[40];

	for (size_t i = 0; i < KVR_LEN(fd); i++) {
		/* The queue of the listener may be full for a moment. */
		while ((fd[i] = kvr_http_connect(sock)) < 0)
			;
		ck_assert_int_eq(write(fd[i], "GET", 3), 3);
	}
	expect("GET /a HTTP/1.1\r\n\r\n", 200, "/a|");
	for (size_t i = 0; i < KVR_LEN(fd); i++)
		close(fd[i]);
	close_unix(h);
}
END_TEST

START_TEST(an_address_in_use_is_tried_again)
{
	struct kvr_http *h = open_unix(), *second = open_at(sock);

	ck_assert_int_eq(atomic_load(&n_bad), 1);
	ck_assert_ptr_nonnull(strstr(said(), "tried again"));
	expect("GET /a HTTP/1.1\r\n\r\n", 200, "/a|");
	ck_assert(kvr_http_close(h, UINT64_MAX));
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(30);
	struct kvr_http_got g = { .status = 0 };

	while (g.status == 0 && kvr_now_ns() < until_ns) {
		kvr_http_drop(&g);
		g = kvr_http_fetch(sock, "/b", "");
	}
	ck_assert_int_eq(g.status, 200);
	kvr_http_drop(&g);
	close_unix(second);
}
END_TEST

/* The file of a process that was killed: nobody answers there, so it is ours. */
START_TEST(a_dead_socket_is_replaced)
{
	struct kvr_http_place p;

	snprintf(dir, sizeof(dir), "/tmp/kvr-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "unix:%s/sock", dir);
	ck_assert_int_eq(kvr_http_place(sock, &p, why, sizeof(why)), KVR_OK);
	int fd = kvr_http_listen(&p);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(access(sock + 5, F_OK), 0);
	struct kvr_http *h = open_at(sock);

	expect("GET /a HTTP/1.1\r\n\r\n", 200, "/a|");
	close_unix(h);
}
END_TEST

START_TEST(addresses_are_written_out)
{
	static char long_path[128] = "unix:/";
	static const char *const good[] = { "127.0.0.1:0", "localhost:0", "0.0.0.0:9477", "[::1]:9477",
		"[::]:0", "unix:/tmp/x" };
	static const char *const bad[] = { "9477", ":9477", "example.org:9477", "127.0.0.1:65536",
		"127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:94a", "::1:9477", "[::1]", "*:9477",
		long_path };
	struct kvr_http_place p;

	memset(long_path + 6, 'x', 108); /* one more than fits */
	for (size_t i = 0; i < KVR_LEN(good); i++)
		ck_assert_msg(kvr_http_place(good[i], &p, why, sizeof(why)) == KVR_OK, "%s", good[i]);
	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		why[0] = '\0';
		ck_assert_msg(kvr_http_place(bad[i], &p, why, sizeof(why)) == KVR_E_CONFIG, "%s", bad[i]);
		ck_assert_str_ne(why, "");
	}
	struct kvr_http *h = open_at("127.0.0.1:0");
	const char *port = strrchr(said(), ':') + 1;

	ck_assert_ptr_nonnull(strstr(said(), "http://127.0.0.1:"));
	snprintf(sock, sizeof(sock), "%s", port);
	expect("GET /a HTTP/1.1\r\n\r\n", 200, "/a|");
	ck_assert(kvr_http_close(h, UINT64_MAX));
}
END_TEST

KVR_CHECK_MAIN("runtime.http", requests_get_their_answers, a_byte_that_is_no_text_is_refused,
    too_long_a_request_is_refused, idle_clients_hold_up_nobody, an_address_in_use_is_tried_again,
    a_dead_socket_is_replaced, addresses_are_written_out)
