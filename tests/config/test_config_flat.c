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

START_TEST(hyperpods_keys_have_their_own_units)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_url\":\"sagemaker-hyperpod://$NODE_IP:9200\"}", &said);

	ck_assert_str_eq(said.text, "");
	ck_assert_str_eq(cfg->tier[0].url, "sagemaker-hyperpod://$NODE_IP:9200");
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_LMCACHE);
	ck_assert_ptr_null(cfg->tier[0].hyperpod.bucket);
	ck_assert_ptr_null(cfg->tier[0].hyperpod.shared_memory_name);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.timeout_ns, KVR_SEC(5));
	ck_assert_uint_eq(cfg->tier[0].hyperpod.lease_ttl_ns, KVR_SEC(30));
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_concurrent_requests, 100);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.put_stream_chunk_bytes, 65536);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_connections, 256);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_connections_per_host, 128);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.lease_wait_ns, 0); /* as long as the timeout */
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_lease_bytes, 0); /* no limit */
	ck_assert(!cfg->tier[0].hyperpod.use_https);
	kvr_config_free(cfg);

	/* The multi-process client has another name for one of them. */
	cfg = parse("{\"remote_url\":\"sagemaker-hyperpod://h:1\",\"extra_config\":{"
	            "\"sagemaker_hyperpod_lease_ttl_ms\":20000}}", &said);
	ck_assert_str_eq(said.text, "");
	ck_assert_uint_eq(cfg->tier[0].hyperpod.lease_ttl_ns, KVR_SEC(20));
	kvr_config_free(cfg);

	cfg = parse("{\"remote_url\":\"sagemaker-hyperpod://h:1\",\"extra_config\":{"
	            "\"sagemaker_hyperpod_bucket\":\"b\","
	            "\"sagemaker_hyperpod_shared_memory_name\":\"ai_toolkit_cache\","
	            "\"sagemaker_hyperpod_max_concurrent_requests\":50,"
	            "\"sagemaker_hyperpod_max_connections\":40,"
	            "\"sagemaker_hyperpod_max_connections_per_host\":30,"
	            "\"sagemaker_hyperpod_timeout_ms\":700,"
	            "\"sagemaker_hyperpod_lease_wait_timeout_ms\":600,"
	            "\"sagemaker_hyperpod_lease_ttl_s\":2.5,"
	            "\"sagemaker_hyperpod_put_stream_chunk_bytes\":1024,"
	            "\"sagemaker_hyperpod_use_https\":true,"
	            "\"sagemaker_hyperpod_max_lease_size_mb\":3}}", &said);
	ck_assert_str_eq(said.text, "");
	ck_assert_str_eq(cfg->tier[0].hyperpod.bucket, "b");
	ck_assert_str_eq(cfg->tier[0].hyperpod.shared_memory_name, "ai_toolkit_cache");
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_concurrent_requests, 50);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_connections, 40);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_connections_per_host, 30);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.timeout_ns, KVR_MS(700));
	ck_assert_uint_eq(cfg->tier[0].hyperpod.lease_wait_ns, KVR_MS(600));
	ck_assert_uint_eq(cfg->tier[0].hyperpod.lease_ttl_ns, KVR_MS(2500));
	ck_assert_uint_eq(cfg->tier[0].hyperpod.put_stream_chunk_bytes, 1024);
	ck_assert_uint_eq(cfg->tier[0].hyperpod.max_lease_bytes, KVR_MIB(3));
	ck_assert(cfg->tier[0].hyperpod.use_https);
	kvr_config_free(cfg);
}
END_TEST

/* One scheme there, four here. */
START_TEST(valkey_has_a_header_only_when_one_is_asked_for)
{
	static const struct {
		const char *extra;
		uint32_t format;
	} rows[] = {
		{ "{}", KVR_CONFIG_FORMAT_BARE },
		{ "{\"save_chunk_meta\":false}", KVR_CONFIG_FORMAT_BARE },
		{ "{\"save_chunk_meta\":null}", KVR_CONFIG_FORMAT_BARE },
		{ "{\"save_chunk_meta\":true}", KVR_CONFIG_FORMAT_LMCACHE },
		{ "{\"save_chunk_meta\":true,\"valkey_mode\":\"cluster\"}",
		    KVR_CONFIG_FORMAT_LMCACHE },
	};

	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		struct kvr_said said;
		char text[256];

		snprintf(text, sizeof(text), "{\"remote_url\":\"valkey://h:1\",\"extra_config\":%s}",
		    rows[i].extra);
		struct kvr_config *cfg = parse(text, &said);

		ck_assert_str_eq(said.text, "");
		ck_assert_msg(cfg->tier[0].format == rows[i].format, "%s", text);
		kvr_config_free(cfg);
	}
}
END_TEST

