/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis connector against a real server: every verb in every format, sizes, batches, errors. */
#include <sys/mman.h>

#include "kvr_redis_limit.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static const uint32_t formats[] = { KVR_FORMAT_LMCACHE, KVR_FORMAT_BARE, KVR_FORMAT_SEALED };

static void
round_trip(const char *url, uint32_t format, uint32_t n, size_t len)
{
	struct bed b;
	struct kvr_store_opts opts = bed_opts(url, format);
	struct load l = load_new(n, len);
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_EXISTS, l.items, n);
	for (uint32_t i = 0; i < n; i++)
		bed_status(&l.items[i], KVR_E_MISS);
	bed_ok(&b, KVR_VERB_PUT, l.items, n);
	for (uint32_t i = 0; i < n; i++)
		bed_status(&l.items[i], KVR_OK);
	bed_ok(&b, KVR_VERB_EXISTS, l.items, n);
	for (uint32_t i = 0; i < n; i++)
		bed_status(&l.items[i], KVR_OK);
	load_wipe(&l);
	bed_ok(&b, KVR_VERB_GET, l.items, n);
	for (uint32_t i = 0; i < n; i++) {
		bed_status(&l.items[i], KVR_OK);
		ck_assert_uint_eq(l.items[i].len, len);
		ck_assert_msg(load_same(&l, i), "item %u came back with other bytes", i);
	}
	bed_ok(&b, KVR_VERB_STAT, l.items, n);
	for (uint32_t i = 0; i < n; i++) {
		bed_status(&l.items[i], KVR_OK);
		ck_assert_uint_eq(l.items[i].len, len);
	}
	bed_ok(&b, KVR_VERB_DEL, l.items, n);
	for (uint32_t i = 0; i < n; i++)
		bed_status(&l.items[i], KVR_OK);
	bed_ok(&b, KVR_VERB_DEL, l.items, n);
	bed_ok(&b, KVR_VERB_GET, l.items, n);
	for (uint32_t i = 0; i < n; i++)
		bed_status(&l.items[i], KVR_E_MISS);
	bed_ok(&b, KVR_VERB_STAT, l.items, n);
	for (uint32_t i = 0; i < n; i++)
		bed_status(&l.items[i], KVR_E_MISS);
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	load_free(&l);
	bed_down(&b);
}

