/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector of a HyperPod daemon: dial, ping, and one verb over a batch, which is in
 * hyperpod_batch.c. HTTP has no greeting, so dial asks for /health; the daemon answers 404, as it
 * does to everything unknown. dial also opens the shared memory, because a tier that could not read
 * what it stores is not up.
 */
#include "kvr_connectors.h"
#include "kvr_dial.h"
#include "kvr_hyperpod.h"
#include "kvr_stop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('H', 'S', 'T', 'O')
#define LANE_MAGIC  KVR_MAGIC('H', 'L', 'A', 'N')

static enum kvr_err
hyperpod_open(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	enum kvr_err err = kvr_hp_open(opts, ret, why, why_cap);
	if (err == KVR_OK)
		(*ret)->magic = STORE_MAGIC;
	return err;
}

static void
hyperpod_close(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == STORE_MAGIC);
	kvr_hp_owed_free(take->owed);
	take->magic = 0;
	free(take);
}

enum kvr_err
kvr_hp_fail(struct kvr_connector *c, enum kvr_err err, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, args);
	va_end(args);
	return err;
}

/*
 * Keeps only what fits into a sentence: an error page of a proxy has line breaks and control
 * characters.
 */
static void
words(const struct kvr_httpc_answer *a, char *ret, size_t cap)
{
	const char *from = a->body.at;
	size_t n = 0;
	for (size_t i = 0; i < a->body.len && n + 1 < cap; i++)
		ret[n++] = from[i] >= ' ' && from[i] < 0x7f ? from[i] : ' ';
	ret[n] = '\0';
}

enum kvr_err
kvr_hp_odd(struct kvr_connector *c, const char *verb, const struct kvr_httpc_answer *a)
{
	static const struct {
		uint32_t status;
		enum kvr_err err;
	} known[] = { { 401, KVR_E_AUTH }, { 403, KVR_E_AUTH }, { 413, KVR_E_TOO_BIG },
		{ 429, KVR_E_BUSY }, { 503, KVR_E_BUSY }, { 507, KVR_E_NOSPACE } };
	char text[120];
	words(a, text, sizeof(text));
	enum kvr_err err = KVR_E_REFUSED;
	for (size_t i = 0; i < KVR_LEN(known); i++)
		if (known[i].status == a->status)
			err = known[i].err;
	return kvr_hp_fail(c, err, "%s: the daemon answers HTTP %u%s%s", verb, a->status,
	    text[0] != '\0' ? ": " : "", text);
}

static void
hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == LANE_MAGIC);
	if (take->line != NULL)
		kvr_hp_let_go(take);
	kvr_hp_segment_close(&take->segment);
	take->magic = 0;
	free(take->scratch);
	free(take);
}

static struct kvr_connector *
lane_new(struct kvr_store *store, struct kvr_kick *kick)
{
	struct kvr_connector *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->magic = LANE_MAGIC;
	c->store = store;
	c->kick = kick;
	c->segment.fd = -1;
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
	const struct kvr_httpc_ask ask = { .method = KVR_HTTPC_GET, .path = "/health",
		.limit_ns = c->store->timeout_ns };
	struct kvr_httpc_answer a;
	if (kvr_httpc_start(c->line->http, &ask) < 0)
		return kvr_hp_fail(c, KVR_E_PROTO, "no memory for a request");
	enum kvr_err err = kvr_httpc_wait(c->line->http, c->until_ns, c->kick);
	if (err != KVR_OK)
		return kvr_hp_fail(c, err, "no answer yet to GET /health%s",
		    err == KVR_E_PROTO ? ": no memory for HTTP" : "");
	int32_t i = kvr_httpc_next(c->line->http);
	KVR_CHECK(i >= 0);
	kvr_httpc_answer(c->line->http, i, &a);
	c->health = a.status;
	if (a.err != KVR_OK)
		err = kvr_hp_fail(c, a.err, "%s%s", a.why,
		    a.err != KVR_E_AUTH          ? "" :
		    c->store->tls.crl != NULL ? "; tls.ca and tls.crl say whom to believe" :
		                                "; tls.ca says whom to believe");
	else if (a.status == 401 || a.status == 403 || a.status >= 500)
		err = kvr_hp_odd(c, "GET /health", &a);
	else if (a.status != 200 && a.status != 404)
		err = kvr_hp_fail(c, KVR_E_PROTO,
		    "GET /health: HTTP %u: is this a HyperPod daemon?", a.status);
	kvr_httpc_end(c->line->http, i);
	/* A daemon that refuses this refuses everything. */
	return kvr_err_stream(err) == KVR_STREAM_KEEP && err != KVR_OK ? KVR_E_DOWN : err;
}

static enum kvr_err
connect_lane(struct kvr_connector *c)
{
	struct kvr_store *s = c->store;
	struct kvr_addrs addrs;
	enum kvr_err err = kvr_stop(c->kick, c->until_ns);
	if (err != KVR_OK)
		return kvr_hp_fail(c, err, "%s", kvr_err_text(err));
	err = kvr_resolve(
	    s->host, s->port, c->until_ns, c->kick, &addrs, c->why, sizeof(c->why));
	if (err != KVR_OK)
		return err;
	c->line = kvr_hp_line_new(s, &addrs, s->at_once);
	if (c->line == NULL)
		return kvr_hp_fail(c, KVR_E_PROTO, "no memory for a connection");
	kvr_hp_owed_where(s->owed, &addrs);
	err = ask_health(c);
	return err == KVR_OK
	    ? kvr_hp_segment_fresh(&c->segment, s->segment, c->why, sizeof(c->why)) : err;
}

static enum kvr_err
dial(struct kvr_store *store, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	KVR_CHECK(store->magic == STORE_MAGIC);
	const struct kvr_dial d = kvr_dial_begin(store->connect_ns, until_ns);
	char whose[KVR_DIAL_WHOSE];
	struct kvr_connector *c = lane_new(store, kick);
	if (c == NULL) {
		snprintf(why, why_cap, "%s: no memory for a connection", store->where);
		return KVR_E_NOMEM;
	}
	c->until_ns = d.until_ns;
	enum kvr_err err = connect_lane(c);
	if (err == KVR_OK) {
		*ret = c;
		return KVR_OK;
	}
	err = kvr_dial_blame(&d, err, whose);
	snprintf(why, why_cap, "%s: %s%s", store->where, c->why, whose);
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
	if (err != KVR_OK)
		return kvr_hp_fail(c, err, "%s", kvr_err_text(err));
	return verb == KVR_VERB_PING ? ask_health(c) : kvr_hp_run(c, verb, items, n);
}

static const char *
why(const struct kvr_connector *c)
{
	return c->why;
}

bool
kvr_connector_has_http(void)
{
	return kvr_httpc_is_built();
}

static const char *const schemes[] = { "sagemaker-hyperpod", NULL };

const struct kvr_connector_ops kvr_hyperpod_ops = {
	.name = "hyperpod",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(GIVE_UP),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE) | KVR_FORMAT_BIT(KVR_FORMAT_BARE),
	.format_tier = KVR_FORMAT_LMCACHE,
	.format_url = KVR_FORMAT_LMCACHE,
	.open = hyperpod_open,
	.close = hyperpod_close,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why,
	.examine = kvr_hp_examine,
};
