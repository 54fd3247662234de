/* SPDX-License-Identifier: Apache-2.0 */
/* valkey:// and resp://: the names and words in which they differ from redis://. */
#include "kvr_golden_chunk.h"
#include "kvr_peer.h"
#include "kvr_redis_bed.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static void
up(struct bed *b, const struct kvr_redis_server *server, const char *scheme, uint32_t format)
{
	char url[64];
	snprintf(url, sizeof(url), "%s://127.0.0.1:%u", scheme, server->port);
	struct kvr_store_opts opts = bed_opts(url, format);
	bed_up(b, &opts);
}

static void
expect_value(struct kvr_raw *raw, const char *key, const char *tail, const void *want, size_t len)
{
	char name[600];
	snprintf(name, sizeof(name), "%s%s", key, tail);
	struct kvr_raw_reply got = kvr_raw_get(raw, name);
	ck_assert_msg(got.kind == '$', "%s is not there", name);
	ck_assert_uint_eq(got.len, len);
	ck_assert_mem_eq(got.bytes, want, len);
}

/* The header that LMCache keeps with a golden chunk: the same for every store. */
static uint8_t *
head_of(const struct kvr_golden *entry, const char *key, size_t *ret_len)
{
	char name[600];
	snprintf(name, sizeof(name), "%smetadata", key);
	return kvr_golden_hex_of(
	    kvr_golden_get(kvr_golden_get(entry, "redis"), name), "value_hex", ret_len);
}

START_TEST(lmcache_is_two_names_with_colons)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_golden *golden = kvr_golden_open("redis_layout.json");
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed b;
	int64_t n = 0;
	up(&b, server, "valkey", KVR_FORMAT_LMCACHE);
	KVR_GOLDEN_EACH(entry, kvr_golden_get(golden, "entries")) {
		struct chunk c = chunk_of(entry);
		struct kvr_meta found = { 0 };
		size_t head_len = 0;
		uint8_t *head = head_of(entry, c.item.key, &head_len);
		uint8_t *room = calloc(1, c.len);
		c.item.meta = &c.meta;
		bed_ok(&b, KVR_VERB_PUT, &c.item, 1);
		bed_status(&c.item, KVR_OK);
		expect_value(raw, c.item.key, ":metadata", head, head_len);
		expect_value(raw, c.item.key, ":kv_bytes", c.payload, c.len);
		c.item.meta = &found;
		c.item.span = (struct kvr_span){ room, c.len };
		bed_ok(&b, KVR_VERB_GET, &c.item, 1);
		bed_status(&c.item, KVR_OK);
		ck_assert_mem_eq(room, c.payload, c.len);
		ck_assert(kvr_meta_same(&found, &c.expected));
		free(head);
		free(room);
		free(c.payload);
		n++;
	}
	ck_assert_int_ge(n, 8);
	ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n, 2 * n);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_golden_close(golden);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_header_without_payload_is_a_miss_and_stays)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct load l = load_new(1, 1000);
	struct bed b;
	up(&b, server, "valkey", KVR_FORMAT_LMCACHE);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	ck_assert_int_eq(kvr_raw(raw, "DEL m@1@0@0@half:kv_bytes").n, 1);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_E_MISS);
	ck_assert_int_eq(kvr_raw(raw, "EXISTS m@1@0@0@half:metadata").n, 1);
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(bare_is_the_key_itself_and_the_same_for_both)
{
	static const char *const schemes[] = { "valkey", "resp", "redis" };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	for (size_t w = 0; w < KVR_LEN(schemes); w++) {
		struct load l = load_new(3, 5000);
		struct bed b;
		up(&b, server, schemes[w], KVR_FORMAT_BARE);
		bed_ok(&b, KVR_VERB_PUT, l.items, 3);
		bed_down(&b);
		expect_value(raw, "m@1@0@1@half", "", l.items[1].span.at, 5000);
		for (size_t r = 0; r < KVR_LEN(schemes); r++) {
			load_wipe(&l);
			up(&b, server, schemes[r], KVR_FORMAT_BARE);
			bed_ok(&b, KVR_VERB_GET, l.items, 3);
			for (uint32_t i = 0; i < 3; i++)
				ck_assert(load_same(&l, i));
			bed_down(&b);
		}
		ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n, 3);
		ck_assert_int_eq(kvr_raw(raw, "FLUSHALL").kind, '+');
		load_free(&l);
	}
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(layouts_do_not_take_each_others_values)
{
	static const struct {
		const char *scheme;
		uint32_t    format;
	} tiers[] = { { "redis", KVR_FORMAT_LMCACHE }, { "valkey", KVR_FORMAT_LMCACHE },
		{ "valkey", KVR_FORMAT_BARE }, { "valkey", KVR_FORMAT_SEALED } };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct load l = load_new(1, 100);
	for (size_t w = 0; w < KVR_LEN(tiers); w++) {
		struct bed b;
		up(&b, server, tiers[w].scheme, tiers[w].format);
		bed_ok(&b, KVR_VERB_PUT, l.items, 1);
		bed_down(&b);
		for (size_t r = 0; r < KVR_LEN(tiers); r++) {
			up(&b, server, tiers[r].scheme, tiers[r].format);
			bed_ok(&b, KVR_VERB_EXISTS, l.items, 1);
			bed_status(&l.items[0], r == w ? KVR_OK : KVR_E_MISS);
			bed_ok(&b, KVR_VERB_GET, l.items, 1);
			bed_status(&l.items[0], r == w ? KVR_OK : KVR_E_MISS);
			bed_down(&b);
		}
		ck_assert_int_eq(kvr_raw(raw, "FLUSHALL").kind, '+');
	}
	load_free(&l);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_time_to_live_is_in_whole_seconds)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *monitor = kvr_raw_open(server->port, NULL);
	struct load l = load_new(1, 10);
	struct bed b;
	char url[64];
	snprintf(url, sizeof(url), "valkey://127.0.0.1:%u/2", server->port);
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	opts.ttl_ms = 86399001;
	bed_up(&b, &opts);
	ck_assert_int_eq(kvr_raw(monitor, "MONITOR").kind, '+');
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	struct kvr_raw_reply line = kvr_raw_more(monitor);
	ck_assert_ptr_nonnull(strstr((const char *)line.bytes, "[2 127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr((const char *)line.bytes, "\"EX\" \"86400\""));
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(monitor);
	kvr_redis_server_stop(server);
}
END_TEST

