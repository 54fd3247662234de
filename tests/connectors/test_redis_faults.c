/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis connector when the server or the network misbehaves, and when the caller gives up. */
#include <pthread.h>
#include <signal.h>

#include "kvr_fault_proxy.h"
#include "kvr_kicker.h"
#include "kvr_redis.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

/* How much later than its deadline a call may come back on a busy machine. */
#define SLACK KVR_SEC(10)

#define HELLO { KVR_PEER_AWAIT, "PING\r\n", 0 }, { KVR_PEER_SEND, "+PONG\r\n", 0 }

static enum kvr_err
run_until(struct bed *b, enum kvr_verb verb, struct kvr_item *items, uint32_t n, uint64_t until_ns)
{
	for (uint32_t i = 0; i < n; i++)
		atomic_store(&items[i].status, KVR_PENDING);
	return kvr_redis_ops.run(b->lane, verb, items, n, until_ns);
}

START_TEST(a_deadline_in_the_past_moves_nothing)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	for (int verb = 0; verb < KVR_VERB_N; verb++) {
		struct bed b;
		struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_SEALED);
		struct load l = load_new(2, 100);
		uint32_t n = verb == KVR_VERB_PING ? 0 : 2;
		bed_up(&b, &opts);
		ck_assert_int_eq(run_until(&b, (enum kvr_verb)verb, l.items, n, kvr_now_ns() - 1),
		    KVR_E_TIMEOUT);
		for (uint32_t i = 0; i < n; i++)
			ck_assert_int_eq(kvr_item_status(&l.items[i]), KVR_PENDING);
		ck_assert_str_ne(kvr_redis_ops.why(b.lane), "");
		load_free(&l);
		bed_down(&b);
	}
	struct bed b;
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_SEALED);
	ck_assert_int_eq(bed_try(&b, &opts, kvr_now_ns() - 1), KVR_E_TIMEOUT);
	bed_down(&b);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_kick_ends_a_stalled_read)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "GET", 0 },
		{ KVR_PEER_SEND, "$100\r\nabc", 0 }, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(2, 100);
	struct kicker k = { &b, peer, 4 };
	pthread_t thread;
	bed_up(&b, &opts);
	ck_assert_int_eq(pthread_create(&thread, NULL, kick_main, &k), 0);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_GET, l.items, 2), KVR_E_CANCELLED);
	pthread_join(thread, NULL);
	ck_assert_int_eq(kvr_item_status(&l.items[0]), KVR_PENDING);
	ck_assert_int_eq(kvr_item_status(&l.items[1]), KVR_PENDING);
	load_free(&l);
	bed_down(&b);
	kvr_peer_stop(peer);
}
END_TEST

START_TEST(a_kick_for_another_batch_is_ignored)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct bed b;
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_SEALED);
	struct load l = load_new(8, 1 << 20);
	uint64_t one = 1;
	bed_up(&b, &opts);
	b.kick.current = 8;
	atomic_store(&b.kick.target, 7);
	ck_assert_int_eq(write(b.kick.fd, &one, sizeof(one)), sizeof(one));
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	atomic_store(&b.kick.target, 8);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_GET, l.items, l.n), KVR_E_CANCELLED);
	load_free(&l);
	bed_down(&b);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_server_that_stands_still_costs_no_more_than_the_deadline)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_PUT, KVR_VERB_GET };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct load l = load_new(8, 4 << 20);
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_SEALED);
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		struct bed b;
		bed_up(&b, &opts);
		kvr_redis_server_pause(server);
		uint64_t until_ns = bed_in(KVR_MS(150));
		ck_assert_int_eq(run_until(&b, verbs[i], l.items, l.n, until_ns), KVR_E_TIMEOUT);
		ck_assert_uint_ge(kvr_now_ns(), until_ns);
		ck_assert_uint_lt(kvr_now_ns(), until_ns + SLACK);
		bed_down(&b);
		/* The kernel still accepts for it, so a dial gets as far as the first command. */
		until_ns = bed_in(KVR_MS(150));
		ck_assert_int_eq(bed_try(&b, &opts, until_ns), KVR_E_TIMEOUT);
		ck_assert_ptr_null(strstr(b.why, "timeouts.connect"));
		bed_down(&b);
		opts.connect_ns = KVR_MS(100);
		ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
		ck_assert_msg(strstr(b.why, " (timeouts.connect, 100 ms)") != NULL, "%s", b.why);
		bed_down(&b);
		opts.connect_ns = 0;
		kvr_redis_server_resume(server);
	}
	load_free(&l);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_server_that_stands_still_does_not_hold_a_lane_until_a_far_deadline)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_PUT, KVR_VERB_GET,
		KVR_VERB_STAT, KVR_VERB_DEL };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct load l = load_new(8, 4 << 20);
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_SEALED);
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		struct bed b;
		bed_up(&b, &opts); /* without a limit: the machine may be slow */
		b.store->connect_ns = KVR_MS(100);
		kvr_redis_server_pause(server);
		uint64_t since_ns = kvr_now_ns();
		ck_assert_int_eq(
		    run_until(&b, verbs[i], l.items, l.n, bed_in(BED_LONG)), KVR_E_DOWN);
		ck_assert_uint_ge(kvr_now_ns(), since_ns + KVR_MS(100));
		ck_assert_uint_lt(kvr_now_ns(), since_ns + BED_LONG / 2);
		ck_assert_msg(strstr(kvr_redis_ops.why(b.lane), "silent for 100 ms") != NULL, "%s",
		    kvr_redis_ops.why(b.lane));
		bed_down(&b);
		kvr_redis_server_resume(server);
	}
	load_free(&l);
	kvr_redis_server_stop(server);
}
END_TEST

