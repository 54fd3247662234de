/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_stream.h"
#include "kvr_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
	struct kvr_sock s;
	struct kvr_kick kick;
	int             peer; /* blocking */
};

static struct pair *
pair_new(int buffer)
{
	struct pair *p = calloc(1, sizeof(*p));
	int fd[2];
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	for (int i = 0; i < 2 && buffer > 0; i++) {
		setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
		setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	}
	ck_assert_int_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	p->peer = fd[1];
	p->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->kick.current = 1;
	kvr_stream_take(&p->s, fd[0], &p->kick);
	ck_assert_int_eq(
	    kvr_stream_begin(&p->s, kvr_now_ns() + KVR_SEC(60), KVR_STREAM_IN), KVR_OK);
	return p;
}

static void
pair_free(struct pair *p)
{
	kvr_stream_hang_up(&p->s);
	kvr_stream_hang_up(&p->s);
	if (p->peer >= 0)
		close(p->peer);
	close(p->kick.fd);
	free(p);
}

static void
peer_says(struct pair *p, const char *text)
{
	ck_assert_int_eq(write(p->peer, text, strlen(text)), (ssize_t)strlen(text));
}

static void
expect_line(struct pair *p, const char *want)
{
	struct kvr_const_span line;
	ck_assert_int_eq(kvr_stream_line(&p->s, &line), KVR_OK);
	ck_assert_uint_eq(line.len, strlen(want));
	ck_assert_mem_eq(line.at, want, line.len);
}

START_TEST(lines_and_payload_share_the_stream)
{
	struct pair *p = pair_new(0);
	char to[32] = "";
	size_t n = 0;
	peer_says(p, "+OK\r\n$5\r\nhello\r\n\r\n$3\r\nabc\r\nlast");
	expect_line(p, "+OK");
	expect_line(p, "$5");
	ck_assert_int_eq(kvr_stream_read(&p->s, to, 5, KVR_STREAM_AHEAD, &n), KVR_OK);
	ck_assert_uint_eq(n, 5);
	ck_assert_mem_eq(to, "hello", 5);
	expect_line(p, "");
	expect_line(p, "");
	expect_line(p, "$3");
	ck_assert_int_eq(kvr_stream_skip(&p->s, 5), KVR_OK);
	ck_assert_uint_eq(kvr_stream_held(&p->s), 4);
	close(p->peer);
	p->peer = -1;
	ck_assert_int_eq(kvr_stream_read_all(&p->s, to, 5), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(p->s.why, "closed"));
	ck_assert_int_eq(kvr_stream_copy(&p->s, "x", 1), KVR_E_DOWN);
	pair_free(p);
}
END_TEST

START_TEST(a_line_needs_its_end)
{
	struct kvr_const_span line;
	struct pair *p = pair_new(0);
	peer_says(p, "half\n");
	ck_assert_int_eq(kvr_stream_line(&p->s, &line), KVR_E_PROTO);
	pair_free(p);
	p = pair_new(0);
	char *endless = malloc(KVR_STREAM_IN);
	memset(endless, 'x', KVR_STREAM_IN);
	ck_assert_int_eq(write(p->peer, endless, KVR_STREAM_IN), KVR_STREAM_IN);
	ck_assert_int_eq(kvr_stream_line(&p->s, &line), KVR_E_PROTO);
	free(endless);
	pair_free(p);
}
END_TEST

/* A dialogue in random pieces: n messages of a line with a length and that many bytes. */

struct talk {
	int      fd;
	uint64_t seed;
	uint8_t *bytes;
	size_t   len;
};

static uint64_t
chance(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return *state >> 33;
}

static void *
talk_main(void *arg)
{
	struct talk *t = arg;
	for (size_t at = 0; at < t->len;) {
		size_t n = 1 + chance(&t->seed) % (chance(&t->seed) % 3 == 0 ? 70000 : 50);
		if (n > t->len - at)
			n = t->len - at;
		ssize_t sent = write(t->fd, t->bytes + at, n);
		ck_assert_int_gt(sent, 0);
		at += (size_t)sent;
	}
	return NULL;
}

