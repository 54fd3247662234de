/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's audit://host:port[?verify=true]: audit_actual_remote_url names the real store, and
 * extra_config says what to log. Here this becomes the tier's URL and its option "audit".
 */
#include "kvr_config_own.h"
#include "kvr_flat.h"
#include "kvr_option.h"

#include <string.h>

bool
kvr_flat_is_audit(const struct kvr_node *url)
{
	return url->text != NULL && url->kind == KVR_TREE_TEXT && kvr_scheme_is(url->text, "audit");
}

/* The key in extra_config overrides the older one beside remote_url. */
static const struct kvr_node *
key_of(const struct kvr_flat_source *from, const char *key)
{
	const struct kvr_node *node = NULL;

	if (from->extra != NULL && from->extra->kind == KVR_TREE_OBJECT)
		node = kvr_tree_child(from->extra, key);
	if (node == NULL)
		node = kvr_flat_child(from, key);
	return node == NULL || node->kind == KVR_TREE_NULL ? NULL : node;
}

const struct kvr_node *
kvr_flat_real_url(
    struct kvr_load *load, const struct kvr_flat_source *from, const struct kvr_node *url)
{
	const struct kvr_node *real = key_of(from, "audit_actual_remote_url");
	struct kvr_origin at = kvr_origin_of(load, url);

	if (!kvr_flat_is_audit(url))
		return url;
	if (real == NULL)
		kvr_load_error(load, &at,
		    "remote_url is audit://; it needs audit_actual_remote_url "
		    "in extra_config, the URL of the real store");
	else if (kvr_flat_is_audit(real))
		kvr_load_error(load, &at, "audit_actual_remote_url is audit:// again");
	else
		return real;
	return NULL;
}

static bool
asks(const struct kvr_flat_source *from, const struct kvr_node *url, const char *key,
    const char *query)
{
	const struct kvr_node *node = key_of(from, key);

	if (node != NULL)
		return kvr_flat_is_true(node);
	return query != NULL && strstr(url->text, query) != NULL;
}

static void
assign(struct kvr_load *load, uint32_t tier, const struct kvr_node *at, const char *option,
    const char *text)
{
	struct kvr_value value = {
		.kind = KVR_TREE_TEXT, .bare = true, .called = at->key, .text = text
	};

	value.origin = kvr_origin_of(load, at);
	kvr_assign(load, kvr_place_tier(tier, option), &value);
}

void
kvr_flat_audit(struct kvr_load *load, const struct kvr_flat_source *from,
    const struct kvr_node *url, uint32_t tier)
{
	const struct kvr_node *exclude = key_of(from, "audit_exclude_cmds");

	if (!kvr_flat_is_audit(url))
		return;
	/* LMCache only verifies if it also calculates; here it is enough to request verification. */
	if (asks(from, url, "audit_verify_checksum", "verify=true"))
		assign(load, tier, url, "audit", "verify");
	else
		assign(load, tier, url, "audit",
		    asks(from, url, "audit_calc_checksum", NULL) ? "sum" : "log");
	if (exclude != NULL && exclude->kind == KVR_TREE_TEXT)
		assign(load, tier, exclude, "audit_exclude", exclude->text);
}
