/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's variables: when they are read, what they beat, how they are written, what is shown. */
#include "kvr_check.h"
#include "kvr_config_test.h"

struct var {
	const char *name, *text;
};

static const char *
look_up(void *arg, const char *name)
{
	const struct var *var = arg;

	while (var->name != NULL && strcmp(var->name, name) != 0)
		var++;
	return var->text;
}

static enum kvr_err
load(const struct var *vars, const char *text, struct kvr_said *said, struct kvr_config **ret,
    char *why)
{
	struct kvr_config_opts opts = kvr_test_opts(said);

	opts.env = look_up;
	opts.env_arg = (void *)(uintptr_t)vars;
	return kvr_config_parse(text, strlen(text), &opts, ret, why, 600);
}

static struct kvr_config *
parse(const struct var *vars, const char *text, struct kvr_said *said)
{
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	ck_assert_msg(load(vars, text, said, &cfg, why) == KVR_OK, "%s", why);
	return cfg;
}

static const char *
origin(const struct kvr_config *cfg, const char *path)
{
	static char text[100];

	kvr_config_origin(cfg, path, text, sizeof(text));
	return text;
}

static const struct var all[] = {
	{ "LMCACHE_REMOTE_URL", "redis://env:1" },
	{ "LMCACHE_CHUNK_SIZE", "64" },
	{ "LMCACHE_BLOCKING_TIMEOUT_SECS", "2" },
	{ "LMCACHE_SAVE_UNFULL_CHUNK", "True" },
	{ "LMCACHE_MAX_LOCAL_CPU_SIZE", "'1.5'" },
	{ "LMCACHE_LOCAL_CPU", "False" },
	{ "LMCACHE_EXTRA_CONFIG", "{\"ping_timeout\": 7, \"save_chunk_meta\": false}" },
	{ NULL, NULL },
};

START_TEST(they_are_read_only_when_asked_for)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse(all, "{\"remote_url\":\"redis://h:1\"}", &said);

	ck_assert_str_eq(cfg->tier[0].url, "redis://h:1");
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 256);
	kvr_config_free(cfg);
	cfg = parse(all, "{\"remote_url\":\"redis://h:1\",\"lmcache_env\":false}", &said);
	ck_assert_str_eq(cfg->tier[0].url, "redis://h:1");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(alone_they_are_a_configuration)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse(all, "{\"lmcache_env\":true}", &said);
	char text[16384];

	ck_assert_str_eq(said.text, "");
	ck_assert(cfg->flat);
	ck_assert_str_eq(cfg->tier[0].url, "redis://env:1");
	ck_assert_uint_eq(cfg->tier[0].format, KVR_CONFIG_FORMAT_LMCACHE);
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 64);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_SEC(2));
	ck_assert_uint_eq(cfg->memory.objects_bytes, KVR_MIB(1536));
	ck_assert(cfg->lmcache.save_unfull_chunk);
	ck_assert_uint_eq(cfg->lmcache.ping_timeout_ns, KVR_SEC(7));
	ck_assert(!cfg->tier[0].save_chunk_meta);
	ck_assert_str_eq(origin(cfg, "tiers.remote.url"), "env LMCACHE_REMOTE_URL");
	ck_assert_str_eq(
	    origin(cfg, "tiers.remote.save_chunk_meta"), "env LMCACHE_EXTRA_CONFIG");
	kvr_config_show(cfg, text, sizeof(text));
	ck_assert(strstr(text, " redis://env:1             # env LMCACHE_REMOTE_URL\n") != NULL);
	kvr_config_free(cfg);
}
END_TEST

START_TEST(they_beat_the_file_and_set_beats_them)
{
	static const char text[] = "{\"remote_url\":\"redis://h:1\",\"chunk_size\":32,"
	                           "\"lookup_timeout_ms\":5,\"extra_config\":{\"ping_timeout\":1,"
	                           "\"ping_interval\":2}}";
	static const char *const set[] = { "engine.chunk_tokens=16" };
	struct kvr_said said;
	struct kvr_config_opts opts = kvr_test_opts(&said);
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	opts.env = look_up;
	opts.env_arg = (void *)(uintptr_t)all;
	opts.lmcache_env = true;
	opts.set = set;
	opts.n_set = 1;
	ck_assert_msg(kvr_config_parse(text, strlen(text), &opts, &cfg, why, sizeof(why)) == KVR_OK,
	    "%s", why);
	ck_assert_str_eq(cfg->tier[0].url, "redis://env:1");
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 16);
	ck_assert_uint_eq(cfg->timeouts.lookup_ns, KVR_MS(5));
	ck_assert_str_eq(origin(cfg, "timeouts.lookup"), "text:1:65");
	ck_assert_uint_eq(cfg->lmcache.ping_timeout_ns, KVR_SEC(7));
	/* The variable is the whole of extra_config, so the file's other key is gone. */
	ck_assert_uint_eq(cfg->lmcache.ping_interval_ns, KVR_SEC(30));
	kvr_config_free(cfg);
}
END_TEST

