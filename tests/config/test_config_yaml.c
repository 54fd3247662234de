/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: what its words mean, where its mistakes are, what is refused, and what is not shown. */
#include "kvr_check.h"
#include "kvr_config_test.h"

static struct kvr_config *
parse(const char *text, struct kvr_said *said)
{
	struct kvr_config_opts opts = kvr_test_opts(said);
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	ck_assert_msg(kvr_config_parse_yaml(text, strlen(text), &opts, &cfg, why, sizeof(why)) ==
	                  KVR_OK,
	    "%s", why);
	return cfg;
}

START_TEST(lmcaches_form)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("# a node's cache\n"
	                               "chunk_size: 128\n"
	                               "local_cpu: false\n"
	                               "max_local_cpu_size: 2.5\n"
	                               "remote_url: \"redis://h:6379\"\n"
	                               "remote_serde: naive # as it is\n"
	                               "save_unfull_chunk: yes\n"
	                               "local_cpu_use_hugepages: \"yes\"\n"
	                               "extra_config:\n"
	                               "  ping_timeout: 2\n"
	                               "  save_chunk_meta: False\n",
	    &said);
	char origin[64];

	ck_assert_str_eq(said.text, "");
	ck_assert(cfg->flat);
	ck_assert_uint_eq(cfg->engine.chunk_tokens, 128);
	ck_assert_uint_eq(cfg->memory.objects_bytes, KVR_MIB(2560));
	ck_assert_str_eq(cfg->tier[0].url, "redis://h:6379");
	ck_assert(cfg->lmcache.save_unfull_chunk); /* a truth value of YAML */
	ck_assert(!cfg->memory.hugepages);         /* a text, and LMCache knows only true and 1 */
	ck_assert_uint_eq(cfg->lmcache.ping_timeout_ns, KVR_SEC(2));
	ck_assert(!cfg->tier[0].save_chunk_meta);
	kvr_config_origin(cfg, "engine.chunk_tokens", origin, sizeof(origin));
	ck_assert_str_eq(origin, "text:2:13");
	kvr_config_free(cfg);
}
END_TEST

START_TEST(the_tier_form)
{
	struct kvr_said said;
	struct kvr_config *cfg = parse("---\n"
	                               "engine:\n"
	                               "  model: &m some/model\n"
	                               "  kv_dtype: bfloat16\n"
	                               "  kv_shape: [32, 2, 256, 8, 128]\n"
	                               "tiers:\n"
	                               "- name: host\n"
	                               "  url: memory://\n"
	                               "  capacity: 1GiB\n"
	                               "- { name: far, url: 'redis://h:1', lanes: { bulk: 3 } }\n"
	                               "...\n",
	    &said);

	ck_assert_str_eq(said.text, "");
	ck_assert(!cfg->flat);
	ck_assert_uint_eq(cfg->n_tiers, 2);
	ck_assert_str_eq(cfg->engine.model, "some/model");
	ck_assert_uint_eq(cfg->engine.layout.n_groups, 1);
	ck_assert_uint_eq(cfg->tier[0].capacity_bytes, KVR_MIB(1024));
	ck_assert_uint_eq(cfg->tier[1].lanes.bulk, 3);
	kvr_config_free(cfg);
}
END_TEST

/* As PyYAML reads them, seen through an option that takes whole numbers. */
static const struct {
	const char *text;
	uint32_t n;
} numbers[] = {
	{ "17", 17 },
	{ "+17", 17 },
	{ "0x10", 16 },
	{ "020", 16 },
	{ "0b10000", 16 },
	{ "1_6", 16 },
	{ "!!str 16", 16 },
	{ "'16'", 16 },
	{ ">-\n  16", 16 },
};

START_TEST(whole_numbers_are_pyyamls)
{
	for (size_t i = 0; i < KVR_LEN(numbers); i++) {
		struct kvr_said said;
		char text[128];
		struct kvr_config *cfg;

		snprintf(text, sizeof(text), "remote_url: redis://h:1\nchunk_size: %s\n",
		    numbers[i].text);
		cfg = parse(text, &said);
		ck_assert_uint_eq(cfg->engine.chunk_tokens, numbers[i].n);
		kvr_config_free(cfg);
	}
}
END_TEST

