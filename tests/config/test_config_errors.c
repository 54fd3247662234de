/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of mistake, and the exact sentence that it gets. */
#include "kvr_check.h"
#include "kvr_config_test.h"

#include <sys/stat.h>
#include <unistd.h>

#define MEM          "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]"
#define ONE(keys)    "{\"tiers\":[{\"name\":\"a\"," keys "}]}"
#define ENGINE(keys) "{\"engine\":{" keys "}," MEM "}"
#define REDIS        "\"url\":\"redis://h:1\","

struct wrong {
	const char *text, *why;
};

static void
check_all(const struct wrong *wrong, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct kvr_said said;
		struct kvr_config_opts opts = kvr_test_opts(&said);
		struct kvr_config *cfg = NULL;
		char why[600] = "";

		ck_assert_msg(kvr_config_parse(wrong[i].text, strlen(wrong[i].text), &opts, &cfg,
		                  why, sizeof(why)) == KVR_E_CONFIG,
		    "accepted: %s", wrong[i].text);
		ck_assert_msg(cfg == NULL, "a config beside an error: %s", wrong[i].text);
		ck_assert_str_eq(why, wrong[i].why);
	}
}

START_TEST(what_is_no_configuration_at_all)
{
	static const struct wrong wrong[] = {
		{ "", "text:1:1: the document is empty" },
		{ "{", "text:1:2: the document ends before it is complete" },
		{ "{\n  \"a\": 1,\n}", "text:2:9: this comma is one too many" },
		{ "{\n  \"a\": 1\n  \"b\": 2\n}", "text:2:9: a ',' is missing here" },
		{ "[1]", "text:1:1: a configuration must be an object, not an array" },
		{ "{}", "text:1:1: there is neither \"tiers\" nor LMCache's \"remote_url\"" },
		{ "{\"tiers\":[]}", "text:1:10: tiers is empty: at least one is needed" },
		{ "{\"tiers\":{}}", "text:1:10: tiers must be an array of objects, not an object" },
		{ "{\"tiers\":[3]}", "text:1:11: a tier must be an object, not a number" },
		{ "{\"tiers\":[{\"url\":\"memory://\"}]}", "text:1:11: this tier has no \"name\"" },
		{ "{\"tiers\":[{\"name\":\"a\"}]}", "text:1:11: this tier has no \"url\"" },
	};

	check_all(wrong, KVR_LEN(wrong));
}
END_TEST

START_TEST(keys_that_do_not_exist_or_are_there_twice)
{
	static const struct wrong wrong[] = {
		{ "{" MEM ",\"memroy\":{}}",
		    "text:1:43: unknown key \"memroy\"; nearest valid name: \"memory\"" },
		{ "{\"teirs\":[]}",
		    "text:1:2: unknown key \"teirs\"; nearest valid name: \"tiers\"" },
		{ "{" MEM ",\"memory\":{\"stagin\":\"1GiB\"}}",
		    "text:1:53: unknown key \"stagin\"; nearest valid name: \"staging\"" },
		{ "{" MEM ",\"limits\":{\"zzzzzz\":1}}",
		    "text:1:53: unknown key \"zzzzzz\"; valid here: ops, keys, put_bytes" },
		{ "{" MEM ",\"memory.staging\":\"1GiB\"}",
		    "text:1:43: unknown key \"memory.staging\"; valid here: engine, memory, "
		    "timeouts, "
		    "limits, serde, metrics, trace, log, on_panic, rehearse, keys, tiers" },
		{ ONE("\"url\":\"memory://\",\"lanes\":{\"bulks\":1}"),
		    "text:1:50: unknown key \"bulks\"; nearest valid name: \"bulk\"" },
		{ ONE("\"url\":\"memory://\",\"Capacity\":\"1GiB\""),
		    "text:1:41: unknown key \"Capacity\"; nearest valid name: \"capacity\"" },
		{ ONE("\"url\":\"memory://\",\"name\":\"b\""),
		    "text:1:41: \"name\" is given twice; first in line 1, column 12" },
		{ "{" MEM ",\"tiers\":[]}",
		    "text:1:43: \"tiers\" is given twice; first in line 1, column 2" },
	};

	check_all(wrong, KVR_LEN(wrong));
}
END_TEST

