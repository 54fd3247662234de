/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a store from a URL and options. The SDK is not touched before the first dial. */
#include "kvr_eic.h"
#include "kvr_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One "host:port" of the list. */
static bool
is_place(const char *at, size_t len)
{
	const char *colon = memrchr(at, ':', len);
	size_t digits = colon != NULL ? len - (size_t)(colon + 1 - at) : 0;
	return colon != NULL && colon > at && digits > 0 && digits <= 5 &&
	       strspn(colon + 1, "0123456789") >= digits;
}

/* Everything after the scheme, except one slash at the end, goes to the SDK. */
static enum kvr_err
place(const char *url, struct kvr_store *s, const struct kvr_why *w)
{
	const char *from = strstr(url, "://");
	size_t len = from != NULL ? strlen(from + 3) : 0;
	if (len > 0 && from[3 + len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof(s->endpoint))
		return kvr_refuse(w, "eic: takes masters and their ports; write eic://host:12500");
	memcpy(s->endpoint, from + 3, len);
	for (const char *at = s->endpoint;; at++) {
		size_t n = strcspn(at, ";");
		if (!is_place(at, n) || strcspn(at, "?#@/") < n)
			return kvr_refuse(w,
			    "\"%.60s\" is no host:port; write eic://host:12500, more of "
			    "them with ';' between",
			    at);
		at += n;
		if (*at == '\0')
			return KVR_OK;
	}
}

static enum kvr_err
settings(const struct kvr_store_opts *o, struct kvr_store *s, const struct kvr_why *w)
{
	static const char *const no[KVR_SETTING_N] = {
		[KVR_SETTING_LOGIN] = "EIC has none; set eic.instance_id",
		[KVR_SETTING_TLS] = "is for the SDK to do; see eic.flag_file",
		[KVR_SETTING_CAPACITY] = "EIC limits itself",
	};
	const char *prefix = o->prefix != NULL ? o->prefix : "";
	if (o->format != KVR_FORMAT_LMCACHE)
		return kvr_refuse(w, "format: EIC holds \"lmcache\" only");
	if (o->n_groups == 0 || o->n_groups > KVR_GROUPS_MAX)
		return kvr_refuse(w, "format lmcache: %u groups; 1 to %u are possible", o->n_groups,
		    KVR_GROUPS_MAX);
	enum kvr_err err = kvr_settings_only(o, KVR_TAKES(TTL), no, w);
	if (err != KVR_OK)
		return err;
	if (strlen(prefix) > KVR_EIC_PREFIX_MAX)
		return kvr_refuse(w, "prefix: longer than %u bytes", KVR_EIC_PREFIX_MAX);
	if (o->ttl_ms / 1000 >= INT32_MAX)
		return kvr_refuse(w, "ttl: longer than EIC can count");
	memcpy(s->prefix, prefix, strlen(prefix) + 1);
	/* Rounded up: a value must not expire too early. */
	s->ttl_s = o->ttl_ms > 0 ? (int64_t)((o->ttl_ms + 999) / 1000) : -1;
	s->n_groups = o->n_groups;
	s->opts = o->eic;
	s->ns = o->eic.ns != NULL ? o->eic.ns : "";
	s->staging = o->staging;
	s->rules = (struct kvr_frame_rules){
		.format = KVR_FORMAT_LMCACHE, .n_groups = o->n_groups, .spoil = o->spoil
	};
	return KVR_OK;
}

enum kvr_err
kvr_eic_open(const struct kvr_store_opts *o, struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	struct kvr_store *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		(void)kvr_refuse(&w, "no memory for a store");
		return KVR_E_NOMEM;
	}
	enum kvr_err err = place(o->url, s, &w);
	if (err == KVR_OK)
		err = settings(o, s, &w);
	if (err != KVR_OK) {
		free(s);
		return err;
	}
	KVR_CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
	*ret = s;
	return KVR_OK;
}
