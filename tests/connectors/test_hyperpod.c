/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sagemaker-hyperpod:// as LMCache speaks it: the bytes of requests, the layout of objects, what a
 * status means. The texts of requests are what aiohttp sent for LMCache's calls.
 */
#include "kvr_hyperpod_bed.h"
#include "kvr_le.h"

enum { BIG = 9437184, HEAD = 28 };

static const struct kvr_meta chunk = { .memfmt = KVR_MEMFMT_KV_2LTD, .n_groups = 1,
	.group = { { .dtype = KVR_DTYPE_BFLOAT16, .n_dims = 4, .dim = { 2, 12, 256, 768 } } } };

/* LMCache's header of that chunk. */
static const uint8_t chunk_head[HEAD] = { 0, 0, 0x90, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 12, 0,
	0, 0, 0, 1, 0, 0, 0, 3, 0, 0 };

/* Heads in any order: HTTP gives it no meaning, and it is the library's below us. */
static void
same_heads(
    const struct hp *h, const char *came, const char *line, const char *type, const char *len)
{
	char host[64], want[6][128];
	size_t n = 0, total = strlen(line);
	snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", atomic_load(&h->page->port));
	snprintf(want[n++], 128, "%s", host);
	snprintf(want[n++], 128, "\r\nUser-Agent: LMCache-SageMaker-HyperPod/1.0\r\n");
	snprintf(want[n++], 128, "\r\nAccept: */*\r\n");
	snprintf(want[n++], 128, "\r\nAccept-Encoding: gzip, deflate\r\n");
	snprintf(want[n++], 128, "\r\nContent-Length: %s\r\n", len);
	snprintf(want[n++], 128, "\r\nContent-Type: %s\r\n", type);
	ck_assert_msg(strncmp(came, line, strlen(line)) == 0, "%s", came);
	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(strstr(came, want[i]) != NULL, "%s lacks %s", came, want[i]);
		total += strlen(want[i]) - 2;
	}
	/* And not a byte more. */
	ck_assert_uint_eq(strlen(came), total + 2 + 2);
}

START_TEST(the_worked_exchange_goes_as_documented)
{
	static const char key[] = "meta-llama/Llama-3.1-8B@1@0@75bcd15@bfloat16@tag%v+1";
	static uint8_t in[BIG], out[BIG];
	struct hp h;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	atomic_store(&h.page->first_fragment, 20);
	bed_up(&h.bed, &h.opts);
	struct kvr_meta meta = chunk;
	struct kvr_item item = hp_item(key, in, BIG, &meta);
	for (size_t i = 0; i < BIG; i++)
		in[i] = (uint8_t)(i * 7 + (i >> 11));
	meta = chunk;
	bed_ok(&h.bed, KVR_VERB_PUT, &item, 1);
	bed_status(&item, KVR_OK);
	ck_assert_uint_eq(item.len, BIG + HEAD);
	same_heads(&h, h.page->last[KVR_HYPERPOD_PUT],
	    "PUT /v1/kv/lmcache/meta-llama%2FLlama-3.1-8B@1@0@75bcd15@bfloat16@tag%25v%2B1 "
	    "HTTP/1.1", "application/octet-stream", "9437212");
	/* A second one is 409, and done. */
	bed_ok(&h.bed, KVR_VERB_PUT, &item, 1);
	bed_status(&item, KVR_OK);
	ck_assert_uint_eq(atomic_load(&h.page->puts), 2);
	ck_assert_uint_eq(atomic_load(&h.page->stored), 1);
	meta = chunk;
	item.span.at = out;
	bed_ok(&h.bed, KVR_VERB_GET, &item, 1);
	bed_status(&item, KVR_OK);
	ck_assert(memcmp(in, out, BIG) == 0);
	ck_assert(kvr_meta_same(&meta, &chunk));
	same_heads(&h, h.page->last[KVR_HYPERPOD_LEASE],
	    "POST /v1/kv/lmcache/meta-llama%2FLlama-3.1-8B@1@0@75bcd15@bfloat16@tag%25v%2B1"
	    "/leases?timeout_ms=5000&ttl_s=30.0 HTTP/1.1", "application/octet-stream", "0");
	ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	same_heads(&h, h.page->last[KVR_HYPERPOD_RELEASE],
	    "POST /v1/leases/L-1/release HTTP/1.1", "application/octet-stream", "0");
	hp_down(&h);
}
END_TEST

