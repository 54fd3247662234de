/* SPDX-License-Identifier: Apache-2.0 */
/* lm:// when the server or the network misbehaves, and when the caller gives up. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "kvr_fault_proxy.h"
#include "kvr_lm.h"
#include "kvr_lm_bed.h"
#include "kvr_peer.h"

/* How much later than its deadline a call may come back on a busy machine. */
#define SLACK KVR_SEC(10)

#define YES "\xc8\0\0\0"
#define NO_PAYLOAD "\0\0\0\0" "\1\0\0\0" "\2\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0"
#define TELL 36
/* The dial's question and answer. */
#define HELLO { KVR_PEER_AWAIT, "@half     ", 0 }, { KVR_PEER_SEND, YES NO_PAYLOAD, TELL }

static enum kvr_err
run_until(struct bed *b, enum kvr_verb verb, struct kvr_item *items, uint32_t n, uint64_t until_ns)
{
	for (uint32_t i = 0; i < n; i++)
		atomic_store(&items[i].status, KVR_PENDING);
	return b->ops->run(b->lane, verb, items, n, until_ns);
}

static void
up_at(struct bed *b, uint16_t port)
{
	char url[64];
	snprintf(url, sizeof(url), "lm://127.0.0.1:%u", port);
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_LMCACHE);
	bed_up(b, &opts);
}

START_TEST(a_deadline_in_the_past_moves_nothing)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	for (int verb = 0; verb < KVR_VERB_N; verb++) {
		struct load l = load_new(2, 100);
		uint32_t n = verb == KVR_VERB_PING ? 0 : 2;
		struct bed b;
		lm_up(&b, server);
		ck_assert_int_eq(run_until(&b, (enum kvr_verb)verb, l.items, n, kvr_now_ns() - 1),
		    KVR_E_TIMEOUT);
		for (uint32_t i = 0; i < n; i++)
			ck_assert_int_eq(kvr_item_status(&l.items[i]), KVR_PENDING);
		ck_assert_str_ne(b.ops->why(b.lane), "");
		load_free(&l);
		bed_down(&b);
	}
	ck_assert_uint_eq(kvr_lm_server_count(server).requests, KVR_VERB_N);
	lm_stop(server);
}
END_TEST

/* ---- puts that break off ---- */

struct kicker {
	struct bed           *bed;
	struct kvr_lm_server *server;
};

static void *
kick_main(void *arg)
{
	struct kicker *k = arg;
	kvr_lm_server_wait_held(k->server);
	bed_kick(k->bed);
	return NULL;
}

/* Nothing of it is left, and the connection ended so that nothing could be. */
static void
expect_no_trace(struct kvr_lm_server *server, struct kvr_item *item, uint32_t over)
{
	struct bed b;
	kvr_lm_server_hold_at(server, UINT64_MAX);
	kvr_lm_server_let_go(server);
	kvr_lm_server_wait_over(server, over);
	ck_assert_uint_eq(kvr_lm_server_count(server).broken, 0);
	ck_assert_uint_eq(kvr_lm_server_count(server).resets, over);
	lm_up(&b, server);
	bed_ok(&b, KVR_VERB_EXISTS, item, 1);
	bed_status(item, KVR_E_MISS);
	bed_down(&b);
}

START_TEST(a_put_that_is_cancelled_leaves_nothing)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(1, 64 << 20);
	struct bed b;
	struct kicker k = { &b, server };
	pthread_t thread;
	lm_up(&b, server);
	kvr_lm_server_hold_at(server, 1 << 20);
	ck_assert_int_eq(pthread_create(&thread, NULL, kick_main, &k), 0);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_PUT, l.items, 1), KVR_E_CANCELLED);
	pthread_join(thread, NULL);
	ck_assert_int_eq(kvr_item_status(&l.items[0]), KVR_PENDING);
	bed_down(&b);
	expect_no_trace(server, l.items, 1);
	load_free(&l);
	lm_stop(server);
}
END_TEST