START_TEST(any_cut_of_the_bytes_reads_the_same)
{
	for (uint64_t seed = 1; seed <= KVR_ROUNDS(20); seed++) {
		struct pair *p = pair_new(8192);
		struct talk t = { .fd = p->peer, .seed = seed };
		uint64_t state = seed * 77;
		size_t lens[40], cap = 0;
		for (size_t i = 0; i < KVR_LEN(lens); i++) {
			lens[i] = chance(&state) % (i % 2 == 0 ? 200000 : 40);
			cap += lens[i] + 32;
		}
		t.bytes = malloc(cap);
		for (size_t i = 0; i < KVR_LEN(lens); i++) {
			t.len += (size_t)sprintf((char *)t.bytes + t.len, "$%zu\r\n", lens[i]);
			for (size_t k = 0; k < lens[i]; k++)
				t.bytes[t.len++] = (uint8_t)(i * 31 + k * 7 + (k >> 8));
			memcpy(t.bytes + t.len, "\r\n", 2);
			t.len += 2;
		}
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, talk_main, &t), 0);
		uint8_t *to = malloc(200000);
		(void)!kvr_stream_begin(
		    &p->s, kvr_now_ns() + KVR_SEC(60), seed % 2 == 0 ? 64 : KVR_STREAM_IN);
		for (size_t i = 0; i < KVR_LEN(lens); i++) {
			char want[24];
			sprintf(want, "$%zu", lens[i]);
			expect_line(p, want);
			for (size_t at = 0; at < lens[i];) {
				size_t some = 1 + chance(&state) % 131072, n = 0;
				size_t max = KVR_MIN(lens[i] - at, some);
				size_t ahead = max == lens[i] - at ? KVR_STREAM_AHEAD : 0;
				ck_assert_int_eq(
				    kvr_stream_read(&p->s, to + at, max, ahead, &n), KVR_OK);
				ck_assert(n > 0 && n <= max);
				at += n;
			}
			size_t wrong = 0;
			for (size_t k = 0; k < lens[i]; k++)
				wrong += to[k] != (uint8_t)(i * 31 + k * 7 + (k >> 8));
			ck_assert_uint_eq(wrong, 0);
			expect_line(p, "");
		}
		pthread_join(thread, NULL);
		ck_assert_uint_eq(kvr_stream_held(&p->s), 0);
		free(to);
		free(t.bytes);
		pair_free(p);
	}
}
END_TEST

static void *
drain_main(void *arg)
{
	struct talk *t = arg;
	for (size_t at = 0; at < t->len;) {
		ssize_t n = read(t->fd, t->bytes + at, t->len - at);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	return NULL;
}

START_TEST(gathered_writes_arrive_in_their_order)
{
	for (uint64_t seed = 1; seed <= KVR_ROUNDS(10); seed++) {
		struct pair *p = pair_new(16384);
		size_t cap = 6 << 20, len = 0;
		uint8_t *source = malloc(cap);
		uint64_t state = seed;
		struct talk t = { .fd = p->peer, .bytes = malloc(cap) };
		for (size_t k = 0; k < cap; k++)
			source[k] = (uint8_t)(k * 13 + (k >> 9));
		t.len = cap;
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, drain_main, &t), 0);
		while (len < cap) {
			size_t n = chance(&state) % (chance(&state) % 4 == 0 ? 900000 : 3000);
			n = KVR_MIN(n, cap - len);
			enum kvr_err err = chance(&state) % 2 == 0
			                       ? kvr_stream_copy(&p->s, source + len, n)
			                       : kvr_stream_lend(&p->s, source + len, n);
			ck_assert_int_eq(err, KVR_OK);
			len += n;
			if (chance(&state) % 16 == 0)
				ck_assert_int_eq(kvr_stream_flush(&p->s), KVR_OK);
		}
		ck_assert_int_eq(kvr_stream_flush(&p->s), KVR_OK);
		pthread_join(thread, NULL);
		ck_assert_mem_eq(t.bytes, source, cap);
		free(source);
		free(t.bytes);
		pair_free(p);
	}
}
END_TEST

