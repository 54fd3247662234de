/* SPDX-License-Identifier: Apache-2.0 */
/* From a URL and options to a store; every word that is not understood is refused by name. */
#include "kvr_redis.h"
#include "kvr_stream_tls.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * Two values of 4 MiB, or as many small ones as the step allows: more in flight makes the server
 * build every reply in fresh memory, fewer leave it waiting for us.
 */
#define WINDOW_BYTES KVR_MIB(8)
#define PORT_DEFAULT 6379U
#define DB_MAX 1000000U

struct why {
	char  *at;
	size_t cap;
};

static enum kvr_err KVR_PRINTF(2, 3) bad(const struct why *w, const char *fmt, ...)
{
	if (w->cap > 0) {
		va_list args;
		va_start(args, fmt);
		vsnprintf(w->at, w->cap, fmt, args);
		va_end(args);
	}
	return KVR_E_CONFIG;
}

static enum kvr_err
database(const char *text, const char *where, uint32_t *ret, const struct why *w)
{
	uint32_t n = 0;
	size_t len = strlen(text);
	bool digits = len > 0 && len <= 7;
	for (size_t i = 0; digits && i < len; i++) {
		digits = text[i] >= '0' && text[i] <= '9';
		n = n * 10 + (uint32_t)(text[i] - '0');
	}
	if (!digits || n > DB_MAX)
		return bad(w, "%s: \"%.40s\" is not the number of a database", where, text);
	*ret = n;
	return KVR_OK;
}

/* *db_given: where the number was found, NULL: nowhere yet. */
static enum kvr_err
options(const struct kvr_url *u, struct kvr_store *s, const char **db_given, const struct why *w)
{
	struct kvr_url_option o;
	enum kvr_err err;
	size_t at = 0;
	while ((err = kvr_url_option_next(u, &at, &o, w->at, w->cap)) == KVR_OK) {
		uint32_t db = 0;
		if (kvr_redis_tls_option(s, o.name))
			continue;
		if (strcmp(o.name, "protocol") == 0 && strcmp(o.value, "2") == 0)
			continue;
		if (strcmp(o.name, "protocol") == 0)
			return bad(w, "option protocol: only 2 is spoken here");
		if (strcmp(o.name, "db") != 0 || !s->kind->databases)
			return bad(w,
			    "option \"%s\" is not known; known: %sprotocol. Time limits are set "
			    "by the timeouts of the configuration",
			    o.name, s->kind->databases ? "db, " : "");
		if ((err = database(o.value, "option db", &db, w)) != KVR_OK)
			return err;
		if (*db_given != NULL && db != s->db)
			return bad(
			    w, "database %u in the %s and %u in option db", s->db, *db_given, db);
		s->db = db;
		*db_given = "option db";
	}
	return err == KVR_E_MISS ? KVR_OK : err;
}

static enum kvr_err
place_unix(const struct kvr_url *u, struct kvr_store *s, const struct why *w)
{
	if (u->n_hosts > 0)
		return bad(w, "unix: takes no host; write unix:///path/to.sock with three slashes");
	if (u->path[0] == '\0' || u->path[1] == '\0')
		return bad(w, "unix: path of the socket is missing; write unix:///path/to.sock");
	if (strlen(u->path) > kvr_stream_unix_path_max())
		return bad(w, "unix: path of the socket is longer than %zu bytes",
		    kvr_stream_unix_path_max());
	s->is_unix = true;
	snprintf(s->host, sizeof(s->host), "%.255s", u->path);
	snprintf(s->where, sizeof(s->where), "unix://%s", s->host);
	return KVR_OK;
}

static enum kvr_err
place_tcp(const struct kvr_url *u, struct kvr_store *s, const char **db_given, const struct why *w)
{
	if (u->n_hosts > 1)
		return bad(w, "%s: takes one host; several are for a cluster or for sentinels",
		    s->kind->scheme);
	const struct kvr_url_host *h = &u->host[0];
	snprintf(s->host, sizeof(s->host), "%s", u->n_hosts > 0 ? h->name : "localhost");
	s->port = u->n_hosts > 0 && h->port != 0 ? h->port : PORT_DEFAULT;
	snprintf(s->where, sizeof(s->where), "%s://%s:%u",
	    s->is_tls ? "rediss" : s->kind->scheme, s->host, (unsigned)s->port);
	if (u->path[0] == '\0' || u->path[1] == '\0')
		return KVR_OK;
	if (!s->kind->databases)
		return bad(w, "path \"%.40s\": %s has no databases; end the URL with the port",
		    u->path, s->kind->scheme);
	*db_given = "path";
	return database(u->path + 1, "path", &s->db, w);
}

static enum kvr_err
copy_secret(const char *opt, const char *url, const char *what, char **ret, const struct why *w)
{
	const char *from = opt != NULL ? opt : url;
	if (opt != NULL && url != NULL)
		return bad(w, "%s: given in the URL and as a setting of the tier; keep one", what);
	if (from == NULL)
		return KVR_OK;
	*ret = strdup(from);
	if (*ret == NULL) {
		(void)bad(w, "no memory for a store");
		return KVR_E_NOMEM;
	}
	return KVR_OK;
}