static const struct wrong wrong_kinds[] = {
	{ "{" MEM ",\"memory\":5}", "text:1:52: memory must be an object, not a number" },
	{ "{" MEM ",\"memory\":{\"staging\":5}}",
	    "text:1:63: memory.staging must be a size such as \"512MiB\", not a number" },
	{ "{" MEM ",\"memory\":{\"staging\":\"5\"}}",
	    "text:1:63: memory.staging is \"5\"; it must be a size such as \"512MiB\" "
	    "(units: B "
	    "KiB MiB GiB TiB KB MB GB TB)" },
	{ "{" MEM ",\"timeouts\":{\"put\":\"60 s\"}}",
	    "text:1:61: timeouts.put is \"60 s\"; it must be a duration such as \"500ms\" "
	    "(units: "
	    "ns us ms s m h d)" },
	{ "{" MEM ",\"limits\":{\"ops\":\"9\"}}",
	    "text:1:59: limits.ops must be a whole number, not a text" },
	{ "{" MEM ",\"limits\":{\"ops\":9.5}}",
	    "text:1:59: limits.ops is 9.5; it must be a whole number" },
	{ "{" MEM ",\"memory\":{\"hugepages\":\"true\"}}",
	    "text:1:65: memory.hugepages must be true or false, not a text" },
	{ "{" MEM ",\"keys\":null}", "text:1:50: keys must be a text, not null" },
	{ "{" MEM ",\"keys\":\"opague\"}",
	    "text:1:50: keys cannot be \"opague\"; nearest valid value: \"opaque\"" },
	{ "{" MEM ",\"on_panic\":\"x\"}",
	    "text:1:54: on_panic cannot be \"x\"; it is one of: poison, abort" },
	{ ENGINE("\"worker_id\":3"), "text:1:24: engine.worker_id must be \"env:\" and the "
	                             "name of a variable, not a "
	                             "number" },
	{ ENGINE("\"worker_id\":\"3\""),
	    "text:1:24: engine.worker_id is \"3\"; it must name a variable, such as "
	    "\"env:RANK\"" },
	{ ENGINE("\"worker_id\":\"env:BADRANK\""),
	    "text:1:24: engine.worker_id: what the variable BADRANK holds is no rank" },
	{ "{\"metrics\":{\"listen\":\"9477\"}," MEM "}",
	    "text:1:22: metrics.listen is \"9477\"; it must be \"host:port\", "
	    "\"unix:/path\" or "
	    "\"off\"" },
	{ "{\"metrics\":{\"listen\":\":9477\"}," MEM "}",
	    "text:1:22: metrics.listen is \":9477\"; it must be \"host:port\", "
	    "\"unix:/path\" or "
	    "\"off\"" },
};

START_TEST(values_of_the_wrong_kind)
{
	check_all(wrong_kinds, KVR_LEN(wrong_kinds));
}
END_TEST

