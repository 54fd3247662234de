/* SPDX-License-Identifier: Apache-2.0 */
/* The tier form: groups of options, and an array of tiers. An unknown key is an error. */
#include "kvr_config_own.h"

#include <stdio.h>
#include <string.h>

static bool
is_group(bool in_tier, const char *path)
{
	size_t len = strlen(path);

	for (uint32_t i = 0; i < kvr_option_count; i++) {
		const struct kvr_option *o = &kvr_option_table[i];

		if (o->in_tier == in_tier && strncmp(o->path, path, len) == 0 &&
		    o->path[len] == '.')
			return true;
	}
	return false;
}

/* Lists the keys that are valid here: the next part of every path that starts with prefix. */
static void
unknown_key(struct kvr_load *load, const struct kvr_node *node, bool in_tier, const char *prefix)
{
	struct kvr_nearest near = { .to = node->key };
	struct kvr_origin at = kvr_origin_of_key(load, node);
	size_t skip = strlen(prefix);
	char quoted[KVR_QUOTED_MAX], all[320] = "";
	struct kvr_text_out out = { all, sizeof(all), 0 };
	const char *last = "";
	size_t last_len = 0;

	for (uint32_t i = 0; i < kvr_option_count; i++) {
		const struct kvr_option *o = &kvr_option_table[i];
		const char *name = o->path + skip;
		size_t len;

		if (o->in_tier != in_tier || strncmp(o->path, prefix, skip) != 0)
			continue;
		len = strcspn(name, ".");
		if (len == last_len && memcmp(last, name, len) == 0)
			continue;
		kvr_out(&out, "%s%.*s", last_len == 0 ? "" : ", ", (int)len, name);
		kvr_nearest_try(&near, name, len);
		last = name;
		last_len = len;
	}
	if (!in_tier && prefix[0] == '\0') {
		kvr_out(&out, ", tiers");
		kvr_nearest_try(&near, "tiers", 5);
	}
	if (near.best != NULL)
		kvr_load_error(load, &at, "unknown key %s; nearest valid name: \"%.*s\"",
		    kvr_quoted(node->key, quoted), (int)near.best_len, near.best);
	else
		kvr_load_error(load, &at, "unknown key %s; valid here: %s",
		    kvr_quoted(node->key, quoted), all);
}

static void
read_option(struct kvr_load *load, const struct kvr_node *node, struct kvr_place place)
{
	struct kvr_value value = { .kind = node->kind, .text = node->text, .node = node };

	value.origin = kvr_origin_of(load, node);
	kvr_assign(load, place, &value);
}

static bool
is_read_elsewhere(const char *key, bool in_tier, const char *prefix)
{
	if (prefix[0] != '\0')
		return false;
	if (in_tier)
		return strcmp(key, "name") == 0;
	return strcmp(key, "tiers") == 0 || strcmp(key, "$schema") == 0 ||
	       strcmp(key, "lmcache_env") == 0;
}

static void read_object(struct kvr_load *, const struct kvr_node *, int32_t, const char *);

/* False: there is no option or group with that name. */
static bool
read_key(struct kvr_load *load, const struct kvr_node *node, int32_t tier, const char *prefix)
{
	char path[KVR_PATH_MAX];
	struct kvr_place place = { NULL, tier };
	struct kvr_origin at = kvr_origin_of(load, node);
	int len = snprintf(path, sizeof(path), "%s%s", prefix, node->key);

	/* A key with a dot would match an option's path. */
	if (len + 2 > (int)sizeof(path) || strchr(node->key, '.') != NULL)
		return false;
	place.option = kvr_option_find(tier >= 0, path, (size_t)len);
	if (place.option != NULL) {
		read_option(load, node, place);
		return true;
	}
	if (!is_group(tier >= 0, path))
		return false;
	if (node->kind != KVR_TREE_OBJECT) {
		kvr_load_error(load, &at, "%s must be an object, not %s", path,
		    kvr_tree_kind_name(node->kind));
		return true;
	}
	memcpy(path + len, ".", 2);
	read_object(load, node, tier, path);
	return true;
}

static void
read_object(struct kvr_load *load, const struct kvr_node *node, int32_t tier, const char *prefix)
{
	for (const struct kvr_node *c = node->child; c != NULL; c = c->next) {
		if (is_read_elsewhere(c->key, tier >= 0, prefix))
			continue;
		if (!read_key(load, c, tier, prefix))
			unknown_key(load, c, tier >= 0, prefix);
	}
}

bool
kvr_read_root_key(struct kvr_load *load, const struct kvr_node *node)
{
	return read_key(load, node, -1, "");
}

static void
read_tier(struct kvr_load *load, const struct kvr_node *node)
{
	static const char *const required[] = { "name", "url" };
	struct kvr_origin at = kvr_origin_of(load, node);
	const struct kvr_node *name = kvr_tree_child(node, "name");
	int32_t tier;

	if (node->kind != KVR_TREE_OBJECT) {
		kvr_load_error(
		    load, &at, "a tier must be an object, not %s", kvr_tree_kind_name(node->kind));
		return;
	}
	tier = kvr_add_tier(load, &at);
	if (tier < 0)
		return;
	/* First, so that messages about the other keys can name the tier. */
	if (name != NULL)
		read_option(
		    load, name, (struct kvr_place){ kvr_option_find(true, "name", 4), tier });
	for (size_t i = 0; i < KVR_LEN(required); i++) {
		if (kvr_tree_child(node, required[i]) == NULL)
			kvr_load_error(load, &at, "this tier has no \"%s\"", required[i]);
	}
	read_object(load, node, tier, "");
}

void
kvr_read_tiers_form(struct kvr_load *load, const struct kvr_node *root)
{
	const struct kvr_node *tiers;
	struct kvr_origin at = kvr_origin_of(load, root);

	if (root->kind != KVR_TREE_OBJECT) {
		kvr_load_error(load, &at, "a configuration must be an object, not %s",
		    kvr_tree_kind_name(root->kind));
		return;
	}
	tiers = kvr_tree_child(root, "tiers");
	read_object(load, root, -1, "");
	if (tiers == NULL && kvr_tree_child(root, "lmcache_env") != NULL) {
		kvr_load_error(
		    load, &at, "there is no \"remote_url\", and LMCACHE_REMOTE_URL is not set");
		return;
	}
	if (tiers == NULL) {
		kvr_load_error(
		    load, &at, "there is neither \"tiers\" nor LMCache's \"remote_url\"");
		return;
	}
	at = kvr_origin_of(load, tiers);
	if (tiers->kind != KVR_TREE_ARRAY) {
		kvr_load_error(load, &at, "tiers must be an array of objects, not %s",
		    kvr_tree_kind_name(tiers->kind));
		return;
	}
	if (tiers->child == NULL)
		kvr_load_error(load, &at, "tiers is empty: at least one is needed");
	for (const struct kvr_node *c = tiers->child; c != NULL; c = c->next)
		read_tier(load, c);
}
