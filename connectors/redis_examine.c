/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports what a Redis server says about itself that matters to a cache of large values. Read-only:
 * INFO, CLUSTER INFO, CONFIG GET and an empty transaction. If the server refuses INFO, nothing more
 * is asked.
 */
#include "kvr_redis.h"
#include "kvr_redis_cluster.h"
#include "kvr_nest.h"
#include "kvr_stream_tls.h"
#include "kvr_tell.h"
#include "kvr_tls_lib.h"
#include "kvr_tls_cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INFO_MAX = 16384 };

struct look {
	struct kvr_connector *c;
	const struct kvr_examination *e;
	char text[INFO_MAX];
};

/*
 * Sends a command; puts its reply into l->text, truncated to fit. False: an error, whose text is
 * there.
 */
static bool
ask(struct look *l, const char *word, const char *argument)
{
	struct kvr_sock *s = &l->c->s;
	struct kvr_resp r;
	bool bulk = false;
	enum kvr_err err;

	l->text[0] = '\0';
	kvr_stream_begin(s, l->e->until_ns, KVR_STREAM_IN);
	err = kvr_resp_put_array(s, argument == NULL ? 1 : 2);
	if (err == KVR_OK)
		err = kvr_resp_put(s, word, strlen(word));
	if (err == KVR_OK && argument != NULL)
		err = kvr_resp_put(s, argument, strlen(argument));
	if (err == KVR_OK)
		err = kvr_stream_flush(s);
	if (err == KVR_OK)
		err = kvr_resp_read(s, &r);
	if (err == KVR_OK && r.kind == KVR_RESP_BULK) {
		size_t n = (size_t)KVR_MIN(r.n, (int64_t)INFO_MAX - 1);

		bulk = true;
		err = kvr_stream_read_all(s, l->text, n);
		l->text[err == KVR_OK ? n : 0] = '\0';
		if (err == KVR_OK)
			err = kvr_stream_skip(s, (uint64_t)r.n - n);
		if (err == KVR_OK)
			err = kvr_resp_bulk_end(s);
	} else if (err == KVR_OK && r.kind == KVR_RESP_ERROR) {
		snprintf(l->text, sizeof(l->text), "%.*s", (int)KVR_MIN(r.text_len, (size_t)200), r.text);
	}
	if (err != KVR_OK)
		snprintf(l->text, sizeof(l->text), "%s", s->why);
	return err == KVR_OK && bulk;
}

/* The value after "name:"; "" if there is none. */
static const char *
value(const struct look *l, const char *name, char *ret, size_t cap)
{
	size_t len = strlen(name);

	ret[0] = '\0';
	for (const char *at = l->text; at != NULL; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, name, len) == 0 && at[len] == ':') {
			snprintf(ret, cap, "%.*s", (int)strcspn(at + len + 1, "\r\n"), at + len + 1);
			break;
		}
	}
	return ret;
}

static void
version(const struct look *l)
{
	char name[40], number[40];
	bool valkey = value(l, "valkey_version", number, sizeof(number))[0] != '\0';

	snprintf(name, sizeof(name), "%s", valkey ? "Valkey" : "Redis");
	if (!valkey)
		value(l, "redis_version", number, sizeof(number));
	bool old = number[0] != '\0' && strtoul(number, NULL, 10) < 6;

	kvr_tell(l->e, old ? KVR_FOUND_WARN : KVR_FOUND_OK, "version",
	    old ? "versions before 6 know no users and are not tested with kvrelay" : NULL, "%s %s",
	    name, number[0] != '\0' ? number : "of a version that it does not tell");
}

