/* SPDX-License-Identifier: Apache-2.0 */
/* rediss:// when server or network misbehave, when it is not TLS at all, and when we give up. */
#include "kvr_tls_bed.h"

#include <pthread.h>

#include "kvr_fault_proxy.h"
#include "kvr_kicker.h"

/* How much later than its deadline a call may come back on a busy machine. */
#define SLACK KVR_SEC(10)
#define CLIENT_HELLO { KVR_PEER_AWAIT, "\x16\x03\x01", 0 }

static enum kvr_err
run_until(struct bed *b, enum kvr_verb verb, struct load *l, uint64_t until_ns)
{
	for (uint32_t i = 0; i < l->n; i++)
		atomic_store(&l->items[i].status, KVR_PENDING);
	return b->ops->run(b->lane, verb, l->items, l->n, until_ns);
}

START_TEST(a_server_that_stands_still_in_the_handshake_costs_the_deadline)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_SEALED);
	struct bed b;
	bool in_handshake = false;
	kvr_redis_server_pause(server->redis);
	/* On a busy machine the time may be over before the handshake begins. */
	for (uint64_t ns = KVR_MS(150); !in_handshake; ns *= 2) {
		uint64_t until_ns = bed_in(ns);
		ck_assert_int_eq(bed_try(&b, &opts, until_ns), KVR_E_TIMEOUT);
		ck_assert_uint_ge(kvr_now_ns(), until_ns);
		ck_assert_uint_lt(kvr_now_ns(), until_ns + SLACK);
		in_handshake = strstr(b.why, "TLS: handshake") != NULL;
		ck_assert_msg(in_handshake || ns < KVR_SEC(10), "%s", b.why);
		bed_down(&b);
	}
	/* Our own limit for a dial tells of the store. */
	opts.connect_ns = KVR_MS(100);
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
	bed_down(&b);
	kvr_redis_server_resume(server->redis);
	opts.connect_ns = 0;
	bed_up(&b, &opts);
	bed_down(&b);
	ck_assert_int_eq(bed_try(&b, &opts, kvr_now_ns() - 1), KVR_E_TIMEOUT);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(a_kick_ends_the_handshake)
{
	static const struct kvr_peer_act acts[] = { CLIENT_HELLO, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	char url[64];
	struct bed b = { .ops = &kvr_redis_ops };
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	struct kicker k = { &b, peer, 1 };
	pthread_t thread;
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", kvr_peer_port(peer));
	b.kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b.kick.current = 1;
	ck_assert_int_eq(b.ops->open(&opts, &b.store, b.why, sizeof(b.why)), KVR_OK);
	ck_assert_int_eq(pthread_create(&thread, NULL, kick_main, &k), 0);
	ck_assert_int_eq(
	    b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why, sizeof(b.why)),
	    KVR_E_CANCELLED);
	pthread_join(thread, NULL);
	bed_down(&b);
	kvr_peer_stop(peer);
}
END_TEST

START_TEST(a_server_that_stands_still_later_costs_the_deadline_too)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_PUT, KVR_VERB_GET };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_SEALED);
	struct load l = load_new(8, 4 << 20);
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		struct bed b;
		bed_up(&b, &opts);
		kvr_redis_server_pause(server->redis);
		uint64_t until_ns = bed_in(KVR_MS(150));
		ck_assert_int_eq(run_until(&b, verbs[i], &l, until_ns), KVR_E_TIMEOUT);
		ck_assert_uint_ge(kvr_now_ns(), until_ns);
		ck_assert_uint_lt(kvr_now_ns(), until_ns + SLACK);
		/* What half a request has left behind must not be used again. */
		ck_assert_int_eq(run_until(&b, verbs[i], &l, bed_in(BED_LONG)), KVR_E_TIMEOUT);
		bed_down(&b);
		kvr_redis_server_resume(server->redis);
	}
	load_free(&l);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(a_kick_ends_a_batch)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_PUT, KVR_VERB_GET };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_SEALED);
	struct load l = load_new(8, 4 << 20);
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		struct bed b;
		struct kicker k = { &b, NULL, 0 };
		pthread_t thread;
		bed_up(&b, &opts);
		kvr_redis_server_pause(server->redis);
		ck_assert_int_eq(pthread_create(&thread, NULL, kick_main, &k), 0);
		ck_assert_int_eq(bed_run(&b, verbs[i], l.items, l.n), KVR_E_CANCELLED);
		pthread_join(thread, NULL);
		bed_down(&b);
		kvr_redis_server_resume(server->redis);
	}
	load_free(&l);
	kvr_tls_server_stop(server);
}
END_TEST

/* With OpenSSL's own sockets SIGPIPE would end this process here. */
START_TEST(a_server_that_dies_ends_the_lane_and_not_the_process)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_PUT, KVR_VERB_GET, KVR_VERB_EXISTS };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_SEALED);
	struct load l = load_new(4, 8 << 20);
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		struct bed b;
		bed_up(&b, &opts);
		kvr_redis_server_kill(server->redis);
		ck_assert_int_eq(bed_run(&b, verbs[i], l.items, l.n), KVR_E_DOWN);
		ck_assert_str_ne(b.ops->why(b.lane), "");
		bed_down(&b);
		kvr_redis_server_restart(server->redis);
	}
	load_free(&l);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(a_plain_server_behind_rediss_and_the_reverse)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	char url[64];
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	bool is_told = false;
	opts.url = url;
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", server->redis->port);
	/* It says nothing; and on a busy machine the time may be over before it was asked. */
	for (opts.connect_ns = KVR_MS(300); !is_told; opts.connect_ns *= 2) {
		struct bed b;
		ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
		is_told = strstr(b.why, "no answer; a TLS port?") != NULL;
		ck_assert_msg(is_told || opts.connect_ns < KVR_SEC(10), "%s", b.why);
		bed_down(&b);
	}
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server->port);
	opts.tls.ca = NULL;
	opts.connect_ns = KVR_SEC(30);
	tls_refused(&opts, KVR_E_DOWN, "write rediss://");
	kvr_tls_server_stop(server);
}
END_TEST

