/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options as a JSON Schema (draft 7, which editors know), for completion and for
 * checking without the program. Checks that need two values are left to `config check`.
 */
#include "kvr_config.h"

#include "kvr_flat.h"
#include "kvr_option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SIZE_PATTERN     "^[0-9]+(\\\\.[0-9]+)?(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)$"
#define DURATION_PATTERN "^[0-9]+(\\\\.[0-9]+)?(ns|us|ms|s|m|h|d)$"

struct schema {
	struct kvr_text_out out;
	uint32_t depth;
	bool first; /* no entry of the open object was written yet */
};

static void
line(struct schema *s)
{
	kvr_out(&s->out, "%s\n%*s", s->first ? "" : ",", (int)(s->depth * 2), "");
	s->first = false;
}

static void
key(struct schema *s, const char *name, size_t len)
{
	line(s);
	kvr_out(&s->out, "\"%.*s\": ", (int)len, name);
}

static void
open_object(struct schema *s, const char *name, size_t len)
{
	key(s, name, len);
	kvr_out(&s->out, "{");
	s->depth++;
	s->first = true;
}

static void
close_object(struct schema *s)
{
	s->depth--;
	kvr_out(&s->out, "\n%*s}", (int)(s->depth * 2), "");
	s->first = false;
}

static void
text(struct schema *s, const char *name, const char *value)
{
	key(s, name, strlen(name));
	kvr_out_json(&s->out, value);
}

static void
raw(struct schema *s, const char *name, const char *value)
{
	key(s, name, strlen(name));
	kvr_out(&s->out, "%s", value);
}

static void
number(struct schema *s, const char *name, uint64_t value)
{
	key(s, name, strlen(name));
	kvr_out(&s->out, "%" PRIu64, value);
}

static void
with_unit(struct schema *s, const struct kvr_option *o)
{
	const char *amount = o->type == KVR_TYPE_SIZE ? SIZE_PATTERN : DURATION_PATTERN;

	text(s, "type", "string");
	line(s);
	if (o->zero == NULL)
		kvr_out(&s->out, "\"pattern\": \"%s\"", amount);
	else
		kvr_out(&s->out, "\"pattern\": \"^%s$|%s\"", o->zero, amount);
}

static void
choices(struct schema *s, const struct kvr_choice *choice)
{
	key(s, "enum", 4);
	for (const struct kvr_choice *c = choice; c->name != NULL; c++)
		kvr_out(&s->out, "%s\"%s\"", c == choice ? "[" : ", ", c->name);
	kvr_out(&s->out, "]");
}

static void
whole(struct schema *s, const struct kvr_option *o)
{
	text(s, "type", "integer");
	number(s, "minimum", o->min);
	number(s, "maximum", o->max);
}

static void
pattern(struct schema *s, const char *value)
{
	text(s, "type", "string");
	text(s, "pattern", value);
}

static void
kind(struct schema *s, const struct kvr_option *o)
{
	switch (o->type) {
	case KVR_TYPE_SIZE:
	case KVR_TYPE_DURATION:
		with_unit(s, o);
		break;
	case KVR_TYPE_COUNT:
		whole(s, o);
		break;
	case KVR_TYPE_BOOL:
		text(s, "type", "boolean");
		break;
	case KVR_TYPE_CHOICE:
		choices(s, o->choice);
		break;
	case KVR_TYPE_RANK:
		pattern(s, "^env:.+$");
		break;
	case KVR_TYPE_NAME:
		pattern(s, "^[A-Za-z0-9_-]{1,32}$");
		break;
	case KVR_TYPE_URL:
		pattern(s, "^[a-z-]+://");
		break;
	case KVR_TYPE_SHAPE:
		raw(s, "$ref", "\"#/definitions/shape\"");
		break;
	case KVR_TYPE_GROUPS:
		raw(s, "type", "\"array\"");
		number(s, "maxItems", KVR_GROUPS_MAX);
		raw(s, "items", "{ \"$ref\": \"#/definitions/group\" }");
		break;
	case KVR_TYPE_TEXT:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	default:
		text(s, "type", "string");
		break;
	}
}

static void
default_value(struct schema *s, const struct kvr_option *o)
{
	if (o->def[0] == '\0')
		return;
	if (o->type == KVR_TYPE_COUNT || o->type == KVR_TYPE_BOOL)
		raw(s, "default", o->def);
	else
		text(s, "default", o->def);
}

static void
option(struct schema *s, const struct kvr_option *o, const char *name)
{
	open_object(s, name, strlen(name));
	/* Draft 7 ignores what stands beside a $ref. */
	if (o->type != KVR_TYPE_SHAPE)
		text(s, "description", o->help);
	kind(s, o);
	default_value(s, o);
	close_object(s);
}