START_TEST(a_cluster_and_tls_of_valkey_are_schemes)
{
	static const char *const rows[][2] = {
		{ "\"valkey_mode\":\"cluster\"", "valkey-cluster://u:p@h:1,i:2" },
		{ "\"valkey_mode\":\"standalone\",\"tls_enable\":true", "valkeys://u:p@h:1,i:2" },
		{ "\"tls_enable\":\"true\",\"valkey_mode\":\"cluster\",\"valkey_num_workers\":4",
		    "valkeys-cluster://u:p@h:1,i:2" },
		{ "\"tls_enable\":false,\"valkey_mode\":null", "valkey://u:p@h:1,i:2" },
	};
	struct kvr_said said;
	char text[256];

	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		snprintf(text, sizeof(text), "{\"remote_url\":\"valkey://u:p@h:1,i:2\","
		    "\"extra_config\":{%s}}", rows[i][0]);
		struct kvr_config *cfg = parse(text, &said);

		ck_assert_str_eq(cfg->tier[0].url, rows[i][1]);
		ck_assert_str_eq(said.text, "");
		ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_BARE);
		kvr_config_free(cfg);
	}
	struct kvr_config *cfg = parse("{\"remote_url\":\"valkeys-cluster://h:1\","
	    "\"extra_config\":{\"valkey_num_workers\":4}}", &said);

	ck_assert_str_eq(said.text, "");
	kvr_config_free(cfg);
	cfg = parse("{\"remote_url\":\"redis://h:1\",\"extra_config\":{\"tls_enable\":true}}", &said);
	ck_assert_ptr_nonnull(strstr(said.text, "only valkey:// reads it"));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(eics_keys_stand_at_the_top)
{
	struct kvr_said said;
	struct kvr_config *cfg =
	    parse("{\"remote_url\":\"eic://h:1;i:2/\",\"eic_instance_id\":\"u\",\"eic_kv_ns\":\"n\","
	          "\"eic_kv_ttl\":60,\"eic_log_dir\":\"/l\",\"eic_log_level\":2,\"eic_flag_file\":\"/f\","
	          "\"eic_trans_type\":0}", &said);

	ck_assert_str_eq(said.text, "");
	ck_assert_str_eq(cfg->tier[0].eic.instance_id, "u");
	ck_assert_str_eq(cfg->tier[0].eic.ns, "n");
	ck_assert_str_eq(cfg->tier[0].eic.log_dir, "/l");
	ck_assert_str_eq(cfg->tier[0].eic.flag_file, "/f");
	ck_assert_uint_eq(cfg->tier[0].eic.log_level, 2);
	ck_assert_uint_eq(cfg->tier[0].eic.trans_type, 0);
	ck_assert_uint_eq(cfg->tier[0].ttl_ns, KVR_SEC(60));
	kvr_config_free(cfg);

	cfg = parse("{\"remote_url\":\"eic://h:1\",\"eic_kv_ttl\":-1}", &said);
	ck_assert_str_eq(said.text, "");
	ck_assert_uint_eq(cfg->tier[0].ttl_ns, 0);
	kvr_config_free(cfg);

	/* What LMCache takes for what is not said. */
	cfg = parse("{\"remote_url\":\"eic://h:1\"}", &said);
	ck_assert_str_eq(said.text, "");
	ck_assert_uint_eq(cfg->tier[0].ttl_ns, 0);
	ck_assert_uint_eq(cfg->tier[0].eic.trans_type, 3);
	ck_assert_uint_eq(cfg->tier[0].eic.log_level, 1);
	ck_assert_ptr_null(cfg->tier[0].eic.ns);
	ck_assert_ptr_null(cfg->tier[0].eic.instance_id);
	ck_assert_ptr_null(cfg->tier[0].eic.log_dir);
	ck_assert_ptr_null(cfg->tier[0].eic.flag_file);
	ck_assert_ptr_null(cfg->tier[0].eic.library);
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
	                               "\"remote_storage_plugins\":null,\n"
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
	    "text:8:1: warning: use_exists_sync is ignored: a lookup never runs on an engine's "
	    "event "
	    "loop\n"
	    "text:9:1: warning: audit_calc_checksum has no effect: only audit:// reads it\n"
	    "text:10:1: warning: histogram_bucket_x is ignored: there is no such histogram here\n"
	    "text:11:1: warning: remote_storage_plugin.fs.base_path has no effect without "
	    "remote_storage_plugins\n"
	    "text:12:1: warning: unknown key \"pnig_timeout\" is ignored; nearest valid name: "
	    "\"ping_timeout\"\n");
	ck_assert_uint_eq(said.n_warnings, 8);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_SEC(10));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(a_histogram_of_lmcaches_may_have_other_bounds)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_url\":\"redis://h:1\",\"extra_config\":{\n"
	                               "\"histogram_bucket_remote_time_to_put\":[0.5, 2.5,1000],\n"
	                               "\"histogram_bucket_time_to_lookup\":[0.00001,\"2\"]}}",
	    &said);
	const struct kvr_config_bounds *put = &cfg->lmcache.histogram[KVR_HISTOGRAM_PUT];
	const struct kvr_config_bounds *lookup = &cfg->lmcache.histogram[KVR_HISTOGRAM_LOOKUP];
	uint32_t all[KVR_BOUNDS_MAX], n = kvr_config_bounds(cfg, all);

	ck_assert_str_eq(said.text, "");
	ck_assert(put->n == 3 && put->us[0] == 500 && put->us[1] == 2500 && put->us[2] == 1000000);
	ck_assert(lookup->n == 2 && lookup->us[0] == 10 && lookup->us[1] == 2000000);
	ck_assert_uint_eq(cfg->lmcache.histogram[KVR_HISTOGRAM_GET].n, 0);
	ck_assert_uint_le(n, KVR_BOUNDS_MAX);
	for (uint32_t i = 1; i < n; i++)
		ck_assert_uint_lt(all[i - 1], all[i]);
	kvr_config_free(cfg);
}
END_TEST

