/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector of EIC, over an adapter of the vendor's SDK (kvr_eic_sdk.h). A lane has no
 * connection of its own; the SDK has. dial loads the adapter, makes the client if there is none,
 * and sends one request. The SDK's calls cannot be interrupted, so this store cannot GIVE_UP.
 */
#include "kvr_connectors.h"
#include "kvr_eic.h"
#include "kvr_stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('E', 'S', 'T', 'O')
#define LANE_MAGIC  KVR_MAGIC('E', 'L', 'A', 'N')
#define PROBE       "kvrelay@1@0@0@half"

static enum kvr_err
eic_open(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	enum kvr_err err = kvr_eic_open(opts, ret, why, why_cap);
	if (err == KVR_OK)
		(*ret)->magic = STORE_MAGIC;
	return err;
}

static void
eic_close(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == STORE_MAGIC);
	kvr_eic_unload(take);
	pthread_mutex_destroy(&take->lock);
	take->magic = 0;
	free(take);
}

static void
hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == LANE_MAGIC);
	take->magic = 0;
	free(take->scratch);
	free(take);
}

static enum kvr_err
probe(struct kvr_connector *c)
{
	const struct kvr_store *s = c->store;
	const char *const key[] = { PROBE };
	int rc = s->sdk->mexist(s->client, s->ns, 1, key, c->code);
	if (rc == 0 && (c->code[0] == KVR_EIC_OK || c->code[0] == KVR_EIC_NOT_EXIST))
		return KVR_OK;
	snprintf(c->why, sizeof(c->why), "mexist: the SDK answers %d", rc != 0 ? rc : c->code[0]);
	return KVR_E_DOWN;
}

static enum kvr_err
dial(struct kvr_store *store, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	KVR_CHECK(store->magic == STORE_MAGIC);
	struct kvr_connector *c = calloc(1, sizeof(*c));
	if (c != NULL) {
		c->magic = LANE_MAGIC;
		c->store = store;
		c->kick = kick;
		c->scratch = aligned_alloc(64, KVR_FRAME_SCRATCH);
	}
	if (c == NULL || c->scratch == NULL) {
		hang_up(c);
		snprintf(why, why_cap, "eic: no memory for a connection");
		return KVR_E_NOMEM;
	}
	enum kvr_err err = kvr_stop(kick, until_ns);
	if (err != KVR_OK)
		snprintf(c->why, sizeof(c->why), "%s", kvr_err_text(err));
	else
		err = kvr_eic_load(store, until_ns, kick, c->why, sizeof(c->why));
	if (err == KVR_OK)
		err = probe(c);
	if (err == KVR_OK) {
		*ret = c;
		return KVR_OK;
	}
	snprintf(why, why_cap, "eic: %s", c->why);
	hang_up(c);
	return err;
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	KVR_CHECK(c->magic == LANE_MAGIC && verb < KVR_VERB_N);
	c->why[0] = '\0';
	c->until_ns = until_ns;
	enum kvr_err err = kvr_stop(c->kick, until_ns);
	if (err != KVR_OK) {
		snprintf(c->why, sizeof(c->why), "%s", kvr_err_text(err));
		return err;
	}
	return verb == KVR_VERB_PING ? probe(c) : kvr_eic_run(c, verb, items, n);
}

static const char *
why(const struct kvr_connector *c)
{
	return c->why;
}

static const char *const schemes[] = { "eic", NULL };

const struct kvr_connector_ops kvr_eic_ops = {
	.name = "eic",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(TTL),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE),
	.format_tier = KVR_FORMAT_LMCACHE,
	.format_url = KVR_FORMAT_LMCACHE,
	.open = eic_open,
	.close = eic_close,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why,
	.examine = kvr_eic_examine,
};
