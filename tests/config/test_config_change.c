/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides, what the embedder says of itself, and where every value came from. */
#include "kvr_check.h"
#include "kvr_config_test.h"

static const char two_tiers[] = "{\"engine\":{\"model\":\"m\",\"worker_id\":\"env:RANK\"},\n"
                                "\"tiers\":[{\"name\":\"host\",\"url\":\"memory://\"},\n"
                                "{\"name\":\"fleet\",\"url\":\"redis://h:1\",\"timeout\":\"1s\"}]}";

static struct kvr_config *
parse(const char *text, const char *const *set, uint32_t n_set)
{
	struct kvr_config_opts opts = { .env = kvr_test_env, .set = set, .n_set = n_set };
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	ck_assert_msg(kvr_config_parse(text, strlen(text), &opts, &cfg, why, sizeof(why)) == KVR_OK,
	    "%s", why);
	return cfg;
}

static void
check_origin(const struct kvr_config *cfg, const char *path, const char *want)
{
	char text[200];

	kvr_config_origin(cfg, path, text, sizeof(text));
	ck_assert_str_eq(text, want);
}

static enum kvr_err
set_one(struct kvr_config *cfg, const char *set, char why[300])
{
	return kvr_config_set(cfg, &set, 1, why, 300);
}

START_TEST(overrides_beat_the_file)
{
	static const char *const set[] = { "tiers.fleet.timeout=500ms", "memory.staging=1GiB",
		"tiers.fleet.lanes.bulk=5", "tiers.host.capacity=2GiB", "trace.keys=true",
		"engine.kv_dtype=half", "engine.kv_shape=[4, 2, 16, 2, 8]" };
	struct kvr_config *cfg = parse(two_tiers, set, KVR_LEN(set));

	ck_assert_uint_eq(cfg->tier[1].timeout_ns, KVR_MS(500));
	ck_assert_uint_eq(cfg->memory.staging_bytes, KVR_MIB(1024));
	ck_assert_uint_eq(cfg->tier[1].lanes.bulk, 5);
	ck_assert_uint_eq(cfg->tier[0].capacity_bytes, KVR_MIB(2048));
	ck_assert(cfg->trace.keys);
	ck_assert_uint_eq(cfg->engine.layout.group[0].dim[2], 16);
	check_origin(cfg, "tiers.fleet.timeout", "--set");
	check_origin(cfg, "tiers.fleet.url", "text:3:23");
	check_origin(cfg, "engine.worker_id", "text:1:36 (env RANK)");
	check_origin(cfg, "tiers.fleet.write", "default");
	check_origin(cfg, "tiers.flet.write", "no tier is named \"flet\"; there are: host, fleet");
	kvr_config_free(cfg);
}
END_TEST

static const struct {
	const char *set, *why;
} wrong_sets[] = {
	{ "tiers.fleet.timeout", "--set: an override looks like \"tiers.remote.timeout=500ms\"" },
	{ "", "--set: an override looks like \"tiers.remote.timeout=500ms\"" },
	{ "memory.stagin=1GiB", "--set: there is no option \"memory.stagin\"; nearest: "
	                        "\"memory.staging\"" },
	{ "tiers.flet.timeout=1s", "--set: no tier is named \"flet\"; there are: host, fleet" },
	{ "tiers.fleet=1", "--set: there is no option \"\"" },
	{ "tiers.fleet.timeout=1", "--set: tiers.fleet.timeout is \"1\"; it must be a duration "
	                           "such as \"500ms\" (units: ns us ms s m h d)" },
	{ "tiers.fleet.lanes.bulk=x", "--set: tiers.fleet.lanes.bulk is x; it must be a whole "
	                              "number" },
	{ "trace.keys=1", "--set: trace.keys is \"1\"; it must be true or false" },
	{ "tiers.fleet.name=host", "--set: two tiers are named \"host\"" },
	{ "tiers.host.serde=zstd", "--set: tiers.host: serde \"zstd\" needs the format "
	                           "\"sealed\"; this tier has \"bare\"" },
	{ "engine.kv_shape=[1,2", "--set: the document ends before it is complete" },
	{ "engine.kv_shape=5", "--set: engine.kv_shape must be five numbers: layers, 2 or 1, "
	                       "tokens, heads, head size" },
};