START_TEST(batches_of_all_sizes_come_back_as_they_went)
{
	static const struct {
		uint32_t n;
		size_t   len;
	} sizes[] = { { 1, 0 }, { 3, 1 }, { 64, 65536 }, { 700, 1000 }, { 1500, 16 },
		{ 16, 4 << 20 }, { 3, (4 << 20) + 1 }, { 2, (9 << 20) + 12345 }, { 1, 64 << 20 } };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++)
		for (size_t i = 0; i < KVR_LEN(sizes); i++)
			/* An LMCache header cannot say that there is nothing. */
			if (formats[f] != KVR_FORMAT_LMCACHE || sizes[i].len > 0)
				round_trip(server->url, formats[f], sizes[i].n, sizes[i].len);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_unix_socket_does_the_same)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++)
		round_trip(server->unix_url, formats[f], 5, 300000);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(hits_and_misses_of_a_batch_are_told_apart)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct bed b;
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		struct load l = load_new(40, 5 << 20);
		bed_up(&b, &opts);
		for (uint32_t i = 0; i < l.n; i += 3)
			bed_ok(&b, KVR_VERB_PUT, &l.items[i], 1);
		load_wipe(&l);
		for (int verb = KVR_VERB_EXISTS; verb <= KVR_VERB_GET; verb++) {
			bed_ok(&b, (enum kvr_verb)verb, l.items, l.n);
			for (uint32_t i = 0; i < l.n; i++)
				bed_status(&l.items[i], i % 3 == 0 ? KVR_OK : KVR_E_MISS);
		}
		for (uint32_t i = 0; i < l.n; i += 3)
			ck_assert(load_same(&l, i));
		bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
		load_free(&l);
		bed_down(&b);
	}
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(items_that_are_not_pending_are_left_alone)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct bed b;
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		struct load l = load_new(3, 5 << 20);
		bed_up(&b, &opts);
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		load_wipe(&l);
		for (uint32_t i = 0; i < l.n; i++)
			atomic_store(&l.items[i].status, i == 1 ? KVR_E_BUSY : KVR_PENDING);
		ck_assert_int_eq(
		    kvr_redis_ops.run(b.lane, KVR_VERB_GET, l.items, 3, bed_in(BED_LONG)), KVR_OK);
		ck_assert(load_same(&l, 0) && load_same(&l, 2));
		bed_status(&l.items[1], KVR_E_BUSY);
		ck_assert_uint_eq(*(uint8_t *)l.items[1].span.at, 0xee);
		bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
		load_free(&l);
		bed_down(&b);
	}
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_value_of_another_length_costs_its_key_and_not_the_connection)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		for (size_t len = 1000; len <= (6U << 20); len += (6U << 20) - 1000) {
			struct bed b;
			struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
			struct load l = load_new(3, len);
			bed_up(&b, &opts);
			bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
			load_wipe(&l);
			l.items[1].span.len = len - 1;
			bed_ok(&b, KVR_VERB_GET, l.items, l.n);
			bed_status(&l.items[1], KVR_E_LENGTH);
			ck_assert_uint_eq(((uint8_t *)l.items[1].span.at)[len - 1], 0xee);
			ck_assert(load_same(&l, 0) && load_same(&l, 2));
			l.items[1].span.len = len;
			bed_ok(&b, KVR_VERB_GET, l.items, l.n);
			bed_status(&l.items[1], KVR_OK);
			ck_assert(load_same(&l, 1));
			bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
			load_free(&l);
			bed_down(&b);
		}
	}
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(at_most_takes_a_shorter_value)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct bed b;
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		struct load l = load_new(1, 20 << 20);
		bed_up(&b, &opts);
		l.items[0].span.len = 9000;
		bed_ok(&b, KVR_VERB_PUT, l.items, 1);
		load_wipe(&l);
		l.items[0].span.len = l.len;
		l.items[0].flags = KVR_ITEM_AT_MOST;
		bed_ok(&b, KVR_VERB_GET, l.items, 1);
		bed_status(&l.items[0], KVR_OK);
		ck_assert_uint_eq(l.items[0].len, 9000);
		l.len = 9000;
		ck_assert(load_same(&l, 0));
		bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
		load_free(&l);
		bed_down(&b);
	}
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_full_server_says_no_space_and_goes_on_serving)
{
	static const char *const args[] = { "--maxmemory", "24mb", "--maxmemory-policy",
		"noeviction", NULL };
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct kvr_redis_server *server = kvr_redis_server_start(NULL, args);
		struct bed b;
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		struct load l = load_new(24, 2 << 20);
		uint32_t in = 0, refused = 0;
		bed_up(&b, &opts);
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		for (uint32_t i = 0; i < l.n; i++) {
			in += kvr_item_status(&l.items[i]) == KVR_OK;
			refused += kvr_item_status(&l.items[i]) == KVR_E_NOSPACE;
		}
		ck_assert_uint_gt(in, 0);
		ck_assert_uint_gt(refused, 0);
		ck_assert_uint_eq(in + refused, l.n);
		ck_assert_ptr_nonnull(strstr(kvr_redis_ops.why(b.lane), "OOM"));
		load_wipe(&l);
		struct kvr_item *items = l.items;
		int32_t before[24];
		for (uint32_t i = 0; i < l.n; i++)
			before[i] = kvr_item_status(&items[i]);
		bed_ok(&b, KVR_VERB_GET, items, l.n);
		for (uint32_t i = 0; i < l.n; i++) {
			bed_status(&items[i], before[i] == KVR_OK ? KVR_OK : KVR_E_MISS);
			ck_assert(before[i] != KVR_OK || load_same(&l, i));
		}
		load_free(&l);
		bed_down(&b);
		kvr_redis_server_stop(server);
	}
}
END_TEST