START_TEST(a_put_that_is_late_leaves_nothing)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(1, 64 << 20);
	struct bed b;
	lm_up(&b, server);
	kvr_lm_server_hold_at(server, 1 << 20);
	/* So long that it has begun by then, on any machine: else there is nothing to reset. */
	uint64_t until_ns = bed_in(KVR_SEC(1));
	ck_assert_int_eq(run_until(&b, KVR_VERB_PUT, l.items, 1, until_ns), KVR_E_TIMEOUT);
	ck_assert_uint_lt(kvr_now_ns(), until_ns + SLACK);
	ck_assert_int_eq(kvr_item_status(&l.items[0]), KVR_PENDING);
	bed_down(&b);
	expect_no_trace(server, l.items, 1);
	load_free(&l);
	lm_stop(server);
}
END_TEST

START_TEST(a_process_that_is_killed_in_a_put_leaves_nothing)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(1, 64 << 20);
	kvr_lm_server_hold_at(server, 1 << 20);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct bed b;
		lm_up(&b, server);
		(void)bed_run(&b, KVR_VERB_PUT, l.items, 1);
		_exit(0);
	}
	kvr_lm_server_wait_held(server);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	expect_no_trace(server, l.items, 1);
	load_free(&l);
	lm_stop(server);
}
END_TEST

/* By LMCache's own client, say: it does not reset. */
static void
leave_a_broken_value(struct kvr_lm_server *server, const struct kvr_item *item)
{
	uint8_t ask[186] = { 1 };
	uint32_t over = kvr_lm_server_count(server).connections;
	int fd = lm_raw(server);
	ask[5] = 1; /* 256 bytes */
	ask[8] = 4;
	ask[20 + 1] = 1;
	memset(ask + 36, ' ', 150);
	memcpy(ask + 36, item->key, item->key_len);
	lm_raw_send(fd, ask, sizeof(ask));
	lm_raw_send(fd, "not all of it", 13);
	close(fd);
	kvr_lm_server_wait_over(server, over + 1);
	ck_assert_uint_eq(kvr_lm_server_count(server).broken, 1);
}

START_TEST(a_value_that_somebody_broke_off_is_blamed_on_its_key)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(3, 256);
	struct bed b;
	leave_a_broken_value(server, &l.items[1]);
	lm_up(&b, server);
	bed_ok(&b, KVR_VERB_PUT, &l.items[0], 1);
	bed_ok(&b, KVR_VERB_PUT, &l.items[2], 1);
	load_wipe(&l);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_GET, l.items, 3), KVR_E_DOWN);
	bed_status(&l.items[0], KVR_OK);
	ck_assert(load_same(&l, 0));
	bed_status(&l.items[1], KVR_E_CORRUPT);
	ck_assert_int_eq(kvr_item_status(&l.items[2]), KVR_PENDING);
	bed_down(&b);
	lm_up(&b, server);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_STAT, l.items, 3), KVR_E_DOWN);
	bed_status(&l.items[0], KVR_OK);
	bed_status(&l.items[1], KVR_E_CORRUPT);
	ck_assert_int_eq(kvr_item_status(&l.items[2]), KVR_PENDING);
	bed_down(&b);
	/* The next put heals it. */
	load_fill(&l);
	lm_up(&b, server);
	bed_ok(&b, KVR_VERB_PUT, l.items, 3);
	load_wipe(&l);
	bed_ok(&b, KVR_VERB_GET, l.items, 3);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(load_same(&l, i));
	bed_down(&b);
	load_free(&l);
	lm_stop(server);
}
END_TEST

/* ---- answers that are cut, late or wrong ---- */

static uint16_t
port_of(const struct kvr_fault_proxy *proxy)
{
	return (uint16_t)atoi(strrchr(kvr_fault_proxy_url(proxy), ':') + 1);
}

