/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window of requests: near by it is as small as the server needs, far away as large as what is
 * on its way meanwhile. A peer that waits for more requests than it gets never answers.
 */
#include "kvr_redis.h"

#include "kvr_kicker.h"

#include <pthread.h>

enum { N = 8, LEN = 1 << 20 };

#define HELLO                                                                                      \
	{ KVR_PEER_AWAIT, "PING\r\n", 0 },                                                         \
	{                                                                                          \
		KVR_PEER_SEND, "+PONG\r\n", 0                                                      \
	}
#define KEY(i)                                                                                     \
	{                                                                                          \
		KVR_PEER_AWAIT, "m@1@0@" #i "@half", 0                                             \
	}
#define VALUE                                                                                      \
	{ KVR_PEER_SEND, "$1048576\r\n", 0 }, { KVR_PEER_FILL, "x", LEN },                         \
	{                                                                                          \
		KVR_PEER_SEND, "\r\n", 2                                                           \
	}

#define STORED                                                                                     \
	{                                                                                          \
		KVR_PEER_SEND, "+OK\r\n", 0                                                        \
	}

/* With bytes unread a close would be a reset, and what was sent before it lost. */
#define READ_ON                                                                                    \
	{                                                                                          \
		KVR_PEER_STALL, NULL, 0                                                            \
	}

static void
all(enum kvr_verb verb, const struct kvr_peer_act *acts, size_t n_acts, uint64_t trip_ns,
    uint64_t window_bytes)
{
	struct kvr_peer *peer = kvr_peer_start(acts, n_acts);
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(N, LEN);

	opts.window_bytes = window_bytes;
	bed_up(&b, &opts);
	b.lane->trip_ns = trip_ns;
	bed_ok(&b, verb, l.items, N);
	for (uint32_t i = 0; i < N; i++)
		bed_status(&l.items[i], KVR_OK);
	bed_down(&b);
	kvr_peer_stop(peer);
	load_free(&l);
}

/* How many requests leave before anything has been answered: in one write, so none is on its way. */
static uint64_t
asked_at_once(uint64_t trip_ns, uint64_t window_bytes)
{
	static const struct kvr_peer_act acts[] = { HELLO, KEY(0), KEY(1),
		{ KVR_PEER_STALL, NULL, 0 } };
	static const char request[] = "*2\r\n$3\r\nGET\r\n$12\r\nm@1@0@0@half\r\n";
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(N, LEN);
	struct kicker k = { &b, peer, KVR_LEN(acts) - 1 };
	pthread_t thread;

	opts.window_bytes = window_bytes;
	bed_up(&b, &opts);
	ck_assert_uint_gt(b.lane->trip_ns, 0); /* the dial has told */
	b.lane->trip_ns = trip_ns;
	uint64_t before = b.lane->s.moved;
	ck_assert_int_eq(pthread_create(&thread, NULL, kick_main, &k), 0);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_GET, l.items, N), KVR_E_CANCELLED);
	pthread_join(thread, NULL);
	uint64_t bytes = b.lane->s.moved - before;
	ck_assert_uint_eq(bytes % (sizeof(request) - 1), 0);
	bed_down(&b);
	kvr_peer_stop(peer);
	load_free(&l);
	return bytes / (sizeof(request) - 1);
}

START_TEST(a_window_is_as_large_as_the_server_is_far_away)
{
	/* Near by two, so that one can be built while the other travels. */
	ck_assert_uint_eq(asked_at_once(1, 0), 2);
	/* 4 bytes a nanosecond. */
	ck_assert_uint_eq(asked_at_once(KVR_MS(1), 0), 3);
	ck_assert_uint_eq(asked_at_once(KVR_MS(10), 0), N);
	ck_assert_uint_eq(asked_at_once(KVR_MS(10), KVR_MIB(4)), 4);
	ck_assert_uint_eq(asked_at_once(UINT64_MAX, KVR_MIB(4)), 4);
	ck_assert_uint_eq(asked_at_once(UINT64_MAX, 0), N);
}
END_TEST

/* Near by, as each comes the next is asked for: the peer answers none before it has seen the next. */
START_TEST(a_window_is_refilled_as_values_come)
{
	static const struct kvr_peer_act acts[] = { HELLO, KEY(0), KEY(1), VALUE, KEY(2), VALUE,
		KEY(3), VALUE, KEY(4), VALUE, KEY(5), VALUE, KEY(6), VALUE, KEY(7), VALUE, VALUE };

	all(KVR_VERB_GET, acts, KVR_LEN(acts), 1, 0);
	all(KVR_VERB_GET, acts, KVR_LEN(acts), 1, KVR_MIB(2));
}
END_TEST

START_TEST(far_away_all_are_asked_for_before_the_first_has_come)
{
	static const struct kvr_peer_act acts[] = { HELLO, KEY(0), KEY(1), KEY(2), KEY(3), KEY(4),
		KEY(5), KEY(6), KEY(7), VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE };

	all(KVR_VERB_GET, acts, KVR_LEN(acts), KVR_MS(10), 0);
}
END_TEST

/* The peer answers none before it has seen the beginning of the one after next. */
START_TEST(values_are_sent_in_a_window_too)
{
	static const struct kvr_peer_act near[] = { HELLO, KEY(0), KEY(1), STORED, KEY(2), STORED,
		KEY(3), STORED, KEY(4), STORED, KEY(5), STORED, KEY(6), STORED, KEY(7), STORED,
		STORED, READ_ON };
	static const struct kvr_peer_act far[] = { HELLO, KEY(0), KEY(1), KEY(2), KEY(3), KEY(4),
		KEY(5), KEY(6), KEY(7), STORED, STORED, STORED, STORED, STORED, STORED, STORED,
		STORED, READ_ON };

	all(KVR_VERB_PUT, near, KVR_LEN(near), 1, 0);
	all(KVR_VERB_PUT, far, KVR_LEN(far), KVR_MS(10), 0);
}
END_TEST

/* A server that was busy at the dial is not far away for ever, and a near one does not move off. */
START_TEST(the_shortest_round_trip_counts)
{
	struct kvr_store store = { 0 };
	struct kvr_connector *c = kvr_redis_connector_new(&store, true);

	c->trip_ns = UINT64_MAX;
	kvr_redis_trip(c, kvr_now_ns());
	uint64_t seen = c->trip_ns;
	ck_assert_uint_lt(seen, UINT64_MAX);
	kvr_redis_trip(c, kvr_now_ns() - KVR_SEC(5));
	ck_assert_uint_eq(c->trip_ns, seen);
	kvr_redis_connector_free(c);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_step", a_window_is_as_large_as_the_server_is_far_away,
    a_window_is_refilled_as_values_come, far_away_all_are_asked_for_before_the_first_has_come,
    values_are_sent_in_a_window_too, the_shortest_round_trip_counts)
