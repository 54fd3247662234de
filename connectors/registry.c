/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stores, by URL scheme. A scheme is compared as a whole and without regard to case (RFC 3986):
 * by prefix, "redis" would also match "rediss" and speak plain text to a TLS port.
 */
#include "kvr_connectors.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

static const struct kvr_connector_ops *const stores[] = {
	&kvr_memory_ops,
	&kvr_fs_ops,
	&kvr_redis_ops,
	&kvr_redis_cluster_ops,
	&kvr_valkey_ops,
	&kvr_valkey_cluster_ops,
	&kvr_resp_ops,
	&kvr_lm_ops,
	&kvr_blackhole_ops,
	&kvr_mock_ops,
	&kvr_hyperpod_ops,
	&kvr_eic_ops,
};

enum { SCHEMES_MAX = 32 };

static const char    *names[SCHEMES_MAX + 1];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

/* Bytes before "://"; 0 if url has no scheme. */
static size_t
scheme_len(const char *url)
{
	const char *end = strstr(url, "://");

	return end == NULL ? 0 : (size_t)(end - url);
}

static bool
serves(const struct kvr_connector_ops *ops, const char *url, size_t len)
{
	for (const char *const *s = ops->schemes; *s != NULL; s++)
		if (strlen(*s) == len && strncasecmp(*s, url, len) == 0)
			return true;
	return false;
}

const struct kvr_connector_ops *
kvr_connector_find(const char *url)
{
	size_t len = scheme_len(url);

	for (size_t i = 0; len > 0 && i < KVR_LEN(stores); i++)
		if (serves(stores[i], url, len))
			return stores[i];
	return NULL;
}

static void
collect_names(void)
{
	size_t n = 0;

	for (size_t i = 0; i < KVR_LEN(stores); i++) {
		for (const char *const *s = stores[i]->schemes; *s != NULL; s++) {
			KVR_CHECK(n < SCHEMES_MAX);
			names[n++] = *s;
		}
	}
}

const char *const *
kvr_connector_schemes(void)
{
	KVR_CHECK(pthread_once(&names_once, collect_names) == 0);
	return names;
}
