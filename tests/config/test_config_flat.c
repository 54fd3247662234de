/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's keys: its defaults, its way to read values, and what is said about the rest. */
#include "kvr_check.h"
#include "kvr_config_test.h"

static struct kvr_config *
parse(const char *text, struct kvr_said *said)
{
	struct kvr_config_opts opts = kvr_test_opts(said);
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	ck_assert_msg(kvr_config_parse(text, strlen(text), &opts, &cfg, why, sizeof(why)) == KVR_OK,
	    "%s", why);
	return cfg;
}

START_TEST(a_url_alone_gives_lmcaches_defaults)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_url\":\"redis://h:1\"}", &said);

	ck_assert_str_eq(said.text, "");
	ck_assert(cfg->flat);
	ck_assert_uint_eq(cfg->keys, KVR_CONFIG_KEYS_LMCACHE);
	ck_assert_uint_eq(cfg->n_tiers, 1);
	ck_assert_str_eq(cfg->tier[0].name, "remote");
	ck_assert_str_eq(cfg->tier[0].url, "redis://h:1");
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_LMCACHE);
	ck_assert_uint_eq(cfg->tier[0].serde, KVR_CONFIG_SERDE_NAIVE);
	ck_assert(cfg->tier[0].save_chunk_meta);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_SEC(10));
	ck_assert_uint_eq(cfg->timeouts.lookup_ns, KVR_SEC(3));
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 256);
	ck_assert_uint_eq(cfg->memory.objects_bytes, KVR_MIB(5120));
	ck_assert(!cfg->memory.hugepages);
	ck_assert(!cfg->lmcache.save_unfull_chunk);
	ck_assert(!cfg->lmcache.mla_worker_id_as0);
	ck_assert_uint_eq(cfg->lmcache.ping_timeout_ns, KVR_SEC(5));
	ck_assert_uint_eq(cfg->lmcache.ping_interval_ns, KVR_SEC(30));
	ck_assert_uint_eq(cfg->lmcache.get_blocking_failed_threshold, 10);
	ck_assert_uint_eq(cfg->lmcache.waiting_time_for_recovery_ns, KVR_SEC(300));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(every_key_is_mapped_in_its_own_units)
{
	struct kvr_said said;
	struct kvr_config *cfg =
	    parse("{\"remote_url\":\"fs://host:1/data\",\"remote_serde\":\"kivi\","
	          "\"blocking_timeout_secs\":2.5,\"chunk_size\":\"128\",\"lookup_timeout_ms\":700,"
	          "\"max_local_cpu_size\":1.5,\"local_cpu_use_hugepages\":\" True \","
	          "\"save_unfull_chunk\":1,\"enable_async_loading\":true,\"cache_policy\":\"LRU\","
	          "\"extra_config\":{\"save_chunk_meta\":\"yes\",\"ping_timeout\":1,\"ping_"
	          "interval\":\"2\","
	          "\"get_blocking_failed_threshold\":3,\"waiting_time_for_recovery\":0.5,"
	          "\"remote_enable_mla_worker_id_as0\":true,\"use_exists_sync\":false,"
	          "\"fs_connector_relative_tmp_dir\":\"tmp\",\"save_only_first_rank\":true}}",
	        &said);

	ck_assert_str_eq(said.text, "");
	ck_assert_uint_eq(cfg->tier[0].serde, KVR_CONFIG_SERDE_KIVI);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_MS(2500));
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 128);
	ck_assert_uint_eq(cfg->timeouts.lookup_ns, KVR_MS(700));
	ck_assert_uint_eq(cfg->memory.objects_bytes, KVR_MIB(1536));
	ck_assert(cfg->memory.hugepages);
	ck_assert(cfg->lmcache.save_unfull_chunk);
	ck_assert(!cfg->tier[0].save_chunk_meta); /* "yes" is false, as LMCache reads it */
	ck_assert_uint_eq(cfg->lmcache.ping_timeout_ns, KVR_SEC(1));
	ck_assert_uint_eq(cfg->lmcache.ping_interval_ns, KVR_SEC(2));
	ck_assert_uint_eq(cfg->lmcache.get_blocking_failed_threshold, 3);
	ck_assert_uint_eq(cfg->lmcache.waiting_time_for_recovery_ns, KVR_MS(500));
	ck_assert(cfg->lmcache.mla_worker_id_as0);
	ck_assert_str_eq(cfg->tier[0].tmp_dir, "tmp");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(groups_of_the_tier_form_may_stand_beside)
{
	struct kvr_said said;
	struct kvr_config *cfg =
	    parse("{\"$schema\":\"x\",\"remote_url\":\"redis://h:1\","
	          "\"trace\":{\"size\":\"1MiB\"},\"engine\":{\"use_mla\":true}}",
	        &said);

	ck_assert_str_eq(said.text, "");
	ck_assert_uint_eq(cfg->trace.size_bytes, KVR_MIB(1));
	ck_assert(cfg->lmcache.mla_worker_id_as0); /* follows use_mla */
	kvr_config_free(cfg);
}
END_TEST

