/* SPDX-License-Identifier: Apache-2.0 */
/* The stores that speak RESP under other names, against the server that is installed. */
#include "kvr_subject.h"

#include <stdio.h>

#include "kvr_connectors.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static struct kvr_redis_server *server;
static char url[64];

static void
begin_as(struct kvr_store_opts *opts, const char *scheme)
{
	server = kvr_redis_server_start("secret", NULL);
	snprintf(url, sizeof(url), "%s://127.0.0.1:%u", scheme, server->port);
	opts->url = url;
	opts->password = "secret";
}

static void
begin_valkey(struct kvr_store_opts *opts)
{
	begin_as(opts, "valkey");
}

static void
begin_resp(struct kvr_store_opts *opts)
{
	begin_as(opts, "resp");
}

static void
end(void)
{
	kvr_redis_server_stop(server);
	server = NULL;
}

#define RESP(n, o, f, b) \
	.name = (n), .ops = &(o), .format = (f), .begin = (b), .end = end, .outlives = true, \
	.any_key = true, .peer_awaits = "\r\n"

const struct kvr_subject kvr_subjects[] = {
	{ RESP("valkey sealed", kvr_valkey_ops, KVR_FORMAT_SEALED, begin_valkey),
	    .keeps_shape = true, .keeps_raw = true },
	{ RESP("valkey bare", kvr_valkey_ops, KVR_FORMAT_BARE, begin_valkey) },
	{ RESP("valkey lmcache", kvr_valkey_ops, KVR_FORMAT_LMCACHE, begin_valkey),
	    .keeps_shape = true, .two_keys = true },
	{ RESP("resp bare", kvr_resp_ops, KVR_FORMAT_BARE, begin_resp) },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
