/* SPDX-License-Identifier: Apache-2.0 */
/* The probe of a store: it believes only its own bytes, and leaves nothing behind. */
#include "kvr_check.h"
#include "kvr_connectors.h"
#include "kvr_memory_map.h"
#include "kvr_workers.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct world {
	const struct kvr_connector_ops *ops;
	struct kvr_store *store;
	struct kvr_connector *lane;
	struct kvr_kick kick;
};

static void
open_world(struct world *w, const struct kvr_connector_ops *ops, const char *url, uint64_t capacity)
{
	const struct kvr_store_opts opts = { .tier = "t",
		.url = url,
		.format = KVR_FORMAT_BARE,
		.n_groups = 1,
		.connect_ns = KVR_SEC(1),
		.capacity = capacity };
	char why[256] = "";

	memset(w, 0, sizeof(*w));
	w->ops = ops;
	w->kick.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->kick.current = 1;
	ck_assert_msg(ops->open(&opts, &w->store, why, sizeof(why)) == KVR_OK, "%s", why);
	ck_assert_int_eq(
	    ops->dial(w->store, kvr_now_ns() + KVR_SEC(60), &w->kick, &w->lane, why, sizeof(why)),
	    KVR_OK);
}

static void
close_world(struct world *w)
{
	w->ops->hang_up(w->lane);
	w->ops->close(w->store);
	close(w->kick.fd);
}

static int32_t
probe(struct world *w, uint64_t salt, bool *ret_ended)
{
	return kvr_probe(w->ops, w->lane, salt, kvr_now_ns() + KVR_SEC(60), ret_ended);
}

START_TEST(a_value_makes_the_round_trip_and_is_gone)
{
	struct world w;
	struct kvr_meta meta = { 0 };
	struct kvr_item item = {
		.key = "kvrelay.probe@1@0@ab@uint8", .key_len = 26, .meta = &meta
	};
	bool ended = true;

	open_world(&w, &kvr_memory_ops, "memory://", KVR_MIB(1));
	ck_assert_int_eq(probe(&w, 0xab, &ended), KVR_OK);
	ck_assert(!ended);
	atomic_init(&item.status, KVR_PENDING);
	ck_assert_int_eq(
	    w.ops->run(w.lane, KVR_VERB_EXISTS, &item, 1, kvr_now_ns() + KVR_SEC(60)), KVR_OK);
	ck_assert_int_eq(kvr_item_status(&item), KVR_E_MISS);
	close_world(&w);
}
END_TEST

START_TEST(what_comes_back_otherwise_or_not_at_all_is_no_health)
{
	struct world w;
	bool ended;

	open_world(&w, &kvr_mock_ops, "mock://1", 0); /* it delivers zeros */
	ck_assert_int_eq(probe(&w, 1, &ended), KVR_E_CORRUPT);
	ck_assert(!ended);
	close_world(&w);
	open_world(&w, &kvr_blackhole_ops, "blackhole://", 0);
	ck_assert_int_eq(probe(&w, 1, &ended), KVR_E_MISS);
	ck_assert(!ended);
	close_world(&w);
	open_world(&w, &kvr_memory_ops, "memory://", 1000); /* too small for it */
	ck_assert_int_eq(probe(&w, 1, &ended), KVR_E_TOO_BIG);
	ck_assert(!ended);
	close_world(&w);
}
END_TEST

START_TEST(a_kick_and_a_deadline_end_it_and_the_connection)
{
	struct world w;
	bool ended = false;

	open_world(&w, &kvr_memory_ops, "memory://", KVR_MIB(1));
	ck_assert_int_eq(kvr_probe(w.ops, w.lane, 1, kvr_now_ns(), &ended), KVR_E_TIMEOUT);
	ck_assert(ended);
	atomic_store(&w.kick.target, KVR_KICK_ALL);
	ck_assert_int_eq(probe(&w, 1, &ended), KVR_E_CANCELLED);
	ck_assert(ended);
	close_world(&w);
}
END_TEST

KVR_CHECK_MAIN("actors.probe", a_value_makes_the_round_trip_and_is_gone,
    what_comes_back_otherwise_or_not_at_all_is_no_health,
    a_kick_and_a_deadline_end_it_and_the_connection)