START_TEST(an_answer_that_is_cut_anywhere_is_no_hit)
{
	enum { LEN = 50, DIALED = TELL };
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_fault_proxy *proxy = kvr_fault_proxy_start(kvr_lm_server_port(server));
	struct load l = load_new(2, LEN);
	struct bed b;
	lm_up(&b, server);
	bed_ok(&b, KVR_VERB_PUT, l.items, 2);
	bed_down(&b);
	for (uint64_t at = 0; at <= 2 * (TELL + LEN); at += at % 7 + 1) {
		load_wipe(&l);
		kvr_fault_proxy_cut_at(proxy, DIALED + at);
		up_at(&b, port_of(proxy));
		enum kvr_err err = bed_run(&b, KVR_VERB_GET, l.items, 2);
		bool all = at >= 2 * (TELL + LEN);
		ck_assert_int_eq(err, all ? KVR_OK : KVR_E_DOWN);
		for (uint32_t i = 0; i < 2; i++) {
			bool in = at >= (i + 1) * (TELL + LEN);
			int32_t status = kvr_item_status(&l.items[i]);
			ck_assert_int_eq(status == KVR_OK, in);
			ck_assert(!in || load_same(&l, i));
			/* Blamed only where the value broke off before its first byte. */
			ck_assert_int_eq(
			    status == KVR_E_CORRUPT, at == i * (TELL + LEN) + TELL);
		}
		bed_down(&b);
	}
	load_free(&l);
	kvr_fault_proxy_stop(proxy);
	lm_stop(server);
}
END_TEST

START_TEST(a_server_that_stands_still_costs_no_more_than_the_deadline)
{
#define STANDS_STILL HELLO, { KVR_PEER_STALL, NULL, 0 }
	static const struct kvr_peer_act acts[] = { STANDS_STILL, STANDS_STILL, STANDS_STILL,
		STANDS_STILL, STANDS_STILL, STANDS_STILL, STANDS_STILL, STANDS_STILL,
		{ KVR_PEER_STALL, NULL, 0 } };
	static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_GET, KVR_VERB_PUT,
		KVR_VERB_STAT };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct load l = load_new(2, 4 << 20);
	struct bed b;
	char url[64];
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		up_at(&b, kvr_peer_port(peer));
		uint64_t until_ns = bed_in(KVR_MS(100));
		ck_assert_int_eq(run_until(&b, verbs[i], l.items, 2, until_ns), KVR_E_TIMEOUT);
		ck_assert_uint_ge(kvr_now_ns(), until_ns);
		ck_assert_uint_lt(kvr_now_ns(), until_ns + SLACK);
		bed_down(&b);
	}
	/* It does not hold a lane until a far deadline, whatever it is asked for. */
	for (size_t i = 0; i < KVR_LEN(verbs); i++) {
		up_at(&b, kvr_peer_port(peer));
		b.store->connect_ns = KVR_MS(100);
		ck_assert_int_eq(run_until(&b, verbs[i], l.items, 2, bed_in(BED_LONG)), KVR_E_DOWN);
		ck_assert_msg(strstr(b.ops->why(b.lane), "silent for 100 ms") != NULL, "%s",
		    b.ops->why(b.lane));
		bed_down(&b);
	}
	/* A dial has its own limit, and a server that does not answer is down. */
	snprintf(url, sizeof(url), "lm://127.0.0.1:%u", kvr_peer_port(peer));
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_LMCACHE);
	opts.connect_ns = KVR_MS(100);
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(b.why, url));
	ck_assert_ptr_nonnull(strstr(b.why, "HEALTH: no answer"));
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(peer);
}
END_TEST

static void
answered_with(const char *tell, size_t len, enum kvr_verb verb, enum kvr_err want, const char *say)
{
	const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "m@1@0@0@half   ", 0 },
		{ KVR_PEER_SEND, tell, len }, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct load l = load_new(1, 4);
	struct bed b;
	up_at(&b, kvr_peer_port(peer));
	ck_assert_int_eq(bed_run(&b, verb, l.items, 1), want);
	ck_assert_int_eq(kvr_item_status(&l.items[0]), KVR_PENDING);
	ck_assert_msg(strstr(b.ops->why(b.lane), say) != NULL, "\"%s\" does not say %s",
	    b.ops->why(b.lane), say);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(peer);
}

