/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `config import`: rewrites LMCache's flat form as tiers. Writes what differs from a file with
 * nothing but the store; so LMCache's own defaults are written, and ours are not.
 */
#include "kvr_config_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct export {
	const struct kvr_config *cfg, *plain;
	struct kvr_text_out out;
	const char *group; /* group of the previous row: "memory." */
	size_t group_len;
	bool first; /* nothing in this object has been written yet */
	uint32_t depth;
};

static bool
differs(const struct export *e, struct kvr_place place)
{
	const void *is = kvr_place_look(e->cfg, place), *plain = kvr_place_look(e->plain, place);
	uint32_t i = kvr_option_index(place.option);
	const char *a, *b;

	switch (place.option->type) {
	case KVR_TYPE_SIZE:
	case KVR_TYPE_DURATION:
		return *(const uint64_t *)is != *(const uint64_t *)plain;
	case KVR_TYPE_COUNT:
	case KVR_TYPE_CHOICE:
		return *(const uint32_t *)is != *(const uint32_t *)plain;
	case KVR_TYPE_BOOL:
		return *(const bool *)is != *(const bool *)plain;
	case KVR_TYPE_RANK:
		return e->cfg->own->root[i].env != NULL;
	case KVR_TYPE_SHAPE:
		return e->cfg->own->kv_shape.dim[0] != 0;
	case KVR_TYPE_GROUPS:
		return e->cfg->own->n_kv_groups != 0;
	case KVR_TYPE_TEXT:
	case KVR_TYPE_NAME:
	case KVR_TYPE_URL:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	default:
		a = *(const char *const *)is;
		b = *(const char *const *)plain;
		return a != NULL && (b == NULL || strcmp(a, b) != 0);
	}
}

static void
line(struct export *e)
{
	kvr_out(&e->out, "%s\n%*s", e->first ? "" : ",", (int)(2 * e->depth), "");
	e->first = false;
}

static void
shape(struct kvr_text_out *out, const struct kvr_raw_shape *s)
{
	kvr_out(out, "[");
	for (uint32_t i = 0; i < KVR_SHAPE_DIMS; i++)
		kvr_out(out, "%s%" PRIu64, i == 0 ? "" : ", ", s->dim[i]);
	kvr_out(out, "]");
}

static void
groups(struct kvr_text_out *out, const struct kvr_config_own *own)
{
	const struct kvr_option *dtype = kvr_option_find(false, "engine.kv_dtype", 15);

	kvr_out(out, "[");
	for (uint32_t g = 0; g < own->n_kv_groups; g++) {
		kvr_out(out, "%s{ \"kv_dtype\": \"%s\", \"kv_shape\": ", g == 0 ? "" : ", ",
		    kvr_choice_name(dtype, own->kv_group[g].dtype));
		shape(out, &own->kv_group[g]);
		kvr_out(out, " }");
	}
	kvr_out(out, "]");
}

static void
amount(struct kvr_text_out *out, const struct kvr_option *o, uint64_t value)
{
	char text[KVR_VALUE_MAX];

	if (value == 0 && o->zero != NULL)
		kvr_out_json(out, o->zero);
	else if (o->type == KVR_TYPE_SIZE)
		kvr_out_json(out, kvr_size_text(value, text));
	else
		kvr_out_json(out, kvr_duration_text(value, text));
}

static void
value(struct export *e, struct kvr_place place)
{
	const void *at = kvr_place_look(e->cfg, place);
	const struct kvr_option *o = place.option;
	const struct kvr_config_own *own = e->cfg->own;

	switch (o->type) {
	case KVR_TYPE_SIZE:
	case KVR_TYPE_DURATION:
		amount(&e->out, o, *(const uint64_t *)at);
		break;
	case KVR_TYPE_COUNT:
		kvr_out(&e->out, "%u", *(const uint32_t *)at);
		break;
	case KVR_TYPE_BOOL:
		kvr_out(&e->out, "%s", *(const bool *)at ? "true" : "false");
		break;
	case KVR_TYPE_CHOICE:
		kvr_out_json(&e->out, kvr_choice_name(o, *(const uint32_t *)at));
		break;
	case KVR_TYPE_RANK:
		kvr_out(&e->out, "\"env:%s\"", own->root[kvr_option_index(o)].env);
		break;
	case KVR_TYPE_SHAPE:
		shape(&e->out, &own->kv_shape);
		break;
	case KVR_TYPE_GROUPS:
		groups(&e->out, own);
		break;
	case KVR_TYPE_TEXT:
	case KVR_TYPE_NAME:
	case KVR_TYPE_URL:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	default:
		kvr_out_json(&e->out, *(const char *const *)at);
		break;
	}
}

