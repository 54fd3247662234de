/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's flat form: one store and its extra_config. Read as LMCache reads it: texts may stand
 * for numbers and truth values, and an unknown key is a warning. Groups of the tier form ("trace",
 * "metrics", ...) may stand beside its keys.
 */
#include "kvr_config_own.h"
#include "kvr_flat.h"

#include <stdio.h>
#include <string.h>

bool
kvr_is_flat_form(const struct kvr_node *root, const struct kvr_node *env)
{
	static const char *const keys[] = { "remote_url", "remote_storage_plugins" };

	for (size_t i = 0; i < KVR_LEN(keys); i++) {
		if (kvr_tree_child(root, keys[i]) != NULL ||
		    (env != NULL && kvr_tree_child(env, keys[i]) != NULL))
			return true;
	}
	return false;
}

/* LMCache's null means "not given". Its null that means "wait for ever" does not exist here. */
static void
read_null(struct kvr_load *load, const struct kvr_flat_key *key, const struct kvr_node *node)
{
	struct kvr_origin at = kvr_origin_of(load, node);

	if (strcmp(key->name, "blocking_timeout_secs") == 0)
		kvr_load_warn(load, &at,
		    "blocking_timeout_secs: no wait is without end here; 10 seconds are used");
	if (strcmp(key->name, "remote_url") == 0 || strcmp(key->name, "remote_serde") == 0)
		kvr_load_error(load, &at, "%s cannot be null", key->name);
}

static bool
fits_store(struct kvr_load *load, const struct kvr_flat_key *key, const struct kvr_origin *at)
{
	const char *url = load->cfg->tier[0].url;

	if (key->scheme == NULL || url == NULL || kvr_scheme_is_kind(url, key->scheme))
		return true;
	kvr_load_warn(load, at, "%s has no effect: only %s:// reads it", key->name, key->scheme);
	return false;
}

/* These define which tiers there are, and what is audited. */
static bool
becomes_a_tier(const struct kvr_flat_key *key)
{
	return key->kind == KVR_FLAT_PLUGIN || key->kind == KVR_FLAT_AUDIT;
}

/* Reports what an import loses; ignored keys are reported elsewhere. */
static void
say_left_out(struct kvr_load *load, const struct kvr_flat_key *key, const struct kvr_node *node,
    const struct kvr_origin *at)
{
	if (key->kind == KVR_FLAT_ENGINE)
		kvr_load_warn(load, at, "%s is left out: it is the engine's own", node->key);
	else if (key->kind == KVR_FLAT_BUCKETS)
		kvr_load_warn(load, at,
		    "%s is left out: only LMCache's flat form sets the bounds of its histograms",
		    node->key);
	else if (key->option == NULL && !becomes_a_tier(key) && key->kind != KVR_FLAT_IGNORED &&
	         key->kind != KVR_FLAT_REFUSED)
		kvr_load_warn(load, at,
		    "%s is left out: only LMCache's flat form has it; in tiers the breaker does "
		    "what its health check does",
		    node->key);
}

/*
 * Handles keys that do not become an option, with a warning if need be. False: the key is an
 * option.
 */
static bool
is_no_option(struct kvr_load *load, const struct kvr_flat_key *key, const struct kvr_node *node,
    const struct kvr_origin *at, bool off)
{
	switch (key->kind) {
	case KVR_FLAT_AUDIT:
		if (!off && !load->cfg->own->audits)
			kvr_load_warn(load, at, "%s has no effect: only audit:// reads it", key->name);
		return true;
	case KVR_FLAT_PLUGIN:
		if (!off && key->extra && !load->cfg->own->plugins)
			kvr_load_warn(
			    load, at, "%s has no effect without remote_storage_plugins", node->key);
		return true;
	case KVR_FLAT_ENGINE:
	case KVR_FLAT_TTL:
	case KVR_FLAT_SCHEME:
		return true;
	case KVR_FLAT_BUCKETS:
		if (!off)
			kvr_flat_buckets(load, node);
		return true;
	case KVR_FLAT_IGNORED:
		if (!off)
			kvr_load_warn(load, at, "%s is ignored: %s", node->key, key->why);
		return true;
	case KVR_FLAT_REFUSED:
		if (!off)
			kvr_load_error(load, at, "%s is not supported: %s", node->key, key->why);
		return true;
	case KVR_FLAT_TEXT:
	case KVR_FLAT_POLICY:
	case KVR_FLAT_BOOL:
	case KVR_FLAT_COUNT:
	case KVR_FLAT_SECONDS:
	case KVR_FLAT_MILLIS:
	case KVR_FLAT_GIB:
	case KVR_FLAT_MIB:
	case KVR_FLAT_BYTES:
	case KVR_FLAT_TTL_S:
	default:
		return false;
	}
}

