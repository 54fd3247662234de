/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_control.h"
#include "kvr_resp.h"
#include "kvr_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct kvr_resp
good(const char *line, enum kvr_resp_kind kind, int64_t n)
{
	struct kvr_resp r;
	ck_assert_msg(kvr_resp_parse(line, strlen(line), &r), "%s", line);
	ck_assert_int_eq(r.kind, kind);
	if (kind != KVR_RESP_STATUS && kind != KVR_RESP_ERROR)
		ck_assert_int_eq(r.n, n);
	return r;
}

START_TEST(replies_are_what_their_first_line_says)
{
	struct kvr_resp r = good("+OK", KVR_RESP_STATUS, 0);
	ck_assert_uint_eq(r.text_len, 2);
	ck_assert_mem_eq(r.text, "OK", 2);
	good("+", KVR_RESP_STATUS, 0);
	r = good("-ERR no", KVR_RESP_ERROR, 0);
	ck_assert_mem_eq(r.text, "ERR no", 6);
	good(":0", KVR_RESP_INTEGER, 0);
	good(":-1", KVR_RESP_INTEGER, -1);
	good(":9223372036854775807", KVR_RESP_INTEGER, INT64_MAX);
	good(":-9223372036854775808", KVR_RESP_INTEGER, INT64_MIN);
	good("$0", KVR_RESP_BULK, 0);
	good("$1099511627776", KVR_RESP_BULK, KVR_RESP_BULK_MAX);
	good("$-1", KVR_RESP_NIL, -1);
	good("*-1", KVR_RESP_NIL, -1);
	good("*2", KVR_RESP_ARRAY, 2);
}
END_TEST

START_TEST(what_is_not_a_reply_is_refused)
{
	static const char *const bad[] = { "", "OK", ":", ":-", ":1x", ": 1", ":+1", ":1 ", "$",
		"$-2", "$--1", "$1099511627777", ":9223372036854775808", ":-9223372036854775809",
		":18446744073709551616", "*1048577", "*x", "_", "#t", ",1.5", "(1", "!3", "=3",
		"%1", "~1", ">1", "HTTP/1.1 200 OK" };
	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		struct kvr_resp r;
		ck_assert_msg(!kvr_resp_parse(bad[i], strlen(bad[i]), &r), "%s", bad[i]);
	}
	struct kvr_resp r;
	ck_assert(!kvr_resp_parse("$1\0" "5", 4, &r));
}
END_TEST

START_TEST(error_replies_cost_what_they_mean)
{
	static const struct {
		const char *text;
		int32_t     err;
	} replies[] = {
		{ "OOM command not allowed when used memory > 'maxmemory'.", KVR_E_NOSPACE },
		{ "LOADING Redis is loading the dataset in memory", KVR_E_REFUSED },
		{ "READONLY You can't write against a read only replica.", KVR_E_REFUSED },
		{ "BUSY Redis is busy running a script.", KVR_E_REFUSED },
		{ "MASTERDOWN Link with MASTER is down", KVR_E_REFUSED },
		{ "NOAUTH Authentication required.", KVR_E_AUTH },
		{ "WRONGPASS invalid username-password pair", KVR_E_AUTH },
		{ "NOPERM this user has no permissions", KVR_E_AUTH },
		{ "WRONGTYPE Operation against a key", KVR_E_LENGTH },
		{ "MOVED 3999 127.0.0.1:6381", KVR_E_REFUSED },
		{ "ASK 3999 127.0.0.1:6381", KVR_E_REFUSED },
		{ "CLUSTERDOWN Hash slot not served", KVR_E_REFUSED },
		{ "TRYAGAIN Multiple keys request", KVR_E_REFUSED },
		{ "ERR unknown command", KVR_E_REFUSED },
		{ "OOM", KVR_E_NOSPACE },
		{ "OOMPH", KVR_E_REFUSED },
		{ "", KVR_E_REFUSED },
	};
	for (size_t i = 0; i < KVR_LEN(replies); i++) {
		int32_t err = kvr_resp_error(replies[i].text, strlen(replies[i].text));
		ck_assert_msg(
		    err == replies[i].err, "%s is %s", replies[i].text, kvr_err_name(err));
		/* Whatever a key's error is, the stream behind it is in step. */
		ck_assert(err == KVR_E_AUTH || kvr_err_stream(err) == KVR_STREAM_KEEP);
	}
}
END_TEST