START_TEST(a_key_of_another_type_is_blamed_on_the_key)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed b;
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_BARE);
	struct load l = load_new(3, 100);
	char line[64];
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, 3);
	bed_ok(&b, KVR_VERB_DEL, &l.items[1], 1);
	snprintf(line, sizeof(line), "LPUSH %s x", l.keys[1]);
	ck_assert_int_eq(kvr_raw(raw, line).kind, ':');
	bed_ok(&b, KVR_VERB_GET, l.items, 3);
	bed_status(&l.items[0], KVR_OK);
	bed_status(&l.items[1], KVR_E_LENGTH);
	bed_status(&l.items[2], KVR_OK);
	ck_assert_ptr_nonnull(strstr(kvr_redis_ops.why(b.lane), "WRONGTYPE"));
	bed_ok(&b, KVR_VERB_STAT, l.items, 3);
	bed_status(&l.items[1], KVR_E_LENGTH);
	bed_status(&l.items[2], KVR_OK);
	load_free(&l);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(ttl_prefix_and_database_reach_the_server)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed b;
	char url[128];
	struct load l = load_new(1, 100);
	snprintf(url, sizeof(url), "%s/3", server->url);
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_LMCACHE);
	opts.prefix = "team a/";
	opts.ttl_ms = 3600000;
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n, 0);
	ck_assert_int_eq(kvr_raw(raw, "SELECT 3").kind, '+');
	ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n, 2);
	const struct kvr_raw_word pttl[] = { { "PTTL", 4 }, { "team a/m@1@0@0@halfkv_bytes", 27 } };
	int64_t left = kvr_raw_words(raw, pttl, 2).n;
	ck_assert_int_gt(left, 3500000);
	ck_assert_int_le(left, 3600000);
	load_free(&l);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(what_no_server_takes_is_refused_before_a_byte_is_sent)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	size_t huge = (size_t)KVR_MIB(512) + 1;
	/* Never touched, so it costs no memory. */
	void *at = mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct bed b;
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		struct load l = load_new(2, 100);
		bed_up(&b, &opts);
		l.items[0].span = (struct kvr_span){ at, huge };
		bed_ok(&b, KVR_VERB_PUT, l.items, 2);
		bed_status(&l.items[0], KVR_E_TOO_BIG);
		bed_status(&l.items[1], KVR_OK);
		ck_assert_ptr_nonnull(strstr(kvr_redis_ops.why(b.lane), "512 MiB"));
		l.items[0].key_len = 0;
		bed_ok(&b, KVR_VERB_EXISTS, l.items, 2);
		bed_status(&l.items[0], KVR_E_INVALID);
		bed_status(&l.items[1], KVR_OK);
		load_free(&l);
		bed_down(&b);
	}
	munmap(at, huge);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(what_this_server_does_not_take_is_too_big_and_costs_one_connection)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, limit_args);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct kvr_store_opts opts = bed_opts(server->url, formats[f]);
		beyond_what_the_server_takes(&opts, KVR_MIB(1) + 65536);
		beyond_what_the_server_takes(&opts, KVR_MIB(64));
	}
	kvr_redis_server_stop(server);
}
END_TEST

/* Options and URLs that cannot be meant, and what the sentence about each must name. */
static void
refused(struct kvr_store_opts opts, const char *url, const char *say)
{
	struct kvr_store *store = NULL;
	char why[256] = "";
	opts.url = url;
	ck_assert_int_eq(kvr_redis_ops.open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(why, say) != NULL, "%s: \"%s\" does not say %s", url, why, say);
}

START_TEST(what_is_not_understood_is_refused_by_name)
{
	static const struct {
		const char *url, *say;
	} urls[] = { { "redis://h/x", "database" }, { "redis://h?db=-1", "db" },
		{ "redis://h/1?db=2", "1 in the path" },
		{ "redis://h?socket_timeout=5", "socket_timeout" },
		{ "redis://h?protocol=4", "protocol" }, { "redis://a,b", "one host" },
		{ "redis://user@h", "password" }, { "resp://h", "scheme" },
		{ "unix://host/x", "host" }, { "unix://", "path" }, { "unix:///", "path" },
		{ "redis://h/%zz", "hex" } };
	struct kvr_store_opts opts = bed_opts("redis://h", KVR_FORMAT_LMCACHE);
	for (size_t i = 0; i < KVR_LEN(urls); i++)
		refused(opts, urls[i].url, urls[i].say);
	char text[300] = "unix:///";
	memset(text + 8, 'x', 200);
	refused(opts, text, "longer");
	opts.capacity = 1;
	refused(opts, "redis://h", "maxmemory");
	opts = bed_opts("", KVR_FORMAT_LMCACHE);
	opts.n_groups = 9;
	refused(opts, "redis://h", "groups");
	opts = bed_opts("", KVR_FORMAT_BARE);
	opts.tmp_dir = "tmp";
	refused(opts, "redis://h", "tmp_dir");
	opts = bed_opts("", KVR_FORMAT_BARE);
	opts.password = "x";
	refused(opts, "redis://:y@h", "keep one");
	memset(text, 'p', sizeof(text) - 1);
	opts = bed_opts("", KVR_FORMAT_BARE);
	opts.prefix = text;
	refused(opts, "redis://h", "prefix");
}
END_TEST

