/* SPDX-License-Identifier: Apache-2.0 */
/* Long values come in pieces, and nobody gets half of one value and half of another. */
#include <pthread.h>
#include <stdlib.h>

#include "kvr_fault_proxy.h"
#include "kvr_peer.h"
#include "kvr_redis.h"
#include "kvr_redis_bed.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

enum { LEN = 40 << 20, PIECES = 10, HELD_AT = 6 << 20 };

static const uint32_t formats[] = { KVR_FORMAT_BARE, KVR_FORMAT_LMCACHE, KVR_FORMAT_SEALED };

/* The name that has the payload of load_new's first key. */
static const char *
name_of(uint32_t format)
{
	return format == KVR_FORMAT_SEALED    ? "m@1@0@0@half@kvr%1"
	       : format == KVR_FORMAT_LMCACHE ? "m@1@0@0@halfkv_bytes"
	                                      : "m@1@0@0@half";
}

/* How often the server has run that command since CONFIG RESETSTAT. */
static long
calls(struct kvr_raw *raw, const char *command)
{
	char text[40];
	snprintf(text, sizeof(text), "cmdstat_%s:calls=", command);
	const char *at = strstr((const char *)kvr_raw(raw, "INFO commandstats").bytes, text);
	return at == NULL ? 0 : strtol(at + strlen(text), NULL, 10);
}

static void
command(struct kvr_raw *raw, const char *verb, const char *a, const char *b)
{
	char line[200];
	snprintf(line, sizeof(line), "%s %s %s", verb, a, b);
	ck_assert_int_ne(kvr_raw(raw, line).kind, '-');
}

struct overwrite {
	struct kvr_fault_proxy *proxy;
	struct kvr_raw *raw;
	const char *name, *copy; /* copy: key of another value; NULL: delete */
};

static void *
overwrite_main(void *arg)
{
	struct overwrite *o = arg;
	char line[200];
	kvr_fault_proxy_wait_held(o->proxy);
	if (o->copy != NULL)
		snprintf(line, sizeof(line), "COPY %s %s REPLACE", o->copy, o->name);
	else
		snprintf(line, sizeof(line), "DEL %s", o->name);
	ck_assert_int_eq(kvr_raw(o->raw, line).n, 1);
	kvr_fault_proxy_let_go(o->proxy);
	return NULL;
}

/*
 * Another value of the same key takes the place of the one whose first pieces are read already.
 * "same" is as long and all 7, "shorter" ends 5 bytes before.
 */
static void
overwritten(uint32_t format, const char *options, const char *copy, int32_t want)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_fault_proxy *proxy = kvr_fault_proxy_start(server->port);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct overwrite o = { proxy, raw, name_of(format), copy };
	struct load l = load_new(1, LEN);
	struct bed b;
	pthread_t thread;
	char url[100];
	snprintf(url, sizeof(url), "%s%s", kvr_fault_proxy_url(proxy), options);
	struct kvr_store_opts opts = bed_opts(url, format);
	bed_up(&b, &opts);
	memset(l.bytes, 7, l.len);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	command(raw, "RENAME", o.name, "same");
	l.items[0].span.len -= 5;
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	command(raw, "RENAME", o.name, "shorter");
	l.items[0].span.len += 5;
	load_fill(&l);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	bed_down(&b);
	kvr_fault_proxy_hold_at(proxy, HELD_AT);
	bed_up(&b, &opts);
	ck_assert_int_eq(pthread_create(&thread, NULL, overwrite_main, &o), 0);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	pthread_join(thread, NULL);
	bed_status(&l.items[0], want);
	for (size_t i = 0; want == KVR_OK && i < LEN; i += 4096)
		ck_assert_uint_eq(l.bytes[i], 7);
	/* In step, and no longer watching. */
	load_fill(&l);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(raw);
	kvr_fault_proxy_stop(proxy);
	kvr_redis_server_stop(server);
}

START_TEST(an_overwrite_between_pieces_breaks_the_seal)
{
	overwritten(KVR_FORMAT_SEALED, "", "same", KVR_E_CORRUPT);
	overwritten(KVR_FORMAT_SEALED, "", "shorter", KVR_E_CORRUPT);
	overwritten(KVR_FORMAT_SEALED, "", NULL, KVR_E_MISS);
}
END_TEST

START_TEST(without_a_seal_what_was_overwritten_is_read_again)
{
	static const char *const options[] = { "", "?protocol=3" };
	for (size_t i = 0; i < KVR_LEN(options); i++) {
		overwritten(KVR_FORMAT_BARE, options[i], "same", KVR_OK);
		overwritten(KVR_FORMAT_BARE, options[i], "shorter", KVR_E_LENGTH);
		overwritten(KVR_FORMAT_BARE, options[i], NULL, KVR_E_MISS);
	}
	overwritten(KVR_FORMAT_LMCACHE, "", "same", KVR_OK);
	overwritten(KVR_FORMAT_LMCACHE, "", "shorter", KVR_E_LENGTH);
	overwritten(KVR_FORMAT_LMCACHE, "", NULL, KVR_E_MISS);
}
END_TEST

