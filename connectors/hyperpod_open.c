/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a store from a URL and options. The URL is LMCache's: environment variables in it are
 * replaced (a pod knows its node as $NODE_IP), and http:// or https:// may follow the scheme.
 * Settings that the daemon cannot support are refused by name.
 */
#include "kvr_hyperpod.h"
#include "kvr_url.h"
#include "kvr_settings.h"
#include "kvr_tls_cert.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define BUCKET      "lmcache"
#define SHARED      "shared_memory"
#define SHM_DIR     "/dev/shm/"
#define REQUESTS    100U
#define CONNECTIONS 128U
#define PIECE       65536U
#define TIMEOUT_MS  5000U
#define TTL_MS      30000U
#define WAIT_MP_MS  1000U /* the default of the multi-process client */

/* $NAME and ${NAME}. */
static enum kvr_err
expand(const char *from, char *ret, size_t cap, const struct kvr_why *w)
{
	char name[64];
	size_t len = 0;
	while (*from != '\0') {
		bool brace = from[0] == '$' && from[1] == '{';
		const char *at = from + 1 + brace;
		size_t n = 0;
		while (from[0] == '$' && (isalnum((unsigned char)at[n]) || at[n] == '_'))
			n++;
		if (len + 1 >= cap || n >= sizeof(name))
			return kvr_refuse(
			    w, "the URL, or the name of a variable in it, is too long");
		if (n == 0 || (brace && at[n] != '}')) {
			ret[len++] = *from++;
			continue;
		}
		memcpy(name, at, n);
		name[n] = '\0';
		const char *value = getenv(name);
		if (value == NULL)
			return kvr_refuse(
			    w, "$%s in the URL: the environment has no such variable", name);
		if (strlen(value) >= cap - len)
			return kvr_refuse(w, "$%s in the URL: its value is too long", name);
		len += (size_t)sprintf(ret + len, "%s", value);
		from = at + n + brace;
	}
	ret[len] = '\0';
	return KVR_OK;
}

static enum kvr_err
read_url(const char *text, struct kvr_url *u, struct kvr_store *s, const struct kvr_why *w)
{
	char url[1024];
	enum kvr_err err = expand(text, url, sizeof(url), w);
	const char *rest = err == KVR_OK ? strstr(url, "://") : NULL;
	if (err != KVR_OK)
		return err;
	if (rest != NULL && (strncasecmp(rest + 3, "http://", 7) == 0 ||
	                        strncasecmp(rest + 3, "https://", 8) == 0)) {
		s->https = tolower((unsigned char)rest[3 + 4]) == 's';
		memmove(url, rest + 3, strlen(rest + 3) + 1);
	}
	return kvr_url_parse(url, u, w->at, w->cap);
}

static enum kvr_err
place(const struct kvr_url *u, struct kvr_store *s, const struct kvr_why *w)
{
	if (u->n_hosts != 1 || u->host[0].port == 0)
		return kvr_refuse(w, "sagemaker-hyperpod: takes one host and its port; write "
		                     "sagemaker-hyperpod://host:9200");
	if (u->has_user || u->has_password)
		return kvr_refuse(w,
		    "sagemaker-hyperpod: the daemon has no login; take the user out of "
		    "the URL");
	if (u->path[0] != '\0' && u->path[1] != '\0')
		return kvr_refuse(w, "path \"%.40s\": end the URL with the port", u->path);
	snprintf(s->host, sizeof(s->host), "%s", u->host[0].name);
	s->port = u->host[0].port;
	return KVR_OK;
}

/* A name from the tier's option or from the URL, but not from both; otherwise the default. */
static enum kvr_err
name(const char *what, const char *opt, const char *url, const char *def, size_t max, char *ret,
    const struct kvr_why *w)
{
	const char *from = opt != NULL ? opt : url != NULL ? url : def;
	if (opt != NULL && url != NULL)
		return kvr_refuse(
		    w, "%s: given in the URL and as a setting of the tier; keep one", what);
	if (from[0] == '\0')
		return kvr_refuse(w, "%s: cannot be empty; without it nothing could be read", what);
	if (strlen(from) > max || strchr(from, '/') != NULL || from[0] == '.')
		return kvr_refuse(w,
		    "%s: \"%.40s\" is no name: at most %zu bytes, no '/', no '.' in "
		    "front",
		    what, from, max);
	memcpy(ret, from, strlen(from) + 1);
	return KVR_OK;
}

static enum kvr_err
names(const struct kvr_url *u, const struct kvr_hyperpod_opts *h, struct kvr_store *s,
    const struct kvr_why *w)
{
	struct kvr_url_option o;
	char bucket[sizeof(o.value)], shared[sizeof(o.value)], file[256];
	const char *b = NULL, *m = NULL;
	enum kvr_err err;
	for (size_t at = 0; (err = kvr_url_option_next(u, &at, &o, w->at, w->cap)) == KVR_OK;) {
		bool is_bucket = strcmp(o.name, "bucket") == 0;
		if (!is_bucket && strcmp(o.name, "shared_memory_name") != 0)
			return kvr_refuse(w,
			    "option \"%s\" is not known; in the URL there may be bucket "
			    "and shared_memory_name",
			    o.name);
		if ((is_bucket ? b : m) != NULL)
			return kvr_refuse(w, "option %s: given twice", o.name);
		char *to = is_bucket ? bucket : shared;
		memcpy(to, o.value, sizeof(o.value));
		*(is_bucket ? &b : &m) = to;
	}
	if (err != KVR_E_MISS)
		return err;
	err = name("bucket", h->bucket, b, BUCKET, KVR_HP_BUCKET_MAX, s->bucket, w);
	if (err == KVR_OK)
		err = name("shared_memory_name", h->shared_memory_name, m, SHARED, 250, file, w);
	if (err == KVR_OK)
		snprintf(s->segment, sizeof(s->segment), SHM_DIR "%s", file);
	return err;
}