static void
read_known(struct kvr_load *load, const struct kvr_flat_key *key, const struct kvr_node *node)
{
	struct kvr_origin at = kvr_origin_of_key(load, node);
	bool off = node->kind == KVR_TREE_NULL ||
	           (node->kind == KVR_TREE_BOOL && strcmp(node->text, "false") == 0);

	if (load->import && !off)
		say_left_out(load, key, node, &at);
	if (is_no_option(load, key, node, &at, off))
		return;
	if (node->kind == KVR_TREE_NULL) {
		read_null(load, key, node);
		return;
	}
	if (!fits_store(load, key, &at))
		return;
	if (strcmp(key->name, "remote_enable_mla_worker_id_as0") == 0)
		load->cfg->own->mla_given = true;
	kvr_flat_assign(load, key, node);
}

static void
unknown(struct kvr_load *load, bool extra, const struct kvr_node *node)
{
	struct kvr_nearest near = { .to = node->key };
	struct kvr_origin at = kvr_origin_of_key(load, node);
	char quoted[KVR_QUOTED_MAX];

	for (uint32_t i = 0; i < kvr_flat_count; i++) {
		if (kvr_flat_table[i].extra == extra)
			kvr_nearest_try(
			    &near, kvr_flat_table[i].name, strlen(kvr_flat_table[i].name));
	}
	if (near.best != NULL)
		kvr_load_warn(load, &at, "unknown key %s is ignored; nearest valid name: \"%s\"",
		    kvr_quoted(node->key, quoted), near.best);
	else
		kvr_load_warn(
		    load, &at, "unknown key %s is ignored", kvr_quoted(node->key, quoted));
}

static bool
is_read_elsewhere(const char *key)
{
	return strcmp(key, "extra_config") == 0 || strcmp(key, "$schema") == 0 ||
	       strcmp(key, "lmcache_env") == 0;
}

static void
read_level(struct kvr_load *load, const struct kvr_node *node, bool extra)
{
	for (const struct kvr_node *c = node->child; c != NULL; c = c->next) {
		const struct kvr_flat_key *key = kvr_flat_find(extra, c->key);

		if (key != NULL) {
			/* It was read before the others, which depend on its scheme. */
			if (key != kvr_flat_find(false, "remote_url"))
				read_known(load, key, c);
		} else if (extra) {
			unknown(load, extra, c);
		} else if (!is_read_elsewhere(c->key) && !kvr_read_root_key(load, c)) {
			unknown(load, extra, c);
		}
	}
}

/*
 * url NULL: defaults for all stores, before a store is known; else those that only this store has.
 */
static void
assign_defaults(struct kvr_load *load, const char *url)
{
	for (uint32_t i = 0; i < kvr_flat_count; i++) {
		const struct kvr_flat_key *key = &kvr_flat_table[i];
		struct kvr_node node = { .kind = KVR_TREE_TEXT, .text = key->def };
		struct kvr_load quiet = *load;

		if (key->def == NULL || (key->scheme == NULL) != (url == NULL) ||
		    (url != NULL && !kvr_scheme_is_kind(url, key->scheme)))
			continue;
		quiet.from = KVR_FROM_DEFAULT;
		kvr_flat_assign(&quiet, key, &node);
		KVR_CHECK(quiet.n_errors == load->n_errors);
	}
}

/* Without valkey_enable_ttl LMCache ignores valkey_ttl_sec. */
static void
read_ttl(struct kvr_load *load, const struct kvr_node *extra)
{
	const struct kvr_flat_key *key = kvr_flat_find(true, "valkey_ttl_sec");
	const struct kvr_node *enable = kvr_tree_child(extra, "valkey_enable_ttl");
	const struct kvr_node *ttl = kvr_tree_child(extra, "valkey_ttl_sec");
	struct kvr_node day = { .kind = KVR_TREE_TEXT, .text = "86400" };
	struct kvr_origin at;

	if (enable == NULL || !kvr_flat_is_true(enable))
		return;
	at = kvr_origin_of_key(load, enable);
	if (!fits_store(load, key, &at))
		return;
	day.from = enable->from;
	day.line = enable->line;
	day.column = enable->column;
	kvr_flat_assign(load, key, ttl == NULL || ttl->kind == KVR_TREE_NULL ? &day : ttl);
}

static const struct kvr_node *
scheme_word(struct kvr_load *load, const struct kvr_node *extra, const char *name)
{
	const struct kvr_node *node = kvr_tree_child(extra, name);

	if (node == NULL || node->text == NULL || node->kind == KVR_TREE_NULL)
		return NULL;
	struct kvr_origin at = kvr_origin_of_key(load, node);

	return fits_store(load, kvr_flat_find(true, name), &at) ? node : NULL;
}