struct writer {
	struct kvr_redis_server *server;
	_Atomic bool over;
};

enum { WRITTEN = 9 << 20 };

static void *
write_main(void *arg)
{
	struct writer *w = arg;
	struct kvr_raw *raw = kvr_raw_open(w->server->port, NULL);
	uint8_t *value = malloc(WRITTEN);
	ck_assert_ptr_nonnull(value);
	for (int i = 0; !atomic_load(&w->over); i++) {
		memset(value, i, WRITTEN);
		kvr_raw_set(raw, name_of(KVR_FORMAT_BARE), value, WRITTEN);
	}
	free(value);
	kvr_raw_close(raw);
	return NULL;
}

START_TEST(a_value_that_is_written_all_the_time_is_never_mixed)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct writer w = { .server = server };
	struct load l = load_new(1, WRITTEN);
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_BARE);
	struct bed b;
	pthread_t thread;
	bed_up(&b, &opts);
	memset(l.bytes, 0, WRITTEN);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_main, &w), 0);
	for (int i = 0; i < KVR_ROUNDS(40); i++) {
		bed_ok(&b, KVR_VERB_GET, l.items, 1);
		bed_status(&l.items[0], KVR_OK);
		ck_assert_int_eq(memcmp(l.bytes, l.bytes + 1, WRITTEN - 1), 0);
	}
	atomic_store(&w.over, true);
	pthread_join(thread, NULL);
	bed_down(&b);
	load_free(&l);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(long_values_come_in_pieces_and_others_whole)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		uint32_t per_key = formats[f] == KVR_FORMAT_LMCACHE ? 2 : 1; /* GETs */
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		struct load large = load_new(3, 9 << 20), small = load_new(3, 3 << 20);
		struct bed b;
		bed_up(&b, &opts);
		bed_ok(&b, KVR_VERB_PUT, large.items, large.n);
		command(raw, "CONFIG", "RESETSTAT", "");
		load_get(&b, &large);
		ck_assert_int_eq(calls(raw, "getrange"), 3 * large.n);
		ck_assert_int_eq(calls(raw, "get"), (per_key - 1) * large.n);
		bed_ok(&b, KVR_VERB_PUT, small.items, small.n);
		command(raw, "CONFIG", "RESETSTAT", "");
		load_get(&b, &small);
		ck_assert_int_eq(calls(raw, "getrange"), 0);
		ck_assert_int_eq(calls(raw, "get"), per_key * small.n);
		/* There is none, or one of the wrong length. */
		bed_ok(&b, KVR_VERB_DEL, &large.items[1], 1);
		bed_ok(&b, KVR_VERB_GET, large.items, large.n);
		bed_status(&large.items[0], KVR_E_LENGTH);
		bed_status(&large.items[1], KVR_E_MISS);
		bed_down(&b);
		load_free(&large);
		load_free(&small);
		command(raw, "FLUSHALL", "", "");
	}
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

/* Their window has room for two requests, so the second has left before the first is answered. */
START_TEST(no_more_pieces_are_asked_for_than_there_are)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		struct load l = load_new(3, LEN);
		struct bed b;
		opts.window_bytes = 1;
		bed_up(&b, &opts);
		for (uint32_t i = 0; i < l.n; i++)
			l.items[i].span.len = i == 1 ? 9 << 20 : 1000;
		bed_ok(&b, KVR_VERB_PUT, l.items, 2);
		for (uint32_t i = 0; i < l.n; i++) {
			l.items[i].span.len = LEN;
			l.items[i].flags |= KVR_ITEM_AT_MOST;
		}
		command(raw, "CONFIG", "RESETSTAT", "");
		bed_ok(&b, KVR_VERB_GET, l.items, l.n);
		bed_status(&l.items[0], KVR_OK);
		ck_assert_uint_eq(l.items[0].len, 1000);
		bed_status(&l.items[1], KVR_OK);
		ck_assert_uint_eq(l.items[1].len, 9 << 20);
		bed_status(&l.items[2], KVR_E_MISS);
		/* LMCache's header has said that the third is not there. */
		ck_assert_int_eq(calls(raw, "getrange"), formats[f] == KVR_FORMAT_LMCACHE ? 5 : 7);
		bed_down(&b);
		load_free(&l);
		command(raw, "FLUSHALL", "", "");
	}
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

