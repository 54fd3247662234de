/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a store from a URL and options. Every word that is not understood is refused by name. */
#include "kvr_redis_map.h"
#include "kvr_redis_url.h"
#include "kvr_settings.h"
#include "kvr_stream_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct given {
	const char *db; /* where the database number was found; NULL: nowhere yet */
	char service[sizeof(((struct kvr_url_option *)NULL)->value)]; /* "": not given */
};

static bool
has_databases(const struct kvr_store *s)
{
	return s->kind->databases && s->map == NULL;
}

static bool
by_sentinels(const struct kvr_redis_scheme *scheme)
{
	return scheme->how == KVR_REDIS_SENTINELS;
}

static enum kvr_err
option_db(const struct kvr_url_option *o, struct kvr_store *s, struct given *given,
    const struct kvr_why *w)
{
	uint32_t db = 0;
	enum kvr_err err = kvr_redis_database(o->value, "option db", &db, w);
	if (err != KVR_OK)
		return err;
	if (given->db != NULL && db != s->db)
		return kvr_refuse(
		    w, "database %u in the %s and %u in option db", s->db, given->db, db);
	s->db = db;
	given->db = "option db";
	return KVR_OK;
}

static enum kvr_err
option(const struct kvr_url_option *o, const struct kvr_redis_scheme *scheme, struct kvr_store *s,
    struct given *given, const struct kvr_why *w)
{
	if (kvr_redis_tls_option(s, o->name))
		return KVR_OK;
	if (strcmp(o->name, "protocol") == 0) {
		s->resp3 = strcmp(o->value, "3") == 0;
		if (s->resp3 || strcmp(o->value, "2") == 0)
			return KVR_OK;
		return kvr_refuse(w, "option protocol: 2 or 3");
	}
	if (strcmp(o->name, "service") == 0 && by_sentinels(scheme)) {
		memcpy(given->service, o->value, sizeof(given->service));
		return KVR_OK;
	}
	if (strcmp(o->name, "db") == 0 && has_databases(s))
		return option_db(o, s, given, w);
	return kvr_refuse(w,
	    "option \"%s\" is not known; known: %s%sprotocol. Time limits are set by the timeouts "
	    "of the configuration",
	    o->name, has_databases(s) ? "db, " : "", by_sentinels(scheme) ? "service, " : "");
}

static enum kvr_err
options(const struct kvr_url *u, const struct kvr_redis_scheme *scheme, struct kvr_store *s,
    struct given *given, const struct kvr_why *w)
{
	struct kvr_url_option o;
	enum kvr_err err = KVR_OK;
	size_t at = 0;
	while (err == KVR_OK && (err = kvr_url_option_next(u, &at, &o, w->at, w->cap)) == KVR_OK)
		err = option(&o, scheme, s, given, w);
	return err == KVR_E_MISS ? KVR_OK : err;
}

enum kvr_err
kvr_redis_one_of(
    const char *opt, const char *url, const char *what, char **ret, const struct kvr_why *w)
{
	const char *from = opt != NULL ? opt : url;
	if (opt != NULL && url != NULL)
		return kvr_refuse(
		    w, "%s: given in the URL and as a setting of the tier; keep one", what);
	if (from == NULL)
		return KVR_OK;
	*ret = strdup(from);
	if (*ret == NULL) {
		(void)kvr_refuse(w, "no memory for a store");
		return KVR_E_NOMEM;
	}
	return KVR_OK;
}

static enum kvr_err
secrets(const struct kvr_store_opts *o, const struct kvr_url *u, struct kvr_store *s,
    const struct kvr_why *w)
{
	const char *user = u->has_user ? u->user : NULL;
	const char *password = u->has_password ? u->password : NULL;
	enum kvr_err err = kvr_redis_one_of(o->user, user, "user", &s->user, w);
	if (err == KVR_OK)
		err = kvr_redis_one_of(o->password, password, "password", &s->password, w);
	if (err == KVR_OK && s->user != NULL && s->password == NULL)
		return kvr_refuse(w,
		    "user without a password; write user:password@ in the URL or set password_env");
	return err;
}

