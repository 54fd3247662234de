/* SPDX-License-Identifier: Apache-2.0 */
/* Turns a tier of the configuration into a store and its lanes. */
#include "kvr_system_own.h"
#include "kvr_fit.h"

#include <stdio.h>
#include <string.h>

static uint32_t
format_of(const struct kvr_config_tier *c, const struct kvr_connector_ops *ops)
{
	switch ((enum kvr_config_format)c->format) {
	case KVR_CONFIG_FORMAT_LMCACHE:
		return KVR_FORMAT_LMCACHE;
	case KVR_CONFIG_FORMAT_BARE:
		return KVR_FORMAT_BARE;
	case KVR_CONFIG_FORMAT_SEALED:
		return KVR_FORMAT_SEALED;
	case KVR_CONFIG_FORMAT_DEFAULT:
		break;
	}
	return ops->format_tier;
}

/* Without a limit, because an audit must be complete. */
static void
audit_line(void *arg, const char *text)
{
	const struct kvr_system *sys = arg;

	kvr_log_at(sys->opt.log, NULL, INFO, 0, "%s", text);
}

/* Verbs by kvrelay's names and by LMCache's. Other verbs of LMCache's do not exist here. */
static uint32_t
verbs_in(const char *list)
{
	static const struct {
		const char *name;
		enum kvr_verb verb;
	} names[] = { { "exists", KVR_VERB_EXISTS }, { "exists_sync", KVR_VERB_EXISTS },
		{ "batched_contains", KVR_VERB_EXISTS }, { "get", KVR_VERB_GET },
		{ "batched_get", KVR_VERB_GET }, { "put", KVR_VERB_PUT },
		{ "batched_put", KVR_VERB_PUT }, { "del", KVR_VERB_DEL },
		{ "remove_sync", KVR_VERB_DEL }, { "stat", KVR_VERB_STAT } };
	uint32_t mask = 0;

	for (const char *at = list; at != NULL && *at != '\0'; at += strcspn(at, ",")) {
		at += strspn(at, ", \t");
		size_t len = strcspn(at, ", \t");

		for (size_t i = 0; i < KVR_LEN(names); i++) {
			if (strlen(names[i].name) == len && memcmp(names[i].name, at, len) == 0)
				mask |= 1U << names[i].verb;
		}
		at += len;
	}
	return mask;
}

static uint32_t
audit_of(const struct kvr_config_tier *c)
{
	switch ((enum kvr_config_audit)c->audit) {
	case KVR_CONFIG_AUDIT_LOG:
		return KVR_AUDIT_LOG;
	case KVR_CONFIG_AUDIT_SUM:
		return KVR_AUDIT_SUM;
	case KVR_CONFIG_AUDIT_VERIFY:
		return KVR_AUDIT_VERIFY;
	case KVR_CONFIG_AUDIT_OFF:
		break;
	}
	return KVR_AUDIT_OFF;
}

static struct kvr_hyperpod_opts
hyperpod_of(const struct kvr_config_tier *c)
{
	return (struct kvr_hyperpod_opts){ .bucket = c->hyperpod.bucket,
		.shared_memory_name = c->hyperpod.shared_memory_name,
		.max_concurrent_requests = c->hyperpod.max_concurrent_requests,
		.max_connections = c->hyperpod.max_connections,
		.max_connections_per_host = c->hyperpod.max_connections_per_host,
		.put_stream_chunk = (uint32_t)c->hyperpod.put_stream_chunk_bytes,
		.timeout_ms = c->hyperpod.timeout_ns / 1000000U,
		.lease_wait_ms = c->hyperpod.lease_wait_ns / 1000000U,
		.lease_ttl_ms = c->hyperpod.lease_ttl_ns / 1000000U,
		.max_lease_bytes = c->hyperpod.max_lease_bytes,
		.use_https = c->hyperpod.use_https };
}

