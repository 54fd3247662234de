/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "{rank}" in the URL of a store, in trace.dir and in metrics.listen: eight ranks share one file,
 * but not one place. A port may also be counted up: "127.0.0.1:9477+{rank}".
 */
#include "kvr_config_own.h"

#include <stdio.h>
#include <string.h>

static const char *
filled(struct kvr_load *load, const char *text)
{
	char rank[16];
	struct kvr_text_out out = { NULL, 0, 0 };
	const char *at;
	char *full;

	snprintf(rank, sizeof(rank), "%d", load->cfg->engine.worker_id);
	/* The number may be longer than what it replaces; this is enough for any. */
	out.cap = 1 + strlen(text) * sizeof(rank);
	full = kvr_arena_take(&load->cfg->own->arena, out.cap);
	if (full == NULL)
		return text;
	out.at = full;
	while ((at = strstr(text, "{rank}")) != NULL) {
		kvr_out(&out, "%.*s%s", (int)(at - text), text, rank);
		text = at + 6;
	}
	kvr_out(&out, "%s", text);
	return full;
}

/* "host:9477+{rank}" adds: appending the rank to the number would soon exceed the port range. */
static const char *
counted(struct kvr_load *load, const char *text)
{
	const char *plus = strstr(text, "+{rank}"), *colon = strrchr(text, ':');
	uint64_t port = 0;
	bool huge = false;
	char digits[8] = "", *full;

	if (plus == NULL || plus[7] != '\0' || colon == NULL || colon + 1 >= plus ||
	    (size_t)(plus - colon) > sizeof(digits))
		return text;
	memcpy(digits, colon + 1, (size_t)(plus - colon) - 1);
	if (!kvr_parse_whole(digits, &port, &huge) || huge)
		return text;
	full = kvr_arena_take(&load->cfg->own->arena, strlen(text) + 24);
	if (full == NULL)
		return text;
	snprintf(full, strlen(text) + 24, "%.*s:%llu", (int)(colon - text), text,
	    (unsigned long long)(port + (uint64_t)load->cfg->engine.worker_id));
	return full;
}

static void
fill(struct kvr_load *load, const char **text)
{
	if (*text != NULL && strstr(*text, "{rank}") != NULL)
		*text = filled(load, *text);
}

void
kvr_fill_rank(struct kvr_load *load)
{
	struct kvr_config *cfg = load->cfg;

	if (cfg->engine.worker_id < 0)
		return;
	for (uint32_t i = 0; i < cfg->n_tiers; i++)
		fill(load, &cfg->tier[i].url);
	fill(load, &cfg->trace.dir);
	if (cfg->metrics.listen != NULL)
		cfg->metrics.listen = counted(load, cfg->metrics.listen);
	fill(load, &cfg->metrics.listen);
}

static void
unknown(struct kvr_load *load, const char *path, const char *text)
{
	const struct kvr_origin at = { .kind = KVR_FROM_API };

	if (text != NULL && strstr(text, "{rank}") != NULL)
		kvr_load_error(load, &at,
		    "%s has {rank}, and the rank is not known: say worker_id, or name its "
		    "variable in engine.worker_id",
		    path);
}

void
kvr_check_rank(struct kvr_load *load)
{
	const struct kvr_config *cfg = load->cfg;
	const struct kvr_origin at = { .kind = KVR_FROM_API };

	if (cfg->engine.worker_id >= 0)
		return;
	for (uint32_t i = 0; i < cfg->n_tiers; i++) {
		if (cfg->tier[i].url != NULL && strstr(cfg->tier[i].url, "{rank}") != NULL)
			kvr_load_error(load, &at,
			    "tiers.%s.url has {rank}, and the rank is not known: say worker_id, or "
			    "name its variable in engine.worker_id", cfg->tier[i].name);
	}
	unknown(load, "trace.dir", cfg->trace.dir);
	unknown(load, "metrics.listen", cfg->metrics.listen);
}
