/* SPDX-License-Identifier: Apache-2.0 */
/* What LMCache leaves in a Redis server, byte by byte and in both directions. */
#include "kvr_golden_chunk.h"
#include "kvr_redis_bed.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static void
bed_for(struct bed *b, const struct kvr_redis_server *server)
{
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_LMCACHE);
	bed_up(b, &opts);
}

START_TEST(a_put_leaves_what_lmcache_leaves)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_golden *golden = kvr_golden_open("redis_layout.json");
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed b;
	int64_t keys = 0;
	bed_for(&b, server);
	KVR_GOLDEN_EACH(entry, kvr_golden_get(golden, "entries")) {
		struct chunk c = chunk_of(entry);
		c.item.meta = &c.meta;
		bed_ok(&b, KVR_VERB_PUT, &c.item, 1);
		bed_status(&c.item, KVR_OK);
		KVR_GOLDEN_EACH(value, kvr_golden_get(entry, "redis")) {
			size_t len = 0, name_len = 0;
			uint8_t *want = kvr_golden_hex_of(value, "value_hex", &len);
			uint8_t *name = kvr_golden_hex_of(value, "key_hex", &name_len);
			const struct kvr_raw_word get[] = { { "GET", 3 }, { name, name_len } };
			const struct kvr_raw_word pttl[] = { { "PTTL", 4 }, { name, name_len } };
			ck_assert_int_eq(
			    kvr_raw_words(raw, pttl, 2).n, kvr_golden_int_of(value, "ttl"));
			struct kvr_raw_reply got = kvr_raw_words(raw, get, 2);
			ck_assert_int_eq(got.kind, '$');
			ck_assert_uint_eq(got.len, len);
			ck_assert_mem_eq(got.bytes, want, len);
			free(want);
			free(name);
			keys++;
		}
		free(c.payload);
	}
	ck_assert_int_ge(keys, 16);
	ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n, keys);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_golden_close(golden);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_get_reads_what_lmcache_left)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_golden *golden = kvr_golden_open("redis_layout.json");
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed b;
	bed_for(&b, server);
	KVR_GOLDEN_EACH(entry, kvr_golden_get(golden, "entries")) {
		struct chunk c = chunk_of(entry);
		uint8_t *room = malloc(c.len);
		KVR_GOLDEN_EACH(value, kvr_golden_get(entry, "redis")) {
			size_t len = 0, name_len = 0;
			uint8_t *bytes = kvr_golden_hex_of(value, "value_hex", &len);
			uint8_t *name = kvr_golden_hex_of(value, "key_hex", &name_len);
			const struct kvr_raw_word set[] = { { "SET", 3 }, { name, name_len },
				{ bytes, len } };
			ck_assert_int_eq(kvr_raw_words(raw, set, 3).kind, '+');
			free(bytes);
			free(name);
		}
		struct kvr_meta found = { 0 };
		c.item.meta = &found;
		c.item.span = (struct kvr_span){ room, c.len };
		c.item.raw_len = 0;
		bed_ok(&b, KVR_VERB_GET, &c.item, 1);
		bed_status(&c.item, KVR_OK);
		ck_assert_uint_eq(c.item.len, c.len);
		ck_assert_uint_eq(c.item.raw_len, c.len);
		ck_assert_mem_eq(room, c.payload, c.len);
		ck_assert(kvr_meta_same(&found, &c.expected));
		found = (struct kvr_meta){ 0 };
		bed_ok(&b, KVR_VERB_STAT, &c.item, 1);
		bed_status(&c.item, KVR_OK);
		ck_assert(kvr_meta_same(&found, &c.expected));
		ck_assert_uint_eq(c.item.len, c.len);
		/* One that expects another layout must not take it. */
		found = c.expected;
		found.group[0].dtype = KVR_DTYPE_FLOAT64;
		bed_ok(&b, KVR_VERB_GET, &c.item, 1);
		bed_status(&c.item, KVR_E_IDENTITY);
		free(room);
		free(c.payload);
	}
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_golden_close(golden);
	kvr_redis_server_stop(server);
}
END_TEST

/* A payload that is missing behind its header costs its own key; those behind it keep their places. */
START_TEST(a_payload_that_is_missing_shifts_nothing)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct load l = load_new(5, 1000);
	struct bed b;

	bed_for(&b, server);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	ck_assert_int_eq(kvr_raw(raw, "DEL m@1@0@2@halfkv_bytes").n, 1);
	load_wipe(&l);
	bed_ok(&b, KVR_VERB_GET, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++) {
		bed_status(&l.items[i], i == 2 ? KVR_E_MISS : KVR_OK);
		ck_assert(i == 2 || load_same(&l, i));
	}
	load_free(&l);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

/* MONITOR shows: time [db address] "COMMAND" "first argument" ... */
static void
expect_command(struct kvr_raw *monitor, const char *name, const char *argument)
{
	char want[512];
	struct kvr_raw_reply line = kvr_raw_more(monitor);
	snprintf(want, sizeof(want), "] \"%s\" \"%s\"", name, argument);
	ck_assert_msg(strstr((const char *)line.bytes, want) != NULL, "%s is not in %s", want,
	    (const char *)line.bytes);
}