void
kvr_store_opts_of(const struct kvr_config *config, uint32_t number, struct kvr_store_opts *ret)
{
	const struct kvr_config_tier *c = &config->tier[number];
	const struct kvr_connector_ops *ops = kvr_connector_find(c->url);

	*ret = (struct kvr_store_opts){ .tier = c->name, .url = c->url, .user = c->user,
		.password = c->password, .format = ops == NULL ? c->format : format_of(c, ops),
		.n_groups = 1, .capacity = c->capacity_bytes, .free_floor = c->free_floor_bytes,
		.ttl_ms = c->ttl_ns / 1000000U, .connect_ns = config->timeouts.connect_ns,
		.prefix = c->prefix, .no_chunk_meta = !c->save_chunk_meta, .tmp_dir = c->tmp_dir,
		.direct = c->direct, .staged = c->staged, .hyperpod = hyperpod_of(c),
		.eic = { .library = c->eic.library, .instance_id = c->eic.instance_id,
		    .ns = c->eic.ns, .log_dir = c->eic.log_dir, .flag_file = c->eic.flag_file,
		    .log_level = (int32_t)c->eic.log_level,
		    .trans_type = (int32_t)c->eic.trans_type },
		.tls = { .ca = c->tls.ca, .crl = c->tls.crl, .cert = c->tls.cert,
		    .key = c->tls.key, .server_name = c->tls.server_name,
		    .no_verify = c->tls.verify == KVR_CONFIG_VERIFY_OFF },
		.sentinel = { .service = c->sentinel.service, .user = c->sentinel.user,
		    .password = c->sentinel.password },
		.replicas = c->replicas, .faults = c->faults,
		.audit = { .mode = audit_of(c), .excluded = verbs_in(c->audit_exclude) } };
}

enum kvr_err
kvr_system_tier_open(struct kvr_system *sys, uint32_t number, char *why, size_t why_cap)
{
	struct system_tier *t = &sys->tier[number];
	const struct kvr_config_tier *c = &sys->opt.config->tier[number];
	char cause[256] = "", whole[512], url[160];

	t->config = c;
	t->ops = kvr_connector_find(c->url);
	KVR_CHECK(pthread_mutex_init(&t->words.lock, NULL) == 0);
	kvr_config_redact(c->url, whole, sizeof(whole));
	kvr_fit(url, sizeof(url), whole);
	if (t->ops == NULL) {
		snprintf(why, why_cap, "tier \"%s\": no store serves %s", c->name, url);
		return KVR_E_CONFIG;
	}
	t->format = format_of(c, t->ops);
	if (c->faults != NULL)
		t->ops = kvr_connector_rehearse();
	t->n_control = c->lanes.control;
	t->n_lanes = c->lanes.control + c->lanes.bulk;
	struct kvr_store_opts opts;

	kvr_store_opts_of(sys->opt.config, number, &opts);
	opts.n_groups = sys->opt.n_groups;
	opts.fingerprint = sys->opt.fingerprint;
	opts.slot_bytes = sys->opt.slot_bytes;
	opts.staging = (struct kvr_span){ sys->opt.ledger->staging, sys->opt.ledger->staging_bytes };
	opts.audit.line = audit_line;
	opts.audit.arg = sys;
	if (opts.audit.mode != KVR_AUDIT_OFF)
		t->ops = kvr_connector_audit();
	enum kvr_err err = t->ops->open(&opts, &t->store, cause, sizeof(cause));

	if (err == KVR_OK && cause[0] != '\0')
		kvr_log_at(sys->opt.log, NULL, WARN, 0, "tier %s: %s", c->name, cause);
	if (err != KVR_OK) {
		t->store = NULL;
		snprintf(why, why_cap, "tier \"%s\" (%s): %s", c->name, url,
		    cause[0] != '\0' ? cause : kvr_err_text(err));
	}
	return err;
}

enum kvr_err
kvr_system_tier_lanes(struct kvr_system *sys, uint32_t number)
{
	struct system_tier *t = &sys->tier[number];

	for (uint32_t l = 0; l < t->n_lanes; l++) {
		const struct kvr_lane_options opt = { .work = &sys->work, .ops = t->ops,
			.store = t->store, .words = &t->words, .tier_name = t->config->name,
			.tier = number, .lane = l, .places = KVR_LANE_PLACES,
			.connect_ns = sys->opt.config->timeouts.connect_ns };
		enum kvr_err err = kvr_lane_start(&opt, &t->lane[l]);

		if (err != KVR_OK) {
			t->lane[l] = NULL;
			return err;
		}
	}
	return KVR_OK;
}

uint32_t
kvr_system_tier_join(struct kvr_system *sys, uint32_t number, uint64_t until_ns)
{
	struct system_tier *t = &sys->tier[number];
	uint32_t stuck = 0;

	for (uint32_t l = 0; l < t->n_lanes; l++) {
		if (t->lane[l] == NULL)
			continue;
		if (kvr_lane_join(t->lane[l], until_ns) == KVR_OK)
			t->lane[l] = NULL;
		else
			stuck++;
	}
	return stuck;
}

/* Only after every lane is joined: a stuck one still uses the store. */
void
kvr_system_tier_close(struct kvr_system *sys, uint32_t number)
{
	struct system_tier *t = &sys->tier[number];

	if (t->ops == NULL)
		return;
	if (t->store != NULL)
		t->ops->close(t->store);
	t->store = NULL;
	pthread_mutex_destroy(&t->words.lock);
	t->ops = NULL;
}