START_TEST(an_override_that_is_wrong_changes_nothing)
{
	struct kvr_config *cfg = parse(two_tiers, NULL, 0);
	char before[16384], after[16384], why[300];

	ck_assert_uint_lt(kvr_config_show(cfg, before, sizeof(before)), sizeof(before));
	for (size_t i = 0; i < KVR_LEN(wrong_sets); i++) {
		ck_assert_msg(
		    set_one(cfg, wrong_sets[i].set, why) == KVR_E_CONFIG,
		    "accepted: %s", wrong_sets[i].set);
		ck_assert_str_eq(why, wrong_sets[i].why);
		kvr_config_show(cfg, after, sizeof(after));
		ck_assert_str_eq(after, before);
	}
	ck_assert_int_eq(set_one(cfg, "tiers.host.url=fs:///x", why), KVR_OK);
	/* What followed from the old value follows from the new one. */
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_SEALED);
	ck_assert_uint_eq(cfg->tier[0].capacity_bytes, 0);
	ck_assert_int_eq(set_one(cfg, "tiers.host.serde=zstd", why), KVR_OK);
	ck_assert_uint_eq(cfg->tier[0].serde, KVR_CONFIG_SERDE_ZSTD);
	kvr_config_free(cfg);
}
END_TEST

/* Halfway there would be a range that is none. */
START_TEST(overrides_are_checked_together)
{
	static const char *const both[] = { "tiers.fleet.breaker.backoff_min=20s",
		"tiers.fleet.breaker.backoff_max=30s" };
	struct kvr_config *cfg = parse(two_tiers, NULL, 0);
	char why[300];

	ck_assert_int_eq(set_one(cfg, both[0], why), KVR_E_CONFIG);
	ck_assert_msg(kvr_config_set(cfg, both, 2, why, sizeof(why)) == KVR_OK, "%s", why);
	ck_assert_uint_eq(cfg->tier[1].breaker.backoff_min_ns, KVR_SEC(20));
	ck_assert_uint_eq(cfg->tier[1].breaker.backoff_max_ns, KVR_SEC(30));
	kvr_config_free(cfg);
}
END_TEST

/* What has been read of the environment may be cleared from it, as secrets are. */
static const char *
env_once(void *arg, const char *name)
{
	int *n = arg;

	return strcmp(name, "SECRET") == 0 && (*n)++ == 0 ? "s3cr3t" : NULL;
}

START_TEST(a_password_is_read_once)
{
	static const char text[] = "{\"tiers\":[{\"name\":\"a\",\"url\":\"redis://h:1\","
	                           "\"password_env\":\"SECRET\"}]}";
	int n = 0;
	const struct kvr_config_opts opts = { .env = env_once, .env_arg = &n };
	struct kvr_config *cfg = NULL;
	char why[300] = "";

	ck_assert_int_eq(
	    kvr_config_parse(text, strlen(text), &opts, &cfg, why, sizeof(why)), KVR_OK);
	ck_assert_msg(set_one(cfg, "tiers.a.timeout=1s", why) == KVR_OK, "%s", why);
	ck_assert_str_eq(cfg->tier[0].password, "s3cr3t");
	ck_assert_int_eq(n, 1);
	kvr_config_free(cfg);
}
END_TEST

