/* SPDX-License-Identifier: Apache-2.0 */
/* redis-sentinel://: who is believed, what is asked of whom, and what is said when nobody knows. */
#include "kvr_peer.h"
#include "kvr_redis_bed.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"
#include "kvr_sentinel_set.h"

#include <pthread.h>

KVR_NEEDS_REDIS

static struct kvr_store_opts
opts_of(const char *url, uint32_t format)
{
	struct kvr_store_opts o = bed_opts(url, format);
	o.password = KVR_SENTINEL_DATA_PASSWORD;
	o.sentinel.password = KVR_SENTINEL_PASSWORD;
	return o;
}

/* The dial must fail with err, and its sentence say text. */
static void
refused(const struct kvr_store_opts *o, enum kvr_err err, const char *text)
{
	struct bed b;
	enum kvr_err got = bed_try(&b, o, bed_in(BED_LONG));
	ck_assert_msg(
	    got == err && strstr(b.why, text) != NULL, "%s: %s", kvr_err_name(got), b.why);
	bed_down(&b);
}

static void
check_round_trip(const struct kvr_store_opts *o)
{
	struct bed b;
	struct load l = load_new(40, 3000);
	bed_up(&b, o);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	load_wipe(&l);
	bed_ok(&b, KVR_VERB_GET, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++) {
		bed_status(&l.items[i], KVR_OK);
		ck_assert(load_same(&l, i));
	}
	bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
	bed_ok(&b, KVR_VERB_EXISTS, l.items, l.n);
	bed_status(&l.items[0], KVR_E_MISS);
	bed_down(&b);
	load_free(&l);
}

/* Sentinels are asked in turn; a port without a listener, and a server that is none, cost nothing. */
static void
check_others_are_asked(const struct kvr_sentinel_set *set)
{
	char url[200];
	snprintf(url, sizeof(url),
	    "redis-sentinel://127.0.0.1:1,127.0.0.1:%u,127.0.0.1:%u"
	    "?service=" KVR_SENTINEL_SERVICE "&db=3",
	    set->data[1]->port, set->sentinel[1]->port);
	struct kvr_store_opts o = opts_of(url, KVR_FORMAT_SEALED);
	check_round_trip(&o);
}

static void
check_refusals(const struct kvr_sentinel_set *set)
{
	char url[200];
	struct kvr_store_opts o = opts_of(set->url, KVR_FORMAT_SEALED);
	o.sentinel.password = "wrong";
	refused(&o, KVR_E_AUTH, "sentinel 127.0.0.1:");
	o.sentinel.password = NULL;
	refused(&o, KVR_E_AUTH, "NOAUTH");
	o = opts_of(set->url, KVR_FORMAT_SEALED);
	o.password = "wrong";
	refused(&o, KVR_E_AUTH, "master 127.0.0.1:");
	snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=other",
	    set->sentinel[0]->port);
	o = opts_of(url, KVR_FORMAT_SEALED);
	refused(&o, KVR_E_CONFIG, "watches no service \"other\"");
}

/* What is in the master lies there under the names that LMCache gives it. */
static void
check_names(const struct kvr_sentinel_set *set)
{
	struct kvr_store_opts o = opts_of(set->url, KVR_FORMAT_LMCACHE);
	struct kvr_raw *raw = kvr_raw_open(set->data[0]->port, KVR_SENTINEL_DATA_PASSWORD);
	struct bed b;
	struct load l = load_new(1, 5000);
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	ck_assert_uint_eq(kvr_raw_get(raw, "m@1@0@0@halfmetadata").len, 28);
	struct kvr_raw_reply r = kvr_raw_get(raw, "m@1@0@0@halfkv_bytes");
	ck_assert_uint_eq(r.len, l.len);
	ck_assert_mem_eq(r.bytes, l.bytes, l.len);
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(raw);
}

/* The sentinels are asked in RESP2, and RESP3 is for the server that they name. */
static void
check_resp3(const struct kvr_sentinel_set *set)
{
	char url[256];
	snprintf(url, sizeof(url), "%s&protocol=3", set->url);
	struct kvr_store_opts o = opts_of(url, KVR_FORMAT_SEALED);
	check_round_trip(&o);
	struct bed b;
	bed_up(&b, &o);
	struct kvr_raw *raw = kvr_raw_open(set->data[0]->port, KVR_SENTINEL_DATA_PASSWORD);
	struct kvr_raw_reply r = kvr_raw(raw, "CLIENT LIST");
	ck_assert_ptr_nonnull(strstr((const char *)r.bytes, "resp=3"));
	kvr_raw_close(raw);
	bed_down(&b);
}

