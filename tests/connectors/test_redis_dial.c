/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of a dial that failed: who was asked, for what, and whose time it was. The peers say
 * nothing from some moment on; how much time that takes to show is the machine's to say, so the
 * limit is doubled until it does.
 */
#include "kvr_peer.h"
#include "kvr_redis_bed.h"

#define LIMIT_NS KVR_MS(50)
#define LIMIT_MAX_NS KVR_SEC(6)

#define SAYS(await, reply) { KVR_PEER_AWAIT, await, 0 }, { KVR_PEER_SEND, reply, 0 }
#define SILENT(await) { KVR_PEER_AWAIT, await, 0 }, { KVR_PEER_STALL, NULL, 0 }

/* With how much time; the words of the dial. */
static const char *
words(const char *url, uint64_t connect_ns, enum kvr_err *ret_err)
{
	static struct bed b;
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	o.connect_ns = connect_ns;
	*ret_err = bed_try(&b, &o, bed_in(BED_LONG));
	ck_assert_ptr_null(b.lane);
	bed_down(&b);
	return b.why;
}

/* url_format: with the port of a peer that plays acts. say: with that port, and its limit in ms. */
static void
silent(const char *url_format, const struct kvr_peer_act *acts, size_t n, const char *say_format)
{
	for (uint64_t ns = LIMIT_NS;; ns *= 2) {
		struct kvr_peer *peer = kvr_peer_start(acts, n);
		unsigned port = kvr_peer_port(peer);
		unsigned long long ms = ns / KVR_MS(1);
		char url[160], say[256];
		enum kvr_err err;

		snprintf(url, sizeof(url), url_format, port);
		snprintf(say, sizeof(say), say_format, port, ms);
		const char *why = words(url, ns, &err);
		kvr_peer_stop(peer);
		ck_assert_int_eq(err, KVR_E_DOWN);
		if (strcmp(why, say) == 0)
			return;
		ck_assert_msg(ns < LIMIT_MAX_NS, "\"%s\" and not \"%s\"", why, say);
	}
}

#define silent_at(url, say, ...)                                                                   \
	do {                                                                                       \
		static const struct kvr_peer_act acts[] = { __VA_ARGS__ };                         \
		silent(url, acts, KVR_LEN(acts), say);                                             \
	} while (0)

START_TEST(a_server_that_says_nothing_is_told_with_what_it_was_asked)
{
	silent_at("redis://127.0.0.1:%u",
	    "redis://127.0.0.1:%u: PING: no answer (timeouts.connect, %llu ms)", SILENT("PING"));
	silent_at("redis://:pw@127.0.0.1:%u",
	    "redis://127.0.0.1:%u: AUTH: no answer (timeouts.connect, %llu ms)", SILENT("pw"));
	silent_at("redis://:pw@127.0.0.1:%u?db=3",
	    "redis://127.0.0.1:%u: SELECT: no answer (timeouts.connect, %llu ms)",
	    SAYS("pw\r\n", "+OK\r\n"), SILENT("SELECT"));
	silent_at("redis://:pw@127.0.0.1:%u?db=3",
	    "redis://127.0.0.1:%u: PING: no answer (timeouts.connect, %llu ms)",
	    SAYS("pw\r\n", "+OK\r\n"), SAYS("SELECT\r\n$1\r\n3\r\n", "+OK\r\n"), SILENT("PING"));
	silent_at("redis://127.0.0.1:%u?protocol=3",
	    "redis://127.0.0.1:%u: HELLO: no answer (timeouts.connect, %llu ms)", SILENT("HELLO"));
	/* A word and a half. */
	silent_at("redis://127.0.0.1:%u",
	    "redis://127.0.0.1:%u: PING: no answer (timeouts.connect, %llu ms)", SAYS("PING\r\n", "+PO"),
	    { KVR_PEER_STALL, NULL, 0 });
}
END_TEST

START_TEST(a_node_that_says_nothing_is_told_with_what_it_was_asked)
{
	silent_at("redis-cluster://127.0.0.1:%u",
	    "redis-cluster://127.0.0.1:%1$u: 127.0.0.1:%1$u: PING: no answer (timeouts.connect, %2$llu ms)",
	    SILENT("PING"));
	silent_at("redis-cluster://127.0.0.1:%u",
	    "redis-cluster://127.0.0.1:%1$u: 127.0.0.1:%1$u: CLUSTER SLOTS: no answer "
	    "(timeouts.connect, %2$llu ms)",
	    SAYS("PING\r\n", "+PONG\r\n"), SILENT("SLOTS"));
}
END_TEST

