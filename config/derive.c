/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defaults that depend on other values, and values from variables; run when every source has been
 * read.
 */
#include "kvr_config_own.h"

#include <stdio.h>
#include <string.h>

/* name is the path of the password; the path of its variable has "_env" appended. */
static void
derive_password(struct kvr_load *load, uint32_t i, const char *name, const char *variable,
    const char **ret)
{
	struct kvr_config_own *own = load->cfg->own;
	char env[KVR_PATH_MAX];

	snprintf(env, sizeof(env), "%s_env", name);
	if (variable == NULL || !kvr_place_given(load, kvr_place_tier(i, env)) || load->import)
		return;
	/* Once: who has opened an instance may clear secrets from the environment. */
	if (*ret != NULL && kvr_place_origin(load->cfg, kvr_place_tier(i, name))->env == variable)
		return;
	const char *text = own->env(own->env_arg, variable);

	if (text == NULL) {
		KVR_PLACE_ERROR(load, kvr_place_tier(i, env),
		    "tiers.%s: the variable %.64s is not set",
		    load->cfg->tier[i].name, variable);
		return;
	}
	if (kvr_place_given(load, kvr_place_tier(i, name)))
		return; /* kvr_check_whole reports it */
	*ret = kvr_arena_text(&own->arena, text, strlen(text));
	kvr_place_origin(load->cfg, kvr_place_tier(i, name))->env = variable;
}

/* LMCache reads the service from a variable, and without it uses a default of its own. */
static void
derive_service(struct kvr_load *load, uint32_t i)
{
	struct kvr_config_tier *tier = &load->cfg->tier[i];
	struct kvr_config_own *own = load->cfg->own;

	if (tier->url == NULL || !kvr_scheme_asks_sentinels(tier->url) ||
	    tier->sentinel.service != NULL || kvr_scheme_option(tier->url, "service") != NULL)
		return;
	const char *name = own->env(own->env_arg, "REDIS_SERVICE_NAME");

	if (name == NULL) {
		struct kvr_origin at = kvr_place_where(load, kvr_place_tier(i, "url"));

		kvr_load_warn(load, &at, "the variable REDIS_SERVICE_NAME is not set; the service "
		    "is taken to be \"redismaster\"");
		name = "redismaster";
	}
	tier->sentinel.service = kvr_arena_text(&own->arena, name, strlen(name));
}

/*
 * LMCache's Valkey connector writes one name and no header since April 2026, and refuses a
 * configuration that wants one; the one before it always wrote two names. So this says which is
 * meant.
 */
static bool
wants_two_names(const struct kvr_load *load, uint32_t i)
{
	const struct kvr_config_tier *tier = &load->cfg->tier[i];

	return load->cfg->flat && kvr_scheme_is_kind(tier->url, "valkey") && tier->save_chunk_meta &&
	       kvr_place_given(load, kvr_place_tier(i, "save_chunk_meta"));
}

static void
derive_tier(struct kvr_load *load, uint32_t i)
{
	struct kvr_config_tier *tier = &load->cfg->tier[i];
	const struct kvr_scheme *scheme = tier->url == NULL ? NULL : kvr_scheme_find(tier->url);
	struct kvr_place capacity = kvr_place_tier(i, "capacity");
	bool by_url = load->cfg->flat || load->cfg->own->tier_at[i].kind == KVR_FROM_URL;

	if (!kvr_place_given(load, kvr_place_tier(i, "format")) ||
	    tier->format == KVR_CONFIG_FORMAT_DEFAULT) {
		tier->format = KVR_CONFIG_FORMAT_DEFAULT;
		if (scheme != NULL)
			tier->format = by_url ? scheme->format_url : scheme->format_tier;
		if (scheme != NULL && wants_two_names(load, i))
			tier->format = KVR_CONFIG_FORMAT_LMCACHE;
	}
	/* Without a limit it would fill the host's memory and take down the engine. */
	if (!kvr_place_given(load, capacity))
		tier->capacity_bytes =
		    tier->url != NULL && kvr_scheme_is(tier->url, "memory") ? KVR_MIB(1024) : 0;
	derive_password(load, i, "password", tier->password_env, &tier->password);
	derive_password(load, i, "sentinel.password", tier->sentinel.password_env,
	    &tier->sentinel.password);
	if (load->cfg->flat)
		derive_service(load, i);
}

void
kvr_derive(struct kvr_load *load)
{
	struct kvr_config *cfg = load->cfg;

	/* Shapes say how many tokens a chunk has; the default is for engines that give none. */
	if (!kvr_place_given(load, kvr_place_root("engine.chunk_tokens"))) {
		if (cfg->own->kv_shape.dim[2] != 0)
			cfg->engine.chunk_tokens = (uint32_t)cfg->own->kv_shape.dim[2];
		else if (cfg->own->n_kv_groups > 0)
			cfg->engine.chunk_tokens = (uint32_t)cfg->own->kv_group[0].dim[2];
	}
	if (!cfg->own->mla_given)
		cfg->lmcache.mla_worker_id_as0 = cfg->engine.use_mla;
	for (uint32_t i = 0; i < cfg->n_tiers; i++)
		derive_tier(load, i);
	kvr_derive_layout(load);
	kvr_derive_buckets(load);
	if (!kvr_place_given(load, kvr_place_root("metrics.canary")))
		cfg->metrics.canary_ns = cfg->metrics.listen != NULL ? KVR_SEC(30) : 0;
	kvr_fill_rank(load);
}