#define FLAT "remote_url: redis://h:1\n"
static const struct {
	const char *text, *why;
} wrong[] = {
	{ "", "text:1:1: there is nothing in this file" },
	{ "# a\n", "text:2:1: there is nothing in this file" },
	{ "just words", "text:1:1: a configuration must be an object, not a text" },
	{ FLAT "chunk_size: 1\nchunk_size: 2\n",
	    "text:3:1: \"chunk_size\" is given twice; first in line 2, column 1" },
	{ FLAT "a: &x 1\nb: *x\n",
	    "text:3:4: aliases (\"*name\") are not read here: write the value out" },
	{ FLAT "<<: { a: 1 }\n", "text:2:1: \"<<\" is not read here: write the keys out" },
	{ FLAT "a: !!python/object:os.system {}\n",
	    "text:2:4: tags are not read here: remove the word that starts with '!'" },
	{ FLAT "---\n" FLAT, "text:2:1: a second document: a configuration is only one" },
	{ FLAT "[a]: 1\n", "text:2:1: a key must be a plain word" },
	{ FLAT "chunk_size: 1e3\n", "text:2:13: chunk_size is 1e3; it must be a whole number" },
	{ FLAT "chunk_size: 0\n",
	    "text:2:13: chunk_size is 0; it must be between 1 and 1048576" },
	{ "remote_url: ~\n", "text:1:13: remote_url cannot be null" },
	{ "remote_url: 5\n", "text:1:13: remote_url cannot be a number" },
	{ "tiers:\n- name: a\n  url: memory://\n  lanez: 3\n",
	    "text:4:3: unknown key \"lanez\"; nearest valid name: \"lanes\"" },
	{ "{ \"\xc3\xa9\": 1, tiers: 5 }", "text:1:3: unknown key \"\xc3\xa9\"; valid here: "
	                                   "engine, memory, timeouts, limits, serde, metrics, "
	                                   "trace, log, on_panic, rehearse, keys, tiers" },
	{ "{ '\xc3\xa9': 1, '\xc3\xa9': 1 }",
	    "text:1:12: \"\xc3\xa9\" is given twice; first in line 1, column 3" },
	{ "a: \"b\\0c\"\n", "text:1:4: a text cannot hold a NUL" },
	{ "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "text:1:17: nested deeper than 16 levels" },
	{ FLAT "\tchunk_size: 1\n",
	    "text:2:1: this is no YAML: found a tab character that violates "
	    "indentation while scanning a plain scalar" },
	{ FLAT "a: [1\n", "text:3:1: this is no YAML: did not find expected ',' or ']' while "
	                  "parsing a flow sequence" },
	{ FLAT "a: \xff\n", "text:2:4: this is no YAML: invalid leading UTF-8 octet" },
	{ FLAT "a: \x01\n", "text:2:4: this is no YAML: control characters are not allowed" },
};

START_TEST(mistakes_have_a_place_and_a_sentence)
{
	for (size_t i = 0; i < KVR_LEN(wrong); i++) {
		struct kvr_config *cfg = NULL;
		char why[600] = "";

		ck_assert_msg(kvr_config_parse_yaml(wrong[i].text, strlen(wrong[i].text), NULL,
		                  &cfg, why, sizeof(why)) == KVR_E_CONFIG,
		    "accepted: %s", wrong[i].text);
		ck_assert_str_eq(why, wrong[i].why);
	}
}
END_TEST

/* The last line of each is wrong in a way that shows a line with the secret in it. */
static const char *const secrets[] = {
	"remote_url: redis://u:s3cr3t@h:1 : x\n",
	"tiers: [ { name: a, url: 'redis://u:s3cr3t@h:1', lanez: 3 } ]\n",
	"tiers: [ { name: a, url: 'redis://h:1?password=s3cr3t', lanez: 3 } ]\n",
	"tiers: [ { name: a, password: s3cr3t, lanez: 3 } ]\n",
	"{ \"password\": \"s3cr3t\", \"password\": \"s3cr3t\" }\n",
	"tiers:\n- password: s3cr3t : x\n",
	"password:\n  s3cr3t : : x\n",
	"password: \"a\n\n  s3cr3t\" x\n",
	"password: |\n    b\n    s3cr3t\n   x: [\n",
	"? password\n: s3cr3t : x\n",
	"password: 's3cr3t\n",
	/* slips of the finger */
	"tiers:\n- pasword: s3cr3t\n",
	"tiers:\n- passw,ord: s3cr3t\n",
	"tiers:\n- { name: a, password:\"s3cr3t\" }\n",
	"tiers:\n- { name: a, password \"s3cr3t\" }\n",
	"remote_url: redis:/u:s3cr3t@h:1\n",
	"remote_url: \"redis//u:s3cr3t@h:1\"\n",
};

START_TEST(secrets_are_starred_in_lines_that_are_shown)
{
	for (size_t i = 0; i < KVR_LEN(secrets); i++) {
		struct kvr_said said;
		struct kvr_config_opts opts = kvr_test_opts(&said);
		struct kvr_config *cfg = NULL;
		char why[600] = "";

		ck_assert(kvr_config_parse_yaml(secrets[i], strlen(secrets[i]), &opts, &cfg, why,
		              sizeof(why)) == KVR_E_CONFIG);
		ck_assert_msg(strchr(said.lines, '^') != NULL, "no line: %s", said.lines);
		ck_assert_msg(strstr(said.lines, "s3cr3t") == NULL, "%s", said.lines);
	}
}
END_TEST

/* Read once, not once for each of its colons: that took minutes. */
START_TEST(a_long_line_takes_no_longer_than_a_long_text)
{
	enum { LEN = 1000000 };
	char *text = malloc(LEN), why[200];
	struct kvr_config *cfg = NULL;
	uint64_t since_ns = kvr_now_ns();

	ck_assert_ptr_nonnull(text);
	for (int i = 0; i < LEN; i++)
		text[i] = i % 8 == 0 ? 'a' : ':';
	ck_assert_int_eq(
	    kvr_config_parse_yaml(text, LEN, NULL, &cfg, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_uint_lt(kvr_now_ns() - since_ns, KVR_SEC(30));
	free(text);
}
END_TEST

START_TEST(what_is_no_secret_is_shown)
{
	struct kvr_said said;
	struct kvr_config_opts opts = kvr_test_opts(&said);
	struct kvr_config *cfg = NULL;
	char why[600];
	const char *text = "tiers:\n- name: a\n  password: s3cr3t\n  url: fs://a@b/c\n  x: readable\n"
	                   "  password_env: KV_PASSWORD\n  password_env: OTHER\n";

	ck_assert(kvr_config_parse_yaml(text, strlen(text), &opts, &cfg, why, sizeof(why)) ==
	          KVR_E_CONFIG);
	ck_assert_str_eq(said.lines, "text:7:3: \"password_env\" is given twice; first in line 6, "
	                             "column 3\n    password_env: OTHER\n    ^\n");
	ck_assert(kvr_config_parse_yaml(text, strlen(text) - 23, &opts, &cfg, why, sizeof(why)) ==
	          KVR_E_CONFIG);
	ck_assert_msg(strstr(said.lines, "  x: readable\n") != NULL, "%s", said.lines);
}
END_TEST

START_TEST(a_mark_in_front_and_other_line_ends)
{
	struct kvr_said said;
	struct kvr_config *cfg =
	    parse("\xef\xbb\xbfremote_url: redis://h:1\r\nwhat: 1\r\n", &said);

	ck_assert_str_eq(said.text, "text:2:1: warning: unknown key \"what\" is ignored\n");
	kvr_config_free(cfg);
	ck_assert_str_ne(kvr_yaml_library(), "left out");
}
END_TEST

KVR_CHECK_MAIN("config.yaml", lmcaches_form, the_tier_form, whole_numbers_are_pyyamls,
    mistakes_have_a_place_and_a_sentence, secrets_are_starred_in_lines_that_are_shown,
    a_long_line_takes_no_longer_than_a_long_text, what_is_no_secret_is_shown,
    a_mark_in_front_and_other_line_ends)