static void
close_group(struct export *e)
{
	if (e->group_len > 0)
		kvr_out(&e->out, " }");
	e->group_len = 0;
}

/* Rows of one group are adjacent in the table. */
static void
option(struct export *e, struct kvr_place place)
{
	const char *path = place.option->path, *dot = strchr(path, '.');
	size_t len = dot == NULL ? 0 : (size_t)(dot - path);

	if (e->group_len > 0 && (len != e->group_len || memcmp(path, e->group, len) != 0))
		close_group(e);
	if (e->group_len > 0) {
		kvr_out(&e->out, ", ");
	} else {
		line(e);
		if (len > 0)
			kvr_out(&e->out, "\"%.*s\": { ", (int)len, path);
	}
	e->group = path;
	e->group_len = len;
	kvr_out_json(&e->out, dot == NULL ? path : dot + 1);
	kvr_out(&e->out, ": ");
	value(e, place);
}

static void
level(struct export *e, int32_t tier)
{
	for (uint32_t i = 0; i < kvr_option_count; i++) {
		struct kvr_place place = { &kvr_option_table[i], tier };
		bool names = tier >= 0 && (strcmp(place.option->path, "name") == 0 ||
		                              strcmp(place.option->path, "url") == 0);

		if (place.option->in_tier == (tier >= 0) && (names || differs(e, place)))
			option(e, place);
	}
	close_group(e);
}

static void
tier(struct export *e, uint32_t t)
{
	e->depth = 2;
	line(e);
	kvr_out(&e->out, "{");
	e->first = true;
	e->depth = 3;
	level(e, (int32_t)t);
	kvr_out(&e->out, "\n    }");
	e->first = false;
}

static size_t
write_out(const struct kvr_config *cfg, const struct kvr_config *plain, char *text, size_t cap)
{
	struct export e = { .cfg = cfg,
		.plain = plain,
		.out = { text, cap, 0 },
		.first = true,
		.depth = 1 };

	kvr_out(&e.out, "{");
	level(&e, -1);
	line(&e);
	kvr_out(&e.out, "\"tiers\": [");
	e.first = true;
	for (uint32_t t = 0; t < cfg->n_tiers; t++)
		tier(&e, t);
	kvr_out(&e.out, "\n  ]\n}\n");
	return e.out.len;
}

/* The same stores and nothing else, to get the defaults of the tier form. */
static enum kvr_err
load_plain(const struct kvr_config *cfg, struct kvr_config **ret, char *why, size_t why_cap)
{
	const struct kvr_config_opts opts = { .schemes = cfg->own->schemes };
	char text[KVR_TIERS_MAX * 96];
	struct kvr_text_out out = { text, sizeof(text), 0 };

	for (uint32_t t = 0; t < cfg->n_tiers; t++) {
		size_t len = kvr_scheme_len(cfg->tier[t].url);

		kvr_out(&out, "%s{\"name\":\"t%u\",\"url\":\"%.*s://h:%u\"}",
		    t == 0 ? "{\"tiers\":[" : ",", t, (int)KVR_MIN(len, (size_t)40),
		    cfg->tier[t].url, t + 1);
	}
	kvr_out(&out, "]}");
	return kvr_config_parse(text, out.len, &opts, ret, why, why_cap);
}

enum kvr_err
kvr_config_import(const char *path, const struct kvr_config_opts *opts, char **ret_text, char *why,
    size_t why_cap)
{
	struct kvr_config *cfg = NULL, *plain = NULL;
	enum kvr_err err = kvr_load_for_import(path, opts, &cfg, why, why_cap);
	char *text;
	size_t need;

	if (err == KVR_OK && !cfg->flat) {
		snprintf(why, why_cap, "%s: these are tiers already; there is nothing to import",
		    path);
		err = KVR_E_CONFIG;
	}
	if (err == KVR_OK)
		err = load_plain(cfg, &plain, why, why_cap);
	if (err == KVR_OK) {
		need = write_out(cfg, plain, NULL, 0) + 1;
		text = malloc(need);
		if (text == NULL) {
			err = kvr_no_memory(why, why_cap);
		} else {
			write_out(cfg, plain, text, need);
			*ret_text = text;
		}
	}
	kvr_config_free(plain);
	kvr_config_free(cfg);
	return err;
}