/* After all other keys, because their meaning depends on the scheme as it was given. */
static void
read_scheme(struct kvr_load *load, const struct kvr_node *extra)
{
	struct kvr_config_tier *tier = &load->cfg->tier[0];
	const struct kvr_node *mode = scheme_word(load, extra, "valkey_mode");
	const struct kvr_node *tls = scheme_word(load, extra, "tls_enable");
	const char *secure = tls != NULL && kvr_flat_is_true(tls) ? "s" : "";
	const char *many = mode != NULL && strcmp(mode->text, "cluster") == 0 ? "-cluster" : "";
	char url[1024];

	if (tier->url == NULL || !kvr_scheme_is(tier->url, "valkey"))
		return;
	int len = snprintf(url, sizeof(url), "valkey%s%s%s", secure, many, tier->url + 6);

	if (len < (int)sizeof(url))
		tier->url = kvr_arena_text(&load->cfg->own->arena, url, (size_t)len);
}

static void
read_extra(struct kvr_load *load, const struct kvr_node *extra)
{
	struct kvr_origin at = kvr_origin_of(load, extra);

	if (extra->kind == KVR_TREE_NULL)
		return;
	if (extra->kind != KVR_TREE_OBJECT) {
		kvr_load_error(load, &at, "extra_config must be an object, not %s",
		    kvr_tree_kind_name(extra->kind));
		return;
	}
	read_level(load, extra, true);
	read_ttl(load, extra);
	read_scheme(load, extra);
}

const struct kvr_node *
kvr_flat_child(const struct kvr_flat_source *from, const char *key)
{
	const struct kvr_node *node = from->env == NULL ? NULL : kvr_tree_child(from->env, key);

	return node != NULL ? node : kvr_tree_child(from->root, key);
}

/* A part of a chunk has fewer dims than a reader without a header would guess. */
static void
force_chunk_meta(struct kvr_load *load, const struct kvr_flat_source *from)
{
	const struct kvr_node *layers = kvr_flat_child(from, "use_layerwise");
	struct kvr_config_tier *tier = &load->cfg->tier[0];
	struct kvr_origin at;

	if (layers == NULL || !kvr_flat_is_true(layers) || tier->save_chunk_meta)
		return;
	at = kvr_origin_of_key(load, layers);
	kvr_load_warn(load, &at, "use_layerwise puts a header in front of each payload: "
	    "save_chunk_meta is taken as true");
	tier->save_chunk_meta = true;
}

void
kvr_read_flat_form(struct kvr_load *load, const struct kvr_node *root, const struct kvr_node *env)
{
	struct kvr_flat_source from = { root, env, NULL };
	const struct kvr_node *names = kvr_flat_child(&from, "remote_storage_plugins");
	const struct kvr_node *extra = kvr_flat_child(&from, "extra_config"), *real;
	const struct kvr_node *tiers = kvr_tree_child(root, "tiers");
	struct kvr_flat_url url[KVR_TIERS_MAX];
	struct kvr_origin at;
	uint32_t n;

	if (tiers != NULL) {
		at = kvr_origin_of_key(load, tiers);
		kvr_load_error(load, &at, "\"tiers\" and LMCache's \"%s\" are both given",
		    kvr_flat_child(&from, "remote_url") != NULL ? "remote_url" : "remote_storage_plugins");
		return;
	}
	load->cfg->flat = true;
	load->cfg->keys = KVR_CONFIG_KEYS_LMCACHE;
	load->cfg->own->plugins = names != NULL && names->kind != KVR_TREE_NULL;
	from.extra = extra;
	n = kvr_flat_urls(load, &from, url);
	for (uint32_t i = 0; i < n; i++)
		load->cfg->own->audits |= kvr_flat_is_audit(&url[i].node);
	if (n == 0)
		return;
	at = kvr_origin_of(load, &url[0].node);
	if (kvr_add_tier(load, &at) < 0)
		return;
	load->cfg->tier[0].name = url[0].name;
	assign_defaults(load, NULL);
	real = kvr_flat_real_url(load, &from, &url[0].node);
	if (real == NULL)
		return;
	read_known(load, kvr_flat_find(false, "remote_url"), real);
	if (load->cfg->tier[0].url != NULL)
		assign_defaults(load, load->cfg->tier[0].url);
	kvr_flat_audit(load, &from, &url[0].node, 0);
	read_level(load, root, false);
	if (env != NULL)
		read_level(load, env, false);
	if (extra != NULL)
		read_extra(load, extra);
	force_chunk_meta(load, &from);
	kvr_flat_more_tiers(load, &from, url, n);
}
