/* SPDX-License-Identifier: Apache-2.0 */
/* lm:// beyond the suite: batches, which keys go, what a put means, what cannot be configured. */
#include <sys/mman.h>

#include "kvr_lm_bed.h"

static void
expect_all(const struct load *l, int32_t want)
{
	for (uint32_t i = 0; i < l->n; i++)
		bed_status(&l->items[i], want);
}

static void
round_trip(uint32_t n, size_t len)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(n, len);
	struct bed b;
	lm_up(&b, server);
	bed_ok(&b, KVR_VERB_EXISTS, l.items, n);
	expect_all(&l, KVR_E_MISS);
	bed_ok(&b, KVR_VERB_GET, l.items, n);
	expect_all(&l, KVR_E_MISS);
	bed_ok(&b, KVR_VERB_PUT, l.items, n);
	expect_all(&l, KVR_OK);
	bed_ok(&b, KVR_VERB_EXISTS, l.items, n);
	expect_all(&l, KVR_OK);
	load_wipe(&l);
	bed_ok(&b, KVR_VERB_GET, l.items, n);
	expect_all(&l, KVR_OK);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_uint_eq(l.items[i].len, len);
		ck_assert_msg(load_same(&l, i), "item %u came back with other bytes", i);
	}
	bed_ok(&b, KVR_VERB_STAT, l.items, n);
	expect_all(&l, KVR_OK);
	bed_ok(&b, KVR_VERB_DEL, l.items, n);
	expect_all(&l, KVR_E_UNSUPPORTED);
	ck_assert_str_ne(b.ops->why(b.lane), "");
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	/* One HEALTH for the dial and one for the ping; a put is two requests, DEL none. */
	ck_assert_uint_eq(kvr_lm_server_count(server).requests, 2 + 7 * n);
	bed_down(&b);
	load_free(&l);
	lm_stop(server);
}

START_TEST(batches_of_all_sizes_come_back_as_they_went)
{
	static const struct {
		uint32_t n;
		size_t   len;
	} sizes[] = { { 1, 0 }, { 3, 1 }, { 64, 65536 }, { 1500, 16 }, { 16, 4 << 20 },
		{ 2, (9 << 20) + 12345 }, { 1, 64 << 20 } };
	for (size_t i = 0; i < KVR_LEN(sizes); i++)
		round_trip(sizes[i].n, sizes[i].len);
}
END_TEST

START_TEST(a_put_that_the_server_does_not_keep_is_refused)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(3, 1000);
	struct bed b;
	lm_up(&b, server);
	kvr_lm_server_forget(server, 1);
	bed_ok(&b, KVR_VERB_PUT, l.items, 3);
	expect_all(&l, KVR_E_REFUSED);
	ck_assert_ptr_nonnull(strstr(b.ops->why(b.lane), "does not have"));
	kvr_lm_server_forget(server, 0);
	bed_ok(&b, KVR_VERB_PUT, l.items, 3);
	expect_all(&l, KVR_OK);
	bed_down(&b);
	load_free(&l);
	lm_stop(server);
}
END_TEST

START_TEST(a_put_replaces_value_and_shape)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(1, 1000);
	struct bed b;
	lm_up(&b, server);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	for (size_t len = 900; len > 500; len -= 100) {
		l.items[0].span.len = len;
		bed_ok(&b, KVR_VERB_PUT, l.items, 1);
		bed_status(&l.items[0], KVR_OK);
		l.items[0].span.len = l.len;
		l.items[0].flags = KVR_ITEM_AT_MOST;
		bed_ok(&b, KVR_VERB_GET, l.items, 1);
		bed_status(&l.items[0], KVR_OK);
		ck_assert_uint_eq(l.items[0].len, len);
	}
	bed_down(&b);
	load_free(&l);
	lm_stop(server);
}
END_TEST