/* In one test, for the set takes seconds to come up. */
START_TEST(real_sentinels_lead_to_the_master)
{
	struct kvr_sentinel_set *set = kvr_sentinel_set_start();
	for (uint32_t format = KVR_FORMAT_LMCACHE; format <= KVR_FORMAT_SEALED; format++) {
		struct kvr_store_opts o = opts_of(set->url, format);
		check_round_trip(&o);
	}
	check_others_are_asked(set);
	check_refusals(set);
	check_names(set);
	check_resp3(set);
	kvr_sentinel_set_stop(set);
}
END_TEST

/* One more lane of the store, which remembers. Its remark is in b->why. */
static enum kvr_err
dial_again(struct bed *b)
{
	b->ops->hang_up(b->lane);
	b->lane = NULL;
	b->why[0] = '\0';
	return b->ops->dial(b->store, bed_in(BED_LONG), &b->kick, &b->lane, b->why, sizeof(b->why));
}

/*
 * Nobody could have replaced a master that lives, and lanes that still have their connections go
 * on. But who turned into a replica meanwhile, or died, is not believed.
 */
START_TEST(when_all_sentinels_are_gone_the_last_master_is_asked)
{
	struct kvr_sentinel_set *set = kvr_sentinel_set_start();
	struct kvr_store_opts o = opts_of(set->url, KVR_FORMAT_SEALED);
	struct load l = load_new(4, 1000);
	struct kvr_raw *raw = kvr_raw_open(set->data[0]->port, KVR_SENTINEL_DATA_PASSWORD);
	struct bed b;
	char line[64];
	bed_up(&b, &o);
	ck_assert_str_eq(b.why, "");
	kvr_redis_server_kill(set->sentinel[0]);
	kvr_redis_server_kill(set->sentinel[1]);
	ck_assert_int_eq(dial_again(&b), KVR_OK);
	ck_assert_str_eq(b.why, ""); /* one is enough */
	kvr_redis_server_kill(set->sentinel[2]);
	ck_assert_int_eq(dial_again(&b), KVR_OK);
	snprintf(line, sizeof(line), "no sentinel answers; 127.0.0.1:%u says it is the master, as",
	    set->data[0]->port);
	ck_assert_msg(strncmp(b.why, line, strlen(line)) == 0, "%s", b.why);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	bed_status(&l.items[0], KVR_OK);
	/* A store that has never been told of a master has nobody to ask. */
	refused(&o, KVR_E_DOWN, "sentinel 127.0.0.1:");
	snprintf(line, sizeof(line), "REPLICAOF 127.0.0.1 %u", set->data[1]->port);
	ck_assert_int_eq(kvr_raw(raw, line).kind, '+');
	ck_assert_int_eq(dial_again(&b), KVR_E_DOWN);
	ck_assert_msg(strstr(b.why, "no sentinel answers; the last master 127.0.0.1:") != NULL &&
	                  strstr(b.why, "is no master but \"slave\"") != NULL, "%s", b.why);
	kvr_redis_server_kill(set->data[0]);
	ck_assert_int_eq(dial_again(&b), KVR_E_DOWN);
	ck_assert_msg(strstr(b.why, "Connection refused") != NULL, "%s", b.why);
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(raw);
	kvr_sentinel_set_stop(set);
}
END_TEST

/* A script of a sentinel that names the server at port, for as many dials as there are peers. */
#define NAMED "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n$1\r\nm\r\n"

static struct kvr_peer *
names(uint16_t port, char *text, size_t cap, struct kvr_peer_act acts[2])
{
	snprintf(text, cap, "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%u\r\n", port > 9999 ? 5 : 4,
	    (unsigned)port);
	acts[0] = (struct kvr_peer_act){ KVR_PEER_AWAIT, NAMED, 0 };
	acts[1] = (struct kvr_peer_act){ KVR_PEER_SEND, text, 0 };
	return kvr_peer_start(acts, 2);
}

/* The first sentinel was cut off and names the old master, which is a replica by now. */
START_TEST(who_is_no_master_is_not_believed)
{
	struct kvr_redis_server *master = kvr_redis_server_start(NULL, NULL);
	struct kvr_redis_server *old = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(old->port, NULL),
	               *real = kvr_raw_open(master->port, NULL);
	char line[64], text[2][64], url[128];
	struct kvr_peer_act acts[2][2];
	struct bed b;
	struct load l = load_new(1, 100);
	snprintf(line, sizeof(line), "REPLICAOF 127.0.0.1 %u", master->port);
	ck_assert_int_eq(kvr_raw(raw, line).kind, '+');
	struct kvr_peer *stale = names(old->port, text[0], sizeof(text[0]), acts[0]);
	struct kvr_peer *good = names(master->port, text[1], sizeof(text[1]), acts[1]);
	snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u,127.0.0.1:%u?service=m",
	    kvr_peer_port(stale), kvr_peer_port(good));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	ck_assert_int_eq(kvr_raw(real, "DBSIZE").n, 1);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(stale);
	kvr_peer_stop(good);
	kvr_raw_close(raw);
	kvr_raw_close(real);
	kvr_redis_server_stop(master);
	kvr_redis_server_stop(old);
}
END_TEST