/* Each alone has few enough; what is counted is counted for all of them together. */
START_TEST(all_bounds_together_have_their_limit)
{
	static const char *const names[] = { "remote_time_to_get", "remote_time_to_put", "remote_time_to_get_sync" };
	char text[2048], why[512];
	int n = snprintf(text, sizeof(text), "{\"remote_url\":\"redis://h:1\",\"extra_config\":{");
	struct kvr_config_opts opts = { .schemes = NULL };
	struct kvr_config *cfg = NULL;

	for (int h = 0; h < 3; h++) {
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"histogram_bucket_%s\":[",
		    h == 0 ? "" : ",", names[h]);
		for (int i = 0; i < 20; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%d", i == 0 ? "" : ",", 3 * i + h + 11);
		n += snprintf(text + n, sizeof(text) - (size_t)n, "]");
	}
	n += snprintf(text + n, sizeof(text) - (size_t)n, "}}");
	ck_assert_int_eq(kvr_config_parse(text, (size_t)n, &opts, &cfg, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(why, " different bounds in all; at most 63"));
}
END_TEST

START_TEST(plugins_are_tiers_in_the_order_of_the_list)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_storage_plugins\":[\"fs.second\",\"redis\",\"fs\"],\n"
	                               "\"remote_url\":\"lm://h:65432\",\"remote_serde\":\"kivi\",\n"
	                               "\"extra_config\":{\"fs_base_path\":\"/a\",\n"
	                               "\"remote_storage_plugin.fs.second.base_path\":\"/b\",\n"
	                               "\"redis_url\":\"redis://r:1\"}}",
	    &said);
	static const char *const want[][2] = { { "fs-second", "fs:///b" }, { "redis", "redis://r:1" },
		{ "fs", "fs:///a" }, { "remote", "lm://h:65432" } };

	ck_assert_str_eq(said.text, "");
	ck_assert_uint_eq(cfg->n_tiers, KVR_LEN(want));
	for (uint32_t i = 0; i < cfg->n_tiers; i++) {
		ck_assert_str_eq(cfg->tier[i].name, want[i][0]);
		ck_assert_str_eq(cfg->tier[i].url, want[i][1]);
		ck_assert_uint_eq(cfg->tier[i].serde, KVR_CONFIG_SERDE_KIVI);
		ck_assert_uint_eq(cfg->tier[i].format, KVR_CONFIG_FORMAT_LMCACHE);
		/* Each has what was put there, and nothing that another one had. */
		ck_assert_uint_eq(cfg->tier[i].write, KVR_CONFIG_WRITE_THROUGH);
		ck_assert_uint_eq(cfg->tier[i].promote.on, KVR_CONFIG_PROMOTE_NEVER);
	}
	kvr_config_free(cfg);

	/* A name is compared whole; what cannot be had is left out, and said. */
	cfg = parse("{\"remote_storage_plugins\":\"fsx, redis\",\"remote_url\":\"redis://h:1\"}", &said);
	ck_assert_uint_eq(cfg->n_tiers, 1);
	ck_assert_str_eq(said.text,
	    "text:1:27: warning: remote_storage_plugins: \"fsx\" is left out: only fs and redis are "
	    "built in, and plugins of Python cannot be loaded\n"
	    "text:1:27: warning: remote_storage_plugins: \"redis\" is left out: extra_config has no "
	    "remote_storage_plugin.redis.redis_url\n");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(a_policy_that_is_none_is_recompute_and_said)
{
	struct kvr_said said;
	struct kvr_config *cfg =
	    parse("{\"remote_url\":\"fs://h:1/d\",\"extra_config\":{\"fallback_policy\":\"local_cpu\"}}", &said);

	ck_assert_uint_eq(cfg->lmcache.fallback, KVR_CONFIG_LOCAL_CPU);
	ck_assert_str_eq(said.text, "");
	kvr_config_free(cfg);
	cfg = parse("{\"remote_url\":\"fs://h:1/d\",\"extra_config\":{\"fallback_policy\":\"none\"}}", &said);
	ck_assert_uint_eq(cfg->lmcache.fallback, KVR_CONFIG_RECOMPUTE);
	ck_assert_ptr_nonnull(strstr(said.text, "neither recompute nor local_cpu"));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(layers_have_headers)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_url\":\"fs://h:1/d\",\"use_layerwise\":\"true\",\n"
	                               "\"extra_config\":{\"save_chunk_meta\":false}}",
	    &said);

	ck_assert(cfg->tier[0].save_chunk_meta);
	ck_assert_str_eq(said.text,
	    "text:1:28: warning: use_layerwise puts a header in front of each payload: "
	    "save_chunk_meta is taken as true\n");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(an_audit_is_the_real_store_and_what_is_told_of_it)
{
	static const struct {
		const char *text;
		uint32_t audit;
	} cases[] = {
		{ "{\"remote_url\":\"audit://h:1\",\"extra_config\":{"
		  "\"audit_actual_remote_url\":\"redis://r:1\"}}",
		    KVR_CONFIG_AUDIT_LOG },
		{ "{\"remote_url\":\"audit://h:1?verify=true\",\"audit_actual_remote_url\":"
		  "\"redis://r:1\"}",
		    KVR_CONFIG_AUDIT_VERIFY },
		{ "{\"remote_url\":\"audit://h:1?verify=true\",\"extra_config\":{"
		  "\"audit_actual_remote_url\":\"redis://r:1\",\"audit_verify_checksum\":false,"
		  "\"audit_calc_checksum\":true,\"audit_exclude_cmds\":\"exists,get\"}}",
		    KVR_CONFIG_AUDIT_SUM },
	};

	for (size_t i = 0; i < KVR_LEN(cases); i++) {
		struct kvr_said said;
		struct kvr_config *cfg = parse(cases[i].text, &said);

		ck_assert_str_eq(said.text, "");
		ck_assert_str_eq(cfg->tier[0].url, "redis://r:1");
		ck_assert_uint_eq(cfg->tier[0].audit, cases[i].audit);
		if (i == 2)
			ck_assert_str_eq(cfg->tier[0].audit_exclude, "exists,get");
		kvr_config_free(cfg);
	}
}
END_TEST