static void *
stubborn_main(void *arg)
{
	struct talk *t = arg;
	uint8_t *reply = calloc(1, KVR_STREAM_IN);
	/* Reads nothing before all of this is out. */
	for (size_t at = 0; at < KVR_STREAM_IN;) {
		ssize_t n = write(t->fd, reply + at, KVR_STREAM_IN - at);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	free(reply);
	return drain_main(arg);
}

START_TEST(two_sides_that_write_first_do_not_wait_for_each_other)
{
	struct pair *p = pair_new(4608);
	struct talk t = { .fd = p->peer, .len = 1 << 20, .bytes = malloc(1 << 20) };
	uint8_t *source = calloc(1, 1 << 20);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, stubborn_main, &t), 0);
	ck_assert_int_eq(kvr_stream_lend(&p->s, source, 1 << 20), KVR_OK);
	ck_assert_int_eq(kvr_stream_flush(&p->s), KVR_OK);
	pthread_join(thread, NULL);
	ck_assert_int_eq(kvr_stream_skip(&p->s, KVR_STREAM_IN), KVR_OK);
	free(source);
	free(t.bytes);
	pair_free(p);
}
END_TEST

START_TEST(every_wait_ends_at_its_deadline_and_stays_ended)
{
	struct pair *p = pair_new(4608);
	struct kvr_const_span line;
	uint8_t *bytes = calloc(1, 1 << 20);
	uint64_t until_ns = kvr_now_ns() + KVR_MS(30);
	(void)!kvr_stream_begin(&p->s, until_ns, 64); /* which may be over already */
	ck_assert_int_eq(kvr_stream_line(&p->s, &line), KVR_E_TIMEOUT);
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
	peer_says(p, "+OK\r\n");
	ck_assert_int_eq(kvr_stream_begin(&p->s, kvr_now_ns() + KVR_SEC(60), 64), KVR_E_TIMEOUT);
	ck_assert_int_eq(kvr_stream_line(&p->s, &line), KVR_E_TIMEOUT);
	pair_free(p);
	p = pair_new(4608);
	(void)!kvr_stream_begin(&p->s, kvr_now_ns() + KVR_MS(30), 64);
	(void)!kvr_stream_lend(&p->s, bytes, 1 << 20);
	ck_assert_int_eq(kvr_stream_flush(&p->s), KVR_E_TIMEOUT);
	free(bytes);
	pair_free(p);
}
END_TEST

static void *
flood_main(void *arg)
{
	struct talk *t = arg;
	static const uint8_t block[65536];
	while (send(t->fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

START_TEST(a_flood_does_not_carry_a_read_past_its_deadline)
{
	struct pair *p = pair_new(0);
	struct talk t = { .fd = p->peer };
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, flood_main, &t), 0);
	uint64_t until_ns = kvr_now_ns() + KVR_MS(50);
	(void)!kvr_stream_begin(&p->s, until_ns, 64);
	ck_assert_int_eq(kvr_stream_skip(&p->s, UINT64_MAX), KVR_E_TIMEOUT);
	ck_assert_uint_lt(kvr_now_ns(), until_ns + KVR_SEC(10));
	kvr_stream_hang_up(&p->s);
	pthread_join(thread, NULL);
	pair_free(p);
}
END_TEST

START_TEST(a_kick_counts_for_its_batch_only)
{
	struct pair *p = pair_new(0);
	struct kvr_const_span line;
	uint64_t one = 1;
	struct kvr_kick *k = &p->kick;
	ck_assert(!kvr_kicked(k));
	k->current = 0;
	ck_assert_msg(!kvr_kicked(k), "a kick of zeros is none");
	k->current = 5;
	atomic_store(&k->target, 4);
	ck_assert_int_eq(write(k->fd, &one, sizeof(one)), sizeof(one));
	peer_says(p, "+OK\r\n");
	expect_line(p, "+OK");
	ck_assert(!kvr_kicked(k));
	ck_assert_int_eq(read(k->fd, &one, sizeof(one)), -1);
	atomic_store(&k->target, 5);
	ck_assert(kvr_kicked(k));
	ck_assert_int_eq(kvr_stream_line(&p->s, &line), KVR_E_CANCELLED);
	pair_free(p);
}
END_TEST

KVR_CHECK_MAIN("wire.stream", lines_and_payload_share_the_stream, a_line_needs_its_end,
    any_cut_of_the_bytes_reads_the_same, gathered_writes_arrive_in_their_order,
    two_sides_that_write_first_do_not_wait_for_each_other,
    every_wait_ends_at_its_deadline_and_stays_ended,
    a_flood_does_not_carry_a_read_past_its_deadline, a_kick_counts_for_its_batch_only)