/* Nothing was taken, and none of it is an answer: all of it is to be done again elsewhere. */
static void
ends_with_a_replicas_word(struct bed *b, struct load *l)
{
	ck_assert_int_eq(bed_run(b, KVR_VERB_PUT, l->items, 2), KVR_E_DOWN);
	bed_status(&l->items[0], KVR_PENDING);
	bed_status(&l->items[1], KVR_PENDING);
	ck_assert_ptr_nonnull(strstr(b->ops->why(b->lane), "READONLY"));
}

START_TEST(a_master_that_turns_replica_ends_the_lane)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	char text[64], url[128];
	struct kvr_peer_act acts[2];
	struct bed b;
	struct load l = load_new(2, 100);
	struct kvr_peer *sentinel = names(server->port, text, sizeof(text), acts);
	snprintf(
	    url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m", kvr_peer_port(sentinel));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_PUT, l.items, 2);
	/* In this order a server says READONLY and does not drop its clients. */
	ck_assert_int_eq(kvr_raw(raw, "REPLICAOF 127.0.0.1 1").kind, '+');
	ends_with_a_replicas_word(&b, &l);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(sentinel);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

/* It was a replica for one of two commands: what it says to the other is no answer to that. */
START_TEST(a_master_that_is_one_again_has_not_taken_what_it_refused)
{
	static const struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, "+PONG\r\n", 0 }, { KVR_PEER_AWAIT, "ROLE\r\n", 0 },
		{ KVR_PEER_SEND, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", 0 },
		{ KVR_PEER_AWAIT, "m@1@0@1@half\r\n$100\r\n", 0 },
		{ KVR_PEER_SEND, "-READONLY You can't write.\r\n+OK\r\n", 0 },
		{ KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *server = kvr_peer_start(acts, KVR_LEN(acts));
	char text[64], url[128];
	struct kvr_peer_act named[2];
	struct bed b;
	struct load l = load_new(2, 100);
	struct kvr_peer *sentinel = names(kvr_peer_port(server), text, sizeof(text), named);
	snprintf(
	    url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m", kvr_peer_port(sentinel));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	bed_up(&b, &o);
	ends_with_a_replicas_word(&b, &l);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(sentinel);
	kvr_peer_stop(server);
}
END_TEST

/* One that takes connections and never says a word costs its share of the dial, not all of it. */
START_TEST(a_silent_sentinel_does_not_use_up_the_dial)
{
	static const struct kvr_peer_act silence[] = { { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_peer *silent = kvr_peer_start(silence, 1);
	char text[64], url[128];
	struct kvr_peer_act acts[2];
	struct bed b;
	struct kvr_peer *sentinel = names(server->port, text, sizeof(text), acts);
	snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u,127.0.0.1:%u?service=m",
	    kvr_peer_port(silent), kvr_peer_port(sentinel));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	o.connect_ns = KVR_SEC(3);
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	bed_down(&b);
	/* And when all are silent, the dial ends in time. */
	snprintf(
	    url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m", kvr_peer_port(silent));
	o.connect_ns = KVR_MS(300);
	refused(&o, KVR_E_DOWN, "sentinel 127.0.0.1:");
	kvr_peer_stop(silent);
	kvr_peer_stop(sentinel);
	kvr_redis_server_stop(server);
}
END_TEST

/* It named the master once, and now says that it watches no such service. */
START_TEST(the_word_of_a_sentinel_is_more_than_what_is_remembered)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	char text[64], url[128];
	struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, NAMED, 0 }, { KVR_PEER_SEND, text, 0 },
		{ KVR_PEER_CLOSE, NULL, 0 }, { KVR_PEER_CLOSE, NULL, 0 },
		{ KVR_PEER_AWAIT, NAMED, 0 }, { KVR_PEER_SEND, "*-1\r\n", 0 } };
	struct bed b;
	snprintf(text, sizeof(text), "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%u\r\n",
	    server->port > 9999 ? 5 : 4, (unsigned)server->port);
	struct kvr_peer *sentinel = kvr_peer_start(acts, KVR_LEN(acts));
	snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m",
	    kvr_peer_port(sentinel));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	bed_up(&b, &o);
	ck_assert_int_eq(dial_again(&b), KVR_OK); /* the sentinel hangs up */
	ck_assert_msg(strstr(b.why, "no sentinel answers") != NULL, "%s", b.why);
	ck_assert_int_eq(dial_again(&b), KVR_E_CONFIG);
	ck_assert_msg(strstr(b.why, "watches no service") != NULL, "%s", b.why);
	kvr_peer_stop(sentinel);
	bed_down(&b);
	kvr_redis_server_stop(server);
}
END_TEST

/* It knows the master and says nothing when it is asked for replicas: all is read from the master. */
START_TEST(a_sentinel_that_tells_no_replicas_costs_no_hit)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	char text[64], url[128];
	struct kvr_peer_act acts[2];
	struct bed b;
	struct load l = load_new(20, 1000);
	struct kvr_peer *sentinel = names(server->port, text, sizeof(text), acts);
	snprintf(
	    url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m", kvr_peer_port(sentinel));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_SEALED);
	o.replicas = true;
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	for (int i = 0; i < 3; i++)
		load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(sentinel);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_kick_ends_a_search)
{
	static const struct kvr_peer_act silence[] = { { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *silent = kvr_peer_start(silence, 1);
	char url[128];
	struct bed b;
	snprintf(
	    url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m", kvr_peer_port(silent));
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	ck_assert_int_eq(bed_try(&b, &o, kvr_now_ns() - 1), KVR_E_TIMEOUT);
	atomic_store(&b.kick.target, KVR_KICK_ALL);
	ck_assert_int_eq(
	    b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why, sizeof(b.why)),
	    KVR_E_CANCELLED);
	bed_down(&b);
	kvr_peer_stop(silent);
}
END_TEST

START_TEST(rubbish_from_a_sentinel_is_an_error)
{
	static const char *const replies[] = { "+OK\r\n", "*3\r\n", "*2\r\n:1\r\n:2\r\n",
		"*2\r\n$0\r\n\r\n$4\r\n6379\r\n", "*2\r\n$1\r\nh\r\n$5\r\n70000\r\n",
		"*2\r\n$1\r\nh\r\n$3\r\n1x2\r\n", "HTTP/1.1 200 OK\r\n", "*2\r\n$-1\r\n$-1\r\n" };
	for (size_t i = 0; i < KVR_LEN(replies); i++) {
		const struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, NAMED, 0 },
			{ KVR_PEER_SEND, replies[i], 0 }, { KVR_PEER_STALL, NULL, 0 } };
		struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
		char url[128];
		snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m",
		    kvr_peer_port(peer));
		struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
		refused(&o, KVR_E_PROTO, "sentinel 127.0.0.1:");
		kvr_peer_stop(peer);
	}
}
END_TEST