START_TEST(what_cannot_be_converted_keeps_what_was)
{
	static const struct var vars[] = {
		{ "LMCACHE_CHUNK_SIZE", "many" },
		{ "LMCACHE_BLOCKING_TIMEOUT_SECS", "" },
		{ "LMCACHE_SAVE_UNFULL_CHUNK", "yes" },
		{ "LMCACHE_EXTRA_CONFIG", "{\"ping_timeout\": 1" },
		{ NULL, NULL },
	};
	struct kvr_said said;
	struct kvr_config *cfg = parse(vars,
	    "{\"remote_url\":\"redis://h:1\",\"lmcache_env\":true,\"chunk_size\":32,"
	    "\"save_unfull_chunk\":true,\"extra_config\":{\"ping_timeout\":3}}",
	    &said);

	ck_assert_str_eq(said.text,
	    "env LMCACHE_EXTRA_CONFIG:1:19: warning: the document ends before it is complete; "
	    "the value from before is kept\n"
	    "env LMCACHE_BLOCKING_TIMEOUT_SECS: warning: blocking_timeout_secs is \"s\"; it must be "
	    "a duration such as \"500ms\" (units: ns us ms s m h d); the value from before is "
	    "kept\n"
	    "env LMCACHE_CHUNK_SIZE: warning: chunk_size is many; it must be a whole number; the "
	    "value from before is kept\n");
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 32);
	ck_assert_uint_eq(cfg->timeouts.blocking_ns, KVR_SEC(10));
	ck_assert(!cfg->lmcache.save_unfull_chunk); /* only true and 1 are true */
	ck_assert_uint_eq(cfg->lmcache.ping_timeout_ns, KVR_SEC(3));
	kvr_config_free(cfg);
}
END_TEST

/* As Python's literals; what it would refuse loses the quotes only. */
static const struct {
	const char *text, *url;
} quoted[] = {
	{ "redis://a:1", "redis://a:1" },
	{ "\"redis://a:1\"", "redis://a:1" },
	{ "'redis://a:1'", "redis://a:1" },
	{ "'redis://a:1", NULL },
	{ "\"redis://\\x61:\\061\"", "redis://a:1" },
	{ "'redis://\\u00e9:1'", "redis://\xc3\xa9:1" },
	{ "'redis://\\q:1'", "redis://\\q:1" },
	{ "'redis://a'b:1'", "redis://a'b:1" },
	{ "'redis://\\xzz:1'", "redis://\\xzz:1" },
	{ "'redis://a:1\\'", "redis://a:1\\" },
	{ "'redis://\\0:1'", "redis://\\0:1" },
};

START_TEST(quotes_are_pythons)
{
	for (size_t i = 0; i < KVR_LEN(quoted); i++) {
		const struct var vars[] = { { "LMCACHE_REMOTE_URL", quoted[i].text },
			{ NULL, NULL } };
		struct kvr_said said;
		struct kvr_config *cfg = NULL;
		char why[600] = "";
		enum kvr_err err = load(vars, "{\"lmcache_env\":true}", &said, &cfg, why);

		if (quoted[i].url == NULL) {
			ck_assert_int_eq(err, KVR_E_CONFIG);
			continue;
		}
		ck_assert_msg(err == KVR_OK, "%s: %s", quoted[i].text, why);
		ck_assert_str_eq(cfg->tier[0].url, quoted[i].url);
		kvr_config_free(cfg);
	}
}
END_TEST

static const struct var wrong_url[] = { { "LMCACHE_REMOTE_URL", "rediz://u:s3cr3t@h" },
	{ NULL, NULL } };
static const struct var none[] = { { NULL, NULL } };
static const struct {
	const struct var *vars;
	const char *text, *why;
} wrong[] = {
	{ none, "{\"lmcache_env\":true}",
	    "text:1:1: there is no \"remote_url\", and LMCACHE_REMOTE_URL is not set" },
	{ wrong_url, "{\"lmcache_env\":true}",
	    "env LMCACHE_REMOTE_URL: remote_url: no store has the scheme \"rediz\"; nearest: "
	    "\"redis\"" },
	{ none, "{\"lmcache_env\":\"yes\",\"remote_url\":\"redis://h:1\"}",
	    "text:1:16: lmcache_env must be true or false, not a text" },
	{ all, "{\"lmcache_env\":true,\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    "text:1:16: lmcache_env is for LMCache's own keys: it has no effect on \"tiers\"" },
};

START_TEST(what_would_be_wrong_to_ignore_is_an_error)
{
	for (size_t i = 0; i < KVR_LEN(wrong); i++) {
		struct kvr_said said;
		struct kvr_config *cfg = NULL;
		char why[600] = "";

		ck_assert_int_eq(load(wrong[i].vars, wrong[i].text, &said, &cfg, why), KVR_E_CONFIG);
		ck_assert_str_eq(why, wrong[i].why);
	}
}
END_TEST

KVR_CHECK_MAIN("config.env", they_are_read_only_when_asked_for, alone_they_are_a_configuration,
    they_beat_the_file_and_set_beats_them, what_cannot_be_converted_keeps_what_was,
    quotes_are_pythons, what_would_be_wrong_to_ignore_is_an_error)