START_TEST(what_is_no_answer_ends_the_connection_at_once)
{
	answered_with("HTTP/1.1 400 Bad Request\r\n\r\n", 28, KVR_VERB_GET, KVR_E_PROTO, "200");
	answered_with("\0\0\0\0", 4, KVR_VERB_EXISTS, KVR_E_PROTO, "200");
	answered_with("\xc8\0\0\1", 4, KVR_VERB_EXISTS, KVR_E_PROTO, "200");
	answered_with(YES "\xff\xff\xff\xff" "\1\0\0\0\2\0\0\0" NO_PAYLOAD, TELL, KVR_VERB_GET,
	    KVR_E_PROTO, "-1 payload");
}
END_TEST

START_TEST(bytes_that_nobody_asked_for_end_the_connection)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "m@1@0@0@half   ", 0 },
		{ KVR_PEER_SEND, YES NO_PAYLOAD YES NO_PAYLOAD, 2 * TELL },
		{ KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct load l = load_new(1, 4);
	struct bed b;
	up_at(&b, kvr_peer_port(peer));
	bed_ok(&b, KVR_VERB_EXISTS, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_EXISTS, l.items, 1), KVR_E_PROTO);
	ck_assert_ptr_nonnull(strstr(b.ops->why(b.lane), "nobody asked"));
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(peer);
}
END_TEST

START_TEST(errors_of_single_keys_keep_the_stream_in_step)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(6, 300000);
	struct bed b;
	lm_up(&b, server);
	l.metas[3] = (struct kvr_meta){ .memfmt = KVR_MEMFMT_KV_2LTD, .n_groups = 1,
		.group = { { .dtype = KVR_DTYPE_UINT8, .n_dims = 1, .dim = { 300000 } } } };
	bed_ok(&b, KVR_VERB_PUT, &l.items[1], 5);
	load_wipe(&l);
	l.items[2].span.len--;
	l.metas[3].group[0].dtype = KVR_DTYPE_BFLOAT16;
	l.items[4].span.len = 0;
	bed_ok(&b, KVR_VERB_GET, l.items, 6);
	bed_status(&l.items[0], KVR_E_MISS);
	bed_status(&l.items[1], KVR_OK);
	bed_status(&l.items[2], KVR_E_LENGTH);
	bed_status(&l.items[3], KVR_E_IDENTITY);
	bed_status(&l.items[4], KVR_E_LENGTH);
	bed_status(&l.items[5], KVR_OK);
	ck_assert(load_same(&l, 1) && load_same(&l, 5));
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	bed_down(&b);
	load_free(&l);
	lm_stop(server);
}
END_TEST

START_TEST(a_header_that_means_nothing_costs_its_key_only)
{
	/* dtype 99, 4 bytes of payload; then a plain no. */
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "m@1@0@1@half   ", 0 },
		{ KVR_PEER_SEND, YES "\4\0\0\0" "\1\0\0\0" "\x63\0\0\0"
		                     "\1\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0" "\0\0\0\0" "abcd"
		                     "\x90\1\0\0" NO_PAYLOAD, TELL + 4 + TELL },
		{ KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct load l = load_new(2, 4);
	struct bed b;
	up_at(&b, kvr_peer_port(peer));
	bed_ok(&b, KVR_VERB_GET, l.items, 2);
	bed_status(&l.items[0], KVR_E_CORRUPT);
	bed_status(&l.items[1], KVR_E_MISS);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(peer);
}
END_TEST

KVR_CHECK_MAIN("connectors.lm_faults", a_deadline_in_the_past_moves_nothing,
    a_put_that_is_cancelled_leaves_nothing, a_put_that_is_late_leaves_nothing,
    a_process_that_is_killed_in_a_put_leaves_nothing,
    a_value_that_somebody_broke_off_is_blamed_on_its_key, an_answer_that_is_cut_anywhere_is_no_hit,
    a_server_that_stands_still_costs_no_more_than_the_deadline,
    what_is_no_answer_ends_the_connection_at_once, bytes_that_nobody_asked_for_end_the_connection,
    errors_of_single_keys_keep_the_stream_in_step, a_header_that_means_nothing_costs_its_key_only)
