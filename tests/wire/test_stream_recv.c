/* SPDX-License-Identifier: Apache-2.0 */
/* A small answer is slept for in one call, which neither a kick nor the end of the time may miss. */
#include "kvr_stream_own.h"
#include "kvr_check.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { NAP_MS = 5 };

/* Time passes while somebody sleeps. What happens at which nap, counted from 1; 0: at none. */
static struct {
	uint64_t now_ns;
	uint32_t naps, polls, answer_at, kick_at;
	bool arrived; /* so far as poll knows */
	int peer;
} seen;

/* Both in place of the system's. */
int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){ (time_t)(seen.now_ns / KVR_SEC(1)), (long)(seen.now_ns % KVR_SEC(1)) };
	return 0;
}

int
poll(struct pollfd *fds, nfds_t n, int ms)
{
	seen.polls++;
	for (nfds_t i = 0; i < n; i++)
		fds[i].revents = 0;
	if (seen.arrived)
		fds[0].revents = fds[0].events;
	else
		seen.now_ns += KVR_MS(ms);
	return seen.arrived;
}

static ssize_t
counted_nap(struct kvr_sock *s, struct iovec *iov, int n)
{
	seen.naps++;
	if (seen.naps == seen.answer_at)
		ck_assert_int_eq(write(seen.peer, "+OK\r\n", 5), 5);
	ssize_t got = kvr_stream_plain.nap(s, iov, n);
	seen.now_ns += got > 0 ? 0 : KVR_MS(NAP_MS);
	if (seen.naps == seen.kick_at)
		atomic_store(&s->kick->target, s->kick->current);
	return got;
}

struct end {
	struct kvr_sock s;
	struct kvr_kick kick;
	struct kvr_stream_ops ops;
};

/* Looks do not come in between, but where a test wants them. */
static struct end *
end_new(uint64_t left_ns, bool brisk)
{
	struct end *e = calloc(1, sizeof(*e));
	int fd[2];
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	memset(&seen, 0, sizeof(seen));
	seen.now_ns = KVR_SEC(1);
	seen.peer = fd[1];
	e->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->kick.current = 1;
	kvr_stream_take(&e->s, fd[0], &e->kick);
	e->ops = *e->s.ops;
	ck_assert(e->ops.nap != NULL);
	e->ops.nap = counted_nap;
	e->s.ops = &e->ops;
	e->s.look_skip = 1000;
	ck_assert_int_eq(kvr_stream_begin(&e->s, kvr_now_ns() + left_ns, KVR_STREAM_IN), KVR_OK);
	e->s.brisk = brisk;
	return e;
}

static void
end_free(struct end *e)
{
	kvr_stream_hang_up(&e->s);
	close(seen.peer);
	close(e->kick.fd);
	free(e);
}

static enum kvr_err
hear(struct end *e)
{
	struct kvr_const_span line;
	return kvr_stream_line(&e->s, &line);
}

START_TEST(an_answer_ends_a_nap)
{
	struct end *e = end_new(KVR_SEC(60), true);
	seen.answer_at = 3;
	ck_assert_int_eq(hear(e), KVR_OK);
	ck_assert_uint_eq(seen.naps, 3);
	ck_assert_uint_eq(e->s.moved, 5);
	/* What is here already is one call, too. */
	ck_assert_int_eq(write(seen.peer, "+OK\r\n", 5), 5);
	ck_assert_int_eq(hear(e), KVR_OK);
	ck_assert_uint_eq(seen.naps, 4);
	/* And a look that finds it needs none. */
	e->s.look_skip = 0;
	ck_assert_int_eq(write(seen.peer, "+OK\r\n", 5), 5);
	ck_assert_int_eq(hear(e), KVR_OK);
	ck_assert_uint_eq(seen.naps, 4);
	close(seen.peer);
	ck_assert_int_eq(hear(e), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(e->s.why, "closed"));
	seen.peer = -1;
	end_free(e);
}
END_TEST

START_TEST(who_moves_payload_waits_where_a_kick_is_heard_at_once)
{
	struct end *e = end_new(KVR_SEC(60), false);
	ck_assert_int_eq(write(seen.peer, "+OK\r\n", 5), 5);
	ck_assert_int_eq(hear(e), KVR_OK);
	ck_assert_uint_eq(seen.naps, 0);
	end_free(e);
}
END_TEST

