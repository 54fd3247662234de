/* SPDX-License-Identifier: Apache-2.0 */
/* Contradictions: checks that need more than one value, made when every source has been read. */
#include "kvr_config_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
check_names(struct kvr_load *load)
{
	struct kvr_config_tier *tier = load->cfg->tier;

	for (uint32_t i = 0; i < load->cfg->n_tiers; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (tier[i].name == NULL || tier[k].name == NULL ||
			    strcmp(tier[i].name, tier[k].name) != 0)
				continue;
			KVR_PLACE_ERROR(
			    load, kvr_place_tier(i, "name"),
			    "two tiers are named \"%s\"", tier[i].name);
			break;
		}
	}
}

static void
check_login(struct kvr_load *load, uint32_t i)
{
	const struct kvr_config_tier *tier = &load->cfg->tier[i];
	size_t from, to;
	const char *both = NULL;

	if (kvr_place_given(load, kvr_place_tier(i, "password")) &&
	    kvr_place_given(load, kvr_place_tier(i, "password_env")))
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "password_env"),
		    "tiers.%s: password and password_env are both given", tier->name);
	if (!kvr_url_login(tier->url, strlen(tier->url), &from, &to) || from == to)
		return;
	if (kvr_place_given(load, kvr_place_tier(i, "user")))
		both = "user";
	else if (kvr_place_given(load, kvr_place_tier(i, "password")))
		both = "password";
	else if (kvr_place_given(load, kvr_place_tier(i, "password_env")))
		both = "password_env";
	if (both != NULL)
		KVR_PLACE_ERROR(load, kvr_place_tier(i, both),
		    "tiers.%s: the URL names a user or password already; drop \"%s\" or take it "
		    "out of "
		    "the URL",
		    tier->name, both);
}

static void
format_list(uint32_t formats, char *ret_list, size_t cap)
{
	struct kvr_text_out out = { ret_list, cap, 0 };

	ret_list[0] = '\0';
	for (uint32_t f = KVR_CONFIG_FORMAT_LMCACHE; f <= KVR_CONFIG_FORMAT_SEALED; f++) {
		if ((formats & 1U << f) != 0)
			kvr_out(
			    &out, "%s\"%s\"", out.len == 0 ? "" : ", ", kvr_config_format_name(f));
	}
}

static void
check_format(struct kvr_load *load, uint32_t i)
{
	const struct kvr_config_tier *tier = &load->cfg->tier[i];
	const struct kvr_scheme *scheme = kvr_scheme_find(tier->url);
	struct kvr_place blame = kvr_place_tier(i, "format");
	char list[64];

	if (scheme != NULL && (scheme->formats & 1U << tier->format) == 0) {
		format_list(scheme->formats, list, sizeof(list));
		KVR_PLACE_ERROR(load, blame,
		    "tiers.%s: a store of the scheme \"%s\" cannot hold the "
		    "format \"%s\"; it can hold %s",
		    tier->name, scheme->name, kvr_config_format_name(tier->format), list);
		return;
	}
	/* The other formats cannot store how a payload was encoded. */
	if (kvr_config_serde_encodes(tier->serde) && tier->format != KVR_CONFIG_FORMAT_SEALED &&
	    tier->format != KVR_CONFIG_FORMAT_DEFAULT)
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "serde"),
		    "tiers.%s: serde \"%s\" needs the format \"sealed\"; this tier has \"%s\"",
		    tier->name, kvr_config_serde_name(tier->serde), kvr_config_format_name(tier->format));
}