static const struct wrong wrong_numbers[] = {
	{ "{" MEM ",\"memory\":{\"staging\":\"5KiB\"}}",
	    "text:1:63: memory.staging is 5KiB; it must be between 1MiB and 64TiB" },
	{ "{" MEM ",\"memory\":{\"slot_size\":\"1B\"}}",
	    "text:1:65: memory.slot_size is 1B; it must be between 4KiB and 1TiB, or "
	    "\"auto\"" },
	{ "{" MEM ",\"timeouts\":{\"put\":\"0s\"}}",
	    "text:1:61: timeouts.put is 0s; it must be between 1ms and 1d" },
	{ "{" MEM ",\"timeouts\":{\"put\":\"99999999999999999999d\"}}",
	    "text:1:61: timeouts.put is 99999999999999999999d; it must be between 1ms and "
	    "1d" },
	{ "{" MEM ",\"limits\":{\"ops\":-3}}",
	    "text:1:59: limits.ops is -3; it must be between 4 and 1024" },
	{ "{" MEM ",\"limits\":{\"keys\":99999999999999999999999}}",
	    "text:1:60: limits.keys is 99999999999999999999999; it must be between 64 and "
	    "65536" },
	{ ONE("\"url\":\"memory://\",\"lanes\":{\"control\":9,\"bulk\":8}"),
	    "text:1:69: tiers.a: 9 control and 8 bulk lanes are more than 16" },
	{ ENGINE("\"kv_dtype\":\"bfloat16\",\"kv_shape\":[32,3,256,8,128]"),
	    "text:1:49: engine.kv_shape: number 2 (2 or 1) must be 2 or 1" },
	{ ENGINE("\"kv_dtype\":\"bfloat16\",\"kv_shape\":[32,2,256,8]"),
	    "text:1:45: engine.kv_shape must be five numbers: layers, 2 or 1, tokens, "
	    "heads, "
	    "head size" },
	{ ENGINE("\"kv_dtype\":\"bfloat16\",\"kv_shape\":[32,2,0,8,128]"),
	    "text:1:51: engine.kv_shape: number 3 (tokens) must be a whole number from 1 "
	    "to "
	    "1048576" },
	{ ENGINE("\"kv_groups\":[{\"kv_dtype\":\"bf16\",\"kv_shape\":[1,2,256,8,128]}]"),
	    "text:1:37: kv_dtype cannot be \"bf16\"" },
	{ ENGINE("\"kv_groups\":[{\"kv_dtype\":\"int8\"}]"),
	    "text:1:25: a group is an object with kv_dtype and kv_shape, and nothing "
	    "else" },
};

START_TEST(numbers_out_of_range)
{
	check_all(wrong_numbers, KVR_LEN(wrong_numbers));
}
END_TEST

#define HYPERPOD "\"url\":\"sagemaker-hyperpod://h:1\","
static const struct wrong wrong_stores[] = {
	{ ONE("\"url\":\"reddis://x:1\""), "text:1:29: tiers.a.url: no store has the "
	                                   "scheme \"reddis\"; nearest: \"redis\"" },
	{ ONE("\"url\":\"gopher://x:1\""),
	    "text:1:29: tiers.a.url: no store has the scheme \"gopher\"; there are: "
	    "memory, fs, "
	    "redis, rediss, unix, redis-sentinel, rediss-sentinel, redis-cluster, rediss-cluster, "
	    "valkey, valkeys, valkey-cluster, valkeys-cluster, resp, lm, blackhole, mock, eic, "
	    "sagemaker-hyperpod" },
	{ ONE("\"url\":\"user:secret@host\""), "text:1:29: tiers.a.url has no scheme; a "
	                                       "URL looks like \"redis://host:6379\"" },
	{ ONE("\"url\":\"memory://\",\"serde\":\"zstd\""),
	    "text:1:49: tiers.a: serde \"zstd\" needs the format \"sealed\"; this tier has "
	    "\"bare\"" },
	{ ONE("\"url\":\"memory://\",\"serde\":\"cachegen\""),
	    "text:1:49: tiers.a.serde \"cachegen\" is not supported: its stored form is a "
	    "Python "
	    "pickle; use \"zstd\" with the format \"sealed\", or \"naive\"" },
	{ ONE("\"url\":\"memory://\",\"serde\":\"planes\""),
	    "text:1:49: tiers.a: serde \"planes\" needs the format \"sealed\"; this tier has "
	    "\"bare\"" },
	{ ONE("\"url\":\"memory://\",\"serde\":\"flat\""),
	    "text:1:49: tiers.a.serde cannot be \"flat\"; it is one of: naive, zstd, "
	    "planes, kivi" },
	{ ONE("\"url\":\"memory://\",\"format\":\"lmcache\""),
	    "text:1:50: tiers.a: a store of the scheme \"memory\" cannot hold the format "
	    "\"lmcache\"; it can hold \"bare\", \"sealed\"" },
	{ ONE("\"url\":\"resp://h:1\",\"format\":\"sealed\""),
	    "text:1:51: tiers.a: a store of the scheme \"resp\" cannot hold the format "
	    "\"sealed\"; it can hold \"bare\"" },
	{ ONE("\"url\":\"lm://h:1\",\"serde\":\"zstd\""),
	    "text:1:48: tiers.a: serde \"zstd\" needs the format \"sealed\"; this tier has "
	    "\"lmcache\"" },
	{ ONE(REDIS "\"hyperpod\":{\"bucket\":\"b\"}"),
	    "text:1:64: tiers.a: hyperpod.bucket means nothing here: only sagemaker-hyperpod:// "
	    "reads it" },
	{ ONE(HYPERPOD "\"hyperpod\":{\"timeout\":\"99ms\"}"),
	    "text:1:78: tiers.a.hyperpod.timeout is 99ms; it must be between 100ms and 1d" },
	{ ONE(HYPERPOD "\"tls\":{\"ca\":\"/ca\"}"),
	    "text:1:68: tiers.a: tls.ca means nothing here: only rediss://, valkeys:// "
	    "and hyperpod.use_https speak TLS" },
	{ ONE(HYPERPOD "\"format\":\"sealed\""),
	    "text:1:65: tiers.a: a store of the scheme \"sagemaker-hyperpod\" cannot hold the "
	    "format \"sealed\"; it can hold \"lmcache\", \"bare\"" },
	{ ONE(REDIS "\"tmp_dir\":\"../x\""),
	    "text:1:53: tiers.a: tmp_dir must be a directory below the tier's own" },
};

