/* SPDX-License-Identifier: Apache-2.0 */
/* From a file, a text or a URL to a checked configuration. */
#include "kvr_override.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

static const struct kvr_config_opts no_opts;

static const char *
from_environment(void *arg, const char *name)
{
	(void)arg;
	return getenv(name);
}

static bool
copy_schemes(struct kvr_config_own *own, const char *const *schemes)
{
	size_t n = 0;
	const char **copy;

	while (schemes[n] != NULL)
		n++;
	copy = kvr_arena_take(&own->arena, (n + 1) * sizeof(*copy));
	if (copy == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		copy[i] = kvr_arena_text(&own->arena, schemes[i], strlen(schemes[i]));
	own->schemes = copy;
	return !own->arena.failed;
}

static void
default_options(struct kvr_load *load, int32_t tier)
{
	for (uint32_t i = 0; i < kvr_option_count; i++) {
		if (kvr_option_table[i].in_tier == (tier >= 0))
			kvr_assign_default(load, (struct kvr_place){ &kvr_option_table[i], tier });
	}
}

static struct kvr_config *
new_config(struct kvr_load *load)
{
	struct kvr_config *cfg = calloc(1, sizeof(*cfg));
	struct kvr_config_own *own = calloc(1, sizeof(*own));

	if (cfg == NULL || own == NULL) {
		free(cfg);
		free(own);
		return NULL;
	}
	cfg->own = own;
	own->env = load->opts->env != NULL ? load->opts->env : from_environment;
	own->env_arg = load->opts->env_arg;
	own->set_name = load->opts->set_name != NULL ? load->opts->set_name : "--set";
	own->url_name = load->opts->url_name != NULL ? load->opts->url_name : "--url";
	load->cfg = cfg;
	if (!copy_schemes(
	        own, load->opts->schemes != NULL ? load->opts->schemes : kvr_scheme_names())) {
		kvr_config_free(cfg);
		return NULL;
	}
	default_options(load, -1);
	return cfg;
}

void
kvr_config_free(struct kvr_config *take)
{
	if (take == NULL)
		return;
	kvr_arena_free(&take->own->arena);
	free(take->own);
	free(take);
}

int32_t
kvr_add_tier(struct kvr_load *load, const struct kvr_origin *at)
{
	uint32_t i = load->cfg->n_tiers;

	if (i == KVR_TIERS_MAX) {
		kvr_load_error(load, at, "more than %d tiers", KVR_TIERS_MAX);
		return -1;
	}
	load->cfg->n_tiers++;
	default_options(load, (int32_t)i);
	load->cfg->own->tier_at[i] = *at;
	return (int32_t)i;
}

/* ---- the common end of all three ---- */

static enum kvr_err
finish(struct kvr_load *load, struct kvr_config **ret)
{
	struct kvr_config *cfg = load->cfg;
	enum kvr_err err = KVR_OK;

	/* If it does not even parse, it is not worth checking how it fits together. */
	for (uint32_t i = 0; load->n_errors == 0 && i < load->opts->n_set; i++)
		kvr_override(load, load->opts->set[i]);
	if (load->n_errors == 0 && !cfg->own->arena.failed)
		kvr_derive(load);
	if (load->n_errors == 0 && !cfg->own->arena.failed)
		kvr_check_whole(load);
	if (load->n_errors > 0)
		err = KVR_E_CONFIG;
	else if (cfg->own->arena.failed)
		err = KVR_E_NOMEM;
	if (err != KVR_OK)
		kvr_config_free(cfg);
	else
		*ret = cfg;
	return err;
}

/* Whether LMCache's variables were requested, by the caller or by the file. */
static bool
wants_env(struct kvr_load *load, const struct kvr_node *root)
{
	const struct kvr_node *node = kvr_tree_child(root, "lmcache_env");
	const struct kvr_node *tiers = kvr_tree_child(root, "tiers");
	struct kvr_origin at;

	if (node == NULL)
		return load->opts->lmcache_env && tiers == NULL;
	at = kvr_origin_of(load, node);
	if (node->kind != KVR_TREE_BOOL) {
		kvr_load_error(load, &at, "lmcache_env must be true or false, not %s",
		    kvr_tree_kind_name(node->kind));
		return false;
	}
	if (node->text[0] == 't' && tiers != NULL) {
		kvr_load_error(load, &at,
		    "lmcache_env is for LMCache's own keys: it has no effect on \"tiers\"");
		return false;
	}
	return node->text[0] == 't';
}

static void
read_form(struct kvr_load *load, const struct kvr_node *root)
{
	const struct kvr_node *env = NULL;

	if (wants_env(load, root) && load->import) {
		const struct kvr_origin at = { .kind = load->from, .name = load->source };

		kvr_load_warn(
		    load, &at, "lmcache_env is left out: tiers read no LMCACHE_* variables");
	} else if (wants_env(load, root))
		env = kvr_read_lmcache_env(load);
	if (kvr_is_flat_form(root, env))
		kvr_read_flat_form(load, root, env);
	else
		kvr_read_tiers_form(load, root);
}

static enum kvr_err
read_text(struct kvr_load *load, const char *text, size_t len, struct kvr_config **ret)
{
	/* A copy followed by a NUL, because the scanner may look one character ahead. */
	char *copy = malloc(len + 1), *masked = malloc(len + 1);
	const struct kvr_node *root = NULL;
	enum kvr_err err = KVR_E_NOMEM;

	if (copy == NULL || masked == NULL || new_config(load) == NULL)
		goto out;
	memcpy(copy, text, len);
	copy[len] = '\0';
	memcpy(masked, copy, len + 1);
	if (load->yaml)
		kvr_mask_yaml(masked, len);
	else
		kvr_mask_json(masked, len);
	load->masked = masked;
	load->len = len;
	load->source = kvr_arena_text(&load->cfg->own->arena, load->source, strlen(load->source));
	if (load->source != NULL)
		root = load->yaml ? kvr_read_yaml(load, copy, len)
		                  : kvr_read_json(load, copy, len);
	if (root != NULL)
		read_form(load, root);
	err = finish(load, ret);
out:
	/* The copies hold passwords. */
	if (copy != NULL)
		explicit_bzero(copy, len);
	free(copy);
	free(masked);
	return err == KVR_E_NOMEM ? kvr_no_memory(load->why, load->why_cap) : err;
}

static struct kvr_load
begin(const struct kvr_config_opts *opts, enum kvr_origin_kind from, const char *source, char *why,
    size_t why_cap)
{
	if (why_cap > 0)
		why[0] = '\0';
	return (struct kvr_load){ .opts = opts != NULL ? opts : &no_opts,
		.from = from,
		.source = source,
		.why = why,
		.why_cap = why_cap };
}

static enum kvr_err
file_error(struct kvr_load *load, const char *what)
{
	struct kvr_origin at = { .kind = load->from, .name = load->source };

	kvr_load_error(load, &at, "%s", what);
	return KVR_E_CONFIG;
}

/* A pipe without a writer reads as empty: waiting for a writer might take for ever. */
static FILE *
open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	FILE *file = fd >= 0 && fcntl(fd, F_SETFL, 0) == 0 ? fdopen(fd, "r") : NULL;

	if (file == NULL && fd >= 0)
		close(fd);
	return file;
}

