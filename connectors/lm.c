/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector of LMCache's own server: dial, ping, and one verb over a batch, which is in
 * lm_batch.c. The protocol has no greeting, so dial sends HEALTH: if something else listens on the
 * port, that should show before payload is sent there.
 */
#include "kvr_connectors.h"
#include "kvr_dial.h"
#include "kvr_lm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('L', 'S', 'T', 'O')
#define LANE_MAGIC  KVR_MAGIC('L', 'L', 'A', 'N')
/* The server parses the key of a HEALTH request like any other. */
#define HEALTH_KEY "kvrelay@1@0@0@half"

static enum kvr_err
lm_open(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	enum kvr_err err = kvr_lm_open(opts, ret, why, why_cap);
	if (err == KVR_OK)
		(*ret)->magic = STORE_MAGIC;
	return err;
}

static void
lm_close(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == STORE_MAGIC);
	take->magic = 0;
	free(take);
}

static void
hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == LANE_MAGIC);
	kvr_stream_hang_up(&take->s);
	take->magic = 0;
	free(take->scratch);
	free(take);
}

static struct kvr_connector *
lane_new(struct kvr_store *store)
{
	struct kvr_connector *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->magic = LANE_MAGIC;
	c->store = store;
	c->s.fd = -1;
	c->scratch = aligned_alloc(64, KVR_FRAME_SCRATCH);
	if (c->scratch == NULL) {
		hang_up(c);
		return NULL;
	}
	return c;
}

static enum kvr_err
ask_health(struct kvr_connector *c)
{
	uint8_t ask[KVR_LM_ASK_LEN];
	struct kvr_lm_tell tell;
	kvr_lm_ask(ask, KVR_LM_HEALTH, NULL, (struct kvr_const_span){ "", 0 },
	    (struct kvr_const_span){ HEALTH_KEY, sizeof(HEALTH_KEY) - 1 });
	enum kvr_err err = kvr_stream_copy(&c->s, ask, sizeof(ask));
	if (err == KVR_OK)
		err = kvr_stream_flush(&c->s);
	if (err == KVR_OK)
		err = kvr_lm_read_tell(&c->s, 0, &tell);
	if (err == KVR_E_TIMEOUT)
		return kvr_stream_stage(&c->s, "HEALTH");
	if (err == KVR_OK && !tell.yes)
		err = kvr_stream_fail(&c->s, KVR_E_REFUSED,
		    "HEALTH: LMCache's server says that it is not well: see its log");
	return err;
}

static enum kvr_err
dial(struct kvr_store *store, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	KVR_CHECK(store->magic == STORE_MAGIC);
	const struct kvr_dial d = kvr_dial_begin(store->connect_ns, until_ns);
	char whose[KVR_DIAL_WHOSE];
	struct kvr_connector *c = lane_new(store);
	if (c == NULL) {
		snprintf(why, why_cap, "%s: no memory for a connection", store->where);
		return KVR_E_NOMEM;
	}
	enum kvr_err err = kvr_stream_dial_tcp(&c->s, store->host, store->port, d.until_ns, kick);
	if (err == KVR_OK)
		err = kvr_stream_begin(&c->s, d.until_ns, KVR_STREAM_AHEAD);
	if (err == KVR_OK)
		err = ask_health(c);
	if (err == KVR_OK) {
		*ret = c;
		return KVR_OK;
	}
	err = kvr_dial_blame(&d, err, whose);
	snprintf(why, why_cap, "%s: %s%s", store->where, c->s.why, whose);
	hang_up(c);
	return err;
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	KVR_CHECK(c->magic == LANE_MAGIC && verb < KVR_VERB_N);
	c->why[0] = '\0';
	/* A silent server is given up, as any other; a ping has a limit of its own. */
	c->s.patience_ns = verb == KVR_VERB_PING ? 0 : c->store->connect_ns;
	enum kvr_err err = kvr_stream_ask(&c->s, until_ns, KVR_STREAM_IN);
	if (err != KVR_OK)
		return err;
	err = verb == KVR_VERB_PING ? ask_health(c) : kvr_lm_run(c, verb, items, n);
	return kvr_stream_blame(&c->s, err);
}

static const char *
why(const struct kvr_connector *c)
{
	return c->s.err != KVR_OK ? c->s.why : c->why;
}

static const char *const schemes[] = { "lm", NULL };

const struct kvr_connector_ops kvr_lm_ops = {
	.name = "lm",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(GIVE_UP),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE),
	.format_tier = KVR_FORMAT_LMCACHE,
	.format_url = KVR_FORMAT_LMCACHE,
	.open = lm_open,
	.close = lm_close,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why,
};