START_TEST(stores_that_cannot_do_what_is_asked)
{
	check_all(wrong_stores, KVR_LEN(wrong_stores));
}
END_TEST

static const struct wrong contradictions[] = {
	{ "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://"
	  "\"},{\"name\":\"a\",\"url\":\"fs:///x\"}]}",
	    "text:1:50: two tiers are named \"a\"" },
	{ ONE("\"url\":\"redis://u:p@h:1\",\"password\":\"x\""),
	    "text:1:58: tiers.a: the URL names a user or password already; drop "
	    "\"password\" or "
	    "take it out of the URL" },
	{ ONE("\"url\":\"redis://u@h:1\",\"user\":\"x\""),
	    "text:1:52: tiers.a: the URL names a user or password already; drop \"user\" "
	    "or take "
	    "it out of the URL" },
	{ ONE(REDIS "\"password\":\"x\",\"password_env\":\"KV_PASSWORD\""),
	    "text:1:73: tiers.a: password and password_env are both given" },
	{ ONE(REDIS "\"password_env\":\"NOPE\""),
	    "text:1:58: tiers.a: the variable NOPE is not set" },
	{ ONE(REDIS "\"breaker\":{\"backoff_min\":\"20s\"}"),
	    "text:1:68: tiers.a: breaker.backoff_min is longer than breaker.backoff_max" },
	{ ONE(REDIS "\"promote\":{\"on\":\"never\",\"after\":2}"),
	    "text:1:75: tiers.a: promote.after means nothing when promote.on is "
	    "\"never\"" },
	{ ENGINE("\"kv_shape\":[32,2,256,8,128]"),
	    "text:1:23: engine.kv_shape needs engine.kv_dtype" },
	{ ENGINE("\"kv_dtype\":\"half\",\"chunk_tokens\":128,\"kv_shape\":[32,2,256,8,128]"),
	    "text:1:60: engine.kv_shape says 256 tokens in a chunk, engine.chunk_tokens "
	    "says "
	    "128" },
	{ ENGINE("\"kv_dtype\":\"half\",\"use_mla\":true,\"kv_shape\":[32,2,256,8,128]"),
	    "text:1:56: engine.kv_shape: with use_mla its second number is 1" },
	{ ENGINE("\"world_size\":2,\"worker_id\":\"env:RANK\""),
	    "text:1:39: engine.worker_id is 3, but engine.world_size is 2: ranks count "
	    "from 0" },
	{ "{" MEM ",\"memory\":{\"staging\":\"1MiB\",\"slot_size\":\"2MiB\"}}",
	    "text:1:63: memory.staging is 1MiB and cannot hold one slot of 2MiB" },
	{ "{\"memory\":{\"slot_size\":\"1MiB\"},\"engine\":{\"kv_dtype\":\"bfloat16\","
	  "\"kv_shape\":[32,2,256,8,128]}," MEM "}",
	    "text:1:24: memory.slot_size is 1MiB, a full chunk has 32MiB" },
	{ ONE("\"url\":\"memory://\",\"direct\":true"),
	    "text:1:50: tiers.a: direct means nothing here: only fs:// has files" },
	{ ONE("\"url\":\"memory://\",\"staged\":true"),
	    "text:1:50: tiers.a: staged means nothing here: only fs:// has disks" },
	{ ONE("\"url\":\"redis://h:1\",\"replicas\":true"),
	    "text:1:54: tiers.a: replicas means nothing here: only redis-sentinel:// and clusters "
	    "have replicas to read from" },
	{ ONE("\"url\":\"memory://\",\"faults\":\"/f\""),
	    "text:1:50: tiers.a: faults are only for a rehearsal: say \"rehearse\": true beside "
	    "\"tiers\", or take them out" },
	{ ONE("\"url\":\"fs://kv\""),
	    "text:1:29: tiers.a: \"kv\" is read as a host, and no directory follows; for a "
	    "relative one write fs://./kv" },
	{ ONE("\"url\":\"fs://kv/?password=hunter2\""),
	    "text:1:29: tiers.a: \"kv\" is read as a host, and no directory follows; for a "
	    "relative one write fs://./kv/" },
	{ ONE("\"url\":\"redis://${NOPE}:1\""),
	    "text:1:29: tiers.a.url: the variable NOPE is not set" },
	{ ONE("\"url\":\"redis://${NOPE\""), "text:1:29: tiers.a.url: \"${\" without \"}\"" },
};

