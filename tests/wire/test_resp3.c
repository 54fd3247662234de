/* SPDX-License-Identifier: Apache-2.0 */
/* What a server may say to a connection that has said HELLO 3. */
#include "kvr_check.h"
#include "kvr_resp3.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct line {
	struct kvr_sock s;
	int fd; /* the server's end */
};

static void
server_says(struct line *l, const char *bytes, size_t len)
{
	int pair[2];

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	kvr_stream_take(&l->s, pair[0], NULL);
	l->fd = pair[1];
	ck_assert_int_eq(write(l->fd, bytes, len), (ssize_t)len);
	ck_assert_int_eq(
	    kvr_stream_begin(&l->s, kvr_now_ns() + KVR_SEC(60), KVR_STREAM_AHEAD), KVR_OK);
}

static void
hang_up(struct line *l)
{
	kvr_stream_hang_up(&l->s);
	close(l->fd);
}

START_TEST(replies_come_between_what_nobody_asked_for)
{
	static const char bytes[] =
	    "_\r\n"
	    ">3\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n+x\r\n:7\r\n"
	    "|1\r\n+ttl\r\n%2\r\n+a\r\n#t\r\n,1.5\r\n(99999999999999999999\r\n$5\r\nhello\r\n"
	    "!21\r\nOOM more than allowed\r\n"
	    "|1\r\n+a\r\n|1\r\n+b\r\n_\r\n~2\r\n=7\r\ntxt:abc\r\n$-1\r\n-LOADING wait\r\n"
	    "+OK\r\n";
	static struct line l;
	char room[KVR_RESP3_TEXT], hello[5];
	struct kvr_resp r;

	server_says(&l, bytes, sizeof(bytes) - 1);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_NIL);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_INTEGER);
	ck_assert_int_eq(r.n, 7);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_BULK);
	ck_assert_int_eq(kvr_stream_read_all(&l.s, hello, 5), KVR_OK);
	ck_assert_mem_eq(hello, "hello", 5);
	ck_assert_int_eq(kvr_resp_bulk_end(&l.s), KVR_OK);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_ERROR);
	ck_assert_uint_eq(r.text_len, 21);
	ck_assert_int_eq(kvr_resp_error(r.text, r.text_len), KVR_E_NOSPACE);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_ERROR);
	ck_assert_mem_eq(r.text, "LOADING wait", r.text_len);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_STATUS);
	hang_up(&l);
}
END_TEST

START_TEST(a_long_error_is_cut_and_the_stream_in_step)
{
	char text[2000], room[KVR_RESP3_TEXT];
	static struct line l;
	struct kvr_resp r;
	int head = snprintf(text, sizeof(text), "!1500\r\nBUSY ");

	memset(text + head, 'x', 1495);
	memcpy(text + head + 1495, "\r\n:5\r\n", 6);
	server_says(&l, text, (size_t)head + 1495 + 6);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_uint_eq(r.text_len, KVR_RESP3_TEXT);
	ck_assert_int_eq(kvr_resp_error(r.text, r.text_len), KVR_E_REFUSED);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_OK);
	ck_assert_int_eq(r.n, 5);
	hang_up(&l);
}
END_TEST

START_TEST(rubbish_is_a_broken_protocol)
{
	static const char *const bad[] = { "_x\r\n", "!x\r\n", "!-1\r\n", ">-1\r\n", ">5000\r\n",
		"%1\r\n", "~1\r\n", "=3\r\n", "#t\r\n", ",1\r\n", "(1\r\n", "\r\n", "?\r\n",
		"|1\r\n+a\r\n?\r\n", ">1\r\n$x\r\n", ">1\r\n$2\r\nabc\r\n", "!2\r\nabc\r\n" };
	static struct line l;
	char room[KVR_RESP3_TEXT];
	struct kvr_resp r;

	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		server_says(&l, bad[i], strlen(bad[i]));
		ck_assert_msg(kvr_resp3_read(&l.s, room, &r) == KVR_E_PROTO, "%s", bad[i]);
		hang_up(&l);
	}
	/* Ever deeper: each part is one more array. */
	char *deep = malloc(4 * 6000 + 1);
	for (int i = 0; i < 6000; i++)
		memcpy(deep + 4 * i, i == 0 ? ">1\r\n" : "*1\r\n", 4);
	server_says(&l, deep, 4 * 6000);
	ck_assert_int_eq(kvr_resp3_read(&l.s, room, &r), KVR_E_PROTO);
	ck_assert_ptr_nonnull(strstr(l.s.why, "more than 4096 parts"));
	hang_up(&l);
	free(deep);
}
END_TEST

static void
hello(const char *user, const char *password, const char *reply, const char *want_sent,
    enum kvr_err want, const char *want_error)
{
	static struct line l;
	char error[64] = "?", sent[256];

	server_says(&l, reply, strlen(reply));
	ck_assert_int_eq(kvr_resp3_hello(&l.s, user, password, error, sizeof(error)), want);
	ssize_t n = read(l.fd, sent, sizeof(sent) - 1);
	ck_assert_int_gt(n, 0);
	sent[n] = '\0';
	ck_assert_str_eq(sent, want_sent);
	if (want == KVR_OK)
		ck_assert_str_eq(error, want_error);
	hang_up(&l);
}

START_TEST(hello_signs_in_with_it)
{
	static const char plain[] = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";

	hello(NULL, NULL, "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nmodules\r\n*0\r\n", plain,
	    KVR_OK, "");
	hello("kv", "pw", "%0\r\n",
	    "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$2\r\nkv\r\n$2\r\npw\r\n", KVR_OK, "");
	hello(NULL, "pw", "%0\r\n",
	    "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$2\r\npw\r\n", KVR_OK,
	    "");
	hello(NULL, NULL, "-NOPROTO unsupported protocol version\r\n", plain, KVR_OK,
	    "NOPROTO unsupported protocol version");
	hello(NULL, NULL, "*2\r\n+a\r\n+b\r\n", plain, KVR_E_PROTO, NULL);
	hello(NULL, NULL, "SSH-2.0\r\n", plain, KVR_E_PROTO, NULL);
}
END_TEST

KVR_CHECK_MAIN("wire.resp3", replies_come_between_what_nobody_asked_for,
    a_long_error_is_cut_and_the_stream_in_step, rubbish_is_a_broken_protocol,
    hello_signs_in_with_it)
