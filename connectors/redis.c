/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector of stores that speak RESP: redis://host:port/db, the same over TLS as rediss://,
 * unix:///path?db=N, valkey:// and resp://, and their sentinels and clusters. Dial, sign in, and
 * one verb over a batch. redis_get.c, redis_put.c and redis_small.c have what the verbs send;
 * redis_kind.c has the differences between the stores.
 *
 * There are no retries and reconnects in here: the first error of the stream ends the connector,
 * and the decider above knows whether another dial is worth it.
 */
#include "kvr_connectors.h"
#include "kvr_dial.h"
#include "kvr_redis_cluster.h"
#include "kvr_control.h"
#include "kvr_stream_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('R', 'S', 'T', 'O')
#define LANE_MAGIC  KVR_MAGIC('R', 'L', 'A', 'N')

static enum kvr_err
open_kind(const struct kvr_redis_kind *kind, const struct kvr_store_opts *opts,
    struct kvr_store **ret, char *why, size_t why_cap)
{
	enum kvr_err err = kvr_redis_open(kind, opts, ret, why, why_cap);
	if (err == KVR_OK)
		(*ret)->magic = STORE_MAGIC;
	return err;
}

static enum kvr_err
redis_open(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	return open_kind(&kvr_redis_kind_redis, opts, ret, why, why_cap);
}

static enum kvr_err
valkey_open(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	return open_kind(&kvr_redis_kind_valkey, opts, ret, why, why_cap);
}

static enum kvr_err
resp_open(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	return open_kind(&kvr_redis_kind_resp, opts, ret, why, why_cap);
}

void
kvr_redis_connector_free(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == LANE_MAGIC);
	kvr_redis_cluster_hang_up(take);
	kvr_redis_replica_free(take->replica);
	kvr_stream_hang_up(&take->s);
	take->magic = 0;
	free(take->scratch);
	free(take->heads);
	free(take->note);
	free(take);
}

struct kvr_connector *
kvr_redis_connector_new(struct kvr_store *store, bool with_notes)
{
	struct kvr_connector *c = calloc(1, sizeof(*c));
	size_t heads = with_notes ? (size_t)KVR_REDIS_GROUP * store->lm_head_len : 0;
	if (c == NULL)
		return NULL;
	c->magic = LANE_MAGIC;
	c->store = store;
	c->s.fd = -1;
	c->scratch = aligned_alloc(64, KVR_FRAME_SCRATCH);
	c->note = with_notes ? calloc(KVR_REDIS_GROUP, sizeof(*c->note)) : NULL;
	c->heads = heads > 0 ? malloc(heads) : NULL;
	if (c->scratch == NULL || (with_notes && c->note == NULL) ||
	    (heads > 0 && c->heads == NULL)) {
		kvr_redis_connector_free(c);
		return NULL;
	}
	return c;
}

static enum kvr_err
connect_lane(struct kvr_connector *c, uint64_t until_ns, struct kvr_kick *kick)
{
	const struct kvr_store *store = c->store;
	if (store->map != NULL)
		return kvr_redis_cluster_dial(c, until_ns, kick);
	if (store->sentinels != NULL)
		return kvr_redis_connect_master(c, until_ns, kick);
	if (store->is_unix)
		return kvr_redis_connect_unix(c, until_ns, kick);
	return kvr_redis_connect(c, store->host, store->port, until_ns, kick);
}

static const char *
why_of(const struct kvr_connector *c)
{
	return c->s.err != KVR_OK ? c->s.why : c->why;
}

static enum kvr_err
dial(struct kvr_store *store, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	KVR_CHECK(store->magic == STORE_MAGIC);
	const struct kvr_dial d = kvr_dial_begin(store->connect_ns, until_ns);
	char whose[KVR_DIAL_WHOSE];
	struct kvr_connector *c = kvr_redis_connector_new(store, store->map == NULL);
	if (c == NULL) {
		snprintf(why, why_cap, "%s: no memory for a connection", store->where);
		return KVR_E_NOMEM;
	}
	enum kvr_err err = connect_lane(c, d.until_ns, kick);
	if (err == KVR_OK && store->replicas && (c->replica = kvr_redis_replica_new()) == NULL) {
		err = KVR_E_NOMEM;
		(void)kvr_stream_fail(&c->s, err, "no memory for reading from replicas");
	}
	if (err == KVR_OK) {
		if (c->why[0] != '\0') /* a remark about how it was made */
			snprintf(why, why_cap, "%s", c->why);
		c->why[0] = '\0';
		*ret = c;
		return KVR_OK;
	}
	err = kvr_dial_blame(&d, err, whose);
	/*
	 * The server got our bytes and hung up. A server that waits for a TLS handshake does that;
	 * a server that stays silent is a different case.
	 */
	bool maybe_tls = err == KVR_E_DOWN && whose[0] == '\0' && c->s.moved > 0 &&
	                 store->tls == NULL && !store->is_unix && store->kind->tls_scheme != NULL;
	snprintf(why, why_cap, "%s: %s%s%s%s%s", store->where, why_of(c), whose,
	    maybe_tls ? "; if this is a TLS port, write " : "",
	    maybe_tls ? store->kind->tls_scheme : "", maybe_tls ? "://" : "");
	kvr_redis_connector_free(c);
	return err;
}

kvr_redis_verb *const kvr_redis_verbs[KVR_VERB_N] = {
	[KVR_VERB_EXISTS] = kvr_redis_exists,
	[KVR_VERB_GET] = kvr_redis_get,
	[KVR_VERB_PUT] = kvr_redis_put,
	[KVR_VERB_DEL] = kvr_redis_del,
	[KVR_VERB_STAT] = kvr_redis_stat,
};