#define TLS "\"url\":\"rediss://h:1\",\"tls\":"
static const struct wrong wrong_tls[] = {
	{ ONE(REDIS "\"tls\":{\"ca\":\"/ca.pem\"}"),
	    "text:1:55: tiers.a: tls.ca means nothing here: only rediss://, "
	    "valkeys:// and hyperpod.use_https speak TLS" },
	{ ONE("\"url\":\"memory://\",\"tls\":{\"verify\":\"on\"}"),
	    "text:1:57: tiers.a: tls.verify means nothing here: only rediss://, "
	    "valkeys:// and hyperpod.use_https speak TLS" },
	{ ONE(TLS "{\"key\":\"/k.pem\"}"), "text:1:57: tiers.a: tls.key needs tls.cert" },
	{ ONE(TLS "{\"crl\":\"/c.pem\",\"verify\":\"off\"}"),
	    "text:1:57: tiers.a: tls.crl is of no use where no certificate is verified" },
	{ ONE("\"url\":\"rediss://h:1?ssl_cert_reqs=none\",\"tls\":{\"crl\":\"/c.pem\"}"),
	    "text:1:76: tiers.a: tls.crl is of no use where no certificate is verified" },
	{ ONE(REDIS "\"tls\":{\"crl\":\"/c.pem\"}"),
	    "text:1:56: tiers.a: tls.crl means nothing here: only rediss://, "
	    "valkeys:// and hyperpod.use_https speak TLS" },
	{ ONE(TLS "{\"verify\":\"no\"}"),
	    "text:1:60: tiers.a.tls.verify cannot be \"no\"; nearest valid value: \"on\"" },
	{ ONE(TLS "{\"certs\":\"/c.pem\"}"),
	    "text:1:51: unknown key \"certs\"; nearest valid name: \"cert\"" },
	{ ONE(TLS "\"on\""), "text:1:50: tls must be an object, not a text" },
	{ ONE("\"url\":\"rediss://h:1?x=1&ssl_ca_certs=/a\",\"tls\":{\"ca\":\"/b\"}"),
	    "text:1:76: tiers.a: tls.ca is given, and ssl_ca_certs in the URL: keep one" },
	{ ONE("\"url\":\"rediss://h:1?ssl_cert_reqs=none\",\"tls\":{\"verify\":\"on\"}"),
	    "text:1:79: tiers.a: tls.verify is given, and ssl_cert_reqs in the URL: keep one" },
	{ ONE("\"url\":\"rediss://h:1?ssl_check_hostname=no\",\"tls\":{\"server_name\":\"x\"}"),
	    "text:1:87: tiers.a: tls.server_name is given, and ssl_check_hostname in the URL: "
	    "keep one" },
};

