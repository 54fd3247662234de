/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read a URL of this connector say to each other. */
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

/* By the scheme of a URL; NULL: none of ours. */
const struct kvr_redis_scheme *kvr_redis_scheme_find(const char *name);

/*
 * redis_place.c: hosts and path. *ret_db_given: where the number of a database was found; it stays
 * as it is when none was.
 */
enum kvr_err kvr_redis_place(const struct kvr_url *, const struct kvr_redis_scheme *,
    struct kvr_store *, const char **ret_db_given, const struct kvr_why *);
enum kvr_err kvr_redis_database(
    const char *text, const char *where, uint32_t *ret, const struct kvr_why *);
/* The one of the two that is there, copied; both are an error. *ret stays NULL without any. */
enum kvr_err kvr_redis_one_of(
    const char *opt, const char *url, const char *what, char **ret, const struct kvr_why *);

/*
 * redis_sentinel.c. After the place and the options of the URL; service: that of the URL, or
 * NULL.
 */
enum kvr_err kvr_redis_sentinels(const struct kvr_url *, const struct kvr_store_opts *,
    const char *service, struct kvr_store *, const struct kvr_why *);
/* redis_cluster.c. The map, with the URL's hosts to ask for it. */
enum kvr_err kvr_redis_cluster_open(
    const struct kvr_url *, struct kvr_store *, const struct kvr_why *);

#endif
