/* SPDX-License-Identifier: Apache-2.0 */
/* When a stream that moves payload lets lookups have its processor, how often, and for how long. */
#include "kvr_stream.h"
#include "kvr_check.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CALL_US = 100, PAYLOAD = 32 * KVR_STREAM_WAY };

/* A processor: each call on the socket takes CALL_US of it, and whoever it is left to, taken_us. */
static struct {
	uint64_t now_ns, taken_us;
	uint32_t yields, calls;
	size_t   longest; /* call */
} cpu;

/* In place of the system's. */
int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){ (time_t)(cpu.now_ns / KVR_SEC(1)), (long)(cpu.now_ns % KVR_SEC(1)) };
	return 0;
}

int
sched_yield(void)
{
	cpu.yields++;
	cpu.now_ns += cpu.taken_us * 1000;
	return 0;
}

static ssize_t
moved(const struct iovec *iov, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	cpu.now_ns += CALL_US * 1000;
	cpu.calls++;
	cpu.longest = KVR_MAX(cpu.longest, sum);
	return (ssize_t)sum;
}

static ssize_t
gave(struct kvr_sock *s, struct iovec *iov, int n, short *ret_events)
{
	(void)s;
	(void)ret_events;
	return moved(iov, n);
}

static void
closed(struct kvr_sock *s)
{
	close(s->fd);
}

static const struct kvr_stream_ops ops = { .recv = gave, .send = gave, .close = closed };

struct end {
	struct kvr_sock s;
	struct kvr_kick kick;
	_Atomic uint32_t lookups;
	uint8_t payload[PAYLOAD];
};

static struct end *
end_new(uint32_t lookups, uint64_t taken_us)
{
	struct end *e = calloc(1, sizeof(*e));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_ge(fd, 0);
	atomic_store(&e->lookups, lookups);
	e->kick.lookups = &e->lookups;
	kvr_stream_take(&e->s, fd, &e->kick);
	e->s.ops = &ops;
	cpu.now_ns = KVR_SEC(1);
	cpu.taken_us = taken_us;
	cpu.yields = cpu.calls = 0;
	cpu.longest = 0;
	ck_assert_int_eq(kvr_stream_begin(&e->s, KVR_SEC(60), KVR_STREAM_IN), KVR_OK);
	return e;
}

static void
end_free(struct end *e)
{
	kvr_stream_hang_up(&e->s);
	free(e);
}

static void
put(struct end *e)
{
	ck_assert_int_eq(kvr_stream_lend(&e->s, e->payload, PAYLOAD), KVR_OK);
	ck_assert_int_eq(kvr_stream_flush(&e->s), KVR_OK);
}

static void
get(struct end *e)
{
	for (size_t at = 0, n = 0; at < PAYLOAD; at += n)
		ck_assert_int_eq(
		    kvr_stream_read(&e->s, e->payload + at, KVR_STREAM_SLICE, 0, &n), KVR_OK);
}

START_TEST(without_lookups_nothing_is_given)
{
	struct end *e = end_new(0, 0);
	put(e);
	ck_assert_uint_eq(cpu.longest, KVR_MIN(PAYLOAD, KVR_STREAM_PIECE));
	get(e);
	ck_assert_uint_eq(cpu.yields, 0);
	end_free(e);
}
END_TEST

/* What stands around a value, 2 bytes of it maybe, is not worth a call. */
START_TEST(the_ends_of_a_request_ride_with_its_payload)
{
	static const char head[] = "*3 a head", tail[] = "\r\n";
	struct end *e = end_new(0, 0);

	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_int_eq(kvr_stream_copy(&e->s, head, sizeof(head)), KVR_OK);
		ck_assert_uint_eq(cpu.calls, 0);
		for (size_t at = 0; at < PAYLOAD; at += KVR_STREAM_SLICE) {
			ck_assert_int_eq(
			    kvr_stream_lend(&e->s, e->payload + at, KVR_STREAM_SLICE), KVR_OK);
			/* A value that is a piece leaves when the next one's payload comes. */
			ck_assert_uint_eq(cpu.calls, i);
		}
		ck_assert_int_eq(kvr_stream_copy(&e->s, tail, 2), KVR_OK);
		ck_assert_uint_eq(cpu.calls, i);
		cpu.calls = 0;
	}
	ck_assert_int_eq(kvr_stream_flush(&e->s), KVR_OK);
	ck_assert_uint_eq(cpu.calls, 1);
	ck_assert_uint_eq(e->s.moved, 2 * (sizeof(head) + PAYLOAD + 2));
	end_free(e);
}
END_TEST

START_TEST(nobody_who_counts_is_the_same)
{
	struct end *e = end_new(1, 0);
	e->kick.lookups = NULL;
	put(e);
	e->s.kick = NULL;
	put(e);
	ck_assert_uint_eq(cpu.yields, 0);
	end_free(e);
}
END_TEST

START_TEST(while_one_is_under_way_calls_are_short_and_apart)
{
	struct end *e = end_new(1, 0);
	put(e);
	ck_assert_uint_eq(cpu.longest, KVR_STREAM_WAY);
	ck_assert_uint_eq(cpu.calls, 32);
	ck_assert_uint_eq(cpu.yields, 31); /* before each but the first */
	end_free(e);
}
END_TEST

/* For as many bytes as one call may have: then it is believed that there is none. */
START_TEST(after_one_calls_stay_short_for_a_while)
{
	struct end *e = end_new(1, 0);
	put(e);
	atomic_store(&e->lookups, 0);
	cpu.yields = cpu.calls = 0;
	put(e);
	ck_assert_uint_eq(cpu.longest, KVR_STREAM_WAY);
	ck_assert_uint_eq(cpu.yields, 0);
	put(e);
	ck_assert_uint_eq(cpu.longest, KVR_MIN(PAYLOAD, KVR_STREAM_PIECE));
	end_free(e);
}
END_TEST

START_TEST(so_it_is_for_gets)
{
	struct end *e = end_new(1, 0);
	get(e);
	ck_assert_uint_eq(cpu.calls, 32);
	ck_assert_uint_eq(cpu.yields, 31);
	end_free(e);
}
END_TEST

/* Whoever takes it keeps it for the time of four calls: for that of two it is not offered again. */
START_TEST(two_thirds_of_the_time_are_the_most_that_is_given)
{
	struct end *e = end_new(1, 4 * CALL_US);
	put(e);
	ck_assert_uint_eq(cpu.calls, 32);
	ck_assert_uint_eq(cpu.yields, 16); /* before calls 1, 3, 5, ... 31 */
	end_free(e);
}
END_TEST

/* The lookup itself, however many keys it asks for. */
START_TEST(a_lookup_gives_way_to_nobody)
{
	struct end *e = end_new(1, 0);
	e->s.brisk = true;
	put(e);
	get(e);
	ck_assert_uint_eq(cpu.yields, 0);
	end_free(e);
}
END_TEST

KVR_CHECK_MAIN("wire.stream_way", without_lookups_nothing_is_given,
    the_ends_of_a_request_ride_with_its_payload, nobody_who_counts_is_the_same,
    while_one_is_under_way_calls_are_short_and_apart, after_one_calls_stay_short_for_a_while,
    so_it_is_for_gets, two_thirds_of_the_time_are_the_most_that_is_given,
    a_lookup_gives_way_to_nobody)