/* The audited store comes last, as remote_url does; what is told of it is told of no other. */
START_TEST(an_audit_beside_plugins_is_of_its_own_store)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("{\"remote_url\":\"audit://h:1?verify=true\",\n"
	                               "\"remote_storage_plugins\":[\"fs\",\"redis\"],\n"
	                               "\"extra_config\":{\"fs_base_path\":\"/a\",\n"
	                               "\"redis_url\":\"redis://r:1\",\n"
	                               "\"audit_actual_remote_url\":\"lm://h:2\",\n"
	                               "\"audit_exclude_cmds\":\"exists\"}}",
	    &said);

	ck_assert_str_eq(said.text, "");
	ck_assert_uint_eq(cfg->n_tiers, 3);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(cfg->tier[i].audit, KVR_CONFIG_AUDIT_OFF);
		ck_assert(cfg->tier[i].audit_exclude == NULL || cfg->tier[i].audit_exclude[0] == '\0');
	}
	ck_assert_str_eq(cfg->tier[2].name, "remote");
	ck_assert_str_eq(cfg->tier[2].url, "lm://h:2");
	ck_assert_uint_eq(cfg->tier[2].audit, KVR_CONFIG_AUDIT_VERIFY);
	ck_assert_str_eq(cfg->tier[2].audit_exclude, "exists");
	kvr_config_free(cfg);
}
END_TEST

