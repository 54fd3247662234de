/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults, a complete deployment, units, variables and paths: text in, struct out. */
#include "kvr_check.h"
#include "kvr_config_test.h"

#include <stdlib.h>
#include <unistd.h>

static struct kvr_config *
parse(const char *text)
{
	struct kvr_said said;
	struct kvr_config_opts opts = kvr_test_opts(&said);
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	ck_assert_msg(kvr_config_parse(text, strlen(text), &opts, &cfg, why, sizeof(why)) == KVR_OK,
	    "%s", why);
	ck_assert_str_eq(said.text, "");
	return cfg;
}

START_TEST(nothing_said_gives_the_defaults_of_engine_and_memory)
{
	struct kvr_config *cfg = parse("{\"tiers\":[{\"name\":\"a\",\"url\":\"redis://h:1\"}]}");

	ck_assert_ptr_null(cfg->engine.model);
	ck_assert_ptr_null(cfg->engine.fingerprint);
	ck_assert_uint_eq(cfg->engine.world_size, 0);
	ck_assert_int_eq(cfg->engine.worker_id, -1);
	ck_assert(!cfg->engine.use_mla);
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 256);
	ck_assert_uint_eq(cfg->engine.layout.n_groups, 0);
	ck_assert_uint_eq(cfg->memory.staging_bytes, KVR_MIB(2048));
	ck_assert_uint_eq(cfg->memory.objects_bytes, KVR_MIB(4096));
	ck_assert_uint_eq(cfg->memory.slot_bytes, 0);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_SEC(10));
	ck_assert_uint_eq(cfg->timeouts.lookup_ns, KVR_SEC(3));
	ck_assert_uint_eq(cfg->timeouts.put_ns, KVR_SEC(60));
	ck_assert_uint_eq(cfg->timeouts.connect_ns, KVR_SEC(1));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(nothing_said_gives_the_defaults_of_the_runtime)
{
	struct kvr_config *cfg = parse("{\"tiers\":[{\"name\":\"a\",\"url\":\"redis://h:1\"}]}");

	ck_assert_uint_eq(cfg->limits.ops, KVR_OPS_MAX);
	ck_assert_uint_eq(cfg->limits.keys, KVR_KEYS_MAX);
	ck_assert_ptr_null(cfg->metrics.listen);
	ck_assert_ptr_null(cfg->trace.dir);
	ck_assert_uint_eq(cfg->trace.size_bytes, KVR_MIB(16));
	ck_assert_uint_eq(cfg->trace.keep, 8);
	ck_assert_uint_eq(cfg->log.level, KVR_CONFIG_LOG_INFO);
	ck_assert_uint_eq(cfg->on_panic, KVR_CONFIG_PANIC_POISON);
	ck_assert_uint_eq(cfg->keys, KVR_CONFIG_KEYS_OPAQUE);
	ck_assert(!cfg->flat);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(nothing_said_gives_the_defaults_of_a_tier)
{
	struct kvr_config *cfg = parse("{\"tiers\":[{\"name\":\"a\",\"url\":\"redis://h:1\"}]}");
	struct kvr_config_tier *t = &cfg->tier[0];

	ck_assert_uint_eq(cfg->n_tiers, 1);
	ck_assert_uint_eq(t->format, KVR_CONFIG_FORMAT_SEALED);
	ck_assert_uint_eq(t->serde, KVR_CONFIG_SERDE_NAIVE);
	ck_assert_uint_eq(t->lanes.control, 1);
	ck_assert_uint_eq(t->lanes.bulk, 2);
	ck_assert_uint_eq(t->timeout_ns, 0);
	ck_assert_uint_eq(t->write, KVR_CONFIG_WRITE_THROUGH);
	ck_assert_uint_eq(t->promote.on, KVR_CONFIG_PROMOTE_HIT);
	ck_assert_uint_eq(t->promote.after, 1);
	ck_assert_uint_eq(t->capacity_bytes, 0);
	ck_assert_uint_eq(t->ttl_ns, 0);
	ck_assert_ptr_null(t->user);
	ck_assert_ptr_null(t->password);
	ck_assert_uint_eq(t->breaker.faults, 5);
	ck_assert_uint_eq(t->breaker.backoff_min_ns, KVR_MS(100));
	ck_assert_uint_eq(t->breaker.backoff_max_ns, KVR_SEC(10));
	ck_assert(t->save_chunk_meta);
	kvr_config_free(cfg);
}
END_TEST

static const char complete[] =
    "{ \"$schema\": \"x\","
    "  \"engine\":  { \"model\": \"meta-llama/Llama-3.1-8B\", \"fingerprint\": \"rev-5206a32\","
    "    \"world_size\": 8, \"worker_id\": \"env:RANK\", \"use_mla\": false, \"chunk_tokens\": 256,"
    "    \"kv_dtype\": \"bfloat16\", \"kv_shape\": [32, 2, 256, 8, 128] },"
    "  \"memory\": { \"staging\": \"1GiB\", \"objects\": \"512MiB\", \"slot_size\": \"64MiB\","
    "    \"hugepages\": true, \"device\": \"cuda\" },"
    "  \"timeouts\": { \"blocking\": \"1.5s\", \"lookup\": \"300ms\", \"put\": \"2m\","
    "    \"connect\": \"500000us\" },"
    "  \"limits\": { \"ops\": 16, \"keys\": 1000 }, \"serde\": { \"threads\": 3 },"
    "  \"tiers\": ["
    "    { \"name\": \"host\", \"url\": \"memory://\", \"capacity\": \"1GB\" },"
    "    { \"name\": \"nvme\", \"url\": \"fs:///var/cache/kvrelay\", \"capacity\": \"500GiB\","
    "      \"free_floor\": \"20GiB\", \"serde\": \"zstd\", \"write\": \"back\", \"tmp_dir\": "
    "\"tmp\","
    "      \"save_chunk_meta\": false },"
    "    { \"name\": \"fleet\", \"url\": \"redis-cluster://10.0.0.1:7000,10.0.0.2:7000\","
    "      \"user\": \"kv\", \"password_env\": \"KV_PASSWORD\", \"format\": \"lmcache\","
    "      \"serde\": \"kivi\", \"lanes\": { \"control\": 2, \"bulk\": 3 }, \"timeout\": \"500ms\","
    "      \"write\": \"never\", \"promote\": { \"on\": \"hit\", \"after\": 2 }, \"ttl\": \"24h\","
    "      \"prefix\": \"kv:\","
    "      \"breaker\": { \"faults\": 7, \"backoff_min\": \"50ms\", \"backoff_max\": \"5s\" } } ],"
    "  \"metrics\": { \"listen\": \"127.0.0.1:94{rank}\" },"
    "  \"trace\": { \"dir\": \"/tmp/t\", \"size\": \"1MiB\", \"keys\": true, \"keep\": 2 },"
    "  \"log\": { \"level\": \"debug\" }, \"on_panic\": \"abort\", \"keys\": \"lmcache\" }";

START_TEST(a_complete_deployment_is_read_as_written)
{
	struct kvr_config *cfg = parse(complete);

	ck_assert_str_eq(cfg->engine.model, "meta-llama/Llama-3.1-8B");
	ck_assert_str_eq(cfg->engine.fingerprint, "rev-5206a32");
	ck_assert_uint_eq(cfg->engine.world_size, 8);
	ck_assert_int_eq(cfg->engine.worker_id, 3);
	ck_assert_uint_eq(cfg->engine.kv_dtype, KVR_DTYPE_BFLOAT16);
	ck_assert_uint_eq(cfg->memory.staging_bytes, KVR_MIB(1024));
	ck_assert_uint_eq(cfg->memory.objects_bytes, KVR_MIB(512));
	ck_assert_uint_eq(cfg->memory.slot_bytes, KVR_MIB(64));
	ck_assert(cfg->memory.hugepages);
	ck_assert_uint_eq(cfg->memory.device, KVR_CONFIG_DEVICE_CUDA);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_MS(1500));
	ck_assert_uint_eq(cfg->timeouts.lookup_ns, KVR_MS(300));
	ck_assert_uint_eq(cfg->timeouts.put_ns, KVR_SEC(120));
	ck_assert_uint_eq(cfg->timeouts.connect_ns, KVR_MS(500));
	ck_assert_uint_eq(cfg->limits.ops, 16);
	ck_assert_uint_eq(cfg->limits.keys, 1000);
	ck_assert_uint_eq(cfg->serde.threads, 3);
	ck_assert_uint_eq(cfg->n_tiers, 3);
	ck_assert_uint_eq(cfg->tier[0].capacity_bytes, UINT64_C(1000000000));
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_BARE);
	ck_assert_uint_eq(cfg->tier[1].free_floor_bytes, KVR_MIB(20480));
	ck_assert_uint_eq(cfg->tier[1].serde, KVR_CONFIG_SERDE_ZSTD);
	ck_assert_uint_eq(cfg->tier[1].write, KVR_CONFIG_WRITE_BACK);
	ck_assert_str_eq(cfg->tier[1].tmp_dir, "tmp");
	ck_assert(!cfg->tier[1].save_chunk_meta);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(its_last_tier_and_what_is_around_are_too)
{
	struct kvr_config *cfg = parse(complete);
	struct kvr_config_tier *t = &cfg->tier[2];

	ck_assert_str_eq(t->name, "fleet");
	ck_assert_str_eq(t->url, "redis-cluster://10.0.0.1:7000,10.0.0.2:7000");
	ck_assert_str_eq(t->user, "kv");
	ck_assert_str_eq(t->password, "hunter2");
	ck_assert_uint_eq(t->format, KVR_CONFIG_FORMAT_LMCACHE);
	ck_assert_uint_eq(t->serde, KVR_CONFIG_SERDE_KIVI);
	ck_assert_uint_eq(t->lanes.control, 2);
	ck_assert_uint_eq(t->lanes.bulk, 3);
	ck_assert_uint_eq(t->timeout_ns, KVR_MS(500));
	ck_assert_uint_eq(t->write, KVR_CONFIG_WRITE_NEVER);
	ck_assert_uint_eq(t->promote.after, 2);
	ck_assert_uint_eq(t->ttl_ns, KVR_SEC(86400));
	ck_assert_str_eq(t->prefix, "kv:");
	ck_assert_uint_eq(t->breaker.faults, 7);
	ck_assert_uint_eq(t->breaker.backoff_min_ns, KVR_MS(50));
	ck_assert_uint_eq(t->breaker.backoff_max_ns, KVR_SEC(5));
	ck_assert_str_eq(cfg->metrics.listen, "127.0.0.1:943");
	ck_assert_str_eq(cfg->trace.dir, "/tmp/t");
	ck_assert_uint_eq(cfg->trace.size_bytes, KVR_MIB(1));
	ck_assert(cfg->trace.keys);
	ck_assert_uint_eq(cfg->trace.keep, 2);
	ck_assert_uint_eq(cfg->log.level, KVR_CONFIG_LOG_DEBUG);
	ck_assert_uint_eq(cfg->on_panic, KVR_CONFIG_PANIC_ABORT);
	ck_assert_uint_eq(cfg->keys, KVR_CONFIG_KEYS_LMCACHE);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(shapes_become_the_layout_of_a_full_chunk)
{
	struct kvr_config *cfg = parse(complete);
	struct kvr_meta *m = &cfg->engine.layout;
	uint64_t bytes = 0;

	ck_assert_uint_eq(m->memfmt, KVR_MEMFMT_KV_2LTD);
	ck_assert_uint_eq(m->n_groups, 1);
	ck_assert_uint_eq(m->group[0].dtype, KVR_DTYPE_BFLOAT16);
	ck_assert_uint_eq(m->group[0].dim[0], 2);
	ck_assert_uint_eq(m->group[0].dim[1], 32);
	ck_assert_uint_eq(m->group[0].dim[2], 256);
	ck_assert_uint_eq(m->group[0].dim[3], 1024);
	ck_assert_int_eq(kvr_meta_bytes(m, &bytes), KVR_OK);
	ck_assert_uint_eq(bytes, KVR_MIB(32));
	kvr_config_free(cfg);

	/* The number of tokens is taken from the shapes where nothing else says it. */
	cfg = parse("{\"engine\":{\"use_mla\":true,\"kv_groups\":["
	            "{\"kv_dtype\":\"uint8\",\"kv_shape\":[1,1,64,1,512]},"
	            "{\"kv_shape\":[26,1,64,1,576],\"kv_dtype\":\"half\"}]},"
	            "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}");
	m = &cfg->engine.layout;
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 64);
	ck_assert_uint_eq(m->memfmt, KVR_MEMFMT_KV_MLA);
	ck_assert_uint_eq(m->n_groups, 2);
	ck_assert_uint_eq(m->group[1].dtype, KVR_DTYPE_FLOAT16);
	ck_assert_uint_eq(m->group[1].dim[1], 26);
	ck_assert_int_eq(kvr_meta_bytes(m, &bytes), KVR_OK);
	ck_assert_uint_eq(bytes, 64 * 512 + 26 * 64 * 576 * 2);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(each_scheme_has_its_default_format)
{
	static const struct {
		const char *url;
		uint32_t tier, by_url;
	} rows[] = {
		{ "memory://", KVR_CONFIG_FORMAT_BARE, KVR_CONFIG_FORMAT_BARE },
		{ "fs:///x", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_LMCACHE },
		{ "redis://h:1", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_LMCACHE },
		{ "rediss://h:1", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_LMCACHE },
		{ "unix:///s", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_LMCACHE },
		{ "redis-sentinel://h:1?service=m", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_LMCACHE },
		{ "redis-cluster://h:1", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_LMCACHE },
		{ "valkey://h:1", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_BARE },
		{ "valkeys-cluster://h:1", KVR_CONFIG_FORMAT_SEALED, KVR_CONFIG_FORMAT_BARE },
		{ "resp://h:1", KVR_CONFIG_FORMAT_BARE, KVR_CONFIG_FORMAT_BARE },
		{ "lm://h:1", KVR_CONFIG_FORMAT_LMCACHE, KVR_CONFIG_FORMAT_LMCACHE },
		{ "eic://h:1", KVR_CONFIG_FORMAT_LMCACHE, KVR_CONFIG_FORMAT_LMCACHE },
		{ "sagemaker-hyperpod://h:1", KVR_CONFIG_FORMAT_LMCACHE,
		    KVR_CONFIG_FORMAT_LMCACHE },
	};

	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		char text[256], why[200];
		struct kvr_config *cfg;

		snprintf(text, sizeof(text), "{\"tiers\":[{\"name\":\"a\",\"url\":\"%s\"}]}",
		    rows[i].url);
		cfg = parse(text);
		ck_assert_msg(cfg->tier[0].format == rows[i].tier, "%s in a tier", rows[i].url);
		kvr_config_free(cfg);
		ck_assert_int_eq(
		    kvr_config_from_url(rows[i].url, NULL, &cfg, why, sizeof(why)), KVR_OK);
		ck_assert_msg(cfg->tier[0].format == rows[i].by_url, "%s alone", rows[i].url);
		ck_assert_str_eq(cfg->tier[0].name, "remote");
		kvr_config_free(cfg);
	}
}
END_TEST