enum kvr_err
kvr_redis_run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n)
{
	const struct kvr_redis_plan *plan = kvr_redis_verbs[verb](c->store);
	enum kvr_err err = KVR_OK;
	for (uint32_t i = 0; i < plan->n && err == KVR_OK; i++)
		err = kvr_redis_step(c, plan->step[i], items, n);
	return err;
}

static void
refuse_bad_keys(struct kvr_item *items, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (kvr_item_status(&items[i]) == KVR_PENDING &&
		    (items[i].key_len == 0 || items[i].key_len > KVR_KEY_LEN_MAX))
			kvr_item_done(&items[i], KVR_E_INVALID);
}

static enum kvr_err
run_cluster(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	if (verb == KVR_VERB_PING)
		return kvr_redis_cluster_ping(c, until_ns);
	refuse_bad_keys(items, n);
	enum kvr_err err = kvr_cluster_run(c->cluster, verb, items, n, until_ns);
	if (c->why[0] == '\0' && err != KVR_OK)
		snprintf(c->why, sizeof(c->why), "%s", kvr_err_text(err));
	return err;
}

static enum kvr_err
run_server(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	/*
	 * A server that is silent for as long as a new connection may take is considered dead; a
	 * ping has a limit of its own.
	 */
	c->s.patience_ns = verb == KVR_VERB_PING ? 0 : c->store->connect_ns;
	enum kvr_err err = kvr_stream_ask(&c->s, until_ns, KVR_STREAM_AHEAD);
	if (err == KVR_OK && verb == KVR_VERB_PING)
		return kvr_redis_ping(&c->s);
	refuse_bad_keys(items, n);
	for (uint32_t at = 0; at < n && err == KVR_OK; at += KVR_REDIS_GROUP) {
		uint32_t some = KVR_MIN(n - at, KVR_REDIS_GROUP);
		err = kvr_redis_ask_replicas(
		    c, verb, items + at, some, until_ns, kvr_redis_replica_pass);
		if (err == KVR_OK)
			err = kvr_redis_run(c, verb, items + at, some);
	}
	/* All items have their status, but the connection can no longer be used. */
	if (err == KVR_OK && c->signed_out)
		err = kvr_stream_fail(&c->s, KVR_E_AUTH, "%s", c->why);
	return kvr_stream_blame(&c->s, err);
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	KVR_CHECK(c->magic == LANE_MAGIC && verb < KVR_VERB_N);
	c->why[0] = '\0';
	return c->cluster != NULL ? run_cluster(c, verb, items, n, until_ns)
	                          : run_server(c, verb, items, n, until_ns);
}

/*
 * OpenSSL writes by its own means, so SIGPIPE would reach the caller's thread, where it is not
 * blocked as in a lane. Nodes of a cluster and replicas are dialled when they are asked.
 */
static uint32_t
store_caps(const struct kvr_store *store)
{
	bool any_thread = store->tls == NULL && store->map == NULL && !store->replicas;
	return any_thread ? UINT32_MAX : ~KVR_CAP(ANY_THREAD);
}

static const char *const redis_schemes[] = { "redis", "rediss", "unix", "redis-sentinel",
	"rediss-sentinel", NULL };
static const char *const redis_cluster_schemes[] = { "redis-cluster", "rediss-cluster", NULL };
static const char *const valkey_cluster_schemes[] = { "valkey-cluster", "valkeys-cluster", NULL };
static const char *const valkey_schemes[] = { "valkey", "valkeys", NULL };
static const char *const resp_schemes[] = { "resp", NULL };

#define BARE KVR_FORMAT_BIT(KVR_FORMAT_BARE)
#define ALL  (BARE | KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE) | KVR_FORMAT_BIT(KVR_FORMAT_SEALED))
#define CAPS (KVR_CAP(PIPELINE) | KVR_CAP(WINDOW) | KVR_CAP(GIVE_UP) | KVR_CAP(ANY_THREAD))
#define SHARED                                                                                     \
	.close = kvr_redis_close, .dial = dial, .hang_up = kvr_redis_connector_free, .run = run,   \
	.why = why_of, .store_caps = store_caps, .examine = kvr_redis_examine
#define HOLDS_ALL(by_url)                                                                          \
	.caps = CAPS | KVR_CAP(TTL), .formats = ALL, .format_tier = KVR_FORMAT_SEALED,             \
	.format_url = KVR_FORMAT_##by_url, SHARED

const struct kvr_connector_ops kvr_redis_ops = {
	.name = "redis", .schemes = redis_schemes, .open = redis_open, HOLDS_ALL(LMCACHE)
};

const struct kvr_connector_ops kvr_redis_cluster_ops = {
	.name = "redis-cluster", .schemes = redis_cluster_schemes, .open = redis_open, HOLDS_ALL(LMCACHE)
};

const struct kvr_connector_ops kvr_valkey_ops = {
	.name = "valkey", .schemes = valkey_schemes, .open = valkey_open, HOLDS_ALL(BARE)
};

const struct kvr_connector_ops kvr_valkey_cluster_ops = {
	.name = "valkey-cluster", .schemes = valkey_cluster_schemes, .open = valkey_open, HOLDS_ALL(BARE)
};

const struct kvr_connector_ops kvr_resp_ops = {
	.name = "resp",
	.schemes = resp_schemes,
	.caps = CAPS,
	.formats = BARE,
	.format_tier = KVR_FORMAT_BARE,
	.format_url = KVR_FORMAT_BARE,
	.open = resp_open,
	SHARED,
};
