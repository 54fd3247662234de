/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of keys, and what is made of a node's words about its cluster. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvr_check.h"
#include "kvr_topology.h"

static uint16_t
slot(const char *key)
{
	return kvr_slot_of(key, strlen(key));
}

/* The check value of the specification, and what redis-cli and LMCache's client say of these. */
START_TEST(slots_are_those_of_the_specification)
{
	ck_assert_uint_eq(slot("123456789"), 0x31c3);
	ck_assert_uint_eq(slot("facebook/opt-125m@1@0@75bcd15@bfloat16metadata"), 12537);
	ck_assert_uint_eq(slot("facebook/opt-125m@1@0@75bcd15@bfloat16kv_bytes"), 3888);
	ck_assert_uint_eq(slot("{facebook/opt-125m@1@0@75bcd15@bfloat16}:metadata"), 9065);
	ck_assert_uint_eq(slot("{facebook/opt-125m@1@0@75bcd15@bfloat16}:kv_bytes"), 9065);
	ck_assert_uint_eq(slot(""), 0);
}
END_TEST

START_TEST(a_tag_is_the_first_that_is_not_empty)
{
	ck_assert_uint_eq(slot("{user1000}.following"), slot("user1000"));
	ck_assert_uint_eq(slot("foo{bar}{zap}"), slot("bar"));
	ck_assert_uint_eq(slot("foo{{bar}}zap"), slot("{bar"));
	/* An empty first one is none, and the next is not looked for. */
	ck_assert_uint_ne(slot("{}x"), slot("x"));
	ck_assert_uint_ne(slot("foo{}{bar}"), slot("bar"));
	ck_assert_uint_ne(slot("foo{bar"), slot("bar"));
	ck_assert_uint_ne(slot("foo}bar{"), slot(""));
}
END_TEST

static struct kvr_topology t;
static struct kvr_sock s;

static enum kvr_err
ask(const char *reply)
{
	static const struct kvr_url_host self = { "self.example", 7000 };
	int pair[2];
	size_t len = strlen(reply);
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(write(pair[1], reply, len), (ssize_t)len);
	shutdown(pair[1], SHUT_WR);
	kvr_stream_take(&s, pair[0], NULL);
	enum kvr_err err = kvr_stream_begin(&s, kvr_now_ns() + KVR_SEC(20), KVR_STREAM_AHEAD);
	if (err == KVR_OK)
		err = kvr_topology_ask(&s, &self, &t);
	kvr_stream_hang_up(&s);
	close(pair[1]);
	return err;
}

#define NODE(host, port) "*3\r\n$9\r\n" host "\r\n:" port "\r\n$2\r\nid\r\n"

START_TEST(ranges_become_a_map)
{
	ck_assert_int_eq(
	    ask("*4\r\n*4\r\n:0\r\n:5460\r\n" NODE("127.0.0.1", "7001") NODE("127.0.0.1", "7004")
	        /* What newer servers add to a node is skipped. */
	        "*3\r\n:5461\r\n:5461\r\n*4\r\n$0\r\n\r\n:7002\r\n$2\r\nid\r\n"
	        "*2\r\n$8\r\nhostname\r\n$1\r\nx\r\n"
	        "*3\r\n:5462\r\n:9999\r\n*2\r\n$-1\r\n:7003\r\n"
	        "*3\r\n:10000\r\n:16383\r\n" NODE("127.0.0.1", "7001")),
	    KVR_OK);
	ck_assert_uint_eq(t.n_nodes, 3);
	ck_assert_uint_eq(t.of[0], 0);
	ck_assert_uint_eq(t.of[5460], 0);
	ck_assert_uint_eq(t.of[5461], 1);
	ck_assert_uint_eq(t.of[5462], 2);
	ck_assert_uint_eq(t.of[16383], 0);
	ck_assert_str_eq(t.node[0].name, "127.0.0.1");
	/* A node that leaves out its name is the one that was asked. */
	ck_assert_str_eq(t.node[1].name, "self.example");
	ck_assert_uint_eq(t.node[1].port, 7002);
	ck_assert_str_eq(t.node[2].name, "self.example");
}
END_TEST

/* Behind each master stand its replicas, of which the turn says one. */
START_TEST(one_replica_of_each_master_is_kept)
{
	static const char reply[] = "*3\r\n*5\r\n:0\r\n:99\r\n" NODE("127.0.0.1", "7001")
	    NODE("127.0.0.1", "7004") NODE("127.0.0.2", "7005") "*3\r\n:100\r\n:199\r\n" NODE(
	        "127.0.0.1", "7002") "*4\r\n:200\r\n:299\r\n" NODE("127.0.0.1", "7003")
	        "*3\r\n$1\r\n?\r\n:7006\r\n$2\r\nid\r\n";
	for (uint32_t turn = 0; turn < 4; turn++) {
		t.turn = turn;
		ck_assert_int_eq(ask(reply), KVR_OK);
		ck_assert_uint_eq(t.n_nodes, 3);
		ck_assert_uint_eq(t.replica[0].port, turn % 2 == 0 ? 7004 : 7005);
		ck_assert_str_eq(t.replica[0].name, turn % 2 == 0 ? "127.0.0.1" : "127.0.0.2");
		/* One has none, and of one its master does not know the place. */
		ck_assert_uint_eq(t.replica[1].port, 0);
		ck_assert_uint_eq(t.replica[2].port, 0);
	}
}
END_TEST