static void *
kill_main(void *arg)
{
	kvr_redis_server_kill(arg);
	return NULL;
}

START_TEST(a_killed_server_ends_the_batch_and_a_new_dial_works)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct bed b;
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_SEALED);
	struct load l = load_new(16, 4 << 20);
	pthread_t thread;
	bed_up(&b, &opts);
	/* Standing still first: otherwise the batch might be through before the signal arrives. */
	kvr_redis_server_pause(server);
	ck_assert_int_eq(pthread_create(&thread, NULL, kill_main, server), 0);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_PUT, l.items, l.n), KVR_E_DOWN);
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < l.n; i++)
		ck_assert_int_eq(kvr_item_status(&l.items[i]), KVR_PENDING);
	bed_down(&b);
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(b.why, "refused"));
	bed_down(&b);
	kvr_redis_server_restart(server);
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	bed_down(&b);
	load_free(&l);
	kvr_redis_server_stop(server);
}
END_TEST

/* What comes instead of a reply to GET of 100 bytes, and what it is worth. */
static void
odd_reply(const char *reply, size_t len, enum kvr_err want)
{
	const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "GET", 0 },
		{ KVR_PEER_SEND, reply, len }, { KVR_PEER_CLOSE, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(1, 100);
	bed_up(&b, &opts);
	enum kvr_err err = bed_run(&b, KVR_VERB_GET, l.items, 1);
	ck_assert_msg(
	    err == want, "%.20s: %s (%s)", reply, kvr_err_name(err), kvr_redis_ops.why(b.lane));
	ck_assert_int_eq(kvr_item_status(&l.items[0]), KVR_PENDING);
	load_free(&l);
	bed_down(&b);
	kvr_peer_stop(peer);
}

START_TEST(rubbish_is_a_broken_protocol)
{
	static const char *const rubbish[] = { "HTTP/1.1 400 Bad Request\r\n", "\r\n", "\n",
		"$100\n", "$\r\n", "$-2\r\n", "$1x\r\n", "$ 5\r\n", "$+5\r\n",
		"$99999999999999999999\r\n", "$9223372036854775807\r\n", ":1\r\n", "+OK\r\n",
		"*1\r\n$1\r\nx\r\n", "%1\r\n", "_\r\n", "!5\r\n" };
	for (size_t i = 0; i < KVR_LEN(rubbish); i++)
		odd_reply(rubbish[i], strlen(rubbish[i]), KVR_E_PROTO);
	odd_reply("$1\0\r\n", 5, KVR_E_PROTO);
	char *line = malloc(100000);
	memset(line, '+', 100000);
	odd_reply(line, 100000, KVR_E_PROTO);
	/* A bulk that is longer than it said. */
	memset(line, 'x', 1000);
	memcpy(line, "$100\r\n", 6);
	odd_reply(line, 1000, KVR_E_PROTO);
	free(line);
}
END_TEST

START_TEST(a_peer_that_closes_in_the_middle_is_down)
{
	static const char *const halves[] = { "$", "$10", "$100\r", "$100\r\n", "$100\r\nabcdef" };
	for (size_t i = 0; i < KVR_LEN(halves); i++)
		odd_reply(halves[i], strlen(halves[i]), KVR_E_DOWN);
}
END_TEST

