/* SPDX-License-Identifier: Apache-2.0 */
/* The deployments that people copy, and the schema that their editors read. */
#include "kvr_check.h"
#include "kvr_config_test.h"

#include <dirent.h>
#include <stdlib.h>

static struct kvr_config *
load(const char *name)
{
	struct kvr_said said;
	struct kvr_config_opts opts = kvr_test_opts(&said);
	struct kvr_config *cfg = NULL;
	char path[512], why[600] = "";

	snprintf(path, sizeof(path), "%s/%s", KVR_EXAMPLES, name);
	ck_assert_msg(kvr_config_load(path, &opts, &cfg, why, sizeof(why)) == KVR_OK, "%s", why);
	ck_assert_str_eq(said.text, "");
	return cfg;
}

START_TEST(embedded)
{
	struct kvr_config *cfg = load("embedded.json");

	ck_assert_uint_eq(cfg->n_tiers, 2);
	ck_assert_str_eq(cfg->tier[0].url, "memory://");
	ck_assert_uint_eq(cfg->tier[1].write, KVR_CONFIG_WRITE_BACK);
	ck_assert_str_eq(cfg->tier[1].url, "fs://" KVR_EXAMPLES "/cache");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(redis)
{
	struct kvr_config *cfg = load("redis.json");

	ck_assert_uint_eq(cfg->n_tiers, 1);
	ck_assert_uint_eq(cfg->tier[0].lanes.bulk, 4);
	ck_assert_int_eq(cfg->engine.worker_id, 3);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(redis_over_tls)
{
	struct kvr_config *cfg = load("redis-tls.json");

	ck_assert_str_eq(cfg->tier[0].tls.ca, "/etc/kvrelay/ca.pem");
	ck_assert_str_eq(cfg->tier[0].tls.cert, "/etc/kvrelay/client.pem");
	ck_assert_str_eq(cfg->tier[0].tls.key, "/etc/kvrelay/client.key");
	ck_assert_uint_eq(cfg->tier[0].tls.verify, KVR_CONFIG_VERIFY_ON);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(two_tiers)
{
	struct kvr_config *cfg = load("two-tiers-redis.json");

	ck_assert_uint_eq(cfg->n_tiers, 2);
	ck_assert_uint_eq(cfg->tier[1].serde, KVR_CONFIG_SERDE_ZSTD);
	ck_assert_uint_eq(cfg->tier[1].format, KVR_CONFIG_FORMAT_SEALED);
	ck_assert_uint_eq(cfg->engine.layout.n_groups, 1);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(files_with_zstd)
{
	struct kvr_config *cfg = load("fs-zstd.json");

	ck_assert_str_eq(cfg->tier[0].url, "fs:///var/cache/kvrelay");
	ck_assert_str_eq(cfg->engine.fingerprint, "rev-1");
	ck_assert_uint_eq(cfg->serde.threads, 4);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(hyperpod)
{
	struct kvr_config *cfg = load("hyperpod.json");

	ck_assert_str_eq(cfg->tier[1].url, "sagemaker-hyperpod://10.0.0.7:9200");
	ck_assert_uint_eq(cfg->tier[1].format, KVR_CONFIG_FORMAT_LMCACHE);
	ck_assert_str_eq(cfg->tier[1].hyperpod.shared_memory_name, "ai_toolkit_cache");
	ck_assert_uint_eq(cfg->tier[1].hyperpod.lease_wait_ns, KVR_MS(200));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(eic)
{
	struct kvr_config *cfg = load("eic.json");

	ck_assert_str_eq(cfg->tier[0].url, "eic://10.0.0.1:12500;10.0.0.2:12500");
	ck_assert_str_eq(cfg->tier[0].eic.library, "/usr/local/lib/libkvr_eic.so");
	ck_assert_str_eq(cfg->tier[0].eic.flag_file, "/etc/eic.flags");
	ck_assert_uint_eq(cfg->tier[0].eic.trans_type, 2);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(lmcache)
{
	struct kvr_config *cfg = load("lmcache.json");

	ck_assert(cfg->flat);
	ck_assert(cfg->lmcache.save_unfull_chunk);
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_LMCACHE);
	kvr_config_free(cfg);
}
END_TEST

/* So that an example cannot be added without a test of its own. */
START_TEST(no_example_is_forgotten)
{
	DIR *dir = opendir(KVR_EXAMPLES);
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		const char *dot = strrchr(entry->d_name, '.');

		if (dot != NULL && strcmp(dot, ".json") == 0) {
			kvr_config_free(load(entry->d_name));
			n++;
		}
	}
	closedir(dir);
	ck_assert_int_eq(n, 10);
}
END_TEST

static char *
text_of(size_t print(char *, size_t))
{
	size_t len = print(NULL, 0);
	char *text = malloc(len + 1);

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(print(text, len + 1), len);
	return text;
}

/* KVR_BLESS=1 writes the file anew; the diff is then the change of the schema. */
START_TEST(the_schema_is_up_to_date)
{
	char *want = text_of(kvr_config_schema);
	size_t len = strlen(want);
	char *is = calloc(1, len + 2);
	FILE *file;

	if (getenv("KVR_BLESS") != NULL) {
		file = fopen(KVR_SCHEMA, "w");
		ck_assert_ptr_nonnull(file);
		ck_assert_uint_eq(fwrite(want, 1, len, file), len);
		ck_assert_int_eq(fclose(file), 0);
	}
	file = fopen(KVR_SCHEMA, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(is);
	ck_assert_uint_eq(fread(is, 1, len + 1, file), len);
	fclose(file);
	ck_assert_msg(strcmp(is, want) == 0, "run this test with KVR_BLESS=1");
	free(is);
	free(want);
}
END_TEST

START_TEST(help_names_every_option_with_its_default)
{
	char *text = text_of(kvr_config_help);

	ck_assert_ptr_nonnull(strstr(text,
	    "memory.staging\n"
	    "    limit of the memory that values pass through, per process; taken as needed\n"
	    "    size, 1MiB to 64TiB; default 2GiB\n"));
	ck_assert_ptr_nonnull(strstr(text, "tiers.NAME.write\n"
	                                   "    through: a put waits for this tier; back: it does "
	                                   "not; never: nothing is put here\n"
	                                   "    through, back, never; default through\n"));
	free(text);
}
END_TEST

KVR_CHECK_MAIN("config.examples", embedded, redis, redis_over_tls, two_tiers, files_with_zstd,
    hyperpod, eic, lmcache, no_example_is_forgotten, the_schema_is_up_to_date,
    help_names_every_option_with_its_default)