START_TEST(a_data_server_is_no_sentinel)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	char url[128];
	snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u?service=m", server->port);
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_BARE);
	refused(&o, KVR_E_CONFIG, "is no sentinel but a data server");
	kvr_redis_server_stop(server);
}
END_TEST

static void
not_opened(const char *url, const char *text)
{
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_SEALED);
	char why[256] = "";
	struct kvr_store *store = NULL;
	const struct kvr_connector_ops *ops = kvr_connector_find(url);
	ck_assert_int_eq(ops->open(&o, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_msg(strstr(why, text) != NULL, "%s: %s", url, why);
}

START_TEST(what_is_missing_or_means_nothing_is_said)
{
	not_opened("redis-sentinel://h:1", "?service=NAME");
	not_opened("redis-sentinel://", "names no sentinel");
	not_opened("redis-sentinel://h:1/mymaster", "?service=NAME for the service");
	not_opened("redis-sentinel://h:1?service=m&db=x", "not the number of a database");
	not_opened("redis-sentinel://h:1?service=m&x=1", "known: db, service, protocol");
	not_opened("redis-sentinel://h:1?service=m&protocol=4", "option protocol: 2 or 3");
	not_opened("redis://h:1?service=m", "\"service\" is not known");
	struct kvr_store_opts o = bed_opts("redis://h:1", KVR_FORMAT_SEALED);
	char why[256] = "";
	struct kvr_store *store = NULL;
	o.sentinel.service = "m";
	ck_assert_int_eq(kvr_redis_ops.open(&o, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(why, "redis-sentinel://"));
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_sentinel", real_sentinels_lead_to_the_master,
    when_all_sentinels_are_gone_the_last_master_is_asked,
    the_word_of_a_sentinel_is_more_than_what_is_remembered,
    who_is_no_master_is_not_believed, a_master_that_turns_replica_ends_the_lane,
    a_master_that_is_one_again_has_not_taken_what_it_refused,
    a_silent_sentinel_does_not_use_up_the_dial, a_sentinel_that_tells_no_replicas_costs_no_hit,
    a_kick_ends_a_search, rubbish_from_a_sentinel_is_an_error, a_data_server_is_no_sentinel,
    what_is_missing_or_means_nothing_is_said)
