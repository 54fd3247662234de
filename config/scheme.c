/* SPDX-License-Identifier: Apache-2.0 */
/* The formats that a store can hold, and how its URL is taken apart for checks and for printing. */
#include "kvr_config.h"

#include "kvr_option.h"

#include <string.h>

#define CAN_LMCACHE (1U << KVR_CONFIG_FORMAT_LMCACHE)
#define CAN_BARE    (1U << KVR_CONFIG_FORMAT_BARE)
#define CAN_SEALED  (1U << KVR_CONFIG_FORMAT_SEALED)
#define ALL         (CAN_LMCACHE | CAN_BARE | CAN_SEALED)

#define X_SCHEMES(X)                                                                               \
	X("memory", CAN_BARE | CAN_SEALED, BARE, BARE)                                             \
	X("fs", ALL, SEALED, LMCACHE)                                                              \
	X("redis", ALL, SEALED, LMCACHE)                                                           \
	X("rediss", ALL, SEALED, LMCACHE)                                                          \
	X("unix", ALL, SEALED, LMCACHE)                                                            \
	X("redis-sentinel", ALL, SEALED, LMCACHE)                                                  \
	X("rediss-sentinel", ALL, SEALED, LMCACHE)                                                 \
	X("redis-cluster", ALL, SEALED, LMCACHE)                                                   \
	X("rediss-cluster", ALL, SEALED, LMCACHE)                                                  \
	X("valkey", ALL, SEALED, BARE)                                                             \
	X("valkeys", ALL, SEALED, BARE)                                                            \
	X("valkey-cluster", ALL, SEALED, BARE)                                                     \
	X("valkeys-cluster", ALL, SEALED, BARE)                                                    \
	X("resp", CAN_BARE, BARE, BARE)                                                            \
	X("lm", CAN_LMCACHE, LMCACHE, LMCACHE)                                                     \
	X("blackhole", ALL, SEALED, LMCACHE)                                                       \
	X("mock", CAN_BARE, BARE, BARE)                                                            \
	X("eic", CAN_LMCACHE, LMCACHE, LMCACHE)                                                    \
	X("sagemaker-hyperpod", CAN_LMCACHE | CAN_BARE, LMCACHE, LMCACHE)