START_TEST(slots_that_nobody_has_stay_empty)
{
	ck_assert_int_eq(ask("*2\r\n*3\r\n:5\r\n:6\r\n" NODE("127.0.0.1",
	                     "7001") "*3\r\n:9\r\n:9\r\n*3\r\n$1\r\n?\r\n:7001\r\n$2\r\nid\r\n"),
	    KVR_OK);
	ck_assert_uint_eq(t.of[4], KVR_NO_NODE);
	ck_assert_uint_eq(t.of[5], 0);
	ck_assert_uint_eq(t.of[7], KVR_NO_NODE);
	ck_assert_uint_eq(t.of[9], KVR_NO_NODE);
	ck_assert_int_eq(ask("*0\r\n"), KVR_E_DOWN);
}
END_TEST

START_TEST(what_is_no_map_is_an_error)
{
	static const struct {
		const char *reply;
		enum kvr_err err;
	} rows[] = {
		{ "-ERR This instance has cluster support disabled\r\n", KVR_E_CONFIG },
		{ "-NOAUTH Authentication required.\r\n", KVR_E_AUTH },
		{ "-LOADING no\r\n", KVR_E_REFUSED },
		{ "+OK\r\n", KVR_E_PROTO },
		{ "*16385\r\n", KVR_E_PROTO },
		{ "*1\r\n:1\r\n", KVR_E_PROTO },
		{ "*1\r\n*2\r\n:0\r\n:1\r\n", KVR_E_PROTO },
		{ "*1\r\n*3\r\n:-1\r\n:1\r\n" NODE("127.0.0.1", "1"), KVR_E_PROTO },
		{ "*1\r\n*3\r\n:2\r\n:1\r\n" NODE("127.0.0.1", "1"), KVR_E_PROTO },
		{ "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE("127.0.0.1", "1"), KVR_E_PROTO },
		{ "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("127.0.0.1", "65536"), KVR_E_PROTO },
		{ "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\nh\r\n", KVR_E_PROTO },
		{ "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:1\r\n:1\r\n", KVR_E_PROTO },
		{ "*1\r\n*3\r\n:0\r\n:1\r\n", KVR_E_DOWN },
		{ "HTTP/1.1 400 Bad Request\r\n", KVR_E_PROTO },
	};
	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		enum kvr_err err = ask(rows[i].reply);
		ck_assert_msg(err == rows[i].err, "%zu: %s: %s", i, kvr_err_name(err), s.why);
		ck_assert_str_ne(s.why, "");
	}
}
END_TEST

START_TEST(more_masters_than_there_is_room_for)
{
	char text[4096] = "*33\r\n";
	size_t len = strlen(text);
	for (int i = 0; i < 33; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "*3\r\n:%d\r\n:%d\r\n*2\r\n$1\r\nh\r\n:%d\r\n", i, i, i + 1);
	ck_assert_int_eq(ask(text), KVR_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(s.why, "more than 32 masters"));
}
END_TEST

static bool
parse(const char *text, struct kvr_redirect *ret)
{
	struct kvr_resp r;
	ck_assert(kvr_resp_parse(text, strlen(text), &r));
	return kvr_redirect_parse(&r, ret);
}

START_TEST(redirections_name_a_place)
{
	struct kvr_redirect r;
	ck_assert(parse("-MOVED 3999 127.0.0.1:6381", &r));
	ck_assert(!r.asks && r.slot == 3999 && r.to.port == 6381);
	ck_assert_str_eq(r.to.name, "127.0.0.1");
	ck_assert(parse("-ASK 16383 2001:db8::1:7000", &r));
	ck_assert(r.asks && r.slot == 16383 && r.to.port == 7000);
	ck_assert_str_eq(r.to.name, "2001:db8::1");
	ck_assert(parse("-MOVED 0 :6381", &r));
	ck_assert_str_eq(r.to.name, "");
	static const char *const wrong[] = { "-MOVED", "-MOVED ", "-MOVED 1", "-MOVED 16384 h:1",
		"-MOVED x h:1", "-MOVED 1 h", "-MOVED 1 h:", "-MOVED 1 h:0", "-MOVED 1 h:65536",
		"-MOVED 1 h:1x", "-MOVED 1 ?:1", "-MOVED 123456 h:1", "-ERR MOVED 1 h:1",
		"-ASKING 1 h:1", "+MOVED 1 h:1" };
	for (size_t i = 0; i < KVR_LEN(wrong); i++)
		ck_assert_msg(!parse(wrong[i], &r), "%s", wrong[i]);
}
END_TEST

KVR_CHECK_MAIN("wire.topology", slots_are_those_of_the_specification,
    a_tag_is_the_first_that_is_not_empty, ranges_become_a_map,
    one_replica_of_each_master_is_kept, slots_that_nobody_has_stay_empty,
    what_is_no_map_is_an_error, more_masters_than_there_is_room_for, redirections_name_a_place)