/* Without a right the first value is read twice, those of the next minute once. */
static void
without(struct kvr_redis_server *server, const char *right)
{
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct load l = load_new(2, 9 << 20);
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_BARE);
	struct bed b;
	char line[100];
	snprintf(line, sizeof(line), "ACL SETUSER half on >pw ~* &* +@all -%s", right);
	ck_assert_int_eq(kvr_raw(raw, line).kind, '+');
	opts.user = "half";
	opts.password = "pw";
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	command(raw, "CONFIG", "RESETSTAT", "");
	load_get(&b, &l);
	ck_assert_int_eq(calls(raw, "getrange"), 0);
	ck_assert_int_eq(calls(raw, "get"), l.n);
	/* Meanwhile it was allowed, and the minute is over. */
	ck_assert_int_eq(kvr_raw(raw, "ACL SETUSER half +@all").kind, '+');
	ck_assert_uint_gt(atomic_load(&b.store->no_watch_until_ns), kvr_now_ns());
	atomic_store(&b.store->no_watch_until_ns, kvr_now_ns());
	command(raw, "CONFIG", "RESETSTAT", "");
	load_get(&b, &l);
	ck_assert_int_eq(calls(raw, "get"), 0);
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(raw);
}

START_TEST(a_user_who_may_not_watch_reads_whole_values)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	without(server, "watch");
	without(server, "multi");
	without(server, "exec");
	kvr_redis_server_stop(server);
}
END_TEST

#define HELLO { KVR_PEER_AWAIT, "PING\r\n", 0 }, { KVR_PEER_SEND, "+PONG\r\n", 0 }
#define PIECE(len)                                                                                 \
	{ KVR_PEER_AWAIT, "GETRANGE", 0 }, { KVR_PEER_SEND, "$" #len "\r\n", 0 },                  \
	    { KVR_PEER_FILL, "x", len }, { KVR_PEER_SEND, "\r\n", 0 }

/* The next connection, and any other of the store, reads whole values for a while. */
START_TEST(a_proxy_that_hangs_up_at_a_watch_is_not_asked_again)
{
	static const struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "WATCH", 0 },
		{ KVR_PEER_CLOSE, NULL, 0 }, HELLO, { KVR_PEER_AWAIT, "*2\r\n$3\r\nGET\r\n", 0 },
		{ KVR_PEER_SEND, "$8388608\r\n", 0 }, { KVR_PEER_FILL, "x", 8388608 },
		{ KVR_PEER_SEND, "\r\n", 0 }, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
	struct load l = load_new(1, 8 << 20);
	struct bed b;
	bed_up(&b, &opts);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_GET, l.items, 1), KVR_E_DOWN);
	kvr_redis_ops.hang_up(b.lane);
	ck_assert_int_eq(kvr_redis_ops.dial(
	                     b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why, sizeof(b.why)),
	    KVR_OK);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	bed_down(&b);
	load_free(&l);
	kvr_peer_stop(peer);
}
END_TEST

/* The last is understood, but the transaction stays open. */
START_TEST(what_no_server_answers_to_exec_ends_the_connection)
{
	static const struct {
		const char *bytes;
		enum kvr_err err;
	} answers[] = { { "*1\r\n+OK\r\n", KVR_E_PROTO }, { ":1\r\n", KVR_E_PROTO },
		{ "+OK\r\n", KVR_E_PROTO }, { "$1\r\nx\r\n", KVR_E_PROTO },
		{ "-ERR no\r\n", KVR_E_DOWN } };
	for (size_t i = 0; i < KVR_LEN(answers); i++) {
		struct kvr_peer_act acts[] = { HELLO, { KVR_PEER_AWAIT, "STRLEN", 0 },
			{ KVR_PEER_SEND, "+OK\r\n:8388608\r\n", 0 }, PIECE(4194304), PIECE(4194304),
			{ KVR_PEER_AWAIT, "EXEC\r\n", 0 }, { KVR_PEER_SEND, "+OK\r\n", 0 },
			{ KVR_PEER_SEND, answers[i].bytes, 0 }, { KVR_PEER_STALL, NULL, 0 } };
		struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
		struct kvr_store_opts opts = bed_opts(kvr_peer_url(peer), KVR_FORMAT_BARE);
		struct load l = load_new(1, 8 << 20);
		struct bed b;
		bed_up(&b, &opts);
		ck_assert_int_eq(bed_run(&b, KVR_VERB_GET, l.items, 1), answers[i].err);
		bed_status(&l.items[0], KVR_PENDING);
		bed_down(&b);
		load_free(&l);
		kvr_peer_stop(peer);
	}
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_pieces", an_overwrite_between_pieces_breaks_the_seal,
    without_a_seal_what_was_overwritten_is_read_again,
    a_value_that_is_written_all_the_time_is_never_mixed, long_values_come_in_pieces_and_others_whole,
    no_more_pieces_are_asked_for_than_there_are,
    a_user_who_may_not_watch_reads_whole_values,
    a_proxy_that_hangs_up_at_a_watch_is_not_asked_again,
    what_no_server_answers_to_exec_ends_the_connection)
