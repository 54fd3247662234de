/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of a cluster: what is known of slots, which nodes keep their numbers, who is left
 * alone.
 */
#include <stdio.h>
#include <string.h>

#include "kvr_check.h"
#include "kvr_redis_map.h"

static const struct kvr_url_host seed = { "seed", 1 };
static struct kvr_topology t;

/* n nodes "h" from port first on, with equal shares of the slots. */
static void
take(struct kvr_redis_map *m, uint32_t n, uint16_t first)
{
	t.n_nodes = n;
	for (uint32_t i = 0; i < n; i++)
		t.node[i] = (struct kvr_url_host){ "h", (uint16_t)(first + i) };
	for (uint32_t s = 0; s < KVR_SLOTS; s++)
		t.of[s] = (uint8_t)(s * n / KVR_SLOTS);
	kvr_redis_map_take(m, &t);
}

static uint16_t
port_of(struct kvr_redis_map *m, uint16_t slot)
{
	struct kvr_url_host at = { .port = 0 };
	uint32_t gen;
	uint8_t node = KVR_NO_NODE;
	kvr_redis_map_route(m, &slot, 1, &node);
	if (node != KVR_NO_NODE)
		ck_assert(kvr_redis_map_node(m, node, &at, &gen));
	return at.port;
}

START_TEST(slots_follow_what_was_said_last)
{
	struct kvr_redis_map *m = kvr_redis_map_new(&seed, 1);
	ck_assert_uint_eq(port_of(m, 0), 0);
	take(m, 3, 7000);
	ck_assert_uint_eq(port_of(m, 0), 7000);
	ck_assert_uint_eq(port_of(m, 16383), 7002);
	uint8_t node = kvr_redis_map_find(m, &(struct kvr_url_host){ "h", 7009 });
	kvr_redis_map_moved(m, 5, node);
	ck_assert_uint_eq(port_of(m, 5), 7009);
	ck_assert_uint_eq(port_of(m, 6), 7000);
	take(m, 3, 7000);
	ck_assert_uint_eq(port_of(m, 5), 7000);
	kvr_redis_map_free(m);
}
END_TEST

/* One that leaves gives its number away when there is no other, and its gen tells. */
START_TEST(numbers_are_kept_and_given_away_last)
{
	struct kvr_redis_map *m = kvr_redis_map_new(&seed, 1);
	struct kvr_url_host at;
	uint32_t before, after;
	take(m, KVR_NODES_MAX, 7000);
	uint8_t node = kvr_redis_map_find(m, &(struct kvr_url_host){ "h", 7003 });
	ck_assert(kvr_redis_map_node(m, node, &at, &before));
	take(m, KVR_NODES_MAX, 7000);
	ck_assert_uint_eq(kvr_redis_map_find(m, &(struct kvr_url_host){ "h", 7003 }), node);
	ck_assert_uint_eq(kvr_redis_map_find(m, &(struct kvr_url_host){ "other", 1 }), KVR_NO_NODE);
	take(m, KVR_NODES_MAX, 8000);
	ck_assert(kvr_redis_map_node(m, node, &at, &after));
	ck_assert_uint_ge(at.port, 8000);
	ck_assert_uint_ne(before, after);
	take(m, 1, 8000);
	ck_assert_uint_ne(kvr_redis_map_find(m, &(struct kvr_url_host){ "other", 1 }), KVR_NO_NODE);
	kvr_redis_map_free(m);
}
END_TEST

START_TEST(the_nodes_are_asked_when_it_is_wanted_and_not_too_often)
{
	struct kvr_redis_map *m = kvr_redis_map_new(&seed, 1);
	uint64_t now_ns = KVR_SEC(1000);
	take(m, 3, 7000);
	ck_assert(!kvr_redis_map_due(m, now_ns));
	kvr_redis_map_want(m);
	ck_assert(kvr_redis_map_due(m, now_ns));
	ck_assert(!kvr_redis_map_due(m, now_ns + KVR_REDIS_MAP_PAUSE_NS - 1));
	ck_assert(kvr_redis_map_due(m, now_ns + KVR_REDIS_MAP_PAUSE_NS));
	take(m, 3, 7000);
	ck_assert(!kvr_redis_map_due(m, now_ns + KVR_SEC(10)));
	kvr_redis_map_free(m);
}
END_TEST