/* A sentinel has half of the time, for who is named by it has to be asked, too. */
START_TEST(a_sentinel_that_says_nothing_had_a_share_of_the_time)
{
	silent_at("redis-sentinel://127.0.0.1:%u?service=m",
	    "redis-sentinel://127.0.0.1: sentinel 127.0.0.1:%u: SENTINEL: no answer "
	    "(a share of timeouts.connect)",
	    SILENT("get-master-addr-by-name"));
}
END_TEST

static const char named[] = "get-master-addr-by-name\r\n$1\r\nm\r\n";

/* A sentinel names a master that plays acts. */
static void
silent_master(const struct kvr_peer_act *acts, size_t n, const char *stage)
{
	for (uint64_t ns = LIMIT_NS;; ns *= 2) {
		struct kvr_peer *master = kvr_peer_start(acts, n);
		char url[160], say[256], port[8], reply[64];
		const struct kvr_peer_act names[] = { SAYS(named, reply) };
		struct kvr_peer *sentinel = kvr_peer_start(names, KVR_LEN(names));
		enum kvr_err err;

		snprintf(port, sizeof(port), "%u", kvr_peer_port(master));
		snprintf(reply, sizeof(reply), "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
		snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m",
		    kvr_peer_port(sentinel));
		snprintf(say, sizeof(say),
		    "redis-sentinel://127.0.0.1: master 127.0.0.1:%u: %s: no answer (timeouts.connect, "
		    "%llu ms)",
		    kvr_peer_port(master), stage,
		    (unsigned long long)(ns / KVR_MS(1)));
		const char *why = words(url, ns, &err);
		kvr_peer_stop(master);
		kvr_peer_stop(sentinel);
		ck_assert_int_eq(err, KVR_E_DOWN);
		if (strcmp(why, say) == 0)
			return;
		ck_assert_msg(ns < LIMIT_MAX_NS, "\"%s\" and not \"%s\"", why, say);
	}
}

START_TEST(a_master_that_says_nothing_is_told_with_what_it_was_asked)
{
	static const struct kvr_peer_act ping[] = { SILENT("PING") },
	                                 role[] = { SAYS("PING\r\n", "+PONG\r\n"), SILENT("ROLE") };

	silent_master(ping, KVR_LEN(ping), "PING");
	silent_master(role, KVR_LEN(role), "ROLE");
}
END_TEST

static void
nobody(const char *url, const char *say)
{
	enum kvr_err err;
	const char *why = words(url, KVR_SEC(20), &err);

	ck_assert_int_eq(err, KVR_E_DOWN);
	ck_assert_str_eq(why, say);
}

/* Of several the last one is told of; the URL in front has the others. */
START_TEST(where_nobody_listens_the_last_that_was_asked_is_told)
{
	nobody("redis-sentinel://127.0.0.1:1?service=m",
	    "redis-sentinel://127.0.0.1: sentinel 127.0.0.1:1: 127.0.0.1 port 1: Connection refused "
	    "(addresses tried: 1)");
	nobody("redis-sentinel://127.0.0.1:1,127.0.0.1:2?service=m",
	    "redis-sentinel://127.0.0.1,...: sentinel 127.0.0.1:2: 127.0.0.1 port 2: Connection "
	    "refused (addresses tried: 1)");
	nobody("redis-cluster://127.0.0.1:1",
	    "redis-cluster://127.0.0.1:1: 127.0.0.1:1: 127.0.0.1 port 1: Connection refused (addresses "
	    "tried: 1)");
	nobody("redis-cluster://127.0.0.1:1,127.0.0.1:2",
	    "redis-cluster://127.0.0.1:1,...: 127.0.0.1:2: 127.0.0.1 port 2: Connection refused "
	    "(addresses tried: 1)");
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_dial", a_server_that_says_nothing_is_told_with_what_it_was_asked,
    a_node_that_says_nothing_is_told_with_what_it_was_asked,
    a_sentinel_that_says_nothing_had_a_share_of_the_time,
    a_master_that_says_nothing_is_told_with_what_it_was_asked,
    where_nobody_listens_the_last_that_was_asked_is_told)