START_TEST(commands_are_written_part_by_part)
{
	static struct kvr_sock s;
	char got[256];
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	kvr_stream_take(&s, pair[0], NULL);
	ck_assert_int_eq(kvr_stream_begin(&s, kvr_now_ns() + KVR_SEC(10), 64), KVR_OK);
	ck_assert_int_eq(kvr_resp_put_array(&s, 3), KVR_OK);
	ck_assert_int_eq(kvr_resp_put(&s, "SET", 3), KVR_OK);
	ck_assert_int_eq(kvr_resp_put(&s, "", 0), KVR_OK);
	ck_assert_int_eq(kvr_resp_put_number(&s, UINT64_MAX), KVR_OK);
	ck_assert_int_eq(kvr_resp_put_number(&s, 0), KVR_OK);
	ck_assert_int_eq(kvr_stream_flush(&s), KVR_OK);
	ssize_t n = read(pair[1], got, sizeof(got));
	static const char want[] = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$20\r\n18446744073709551615\r\n"
	                           "$1\r\n0\r\n";
	ck_assert_int_eq(n, sizeof(want) - 1);
	ck_assert_mem_eq(got, want, sizeof(want) - 1);
	kvr_stream_hang_up(&s);
	close(pair[1]);
}
END_TEST

/* However a server's writes cut them. */
START_TEST(short_integers_are_read_like_any_other)
{
	static const char text[] = ":0\r\n:1\r\n:9\r\n:10\r\n:-1\r\n:7\r\n:x\r\n";
	static const int64_t want[] = { 0, 1, 9, 10, -1, 7 };
	static const size_t ends[] = { 4, 8, 12, 17, 22, 26 };
	static struct kvr_sock s;
	for (size_t cut = 1; cut < sizeof(text); cut++) {
		int pair[2];
		struct kvr_resp r;
		size_t sent = cut;
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		kvr_stream_take(&s, pair[0], NULL);
		ck_assert_int_eq(kvr_stream_begin(&s, kvr_now_ns() + KVR_SEC(10), 64), KVR_OK);
		ck_assert_int_eq(write(pair[1], text, cut), (ssize_t)cut);
		for (size_t i = 0; i < KVR_LEN(want); i++) {
			/* The beginning of a reply that is cut has come with the one before. */
			if (sent < ends[i]) {
				size_t rest = sizeof(text) - 1 - sent;
				ck_assert_int_eq(write(pair[1], text + sent, rest), (ssize_t)rest);
				sent += rest;
			}
			ck_assert_int_eq(kvr_resp_read(&s, &r), KVR_OK);
			ck_assert_int_eq(r.kind, KVR_RESP_INTEGER);
			ck_assert_int_eq(r.n, want[i]);
		}
		if (sent < sizeof(text) - 1)
			ck_assert_int_gt(write(pair[1], text + sent, sizeof(text) - 1 - sent), 0);
		ck_assert_int_eq(kvr_resp_read(&s, &r), KVR_E_PROTO);
		kvr_stream_hang_up(&s);
		close(pair[1]);
	}
}
END_TEST