START_TEST(a_node_that_fails_is_left_alone_longer_each_time)
{
	struct kvr_redis_map *m = kvr_redis_map_new(&seed, 1);
	uint64_t now_ns = KVR_SEC(1000), pause_ns = KVR_MS(100);
	take(m, 2, 7000);
	ck_assert(kvr_redis_map_may_try(m, 0, false, now_ns));
	for (int i = 0; i < 10; i++) {
		kvr_redis_map_bad(m, 0, now_ns);
		ck_assert(!kvr_redis_map_may_try(m, 0, false, now_ns + pause_ns - 1));
		/* Connections that are there are not those that could not be made. */
		ck_assert(kvr_redis_map_may_try(m, 0, true, now_ns));
		ck_assert(kvr_redis_map_may_try(m, 1, false, now_ns));
		ck_assert(!kvr_redis_map_lost(m, now_ns));
		now_ns += pause_ns + pause_ns / 8;
		ck_assert(kvr_redis_map_may_try(m, 0, false, now_ns));
		ck_assert(!kvr_redis_map_may_try(m, 0, false, now_ns)); /* one at a time */
		pause_ns = KVR_MIN(pause_ns * 2, KVR_SEC(10));
	}
	kvr_redis_map_good(m, 0);
	ck_assert(kvr_redis_map_may_try(m, 0, false, now_ns));
	kvr_redis_map_free(m);
}
END_TEST

START_TEST(silence_is_summed_up_until_somebody_answers)
{
	struct kvr_redis_map *m = kvr_redis_map_new(&seed, 1);
	uint64_t now_ns = KVR_SEC(1000);
	take(m, 1, 7000);
	ck_assert(!kvr_redis_map_doubted(m, 0));
	kvr_redis_map_silent(m, 0, KVR_MS(600), KVR_SEC(1), now_ns);
	ck_assert(kvr_redis_map_doubted(m, 0));
	ck_assert(kvr_redis_map_may_try(m, 0, false, now_ns));
	kvr_redis_map_good(m, 0);
	ck_assert(!kvr_redis_map_doubted(m, 0));
	kvr_redis_map_silent(m, 0, KVR_MS(600), KVR_SEC(1), now_ns);
	ck_assert(kvr_redis_map_may_try(m, 0, true, now_ns));
	ck_assert(!kvr_redis_map_lost(m, now_ns));
	kvr_redis_map_silent(m, 0, KVR_MS(400), KVR_SEC(1), now_ns);
	/* Connections that are open are as silent as a new one would be. */
	ck_assert(!kvr_redis_map_may_try(m, 0, true, now_ns));
	ck_assert(kvr_redis_map_lost(m, now_ns));
	kvr_redis_map_free(m);
}
END_TEST

START_TEST(replicas_come_and_go_with_what_the_map_says)
{
	struct kvr_redis_map *m = kvr_redis_map_new(&seed, 1);
	struct kvr_url_host at;
	uint32_t first = 0, gen = 0;
	uint64_t now_ns = KVR_SEC(1000);
	uint8_t replica = kvr_redis_map_replica(1);
	ck_assert(!kvr_redis_map_node(m, replica, &at, &gen));
	t.replica[1] = (struct kvr_url_host){ "r", 9000 };
	take(m, 2, 7000);
	ck_assert(kvr_redis_map_node(m, replica, &at, &first));
	ck_assert_uint_eq(at.port, 9000);
	ck_assert(!kvr_redis_map_node(m, kvr_redis_map_replica(0), &at, &gen));
	/* Left alone like any node, and its master is not. */
	kvr_redis_map_bad(m, replica, now_ns);
	ck_assert(!kvr_redis_map_may_try(m, replica, false, now_ns));
	ck_assert(kvr_redis_map_may_try(m, 1, false, now_ns));
	take(m, 2, 7000);
	ck_assert(!kvr_redis_map_may_try(m, replica, false, now_ns));
	ck_assert(kvr_redis_map_node(m, replica, &at, &gen));
	ck_assert_uint_eq(gen, first);
	/* Another one is another node. */
	t.replica[1].port = 9001;
	take(m, 2, 7000);
	ck_assert(kvr_redis_map_may_try(m, replica, false, now_ns));
	ck_assert(kvr_redis_map_node(m, replica, &at, &gen));
	ck_assert_uint_ne(gen, first);
	ck_assert_uint_eq(at.port, 9001);
	t.replica[1].port = 0;
	take(m, 2, 7000);
	ck_assert(!kvr_redis_map_node(m, replica, &at, &gen));
	/* That it is missed is a reason to ask, but not all the time. */
	ck_assert(!kvr_redis_map_due(m, now_ns));
	kvr_redis_map_want_replica(m, now_ns);
	ck_assert(kvr_redis_map_due(m, now_ns));
	take(m, 2, 7000);
	kvr_redis_map_want_replica(m, now_ns + KVR_SEC(1));
	ck_assert(!kvr_redis_map_due(m, now_ns + KVR_SEC(1)));
	kvr_redis_map_want_replica(m, now_ns + KVR_SEC(2));
	ck_assert(kvr_redis_map_due(m, now_ns + KVR_SEC(2)));
	kvr_redis_map_free(m);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_map", slots_follow_what_was_said_last,
    numbers_are_kept_and_given_away_last, the_nodes_are_asked_when_it_is_wanted_and_not_too_often,
    a_node_that_fails_is_left_alone_longer_each_time, silence_is_summed_up_until_somebody_answers,
    replicas_come_and_go_with_what_the_map_says)
