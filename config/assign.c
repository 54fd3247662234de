/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value into one option. The option's row says what it accepts; this file turns rows into
 * checks and error messages. A refused value changes nothing.
 */
#include "kvr_take.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *
wanted(enum kvr_option_type type)
{
	switch (type) {
	case KVR_TYPE_SIZE:
		return "a size such as \"512MiB\"";
	case KVR_TYPE_DURATION:
		return "a duration such as \"500ms\"";
	case KVR_TYPE_COUNT:
		return "a whole number";
	case KVR_TYPE_BOOL:
		return "true or false";
	case KVR_TYPE_RANK:
		return "\"env:\" and the name of a variable";
	case KVR_TYPE_SHAPE:
		return "an array of five whole numbers";
	case KVR_TYPE_GROUPS:
		return "an array of objects";
	case KVR_TYPE_TEXT:
	case KVR_TYPE_NAME:
	case KVR_TYPE_URL:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	case KVR_TYPE_CHOICE:
	default:
		return "a text";
	}
}

static enum kvr_tree_kind
kind_of(enum kvr_option_type type)
{
	switch (type) {
	case KVR_TYPE_COUNT:
		return KVR_TREE_NUMBER;
	case KVR_TYPE_BOOL:
		return KVR_TREE_BOOL;
	case KVR_TYPE_SHAPE:
	case KVR_TYPE_GROUPS:
		return KVR_TREE_ARRAY;
	case KVR_TYPE_TEXT:
	case KVR_TYPE_NAME:
	case KVR_TYPE_URL:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	case KVR_TYPE_SIZE:
	case KVR_TYPE_DURATION:
	case KVR_TYPE_CHOICE:
	case KVR_TYPE_RANK:
	default:
		return KVR_TREE_TEXT;
	}
}

static const char *
amount_text(const struct kvr_option *o, uint64_t value, char *ret_text)
{
	if (o->type == KVR_TYPE_SIZE)
		return kvr_size_text(value, ret_text);
	if (o->type == KVR_TYPE_DURATION)
		return kvr_duration_text(value, ret_text);
	snprintf(ret_text, KVR_VALUE_MAX, "%" PRIu64, value);
	return ret_text;
}

static bool
in_range(struct kvr_take *t, uint64_t value, bool huge)
{
	const struct kvr_option *o = t->option;
	char min[KVR_VALUE_MAX], max[KVR_VALUE_MAX];

	if (!huge && value >= o->min && value <= o->max)
		return true;
	TAKE_ERROR(t, "%s is %s; it must be between %s and %s%s%s%s", t->path, t->value->text,
	    amount_text(o, o->min, min), amount_text(o, o->max, max), o->zero ? ", or \"" : "",
	    o->zero ? o->zero : "", o->zero ? "\"" : "");
	return false;
}

static bool
take_amount(struct kvr_take *t)
{
	const char *text = t->value->text;
	uint64_t value = 0;
	bool huge = false, good;
	char quoted[KVR_QUOTED_MAX];

	if (t->option->zero != NULL && strcmp(text, t->option->zero) == 0) {
		*(uint64_t *)t->at = 0;
		return true;
	}
	if (t->option->type == KVR_TYPE_SIZE)
		good = kvr_parse_size(text, &value, &huge);
	else
		good = kvr_parse_duration(text, &value, &huge);
	if (!good) {
		TAKE_ERROR(t, "%s is %s; it must be %s (units: %s)", t->path,
		    kvr_quoted(text, quoted), wanted(t->option->type),
		    t->option->type == KVR_TYPE_SIZE ? "B KiB MiB GiB TiB KB MB GB TB"
		                                     : "ns us ms s m h d");
		return false;
	}
	if (!in_range(t, value, huge))
		return false;
	*(uint64_t *)t->at = value;
	return true;
}

static bool
take_count(struct kvr_take *t)
{
	uint64_t value = 0;
	bool huge = false;

	if (t->value->text[0] == '-')
		huge = true;
	else if (!kvr_parse_whole(t->value->text, &value, &huge)) {
		TAKE_ERROR(t, "%s is %.40s; it must be a whole number", t->path, t->value->text);
		return false;
	}
	if (!in_range(t, value, huge))
		return false;
	*(uint32_t *)t->at = (uint32_t)value;
	return true;
}

