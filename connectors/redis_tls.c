/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How rediss:// gets its TLS options: from the settings of the tier, or from redis-py's options in
 * the URL. An option that is given in both places is refused.
 */
#include "kvr_redis.h"
#include "kvr_stream_tls.h"
#include "kvr_tls_cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum what { CA, CERT, KEY, REQS, HOST, WHAT_N };

static const struct {
	const char *option, *key;
} names[WHAT_N] = {
	[CA] = { "ssl_ca_certs", "tls.ca" },
	[CERT] = { "ssl_certfile", "tls.cert" },
	[KEY] = { "ssl_keyfile", "tls.key" },
	[REQS] = { "ssl_cert_reqs", "tls.verify" },
	[HOST] = { "ssl_check_hostname", "tls.server_name" },
};

struct choices {
	struct kvr_tls_opts opts;
	bool  given[WHAT_N]; /* in the URL */
	char  text[REQS][sizeof(((struct kvr_url_option *)NULL)->value)];
};

static enum what
find(const char *option)
{
	enum what w = 0;
	while (w < WHAT_N && strcmp(names[w].option, option) != 0)
		w++;
	return w;
}

bool
kvr_redis_tls_option(const struct kvr_store *s, const char *option)
{
	return s->is_tls && find(option) < WHAT_N;
}

/* The words of redis-py. For a client, "optional" means "required". */
static enum kvr_err
read_reqs(const char *text, bool *ret, char *why, size_t why_cap)
{
	bool none = strcmp(text, "none") == 0;
	if (!none && strcmp(text, "optional") != 0 && strcmp(text, "required") != 0) {
		snprintf(why, why_cap,
		    "option ssl_cert_reqs: \"%.40s\" is not one of required, optional and none",
		    text);
		return KVR_E_CONFIG;
	}
	*ret = none;
	return KVR_OK;
}

static enum kvr_err
read_bool(const char *option, const char *text, bool *ret, char *why, size_t why_cap)
{
	static const char *const words[] = { "true", "yes", "1", "false", "no", "0" };
	for (size_t i = 0; i < KVR_LEN(words); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*ret = i < KVR_LEN(words) / 2;
			return KVR_OK;
		}
	snprintf(why, why_cap, "option %s: \"%.40s\" is neither true nor false", option, text);
	return KVR_E_CONFIG;
}

static enum kvr_err
read_option(struct choices *c, enum what w, const char *value, char *why, size_t why_cap)
{
	bool yes = true;
	enum kvr_err err = KVR_OK;
	if (c->given[w]) {
		snprintf(why, why_cap, "option %s: given twice", names[w].option);
		return KVR_E_CONFIG;
	}
	c->given[w] = true;
	if (w == REQS)
		return read_reqs(value, &c->opts.no_verify, why, why_cap);
	if (w == HOST) {
		err = read_bool(names[w].option, value, &yes, why, why_cap);
		c->opts.no_host_check = !yes;
		return err;
	}
	snprintf(c->text[w], sizeof(c->text[w]), "%s", value);
	return KVR_OK;
}

static enum kvr_err
read_url(const struct kvr_url *u, struct choices *c, char *why, size_t why_cap)
{
	struct kvr_url_option o;
	size_t at = 0;
	enum kvr_err err = KVR_OK;
	while (err == KVR_OK &&
	    (err = kvr_url_option_next(u, &at, &o, why, why_cap)) == KVR_OK) {
		enum what w = find(o.name);
		if (w < WHAT_N)
			err = read_option(c, w, o.value, why, why_cap);
	}
	return err == KVR_E_MISS ? KVR_OK : err;
}

static enum kvr_err
merge(struct choices *c, const struct kvr_tls_opts *o, char *why, size_t why_cap)
{
	const bool set[WHAT_N] = { [CA] = o->ca != NULL, [CERT] = o->cert != NULL,
		[KEY] = o->key != NULL, [REQS] = o->no_verify,
		[HOST] = o->no_host_check || o->server_name != NULL };
	for (enum what w = 0; w < WHAT_N; w++)
		if (set[w] && c->given[w]) {
			snprintf(why, why_cap, "%s in the URL and %s in the tier: keep one",
			    names[w].option, names[w].key);
			return KVR_E_CONFIG;
		}
	c->opts.ca = c->given[CA] ? c->text[CA] : o->ca;
	c->opts.cert = c->given[CERT] ? c->text[CERT] : o->cert;
	c->opts.key = c->given[KEY] ? c->text[KEY] : o->key;
	c->opts.crl = o->crl; /* redis-py has no option for it */
	c->opts.server_name = o->server_name;
	c->opts.no_verify |= o->no_verify;
	c->opts.no_host_check |= o->no_host_check;
	return KVR_OK;
}

enum kvr_err
kvr_redis_tls(const struct kvr_url *u, const struct kvr_tls_opts *o, struct kvr_store *s,
    char *why, size_t why_cap)
{
	struct choices c = { 0 };
	if (!s->is_tls && kvr_tls_given(o)) {
		snprintf(why, why_cap, "tls: only a rediss:// or valkeys:// URL speaks TLS");
		return KVR_E_CONFIG;
	}
	if (!s->is_tls)
		return KVR_OK;
	enum kvr_err err = read_url(u, &c, why, why_cap);
	if (err == KVR_OK)
		err = merge(&c, o, why, why_cap);
	if (err == KVR_OK)
		err = kvr_tls_open(&c.opts, &s->tls, why, why_cap);
	if (err == KVR_OK)
		kvr_tls_cert_remark(&c.opts, why, why_cap);
	return err;
}

bool
kvr_connector_has_tls(void)
{
	return kvr_tls_is_built();
}