START_TEST(tls_where_there_is_none_or_twice)
{
	check_all(wrong_tls, KVR_LEN(wrong_tls));
}
END_TEST

#define SENTINELS "\"url\":\"redis-sentinel://h,i\","
static const struct wrong wrong_sentinels[] = {
	{ ONE(REDIS "\"sentinel\":{\"service\":\"a\"}"),
	    "text:1:65: tiers.a: sentinel.service means nothing here: only a redis-sentinel:// URL "
	    "asks sentinels" },
	{ ONE("\"url\":\"redis-sentinel://h\""),
	    "text:1:29: tiers.a: the sentinels have to know which service is meant: set "
	    "sentinel.service, or write ?service=NAME in the URL" },
	{ ONE("\"url\":\"redis-sentinel://h?service=a\",\"sentinel\":{\"service\":\"a\"}"),
	    "text:1:82: tiers.a: sentinel.service is given, and service in the URL: keep one" },
	{ ONE(SENTINELS "\"sentinel\":{\"service\":\"a\",\"password\":\"x\",\"password_env\":"
	    "\"KV_PASSWORD\"}"), "text:1:108: tiers.a: sentinel.password and "
	    "sentinel.password_env are both given" },
	{ ONE(SENTINELS "\"sentinel\":{\"service\":\"a\",\"password_env\":\"NOPE\"}"),
	    "text:1:93: tiers.a: the variable NOPE is not set" },
};

START_TEST(sentinels_that_are_not_asked_or_know_not_what)
{
	check_all(wrong_sentinels, KVR_LEN(wrong_sentinels));
}
END_TEST

START_TEST(a_server_that_is_not_verified_is_a_warning)
{
	static const char *const texts[] = { ONE(TLS "{\"verify\":\"off\"}"),
		ONE("\"url\":\"rediss://h:1?ssl_cert_reqs=none\""),
		"{\"remote_url\":\"rediss://h:1?ssl_cert_reqs=none\"}" };

	for (size_t i = 0; i < KVR_LEN(texts); i++) {
		struct kvr_said said;
		struct kvr_config_opts opts = kvr_test_opts(&said);
		struct kvr_config *cfg = NULL;
		char why[256] = "";

		ck_assert_msg(kvr_config_parse(texts[i], strlen(texts[i]), &opts, &cfg, why,
		                  sizeof(why)) == KVR_OK, "%s", why);
		ck_assert_uint_eq(said.n_warnings, 1);
		ck_assert_ptr_nonnull(strstr(said.text, "warning: tiers."));
		ck_assert_ptr_nonnull(strstr(said.text, "certificate is not verified"));
		kvr_config_free(cfg);
	}
}
END_TEST