static enum kvr_err
secrets(const struct kvr_store_opts *o, const struct kvr_url *u, struct kvr_store *s,
    const struct why *w)
{
	const char *user = u->has_user ? u->user : NULL;
	const char *password = u->has_password ? u->password : NULL;
	enum kvr_err err = copy_secret(o->user, user, "user", &s->user, w);
	if (err == KVR_OK)
		err = copy_secret(o->password, password, "password", &s->password, w);
	if (err == KVR_OK && s->user != NULL && s->password == NULL)
		return bad(w,
		    "user without a password; write user:password@ in the URL or set password_env");
	return err;
}

static enum kvr_err
settings(const struct kvr_store_opts *o, struct kvr_store *s, const struct why *w)
{
	const char *prefix = o->prefix != NULL ? o->prefix : "";
	if (o->capacity > 0)
		return bad(w, "capacity: a Redis server limits itself; set its maxmemory instead");
	if (o->free_floor > 0)
		return bad(w, "free_floor: is for file tiers");
	if (o->tmp_dir != NULL)
		return bad(w, "tmp_dir: is for file tiers");
	if (strlen(prefix) > KVR_REDIS_PREFIX_MAX)
		return bad(w, "prefix: longer than %u bytes", KVR_REDIS_PREFIX_MAX);
	if (o->ttl_ms > INT64_MAX / 2)
		return bad(w, "ttl: longer than a Redis server can count");
	if (o->ttl_ms > 0 && !s->kind->expires)
		return bad(w, "ttl: values of %s do not expire; use redis or valkey, to the same "
		              "server", s->kind->scheme);
	if (o->format > KVR_FORMAT_SEALED || !(s->kind->formats & KVR_FORMAT_BIT(o->format)))
		return bad(w, "format: %s cannot hold number %u", s->kind->scheme, o->format);
	if (o->format == KVR_FORMAT_LMCACHE && (o->n_groups == 0 || o->n_groups > KVR_GROUPS_MAX))
		return bad(w, "format lmcache: %u groups; 1 to %u are possible", o->n_groups,
		    KVR_GROUPS_MAX);
	memcpy(s->prefix, prefix, strlen(prefix) + 1);
	s->prefix_len = (uint32_t)strlen(prefix);
	s->ttl_ms = o->ttl_ms;
	s->connect_ns = o->connect_ns;
	s->window_bytes = o->window_bytes > 0 ? o->window_bytes : WINDOW_BYTES;
	s->rules = (struct kvr_frame_rules){ .format = o->format,
		.n_groups = o->format == KVR_FORMAT_LMCACHE ? o->n_groups : 0,
		.seal_head = KVR_SEAL_HEAD,
		.fingerprint = o->fingerprint };
	if (o->format == KVR_FORMAT_LMCACHE)
		s->lm_head_len = (uint32_t)kvr_frame_head_len(&s->rules);
	return KVR_OK;
}

static enum kvr_err
fill_in(const struct kvr_store_opts *o, const struct kvr_url *u, struct kvr_store *s,
    const struct why *w)
{
	const char *db_given = NULL;
	enum kvr_err err;
	s->is_tls = s->kind == &kvr_redis_kind_redis && strcasecmp(u->scheme, "rediss") == 0;
	if (s->is_tls || strcasecmp(u->scheme, s->kind->scheme) == 0)
		err = place_tcp(u, s, &db_given, w);
	else if (s->kind == &kvr_redis_kind_redis && strcasecmp(u->scheme, "unix") == 0)
		err = place_unix(u, s, w);
	else
		err = bad(w, "scheme %s: not %s", u->scheme, s->kind->scheme);
	if (err == KVR_OK)
		err = options(u, s, &db_given, w);
	if (err == KVR_OK)
		err = settings(o, s, w);
	if (err == KVR_OK)
		err = kvr_redis_tls(u, &o->tls, s, w->at, w->cap);
	return err == KVR_OK ? secrets(o, u, s, w) : err;
}

enum kvr_err
kvr_redis_open(const struct kvr_redis_kind *kind, const struct kvr_store_opts *o,
    struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct why w = { why, why_cap };
	struct kvr_url *url = calloc(1, sizeof(*url));
	struct kvr_store *s = calloc(1, sizeof(*s));
	enum kvr_err err = KVR_E_NOMEM;
	if (url == NULL || s == NULL)
		(void)bad(&w, "no memory for a store");
	else if ((err = kvr_url_parse(o->url, url, why, why_cap)) == KVR_OK) {
		s->kind = kind;
		err = fill_in(o, url, s, &w);
	}
	/* It may hold a password. */
	if (url != NULL)
		explicit_bzero(url, sizeof(*url));
	free(url);
	if (err == KVR_OK)
		*ret = s;
	else
		kvr_redis_close(s);
	return err;
}

static void
wipe(char *take)
{
	if (take != NULL)
		explicit_bzero(take, strlen(take));
	free(take);
}

void
kvr_redis_close(struct kvr_store *take)
{
	if (take == NULL)
		return;
	wipe(take->user);
	wipe(take->password);
	kvr_tls_close(take->tls);
	take->magic = 0;
	free(take);
}