/* Asks for one byte more than allowed, so that a file of exactly the limit is accepted. */
static enum kvr_err
slurp(struct kvr_load *load, const char *path, char **ret, size_t *ret_len)
{
	FILE *file = open_file(path);
	char *text = malloc(FILE_MAX + 1);
	size_t len = 0;
	enum kvr_err err = KVR_OK;

	if (text == NULL)
		err = kvr_no_memory(load->why, load->why_cap);
	else if (file == NULL)
		err = file_error(load, strerror(errno));
	else
		len = fread(text, 1, FILE_MAX + 1, file);
	if (err == KVR_OK && ferror(file))
		err = file_error(load, strerror(errno));
	else if (err == KVR_OK && len > FILE_MAX)
		err = file_error(load, "a configuration has at most 1 MiB");
	if (file != NULL)
		fclose(file);
	if (err != KVR_OK) {
		free(text);
		return err;
	}
	*ret = text;
	*ret_len = len;
	return KVR_OK;
}

/* By its name, as in LMCache. JSON could be read as YAML too, but with worse error messages. */
static bool
is_yaml(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static enum kvr_err
load_file(struct kvr_load *load, struct kvr_config **ret)
{
	const char *path = load->source;
	char dir[KVR_DIR_MAX], *text = NULL;
	size_t len = 0;
	enum kvr_err err = slurp(load, path, &text, &len);

	if (err != KVR_OK)
		return err;
	load->dir = dir;
	load->yaml = is_yaml(path);
	err = kvr_directory(path, dir) ? read_text(load, text, len, ret)
	                               : file_error(load, "its directory cannot be resolved");
	explicit_bzero(text, len);
	free(text);
	return err;
}

enum kvr_err
kvr_config_load(const char *path, const struct kvr_config_opts *opts, struct kvr_config **ret,
    char *why, size_t why_cap)
{
	struct kvr_load load = begin(opts, KVR_FROM_FILE, path, why, why_cap);

	return load_file(&load, ret);
}

enum kvr_err
kvr_load_for_import(const char *path, const struct kvr_config_opts *opts, struct kvr_config **ret,
    char *why, size_t why_cap)
{
	struct kvr_load load = begin(opts, KVR_FROM_FILE, path, why, why_cap);

	load.import = true;
	return load_file(&load, ret);
}

static enum kvr_err
parse(const char *text, size_t len, bool yaml, const struct kvr_config_opts *opts,
    struct kvr_config **ret, char *why, size_t why_cap)
{
	struct kvr_load load = begin(opts, KVR_FROM_FILE, "text", why, why_cap);
	char dir[KVR_DIR_MAX];

	if (len > FILE_MAX)
		return file_error(&load, "a configuration has at most 1 MiB");
	load.dir = kvr_directory(NULL, dir) ? dir : NULL;
	load.yaml = yaml;
	return read_text(&load, text, len, ret);
}

enum kvr_err
kvr_config_parse(const char *text, size_t len, const struct kvr_config_opts *opts,
    struct kvr_config **ret, char *why, size_t why_cap)
{
	return parse(text, len, false, opts, ret, why, why_cap);
}

enum kvr_err
kvr_config_parse_yaml(const char *text, size_t len, const struct kvr_config_opts *opts,
    struct kvr_config **ret, char *why, size_t why_cap)
{
	return parse(text, len, true, opts, ret, why, why_cap);
}

enum kvr_err
kvr_config_from_url(const char *url, const struct kvr_config_opts *opts, struct kvr_config **ret,
    char *why, size_t why_cap)
{
	struct kvr_load load = begin(opts, KVR_FROM_URL, "", why, why_cap);
	struct kvr_origin at = { .kind = KVR_FROM_URL };
	struct kvr_value value = { .kind = KVR_TREE_TEXT, .text = url, .origin = at };
	struct kvr_place place = { kvr_option_find(true, "url", 3), 0 };
	enum kvr_err err;
	char dir[KVR_DIR_MAX];

	load.dir = kvr_directory(NULL, dir) ? dir : NULL;
	if (new_config(&load) == NULL)
		return kvr_no_memory(why, why_cap);
	kvr_add_tier(&load, &at);
	load.cfg->tier[0].name = "remote";
	kvr_assign(&load, place, &value);
	err = finish(&load, ret);
	return err == KVR_E_NOMEM ? kvr_no_memory(why, why_cap) : err;
}
