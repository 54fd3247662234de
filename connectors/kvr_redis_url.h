/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read a URL of this connector share. */
#ifndef KVR_REDIS_URL_H
#define KVR_REDIS_URL_H

#include "kvr_redis.h"
#include "kvr_why.h"

enum kvr_redis_how { KVR_REDIS_SERVER, KVR_REDIS_UNIX, KVR_REDIS_SENTINELS, KVR_REDIS_CLUSTER };

struct kvr_redis_scheme {
	const char *name;
	const struct kvr_redis_kind *kind;
	enum kvr_redis_how how;
	bool is_tls;
};

/* By the scheme of a URL; NULL: not one of ours. */
const struct kvr_redis_scheme *kvr_redis_scheme_find(const char *name);

/*
 * redis_place.c: hosts and path. *ret_db_given: where the database number was found; unchanged if
 * there was none.
 */
enum kvr_err kvr_redis_place(const struct kvr_url *, const struct kvr_redis_scheme *,
    struct kvr_store *, const char **ret_db_given, const struct kvr_why *);
enum kvr_err kvr_redis_database(
    const char *text, const char *where, uint32_t *ret, const struct kvr_why *);
/* A copy of the one of the two that is given; both are an error. With neither, *ret stays NULL. */
enum kvr_err kvr_redis_one_of(
    const char *opt, const char *url, const char *what, char **ret, const struct kvr_why *);

/*
 * redis_sentinel.c. Call it after the place and the options of the URL. service: from the URL, or
 * NULL.
 */
enum kvr_err kvr_redis_sentinels(const struct kvr_url *, const struct kvr_store_opts *,
    const char *service, struct kvr_store *, const struct kvr_why *);
/* redis_cluster.c. Makes the map, with the URL's hosts as seeds. */
enum kvr_err kvr_redis_cluster_open(
    const struct kvr_url *, struct kvr_store *, const struct kvr_why *);

#endif