START_TEST(a_kick_is_heard_between_naps)
{
	struct end *e = end_new(KVR_SEC(60), true);
	seen.kick_at = 2;
	ck_assert_int_eq(hear(e), KVR_E_CANCELLED);
	ck_assert_uint_eq(seen.naps, 2);
	end_free(e);
}
END_TEST

/* The last nap that may begin ends 50 ms before the end, or earlier. */
START_TEST(near_the_end_a_wait_is_sharp)
{
	struct end *e = end_new(KVR_MS(150), true);
	ck_assert_int_eq(hear(e), KVR_E_TIMEOUT);
	ck_assert_uint_eq(seen.now_ns, e->s.until_ns);
	ck_assert_uint_eq(seen.naps, 95 / NAP_MS);
	ck_assert_uint_eq(seen.polls, 1);
	end_free(e);
	e = end_new(KVR_MS(50), true);
	ck_assert_int_eq(hear(e), KVR_E_TIMEOUT);
	ck_assert_uint_eq(seen.naps, 0);
	end_free(e);
}
END_TEST

START_TEST(patience_ends_naps_and_counts_from_the_first)
{
	struct end *e = end_new(KVR_SEC(60), true);
	e->s.patience_ns = KVR_MS(150);
	ck_assert_int_eq(hear(e), KVR_E_TIMEOUT);
	ck_assert_str_eq(e->s.why, "silent for 150 ms");
	ck_assert_uint_eq(seen.now_ns, KVR_SEC(1) + KVR_MS(150));
	ck_assert_uint_eq(seen.naps, 95 / NAP_MS);
	ck_assert_int_eq(kvr_stream_blame(&e->s, KVR_E_TIMEOUT), KVR_E_DOWN);
	end_free(e);
}
END_TEST

/* The socket blocks from now on, and no other call may. */
START_TEST(after_a_nap_writes_and_reads_still_end)
{
	struct end *e = end_new(KVR_SEC(60), true);
	uint8_t *much = calloc(1, KVR_MIB(4));
	seen.answer_at = 1;
	ck_assert_int_eq(hear(e), KVR_OK);
	ck_assert_uint_eq(e->s.naps, KVR_NAPS);
	(void)!kvr_stream_begin(&e->s, kvr_now_ns() + KVR_MS(30), KVR_STREAM_IN);
	(void)!kvr_stream_lend(&e->s, much, KVR_MIB(4));
	ck_assert_int_eq(kvr_stream_flush(&e->s), KVR_E_TIMEOUT);
	ck_assert_uint_eq(seen.polls, 1);
	free(much);
	end_free(e);
	e = end_new(KVR_SEC(60), true);
	seen.answer_at = 1;
	ck_assert_int_eq(hear(e), KVR_OK);
	(void)!kvr_stream_begin(&e->s, kvr_now_ns() + KVR_MS(30), KVR_STREAM_IN);
	ck_assert_int_eq(hear(e), KVR_E_TIMEOUT);
	ck_assert_uint_eq(seen.naps, 1);
	end_free(e);
}
END_TEST

START_TEST(a_socket_that_cannot_is_polled)
{
	struct end *e = end_new(KVR_SEC(60), true);
	e->s.naps = KVR_NAPS_NEVER;
	seen.arrived = true;
	ck_assert_int_eq(write(seen.peer, "+OK\r\n", 5), 5);
	ck_assert_int_eq(hear(e), KVR_OK);
	ck_assert_uint_eq(seen.naps, 0);
	ck_assert_uint_eq(seen.polls, 1);
	end_free(e);
}
END_TEST

KVR_CHECK_MAIN("wire.stream_recv", an_answer_ends_a_nap,
    who_moves_payload_waits_where_a_kick_is_heard_at_once, a_kick_is_heard_between_naps,
    near_the_end_a_wait_is_sharp, patience_ends_naps_and_counts_from_the_first,
    after_a_nap_writes_and_reads_still_end, a_socket_that_cannot_is_polled)