static void
expect_commands(struct kvr_raw *monitor, const struct kvr_golden *golden, const char *which)
{
	const struct kvr_golden *list = kvr_golden_get(kvr_golden_get(golden, "commands"), which);
	ck_assert_uint_gt(kvr_golden_count(list), 0);
	KVR_GOLDEN_EACH(command, list) {
		const struct kvr_golden *name = kvr_golden_first(command);
		expect_command(
		    monitor, kvr_golden_text(name), kvr_golden_text(kvr_golden_next(name)));
	}
}

START_TEST(the_commands_are_lmcaches_in_its_order)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_golden *golden = kvr_golden_open("redis_layout.json");
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr_raw *monitor = kvr_raw_open(server->port, NULL);
	const struct kvr_golden *first = kvr_golden_first(kvr_golden_get(golden, "entries"));
	struct chunk two[2] = { chunk_of(first), chunk_of(kvr_golden_next(first)) };
	struct kvr_item items[2] = { two[0].item, two[1].item };
	struct bed b;
	char line[256];
	items[0].meta = &two[0].meta;
	items[1].meta = &two[1].meta;
	bed_for(&b, server);
	ck_assert_int_eq(kvr_raw(monitor, "MONITOR").kind, '+');
	bed_ok(&b, KVR_VERB_PUT, items, 1);
	expect_commands(monitor, golden, "put");
	bed_ok(&b, KVR_VERB_EXISTS, items, 1);
	expect_commands(monitor, golden, "contains");
	bed_ok(&b, KVR_VERB_GET, items, 1);
	expect_commands(monitor, golden, "get_blocking");
	bed_ok(&b, KVR_VERB_GET, &items[1], 1);
	expect_commands(monitor, golden, "get_blocking_absent");
	bed_ok(&b, KVR_VERB_EXISTS, items, 2);
	bed_status(&items[1], KVR_E_MISS);
	expect_commands(monitor, golden, "batched_async_contains_2_second_absent");
	snprintf(line, sizeof(line), "DEL %skv_bytes", items[0].key);
	ck_assert_int_eq(kvr_raw(raw, line).n, 1);
	(void)kvr_raw_more(monitor);
	bed_ok(&b, KVR_VERB_STAT, items, 1);
	bed_status(&items[0], KVR_E_MISS);
	(void)kvr_raw_more(monitor);
	(void)kvr_raw_more(monitor);
	bed_ok(&b, KVR_VERB_GET, items, 1);
	bed_status(&items[0], KVR_E_MISS);
	expect_commands(monitor, golden, "get_blocking_kv_bytes_missing");
	ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n,
	    (int64_t)kvr_golden_count(
	        kvr_golden_get(golden, "keys_left_after_get_with_kv_bytes_missing")));
	free(two[0].payload);
	free(two[1].payload);
	bed_down(&b);
	kvr_raw_close(monitor);
	kvr_raw_close(raw);
	kvr_golden_close(golden);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(broken_values_of_others_are_told_apart)
{
	static const char payload_key[] = "m@1@0@0@halfkv_bytes",
	                  head_key[] = "m@1@0@0@halfmetadata";
	/* 8 bytes of float16 in the shape 1, 1, 1, 4. */
	static const uint8_t head[29] = { 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0,
		0, 1, 0, 0, 0, 4, 0, 0, 0, 99 };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct load l = load_new(1, 8);
	struct bed b;
	bed_for(&b, server);
	kvr_raw_set(raw, payload_key, "12345678", 8);
	kvr_raw_set(raw, head_key, head, 28);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	kvr_raw_set(raw, head_key, head, 29);
	l.metas[0].n_groups = 0;
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_OK);
	ck_assert_mem_eq(l.bytes, "12345678", 8);
	kvr_raw_set(raw, head_key, head, 20);
	l.metas[0].n_groups = 0;
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_E_CORRUPT);
	kvr_raw_set(raw, head_key, head, 0);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_E_CORRUPT);
	kvr_raw_set(raw, head_key, head, 28);
	kvr_raw_set(raw, payload_key, "1234567", 7);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_E_LENGTH);
	kvr_raw_set(raw, payload_key, "", 0);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_E_LENGTH);
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	load_free(&l);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_refused_header_takes_its_payload_back)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct load l = load_new(2, 1000);
	struct bed b;
	struct kvr_store_opts opts = bed_opts(server->url, KVR_FORMAT_LMCACHE);
	/* May do everything but write the header of the first key. */
	ck_assert_int_eq(kvr_raw(raw, "ACL SETUSER kv on >token +@all -set ~* (+set ~*kv_bytes) "
	                              "(+set ~m@1@0@1@*)").kind, '+');
	opts.user = "kv";
	opts.password = "token";
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, 2);
	bed_status(&l.items[0], KVR_E_AUTH);
	bed_status(&l.items[1], KVR_OK);
	bed_ok(&b, KVR_VERB_GET, &l.items[1], 1);
	ck_assert(load_same(&l, 1));
	ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n, 2);
	load_free(&l);
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_golden", a_put_leaves_what_lmcache_leaves,
    a_get_reads_what_lmcache_left, the_commands_are_lmcaches_in_its_order,
    broken_values_of_others_are_told_apart,
    a_payload_that_is_missing_shifts_nothing, a_refused_header_takes_its_payload_back)