static void
peer_refused(const struct kvr_peer_act *acts, size_t n, enum kvr_err want, const char *say)
{
	struct kvr_peer *peer = kvr_peer_start(acts, n);
	char url[64];
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", kvr_peer_port(peer));
	tls_refused(&opts, want, say);
	kvr_peer_stop(peer);
}

START_TEST(peers_that_are_no_tls_servers)
{
	static const struct kvr_peer_act http[] = { CLIENT_HELLO,
		{ KVR_PEER_SEND, "HTTP/1.1 400 Bad Request\r\n\r\n", 0 },
		{ KVR_PEER_STALL, NULL, 0 } };
	static const struct kvr_peer_act resp[] = { CLIENT_HELLO,
		{ KVR_PEER_SEND, "-ERR unknown command\r\n", 0 }, { KVR_PEER_STALL, NULL, 0 } };
	static const struct kvr_peer_act zeros[] = { CLIENT_HELLO,
		{ KVR_PEER_FILL, "\0", 100000 }, { KVR_PEER_STALL, NULL, 0 } };
	static const struct kvr_peer_act alert[] = { CLIENT_HELLO,
		{ KVR_PEER_SEND, "\x15\x03\x03\x00\x02\x02\x28", 7 }, { KVR_PEER_STALL, NULL, 0 } };
	static const struct kvr_peer_act version[] = { CLIENT_HELLO,
		{ KVR_PEER_SEND, "\x15\x03\x01\x00\x02\x02\x46", 7 }, { KVR_PEER_STALL, NULL, 0 } };
	static const struct kvr_peer_act closes[] = { CLIENT_HELLO, { KVR_PEER_CLOSE, NULL, 0 } };
	static const struct kvr_peer_act resets[] = { CLIENT_HELLO, { KVR_PEER_RESET, NULL, 0 } };
	peer_refused(http, KVR_LEN(http), KVR_E_PROTO, "does not speak TLS");
	peer_refused(resp, KVR_LEN(resp), KVR_E_PROTO, "does not speak TLS");
	peer_refused(zeros, KVR_LEN(zeros), KVR_E_PROTO, "TLS: ");
	peer_refused(alert, KVR_LEN(alert), KVR_E_PROTO, "no common cipher");
	peer_refused(version, KVR_LEN(version), KVR_E_PROTO, "no TLS from 1.2 on");
	peer_refused(closes, KVR_LEN(closes), KVR_E_DOWN, "closed the connection");
	peer_refused(resets, KVR_LEN(resets), KVR_E_DOWN, "TLS: ");
}
END_TEST

START_TEST(a_line_that_is_cut_or_flips_a_bit_is_always_noticed)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_fault_proxy *proxy = kvr_fault_proxy_start(server->port);
	char url[64];
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	struct load l = load_new(3, 70000);
	struct bed b;
	uint64_t state = 4711;
	uint32_t mac = 0;
	enum { ROUNDS = KVR_ROUNDS(200) };
	opts.url = url;
	snprintf(url, sizeof(url), "rediss%s", strchr(kvr_fault_proxy_url(proxy), ':'));
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	bed_ok(&b, KVR_VERB_GET, l.items, l.n);
	uint64_t whole = kvr_fault_proxy_sent(proxy);
	bed_down(&b);
	for (int round = 0; round < ROUNDS; round++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
		/* Somewhere in the handshake or the values; near their end the lengths differ. */
		uint64_t at = (state >> 33) % (round % 4 == 0 ? 2000 : whole - 2000);
		bool cut = round % 2 == 0;
		kvr_fault_proxy_cut_at(proxy, cut ? at : KVR_FAULT_NEVER);
		kvr_fault_proxy_flip_at(proxy, cut ? KVR_FAULT_NEVER : at);
		load_wipe(&l);
		for (uint32_t i = 0; i < l.n; i++)
			atomic_store(&l.items[i].status, KVR_PENDING);
		enum kvr_err err = bed_try(&b, &opts, bed_in(KVR_SEC(5)));
		if (err == KVR_OK)
			err = run_until(&b, KVR_VERB_GET, &l, bed_in(KVR_SEC(5)));
		ck_assert_int_ne(err, KVR_OK);
		ck_assert_int_eq(kvr_err_stream(err), KVR_STREAM_CLOSE);
		mac += b.lane != NULL && strstr(b.ops->why(b.lane), "bad record mac") != NULL;
		for (uint32_t i = 0; i < l.n; i++)
			ck_assert(kvr_item_status(&l.items[i]) != KVR_OK || load_same(&l, i));
		bed_down(&b);
	}
	ck_assert_uint_ge(mac, ROUNDS / 5);
	load_free(&l);
	kvr_fault_proxy_stop(proxy);
	kvr_tls_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_tls_faults",
    a_server_that_stands_still_in_the_handshake_costs_the_deadline, a_kick_ends_the_handshake,
    a_server_that_stands_still_later_costs_the_deadline_too, a_kick_ends_a_batch,
    a_server_that_dies_ends_the_lane_and_not_the_process,
    a_plain_server_behind_rediss_and_the_reverse, peers_that_are_no_tls_servers,
    a_line_that_is_cut_or_flips_a_bit_is_always_noticed)
