/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's remote_storage_plugins: a list of names, "type" or "type.instance", with parameters in
 * extra_config as remote_storage_plugin.NAME.PARAMETER. Each one becomes a tier, in the order of
 * the list; remote_url, if given, is the last. As in LMCache, a put goes to all of them, and values
 * are not copied from one to another.
 *
 * A type is compared as a whole: "fsx" is not "fs". Plugins that would load Python code are left
 * out, with a warning.
 */
#include "kvr_config_own.h"
#include "kvr_flat.h"
#include "kvr_option.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *type, *param, *fallback, *before;
} types[] = {
	{ "fs", "base_path", "fs_base_path", "fs://" },
	{ "redis", "redis_url", "redis_url", "" },
};

struct list {
	struct kvr_load *load;
	const struct kvr_flat_source *from;
	struct kvr_flat_url *url; /* KVR_TIERS_MAX of them */
	uint32_t n;
};

static const struct kvr_node *
extra_of(const struct list *l, const char *key)
{
	const struct kvr_node *extra = l->from->extra;

	return extra == NULL || extra->kind != KVR_TREE_OBJECT ? NULL : kvr_tree_child(extra, key);
}

static const struct kvr_node *
param_of(const struct list *l, const char *name, size_t type, char *key, size_t cap)
{
	snprintf(key, cap, "remote_storage_plugin.%.64s.%s", name, types[type].param);
	const struct kvr_node *node = extra_of(l, key);

	return node != NULL ? node : extra_of(l, types[type].fallback);
}

/* A tier's name cannot contain a dot. */
static const char *
tier_name(const struct list *l, const char *name)
{
	char text[40];

	snprintf(text, sizeof(text), "%.32s", name);
	for (char *at = strchr(text, '.'); at != NULL; at = strchr(at, '.'))
		*at = '-';
	return kvr_arena_text(&l->load->cfg->own->arena, text, strlen(text));
}

static const char *
url_text(const struct list *l, const char *before, const char *path)
{
	size_t len = strlen(before) + strlen(path);
	char *text = kvr_arena_take(&l->load->cfg->own->arena, len + 1);

	if (text != NULL)
		snprintf(text, len + 1, "%s%s", before, path);
	return text;
}

static void
add(struct list *l, const struct kvr_node *at, const char *name)
{
	struct kvr_origin where = kvr_origin_of(l->load, at);
	size_t len = strcspn(name, "."), type = 0;
	char key[128];

	while (type < KVR_LEN(types) &&
	       (strlen(types[type].type) != len || memcmp(types[type].type, name, len) != 0))
		type++;
	if (type == KVR_LEN(types)) {
		kvr_load_warn(l->load, &where,
		    "remote_storage_plugins: \"%.64s\" is left out: only "
		    "fs and redis are built in, and plugins of Python cannot be loaded",
		    name);
		return;
	}
	const struct kvr_node *param = param_of(l, name, type, key, sizeof(key));

	if (param == NULL || param->kind != KVR_TREE_TEXT) {
		kvr_load_warn(l->load, &where,
		    "remote_storage_plugins: \"%.64s\" is left out: extra_config has no %s", name,
		    key);
		return;
	}
	if (l->n == KVR_TIERS_MAX) {
		kvr_load_error(l->load, &where, "more than %d tiers", KVR_TIERS_MAX);
		return;
	}
	struct kvr_flat_url *url = &l->url[l->n];

	*url = (struct kvr_flat_url){ .name = tier_name(l, name), .node = *param };
	url->node.text = url_text(l, types[type].before, param->text);
	if (url->name != NULL && url->node.text != NULL)
		l->n++;
}

/* A list; in a variable, names separated by commas. */
static void
add_all(struct list *l, const struct kvr_node *names)
{
	struct kvr_origin at = kvr_origin_of(l->load, names);

	if (names->kind == KVR_TREE_ARRAY) {
		for (const struct kvr_node *c = names->child; c != NULL; c = c->next) {
			if (c->kind == KVR_TREE_TEXT)
				add(l, c, c->text);
		}
		return;
	}
	if (names->kind != KVR_TREE_TEXT) {
		kvr_load_error(l->load, &at, "remote_storage_plugins must be a list, not %s",
		    kvr_tree_kind_name(names->kind));
		return;
	}
	for (const char *text = names->text; *text != '\0';) {
		char name[80];
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		snprintf(name, sizeof(name), "%.*s", (int)KVR_MIN(len, sizeof(name) - 1), text);
		if (len > 0)
			add(l, names, name);
		text += len;
	}
}

uint32_t
kvr_flat_urls(struct kvr_load *load, const struct kvr_flat_source *from, struct kvr_flat_url *ret)
{
	const struct kvr_node *names = kvr_flat_child(from, "remote_storage_plugins");
	const struct kvr_node *url = kvr_flat_child(from, "remote_url");
	struct list l = { load, from, ret, 0 };

	if (names != NULL && names->kind != KVR_TREE_NULL)
		add_all(&l, names);
	if (url == NULL && l.n == 0) {
		struct kvr_origin at = kvr_origin_of(load, names);

		kvr_load_error(
		    load, &at, "remote_storage_plugins leaves no store that can be used");
	} else if (url != NULL && l.n == KVR_TIERS_MAX) {
		struct kvr_origin at = kvr_origin_of(load, url);

		kvr_load_error(load, &at, "more than %d tiers", KVR_TIERS_MAX);
	} else if (url != NULL) {
		ret[l.n++] = (struct kvr_flat_url){ .name = "remote", .node = *url };
	}
	return l.n;
}

static void
copy(struct kvr_load *load, uint32_t to, const char *path)
{
	const struct kvr_option *o = kvr_option_find(true, path, strlen(path));

	KVR_CHECK(o != NULL);
	*kvr_place_origin(load->cfg, (struct kvr_place){ o, (int32_t)to }) =
	    *kvr_place_origin(load->cfg, (struct kvr_place){ o, 0 });
}

void
kvr_flat_more_tiers(struct kvr_load *load, const struct kvr_flat_source *from,
    const struct kvr_flat_url *urls, uint32_t n)
{
	struct kvr_config *cfg = load->cfg;

	for (uint32_t i = 1; i < n; i++) {
		struct kvr_origin at = kvr_origin_of(load, &urls[i].node);
		const struct kvr_node *real = kvr_flat_real_url(load, from, &urls[i].node);

		if (real == NULL)
			return;
		struct kvr_value value = { .kind = KVR_TREE_TEXT,
			.bare = true,
			.called = real->key,
			.text = real->text,
			.origin = kvr_origin_of(load, real) };

		if (kvr_add_tier(load, &at) < 0)
			return;
		cfg->tier[i].name = urls[i].name;
		kvr_assign(load, (struct kvr_place){ kvr_option_find(true, "url", 3), (int32_t)i },
		    &value);
		cfg->tier[i].serde = cfg->tier[0].serde;
		copy(load, i, "serde");
		cfg->tier[i].save_chunk_meta = cfg->tier[0].save_chunk_meta;
		copy(load, i, "save_chunk_meta");
		kvr_flat_audit(load, from, &urls[i].node, i);
	}
	for (uint32_t i = 0; i < n && n > 1; i++)
		cfg->tier[i].promote.on = KVR_CONFIG_PROMOTE_NEVER;
}
