/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: whatever is in one, it is read or refused with a sentence, and what was read can
 * be shown without its secrets, changed, and freed. */
#include "kvr_config.h"
#include "kvr_fuzz.h"

#include <string.h>

static const char *const seeds[] = {
	"{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	"{\"engine\":{\"model\":\"m\",\"worker_id\":\"env:RANK\",\"kv_dtype\":\"half\","
	"\"kv_shape\":[32,2,256,8,128]},\"tiers\":[{\"name\":\"a\",\"url\":\"redis://u:p@h:1\","
	"\"lanes\":{\"bulk\":3},\"ttl\":\"24h\",\"serde\":\"zstd\"}],\"trace\":{\"size\":\"16MiB\"}"
	"}",
	"{\"remote_url\":\"valkey://h:1\",\"blocking_timeout_secs\":1.5,\"extra_config\":"
	"{\"valkey_enable_ttl\":true,\"ping_timeout\":\"3\",\"save_chunk_meta\":\"1\"}}",
	"{\"engine\":{\"kv_groups\":[{\"kv_dtype\":\"int8\",\"kv_shape\":[1,1,64,1,512]}]},"
	"\"tiers\":[{\"name\":\"f\",\"url\":\"fs://./a,${X}\",\"password\":\"s3cr3t\"}]}",
	"{\"a\\u00e9\":[1e3,-2.5,true,null,\"\\n\"]}",
};

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

/* Only what stands nowhere but in the password must not be shown. */
static uint32_t
count(const uint8_t *at, size_t len, const char *text)
{
	size_t n = strlen(text);
	uint32_t found = 0;

	for (size_t i = 0; i + n <= len; i++)
		found += memcmp(at + i, text, n) == 0;
	return found;
}

static const char *
env(void *arg, const char *name)
{
	(void)arg;
	return name[0] == 'R' ? "1" : name[0] == 'X' ? "/x" : NULL;
}

static void
note(void *arg, const struct kvr_config_note *n)
{
	char text[4096];
	size_t len = kvr_config_note_print(n, true, text, sizeof(text));

	(void)arg;
	KVR_CHECK(n->what[0] != '\0' && n->source != NULL);
	KVR_CHECK(len < sizeof(text) ? strlen(text) == len : strlen(text) == sizeof(text) - 1);
	KVR_CHECK(n->context == NULL || (n->line > 0 && n->column <= n->context_len + 1));
}

static void
check_config(struct kvr_config *cfg, const char *last, bool elsewhere)
{
	const struct kvr_config_costs costs = { .op_bytes = 1 };
	char text[32768], why[200] = "";

	KVR_CHECK(cfg->n_tiers >= 1 && cfg->n_tiers <= KVR_TIERS_MAX);
	for (uint32_t i = 0; i < cfg->n_tiers; i++) {
		const struct kvr_config_tier *t = &cfg->tier[i];

		KVR_CHECK(t->name != NULL && t->url != NULL);
		KVR_CHECK(t->lanes.control >= 1 && t->lanes.bulk >= 1);
		KVR_CHECK(t->lanes.control + t->lanes.bulk <= KVR_LANES_MAX);
		KVR_CHECK(
		    !kvr_config_serde_encodes(t->serde) || t->format == KVR_CONFIG_FORMAT_SEALED);
	}
	KVR_CHECK(cfg->limits.ops <= KVR_OPS_MAX && cfg->limits.keys <= KVR_KEYS_MAX);
	kvr_config_show(cfg, text, sizeof(text));
	for (uint32_t i = 0; i < cfg->n_tiers && !elsewhere; i++) {
		const char *password = cfg->tier[i].password;

		if (password != NULL && strstr(password, "s3cr3t") != NULL)
			KVR_CHECK(strstr(text, "s3cr3t") == NULL);
	}
	kvr_config_sum(cfg, &costs, 8, text, sizeof(text));
	if (kvr_config_set(cfg, last, why, sizeof(why)) != KVR_OK)
		KVR_CHECK(why[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	const struct kvr_config_opts opts = { .env = env, .note = note };
	struct kvr_config *cfg = NULL;
	char why[200] = "", last[64] = "tiers.a.ttl=";
	enum kvr_err err;

	err = kvr_config_parse((const char *)at, len, &opts, &cfg, why, sizeof(why));
	KVR_CHECK(err == KVR_OK || (err == KVR_E_CONFIG && cfg == NULL && why[0] != '\0'));
	if (err != KVR_OK)
		return 0;
	/* The end of the input is an override too. */
	for (size_t i = 0; i < 40 && i < len; i++)
		last[12 + i] = (char)at[len - 1 - i];
	check_config(cfg, last, count(at, len, "s3cr3t") > 1);
	kvr_config_free(cfg);
	return 0;
}
