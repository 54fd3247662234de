/* SPDX-License-Identifier: Apache-2.0 */
/* Names of choices for printing. */
#include "kvr_config.h"

#include "kvr_option.h"

#include <string.h>

static const char *
choice_name(const char *path, uint32_t value)
{
	const struct kvr_option *o = kvr_option_find(true, path, strlen(path));

	for (const struct kvr_choice *c = o->choice; c->name != NULL; c++) {
		if (c->value == value)
			return c->name;
	}
	return "?";
}

const char *
kvr_config_format_name(uint32_t format)
{
	return choice_name("format", format);
}

const char *
kvr_config_serde_name(uint32_t serde)
{
	return choice_name("serde", serde);
}

bool
kvr_config_serde_encodes(uint32_t serde)
{
	return serde == KVR_CONFIG_SERDE_ZSTD || serde == KVR_CONFIG_SERDE_PLANES;
}

uint32_t
kvr_config_serde_threads(const struct kvr_config *cfg)
{
	for (uint32_t t = 0; t < cfg->n_tiers; t++) {
		if (kvr_config_serde_encodes(cfg->tier[t].serde))
			return cfg->serde.threads;
	}
	return 0;
}