START_TEST(bytes_that_nobody_asked_for_end_the_connection)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, "+PONG\r\n+PONG\r\n", 0 }, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	bed_up(&b, &opts);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_PING, NULL, 0), KVR_E_PROTO);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_PING, NULL, 0), KVR_E_PROTO);
	bed_down(&b);
	kvr_peer_stop(peer);
}
END_TEST

/* What the first command of a dial is answered with. */
static void
odd_welcome(const char *reply, enum kvr_err want, const char *say)
{
	const struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, reply, 0 }, { KVR_PEER_CLOSE, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	enum kvr_err err = bed_try(&b, &opts, bed_in(BED_LONG));
	ck_assert_msg(err == want, "%s: %s (%s)", reply, kvr_err_name(err), b.why);
	ck_assert_msg(strstr(b.why, say) != NULL, "%s does not say %s", b.why, say);
	ck_assert_ptr_null(b.lane);
	bed_down(&b);
	kvr_peer_stop(peer);
}

START_TEST(a_dial_tells_why_it_failed)
{
	odd_welcome(
	    "-LOADING Redis is loading the dataset in memory\r\n", KVR_E_REFUSED, "LOADING");
	odd_welcome("-ERR max number of clients reached\r\n", KVR_E_REFUSED, "max number");
	odd_welcome("-MASTERDOWN Link with MASTER is down\r\n", KVR_E_REFUSED, "MASTERDOWN");
	odd_welcome("-DENIED Redis is running in protected mode\r\n", KVR_E_AUTH, "DENIED");
	odd_welcome("SSH-2.0-OpenSSH_9.2\r\n", KVR_E_PROTO, "RESP2");
	odd_welcome("*1000000000\r\n", KVR_E_PROTO, "array");
	odd_welcome("%1000000000\r\n", KVR_E_PROTO, "not a RESP2 reply: it begins with byte 0x25");
	odd_welcome("#t\r\n", KVR_E_PROTO, "not a RESP2 reply: it begins with byte 0x23");
	odd_welcome("$1000000000\r\n", KVR_E_DOWN, "closed");
	odd_welcome(":1\r\n", KVR_E_PROTO, "wrong kind");
	odd_welcome("", KVR_E_DOWN, "closed");
}
END_TEST

/* It refuses what writes, and PING with it. */
START_TEST(a_server_that_cannot_save_is_up_and_is_read)
{
#define MISCONF "-MISCONF Redis is configured to save RDB snapshots, but\r\n"
	static const struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, MISCONF, 0 }, { KVR_PEER_AWAIT, "GET", 0 },
		{ KVR_PEER_SEND, "$2\r\nok\r\n", 0 }, { KVR_PEER_AWAIT, "SET", 0 },
		{ KVR_PEER_SEND, MISCONF, 0 }, { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, MISCONF, 0 }, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(1, 2);
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	bed_status(&l.items[0], KVR_E_REFUSED);
	ck_assert_ptr_nonnull(strstr(kvr_redis_ops.why(b.lane), "MISCONF"));
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	load_free(&l);
	bed_down(&b);
	kvr_peer_stop(peer);
#undef MISCONF
}
END_TEST

START_TEST(errors_of_single_keys_keep_the_stream_in_step)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "GET", 0 },
		{ KVR_PEER_AWAIT, "GET", 0 },
		{ KVR_PEER_SEND,
		    "-LOADING wait\r\n-OOM command not allowed\r\n"
		    "-MOVED 3999 127.0.0.1:6381\r\n-BUSY script\r\n-READONLY replica\r\n-ERR "
		    "what\r\n$-1\r\n"
		    "$2\r\nok\r\n",
		    0 },
		{ KVR_PEER_STALL, NULL, 0 } };
	static const int32_t want[] = { KVR_E_REFUSED, KVR_E_NOSPACE, KVR_E_REFUSED, KVR_E_REFUSED,
		KVR_E_REFUSED, KVR_E_REFUSED, KVR_E_MISS, KVR_OK };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(KVR_LEN(want), 2);
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_GET, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++)
		bed_status(&l.items[i], want[i]);
	load_free(&l);
	bed_down(&b);
	kvr_peer_stop(peer);
}
END_TEST

START_TEST(a_lost_sign_in_ends_the_connection_after_the_batch)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "EXISTS", 0 },
		{ KVR_PEER_SEND, "-NOAUTH Authentication required.\r\n:1\r\n", 0 },
		{ KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct bed b;
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(2, 2);
	bed_up(&b, &opts);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_EXISTS, l.items, 2), KVR_E_AUTH);
	bed_status(&l.items[0], KVR_E_AUTH);
	bed_status(&l.items[1], KVR_OK);
	load_free(&l);
	bed_down(&b);
	kvr_peer_stop(peer);
}
END_TEST