static void
refused(const struct kvr_connector_ops *ops, struct kvr_store_opts opts, const char *url,
    const char *say)
{
	struct kvr_store *store = NULL;
	char why[256] = "";
	opts.url = url;
	ck_assert_int_eq(ops->open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(why, say) != NULL, "%s: \"%s\" does not say %s", url, why, say);
}

START_TEST(what_a_store_cannot_is_refused_by_name)
{
	struct kvr_store_opts opts = bed_opts("", KVR_FORMAT_BARE);
	refused(&kvr_resp_ops, opts, "resp://h:1/2", "databases");
	refused(&kvr_resp_ops, opts, "resp://h:1?db=2", "db");
	refused(&kvr_resp_ops, opts, "resp://a:1,b:1", "resp: takes one host");
	refused(&kvr_resp_ops, opts, "redis://h:1", "scheme");
	refused(&kvr_valkey_ops, opts, "valkey://a:1,b:1", "valkey: takes one host");
	refused(&kvr_valkey_ops, opts, "valkey://h/x", "database");
	refused(&kvr_valkey_ops, opts, "unix:///x", "scheme");
	refused(&kvr_redis_ops, opts, "valkey://h", "scheme");
	opts.ttl_ms = 1000;
	refused(&kvr_resp_ops, opts, "resp://h:1", "expire");
	opts = bed_opts("", KVR_FORMAT_LMCACHE);
	refused(&kvr_resp_ops, opts, "resp://h:1", "format");
	opts.format = KVR_FORMAT_SEALED;
	refused(&kvr_resp_ops, opts, "resp://h:1", "format");
}
END_TEST