START_TEST(every_byte_of_a_key_is_encoded_as_the_client_does_it)
{
	char key[130];
	struct hp h;
	uint8_t buf[8] = { 1 };
	hp_up(&h, KVR_FORMAT_BARE);
	for (int c = 1; c < 127; c++)
		key[c - 1] = (char)c;
	key[126] = '\0';
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, key, buf, sizeof(buf)), KVR_OK);
	static const char want[] =
	    "PUT /v1/kv/lmcache/%01%02%03%04%05%06%07%08%09%0A%0B%0C%0D%0E%0F%10%11%12%13%14%15%16"
	    "%17%18%19%1A%1B%1C%1D%1E%1F%20!%22%23$%25&'()*%2B,-.%2F0123456789:;%3C=%3E%3F@ABCDEFGH"
	    "IJKLMNOPQRSTUVWXYZ%5B%5C%5D%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D~ HTTP/1.1\r\n";
	const char *came = h.page->last[KVR_HYPERPOD_PUT];
	ck_assert_msg(strncmp(came, want, strlen(want)) == 0, "%s", came);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "模", buf, sizeof(buf)), KVR_OK);
	ck_assert_msg(strncmp(came, "PUT /v1/kv/lmcache/%E6%A8%A1 ", 29) == 0, "%s", came);
	hp_down(&h);
}
END_TEST

/* The multi-process client has no header, so with it any object can be made. */
static void
put_raw(const struct hp *h, const char *key, const void *at, size_t len)
{
	struct hp raw = *h;
	uint8_t *copy = malloc(len);
	memcpy(copy, at, len);
	raw.opts.format = KVR_FORMAT_BARE;
	bed_up(&raw.bed, &raw.opts);
	ck_assert_int_eq(hp_one(&raw, KVR_VERB_PUT, key, copy, len), KVR_OK);
	bed_down(&raw.bed);
	free(copy);
}

START_TEST(a_header_says_what_of_an_object_counts)
{
	uint8_t object[HEAD + 64], buf[64];
	struct hp h;
	hp_up(&h, KVR_FORMAT_LMCACHE);
	memcpy(object, chunk_head, HEAD);
	for (size_t i = 0; i < 64; i++)
		object[HEAD + i] = (uint8_t)i;
	kvr_le32_put(object, 50);
	put_raw(&h, "padded", object, sizeof(object));
	kvr_le32_put(object, 65);
	put_raw(&h, "short", object, sizeof(object));
	put_raw(&h, "stump", object, HEAD - 1);
	kvr_le32_put(object, 0x80000001);
	put_raw(&h, "negative", object, sizeof(object));
	memset(buf, 0xee, sizeof(buf));
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "padded", buf, 50), KVR_OK);
	ck_assert(memcmp(buf, object + HEAD, 50) == 0 && buf[50] == 0xee);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "short", buf, 64), KVR_E_LENGTH);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_STAT, "short", NULL, 0), KVR_E_LENGTH);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "stump", buf, 64), KVR_E_LENGTH);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "negative", buf, 64), KVR_E_CORRUPT);
	/* What is there is there, whatever it is. */
	ck_assert_int_eq(hp_one(&h, KVR_VERB_EXISTS, "stump", NULL, 0), KVR_OK);
	hp_down(&h);
}
END_TEST

START_TEST(without_a_header_the_lease_must_be_as_long_as_the_place)
{
	uint8_t buf[64] = { 5 };
	struct hp h;
	hp_up(&h, KVR_FORMAT_BARE);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", buf, 60), KVR_OK);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", buf, 60), KVR_OK);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", buf, 59), KVR_E_LENGTH);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", buf, 61), KVR_E_LENGTH);
	hp_down(&h);
}
END_TEST

START_TEST(a_miss_is_in_time_for_the_caller)
{
	struct hp h;
	int32_t status;
	hp_up(&h, KVR_FORMAT_LMCACHE);
	/*
	 * The daemon is asked to wait for 5 s, or for seven eighths of what the deadline leaves. On
	 * a busy machine the last one may be too short for an answer; then there is more of it.
	 */
	enum kvr_err err = KVR_E_TIMEOUT;
	for (uint64_t given_ms = 1000; err == KVR_E_TIMEOUT && given_ms <= 4000; given_ms *= 2) {
		uint64_t start = kvr_now_ns(), until_ns = start + KVR_MS(given_ms);
		err = hp_run(&h, KVR_VERB_EXISTS, "none", NULL, 0, until_ns, &status);
		if (err != KVR_OK) {
			hp_redial(&h);
			continue;
		}
		ck_assert_uint_ge(kvr_now_ns() - start, KVR_MS(given_ms / 2));
		const char *asked = strstr(h.page->last[KVR_HYPERPOD_LEASE], "?timeout_ms=");
		ck_assert_ptr_nonnull(asked);
		uint64_t ms = strtoull(asked + 12, NULL, 10);
		ck_assert_msg(ms > given_ms / 2 && ms <= given_ms * 7 / 8, "%d", (int)ms);
	}
	ck_assert_msg(err == KVR_OK && status == KVR_E_MISS, "%s", kvr_err_name(err));
	hp_down(&h);
}
END_TEST

