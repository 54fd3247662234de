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

enum { SCHEMES_MAX = 32, SCHEME_LEN_MAX = 32 };

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

static int
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Number of edits (insert, delete or change a byte, or swap two neighbours) from a to name. */
static size_t
distance(const char *a, size_t a_len, const char *name)
{
	size_t row[3][SCHEME_LEN_MAX + 1]; /* the current row and the two above it */
	size_t name_len = strlen(name);

	for (size_t j = 0; j <= name_len; j++)
		row[1][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		row[0][0] = i;
		for (size_t j = 1; j <= name_len; j++) {
			bool   same = lower(a[i - 1]) == name[j - 1];
			size_t best = row[1][j - 1] + (same ? 0 : 1);
			best = KVR_MIN(best, row[1][j] + 1);
			best = KVR_MIN(best, row[0][j - 1] + 1);
			if (i > 1 && j > 1 && lower(a[i - 1]) == name[j - 2] &&
			    lower(a[i - 2]) == name[j - 1])
				best = KVR_MIN(best, row[2][j - 2] + 1);
			row[0][j] = best;
		}
		memcpy(row[2], row[1], sizeof row[2]);
		memcpy(row[1], row[0], sizeof row[1]);
	}
	return row[1][name_len];
}

const char *
kvr_connector_nearest(const char *url)
{
	const char *best = NULL;
	size_t      len = scheme_len(url);

	/* Without "://" it ends at the first byte that cannot belong to it: "redis:6379". */
	if (len == 0)
		len = strcspn(url, ":/");
	if (len == 0 || len > SCHEME_LEN_MAX || kvr_connector_find(url) != NULL)
		return NULL;
	/* In a word of three letters, two edits leave nothing in common. */
	size_t best_distance = len < 4 ? 2 : 3;
	for (const char *const *s = kvr_connector_schemes(); *s != NULL; s++) {
		size_t d = distance(url, len, *s);
		if (d < best_distance) {
			best_distance = d;
			best = *s;
		}
	}
	return best;
}
