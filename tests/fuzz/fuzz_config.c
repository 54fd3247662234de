/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations: whatever is in one, it is read or refused with a sentence, and what was read can
 * be shown without its secrets, changed, and freed.
 *
 * Behind the first NUL of an input are lines about everything else: "eNAME=value" is a variable of
 * the environment, "stiers.a.ttl=1h" an override, "l" that LMCache's variables count, and "i" that
 * the text is to be rewritten as tiers. What was rewritten is read as the same tiers.
 */
#include "kvr_config.h"
#include "kvr_flat.h"
#include "kvr_fuzz.h"
#include "kvr_option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINES_MAX = 8, LINE_MAX_LEN = 200 };

#define MORE "\0"
#define SEED(text) { text, sizeof(text) - 1 }

static const struct {
	const char *at;
	size_t len;
} seeds[] = {
	SEED("{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"),
	SEED("{\"engine\":{\"model\":\"m\",\"worker_id\":\"env:RANK\",\"kv_dtype\":\"half\","
	     "\"kv_shape\":[32,2,256,8,128]},\"tiers\":[{\"name\":\"a\",\"url\":\"redis://u:p@h:1\","
	     "\"lanes\":{\"bulk\":3},\"ttl\":\"24h\",\"serde\":\"zstd\"}],\"trace\":{\"size\":\"16MiB\"}"
	     "}"),
	SEED("{\"remote_url\":\"valkey://h:1\",\"blocking_timeout_secs\":1.5,\"extra_config\":"
	     "{\"valkey_enable_ttl\":true,\"ping_timeout\":\"3\",\"save_chunk_meta\":\"1\"}}" MORE "i"),
	SEED("{\"engine\":{\"kv_groups\":[{\"kv_dtype\":\"int8\",\"kv_shape\":[1,1,64,1,512]}]},"
	     "\"tiers\":[{\"name\":\"f\",\"url\":\"fs://./a,${X}\",\"password\":\"s3cr3t\"}]}"),
	SEED("{\"a\\u00e9\":[1e3,-2.5,true,null,\"\\n\"]}"),
	SEED("{\"remote_storage_plugins\":[\"fs.a\",\"redis\",\"x\"],\"extra_config\":{"
	     "\"remote_storage_plugin.fs.a.base_path\":\"/a\",\"redis_url\":\"redis://h:1\"}}" MORE "i"),
	SEED("{\"remote_url\":\"audit://h:1\",\"audit_actual_remote_url\":\"redis://h:1\","
	     "\"extra_config\":{\"audit_verify_checksum\":true,\"histogram_bucket_remote_time_to_get\":"
	     "[1,2.5,10]}}" MORE "i\nl\neLMCACHE_CHUNK_SIZE='64'"),
	SEED("{\"remote_url\":\"resp://h:1\",\"lmcache_env\":true,\"extra_config\":{\"username\":\"u\","
	     "\"password\":\"s3cr3t\"}}" MORE "eLMCACHE_EXTRA_CONFIG={\"resp_num_threads\":3}\n"
	     "eLMCACHE_REMOTE_SERDE=\"na\\x69ve\""),
	SEED("{\"engine\":{\"worker_id\":\"env:RANK\"},\"metrics\":{\"listen\":\"127.0.0.1:9477+{rank}\"},"
	     "\"tiers\":[{\"name\":\"a\",\"url\":\"fs:///a/{rank}\",\"capacity\":\"1GiB\"}]}" MORE
	     "stiers.a.free_floor=1MiB\nstrace.dir=/t{rank}\neY=2"),
	SEED("{\"tiers\":[{\"name\":\"s\",\"url\":\"rediss-sentinel://h:1,g:2?service=x\","
	     "\"password_env\":\"Y\",\"sentinel\":{\"password\":\"s3cr3t\"},\"tls\":{\"ca\":\"/ca\"}}]}" MORE
	     "eY=s3cr3t"),
	SEED("{\"remote_url\":\"eic://h:1\",\"eic_instance_id\":\"i\",\"eic_kv_ttl\":-1}" MORE "i"),
	SEED("{\"remote_url\":\"sagemaker-hyperpod://h:1\",\"extra_config\":{"
	     "\"sagemaker_hyperpod_bucket\":\"b\"}}" MORE "i"),
};

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i].at, seeds[i].len);
	return seeds[i].len;
}