/* The host of LMCache's form, which has a port, is no mistake. */
START_TEST(a_directory_that_is_read_as_a_host_is_told_where_the_files_go)
{
	static const struct {
		const char *text, *said;
	} urls[] = {
		{ ONE("\"url\":\"fs://kv/x\""),
		    "text:1:29: warning: tiers.a: files go to /x, for \"kv\" is read as a host; "
		    "for a relative directory write fs://./kv/x\n" },
		{ ONE("\"url\":\"fs://kv/x,/y\""),
		    "text:1:29: warning: tiers.a: files go to /x,/y, for \"kv\" is read as a "
		    "host; for a relative directory write fs://./kv/x,/y\n" },
		{ "{\"remote_url\":\"fs://kv/x\"}",
		    "text:1:15: warning: tiers.remote: files go to /x, for \"kv\" is read as a "
		    "host; for a relative directory write fs://./kv/x\n" },
		{ ONE("\"url\":\"fs://./kv/x\""), "" },
		{ ONE("\"url\":\"fs:///kv/x\""), "" },
		{ ONE("\"url\":\"fs://kv:0/x\""), "" },
		{ ONE("\"url\":\"blackhole://kv/x\""), "" },
	};

	for (size_t i = 0; i < KVR_LEN(urls); i++) {
		struct kvr_said said;
		struct kvr_config_opts opts = kvr_test_opts(&said);
		struct kvr_config *cfg = NULL;
		char why[256] = "";

		ck_assert_msg(kvr_config_parse(urls[i].text, strlen(urls[i].text), &opts, &cfg, why,
		                  sizeof(why)) == KVR_OK, "%s", why);
		ck_assert_str_eq(said.text, urls[i].said);
		kvr_config_free(cfg);
	}
}
END_TEST

START_TEST(values_that_contradict_each_other)
{
	check_all(contradictions, KVR_LEN(contradictions));
}
END_TEST