static const struct {
	const char *text, *why;
} wrong_flat[] = {
#define BOUNDS(name, list) "{\"remote_url\":\"redis://h:1\",\"extra_config\":{\"histogram_bucket_" name "\":" list "}}"
	{ BOUNDS("remote_time_to_put", "5"),
	    "text:1:83: histogram_bucket_remote_time_to_put must be a list, not a number" },
	{ BOUNDS("remote_time_to_put", "[5,5]"),
	    "text:1:86: histogram_bucket_remote_time_to_put: number 2 does not come after the one before "
	    "it, in milliseconds" },
	{ BOUNDS("time_to_lookup", "[\"soon\"]"),
	    "text:1:80: histogram_bucket_time_to_lookup: number 1 is no time from 1us to 1h in seconds" },
	{ BOUNDS("time_to_lookup", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]"),
	    "text:1:131: histogram_bucket_time_to_lookup: at most 20 bounds" },
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
	{ "{\"remote_url\":\"redis://h:1\",\"trace\":{\"sise\":1}}",
	    "text:1:38: unknown key \"sise\"; nearest valid name: \"size\"" },
	{ "{\"remote_storage_plugins\":[\"gcs\"]}",
	    "text:1:27: remote_storage_plugins leaves no store that can be used" },
	{ "{\"remote_url\":\"audit://h:1\",\"remote_storage_plugins\":\"fs\","
	  "\"extra_config\":{\"fs_base_path\":\"/a\"}}",
	    "text:1:15: remote_url is audit://; it needs audit_actual_remote_url in "
	    "extra_config, the URL of the real store" },
	{ "{\"remote_url\":\"audit://h:1\"}",
	    "text:1:15: remote_url is audit://; it needs audit_actual_remote_url in "
	    "extra_config, the URL of the real store" },
	{ "{\"remote_url\":\"s3://bucket\"}",
	    "text:1:15: remote_url: no store has the scheme \"s3\"; there are: memory, "
	    "fs, "
	    "redis, rediss, unix, redis-sentinel, rediss-sentinel, redis-cluster, rediss-cluster, "
	    "valkey, valkeys, valkey-cluster, valkeys-cluster, resp, lm, blackhole, mock, eic, "
	    "sagemaker-hyperpod" },
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
    valkey_and_resp_have_options_of_their_own, valkey_has_a_header_only_when_one_is_asked_for,
    a_cluster_and_tls_of_valkey_are_schemes, hyperpods_keys_have_their_own_units,
    eics_keys_stand_at_the_top, what_has_no_effect_is_a_warning,
    the_service_of_the_sentinels_is_a_variable_or_redismaster,
    a_policy_that_is_none_is_recompute_and_said, a_histogram_of_lmcaches_may_have_other_bounds,
    all_bounds_together_have_their_limit, layers_have_headers,
    plugins_are_tiers_in_the_order_of_the_list, an_audit_is_the_real_store_and_what_is_told_of_it,
    an_audit_beside_plugins_is_of_its_own_store, what_would_be_wrong_to_ignore_is_an_error)
