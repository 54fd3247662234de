/* SPDX-License-Identifier: Apache-2.0 */
/* Turns one value of LMCache's into one of ours: rewrites its text for the parser of options. */
#include "kvr_config_own.h"
#include "kvr_flat.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* LMCache's rule, whatever kind the value has. */
bool
kvr_flat_is_true(const struct kvr_node *node)
{
	const char *text = node->text;
	size_t len;

	if (text == NULL)
		return false;
	text += strspn(text, " \t\r\n");
	len = strcspn(text, " \t\r\n");
	return (len == 4 && strncasecmp(text, "true", 4) == 0) || (len == 1 && text[0] == '1');
}

static struct kvr_place
place_of(const struct kvr_flat_key *key)
{
	struct kvr_place place = { NULL, key->in_tier ? 0 : -1 };

	place.option = kvr_option_find(key->in_tier, key->option, strlen(key->option));
	KVR_CHECK(place.option != NULL);
	return place;
}

static const char *
unit_of(enum kvr_flat_kind kind)
{
	switch (kind) {
	case KVR_FLAT_SECONDS:
	case KVR_FLAT_TTL_S:
	case KVR_FLAT_TTL:
		return "s";
	case KVR_FLAT_MILLIS:
		return "ms";
	case KVR_FLAT_GIB:
		return "GiB";
	case KVR_FLAT_MIB:
		return "MiB";
	case KVR_FLAT_BYTES:
		return "B";
	case KVR_FLAT_TEXT:
	case KVR_FLAT_POLICY:
	case KVR_FLAT_BOOL:
	case KVR_FLAT_COUNT:
	case KVR_FLAT_PLUGIN:
	case KVR_FLAT_AUDIT:
	case KVR_FLAT_BUCKETS:
	case KVR_FLAT_SCHEME:
	case KVR_FLAT_ENGINE:
	case KVR_FLAT_IGNORED:
	case KVR_FLAT_REFUSED:
	default:
		return "";
	}
}

enum { NUMBER_MAX = 64 };

/*
 * A value as the parser of options needs it: with its unit, and true or false written out. number
 * is where it is put together.
 */
static const char *
rewrite(const struct kvr_flat_key *key, const struct kvr_node *node, char number[NUMBER_MAX])
{
	int len;

	if (key->kind == KVR_FLAT_BOOL)
		return kvr_flat_is_true(node) ? "true" : "false";
	if (key->kind == KVR_FLAT_TEXT || key->kind == KVR_FLAT_POLICY)
		return node->text;
	if (key->kind == KVR_FLAT_TTL_S && node->text[0] == '-')
		return "none";
	len = snprintf(number, NUMBER_MAX, "%s%s", node->text, unit_of(key->kind));
	return len < NUMBER_MAX ? number : node->text; /* too long to be one; the parser says so */
}

static void
clamp_count(struct kvr_load *load, const struct kvr_option *o, struct kvr_value *value,
    char number[NUMBER_MAX])
{
	uint64_t n = 0;
	bool huge = false;

	if (!kvr_parse_whole(value->text, &n, &huge) || (!huge && n <= o->max))
		return;
	kvr_load_warn(load, &value->origin, "%s is %s; at most %u are used", value->called,
	    value->text, (unsigned)o->max);
	snprintf(number, NUMBER_MAX, "%u", (unsigned)o->max);
	value->text = number;
}

static void
assign_member(struct kvr_load *load, const struct kvr_flat_key *key, const struct kvr_value *value)
{
	char *at = (char *)load->cfg + key->offset;
	uint64_t n = 0;
	bool huge = false;

	if (key->kind == KVR_FLAT_BOOL) {
		*(bool *)(void *)at = value->text[0] == 't';
		return;
	}
	if (key->kind == KVR_FLAT_POLICY) {
		bool local = strcmp(value->text, "local_cpu") == 0;

		if (!local && strcmp(value->text, "recompute") != 0)
			kvr_load_warn(load, &value->origin,
			    "%s is neither recompute nor local_cpu; recompute is used", key->name);
		*(uint32_t *)(void *)at = local ? KVR_CONFIG_LOCAL_CPU : KVR_CONFIG_RECOMPUTE;
		return;
	}
	if (key->kind == KVR_FLAT_SECONDS && kvr_parse_duration(value->text, &n, &huge) && !huge) {
		*(uint64_t *)(void *)at = n;
		return;
	}
	if (key->kind == KVR_FLAT_COUNT && kvr_parse_whole(value->text, &n, &huge) && !huge &&
	    n <= UINT32_MAX) {
		*(uint32_t *)(void *)at = (uint32_t)n;
		return;
	}
	kvr_load_error(load, &value->origin, "%s must be %s", key->name,
	    key->kind == KVR_FLAT_COUNT ? "a whole number" : "a number of seconds");
}

/* A variable that cannot be converted changes nothing, as in LMCache. A wrong text is an error. */
static bool
may_be_wrong(const struct kvr_flat_key *key, const struct kvr_node *node)
{
	return node->from != NULL && key->kind != KVR_FLAT_TEXT;
}

void
kvr_flat_assign(struct kvr_load *whole, const struct kvr_flat_key *key, const struct kvr_node *node)
{
	struct kvr_load part = *whole, *load = may_be_wrong(key, node) ? &part : whole;
	struct kvr_value value = { .kind = KVR_TREE_TEXT, .bare = true, .called = key->name };
	char number[NUMBER_MAX];

	part.lenient = true;
	value.origin = kvr_origin_of(load, node);
	if (node->text == NULL || (key->kind == KVR_FLAT_TEXT && node->kind != KVR_TREE_TEXT)) {
		kvr_load_error(load, &value.origin, "%s cannot be %s", key->name,
		    kvr_tree_kind_name(node->kind));
		return;
	}
	value.text = rewrite(key, node, number);
	if (key->option == NULL) {
		assign_member(load, key, &value);
		return;
	}
	if (key->kind == KVR_FLAT_COUNT)
		clamp_count(load, place_of(key).option, &value, number);
	kvr_assign(load, place_of(key), &value);
}

bool
kvr_flat_set(struct kvr_load *load, const char *name, const char *text)
{
	const struct kvr_flat_key *key = kvr_flat_find(false, name);
	struct kvr_node node = { .kind = KVR_TREE_TEXT, .key = name, .text = text };

	key = key == NULL ? kvr_flat_find(true, name) : key;
	if (!load->cfg->flat || key == NULL || (key->option == NULL && key->offset == 0))
		return false;
	/* A password is kept as it is, and the override's text is the caller's. */
	if (key->kind == KVR_FLAT_TEXT)
		node.text = kvr_arena_text(&load->cfg->own->arena, text, strlen(text));
	if (node.text == NULL)
		return true;
	kvr_flat_assign(load, key, &node);
	return true;
}
