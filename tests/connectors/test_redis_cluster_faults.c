/* SPDX-License-Identifier: Apache-2.0 */
/* redis-cluster:// when nodes send callers to and fro, refuse, lie, or are not there at all. */
#include "kvr_peer.h"
#include "kvr_redis_bed.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

/* A node that has all slots, as long as its script says no more than that. */
static char slots[96], ask_self[48], asking_self[64];

#define HELLO                                                                                      \
	{ KVR_PEER_AWAIT, "PING\r\n", 0 }, { KVR_PEER_SEND, "+PONG\r\n", 0 },                      \
	    { KVR_PEER_AWAIT, "SLOTS\r\n", 0 },                                                    \
	{                                                                                          \
		KVR_PEER_SEND, slots, 0                                                            \
	}
#define GETS(reply)                                                                                \
	{ KVR_PEER_AWAIT, "GET\r\n", 0 },                                                          \
	{                                                                                          \
		KVR_PEER_SEND, reply, 0                                                            \
	}
#define STALLS                                                                                     \
	{                                                                                          \
		KVR_PEER_STALL, NULL, 0                                                            \
	}

struct node {
	struct kvr_peer *peer;
	struct bed b;
	struct load l;
};

static struct kvr_store_opts
opts_of(struct kvr_peer *peer, char *url, size_t cap)
{
	snprintf(url, cap, "redis-cluster://127.0.0.1:%u", kvr_peer_port(peer));
	return bed_opts(url, KVR_FORMAT_BARE);
}

/* The script reads these only after somebody has connected. */
static void
fill_in(uint16_t port)
{
	snprintf(slots, sizeof(slots), "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%u\r\n", port);
	snprintf(ask_self, sizeof(ask_self), "-ASK 1 :%u\r\n", port);
	snprintf(asking_self, sizeof(asking_self), "+OK\r\n-ASK 1 127.0.0.1:%u\r\n", port);
}

static void
start(struct node *n, const struct kvr_peer_act *acts, size_t n_acts)
{
	char url[64];
	n->peer = kvr_peer_start(acts, n_acts);
	fill_in(kvr_peer_port(n->peer));
	struct kvr_store_opts o = opts_of(n->peer, url, sizeof(url));
	bed_up(&n->b, &o);
	n->l = load_new(1, 3);
	memcpy(n->l.bytes, "xxx", 3);
}

static void
stop(struct node *n)
{
	bed_down(&n->b);
	load_free(&n->l);
	kvr_peer_stop(n->peer);
}

/* One GET: what the batch answers, what the item is, and what is said of it. */
static void
expect_get(struct node *n, enum kvr_err err, int32_t status, const char *say)
{
	enum kvr_err got = bed_run(&n->b, KVR_VERB_GET, n->l.items, 1);
	const char *why = n->b.ops->why(n->b.lane);
	ck_assert_msg(got == err, "%s: %s", kvr_err_name(got), why);
	bed_status(&n->l.items[0], status);
	ck_assert_msg(strstr(why, say) != NULL, "\"%s\" is not in \"%s\"", say, why);
}

START_TEST(a_circle_of_redirections_ends)
{
	static const struct kvr_peer_act acts[] = { HELLO, GETS(ask_self), GETS(asking_self),
		GETS(asking_self), GETS(asking_self), GETS(asking_self), GETS(asking_self),
		STALLS };
	struct node n;
	start(&n, acts, KVR_LEN(acts));
	expect_get(&n, KVR_OK, KVR_E_DOWN, "ASK 1 127.0.0.1:");
	stop(&n);
}
END_TEST

START_TEST(who_is_not_ready_is_asked_again)
{
	static const struct kvr_peer_act acts[] = { HELLO, GETS("-TRYAGAIN later\r\n"),
		GETS("-TRYAGAIN later\r\n"), GETS("$3\r\nabc\r\n"), STALLS };
	struct node n;
	start(&n, acts, KVR_LEN(acts));
	bed_ok(&n.b, KVR_VERB_GET, n.l.items, 1);
	bed_status(&n.l.items[0], KVR_OK);
	ck_assert_mem_eq(n.l.bytes, "abc", 3);
	stop(&n);
}
END_TEST

START_TEST(a_node_that_cannot_serve_is_down_and_no_more)
{
	static const struct kvr_peer_act down[] = { HELLO,
		GETS("-CLUSTERDOWN The cluster is down\r\n"), STALLS };
	static const struct kvr_peer_act loading[] = { HELLO, GETS("-LOADING data\r\n"), STALLS };
	struct node n;
	start(&n, down, KVR_LEN(down));
	expect_get(&n, KVR_OK, KVR_E_DOWN, "CLUSTERDOWN");
	stop(&n);
	start(&n, loading, KVR_LEN(loading));
	expect_get(&n, KVR_OK, KVR_E_DOWN, "LOADING");
	stop(&n);
}
END_TEST

START_TEST(a_redirection_to_nowhere_is_down)
{
	static const struct kvr_peer_act acts[] = { HELLO, GETS("-ASK 1 127.0.0.1:1\r\n"), STALLS };
	static const struct kvr_peer_act rubbish[] = { HELLO, GETS("-MOVED to Mars\r\n"), STALLS };
	struct node n;
	start(&n, acts, KVR_LEN(acts));
	expect_get(&n, KVR_OK, KVR_E_DOWN, "127.0.0.1:1");
	stop(&n);
	start(&n, rubbish, KVR_LEN(rubbish));
	expect_get(&n, KVR_OK, KVR_E_REFUSED, "MOVED to Mars");
	stop(&n);
}
END_TEST