static const struct kvr_scheme schemes[] = {
#define X(name, formats, tier, url)                                                                \
	{ name, formats, KVR_CONFIG_FORMAT_##tier, KVR_CONFIG_FORMAT_##url },
	X_SCHEMES(X)
#undef X
};

static const char *const names[] = {
#define X(name, formats, tier, url) name,
	X_SCHEMES(X)
#undef X
	    NULL
};

size_t
kvr_scheme_len(const char *url)
{
	const char *end = strstr(url, "://");

	return end == NULL ? 0 : (size_t)(end - url);
}

bool
kvr_scheme_is(const char *url, const char *scheme)
{
	size_t len = kvr_scheme_len(url);

	return len > 0 && strlen(scheme) == len && memcmp(url, scheme, len) == 0;
}

const struct kvr_scheme *
kvr_scheme_find(const char *url)
{
	for (size_t i = 0; i < KVR_LEN(schemes); i++) {
		if (kvr_scheme_is(url, schemes[i].name))
			return &schemes[i];
	}
	return NULL;
}

bool
kvr_scheme_is_cluster(const char *url)
{
	size_t len = kvr_scheme_len(url);

	return len > 8 && memcmp(url + len - 8, "-cluster", 8) == 0;
}

bool
kvr_scheme_is_kind(const char *url, const char *scheme)
{
	size_t len = strlen(scheme), all = kvr_scheme_len(url);

	if (all < len || memcmp(url, scheme, len) != 0)
		return false;
	len += all > len && url[len] == 's';
	return all == len || (kvr_scheme_is_cluster(url) && all == len + strlen("-cluster"));
}

bool
kvr_scheme_speaks_tls(const char *url)
{
	return strncmp(url, "rediss", 6) == 0 || strncmp(url, "valkeys", 7) == 0;
}

bool
kvr_scheme_asks_sentinels(const char *url)
{
	return kvr_scheme_is(url, "redis-sentinel") || kvr_scheme_is(url, "rediss-sentinel");
}

const char *const *
kvr_scheme_names(void)
{
	return names;
}

/*
 * Up to the last '@': an unescaped '@' or '/' in a password must not leave the rest of it outside.
 * In file paths '@' is an ordinary character.
 */
bool
kvr_url_login(const char *url, size_t len, size_t *ret_from, size_t *ret_to)
{
	const char *sep = memmem(url, len, "://", 3);
	size_t from;
	const char *at;

	if (sep == NULL)
		return false;
	if (kvr_scheme_is(url, "fs") || kvr_scheme_is(url, "memory"))
		return false;
	from = (size_t)(sep - url) + 3;
	at = memrchr(url + from, '@', len - from);
	if (at == NULL)
		return false;
	*ret_from = from;
	*ret_to = (size_t)(at - url);
	return true;
}

/* A port, or one that is filled in later: ${PORT}, 700{rank}. */
static bool
may_be_port(const char *at, size_t len)
{
	size_t digits = strspn(at, "0123456789");

	return memchr(at, '{', len) != NULL || (digits >= len && len <= 5);
}

bool
kvr_url_slip(const char *url, size_t len, size_t *ret_from, size_t *ret_to)
{
	const char *sep = memmem(url, len, "://", 3), *end = url + len;

	if (sep == NULL || !(kvr_scheme_is_kind(url, "redis") || kvr_scheme_is_kind(url, "valkey") ||
	                       kvr_scheme_asks_sentinels(url) || kvr_scheme_is(url, "resp") ||
	                       kvr_scheme_is(url, "lm")))
		return false;
	for (const char *host = sep + 3; host < end;) {
		size_t n = KVR_MIN(strcspn(host, ",/?#"), (size_t)(end - host));
		const char *bracket = memchr(host, ']', n); /* an IPv6 address has colons of its own */
		const char *from = bracket != NULL ? bracket : host;
		const char *colon = memchr(from, ':', (size_t)(host + n - from));

		if (colon != NULL && !may_be_port(colon + 1, (size_t)(host + n - colon) - 1)) {
			*ret_from = (size_t)(colon + 1 - url);
			*ret_to = *ret_from + KVR_MIN(strcspn(colon + 1, "/?#"), (size_t)(end - colon) - 1);
			return true;
		}
		if (host + n >= end || host[n] != ',')
			return false;
		host += n + 1;
	}
	return false;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The last word of it, like "pasword" of "- valkey_pasword", as somebody may have misspelled it. */
static bool
is_nearly_password(const char *name, size_t len)
{
	struct kvr_nearest near = { .to = "password" };
	size_t from;

	while (len > 0 && !is_letter(name[len - 1]))
		len--;
	for (from = len; from > 0 && name[from - 1] != '_' && name[from - 1] != '.';)
		from--;
	while (from < len && !is_letter(name[from]))
		from++;
	kvr_nearest_try(&near, name + from, len - from);
	return near.best != NULL && near.best_cost <= 2;
}

bool
kvr_is_secret_name(const char *name, size_t len)
{
	static const char *const parts[] = { "pass", "secret", "token", "credential" };

	for (size_t p = 0; p < KVR_LEN(parts); p++) {
		size_t n = strlen(parts[p]);

		for (size_t i = 0; i + n <= len; i++) {
			if (strncasecmp(name + i, parts[p], n) == 0)
				return true;
		}
	}
	return is_nearly_password(name, len);
}

/* Redis clients also accept "?password=...". */
static void
out_query(struct kvr_text_out *out, const char *rest)
{
	const char *at = strchr(rest, '?');
	size_t plain = at == NULL ? strlen(rest) : (size_t)(at - rest);

	kvr_out(out, "%.*s", (int)plain, rest);
	while (at != NULL && *at != '\0') {
		size_t len = 1 + strcspn(at + 1, "&");
		char *is = memchr(at, '=', len);

		if (is != NULL && kvr_is_secret_name(at + 1, (size_t)(is - at) - 1))
			kvr_out(out, "%.*s***", (int)(is + 1 - at), at);
		else
			kvr_out(out, "%.*s", (int)len, at);
		at += len;
	}
}

size_t
kvr_config_redact(const char *url, char *ret_text, size_t cap)
{
	struct kvr_text_out out = { ret_text, cap, 0 };
	size_t from, to;
	const char *colon;

	if (cap > 0)
		ret_text[0] = '\0';
	if (!kvr_url_login(url, strlen(url), &from, &to)) {
		if (kvr_url_slip(url, strlen(url), &from, &to)) {
			kvr_out(&out, "%.*s***", (int)from, url);
			url += to;
		}
		out_query(&out, url);
		return out.len;
	}
	colon = memchr(url + from, ':', to - from);
	kvr_out(&out, "%.*s***", (int)(colon == NULL ? from : (size_t)(colon + 1 - url)), url);
	out_query(&out, url + to);
	return out.len;
}

const char *
kvr_scheme_option(const char *url, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strchr(url, '?'); at != NULL; at = strchr(at + 1, '&')) {
		if (strncmp(at + 1, name, len) == 0 && at[1 + len] == '=')
			return at + 2 + len;
	}
	return NULL;
}
