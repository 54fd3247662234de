/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server may send. The first byte says to whom: 1, to a control command (hiredis' reader);
 * 3, to HELLO; even, to our reader of data replies. Whatever comes, the end is PROTO or DOWN, never
 * a hang.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvr_control.h"
#include "kvr_fuzz.h"
#include "kvr_resp3.h"

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const char *const seeds[] = { "0+OK\r\n$5\r\nhello\r\n$-1\r\n:42\r\n-OOM no\r\n",
		"0*2\r\n$0\r\n\r\n:-1\r\n$3\r\nabc\r\n", "1+PONG\r\n",
		"1-NOAUTH Authentication required.\r\n", "1$4\r\nPONG\r\n", "1:7\r\n",
		"3%2\r\n$5\r\nproto\r\n:3\r\n+role\r\n*1\r\n%0\r\n", "3-NOPROTO x\r\n" };
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

static void
read_data(struct kvr_sock *s)
{
	struct kvr_resp r, again;
	char text[40];
	enum kvr_err err;
	while ((err = kvr_resp_read(s, &r)) == KVR_OK) {
		if (r.kind == KVR_RESP_INTEGER) {
			snprintf(text, sizeof(text), ":%lld", (long long)r.n);
			KVR_CHECK(kvr_resp_parse(text, strlen(text), &again) && again.n == r.n);
		}
		if (r.kind == KVR_RESP_ERROR)
			KVR_CHECK(kvr_resp_error(r.text, r.text_len) < 0);
		if (r.kind != KVR_RESP_BULK)
			continue;
		KVR_CHECK(r.n >= 0 && r.n <= KVR_RESP_BULK_MAX);
		err = kvr_stream_skip(s, (uint64_t)r.n);
		if (err == KVR_OK)
			err = kvr_resp_bulk_end(s);
		if (err != KVR_OK)
			break;
	}
	KVR_CHECK(err == KVR_E_PROTO || err == KVR_E_DOWN);
}

static void
read_control(struct kvr_sock *s)
{
	struct kvr_control r;
	enum kvr_err err = kvr_control(s, 1, (const char *const[]){ "PING" }, &r);
	KVR_CHECK(err == KVR_OK || err == KVR_E_PROTO || err == KVR_E_DOWN);
	if (err == KVR_OK)
		KVR_CHECK(r.kind != KVR_RESP_ARRAY && strlen(r.text) < sizeof(r.text));
}

static void
read_hello(struct kvr_sock *s)
{
	char error[24];
	enum kvr_err err = kvr_resp3_hello(s, "user", "password", error, sizeof(error));
	KVR_CHECK(err == KVR_OK || err == KVR_E_PROTO || err == KVR_E_DOWN);
	KVR_CHECK(err == KVR_OK || s->why[0] != '\0');
	KVR_CHECK(err != KVR_OK || memchr(error, '\0', sizeof(error)) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static struct kvr_sock s;
	int pair[2];
	if (len == 0)
		return 0;
	KVR_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	if (len > 1)
		KVR_CHECK(write(pair[1], at + 1, len - 1) == (ssize_t)len - 1);
	shutdown(pair[1], SHUT_WR);
	kvr_stream_take(&s, pair[0], NULL);
	(void)!kvr_stream_begin(
	    &s, kvr_now_ns() + KVR_SEC(20), at[0] % 3 == 0 ? 64 : KVR_STREAM_IN);
	if (at[0] % 4 == 1)
		read_control(&s);
	else if (at[0] % 4 == 3)
		read_hello(&s);
	else
		read_data(&s);
	kvr_stream_hang_up(&s);
	close(pair[1]);
	return 0;
}