START_TEST(a_verb_takes_no_more_room_than_it_says)
{
	static const struct kvr_resp_verb exists = KVR_RESP_VERB(2, 6, "EXISTS"),
	                                  range = KVR_RESP_VERB(4, 8, "GETRANGE");
	static const struct {
		uint64_t n;
		const char *text;
	} rows[] = { { 0, "0\r\n" }, { 9, "9\r\n" }, { 10, "10\r\n" }, { 90, "90\r\n" },
		{ 99, "99\r\n" }, { 100, "100\r\n" }, { 1090, "1090\r\n" },
		{ UINT64_MAX, "18446744073709551615\r\n" } };
	char got[KVR_RESP_VERB_ROOM + 1], want[KVR_RESP_VERB_ROOM + 1];
	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		memset(got, '#', sizeof(got));
		snprintf(want, sizeof(want), "*2\r\n$6\r\nEXISTS\r\n$%s", rows[i].text);
		char *end = kvr_resp_put_verb(got, &exists, rows[i].n);
		ck_assert_uint_eq((size_t)(end - got), strlen(want));
		ck_assert_mem_eq(got, want, strlen(want));
		end = kvr_resp_put_verb(got, &range, rows[i].n);
		ck_assert(end <= got + KVR_RESP_VERB_ROOM);
		ck_assert_mem_eq(got, "*4\r\n$8\r\nGETRANGE\r\n$", 19);
		ck_assert_int_eq(got[KVR_RESP_VERB_ROOM], '#');
	}
}
END_TEST

static enum kvr_err
control(const char *reply, struct kvr_control *ret)
{
	static struct kvr_sock s;
	int pair[2];
	char got[64];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	kvr_stream_take(&s, pair[0], NULL);
	(void)!kvr_stream_begin(&s, kvr_now_ns() + KVR_SEC(10), 64);
	ck_assert_int_eq(write(pair[1], reply, strlen(reply)), (ssize_t)strlen(reply));
	shutdown(pair[1], SHUT_WR);
	enum kvr_err err = kvr_control(&s, 2, (const char *const[]){ "AUTH", "a b" }, ret);
	static const char want[] = "*2\r\n$4\r\nAUTH\r\n$3\r\na b\r\n";
	ck_assert_int_eq(read(pair[1], got, sizeof(got)), sizeof(want) - 1);
	ck_assert_mem_eq(got, want, sizeof(want) - 1);
	kvr_stream_hang_up(&s);
	close(pair[1]);
	return err;
}

START_TEST(control_replies_are_words)
{
	struct kvr_control r;
	ck_assert_int_eq(control("+OK\r\n", &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_STATUS);
	ck_assert_str_eq(r.text, "OK");
	ck_assert_int_eq(control("-ERR no\r\n", &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_ERROR);
	ck_assert_str_eq(r.text, "ERR no");
	ck_assert_int_eq(control(":42\r\n", &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_INTEGER);
	ck_assert_int_eq(r.n, 42);
	ck_assert_int_eq(control("$3\r\nabc\r\n", &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_BULK);
	ck_assert_str_eq(r.text, "abc");
	ck_assert_int_eq(control("$-1\r\n", &r), KVR_OK);
	ck_assert_int_eq(r.kind, KVR_RESP_NIL);
	ck_assert_int_eq(control("+OK\r\n+OK\r\n", &r), KVR_E_PROTO);
	ck_assert_int_eq(control("*1\r\n+OK\r\n", &r), KVR_E_PROTO);
	ck_assert_int_eq(control("rubbish\r\n", &r), KVR_E_PROTO);
	ck_assert_int_eq(control("+OK", &r), KVR_E_DOWN);
	ck_assert_int_eq(control("", &r), KVR_E_DOWN);
	char *big = malloc(20000);
	memset(big, 'x', 20000);
	memcpy(big, "+", 1);
	big[19999] = '\0';
	ck_assert_int_eq(control(big, &r), KVR_E_PROTO);
	free(big);
}
END_TEST

KVR_CHECK_MAIN("wire.resp", replies_are_what_their_first_line_says, what_is_not_a_reply_is_refused,
    error_replies_cost_what_they_mean, commands_are_written_part_by_part,
    short_integers_are_read_like_any_other, a_verb_takes_no_more_room_than_it_says,
    control_replies_are_words)