/* What each would have been taken for, or why the server would have closed the connection. */
static const struct {
	const char *key;
	int32_t     put;
} keys[] = {
	{ "m@1@0@abc@half", KVR_OK },
	{ "org/m@8@3@-5f@bfloat16@17@a%b@c%d", KVR_OK },
	{ "m@1@0@000abc@half", KVR_OK },
	{ "m@1@-1@abc@half", KVR_OK },
	{ "模型/通义@1@0@11@half", KVR_OK },
	{ "m@1@0@abc@half@k%", KVR_OK },
	{ "m", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@nope", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@fp8_e4m3", KVR_E_UNSUPPORTED },
	{ "m@1@0@xyz@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@half@notag", KVR_E_UNSUPPORTED },
	{ "a@b@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "a@b@c@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "vllm@m@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m@01000100@0@abc", KVR_E_UNSUPPORTED },
	{ "m@+1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m@01@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m@1@-0@abc@half", KVR_E_UNSUPPORTED },
	{ "m@ 1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@ABC@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@0xabc@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@a_bc@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@-0abc@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@half@07", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@half@a%1@b%2@a%3", KVR_E_UNSUPPORTED },
	{ " m@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@half@k%v ", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@half@k%v\xc2\xa0", KVR_E_UNSUPPORTED },
	{ "\xe3\x80\x80m@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m\xff@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m\xc0\x80@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m\xed\xa0\x80@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m\xf5\x80\x80\x80@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m\xf0\x80\x80\x80@1@0@abc@half", KVR_E_UNSUPPORTED },
	{ "m@1@0@abc@half@k%\xe2\x82", KVR_E_UNSUPPORTED },
};

START_TEST(a_key_that_the_server_cannot_hold_is_never_sent)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_meta meta = { 0 };
	uint8_t byte = 7;
	struct bed b;
	lm_up(&b, server);
	for (size_t i = 0; i < KVR_LEN(keys); i++) {
		struct kvr_item item = { .key = keys[i].key, .meta = &meta, .span = { &byte, 1 },
			.key_len = (uint32_t)strlen(keys[i].key) };
		uint32_t before = kvr_lm_server_count(server).requests;
		bool in = keys[i].put == KVR_OK;
		bed_ok(&b, KVR_VERB_PUT, &item, 1);
		bed_status(&item, keys[i].put);
		ck_assert_msg(in || strstr(b.ops->why(b.lane), "LMCache server") != NULL,
		    "%s: \"%s\"", item.key, b.ops->why(b.lane));
		bed_ok(&b, KVR_VERB_EXISTS, &item, 1);
		bed_status(&item, in ? KVR_OK : KVR_E_MISS);
		bed_ok(&b, KVR_VERB_GET, &item, 1);
		bed_status(&item, in ? KVR_OK : KVR_E_MISS);
		ck_assert_uint_eq(
		    kvr_lm_server_count(server).requests, before + (in ? 4 : 0));
	}
	bed_down(&b);
	lm_stop(server);
}
END_TEST

START_TEST(what_a_message_cannot_say_is_refused_before_a_byte_is_sent)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	size_t huge = (size_t)INT32_MAX + 1;
	/* Never touched, so it costs no memory. */
	void *at = mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct load l = load_new(4, 100);
	struct bed b;
	ck_assert_ptr_ne(at, MAP_FAILED);
	lm_up(&b, server);
	l.items[0].span = (struct kvr_span){ at, huge };
	l.metas[1] = (struct kvr_meta){ .memfmt = KVR_MEMFMT_KV_2LTD, .n_groups = 1,
		.group = { { .dtype = KVR_DTYPE_INT8, .n_dims = 1, .dim = { 100 } } } };
	l.items[2].key_len = 0;
	bed_ok(&b, KVR_VERB_PUT, l.items, 4);
	bed_status(&l.items[0], KVR_E_TOO_BIG);
	bed_status(&l.items[1], KVR_E_INVALID);
	bed_status(&l.items[2], KVR_E_INVALID);
	bed_status(&l.items[3], KVR_OK);
	ck_assert_uint_eq(kvr_lm_server_count(server).puts, 1);
	bed_down(&b);
	load_free(&l);
	munmap(at, huge);
	lm_stop(server);
}
END_TEST

static void
refused(struct kvr_store_opts opts, const char *url, const char *say)
{
	struct kvr_store *store = NULL;
	char why[256] = "";
	opts.url = url;
	ck_assert_int_eq(kvr_lm_ops.open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(why, say) != NULL, "%s: \"%s\" does not say %s", url, why, say);
}

