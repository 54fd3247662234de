/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration checks formats without seeing the stores, so it has a table of its own: what it
 * says of a store that is compiled in must be what that store says of itself.
 */
#include "kvr_check.h"
#include "kvr_config.h"
#include "kvr_connectors.h"
#include "kvr_option.h"

#include <stdio.h>

static uint32_t
in_config(uint32_t format)
{
	switch ((enum kvr_store_format)format) {
	case KVR_FORMAT_LMCACHE:
		return KVR_CONFIG_FORMAT_LMCACHE;
	case KVR_FORMAT_BARE:
		return KVR_CONFIG_FORMAT_BARE;
	case KVR_FORMAT_SEALED:
		return KVR_CONFIG_FORMAT_SEALED;
	default:
		ck_abort_msg("format %u", format);
		return 0;
	}
}

START_TEST(the_table_of_formats_says_what_the_stores_say)
{
	size_t n = 0;
	for (const char *const *s = kvr_connector_schemes(); *s != NULL; s++, n++) {
		char url[64];
		uint32_t formats = 0;
		snprintf(url, sizeof(url), "%s://x", *s);
		const struct kvr_connector_ops *ops = kvr_connector_find(url);
		const struct kvr_scheme *row = kvr_scheme_find(url);
		ck_assert_msg(row != NULL, "%s has no row in config/scheme.c", *s);
		for (uint32_t f = KVR_FORMAT_LMCACHE; f <= KVR_FORMAT_SEALED; f++)
			if (ops->formats & KVR_FORMAT_BIT(f))
				formats |= 1U << in_config(f);
		ck_assert_msg(row->formats == formats, "%s: %#x in the table, %#x in the store", *s,
		    row->formats, formats);
		ck_assert_msg(row->format_tier == in_config(ops->format_tier), "%s: in a tier", *s);
		ck_assert_msg(row->format_url == in_config(ops->format_url), "%s: by URL", *s);
	}
	ck_assert_uint_ge(n, 7);
}
END_TEST

KVR_CHECK_MAIN("connectors.schemes", the_table_of_formats_says_what_the_stores_say)