static void
role(const struct look *l)
{
	char text[40], loading[8];
	bool replica = strcmp(value(l, "role", text, sizeof(text)), "slave") == 0;

	if (replica)
		kvr_tell(l->e, l->e->writes ? KVR_FOUND_FAIL : KVR_FOUND_OK, "role",
		    l->e->writes ? "writes are refused here: name the master, or its sentinels" : NULL,
		    "the server is a replica");
	if (strcmp(value(l, "loading", loading, sizeof(loading)), "1") == 0)
		kvr_tell(l->e, KVR_FOUND_WARN, "role", "until it is done everything is refused: wait",
		    "the server is loading its data");
}

/*
 * The server then refuses all writes, because unsaved values might be lost. A cache's values may
 * be.
 */
static void
saves(const struct look *l)
{
	char snapshot[8], log[8];
	bool bad = strcmp(value(l, "rdb_last_bgsave_status", snapshot, sizeof(snapshot)), "err") == 0;
	bool log_bad = strcmp(value(l, "aof_last_write_status", log, sizeof(log)), "err") == 0;

	if (l->e->writes && (bad || log_bad))
		kvr_tell(l->e, KVR_FOUND_WARN, "saving",
		    bad ? "a cache needs no snapshots: CONFIG SET save \"\" (else the server's log says why they fail)"
		        : "a cache needs no such file: CONFIG SET appendonly no (else see the server's disk)",
		    "the server could not write its %s: puts may be refused (MISCONF)",
		    bad ? "snapshot" : "append-only file");
}

static void
memory(const struct look *l)
{
	char max[40], used[40], policy[40], gone[40], old[40], up[40];
	double limit = strtod(value(l, "maxmemory", max, sizeof(max)), NULL) / 1048576;
	double in_use = strtod(value(l, "used_memory", used, sizeof(used)), NULL) / 1048576;
	bool keeps = strcmp(value(l, "maxmemory_policy", policy, sizeof(policy)), "noeviction") == 0;

	if (!l->e->writes || max[0] == '\0')
		return;
	if (limit == 0)
		kvr_tell(l->e, KVR_FOUND_WARN, "memory",
		    "CONFIG SET maxmemory: without a limit it grows until the system ends it",
		    "maxmemory is not set, %.0f MiB are in use", in_use);
	else if (keeps)
		kvr_tell(l->e, in_use > 0.95 * limit ? KVR_FOUND_FAIL : KVR_FOUND_WARN, "memory",
		    "CONFIG SET maxmemory-policy allkeys-lru: with noeviction a full server refuses every put",
		    "%.0f of %.0f MiB are in use, maxmemory-policy is noeviction", in_use, limit);
	else if (strncmp(policy, "volatile", 8) == 0 && !l->e->expires)
		kvr_tell(l->e, KVR_FOUND_WARN, "memory",
		    "set the tier's ttl, or maxmemory-policy allkeys-lru: only values that expire are evicted",
		    "maxmemory-policy is %s, and the tier has no ttl", policy);
	else
		kvr_tell(l->e, KVR_FOUND_OK, "memory", NULL,
		    "%.0f of %.0f MiB are in use, %s; %s keys evicted and %s expired in %s s",
		    in_use, limit, policy, value(l, "evicted_keys", gone, sizeof(gone)),
		    value(l, "expired_keys", old, sizeof(old)),
		    value(l, "uptime_in_seconds", up, sizeof(up)));
}

/* For values over 4 MiB jemalloc returns the pages to the system, and gets new ones, each time. */
static void
allocator(const struct look *l)
{
	char name[40];

	if (strncmp(value(l, "mem_allocator", name, sizeof(name)), "jemalloc", 8) != 0)
		return;
	if (l->e->slot_bytes > KVR_MIB(4))
		kvr_tell(l->e, KVR_FOUND_WARN, "allocator",
		    "start the server with MALLOC_CONF=oversize_threshold:0,dirty_decay_ms:-1,"
		    "muzzy_decay_ms:-1,lg_extent_max_active_fit:20 (it then keeps its peak of memory)",
		    "chunks have %.1f MiB, and with %s as it is values beyond 4 MiB may be slow",
		    (double)l->e->slot_bytes / 1048576, name);
	else
		kvr_tell(l->e, KVR_FOUND_OK, "allocator", NULL, "%s", name);
}