START_TEST(schemes_of_the_caller_replace_those_of_the_table)
{
	static const char *const schemes[] = { "shelf", NULL };
	struct kvr_config_opts opts = { .schemes = schemes };
	struct kvr_config *cfg = NULL;
	char why[200];

	ck_assert_int_eq(
	    kvr_config_from_url("redis://h:1", &opts, &cfg, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_str_eq(
	    why, "--url: tiers.remote.url: no store has the scheme \"redis\"; there are: shelf");
	/* What a store of an unknown scheme can hold is the store's to say. */
	ck_assert_int_eq(kvr_config_from_url("shelf://x", &opts, &cfg, why, sizeof(why)), KVR_OK);
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_DEFAULT);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(variables_are_put_into_texts_but_not_into_passwords)
{
	struct kvr_config *cfg =
	    parse("{\"tiers\":[{\"name\":\"a\",\"url\":\"fs://${KVRELAY_DIR}/x\","
	          "\"prefix\":\"$${R}${RANK}$\",\"password\":\"${RANK}\"}]}");

	ck_assert_str_eq(cfg->tier[0].url, "fs:///var/cache/kvrelay/x");
	ck_assert_str_eq(cfg->tier[0].prefix, "${R}3$");
	ck_assert_str_eq(cfg->tier[0].password, "${RANK}");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(relative_paths_count_from_the_file)
{
	static const char text[] = "{\"tiers\":[{\"name\":\"a\",\"url\":\"fs://./kv,../b,/c\"},"
	                           "{\"name\":\"b\",\"url\":\"fs://host/kv\"}],"
	                           "\"trace\":{\"dir\":\"./t\"}}";
	char dir[] = "/tmp/kvr-config-XXXXXX", path[64], want[128], why[200];
	struct kvr_config *cfg = NULL;
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/d.json", dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(kvr_config_load(path, NULL, &cfg, why, sizeof(why)), KVR_OK);
	snprintf(want, sizeof(want), "fs://%s/kv,%s/../b,/c", dir, dir);
	ck_assert_str_eq(cfg->tier[0].url, want);
	ck_assert_str_eq(cfg->tier[1].url, "fs://host/kv");
	snprintf(want, sizeof(want), "%s/t", dir);
	ck_assert_str_eq(cfg->trace.dir, want);
	kvr_config_free(cfg);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_rank_whose_variable_is_not_set_stays_open)
{
	struct kvr_config *cfg = parse("{\"engine\":{\"worker_id\":\"env:NOPE\"},"
	                               "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}");

	ck_assert_int_eq(cfg->engine.worker_id, -1);
	ck_assert_uint_eq(cfg->tier[0].capacity_bytes, KVR_MIB(1024));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(passwords_of_urls_are_not_shown)
{
	static const char *const rows[][2] = {
		{ "redis://u:p@h:1/0", "redis://u:***@h:1/0" },
		{ "redis://:p@h:1", "redis://:***@h:1" },
		{ "redis://u@h:1", "redis://***@h:1" },
		{ "redis://u:p@ss/w@h:1", "redis://u:***@h:1" },
		{ "redis://h:1?db=1&password=x&y=2", "redis://h:1?db=1&password=***&y=2" },
		{ "redis-sentinel://u:p@h:1,k:2", "redis-sentinel://u:***@h:1,k:2" },
		{ "redis://u:p", "redis://u:***" },
		{ "redis://:p", "redis://:***" },
		{ "valkeys://u:p:6379/0?db=1", "valkeys://u:***/0?db=1" },
		{ "redis-sentinel://h:1,u:p,k:2/m", "redis-sentinel://h:1,u:***/m" },
		{ "lm://h:123456", "lm://h:***" },
		{ "redis://[::1]:p", "redis://[::1]:***" },
		{ "redis://[::1]:6379", "redis://[::1]:6379" },
		{ "redis-cluster://h:1,k:65535/0", "redis-cluster://h:1,k:65535/0" },
		{ "redis://h:${PORT}", "redis://h:${PORT}" },
		{ "redis://h:700{rank}/0", "redis://h:700{rank}/0" },
		{ "redis://h:/0", "redis://h:/0" },
		{ "unix:///a:b", "unix:///a:b" },
		{ "fs:///a@b:c", "fs:///a@b:c" },
		{ "memory://", "memory://" },
		{ "", "" },
	};

	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		char text[128];
		size_t len = kvr_config_redact(rows[i][0], text, sizeof(text));

		ck_assert_str_eq(text, rows[i][1]);
		ck_assert_uint_eq(len, strlen(text));
		ck_assert_uint_eq(kvr_config_redact(rows[i][0], NULL, 0), len);
	}
}
END_TEST

/* As a shell hands over what a command writes. */
START_TEST(a_pipe_is_read_to_its_end)
{
	static const char text[] = "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}";
	char path[32], why[200];
	struct kvr_config *cfg = NULL;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(write(fd[1], text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(close(fd[1]), 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd[0]);
	ck_assert_msg(kvr_config_load(path, NULL, &cfg, why, sizeof(why)) == KVR_OK, "%s", why);
	ck_assert_str_eq(cfg->tier[0].url, "memory://");
	kvr_config_free(cfg);
	ck_assert_int_eq(close(fd[0]), 0);
}
END_TEST

KVR_CHECK_MAIN("config.values", nothing_said_gives_the_defaults_of_engine_and_memory,
    nothing_said_gives_the_defaults_of_the_runtime, nothing_said_gives_the_defaults_of_a_tier,
    a_complete_deployment_is_read_as_written, its_last_tier_and_what_is_around_are_too,
    shapes_become_the_layout_of_a_full_chunk, each_scheme_has_its_default_format,
    schemes_of_the_caller_replace_those_of_the_table,
    variables_are_put_into_texts_but_not_into_passwords, a_pipe_is_read_to_its_end,
    relative_paths_count_from_the_file, a_rank_whose_variable_is_not_set_stays_open,
    passwords_of_urls_are_not_shown)