static uint32_t
or_default(uint64_t value, uint32_t def)
{
	return value == 0 ? def : (uint32_t)KVR_MIN(value, (uint64_t)INT32_MAX);
}

static void
numbers(const struct kvr_hyperpod_opts *h, struct kvr_store *s)
{
	bool bare = s->rules.format == KVR_FORMAT_BARE;
	uint32_t requests = or_default(h->max_concurrent_requests, REQUESTS);
	requests = KVR_MIN(requests, or_default(h->max_connections, 2 * CONNECTIONS));
	requests = KVR_MIN(requests, or_default(h->max_connections_per_host, CONNECTIONS));
	s->at_once = KVR_MIN(requests, KVR_HTTPC_AT_ONCE_MAX);
	s->piece = or_default(h->put_stream_chunk, PIECE);
	s->timeout_ns = KVR_MS(or_default(h->timeout_ms, TIMEOUT_MS));
	/* LMCache's in-process client has one number for both. */
	uint64_t wait_ms = h->lease_wait_ms != 0 || bare ? h->lease_wait_ms : h->timeout_ms;
	s->wait_ms = or_default(wait_ms, bare ? WAIT_MP_MS : TIMEOUT_MS);
	s->ttl_ms = or_default(h->lease_ttl_ms, TTL_MS);
	s->max_lease = h->max_lease_bytes;
	s->https |= h->use_https;
}

static enum kvr_err
settings(const struct kvr_store_opts *o, struct kvr_store *s, const struct kvr_why *w)
{
	static const char *const no[KVR_SETTING_N] = {
		[KVR_SETTING_LOGIN] = "a HyperPod daemon has no login",
		[KVR_SETTING_TTL] = "the daemon itself decides how long it keeps objects",
		[KVR_SETTING_CAPACITY] = "is a setting of the daemon",
	};
	const char *prefix = o->prefix != NULL ? o->prefix : "";
	if (o->format != KVR_FORMAT_LMCACHE && o->format != KVR_FORMAT_BARE)
		return kvr_refuse(w, "format: a HyperPod daemon holds \"lmcache\" and \"bare\"");
	if (o->format == KVR_FORMAT_LMCACHE && o->n_groups != 1)
		return kvr_refuse(w,
		    "sagemaker-hyperpod: its header describes one group of layers, and "
		    "this model has %u; use the format \"bare\"",
		    o->n_groups);
	enum kvr_err err = kvr_settings_only(o, KVR_TAKES(TLS), no, w);
	if (err != KVR_OK)
		return err;
	if (strlen(prefix) > KVR_HP_PREFIX_MAX)
		return kvr_refuse(w, "prefix: longer than %u bytes", KVR_HP_PREFIX_MAX);
	memcpy(s->prefix, prefix, strlen(prefix) + 1);
	s->connect_ns = o->connect_ns;
	s->rules = (struct kvr_frame_rules){ .format = o->format,
		.n_groups = o->format == KVR_FORMAT_LMCACHE ? 1 : 0,
		.spoil = o->spoil };
	numbers(&o->hyperpod, s);
	s->tls = o->tls;
	if (!s->https && kvr_tls_given(&o->tls))
		return kvr_refuse(
		    w, "tls: only an https:// daemon speaks TLS; set hyperpod.use_https");
	if (o->tls.server_name != NULL)
		return kvr_refuse(w, "tls.server_name: write the name into the URL instead");
	if (o->tls.crl != NULL && o->tls.no_verify)
		return kvr_refuse(w, "tls.crl: of no use where no certificate is verified");
	struct stat st;
	if (o->tls.crl != NULL && stat(o->tls.crl, &st) == 0 && S_ISDIR(st.st_mode))
		return kvr_refuse(w, "tls.crl: a directory; here it must be one file of all lists");
	return kvr_httpc_check(s->https ? &s->tls : NULL, w->at, w->cap);
}

enum kvr_err
kvr_hp_open(const struct kvr_store_opts *o, struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	struct kvr_url *url = calloc(1, sizeof(*url));
	struct kvr_store *s = calloc(1, sizeof(*s));
	enum kvr_err err = KVR_E_NOMEM;
	if (url == NULL || s == NULL)
		(void)kvr_refuse(&w, "no memory for a store");
	else if ((err = read_url(o->url, url, s, &w)) == KVR_OK)
		err = place(url, s, &w);
	if (err == KVR_OK)
		err = names(url, &o->hyperpod, s, &w);
	if (err == KVR_OK)
		err = settings(o, s, &w);
	free(url);
	if (err == KVR_OK) {
		snprintf(s->where, sizeof(s->where), "%s://%s:%u", s->https ? "https" : "http",
		    s->host, (unsigned)s->port);
		s->owed = kvr_hp_owed_new(s);
	}
	if (err == KVR_OK && s->owed == NULL) {
		(void)kvr_refuse(&w, "no memory for a store");
		err = KVR_E_NOMEM;
	}
	if (err == KVR_OK) {
		kvr_tls_cert_remark(&s->tls, why, why_cap);
		*ret = s;
	} else {
		free(s);
	}
	return err;
}