/* False: the server does not tell, which is how many hosted servers are configured. */
static bool
setting(const struct look *l, const char *name, uint64_t *ret)
{
	struct kvr_sock *s = &l->c->s;
	struct kvr_nest_part part;

	kvr_stream_begin(s, l->e->until_ns, KVR_STREAM_IN);
	if (kvr_nest_ask(s, 3, (const char *const[]){ "CONFIG", "GET", name }) != KVR_OK ||
	    kvr_nest_next(s, &part) != KVR_OK)
		return false;
	if (part.kind != KVR_RESP_ARRAY || part.n != 2) {
		(void)!kvr_nest_skip(s, &part);
		return false;
	}
	if (kvr_nest_skip_n(s, 1) != KVR_OK || kvr_nest_next(s, &part) != KVR_OK)
		return false;
	*ret = strtoull(part.text, NULL, 10);
	return part.kind == KVR_RESP_BULK && *ret > 0;
}

/* The length of a full chunk with what its layout adds; 0: unknown. */
static uint64_t
longest(const struct look *l)
{
	uint64_t len = l->e->slot_bytes;
	bool sealed = l->c->store->rules.format == KVR_FORMAT_SEALED;

	return sealed && len > 0 ? KVR_SEAL_HEAD + len + kvr_seal_tail_len(KVR_SEAL_KEY_MAX, len) : len;
}

/* The longest chunks in common use. */
#define CHUNK_MAX KVR_MIB(64)

/* A server hangs up on a client that announces a longer value. */
static void
lengths(const struct look *l)
{
	uint64_t limit = 0, most = longest(l);
	bool told = setting(l, "proto-max-bulk-len", &limit);

	if (!l->e->writes)
		return;
	if (!told)
		kvr_tell(l->e, KVR_FOUND_OK, "lengths", NULL,
		    "proto-max-bulk-len is not told; 512 MiB unless somebody has set it");
	else if (most > limit)
		kvr_tell(l->e, KVR_FOUND_FAIL, "lengths",
		    limit < KVR_REDIS_VALUE_MAX ? "CONFIG SET proto-max-bulk-len, or smaller chunks"
		                                : "smaller chunks: kvrelay writes no value beyond 512 MiB",
		    "values may have %llu bytes, and proto-max-bulk-len is %llu: they are refused",
		    (unsigned long long)most, (unsigned long long)limit);
	else if (most > 0)
		kvr_tell(l->e, KVR_FOUND_OK, "lengths", NULL,
		    "values have at most %llu bytes, proto-max-bulk-len is %llu", (unsigned long long)most,
		    (unsigned long long)limit);
	else
		kvr_tell(l->e, limit < CHUNK_MAX ? KVR_FOUND_WARN : KVR_FOUND_OK, "lengths",
		    limit < CHUNK_MAX ? "say engine.kv_dtype and engine.kv_shape, so that a chunk can be compared "
		                        "with it; or CONFIG SET proto-max-bulk-len"
		                      : NULL,
		    "proto-max-bulk-len is %llu bytes%s", (unsigned long long)limit,
		    limit < CHUNK_MAX ? ": longer values are refused" : "");
}

/* Where values have no seal, long ones come in pieces only if they can be watched meanwhile. */
static void
watching(struct look *l)
{
	const struct kvr_store *store = l->c->store;
	static const char *const last[] = { "MULTI", "EXEC" };
	char name[KVR_REDIS_AROUND_MAX + 16];
	bool refused = false;

	if (store->rules.format == KVR_FORMAT_SEALED)
		return;
	snprintf(name, sizeof(name), "%.*sdoctor", (int)store->around[KVR_REDIS_VALUE].n_before,
	    store->around[KVR_REDIS_VALUE].before);
	(void)ask(l, "WATCH", name);
	for (size_t i = 0; i < KVR_LEN(last) && l->text[0] == '\0'; i++)
		(void)ask(l, last[i], NULL);
	refused = strstr(l->text, "NOPERM") != NULL || strncmp(l->text, "ERR ", 4) == 0;
	if (refused)
		kvr_tell(l->e, KVR_FOUND_WARN, "watch", "allow WATCH, MULTI and EXEC to this user",
		    "values of more than 7 MiB are read at half the speed: %s", l->text);
	(void)ask(l, refused ? "DISCARD" : "UNWATCH", NULL);
}