/* A put and a delete that are sent on are whole when they are done, and once. */
START_TEST(what_was_refused_halfway_is_done_again_from_its_start)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "xxx\r\n", 0 },
		{ KVR_PEER_SEND, ask_self, 0 }, { KVR_PEER_AWAIT, "ASKING\r\n*3\r\n$3\r\nSET", 0 },
		{ KVR_PEER_AWAIT, "xxx\r\n", 0 }, { KVR_PEER_SEND, "+OK\r\n+OK\r\n", 0 },
		{ KVR_PEER_AWAIT, "DEL\r\n", 0 }, { KVR_PEER_SEND, ":1\r\n", 0 }, STALLS };
	struct node n;
	start(&n, acts, KVR_LEN(acts));
	bed_ok(&n.b, KVR_VERB_PUT, n.l.items, 1);
	bed_status(&n.l.items[0], KVR_OK);
	bed_ok(&n.b, KVR_VERB_DEL, n.l.items, 1);
	bed_status(&n.l.items[0], KVR_OK);
	stop(&n);
}
END_TEST

/* Then the tier has to know, for it decides who dials and when. */
START_TEST(when_nobody_is_left_the_lane_ends)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "GET\r\n", 0 } };
	struct node n;
	start(&n, acts, KVR_LEN(acts));
	/* It closes; and by the time of the next dial there is no listener either. */
	enum kvr_err err = KVR_OK;
	kvr_peer_wait(n.peer, 3);
	kvr_peer_stop(n.peer);
	for (uint64_t end_ns = bed_in(BED_LONG); err == KVR_OK && kvr_now_ns() < end_ns;)
		err = bed_run(&n.b, KVR_VERB_GET, n.l.items, 1);
	ck_assert_int_eq(err, KVR_E_DOWN);
	ck_assert_int_ne(kvr_item_status(&n.l.items[0]), KVR_OK);
	ck_assert_ptr_nonnull(strstr(n.b.ops->why(n.b.lane), "no node of the cluster answers"));
	bed_down(&n.b);
	load_free(&n.l);
}
END_TEST

static void
not_dialed(const char *url, enum kvr_err err, const char *say)
{
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	struct bed b;
	enum kvr_err got = bed_try(&b, &o, bed_in(BED_LONG));
	ck_assert_msg(got == err && strstr(b.why, say) != NULL, "%s: %s", kvr_err_name(got), b.why);
	bed_down(&b);
}

START_TEST(seeds_are_asked_in_turn)
{
	static const struct kvr_peer_act acts[] = { HELLO, GETS("$3\r\nabc\r\n"), STALLS };
	static const struct kvr_peer_act silence[] = { STALLS };
	struct kvr_redis_server *alone = kvr_redis_server_start(NULL, NULL);
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct kvr_peer *silent = kvr_peer_start(silence, KVR_LEN(silence));
	char url[160];
	struct bed b;
	struct load l = load_new(1, 3);
	/* No listener, no word, and no cluster: the fourth is one. */
	snprintf(url, sizeof(url),
	    "redis-cluster://127.0.0.1:1,127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u",
	    kvr_peer_port(silent), alone->port, kvr_peer_port(peer));
	fill_in(kvr_peer_port(peer));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	o.connect_ns = KVR_SEC(2);
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	ck_assert_mem_eq(l.bytes, "abc", 3);
	bed_down(&b);
	load_free(&l);
	snprintf(url, sizeof(url), "redis-cluster://127.0.0.1:%u", alone->port);
	not_dialed(url, KVR_E_CONFIG, "cluster support disabled");
	not_dialed("redis-cluster://127.0.0.1:1", KVR_E_DOWN, "127.0.0.1:1");
	kvr_peer_stop(peer);
	kvr_peer_stop(silent);
	kvr_redis_server_stop(alone);
}
END_TEST

static void
not_opened(const char *url, const char *say)
{
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_SEALED);
	char why[256] = "";
	struct kvr_store *store = NULL;
	ck_assert_int_eq(kvr_connector_find(url)->open(&o, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_msg(strstr(why, say) != NULL, "%s: %s", url, why);
}

START_TEST(what_means_nothing_to_a_cluster_is_refused)
{
	not_opened("redis-cluster://", "names no node");
	not_opened("redis-cluster://h:1/2", "has no databases");
	not_opened("valkey-cluster://h:1?db=2", "\"db\" is not known; known: protocol");
	not_opened("redis-cluster://h:1?protocol=4", "option protocol: 2 or 3");
	not_opened("redis-cluster://h:1?service=m", "\"service\" is not known");
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_cluster_faults", a_circle_of_redirections_ends,
    who_is_not_ready_is_asked_again, a_node_that_cannot_serve_is_down_and_no_more,
    a_redirection_to_nowhere_is_down, what_was_refused_halfway_is_done_again_from_its_start,
    when_nobody_is_left_the_lane_ends, seeds_are_asked_in_turn,
    what_means_nothing_to_a_cluster_is_refused)