START_TEST(valkey_and_resp_have_options_of_their_own)
{
	struct kvr_said said;
	struct kvr_config *cfg =
	    parse("{\"remote_url\":\"valkey://h:1\",\"extra_config\":{"
	          "\"valkey_username\":\"u\",\"valkey_password\":\"p\",\"valkey_num_workers\":4,"
	          "\"request_timeout\":2.5,\"connection_timeout\":7,\"valkey_enable_ttl\":true}}",
	        &said);

	ck_assert_str_eq(said.text, "");
	ck_assert_str_eq(cfg->tier[0].user, "u");
	ck_assert_str_eq(cfg->tier[0].password, "p");
	ck_assert_uint_eq(cfg->tier[0].lanes.bulk, 4);
	ck_assert_uint_eq(cfg->tier[0].timeout_ns, KVR_MS(2500));
	ck_assert_uint_eq(cfg->timeouts.connect_ns, KVR_SEC(7));
	ck_assert_uint_eq(cfg->tier[0].ttl_ns, KVR_SEC(86400));
	kvr_config_free(cfg);

	cfg = parse(
	    "{\"remote_url\":\"valkey://h:1\",\"extra_config\":{\"valkey_ttl_sec\":60}}", &said);
	ck_assert_uint_eq(cfg->tier[0].ttl_ns, 0);
	kvr_config_free(cfg);

	cfg = parse("{\"remote_url\":\"resp://h:1\",\"extra_config\":{\"resp_num_threads\":32,"
	            "\"username\":\"u\",\"valkey_username\":\"v\",\"save_chunk_meta\":false}}",
	    &said);
	ck_assert_str_eq(said.text,
	    "text:1:63: warning: resp_num_threads is 32; at most 15 are used\n"
	    "text:1:81: warning: valkey_username has no effect: only valkey:// reads it\n");
	ck_assert_uint_eq(cfg->tier[0].lanes.bulk, 15);
	ck_assert_str_eq(cfg->tier[0].user, "u");
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_BARE);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(what_has_no_effect_is_a_warning)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_url\":\"redis://h:1\",\n"
	                               "\"blocking_timeout_secs\":null,\n"
	                               "\"chunk_szie\":5,\n"
	                               "\"whatever\":{\"a\":[1]},\n"
	                               "\"remote_storage_plugins\":[\"fs\"],\n"
	                               "\"audit_actual_remote_url\":null,\n"
	                               "\"extra_config\":{\n"
	                               "\"use_exists_sync\":true,\n"
	                               "\"audit_calc_checksum\":true,\n"
	                               "\"histogram_bucket_x\":[1],\n"
	                               "\"remote_storage_plugin.fs.base_path\":\"/x\",\n"
	                               "\"pnig_timeout\":3}}",
	    &said);

	ck_assert_str_eq(said.text,
	    "text:2:25: warning: blocking_timeout_secs: no wait is without end here; 10 seconds "
	    "are "
	    "used\n"
	    "text:3:1: warning: unknown key \"chunk_szie\" is ignored; nearest valid name: "
	    "\"chunk_size\"\n"
	    "text:4:1: warning: unknown key \"whatever\" is ignored\n"
	    "text:5:1: warning: remote_storage_plugins is ignored: plugins of Python cannot be "
	    "loaded\n"
	    "text:8:1: warning: use_exists_sync is ignored: a lookup never runs on an engine's "
	    "event "
	    "loop\n"
	    "text:9:1: warning: audit_calc_checksum is ignored: there is no audit wrapper\n"
	    "text:10:1: warning: histogram_bucket_x is ignored: the buckets of histograms are "
	    "fixed\n"
	    "text:11:1: warning: remote_storage_plugin.fs.base_path is ignored: plugins of Python "
	    "cannot be loaded\n"
	    "text:12:1: warning: unknown key \"pnig_timeout\" is ignored; nearest valid name: "
	    "\"ping_timeout\"\n");
	ck_assert_uint_eq(said.n_warnings, 9);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_SEC(10));
	kvr_config_free(cfg);
}
END_TEST