static void
sign_in(const char *url, const char *user, const char *password, enum kvr_err want)
{
	struct bed b;
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	opts.user = user;
	opts.password = password;
	enum kvr_err err = bed_try(&b, &opts, bed_in(BED_LONG));
	ck_assert_msg(
	    err == want, "%s instead of %s: %s", kvr_err_name(err), kvr_err_name(want), b.why);
	ck_assert_ptr_null(strstr(b.why, "secret"));
	bed_down(&b);
}

START_TEST(signing_in_works_as_it_does_for_redis)
{
	static const char *const schemes[] = { "resp", "valkey" };
	struct kvr_redis_server *server = kvr_redis_server_start("secret", NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, "secret");
	char url[96];
	ck_assert_int_eq(kvr_raw(raw, "ACL SETUSER kv on >token ~* +@all").kind, '+');
	for (size_t i = 0; i < KVR_LEN(schemes); i++) {
		snprintf(url, sizeof(url), "%s://127.0.0.1:%u", schemes[i], server->port);
		sign_in(url, NULL, NULL, KVR_E_AUTH);
		sign_in(url, NULL, "wrong", KVR_E_AUTH);
		sign_in(url, NULL, "secret", KVR_OK);
		sign_in(url, "kv", "token", KVR_OK);
		sign_in(url, "kv", "secret", KVR_E_AUTH);
		snprintf(url, sizeof(url), "%s://kv:token@127.0.0.1:%u", schemes[i], server->port);
		sign_in(url, NULL, NULL, KVR_OK);
	}
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

/* Word for word what LMCache's native client sends. */
START_TEST(resp_says_what_lmcaches_client_says)
{
#define KEY "$38\r\nfacebook/opt-125m@1@0@75bcd15@bfloat16\r\n"
	static const struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, "+PONG\r\n", 0 },
		{ KVR_PEER_AWAIT, "*2\r\n$6\r\nEXISTS\r\n" KEY, 0 }, { KVR_PEER_SEND, ":0\r\n", 0 },
		{ KVR_PEER_AWAIT, "*3\r\n$3\r\nSET\r\n" KEY "$5\r\nhello\r\n", 0 },
		{ KVR_PEER_SEND, "+OK\r\n", 0 }, { KVR_PEER_AWAIT, "*2\r\n$3\r\nGET\r\n" KEY, 0 },
		{ KVR_PEER_SEND, "$5\r\nhallo\r\n", 0 },
		{ KVR_PEER_AWAIT, "*2\r\n$3\r\nGET\r\n" KEY, 0 }, { KVR_PEER_SEND, "$-1\r\n", 0 } };
#undef KEY
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct kvr_meta meta = { 0 };
	char hello[5] = { 'h', 'e', 'l', 'l', 'o' };
	struct kvr_item item = { .key = "facebook/opt-125m@1@0@75bcd15@bfloat16", .key_len = 38,
		.meta = &meta, .span = { hello, 5 } };
	struct bed b;
	char url[64];
	snprintf(url, sizeof(url), "resp://127.0.0.1:%u", kvr_peer_port(peer));
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_EXISTS, &item, 1);
	bed_status(&item, KVR_E_MISS);
	bed_ok(&b, KVR_VERB_PUT, &item, 1);
	bed_status(&item, KVR_OK);
	bed_ok(&b, KVR_VERB_GET, &item, 1);
	bed_status(&item, KVR_OK);
	ck_assert_mem_eq(hello, "hallo", 5);
	bed_ok(&b, KVR_VERB_GET, &item, 1);
	bed_status(&item, KVR_E_MISS);
	bed_down(&b);
	kvr_peer_stop(peer);
}
END_TEST

KVR_CHECK_MAIN("connectors.valkey", lmcache_is_two_names_with_colons,
    a_header_without_payload_is_a_miss_and_stays, bare_is_the_key_itself_and_the_same_for_both,
    layouts_do_not_take_each_others_values, a_time_to_live_is_in_whole_seconds,
    what_a_store_cannot_is_refused_by_name, signing_in_works_as_it_does_for_redis,
    resp_says_what_lmcaches_client_says)