/* Rows of one group are adjacent: a group opens at its first row and closes after its last. */
static void
options(struct schema *s, bool in_tier)
{
	const char *group = NULL;
	size_t group_len = 0;

	for (uint32_t i = 0; i < kvr_option_count; i++) {
		const struct kvr_option *o = &kvr_option_table[i];
		const char *dot = strchr(o->path, '.');
		size_t len = dot == NULL ? 0 : (size_t)(dot - o->path);

		if (o->in_tier != in_tier)
			continue;
		if (group != NULL && (len != group_len || memcmp(group, o->path, len) != 0)) {
			close_object(s);
			close_object(s);
			group = NULL;
		}
		if (group == NULL && len > 0) {
			open_object(s, o->path, len);
			text(s, "type", "object");
			raw(s, "additionalProperties", "false");
			open_object(s, "properties", 10);
			group = o->path;
			group_len = len;
		}
		option(s, o, dot == NULL ? o->path : dot + 1);
	}
	if (group != NULL) {
		close_object(s);
		close_object(s);
	}
}

static void
shapes(struct schema *s)
{
	const struct kvr_option *dtype = kvr_option_find(false, "engine.kv_dtype", 15);
	const struct kvr_option *shape = kvr_option_find(false, "engine.kv_shape", 15);

	open_object(s, "shape", 5);
	text(s, "description", shape->help);
	text(s, "type", "array");
	number(s, "minItems", 5);
	number(s, "maxItems", 5);
	open_object(s, "items", 5);
	whole(s, shape);
	close_object(s);
	close_object(s);
	open_object(s, "group", 5);
	text(s, "type", "object");
	raw(s, "additionalProperties", "false");
	raw(s, "required", "[\"kv_dtype\", \"kv_shape\"]");
	open_object(s, "properties", 10);
	option(s, dtype, "kv_dtype");
	option(s, shape, "kv_shape");
	close_object(s);
	close_object(s);
}

static void
tier(struct schema *s)
{
	open_object(s, "tier", 4);
	text(s, "type", "object");
	raw(s, "additionalProperties", "false");
	raw(s, "required", "[\"name\", \"url\"]");
	open_object(s, "properties", 10);
	options(s, true);
	close_object(s);
	close_object(s);
}

static void
tiers_form(struct schema *s)
{
	open_object(s, "tiers_form", 10);
	text(s, "type", "object");
	raw(s, "additionalProperties", "false");
	raw(s, "required", "[\"tiers\"]");
	open_object(s, "properties", 10);
	raw(s, "$schema", "{ \"type\": \"string\" }");
	options(s, false);
	open_object(s, "tiers", 5);
	text(s, "description", "the stores, fastest first");
	text(s, "type", "array");
	number(s, "minItems", 1);
	number(s, "maxItems", KVR_TIERS_MAX);
	raw(s, "items", "{ \"$ref\": \"#/definitions/tier\" }");
	close_object(s);
	close_object(s);
	close_object(s);
}

static void
flat_keys(struct schema *s, bool extra)
{
	for (uint32_t i = 0; i < kvr_flat_count; i++) {
		const struct kvr_flat_key *k = &kvr_flat_table[i];
		const char *prefix = k->kind == KVR_FLAT_IGNORED   ? "ignored: "
		                     : k->kind == KVR_FLAT_REFUSED ? "refused: "
		                                                   : "";
		char help[256];

		if (k->extra != extra || strchr(k->name, '*') != NULL)
			continue;
		snprintf(help, sizeof(help), "%s%s", prefix, k->why);
		open_object(s, k->name, strlen(k->name));
		text(s, "description", help);
		if (k->def != NULL)
			text(s, "default", k->def);
		close_object(s);
	}
}

static void
flat_form(struct schema *s)
{
	open_object(s, "flat_form", 9);
	text(s, "description", "LMCache's keys; unknown ones are warned about and ignored");
	text(s, "type", "object");
	open_object(s, "properties", 10);
	flat_keys(s, false);
	open_object(s, "lmcache_env", 11);
	text(s, "description", "LMCACHE_* variables are read too, and beat the file");
	text(s, "type", "boolean");
	raw(s, "default", "false");
	close_object(s);
	open_object(s, "extra_config", 12);
	raw(s, "type", "[\"object\", \"null\"]");
	open_object(s, "properties", 10);
	flat_keys(s, true);
	close_object(s);
	close_object(s);
	close_object(s);
	close_object(s);
}

size_t
kvr_config_schema(char *ret_text, size_t cap)
{
	struct schema s = { .out = { ret_text, cap, 0 }, .depth = 1, .first = true };

	if (cap > 0)
		ret_text[0] = '\0';
	kvr_out(&s.out, "{");
	text(&s, "$schema", "http://json-schema.org/draft-07/schema#");
	text(&s, "title", "configuration of kvrelay");
	raw(&s, "if",
	    "{ \"anyOf\": [{ \"required\": [\"remote_url\"] }, { \"required\": [\"lmcache_env\"], "
	    "\"properties\": { \"lmcache_env\": { \"const\": true } } }] }");
	raw(&s, "then", "{ \"$ref\": \"#/definitions/flat_form\" }");
	raw(&s, "else", "{ \"$ref\": \"#/definitions/tiers_form\" }");
	open_object(&s, "definitions", 11);
	shapes(&s);
	tier(&s);
	tiers_form(&s);
	flat_form(&s);
	close_object(&s);
	s.depth = 0;
	kvr_out(&s.out, "\n}\n");
	return s.out.len;
}
