/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: whatever is in a text, it is read or refused with a sentence at a place inside it. */
#include "kvr_config.h"
#include "kvr_fuzz.h"

#include <string.h>

static const char *const seeds[] = {
	"remote_url: \"redis://u:s3cr3t@h:1\"\nchunk_size: 0x10\n"
	"extra_config:\n  ping_timeout: 2.5\n",
	"tiers:\n- name: a\n  url: memory://\n"
	"- { name: b, url: 'redis://h:1', lanes: { bulk: 3 } }\n",
	"engine: { model: &m x, kv_dtype: half,\n  kv_shape: [32, 2, 256, 8, 128] }\ntiers:\n"
	"  - name: >-\n      a\n    url: |-\n      memory://\n    password: \"s3\\x41\"\n",
	"%YAML 1.1\n---\n? remote_url\n: !!str redis://h:1\nsave_unfull_chunk: yes\n...\n",
	"a: &x [~, null, off, 1_0, -.5, 1e+3]\nb: *x\n<<: {}\n\xc3\xa9: '\xe2\x80\xa8'\n--- b\n",
};

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

static void
note(void *arg, const struct kvr_config_note *n)
{
	char text[4096];
	size_t len = kvr_config_note_print(n, true, text, sizeof(text));

	(void)arg;
	KVR_CHECK(n->what[0] != '\0' && n->source != NULL);
	KVR_CHECK(len < sizeof(text) ? strlen(text) == len : strlen(text) == sizeof(text) - 1);
	/* A mistake that has a place is in a line that exists. */
	KVR_CHECK(n->line == 0 || n->context != NULL);
	KVR_CHECK(n->context == NULL || (n->column > 0 && n->column <= n->context_len + 1));
}

static const char *
env(void *arg, const char *name)
{
	(void)arg;
	return name[0] == 'R' ? "1" : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	const struct kvr_config_opts opts = { .env = env, .note = note };
	struct kvr_config *cfg = NULL;
	char why[200] = "", text[32768];
	enum kvr_err err;

	err = kvr_config_parse_yaml((const char *)at, len, &opts, &cfg, why, sizeof(why));
	KVR_CHECK(err == KVR_OK || (err == KVR_E_CONFIG && cfg == NULL && why[0] != '\0'));
	if (err != KVR_OK)
		return 0;
	KVR_CHECK(cfg->n_tiers >= 1 && cfg->n_tiers <= KVR_TIERS_MAX);
	KVR_CHECK(kvr_config_show(cfg, text, sizeof(text)) > 0);
	kvr_config_free(cfg);
	return 0;
}
