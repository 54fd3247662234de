/* SPDX-License-Identifier: Apache-2.0 */
/* Options that belong to one kind of store have no meaning for another kind. */
#include "kvr_config_own.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX ((size_t)160) /* of a path, so that there is room for the advice */

bool
kvr_tier_speaks_https(const struct kvr_config_tier *tier)
{
	return kvr_scheme_is(tier->url, "sagemaker-hyperpod") &&
	       (tier->hyperpod.use_https || strstr(tier->url, "://https://") != NULL);
}

static bool
has_replicas(const char *url)
{
	return kvr_scheme_is_cluster(url) || kvr_scheme_asks_sentinels(url);
}

static void
check_replicas(struct kvr_load *load, uint32_t tier)
{
	struct kvr_place place = kvr_place_tier(tier, "replicas");
	const struct kvr_config_tier *t = &load->cfg->tier[tier];

	if (t->replicas && !has_replicas(t->url))
		kvr_load_error(load, kvr_place_origin(load->cfg, place),
		    "tiers.%s: replicas means nothing here: only redis-sentinel:// and clusters have "
		    "replicas to read from", t->name);
}

/*
 * LMCache's form is fs://host:port/dir; host and port are ignored. A name without a port is more
 * likely a directory, whose files would then not be found.
 */
static void
check_host(struct kvr_load *load, uint32_t tier)
{
	struct kvr_place place = kvr_place_tier(tier, "url");
	const struct kvr_origin *at = kvr_place_origin(load->cfg, place);
	const struct kvr_config_tier *t = &load->cfg->tier[tier];
	const char *all = t->url + strlen("fs://");
	char host[KVR_QUOTED_MAX], name[KVR_QUOTED_MAX];

	if (!kvr_scheme_is(t->url, "fs"))
		return;
	size_t len = strcspn(all, "/,?#");
	int whole = (int)KVR_MIN(strcspn(all, "?#"), SHOWN_MAX); /* what follows may be a secret */
	const char *dir = all + len, *first = dir + strspn(dir, "/");

	if (len == 0 || memchr(all, ':', len) != NULL)
		return;
	snprintf(name, sizeof(name), "%.*s", (int)KVR_MIN(len, sizeof(name) - 1), all);
	kvr_quoted(name, host);
	if (dir == first || strcspn(first, ",?#") == 0)
		kvr_load_error(load, at, "tiers.%s: %s is read as a host, and no directory follows; "
		    "for a relative one write fs://./%.*s", t->name, host, whole, all);
	else
		kvr_load_warn(load, at, "tiers.%s: files go to %.*s, for %s is read as a host; for a "
		    "relative directory write fs://./%.*s", t->name,
		    (int)KVR_MIN(strcspn(dir, "?#"), SHOWN_MAX), dir, host, whole, all);
}

void
kvr_check_store(struct kvr_load *load, uint32_t tier)
{
	static const struct {
		const char *group, *scheme;
	} stores[] = { { "hyperpod.", "sagemaker-hyperpod" }, { "eic.", "eic" } };

	for (uint32_t i = 0; i < kvr_option_count; i++) {
		struct kvr_place place = { &kvr_option_table[i], (int32_t)tier };
		const char *path = place.option->path;

		if (!place.option->in_tier ||
		    kvr_place_origin(load->cfg, place)->kind == KVR_FROM_DEFAULT)
			continue;
		for (size_t s = 0; s < KVR_LEN(stores); s++) {
			if (strncmp(path, stores[s].group, strlen(stores[s].group)) == 0 &&
			    !kvr_scheme_is(load->cfg->tier[tier].url, stores[s].scheme))
				kvr_load_error(load, kvr_place_origin(load->cfg, place),
				    "tiers.%s: %s means nothing here: only %s:// reads it",
				    load->cfg->tier[tier].name, path, stores[s].scheme);
		}
	}
	check_replicas(load, tier);
	check_host(load, tier);
}