START_TEST(too_many_tiers_are_named_at_the_first_one_that_is_too_much)
{
	struct kvr_config *cfg = NULL;
	char text[2048] = "{\"tiers\":[\n", why[200];
	size_t len = strlen(text);

	for (int i = 0; i < KVR_TIERS_MAX + 1; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s{\"name\":\"t%d\",\"url\":\"memory://\"}\n", i == 0 ? "" : ",", i);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "]}");
	ck_assert_int_eq(kvr_config_parse(text, len, NULL, &cfg, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_str_eq(why, "text:10:2: more than 8 tiers");
}
END_TEST

START_TEST(all_errors_are_told_with_their_lines_and_carets)
{
	static const char text[] =
	    "{\n"
	    "\t\"limits\": { \"ops\": 0 },\n"
	    "  \"tiers\": [\n"
	    "    { \"name\": \"a\", \"url\": \"memory://\", \"wirte\": \"back\" }\n"
	    "  ]\n"
	    "}\n";
	struct kvr_said said;
	struct kvr_config_opts opts = kvr_test_opts(&said);
	struct kvr_config *cfg = NULL;

	ck_assert_int_eq(kvr_config_parse(text, strlen(text), &opts, &cfg, NULL, 0), KVR_E_CONFIG);
	ck_assert_str_eq(said.lines,
	    "text:2:21: limits.ops is 0; it must be between 4 and 1024\n"
	    "  \t\"limits\": { \"ops\": 0 },\n"
	    "  \t                   ^\n"
	    "text:4:40: unknown key \"wirte\"; nearest valid name: \"write\"\n"
	    "      { \"name\": \"a\", \"url\": \"memory://\", \"wirte\": \"back\" }\n"
	    "                                         ^\n");
}
END_TEST

START_TEST(no_secret_is_ever_printed)
{
	static const char text[] =
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"redis://kv:hunter2@h:1?password=hunter2&db=1\","
	    " \"password\" : \"hunter2\", \"x\":1, \"password_env\":\"SHOWN\"}]}";
	static const char broken[] = "{\"tiers\":[{\"password\":\"hunter2\" \"url\":1";
	static const char open_text[] =
	    "{\"url\":\"redis://:hun@ter2@h:1\", \"password\":\"hunter2";
	static const char *const texts[] = { text, broken, open_text };

	for (size_t i = 0; i < KVR_LEN(texts); i++) {
		struct kvr_said said;
		struct kvr_config_opts opts = kvr_test_opts(&said);
		struct kvr_config *cfg = NULL;

		ck_assert_int_eq(kvr_config_parse(texts[i], strlen(texts[i]), &opts, &cfg, NULL, 0),
		    KVR_E_CONFIG);
		ck_assert_str_ne(said.lines, "");
		ck_assert_msg(strstr(said.lines, "ter2") == NULL, "%s", said.lines);
		ck_assert_msg(strstr(said.lines, "***") != NULL, "%s", said.lines);
		ck_assert_msg(i > 0 || strstr(said.lines, "SHOWN") != NULL, "%s", said.lines);
	}
}
END_TEST

/* Whoever makes a mistake in a line with a password has written the password all the same. */
START_TEST(no_secret_is_printed_for_a_slip_of_the_finger)
{
#define SLIP(text) "{\"tiers\":[{\"name\":\"a\",\"url\":\"redis://h:1\"," text "}]}"
	static const char *const texts[] = { SLIP("\"pasword\":\"hunter2\""),
		SLIP("\"pas sword\":\"hunter2\""), SLIP("\"valkey_psasword\":\"hunter2\""),
		SLIP("\"passphrase\":\"hunter2\""), SLIP("\"password\" \"hunter2\""),
		SLIP("\"password\": ,\"hunter2\""), SLIP("\"password\":\" \"hunter2\""),
		SLIP("\"password\": \"hunter2\":"), SLIP("\"password\":hunter2"), SLIP("password\":\"hunter2\""),
		SLIP("\"pass\"word\":\"hunter2\""), SLIP("\"p\\assword\":\"hunter2\""),
		"{\"remote_url\":\"redis:/u:hunter2@h:1\"}", "{\"remote_url\":\"redis//u:hunter2@h:1\"}",
		"{\"remote_url\":\"redis://u:hunter2\"@h:1\"}", "{\"remote_url\":\"redis://u:hunter2@h:1\":}" };

	for (size_t i = 0; i < KVR_LEN(texts); i++) {
		struct kvr_said said;
		struct kvr_config_opts opts = kvr_test_opts(&said);
		struct kvr_config *cfg = NULL;

		ck_assert_int_eq(kvr_config_parse(texts[i], strlen(texts[i]), &opts, &cfg, NULL, 0),
		    KVR_E_CONFIG);
		ck_assert_msg(strchr(said.lines, '^') != NULL, "no line: %s", texts[i]);
		ck_assert_msg(strstr(said.lines, "unter2") == NULL, "%s", said.lines);
	}
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
	struct kvr_config *cfg = NULL;
	char why[200];

	ck_assert_int_eq(
	    kvr_config_load("/nonexistent/kv.json", NULL, &cfg, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_str_eq(why, "/nonexistent/kv.json: No such file or directory");
	ck_assert_int_eq(kvr_config_load("/", NULL, &cfg, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_str_eq(why, "/: Is a directory");
	ck_assert_ptr_null(cfg);
}
END_TEST

START_TEST(a_pipe_without_a_writer_is_empty)
{
	char dir[] = "/tmp/kvr-config-XXXXXX", path[64], why[200], want[256];
	struct kvr_config *cfg = NULL;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(kvr_config_load(path, NULL, &cfg, why, sizeof(why)), KVR_E_CONFIG);
	snprintf(want, sizeof(want), "%s:1:1: the document is empty", path);
	ck_assert_str_eq(why, want);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

KVR_CHECK_MAIN("config.errors", what_is_no_configuration_at_all,
    keys_that_do_not_exist_or_are_there_twice, values_of_the_wrong_kind, numbers_out_of_range,
    stores_that_cannot_do_what_is_asked, tls_where_there_is_none_or_twice,
    sentinels_that_are_not_asked_or_know_not_what, a_server_that_is_not_verified_is_a_warning,
    a_directory_that_is_read_as_a_host_is_told_where_the_files_go,
    values_that_contradict_each_other, too_many_tiers_are_named_at_the_first_one_that_is_too_much,
    all_errors_are_told_with_their_lines_and_carets, no_secret_is_ever_printed,
    no_secret_is_printed_for_a_slip_of_the_finger, a_file_that_is_not_there_is_named,
    a_pipe_without_a_writer_is_empty)
