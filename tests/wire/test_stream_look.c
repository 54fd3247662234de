/* SPDX-License-Identifier: Apache-2.0 */
/* When a stream looks for an answer before it sleeps, and that it learns when this is in vain. */
#include "kvr_stream.h"
#include "kvr_check.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the socket says to the calls of one read: first nothing; then to a look, if there is one. */
static struct {
	bool slow, kick; /* of a look: it takes too long and finds nothing; it sees a cancel */
	bool may_look;
	uint32_t calls, looks;
} server;

static ssize_t
served(struct kvr_sock *s, struct iovec *iov, int n, short *ret_events)
{
	uint64_t from_ns = kvr_now_ns();
	bool look = server.calls == 1 && server.may_look;
	*ret_events = POLLIN;
	errno = EAGAIN;
	if (server.calls++ == 0) {
		server.may_look = s->brisk && s->look_skip == 0;
		return -1;
	}
	server.looks += look;
	if (look && server.kick)
		atomic_store(&s->kick->target, s->kick->current);
	if (look && server.kick)
		return -1;
	if (look && server.slow) {
		while (kvr_now_ns() < from_ns + KVR_MS(1))
			;
		errno = EAGAIN;
		return -1;
	}
	return readv(s->fd, iov, n);
}

static void
closed(struct kvr_sock *s)
{
	close(s->fd);
}

static const struct kvr_stream_ops served_ops = { .recv = served, .close = closed };

struct end {
	struct kvr_sock s;
	struct kvr_kick kick;
	int peer;
};

static struct end *
end_new(void)
{
	struct end *e = calloc(1, sizeof(*e));
	int fd[2];
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	e->peer = fd[1];
	e->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->kick.current = 1;
	kvr_stream_take(&e->s, fd[0], &e->kick);
	e->s.ops = &served_ops;
	memset(&server, 0, sizeof(server));
	return e;
}

static void
end_free(struct end *e)
{
	kvr_stream_hang_up(&e->s);
	close(e->peer);
	close(e->kick.fd);
	free(e);
}

/* An answer is there, and n of them are read. */
static enum kvr_err
answers(struct end *e, bool brisk, uint32_t n)
{
	struct kvr_const_span line;
	enum kvr_err err = kvr_stream_begin(&e->s, kvr_now_ns() + KVR_SEC(60), KVR_STREAM_IN);
	e->s.brisk = brisk;
	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		ck_assert_int_eq(write(e->peer, "+OK\r\n", 5), 5);
		server.calls = 0;
		err = kvr_stream_line(&e->s, &line);
	}
	return err;
}

START_TEST(only_who_expects_a_small_answer_looks)
{
	struct end *e = end_new();
	ck_assert_int_eq(answers(e, false, 3), KVR_OK);
	ck_assert_uint_eq(server.looks, 0);
	ck_assert_int_eq(answers(e, true, 3), KVR_OK);
	ck_assert_uint_eq(server.looks, 3);
	ck_assert_int_eq(kvr_stream_begin(&e->s, kvr_now_ns() + KVR_SEC(60), 64), KVR_OK);
	ck_assert(!e->s.brisk); /* the next verb has to say so for itself */
	end_free(e);
}
END_TEST

/* Looks 0, 2, 6, ... 1022 and 2046: each in vain, and each twice as far from the one before. */
START_TEST(looks_in_vain_become_rare)
{
	struct end *e = end_new();
	server.slow = true;
	ck_assert_int_eq(answers(e, true, 2100), KVR_OK);
	ck_assert_uint_eq(server.looks, 11);
	/* The server has become quick: it is noticed at the next look, and then at all of them. */
	server.slow = false;
	server.looks = 0;
	ck_assert_int_eq(answers(e, true, 2046 + 1024 - 2100), KVR_OK);
	ck_assert_uint_eq(server.looks, 0);
	ck_assert_int_eq(answers(e, true, 20), KVR_OK);
	ck_assert_uint_eq(server.looks, 20);
	/* One answer that is late costs little, for the many before it were not. */
	server.slow = true;
	ck_assert_int_eq(answers(e, true, 1), KVR_OK);
	ck_assert_uint_eq(e->s.look_skip, 1);
	end_free(e);
}
END_TEST

START_TEST(a_cancel_ends_a_look)
{
	struct end *e = end_new();
	server.kick = true;
	ck_assert_int_eq(answers(e, true, 1), KVR_E_CANCELLED);
	ck_assert_uint_eq(server.calls, 2);
	end_free(e);
}
END_TEST

KVR_CHECK_MAIN("wire.stream_look", only_who_expects_a_small_answer_looks, looks_in_vain_become_rare,
    a_cancel_ends_a_look)