static void
sign_in(const char *url, const char *user, const char *password, enum kvr_err want, const char *say)
{
	struct bed b;
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	opts.user = user;
	opts.password = password;
	enum kvr_err err = bed_try(&b, &opts, bed_in(BED_LONG));
	ck_assert_msg(
	    err == want, "%s instead of %s: %s", kvr_err_name(err), kvr_err_name(want), b.why);
	if (say != NULL)
		ck_assert_msg(strstr(b.why, say) != NULL, "\"%s\" does not say %s", b.why, say);
	ck_assert_ptr_null(strstr(b.why, "secret"));
	if (err == KVR_OK)
		bed_ok(&b, KVR_VERB_PING, NULL, 0);
	else
		ck_assert_ptr_null(b.lane);
	bed_down(&b);
}

START_TEST(signing_in_needs_the_right_password)
{
	struct kvr_redis_server *server = kvr_redis_server_start("sec/ret", NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, "sec/ret");
	char url[128];
	ck_assert_int_eq(kvr_raw(raw, "ACL SETUSER kv on >token ~* +@all").kind, '+');
	sign_in(server->url, NULL, NULL, KVR_E_AUTH, "NOAUTH");
	sign_in(server->url, NULL, "wrong", KVR_E_AUTH, "WRONGPASS");
	sign_in(server->url, NULL, "sec/ret", KVR_OK, NULL);
	sign_in(server->url, "kv", "token", KVR_OK, NULL);
	sign_in(server->url, "kv", "sec/ret", KVR_E_AUTH, "WRONGPASS");
	snprintf(url, sizeof(url), "redis://:sec%%2Fret@127.0.0.1:%u", server->port);
	sign_in(url, NULL, NULL, KVR_OK, NULL);
	snprintf(url, sizeof(url), "unix://kv:token@%s", server->sock);
	sign_in(url, NULL, NULL, KVR_OK, NULL);
	snprintf(url, sizeof(url), "redis://:sec%%2Fret@localhost:%u/99", server->port);
	sign_in(url, NULL, NULL, KVR_E_CONFIG, "SELECT");
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
	server = kvr_redis_server_start(NULL, NULL);
	sign_in(server->url, NULL, "secret", KVR_E_AUTH, "without any password");
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_command_that_is_not_allowed_costs_its_key_only)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	ck_assert_int_eq(
	    kvr_raw(raw, "ACL SETUSER kv on >token %R~m@1@0@0@half ~m@1@0@1@half +@all").kind, '+');
	struct bed b;
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_BARE);
	struct load l = load_new(2, 3 << 20);
	opts.user = "kv";
	opts.password = "token";
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, 2);
	bed_status(&l.items[0], KVR_E_AUTH);
	bed_status(&l.items[1], KVR_OK);
	bed_ok(&b, KVR_VERB_GET, l.items, 2);
	bed_status(&l.items[0], KVR_E_MISS);
	bed_status(&l.items[1], KVR_OK);
	load_free(&l);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis", batches_of_all_sizes_come_back_as_they_went,
    a_unix_socket_does_the_same, hits_and_misses_of_a_batch_are_told_apart,
    items_that_are_not_pending_are_left_alone,
    a_value_of_another_length_costs_its_key_and_not_the_connection, at_most_takes_a_shorter_value,
    a_full_server_says_no_space_and_goes_on_serving, a_key_of_another_type_is_blamed_on_the_key,
    what_no_server_takes_is_refused_before_a_byte_is_sent,
    what_this_server_does_not_take_is_too_big_and_costs_one_connection,
    what_is_not_understood_is_refused_by_name, ttl_prefix_and_database_reach_the_server,
    signing_in_needs_the_right_password, a_command_that_is_not_allowed_costs_its_key_only)