/* They are the caller's, who may free them as soon as the configuration is read. */
START_TEST(texts_of_overrides_are_copied)
{
	static const char text[] = "{\"remote_url\":\"resp://h:1\"}";
	char password[] = "password=abc", prefix[] = "tiers.remote.prefix=kv/";
	const char *const set[] = { password, prefix };
	struct kvr_config *cfg = parse(text, set, 2);

	memset(password, 'x', strlen(password));
	memset(prefix, 'x', strlen(prefix));
	ck_assert_str_eq(cfg->tier[0].password, "abc");
	ck_assert_str_eq(cfg->tier[0].prefix, "kv/");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(the_embedder_fills_in_what_is_open)
{
	struct kvr_config *cfg = parse(two_tiers, NULL, 0);
	const struct kvr_config_identity me = {
		.model = "m", .fingerprint = "f", .world_size = 4, .worker_id = 3, .use_mla = true
	};
	char why[300];

	ck_assert_int_eq(kvr_config_identify(cfg, &me, why, sizeof(why)), KVR_OK);
	ck_assert_str_eq(cfg->engine.fingerprint, "f");
	ck_assert_uint_eq(cfg->engine.world_size, 4);
	ck_assert(cfg->engine.use_mla);
	check_origin(cfg, "engine.fingerprint", "api");
	check_origin(cfg, "engine.model", "text:1:20");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(a_contradiction_names_both_places)
{
	static const char text[] =
	    "{\"engine\":{\"model\":\"m\",\"fingerprint\":\"f\",\"world_size\":8,\"worker_id\":"
	    "\"env:RANK\","
	    "\"use_mla\":false},\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}";
	static const struct {
		struct kvr_config_identity me;
		const char *why;
	} rows[] = {
		{ { .model = "n", .worker_id = -1 },
		    "api: engine.model is \"n\", but text:1:20 says \"m\"" },
		{ { .fingerprint = "g", .worker_id = -1 },
		    "api: engine.fingerprint is \"g\", but text:1:38 says \"f\"" },
		{ { .world_size = 4, .worker_id = -1 },
		    "api: engine.world_size is 4, but text:1:55 says 8" },
		{ { .worker_id = 2 },
		    "api: engine.worker_id is 2, but text:1:69 (env RANK) says 3" },
		{ { .worker_id = -1, .use_mla = true },
		    "api: engine.use_mla is true, but text:1:90 says false" },
	};
	struct kvr_config *cfg = parse(text, NULL, 0);
	char why[300];

	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		ck_assert_int_eq(
		    kvr_config_identify(cfg, &rows[i].me, why, sizeof(why)), KVR_E_CONFIG);
		ck_assert_str_eq(why, rows[i].why);
		ck_assert(!cfg->engine.use_mla);
	}
	kvr_config_free(cfg);
}
END_TEST

START_TEST(show_hides_secrets_and_names_origins)
{
	static const char text[] =
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"redis://h:1\",\"user\":\"kv\","
	    "\"password_env\":\"KV_PASSWORD\"},{\"name\":\"b\",\"url\":\"redis://"
	    "u:hunter2@h:1\"}]}";
	struct kvr_config *cfg = parse(text, NULL, 0);
	char shown[16384], cut[32];
	size_t len = kvr_config_show(cfg, shown, sizeof(shown));

	ck_assert_uint_eq(len, strlen(shown));
	ck_assert_ptr_null(strstr(shown, "hunter2"));
	ck_assert_ptr_nonnull(strstr(
	    shown, "\ntiers.a.user                     kv                        # text:1:50\n"));
	ck_assert_ptr_nonnull(strstr(
	    shown, "\ntiers.b.url                      redis://u:***@h:1         # text:1:103\n"));
	ck_assert_ptr_nonnull(
	    strstr(shown, "\ntiers.a.password                 ***                       # default "
	                  "(env KV_PASSWORD)\n"));
	ck_assert_uint_eq(kvr_config_show(cfg, cut, sizeof(cut)), len);
	ck_assert_uint_eq(strlen(cut), sizeof(cut) - 1);
	ck_assert_uint_eq(kvr_config_show(cfg, NULL, 0), len);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(the_sum_has_a_line_per_term)
{
	static const char *const set[] = { "tiers.fleet.serde=zstd", "limits.ops=10",
		"limits.keys=100", "memory.staging=1GiB", "memory.objects=1GiB", "trace.size=1MiB",
		"tiers.host.capacity=1GiB" };
	const struct kvr_config_costs costs = { .op_bytes = 1024,
		.key_bytes = 64,
		.row_bytes = 32,
		.tier_bytes = 1024,
		.lane_bytes = 2048,
		.fixed_bytes = 1048576,
		.stack_bytes = 262144,
		.fixed_threads = 4,
		.queue_threads = 6 };
	struct kvr_config *cfg = parse(two_tiers, set, KVR_LEN(set));
	char text[4096];

	kvr_config_sum(cfg, &costs, 8, text, sizeof(text));
	ck_assert_str_eq(text,
	    "per process\n"
	    "  staging             1.0 GiB  at most, grows as needed\n"
	    "  objects             1.0 GiB  at most, grows as needed\n"
	    "  host                1.0 GiB  values of this tier, at most\n"
	    "  operations         10.0 KiB  10 operations of 1024 bytes\n"
	    "  keys                6.2 KiB  100 keys of 64 bytes\n"
	    "  rows                3.1 KiB  100 rows of 32 bytes\n"
	    "  tiers               2.0 KiB  2 tiers of 1024 bytes\n"
	    "  lanes              12.0 KiB  6 lanes of 2048 bytes\n"
	    "  runtime             1.0 MiB  tables of fixed size\n"
	    "  trace               1.0 MiB  ring, in shared memory unless trace.dir says else\n"
	    "  threads 18: 6 lanes, 2 serde, 4 of the runtime, 6 of the queues\n"
	    "  stacks              3.0 MiB  12 threads, reserved, of 262144 bytes\n"
	    "  sum 3.0 GiB\n"
	    "per node of 8 processes: 24.0 GiB, 144 threads\n");
	kvr_config_free(cfg);
}
END_TEST

/* A line behind the sum, which is of the host's memory. */
START_TEST(what_a_device_gives_is_told_besides)
{
	static const char text[] = "{\"memory\":{\"device\":\"cuda\"},"
		                           "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}";
	static const char plain[] = "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}";
	const struct kvr_config_costs costs = { 0 };
	struct kvr_config *cfg = parse(text, NULL, 0);
	char sum[4096];

	kvr_config_sum(cfg, &costs, 1, sum, sizeof(sum));
	ck_assert_ptr_nonnull(
	    strstr(sum, "\n  and of the device's memory, where it has them free: 32.3 MiB\nper node"));
	kvr_config_free(cfg);
	cfg = parse(plain, NULL, 0);
	kvr_config_sum(cfg, &costs, 1, sum, sizeof(sum));
	ck_assert_ptr_null(strstr(sum, "device"));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(lanes_past_the_page_cache_have_memory_of_their_own)
{
	static const char text[] =
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"fs:///a\",\"direct\":true,"
	    "\"lanes\":{\"control\":1,\"bulk\":4}},{\"name\":\"b\",\"url\":\"fs:///b\"}]}";
	const struct kvr_config_costs costs = { .lane_bytes = 1000 };
	struct kvr_config *cfg = parse(text, NULL, 0);
	char sum[4096];

	kvr_config_sum(cfg, &costs, 1, sum, sizeof(sum));
	ck_assert_ptr_nonnull(strstr(sum,
	    "\n  direct              5.0 MiB  5 lanes past the page cache, of 1048576 bytes\n"));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(reading_from_replicas_doubles_the_connections_of_a_cluster)
{
	static const char text[] =
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"redis-cluster://h:1\",\"replicas\":true},"
	    "{\"name\":\"b\",\"url\":\"valkeys-cluster://h:1\"},{\"name\":\"c\",\"url\":"
	    "\"redis-sentinel://h:1?service=s\",\"replicas\":true}]}";
	const struct kvr_config_costs costs = { .lane_bytes = 1000 };
	struct kvr_config *cfg = parse(text, NULL, 0);
	char sum[4096];

	kvr_config_sum(cfg, &costs, 1, sum, sizeof(sum));
	ck_assert_ptr_nonnull(
	    strstr(sum, "  288 connections of clusters at most, of 131072 bytes\n"));
	ck_assert_ptr_nonnull(
	    strstr(sum, "  6 lanes that ask replicas first, of 393216 bytes\n"));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(the_rank_is_put_in_where_it_is_known)
{
	static const char text[] = "{\"tiers\":[{\"name\":\"a\",\"url\":\"fs:///d/{rank}/r{rank}\"}],"
	                           "\"trace\":{\"dir\":\"/t/{rank}\"}}";
	const struct kvr_config_identity me = { .worker_id = 12 }, nobody = { .worker_id = -1 };
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	ck_assert_int_eq(
	    kvr_config_parse(text, sizeof(text) - 1, NULL, &cfg, why, sizeof(why)), KVR_OK);
	ck_assert_str_eq(cfg->tier[0].url, "fs:///d/{rank}/r{rank}");
	ck_assert_int_eq(kvr_config_identify(cfg, &nobody, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_str_eq(why, "api: tiers.a.url has {rank}, and the rank is not known: say "
	                      "worker_id, or name its variable in engine.worker_id");
	ck_assert_int_eq(kvr_config_identify(cfg, &me, why, sizeof(why)), KVR_OK);
	ck_assert_str_eq(cfg->tier[0].url, "fs:///d/12/r12");
	ck_assert_str_eq(cfg->trace.dir, "/t/12");
	kvr_config_free(cfg);
}
END_TEST

KVR_CHECK_MAIN("config.change", the_rank_is_put_in_where_it_is_known, overrides_beat_the_file,
    an_override_that_is_wrong_changes_nothing, overrides_are_checked_together,
    a_password_is_read_once, texts_of_overrides_are_copied, the_embedder_fills_in_what_is_open,
    a_contradiction_names_both_places, show_hides_secrets_and_names_origins,
    the_sum_has_a_line_per_term, what_a_device_gives_is_told_besides,
    lanes_past_the_page_cache_have_memory_of_their_own,
    reading_from_replicas_doubles_the_connections_of_a_cluster)