/* The names of options and keys, each as a member with the beginning of a value. */
size_t
kvr_fuzz_word(size_t i, uint8_t *ret)
{
	static const char *const others[] = { "\"lmcache_env\":true,", "\"tiers\":[{\"name\":\"b\",\"url\":\"",
		"redis-cluster://h:1,g:2", "valkeys://u:s3cr3t@h:1/2?db=3", "{rank}", "${Y}",
		"env:Y", "1.5GiB", "250ms", "auto", "none", "never", "sealed", "lmcache", "bare",
		"write_back", "planes", "null", "true", "false", "0", "-1", "1e3", "unix:/run/x",
		"\neLMCACHE_", "\ns", "\ni", "\nl", "\"extra_config\":{" };
	char text[KVR_FUZZ_WORD_MAX];

	if (i < kvr_option_count)
		snprintf(text, sizeof(text), "\"%s\":", strrchr(kvr_option_table[i].path, '.') != NULL
		        ? strrchr(kvr_option_table[i].path, '.') + 1
		        : kvr_option_table[i].path);
	else if (i < 2 * kvr_option_count)
		snprintf(text, sizeof(text), "\ns%s%s=",
		    kvr_option_table[i - kvr_option_count].in_tier ? "tiers.a." : "",
		    kvr_option_table[i - kvr_option_count].path);
	else if (i < 2 * kvr_option_count + kvr_flat_count)
		snprintf(text, sizeof(text), "\"%s\":", kvr_flat_table[i - 2 * kvr_option_count].name);
	else if (i < 2 * kvr_option_count + kvr_flat_count + KVR_LEN(others))
		snprintf(text, sizeof(text), "%s",
		    others[i - 2 * kvr_option_count - kvr_flat_count]);
	else
		return 0;
	memcpy(ret, text, strlen(text));
	return strlen(text);
}

/* ---- all but the text ---- */

struct more {
	bool import, lmcache_env;
	uint32_t n_env, n_set;
	char env[LINES_MAX][LINE_MAX_LEN], set[LINES_MAX][LINE_MAX_LEN];
	const char *sets[LINES_MAX];
};

static void
read_line(const char *at, size_t len, struct more *ret)
{
	char *to = NULL;

	if (len == 0 || len > LINE_MAX_LEN)
		return;
	ret->import |= at[0] == 'i';
	ret->lmcache_env |= at[0] == 'l';
	if (at[0] == 'e' && ret->n_env < LINES_MAX)
		to = ret->env[ret->n_env++];
	if (at[0] == 's' && ret->n_set < LINES_MAX) {
		to = ret->set[ret->n_set];
		ret->sets[ret->n_set++] = to;
	}
	if (to == NULL)
		return;
	memcpy(to, at + 1, len - 1);
	to[len - 1] = '\0';
}

static void
read_more(const char *at, size_t len, struct more *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (const char *end = at + len; at < end;) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		if (lf == NULL)
			lf = end;
		read_line(at, (size_t)(lf - at), ret);
		at = lf + 1;
	}
}