static const struct {
	const char *text, *why;
} wrong_flat[] = {
	{ "{\"remote_url\":null}", "text:1:15: remote_url cannot be null" },
	{ "{\"remote_url\":5}", "text:1:15: remote_url cannot be a number" },
	{ "{\"remote_url\":\"redis://h:1\",\"tiers\":[]}",
	    "text:1:29: \"tiers\" and LMCache's \"remote_url\" are both given" },
	{ "{\"remote_url\":\"redis://h:1\",\"remote_serde\":null}",
	    "text:1:44: remote_serde cannot be null" },
	{ "{\"remote_url\":\"redis://h:1\",\"remote_serde\":\"cachegen\"}",
	    "text:1:44: remote_serde \"cachegen\" is not supported: its stored form is a "
	    "Python "
	    "pickle; use \"zstd\" with the format \"sealed\", or \"naive\"" },
	{ "{\"remote_url\":\"redis://h:1\",\"remote_serde\":\"zstd\"}",
	    "text:1:44: tiers.remote: serde \"zstd\" needs the format \"sealed\"; this "
	    "tier has "
	    "\"lmcache\"" },
	{ "{\"remote_url\":\"redis://h:1\",\"blocking_timeout_secs\":\"ten\"}",
	    "text:1:53: blocking_timeout_secs is \"tens\"; it must be a duration such as "
	    "\"500ms\" (units: ns us ms s m h d)" },
	{ "{\"remote_url\":\"redis://h:1\",\"chunk_size\":0}",
	    "text:1:42: chunk_size is 0; it must be between 1 and 1048576" },
	{ "{\"remote_url\":\"redis://h:1\",\"extra_config\":5}",
	    "text:1:44: extra_config must be an object, not a number" },
	{ "{\"remote_url\":\"redis://h:1\",\"extra_config\":{\"ping_timeout\":\"x\"}}",
	    "text:1:60: ping_timeout must be a number of seconds" },
	{ "{\"remote_url\":\"valkey://h:1\",\"extra_config\":{\"tls_enable\":true}}",
	    "text:1:46: tls_enable is not supported: use a rediss:// URL; without it "
	    "everything "
	    "is sent readable" },
	{ "{\"remote_url\":\"redis://h:1\",\"trace\":{\"sise\":1}}",
	    "text:1:38: unknown key \"sise\"; nearest valid name: \"size\"" },
	{ "{\"remote_url\":\"mock://1/\"}",
	    "text:1:15: remote_url: no store has the scheme \"mock\"; there are: memory, "
	    "fs, "
	    "redis, rediss, unix, redis-sentinel, rediss-sentinel, redis-cluster, valkey, valkeys, "
	    "resp, lm, eic, sagemaker-hyperpod" },
};

START_TEST(the_service_of_the_sentinels_is_a_variable_or_redismaster)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_url\":\"redis-sentinel://h:1,i:2\"}", &said);

	ck_assert_str_eq(cfg->tier[0].sentinel.service, "redismaster");
	ck_assert_ptr_nonnull(strstr(said.text, "REDIS_SERVICE_NAME is not set"));
	kvr_config_free(cfg);
	cfg = parse("{\"remote_url\":\"redis-sentinel://h:1?service=kv\"}", &said);
	ck_assert_ptr_null(cfg->tier[0].sentinel.service);
	ck_assert_str_eq(said.text, "");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(what_would_be_wrong_to_ignore_is_an_error)
{
	for (size_t i = 0; i < KVR_LEN(wrong_flat); i++) {
		struct kvr_config *cfg = NULL;
		char why[600];

		ck_assert_msg(kvr_config_parse(wrong_flat[i].text, strlen(wrong_flat[i].text), NULL,
		                  &cfg, why, sizeof(why)) == KVR_E_CONFIG,
		    "accepted: %s", wrong_flat[i].text);
		ck_assert_str_eq(why, wrong_flat[i].why);
	}
}
END_TEST

KVR_CHECK_MAIN("config.flat", a_url_alone_gives_lmcaches_defaults,
    every_key_is_mapped_in_its_own_units, groups_of_the_tier_form_may_stand_beside,
    valkey_and_resp_have_options_of_their_own, what_has_no_effect_is_a_warning,
    the_service_of_the_sentinels_is_a_variable_or_redismaster,
    what_would_be_wrong_to_ignore_is_an_error)