static bool
take_bool(struct kvr_take *t)
{
	char quoted[KVR_QUOTED_MAX];

	if (strcmp(t->value->text, "true") != 0 && strcmp(t->value->text, "false") != 0) {
		TAKE_ERROR(t, "%s is %s; it must be true or false", t->path,
		    kvr_quoted(t->value->text, quoted));
		return false;
	}
	*(bool *)t->at = t->value->text[0] == 't';
	return true;
}

static bool
unknown_choice(struct kvr_take *t)
{
	struct kvr_nearest near = { .to = t->value->text };
	char quoted[KVR_QUOTED_MAX], all[256];
	struct kvr_text_out out = { all, sizeof(all), 0 };

	if (strcmp(t->option->path, "serde") == 0 && strcmp(t->value->text, "cachegen") == 0) {
		TAKE_ERROR(t,
		    "%s \"cachegen\" is not supported: its stored form is a Python "
		    "pickle; use \"zstd\" with the format \"sealed\", or \"naive\"",
		    t->path);
		return false;
	}
	all[0] = '\0';
	for (const struct kvr_choice *c = t->option->choice; c->name != NULL; c++) {
		kvr_nearest_try(&near, c->name, strlen(c->name));
		kvr_out(&out, "%s%s", c == t->option->choice ? "" : ", ", c->name);
	}
	if (near.best != NULL)
		TAKE_ERROR(t, "%s cannot be %s; nearest valid value: \"%s\"", t->path,
		    kvr_quoted(t->value->text, quoted), near.best);
	else
		TAKE_ERROR(t, "%s cannot be %s; it is one of: %s", t->path,
		    kvr_quoted(t->value->text, quoted), all);
	return false;
}

static bool
take_choice(struct kvr_take *t)
{
	for (const struct kvr_choice *c = t->option->choice; c->name != NULL; c++) {
		if (strcmp(c->name, t->value->text) == 0) {
			*(uint32_t *)t->at = c->value;
			return true;
		}
	}
	return unknown_choice(t);
}

static bool
take(struct kvr_take *t)
{
	switch (t->option->type) {
	case KVR_TYPE_SIZE:
	case KVR_TYPE_DURATION:
		return take_amount(t);
	case KVR_TYPE_COUNT:
		return take_count(t);
	case KVR_TYPE_BOOL:
		return take_bool(t);
	case KVR_TYPE_CHOICE:
		return take_choice(t);
	case KVR_TYPE_SHAPE:
		return kvr_assign_shape(t->load, t->path, t->value);
	case KVR_TYPE_GROUPS:
		return kvr_assign_groups(t->load, t->path, t->value);
	case KVR_TYPE_TEXT:
	case KVR_TYPE_NAME:
	case KVR_TYPE_URL:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	case KVR_TYPE_RANK:
	default:
		return kvr_take_text(t);
	}
}

void
kvr_assign(struct kvr_load *load, struct kvr_place place, const struct kvr_value *value)
{
	struct kvr_take t = { load, place, place.option, value, NULL, "" };
	struct kvr_origin *origin = kvr_place_origin(load->cfg, place);

	t.at = kvr_place_at(load->cfg, place);
	if (value->called != NULL)
		snprintf(t.path, sizeof(t.path), "%s", value->called);
	else
		kvr_place_path(load->cfg, place, t.path);
	if (value->kind != kind_of(place.option->type) && !value->bare) {
		TAKE_ERROR(&t, "%s must be %s, not %s", t.path, wanted(place.option->type),
		    kvr_tree_kind_name(value->kind));
		return;
	}
	origin->env = NULL;
	if (!take(&t))
		return;
	origin->kind = value->origin.kind;
	origin->line = value->origin.line;
	origin->column = value->origin.column;
	origin->name = value->origin.name;
}

void
kvr_assign_default(struct kvr_load *load, struct kvr_place place)
{
	struct kvr_value value = { .kind = kind_of(place.option->type), .text = place.option->def };
	struct kvr_take t = { load, place, place.option, &value, NULL, "" };

	memset(kvr_place_origin(load->cfg, place), 0, sizeof(struct kvr_origin));
	t.at = kvr_place_at(load->cfg, place);
	if (place.option->type == KVR_TYPE_RANK)
		*(int32_t *)t.at = -1;
	else if (value.text[0] != '\0' && !take(&t))
		KVR_CHECK(load->cfg->own->arena.failed); /* otherwise the row violates its own limits */
}
