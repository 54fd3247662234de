/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram_bucket_NAME in LMCache's extra_config: an ascending list of numbers in the histogram's
 * unit. Only LMCache's histograms of remote stores exist here; for others there is a warning.
 */
#include "kvr_config_own.h"
#include "kvr_flat.h"

#include <stdio.h>
#include <string.h>

static uint32_t
histogram_of(const char *key)
{
	uint32_t h = 0;

	while (h < KVR_HISTOGRAMS &&
	       strcmp(kvr_histograms[h].name, key + strlen(KVR_FLAT_BUCKET)) != 0)
		h++;
	return h;
}

/* 0: not a number in this unit, or not between a microsecond and an hour. */
static uint32_t
microseconds(const struct kvr_node *number, uint32_t unit_us)
{
	uint64_t ns = 0;
	bool huge = false;
	char text[48];

	if (number->text == NULL || strlen(number->text) > 40)
		return 0;
	snprintf(text, sizeof(text), "%s%s", number->text, unit_us == 1000 ? "ms" : "s");
	if (!kvr_parse_duration(text, &ns, &huge) || huge || ns > KVR_SEC(3600))
		return 0;
	return (uint32_t)(ns / 1000);
}

static bool
read_list(struct kvr_load *load, const struct kvr_node *node, uint32_t unit_us,
    struct kvr_config_bounds *ret)
{
	struct kvr_origin at = kvr_origin_of(load, node);

	ret->n = 0;
	if (node->kind != KVR_TREE_ARRAY) {
		kvr_load_error(load, &at, "%s must be a list, not %s", node->key,
		    kvr_tree_kind_name(node->kind));
		return false;
	}
	for (const struct kvr_node *c = node->child; c != NULL; c = c->next) {
		uint32_t us = microseconds(c, unit_us), n = ret->n;

		at = kvr_origin_of(load, c);
		if (n == KVR_CONFIG_BUCKETS_MAX) {
			kvr_load_error(
			    load, &at, "%s: at most %u bounds", node->key, KVR_CONFIG_BUCKETS_MAX);
			return false;
		}
		if (us == 0 || (n > 0 && us <= ret->us[n - 1])) {
			kvr_load_error(load, &at,
			    us == 0 ? "%s: number %u is no time from 1us to 1h in %s"
			            : "%s: number %u does not come after the one before it, in %s",
			    node->key, n + 1, unit_us == 1000 ? "milliseconds" : "seconds");
			return false;
		}
		ret->us[ret->n++] = us;
	}
	return true;
}

void
kvr_flat_buckets(struct kvr_load *whole, const struct kvr_node *node)
{
	struct kvr_load part = *whole, *load = node->from != NULL ? &part : whole;
	struct kvr_origin at = kvr_origin_of_key(load, node);
	uint32_t h = histogram_of(node->key);
	struct kvr_config_bounds b;

	part.lenient = true; /* a variable that cannot be converted changes nothing */
	if (h == KVR_HISTOGRAMS) {
		kvr_load_warn(
		    load, &at, "%s is ignored: there is no such histogram here", node->key);
		return;
	}
	if (read_list(load, node, kvr_histograms[h].unit_us, &b))
		load->cfg->lmcache.histogram[h] = b;
}