static void
check_tls(struct kvr_load *load, uint32_t i)
{
	/* With redis-py's options of the same meaning, which users of LMCache know. */
	static const char *const keys[][2] = { { "tls.ca", "ssl_ca_certs" },
		{ "tls.cert", "ssl_certfile" }, { "tls.key", "ssl_keyfile" },
		{ "tls.verify", "ssl_cert_reqs" }, { "tls.server_name", "ssl_check_hostname" },
		{ "tls.crl", NULL } };
	const struct kvr_config_tier *tier = &load->cfg->tier[i];
	bool speaks = kvr_scheme_speaks_tls(tier->url) || kvr_tier_speaks_https(tier);
	const char *reqs = speaks ? kvr_scheme_option(tier->url, "ssl_cert_reqs") : NULL;

	for (size_t k = 0; k < KVR_LEN(keys); k++) {
		struct kvr_place place = kvr_place_tier(i, keys[k][0]);

		if (!kvr_place_given(load, place))
			continue;
		if (!speaks)
			KVR_PLACE_ERROR(load, place, "tiers.%s: %s means nothing here: only "
			    "rediss://, valkeys:// and hyperpod.use_https speak TLS", tier->name,
			    keys[k][0]);
		else if (keys[k][1] != NULL && kvr_scheme_option(tier->url, keys[k][1]) != NULL)
			KVR_PLACE_ERROR(load, place,
			    "tiers.%s: %s is given, and %s in the URL: keep "
			    "one", tier->name, keys[k][0], keys[k][1]);
	}
	if (tier->tls.key != NULL && tier->tls.cert == NULL && speaks &&
	    kvr_scheme_option(tier->url, "ssl_certfile") == NULL)
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "tls.key"),
		    "tiers.%s: tls.key needs tls.cert",
		    tier->name);
	bool unverified = tier->tls.verify == KVR_CONFIG_VERIFY_OFF ||
	                  (reqs != NULL && strncmp(reqs, "none", 4) == 0);

	if (unverified && speaks && tier->tls.crl != NULL)
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "tls.crl"),
		    "tiers.%s: tls.crl is of no use where no "
		    "certificate is verified", tier->name);
	if (unverified) {
		struct kvr_origin at = kvr_place_where(
		    load, kvr_place_tier(i, reqs == NULL ? "tls.verify" : "url"));

		kvr_load_warn(load, &at, "tiers.%s: the server's certificate is not verified: "
		    "whoever stands between can read and forge every value", tier->name);
	}
}

/* A file copied from a rehearsal must not silently break a deployment. */
static void
check_faults(struct kvr_load *load, uint32_t i)
{
	const struct kvr_config_tier *tier = &load->cfg->tier[i];
	struct kvr_place place = kvr_place_tier(i, "faults");

	if (tier->faults == NULL)
		return;
	if (!load->cfg->rehearse) {
		KVR_PLACE_ERROR(load, place, "tiers.%s: faults are only for a rehearsal: say "
		    "\"rehearse\": true beside \"tiers\", or take them out", tier->name);
		return;
	}
	struct kvr_origin at = kvr_place_where(load, place),
	                  in = { .kind = KVR_FROM_FILE, .name = tier->faults };
	char what[256];

	if (load->opts->faults != NULL &&
	    !load->opts->faults(tier->faults, &in.line, &in.column, what, sizeof(what)))
		kvr_load_error(load, &in, "%s", what);
	kvr_load_warn(load, &at, "tiers.%s: this is a rehearsal: the tier fails on purpose as %s "
	    "says", tier->name, tier->faults);
}

static void
check_sentinel(struct kvr_load *load, uint32_t i)
{
	static const char *const keys[] = { "sentinel.service", "sentinel.user",
		"sentinel.password", "sentinel.password_env" };
	const struct kvr_config_tier *tier = &load->cfg->tier[i];
	bool asks = kvr_scheme_asks_sentinels(tier->url);

	for (size_t k = 0; k < KVR_LEN(keys); k++) {
		if (!asks && kvr_place_given(load, kvr_place_tier(i, keys[k])))
			KVR_PLACE_ERROR(load, kvr_place_tier(i, keys[k]),
			    "tiers.%s: %s means nothing here: "
			    "only a redis-sentinel:// URL asks sentinels", tier->name, keys[k]);
	}
	if (!asks)
		return;
	if (kvr_place_given(load, kvr_place_tier(i, keys[2])) &&
	    kvr_place_given(load, kvr_place_tier(i, keys[3])))
		KVR_PLACE_ERROR(load, kvr_place_tier(i, keys[3]),
		    "tiers.%s: %s and %s are both given",
		    tier->name, keys[2], keys[3]);
	bool in_url = kvr_scheme_option(tier->url, "service") != NULL;

	if (in_url && kvr_place_given(load, kvr_place_tier(i, keys[0])))
		KVR_PLACE_ERROR(load, kvr_place_tier(i, keys[0]),
		    "tiers.%s: %s is given, and service in the "
		    "URL: keep one", tier->name, keys[0]);
	else if (!in_url && tier->sentinel.service == NULL)
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "url"),
		    "tiers.%s: the sentinels have to know which "
		    "service is meant: set sentinel.service, or write ?service=NAME in the URL",
		    tier->name);
}

