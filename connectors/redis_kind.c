/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stores that speak RESP.
 *
 * valkey   LMCache had two layouts for it: until March 2026 two names per chunk, which is `lmcache`
 *          here; since then one name and no header, which is `bare` and the same data as resp's.
 *          Neither client of LMCache deletes a header that has lost its payload.
 * resp     LMCache's native client: one name, no database, no expiry. It has no `sealed`, because
 *          redis:// offers that for the same server.
 */
#include "kvr_redis.h"

#define BARE KVR_FORMAT_BIT(KVR_FORMAT_BARE)
#define ALL (BARE | KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE) | KVR_FORMAT_BIT(KVR_FORMAT_SEALED))

const struct kvr_redis_kind kvr_redis_kind_redis = { .scheme = "redis",
	.tls_scheme = "rediss",
	.value = "kv_bytes",
	.mark = "metadata",
	.formats = ALL,
	.databases = true,
	.expires = true,
	.drops_orphans = true };

const struct kvr_redis_kind kvr_redis_kind_valkey = { .scheme = "valkey",
	.tls_scheme = "valkeys",
	.value = ":kv_bytes",
	.mark = ":metadata",
	.formats = ALL,
	.databases = true,
	.expires = true,
	.in_seconds = true,
	.tags = true };

const struct kvr_redis_kind kvr_redis_kind_resp = { .scheme = "resp", .formats = BARE };
