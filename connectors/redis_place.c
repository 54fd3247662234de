/* SPDX-License-Identifier: Apache-2.0 */
/* Which server a URL means: its scheme, hosts and path. */
#include "kvr_redis_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PORT_DEFAULT 6379U
#define DB_MAX       1000000U

static const struct kvr_redis_scheme schemes[] = {
	{ "redis", &kvr_redis_kind_redis, KVR_REDIS_SERVER, false },
	{ "rediss", &kvr_redis_kind_redis, KVR_REDIS_SERVER, true },
	{ "unix", &kvr_redis_kind_redis, KVR_REDIS_UNIX, false },
	{ "redis-sentinel", &kvr_redis_kind_redis, KVR_REDIS_SENTINELS, false },
	{ "rediss-sentinel", &kvr_redis_kind_redis, KVR_REDIS_SENTINELS, true },
	{ "redis-cluster", &kvr_redis_kind_redis, KVR_REDIS_CLUSTER, false },
	{ "rediss-cluster", &kvr_redis_kind_redis, KVR_REDIS_CLUSTER, true },
	{ "valkey-cluster", &kvr_redis_kind_valkey, KVR_REDIS_CLUSTER, false },
	{ "valkeys-cluster", &kvr_redis_kind_valkey, KVR_REDIS_CLUSTER, true },
	{ "valkey", &kvr_redis_kind_valkey, KVR_REDIS_SERVER, false },
	{ "valkeys", &kvr_redis_kind_valkey, KVR_REDIS_SERVER, true },
	{ "resp", &kvr_redis_kind_resp, KVR_REDIS_SERVER, false },
};

const struct kvr_redis_scheme *
kvr_redis_scheme_find(const char *name)
{
	for (size_t i = 0; i < KVR_LEN(schemes); i++)
		if (strcasecmp(schemes[i].name, name) == 0)
			return &schemes[i];
	return NULL;
}

enum kvr_err
kvr_redis_database(const char *text, const char *where, uint32_t *ret, const struct kvr_why *w)
{
	uint32_t n = 0;
	size_t len = strlen(text);
	bool digits = len > 0 && len <= 7;
	for (size_t i = 0; digits && i < len; i++) {
		digits = text[i] >= '0' && text[i] <= '9';
		n = n * 10 + (uint32_t)(text[i] - '0');
	}
	if (!digits || n > DB_MAX)
		return kvr_refuse(w, "%s: \"%.40s\" is not the number of a database", where, text);
	*ret = n;
	return KVR_OK;
}

static bool
has_path(const struct kvr_url *u)
{
	return u->path[0] != '\0' && u->path[1] != '\0';
}

static enum kvr_err
place_unix(const struct kvr_url *u, struct kvr_store *s, const struct kvr_why *w)
{
	if (u->n_hosts > 0)
		return kvr_refuse(
		    w, "unix: takes no host; write unix:///path/to.sock with three slashes");
	if (!has_path(u))
		return kvr_refuse(
		    w, "unix: path of the socket is missing; write unix:///path/to.sock");
	if (strlen(u->path) > kvr_stream_unix_path_max())
		return kvr_refuse(w, "unix: path of the socket is longer than %zu bytes",
		    kvr_stream_unix_path_max());
	s->is_unix = true;
	snprintf(s->host, sizeof(s->host), "%.255s", u->path);
	snprintf(s->where, sizeof(s->where), "unix://%s", s->host);
	return KVR_OK;
}

static enum kvr_err
place_tcp(const struct kvr_url *u, const struct kvr_redis_scheme *scheme, struct kvr_store *s,
    const char **ret_db_given, const struct kvr_why *w)
{
	if (u->n_hosts > 1)
		return kvr_refuse(w,
		    "%s: takes one host; several are for a cluster or for sentinels", scheme->name);
	const struct kvr_url_host *h = &u->host[0];
	snprintf(s->host, sizeof(s->host), "%s", u->n_hosts > 0 ? h->name : "localhost");
	s->port = u->n_hosts > 0 && h->port != 0 ? h->port : PORT_DEFAULT;
	snprintf(
	    s->where, sizeof(s->where), "%s://%s:%u", scheme->name, s->host, (unsigned)s->port);
	if (!has_path(u))
		return KVR_OK;
	if (!s->kind->databases)
		return kvr_refuse(w,
		    "path \"%.40s\": %s has no databases; end the URL with the port", u->path,
		    scheme->name);
	*ret_db_given = "path";
	return kvr_redis_database(u->path + 1, "path", &s->db, w);
}

/* For some clients the path is a database, for others the service; so here it is neither. */
static enum kvr_err
place_sentinels(const struct kvr_url *u, const struct kvr_redis_scheme *scheme, struct kvr_store *s,
    const struct kvr_why *w)
{
	if (u->n_hosts == 0)
		return kvr_refuse(w, "%s: names no sentinel; write %s://host:port,host:port",
		    scheme->name, scheme->name);
	if (has_path(u))
		return kvr_refuse(w,
		    "path \"%.40s\": means nothing here; write ?service=NAME for the service and "
		    "?db=N for a database",
		    u->path);
	snprintf(s->where, sizeof(s->where), "%s://%s%s", scheme->name, u->host[0].name,
	    u->n_hosts > 1 ? ",..." : "");
	return KVR_OK;
}

static enum kvr_err
place_cluster(const struct kvr_url *u, const struct kvr_redis_scheme *scheme, struct kvr_store *s,
    const struct kvr_why *w)
{
	if (u->n_hosts == 0)
		return kvr_refuse(w, "%s: names no node; write %s://host:port,host:port",
		    scheme->name, scheme->name);
	if (has_path(u))
		return kvr_refuse(w,
		    "path \"%.40s\": a cluster has no databases; end the URL with a port", u->path);
	snprintf(s->where, sizeof(s->where), "%s://%s:%u%s", scheme->name, u->host[0].name,
	    u->host[0].port != 0 ? u->host[0].port : PORT_DEFAULT, u->n_hosts > 1 ? ",..." : "");
	return kvr_redis_cluster_open(u, s, w);
}

enum kvr_err
kvr_redis_place(const struct kvr_url *u, const struct kvr_redis_scheme *scheme, struct kvr_store *s,
    const char **ret_db_given, const struct kvr_why *w)
{
	s->is_tls = scheme->is_tls;
	switch (scheme->how) {
	case KVR_REDIS_UNIX:
		return place_unix(u, s, w);
	case KVR_REDIS_SENTINELS:
		return place_sentinels(u, scheme, s, w);
	case KVR_REDIS_CLUSTER:
		return place_cluster(u, scheme, s, w);
	case KVR_REDIS_SERVER:
		break;
	}
	return place_tcp(u, scheme, s, ret_db_given, w);
}