static void
check_tier(struct kvr_load *load, uint32_t i)
{
	const struct kvr_config_tier *tier = &load->cfg->tier[i];

	check_login(load, i);
	check_tls(load, i);
	check_sentinel(load, i);
	kvr_check_store(load, i);
	check_format(load, i);
	check_faults(load, i);
	if (tier->direct && !kvr_scheme_is(tier->url, "fs"))
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "direct"),
		    "tiers.%s: direct means nothing here: only fs:// has files", tier->name);
	if (tier->staged && !kvr_scheme_is(tier->url, "fs"))
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "staged"),
		    "tiers.%s: staged means nothing here: only fs:// has disks", tier->name);
	if (tier->lanes.control + tier->lanes.bulk > KVR_LANES_MAX)
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "lanes.bulk"),
		    "tiers.%s: %u control and %u bulk lanes are more than %d", tier->name,
		    tier->lanes.control, tier->lanes.bulk, KVR_LANES_MAX);
	if (tier->breaker.backoff_min_ns > tier->breaker.backoff_max_ns)
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "breaker.backoff_min"),
		    "tiers.%s: breaker.backoff_min is longer than breaker.backoff_max", tier->name);
	if (tier->promote.on == KVR_CONFIG_PROMOTE_NEVER &&
	    kvr_place_given(load, kvr_place_tier(i, "promote.after")))
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "promote.after"),
		    "tiers.%s: promote.after means nothing when promote.on is \"never\"",
		    tier->name);
	if (tier->tmp_dir != NULL &&
	    (tier->tmp_dir[0] == '/' || strstr(tier->tmp_dir, "..") != NULL))
		KVR_PLACE_ERROR(load, kvr_place_tier(i, "tmp_dir"),
		    "tiers.%s: tmp_dir must be a directory below the tier's own", tier->name);
}

static void
check_shapes(struct kvr_load *load)
{
	const struct kvr_config_engine *engine = &load->cfg->engine;
	const struct kvr_config_own *own = load->cfg->own;
	bool one = own->kv_shape.dim[0] != 0;
	struct kvr_place blame = kvr_place_root(one ? "engine.kv_shape" : "engine.kv_groups");

	if (one && own->n_kv_groups > 0) {
		KVR_PLACE_ERROR(load, blame, "engine.kv_shape and engine.kv_groups are both given");
		return;
	}
	if (one && engine->kv_dtype == KVR_DTYPE_NONE)
		KVR_PLACE_ERROR(load, blame, "engine.kv_shape needs engine.kv_dtype");
	for (uint32_t g = 0; g < KVR_MAX(own->n_kv_groups, one ? 1U : 0U); g++) {
		const struct kvr_raw_shape *s = one ? &own->kv_shape : &own->kv_group[g];

		if (s->dim[2] != engine->chunk_tokens)
			KVR_PLACE_ERROR(load, blame,
			    "%s says %" PRIu64 " tokens in a chunk, engine.chunk_tokens says %u",
			    blame.option->path, s->dim[2], engine->chunk_tokens);
		if (engine->use_mla && s->dim[1] != 1)
			KVR_PLACE_ERROR(load, blame, "%s: with use_mla its second number is 1",
			    blame.option->path);
	}
}

static void
check_memory(struct kvr_load *load)
{
	const struct kvr_config_memory *memory = &load->cfg->memory;
	uint64_t chunk = 0;
	char a[KVR_VALUE_MAX], b[KVR_VALUE_MAX];

	if (load->cfg->engine.layout.n_groups > 0) {
		enum kvr_err err = kvr_meta_bytes(&load->cfg->engine.layout, &chunk);

		if (err == KVR_E_TOO_BIG)
			KVR_PLACE_ERROR(load, kvr_place_root("memory.staging"),
			    "a full chunk of that layout has more bytes than 63 bits can count");
		if (err != KVR_OK)
			return; /* the other cause, a missing dtype, was already reported */
	}
	if (memory->slot_bytes != 0 && chunk > memory->slot_bytes)
		KVR_PLACE_ERROR(load, kvr_place_root("memory.slot_size"),
		    "memory.slot_size is %s, a full chunk has %s",
		    kvr_size_text(memory->slot_bytes, a), kvr_size_text(chunk, b));
	chunk = KVR_MAX(chunk, memory->slot_bytes);
	if (chunk > memory->staging_bytes)
		KVR_PLACE_ERROR(load, kvr_place_root("memory.staging"),
		    "memory.staging is %s and cannot hold one slot of %s",
		    kvr_size_text(memory->staging_bytes, a), kvr_size_text(chunk, b));
}

void
kvr_check_whole(struct kvr_load *load)
{
	const struct kvr_config *cfg = load->cfg;

	check_names(load);
	for (uint32_t i = 0; i < cfg->n_tiers; i++)
		check_tier(load, i);
	check_shapes(load);
	check_memory(load);
	if (cfg->engine.worker_id >= 0 && cfg->engine.world_size > 0 &&
	    (uint32_t)cfg->engine.worker_id >= cfg->engine.world_size)
		KVR_PLACE_ERROR(load, kvr_place_root("engine.worker_id"),
		    "engine.worker_id is %d, but engine.world_size is %u: ranks count from 0",
		    cfg->engine.worker_id, cfg->engine.world_size);
}