START_TEST(what_the_protocol_has_no_place_for_is_refused_by_name)
{
	const struct kvr_store_opts good = bed_opts("", KVR_FORMAT_LMCACHE);
	struct kvr_store_opts opts = good;
	char prefix[160];
	refused(good, "lm://h", "port");
	refused(good, "lm://", "port");
	refused(good, "lm://a:1,b:2", "one host");
	refused(good, "lm://u@h:1", "login");
	refused(good, "lm://:p@h:1", "login");
	refused(good, "lm://h:1/x", "path");
	refused(good, "lm://h:1?db=1", "db");
	opts.format = KVR_FORMAT_SEALED;
	refused(opts, "lm://h:1", "format");
	opts = good;
	opts.n_groups = 2;
	refused(opts, "lm://h:1", "group");
	opts = good;
	opts.ttl_ms = 1;
	refused(opts, "lm://h:1", "ttl");
	opts = good;
	opts.capacity = 1;
	refused(opts, "lm://h:1", "capacity");
	opts = good;
	opts.password = "x";
	refused(opts, "lm://h:1", "login");
	opts = good;
	opts.tmp_dir = "x";
	refused(opts, "lm://h:1", "tmp_dir");
	opts = good;
	opts.prefix = "a@b";
	refused(opts, "lm://h:1", "prefix");
	memset(prefix, 'p', sizeof(prefix) - 1);
	prefix[sizeof(prefix) - 1] = '\0';
	opts.prefix = prefix;
	refused(opts, "lm://h:1", "prefix");
}
END_TEST

START_TEST(a_prefix_counts_against_the_length_of_a_key)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_store_opts opts = bed_opts(kvr_lm_server_url(server), KVR_FORMAT_LMCACHE);
	struct load l = load_new(2, 10);
	char key[160], prefix[64];
	struct bed b;
	memset(prefix, 'p', 50);
	prefix[50] = '\0';
	opts.prefix = prefix;
	bed_up(&b, &opts);
	for (uint32_t i = 0; i < 2; i++) {
		snprintf(key, sizeof(key), "%.*s@1@0@abc@half", (int)(87 + i),
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxx");
		l.items[i].key = key;
		l.items[i].key_len = (uint32_t)strlen(key);
		bed_ok(&b, KVR_VERB_PUT, &l.items[i], 1);
		bed_status(&l.items[i], i == 0 ? KVR_OK : KVR_E_TOO_BIG);
	}
	bed_down(&b);
	load_free(&l);
	lm_stop(server);
}
END_TEST

/*
 * The server writes an answer in small pieces and its kernel waits for an acknowledgement between
 * them. Delayed, all take 40 ms; else one is quicker, at once or when other processes leave the
 * CPU.
 */
START_TEST(small_answers_do_not_wait_for_a_late_acknowledgement)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_PUT, KVR_VERB_EXISTS, KVR_VERB_GET,
		KVR_VERB_STAT };
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct load l = load_new(5, 100);
	struct bed b;
	lm_up(&b, server);
	for (size_t v = 0; v < KVR_LEN(verbs); v++) {
		uint64_t best_ns = UINT64_MAX;
		for (uint64_t end_ns = bed_in(KVR_SEC(20)); best_ns >= KVR_MS(30) && kvr_now_ns() < end_ns;) {
			uint64_t begin_ns = kvr_now_ns();
			bed_ok(&b, verbs[v], l.items, l.n);
			best_ns = KVR_MIN(best_ns, kvr_now_ns() - begin_ns);
		}
		ck_assert_uint_lt(best_ns, KVR_MS(30));
	}
	bed_down(&b);
	load_free(&l);
	lm_stop(server);
}
END_TEST

KVR_CHECK_MAIN("connectors.lm", batches_of_all_sizes_come_back_as_they_went,
    a_put_that_the_server_does_not_keep_is_refused,
    a_put_replaces_value_and_shape,
    a_key_that_the_server_cannot_hold_is_never_sent,
    what_a_message_cannot_say_is_refused_before_a_byte_is_sent,
    what_the_protocol_has_no_place_for_is_refused_by_name,
    a_prefix_counts_against_the_length_of_a_key,
    small_answers_do_not_wait_for_a_late_acknowledgement)
