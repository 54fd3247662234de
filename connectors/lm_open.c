/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a store from a URL and options. Settings that the protocol cannot support are refused by
 * name.
 */
#include "kvr_lm.h"
#include "kvr_settings.h"
#include "kvr_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * No window of 256 KiB to 16 MiB is better than another if the server is near: in 11 and 23
 * interleaved rounds, with values of 64 KiB to 16 MiB, the medians differed by less than their
 * scatter, because a server like LMCache's copies each value in Python, whatever waits in its
 * socket. So the window is as large as a far server needs: 0.8 GB/s over a round trip of 10 ms.
 */
#define WINDOW_BYTES KVR_MIB(8)

static enum kvr_err
place(const struct kvr_url *u, struct kvr_store *s, const struct kvr_why *w)
{
	struct kvr_url_option o;
	size_t at = 0;
	if (u->n_hosts != 1 || u->host[0].port == 0)
		return kvr_refuse(w, "lm: takes one host and its port, which has no default; write "
		                     "lm://host:port");
	if (u->has_user || u->has_password)
		return kvr_refuse(w, "lm: the server has no login; take the user out of the URL");
	if (u->path[0] != '\0' && u->path[1] != '\0')
		return kvr_refuse(
		    w, "path \"%.40s\": lm has none; end the URL with the port", u->path);
	enum kvr_err err = kvr_url_option_next(u, &at, &o, w->at, w->cap);
	if (err == KVR_OK)
		return kvr_refuse(w, "option \"%s\" is not known; lm has none", o.name);
	if (err != KVR_E_MISS)
		return err;
	snprintf(s->host, sizeof(s->host), "%s", u->host[0].name);
	s->port = u->host[0].port;
	snprintf(s->where, sizeof(s->where), "lm://%s:%u", s->host, (unsigned)s->port);
	return KVR_OK;
}

static enum kvr_err
settings(const struct kvr_store_opts *o, struct kvr_store *s, const struct kvr_why *w)
{
	static const char *const no[KVR_SETTING_N] = {
		[KVR_SETTING_LOGIN] = "an LMCache server has no login",
		[KVR_SETTING_TTL] = "values of an LMCache server do not expire",
		[KVR_SETTING_CAPACITY] = "an LMCache server has no limit to set",
	};
	const char *prefix = o->prefix != NULL ? o->prefix : "";
	if (o->format != KVR_FORMAT_LMCACHE)
		return kvr_refuse(w, "format: an LMCache server holds \"lmcache\" only");
	if (o->n_groups != 1)
		return kvr_refuse(w,
		    "lm: its messages describe one group of layers, and this model has "
		    "%u; use redis or fs",
		    o->n_groups);
	enum kvr_err err = kvr_settings_only(o, 0, no, w);
	if (err != KVR_OK)
		return err;
	/* It becomes part of the model's name, which is everything before the first '@'. */
	if (strlen(prefix) >= KVR_LM_KEY_MAX || strchr(prefix, '@') != NULL)
		return kvr_refuse(
		    w, "prefix: at most %u bytes without '@' on lm", KVR_LM_KEY_MAX - 1);
	memcpy(s->prefix, prefix, strlen(prefix) + 1);
	s->prefix_len = (uint16_t)strlen(prefix);
	s->connect_ns = o->connect_ns;
	s->window_bytes = o->window_bytes > 0 ? o->window_bytes : WINDOW_BYTES;
	s->rules = (struct kvr_frame_rules){
		.format = KVR_FORMAT_LMCACHE, .n_groups = 1, .spoil = o->spoil
	};
	return KVR_OK;
}

enum kvr_err
kvr_lm_open(const struct kvr_store_opts *o, struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	struct kvr_url *url = calloc(1, sizeof(*url));
	struct kvr_store *s = calloc(1, sizeof(*s));
	enum kvr_err err = KVR_E_NOMEM;
	if (url == NULL || s == NULL)
		(void)kvr_refuse(&w, "no memory for a store");
	else if ((err = kvr_url_parse(o->url, url, why, why_cap)) == KVR_OK)
		err = place(url, s, &w);
	if (err == KVR_OK)
		err = settings(o, s, &w);
	free(url);
	if (err == KVR_OK)
		*ret = s;
	else
		free(s);
	return err;
}