static enum kvr_err
settings(
    const struct kvr_store_opts *o, struct kvr_store *s, uint32_t takes, const struct kvr_why *w)
{
	static const char *const no[KVR_SETTING_N] = {
		[KVR_SETTING_CAPACITY] = "a Redis server limits itself; set its maxmemory instead",
	};
	const char *prefix = o->prefix != NULL ? o->prefix : "";
	enum kvr_err err = kvr_settings_only(o, takes, no, w);
	if (err != KVR_OK)
		return err;
	if (strlen(prefix) > KVR_REDIS_PREFIX_MAX)
		return kvr_refuse(w, "prefix: longer than %u bytes", KVR_REDIS_PREFIX_MAX);
	if (o->ttl_ms > INT64_MAX / 2)
		return kvr_refuse(w, "ttl: longer than a Redis server can count");
	if (o->ttl_ms > 0 && !s->kind->expires)
		return kvr_refuse(w,
		    "ttl: values of %s do not expire; use redis or valkey, to the same "
		    "server",
		    s->kind->scheme);
	if (o->format > KVR_FORMAT_SEALED || !(s->kind->formats & KVR_FORMAT_BIT(o->format)))
		return kvr_refuse(
		    w, "format: %s cannot hold number %u", s->kind->scheme, o->format);
	if (o->format == KVR_FORMAT_LMCACHE && (o->n_groups == 0 || o->n_groups > KVR_GROUPS_MAX))
		return kvr_refuse(w, "format lmcache: %u groups; 1 to %u are possible", o->n_groups,
		    KVR_GROUPS_MAX);
	s->ttl_ms = o->ttl_ms;
	s->replicas = o->replicas;
	atomic_init(&s->turn, (uint32_t)getpid()); /* differs between processes */
	s->connect_ns = o->connect_ns;
	s->window_bytes = o->window_bytes;
	s->rules = (struct kvr_frame_rules){ .format = o->format,
		.n_groups = o->format == KVR_FORMAT_LMCACHE ? o->n_groups : 0,
		.seal_head = KVR_SEAL_HEAD,
		.fingerprint = o->fingerprint,
		.spoil = o->spoil };
	if (o->format == KVR_FORMAT_LMCACHE)
		s->lm_head_len = (uint32_t)kvr_frame_head_len(&s->rules);
	kvr_redis_names(s, prefix);
	return KVR_OK;
}

static enum kvr_err
fill_in(const struct kvr_store_opts *o, const struct kvr_url *u, struct kvr_store *s,
    const struct kvr_why *w)
{
	const struct kvr_redis_scheme *scheme = kvr_redis_scheme_find(u->scheme);
	struct given given = { 0 };
	/* Whether TLS and time to live are possible depends on the scheme; that is checked below. */
	uint32_t takes = KVR_TAKES(LOGIN) | KVR_TAKES(TLS) | KVR_TAKES(TTL);
	if (scheme == NULL || scheme->kind != s->kind)
		return kvr_refuse(w, "scheme %s: not %s", u->scheme, s->kind->scheme);
	if (by_sentinels(scheme))
		takes |= KVR_TAKES(SENTINEL);
	if (by_sentinels(scheme) || scheme->how == KVR_REDIS_CLUSTER)
		takes |= KVR_TAKES(REPLICAS);
	enum kvr_err err = kvr_redis_place(u, scheme, s, &given.db, w);
	if (err == KVR_OK)
		err = options(u, scheme, s, &given, w);
	if (err == KVR_OK)
		err = settings(o, s, takes, w);
	if (err == KVR_OK)
		err = kvr_redis_tls(u, &o->tls, s, w->at, w->cap);
	if (err == KVR_OK)
		err = secrets(o, u, s, w);
	if (err == KVR_OK && by_sentinels(scheme))
		return kvr_redis_sentinels(
		    u, o, given.service[0] != '\0' ? given.service : NULL, s, w);
	return err;
}

enum kvr_err
kvr_redis_open(const struct kvr_redis_kind *kind, const struct kvr_store_opts *o,
    struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	struct kvr_url *url = calloc(1, sizeof(*url));
	struct kvr_store *s = calloc(1, sizeof(*s));
	enum kvr_err err = KVR_E_NOMEM;
	if (url == NULL || s == NULL)
		(void)kvr_refuse(&w, "no memory for a store");
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

void
kvr_redis_wipe(char *take)
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
	kvr_redis_wipe(take->user);
	kvr_redis_wipe(take->password);
	kvr_redis_sentinels_free(take->sentinels);
	kvr_redis_map_free(take->map);
	kvr_tls_close(take->tls);
	take->magic = 0;
	free(take);
}