static void
cluster(struct look *l)
{
	char on[8], ok[16], state[16];

	if (strcmp(value(l, "cluster_enabled", on, sizeof(on)), "1") != 0)
		return;
	if (!ask(l, "CLUSTER", "INFO"))
		return;
	value(l, "cluster_slots_ok", ok, sizeof(ok));
	value(l, "cluster_state", state, sizeof(state));
	bool whole = strcmp(ok, "16384") == 0 && strcmp(state, "ok") == 0;

	kvr_tell(l->e, whole ? KVR_FOUND_OK : KVR_FOUND_FAIL, "slots",
	    whole ? NULL : "redis-cli --cluster check tells which slots nobody serves",
	    "a node of a cluster whose state is %s, %s of 16384 slots are served", state, ok);
}

static void
tls(const struct look *l)
{
	int64_t days;

	if (!kvr_stream_tls_days(&l->c->s, &days))
		return;
	bool soon = days < KVR_TLS_SOON_DAYS;

	kvr_tell(l->e, days < 0 ? KVR_FOUND_FAIL : soon ? KVR_FOUND_WARN : KVR_FOUND_OK, "certificate",
	    soon ? "put a new one in its place before that" : NULL, "the server's ends in %lld days",
	    (long long)days);
}

/* Returns to RESP2, whose INFO is a bulk. If this fails, the next command shows it. */
static void
leave_resp3(const struct look *l)
{
	struct kvr_sock *s = &l->c->s;
	struct kvr_nest_part head;

	kvr_stream_begin(s, l->e->until_ns, KVR_STREAM_IN);
	if (kvr_nest_ask(s, 2, (const char *const[]){ "HELLO", "2" }) == KVR_OK &&
	    kvr_nest_next(s, &head) == KVR_OK)
		(void)!kvr_nest_skip(s, &head);
}

static void
one_server(struct look *l, struct kvr_connector *c, bool with_slots)
{
	l->c = c;
	tls(l);
	if (c->store->resp3)
		leave_resp3(l);
	if (!ask(l, "INFO", NULL)) {
		kvr_tell(l->e, KVR_FOUND_WARN, "INFO",
		    "allow INFO to this user, so that memory and role can be looked at",
		    "it is refused: %s", l->text);
		return;
	}
	version(l);
	role(l);
	saves(l);
	memory(l);
	allocator(l);
	lengths(l);
	if (with_slots)
		cluster(l);
	watching(l); /* the last: what INFO has said is gone then */
}

/* For a cluster: the nodes that are connected so far, one after the other. */
void
kvr_redis_examine(struct kvr_store *store, struct kvr_connector *c, const struct kvr_examination *e)
{
	struct look *l = calloc(1, sizeof(*l));
	bool first = true;

	if (l == NULL)
		return;
	l->e = e;
	if (store->tls != NULL)
		kvr_tls_cert_examine(kvr_tls_opts_of(store->tls), e);
	if (store->sentinels != NULL)
		kvr_redis_sentinels_examine(store, e);
	if (c->cluster == NULL)
		one_server(l, c, true);
	for (uint32_t i = 0; c->cluster != NULL && i < KVR_NODES_MAX; i++) {
		if (c->cluster->node[i].c == NULL)
			continue;
		one_server(l, c->cluster->node[i].c, first);
		first = false;
	}
	free(l);
}