START_TEST(settings_are_what_is_asked_for)
{
	uint8_t buf[8] = { 1 };
	struct hp h;
	hp_begin(&h, KVR_FORMAT_BARE);
	atomic_store(&h.page->miss_at_once, 1);
	h.opts.hyperpod.bucket = "team a";
	h.opts.hyperpod.lease_ttl_ms = 1250;
	h.opts.hyperpod.lease_wait_ms = 40;
	h.opts.hyperpod.max_lease_bytes = 8;
	h.opts.prefix = "x/";
	bed_up(&h.bed, &h.opts);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", buf, sizeof(buf)), KVR_OK);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", buf, sizeof(buf)), KVR_OK);
	const char *came = h.page->last[KVR_HYPERPOD_LEASE];
	ck_assert_msg(strncmp(came, "POST /v1/kv/team%20a/x%2Fk/leases?timeout_ms=40&ttl_s=1.25 ",
	                  58) == 0, "%s", came);
	put_raw(&h, "y", "123456789", 9);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "y", buf, 8), KVR_E_TOO_BIG);
	hp_says(&h, "max_lease_size");
	hp_down(&h);
}
END_TEST

START_TEST(two_requests_at_once_are_two_connections)
{
	struct load l = load_new(60, 1000);
	struct hp h;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	h.opts.hyperpod.max_concurrent_requests = 2;
	bed_up(&h.bed, &h.opts);
	bed_ok(&h.bed, KVR_VERB_PUT, l.items, l.n);
	load_wipe(&l);
	bed_ok(&h.bed, KVR_VERB_GET, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++)
		ck_assert(kvr_item_status(&l.items[i]) == KVR_OK && load_same(&l, i));
	/* Leases are given back behind the answers, and at the end only for a moment. */
	ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	bed_down(&h.bed);
	/* Kept and used again; what gives leases back has some of its own. */
	uint32_t used = atomic_load(&h.page->connections);
	ck_assert_msg(used <= 2 + 32, "%u connections", used);
	ck_assert_uint_ge(atomic_load(&h.page->requests), 180);
	hp_end(&h);
	load_free(&l);
}
END_TEST

START_TEST(statuses_mean_what_they_say)
{
	static const struct {
		enum kvr_hyperpod_what what;
		uint32_t status;
		int32_t  want;
		const char *says;
	} rows[] = { { KVR_HYPERPOD_PUT, 500, KVR_E_REFUSED, "PUT: the daemon answers HTTP 500" },
		{ KVR_HYPERPOD_PUT, 507, KVR_E_NOSPACE, "507" },
		{ KVR_HYPERPOD_PUT, 503, KVR_E_BUSY, "503" },
		{ KVR_HYPERPOD_PUT, 413, KVR_E_TOO_BIG, "413" },
		{ KVR_HYPERPOD_PUT, 204, KVR_E_REFUSED, "204" },
		{ KVR_HYPERPOD_LEASE, 500, KVR_E_REFUSED, "lease: the daemon answers HTTP 500" },
		{ KVR_HYPERPOD_LEASE, 404, KVR_E_MISS, "" },
		{ KVR_HYPERPOD_LEASE, 504, KVR_E_MISS, "" },
		{ KVR_HYPERPOD_LEASE, 301, KVR_E_REFUSED, "301" } };
	uint8_t buf[8] = { 1 };
	struct hp h;
	int32_t status;
	hp_up(&h, KVR_FORMAT_LMCACHE);
	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		enum kvr_verb verb = rows[i].what == KVR_HYPERPOD_PUT ? KVR_VERB_PUT : KVR_VERB_GET;
		atomic_store(&h.page->status[rows[i].what], rows[i].status);
		ck_assert_int_eq(hp_one(&h, verb, "k", buf, sizeof(buf)), rows[i].want);
		hp_says(&h, rows[i].says);
		atomic_store(&h.page->status[rows[i].what], 0);
	}
	atomic_store(&h.page->capacity_left, 20);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", buf, sizeof(buf)), KVR_E_NOSPACE);
	atomic_store(&h.page->status[KVR_HYPERPOD_LEASE], 403);
	ck_assert_int_eq(hp_run(&h, KVR_VERB_GET, "k", buf, 8, bed_in(BED_LONG), &status),
	    KVR_E_AUTH);
	hp_down(&h);
}
END_TEST

