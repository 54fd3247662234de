/* SPDX-License-Identifier: Apache-2.0 */
/* One cluster for all. valkey-cluster:// differs in two names only: see test_redis_cluster.c. */
#include "kvr_subject.h"

#include "kvr_cluster_set.h"
#include "kvr_connectors.h"

KVR_NEEDS_CLUSTER

static void
begin(struct kvr_store_opts *opts)
{
	kvr_cluster_flush();
	opts->url = kvr_cluster_set->url;
	opts->password = KVR_CLUSTER_PASSWORD;
}

static void
end(void)
{
}

#define CLUSTER(n, o, f, b)                                                                        \
	.name = (n), .ops = &(o), .format = (f), .begin = (b), .end = end, .outlives = true,       \
	.any_key = true, .peer_awaits = "\r\n"

const struct kvr_subject kvr_subjects[] = {
	{ CLUSTER("redis-cluster sealed", kvr_redis_cluster_ops, KVR_FORMAT_SEALED, begin),
	    .keeps_shape = true, .keeps_raw = true },
	{ CLUSTER("redis-cluster bare", kvr_redis_cluster_ops, KVR_FORMAT_BARE, begin) },
	{ CLUSTER("redis-cluster lmcache", kvr_redis_cluster_ops, KVR_FORMAT_LMCACHE, begin),
	    .keeps_shape = true, .two_keys = true },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
