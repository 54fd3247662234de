/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_subject.h"

#include "kvr_connectors.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static struct kvr_redis_server *server;

static void
begin(struct kvr_store_opts *opts)
{
	server = kvr_redis_server_start(NULL, NULL);
	opts->url = server->url;
}

static void
begin_unix(struct kvr_store_opts *opts)
{
	server = kvr_redis_server_start("secret", NULL);
	opts->url = server->unix_url;
	opts->password = "secret";
}

static void
end(void)
{
	kvr_redis_server_stop(server);
	server = NULL;
}

#define REDIS(n, f, b) \
	.name = (n), .ops = &kvr_redis_ops, .format = (f), .begin = (b), .end = end, \
	.outlives = true, .any_key = true, .peer_awaits = "\r\n"

const struct kvr_subject kvr_subjects[] = {
	{ REDIS("redis sealed", KVR_FORMAT_SEALED, begin), .keeps_shape = true, .keeps_raw = true },
	{ REDIS("redis sealed, unix", KVR_FORMAT_SEALED, begin_unix), .keeps_shape = true,
	    .keeps_raw = true },
	{ REDIS("redis bare", KVR_FORMAT_BARE, begin) },
	{ REDIS("redis lmcache", KVR_FORMAT_LMCACHE, begin), .keeps_shape = true,
	    .two_keys = true },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