/* ---- what may stand in a URL and in options ---- */

static enum kvr_err
try_url(const char *url, const struct kvr_hyperpod_opts *hyperpod, char *why, size_t cap)
{
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_LMCACHE);
	const struct kvr_connector_ops *ops = kvr_connector_find(url);
	struct kvr_store *store = NULL;
	if (hyperpod != NULL)
		opts.hyperpod = *hyperpod;
	ck_assert_ptr_eq(ops, &kvr_hyperpod_ops);
	enum kvr_err err = ops->open(&opts, &store, why, cap);
	ops->close(store);
	return err;
}

START_TEST(urls_that_cannot_be_meant_are_refused)
{
	static const char *const bad[][2] = { { "h", "host:9200" }, { ":9200", "host" },
		{ "a:1,b:2", "one host" }, { "u:p@h:9200", "login" }, { "h:9200/x", "path" },
		{ "h:9200?nonsense=1", "nonsense" }, { "h:9200?bucket=a&bucket=b", "twice" },
		{ "h:9200?bucket=", "empty" }, { "h:9200?shared_memory_name=a/b", "no name" },
		{ "h:9200?shared_memory_name=..", "no name" }, { "h:9200#x", "" },
		{ "$KVR_TEST_NOT_SET:9200", "KVR_TEST_NOT_SET" } };
	static const char *const good[] = { "h:9200", "h:9200/", "[::1]:9200", "http://h:9200",
		"https://h:9200", "$KVR_TEST_NODE:9200", "${KVR_TEST_NODE}:9200",
		"h:9200?bucket=b&shared_memory_name=ai_toolkit_cache" };
	char url[200], why[256];
	setenv("KVR_TEST_NODE", "10.0.0.7", 1);
	unsetenv("KVR_TEST_NOT_SET");
	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		snprintf(url, sizeof(url), "sagemaker-hyperpod://%s", bad[i][0]);
		why[0] = '\0';
		ck_assert_int_eq(try_url(url, NULL, why, sizeof(why)), KVR_E_CONFIG);
		ck_assert_msg(why[0] != '\0' && strstr(why, bad[i][1]) != NULL, "%s: %s", url, why);
	}
	for (size_t i = 0; i < KVR_LEN(good); i++) {
		snprintf(url, sizeof(url), "sagemaker-hyperpod://%s", good[i]);
		ck_assert_msg(try_url(url, NULL, why, sizeof(why)) == KVR_OK, "%s: %s", url, why);
	}
	const struct kvr_hyperpod_opts both = { .bucket = "x" };
	ck_assert_int_eq(
	    try_url("sagemaker-hyperpod://h:1?bucket=y", &both, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_msg(strstr(why, "keep one") != NULL, "%s", why);
}
END_TEST

START_TEST(what_the_daemon_has_no_place_for_is_refused)
{
	struct kvr_store_opts rows[9];
	char why[256];
	for (size_t i = 0; i < KVR_LEN(rows); i++)
		rows[i] = bed_opts("sagemaker-hyperpod://h:1", KVR_FORMAT_LMCACHE);
	rows[0].format = KVR_FORMAT_SEALED;
	rows[1].n_groups = 2;
	rows[2].password = "x";
	rows[3].ttl_ms = 1;
	rows[4].capacity = 1;
	rows[5].tmp_dir = "x";
	rows[6].tls.ca = "/ca.pem";
	rows[7].url = "sagemaker-hyperpod://https://h:1";
	rows[7].tls.ca = "/no/such/file.pem";
	rows[8].url = "sagemaker-hyperpod://https://h:1";
	rows[8].tls.server_name = "other";
	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		struct kvr_store *store = NULL;
		why[0] = '\0';
		ck_assert_int_eq(
		    kvr_hyperpod_ops.open(&rows[i], &store, why, sizeof(why)), KVR_E_CONFIG);
		ck_assert_str_ne(why, "");
	}
}
END_TEST

KVR_CHECK_MAIN("connectors.hyperpod", the_worked_exchange_goes_as_documented,
    every_byte_of_a_key_is_encoded_as_the_client_does_it, a_header_says_what_of_an_object_counts,
    without_a_header_the_lease_must_be_as_long_as_the_place, a_miss_is_in_time_for_the_caller,
    settings_are_what_is_asked_for, two_requests_at_once_are_two_connections,
    statuses_mean_what_they_say, urls_that_cannot_be_meant_are_refused,
    what_the_daemon_has_no_place_for_is_refused)
