/* SPDX-License-Identifier: Apache-2.0 */
/* Where the value of an option is, where it came from, and what it is called. */
#include "kvr_config_own.h"

#include <stdio.h>
#include <string.h>

const void *
kvr_place_look(const struct kvr_config *cfg, struct kvr_place place)
{
	const char *base = (const char *)cfg;

	if (place.tier >= 0)
		base = (const char *)&cfg->tier[place.tier];
	return base + place.option->offset;
}

void *
kvr_place_at(struct kvr_config *cfg, struct kvr_place place)
{
	char *base = (char *)cfg;

	if (place.tier >= 0)
		base = (char *)&cfg->tier[place.tier];
	return base + place.option->offset;
}

struct kvr_origin *
kvr_place_origin(struct kvr_config *cfg, struct kvr_place place)
{
	uint32_t i = kvr_option_index(place.option);

	return place.tier >= 0 ? &cfg->own->tier[place.tier][i] : &cfg->own->root[i];
}

const char *
kvr_place_path(const struct kvr_config *cfg, struct kvr_place place, char *ret_path)
{
	const char *name = place.tier >= 0 ? cfg->tier[place.tier].name : NULL;

	if (place.tier < 0)
		snprintf(ret_path, KVR_PATH_MAX, "%s", place.option->path);
	else if (name != NULL)
		snprintf(ret_path, KVR_PATH_MAX, "tiers.%s.%s", name, place.option->path);
	else
		snprintf(ret_path, KVR_PATH_MAX, "tiers[%d].%s", place.tier, place.option->path);
	return ret_path;
}

static void
no_option(bool in_tier, const char *path, char *why, size_t why_cap)
{
	struct kvr_nearest near = { .to = path };
	char quoted[KVR_QUOTED_MAX];

	for (uint32_t i = 0; i < kvr_option_count; i++) {
		const struct kvr_option *o = &kvr_option_table[i];

		if (o->in_tier == in_tier)
			kvr_nearest_try(&near, o->path, strlen(o->path));
	}
	if (near.best != NULL)
		snprintf(why, why_cap, "there is no option %s; nearest: \"%s\"",
		    kvr_quoted(path, quoted), near.best);
	else
		snprintf(why, why_cap, "there is no option %s", kvr_quoted(path, quoted));
}

static bool
no_tier(const struct kvr_config *cfg, const char *name, size_t len, char *why, size_t why_cap)
{
	char text[KVR_QUOTED_MAX], quoted[KVR_QUOTED_MAX], all[320];
	struct kvr_text_out out = { all, sizeof(all), 0 };

	all[0] = '\0';
	snprintf(text, sizeof(text), "%.*s", (int)KVR_MIN(len, (size_t)50), name);
	for (uint32_t i = 0; i < cfg->n_tiers; i++)
		kvr_out(&out, "%s%s", i == 0 ? "" : ", ", cfg->tier[i].name);
	snprintf(why, why_cap, "no tier is named %s; there are: %s", kvr_quoted(text, quoted), all);
	return false;
}

bool
kvr_place_find(const struct kvr_config *cfg, const char *path, struct kvr_place *ret, char *why,
    size_t why_cap)
{
	struct kvr_place place = { NULL, -1 };
	const char *rest = path;

	if (strncmp(path, "tiers.", 6) == 0) {
		size_t len = strcspn(path + 6, ".");
		uint32_t i = 0;

		while (i < cfg->n_tiers &&
		       (cfg->tier[i].name == NULL || strlen(cfg->tier[i].name) != len ||
		           memcmp(cfg->tier[i].name, path + 6, len) != 0))
			i++;
		if (i == cfg->n_tiers)
			return no_tier(cfg, path + 6, len, why, why_cap);
		place.tier = (int32_t)i;
		rest = path + 6 + len;
		rest += *rest == '.';
	}
	place.option = kvr_option_find(place.tier >= 0, rest, strlen(rest));
	if (place.option == NULL) {
		no_option(place.tier >= 0, rest, why, why_cap);
		return false;
	}
	*ret = place;
	return true;
}

struct kvr_place
kvr_place_root(const char *path)
{
	struct kvr_place place = { kvr_option_find(false, path, strlen(path)), -1 };

	KVR_CHECK(place.option != NULL);
	return place;
}

struct kvr_place
kvr_place_tier(uint32_t tier, const char *path)
{
	struct kvr_place place = { kvr_option_find(true, path, strlen(path)), (int32_t)tier };

	KVR_CHECK(place.option != NULL);
	return place;
}

bool
kvr_place_given(const struct kvr_load *load, struct kvr_place place)
{
	return kvr_place_origin(load->cfg, place)->kind != KVR_FROM_DEFAULT;
}

struct kvr_origin
kvr_place_where(const struct kvr_load *load, struct kvr_place place)
{
	struct kvr_origin at = *kvr_place_origin(load->cfg, place);

	if (at.kind == KVR_FROM_DEFAULT && place.tier >= 0)
		at = load->cfg->own->tier_at[place.tier];
	return at;
}