/* Every item is whole and right, or not there. */
static void
no_wrong_bytes(const struct load *l, enum kvr_err err)
{
	for (uint32_t i = 0; i < l->n; i++) {
		int32_t status = kvr_item_status(&l->items[i]);
		ck_assert_msg(status != KVR_OK || load_same(l, i), "wrong bytes were called a hit");
		ck_assert(status != KVR_PENDING || err != KVR_OK);
	}
}

START_TEST(a_line_that_is_cut_or_flips_a_bit_never_gives_wrong_bytes)
{
	enum { ROUNDS = KVR_ROUNDS(400) };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_fault_proxy *proxy = kvr_fault_proxy_start(server->port);
	struct kvr_store_opts opts = bed_opts(kvr_fault_proxy_url(proxy), KVR_FORMAT_SEALED);
	struct load l = load_new(3, 70000);
	struct bed b;
	uint64_t state = 12345;
	uint32_t noticed = 0;
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	bed_ok(&b, KVR_VERB_GET, l.items, l.n);
	uint64_t whole = kvr_fault_proxy_sent(proxy);
	bed_down(&b);
	for (int round = 0; round < ROUNDS; round++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
		/* Behind the welcome, and often near the heads of replies. */
		uint64_t at =
		    7 + (round % 4 == 0 ? (state >> 33) % 600 : (state >> 33) % (whole - 7));
		kvr_fault_proxy_cut_at(proxy, round % 2 == 0 ? at : KVR_FAULT_NEVER);
		kvr_fault_proxy_flip_at(proxy, round % 2 == 0 ? KVR_FAULT_NEVER : at);
		load_wipe(&l);
		bed_up(&b, &opts);
		for (uint32_t i = 0; i < l.n; i++)
			atomic_store(&l.items[i].status, KVR_PENDING);
		/* A flipped length makes the client wait for bytes that do not come. */
		enum kvr_err err =
		    kvr_redis_ops.run(b.lane, KVR_VERB_GET, l.items, l.n, bed_in(KVR_MS(200)));
		no_wrong_bytes(&l, err);
		noticed += err != KVR_OK;
		for (uint32_t i = 0; i < l.n; i++)
			noticed += err == KVR_OK && kvr_item_status(&l.items[i]) != KVR_OK;
		bed_down(&b);
	}
	ck_assert_uint_ge(noticed, ROUNDS - ROUNDS / 40);
	load_free(&l);
	kvr_fault_proxy_stop(proxy);
	kvr_redis_server_stop(server);
}
END_TEST

/* Its length was asked for before somebody else put it, and whether it is there after that. */
START_TEST(a_value_that_comes_while_its_size_is_asked_for_is_not_empty)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "EXISTS", 0 },
		{ KVR_PEER_SEND, ":0\r\n:1\r\n", 0 }, { KVR_PEER_AWAIT, "STRLEN", 0 },
		{ KVR_PEER_SEND, ":1000\r\n", 0 }, { KVR_PEER_AWAIT, "EXISTS", 0 },
		{ KVR_PEER_SEND, ":0\r\n:1\r\n", 0 }, { KVR_PEER_AWAIT, "STRLEN", 0 },
		{ KVR_PEER_SEND, ":0\r\n", 0 }, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(1, 10);
	struct bed b;
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_STAT, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	ck_assert_uint_eq(l.items[0].len, 1000);
	/* And an empty one is. */
	bed_ok(&b, KVR_VERB_STAT, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	ck_assert_uint_eq(l.items[0].len, 0);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(peer);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_faults", a_deadline_in_the_past_moves_nothing,
    a_kick_ends_a_stalled_read, a_kick_for_another_batch_is_ignored,
    a_server_that_stands_still_costs_no_more_than_the_deadline,
    a_server_that_stands_still_does_not_hold_a_lane_until_a_far_deadline,
    a_killed_server_ends_the_batch_and_a_new_dial_works, rubbish_is_a_broken_protocol,
    a_peer_that_closes_in_the_middle_is_down, bytes_that_nobody_asked_for_end_the_connection,
    a_dial_tells_why_it_failed,
    a_server_that_cannot_save_is_up_and_is_read, errors_of_single_keys_keep_the_stream_in_step,
    a_lost_sign_in_ends_the_connection_after_the_batch,
    a_line_that_is_cut_or_flips_a_bit_never_gives_wrong_bytes,
    a_value_that_comes_while_its_size_is_asked_for_is_not_empty)