static const char *
env(void *arg, const char *name)
{
	const struct more *m = arg;
	size_t len = strlen(name);

	for (uint32_t i = 0; i < m->n_env; i++)
		if (strncmp(m->env[i], name, len) == 0 && m->env[i][len] == '=')
			return m->env[i] + len + 1;
	return name[0] == 'R' ? "1" : name[0] == 'X' ? "/x" : NULL;
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

/* Whether a note had the secret in it. */
static bool told;

static void
note(void *arg, const struct kvr_config_note *n)
{
	char text[4096];
	size_t len = kvr_config_note_print(n, true, text, sizeof(text));

	(void)arg;
	told = told || strstr(text, "s3cr3t") != NULL;
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
		const struct kvr_config_tier *t = &cfg->tier[i];
		const char *secret[] = { t->password, t->sentinel.password };

		for (size_t k = 0; k < KVR_LEN(secret); k++)
			if (secret[k] != NULL && strstr(secret[k], "s3cr3t") != NULL)
				KVR_CHECK(strstr(text, "s3cr3t") == NULL && !told);
	}
	kvr_config_sum(cfg, &costs, 8, text, sizeof(text));
	/* What an engine says of itself fits, or contradicts the file and changes nothing. */
	const struct kvr_config_identity who = { .model = "m", .world_size = 2, .worker_id = 1,
		.use_mla = last[12] == 'm' };

	if (kvr_config_identify(cfg, &who, why, sizeof(why)) != KVR_OK)
		KVR_CHECK(why[0] != '\0');
	else
		KVR_CHECK(strcmp(cfg->engine.model, "m") == 0 && cfg->engine.worker_id == 1);
	why[0] = '\0';
	if (kvr_config_set(cfg, &(const char *const){ last }, 1, why, sizeof(why)) != KVR_OK)
		KVR_CHECK(why[0] != '\0');
}

/* A file may be anybody's, too. What it becomes has the same tiers. */
static void
check_import(const uint8_t *at, size_t len, const struct kvr_config_opts *opts)
{
	struct kvr_config *cfg = NULL, *again = NULL;
	char path[32], why[200] = "", *text = NULL;
	int fd = memfd_create("config", MFD_CLOEXEC);

	KVR_CHECK(fd >= 0 && (len == 0 || write(fd, at, len) == (ssize_t)len));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	enum kvr_err err = kvr_config_import(path, opts, &text, why, sizeof(why));

	KVR_CHECK(err == KVR_OK || (err == KVR_E_CONFIG && why[0] != '\0'));
	if (err == KVR_OK && kvr_config_load(path, opts, &cfg, why, sizeof(why)) == KVR_OK) {
		err = kvr_config_parse(text, strlen(text), opts, &again, why, sizeof(why));
		KVR_CHECK(err == KVR_OK && again->n_tiers == cfg->n_tiers);
		for (uint32_t i = 0; i < cfg->n_tiers; i++)
			KVR_CHECK(strcmp(again->tier[i].url, cfg->tier[i].url) == 0 &&
			          again->tier[i].format == cfg->tier[i].format &&
			          again->tier[i].ttl_ns == cfg->tier[i].ttl_ns);
	}
	kvr_config_free(cfg);
	kvr_config_free(again);
	free(text);
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static struct more more;
	const uint8_t *nul = memchr(at, '\0', len);
	size_t text_len = nul == NULL ? len : (size_t)(nul - at);
	struct kvr_config *cfg = NULL;
	char why[200] = "", last[64] = "tiers.a.ttl=";
	enum kvr_err err;

	read_more((const char *)at + text_len + (nul != NULL), len - text_len - (nul != NULL), &more);
	const struct kvr_config_opts opts = { .set = more.sets, .n_set = more.n_set,
		.lmcache_env = more.lmcache_env, .env = env, .env_arg = &more, .note = note };

	told = false;
	err = kvr_config_parse((const char *)at, text_len, &opts, &cfg, why, sizeof(why));
	KVR_CHECK(err == KVR_OK || (err == KVR_E_CONFIG && cfg == NULL && why[0] != '\0'));
	if (err == KVR_OK) {
		/* The end of the input is an override too. */
		for (size_t i = 0; i < 40 && i < len; i++)
			last[12 + i] = (char)at[len - 1 - i];
		check_config(cfg, last, count(at, len, "s3cr3t") > 1);
	}
	kvr_config_free(cfg);
	if (more.import)
		check_import(at, text_len, &opts);
	return 0;
}
