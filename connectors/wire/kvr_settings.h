/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that only some stores can use. A store names those that it takes, and any other that is
 * given is refused. So a setting that is added here is refused by all stores that do not know it.
 */
#ifndef KVR_SETTINGS_H
#define KVR_SETTINGS_H

#include "kvr_connector.h"
#include "kvr_why.h"

/* name, its text, whether it is given in o, why a store without better words refuses it */
#define KVR_SETTING_TABLE(X)                                                                       \
	X(LOGIN,      "user, password", o->user != NULL || o->password != NULL,                    \
	    "the store has no login")                                                              \
	X(TLS,        "tls",            kvr_tls_given(&o->tls), "it is not spoken to over TLS")    \
	X(SENTINEL,   "sentinel",       kvr_sentinel_given(&o->sentinel),                          \
	    "only a redis-sentinel:// URL asks sentinels")                                         \
	X(REPLICAS,   "replicas",       o->replicas,                                               \
	    "only behind sentinels and in a cluster there are replicas to read from")              \
	X(TTL,        "ttl",            o->ttl_ms > 0, "values of this store do not expire")       \
	X(CAPACITY,   "capacity",       o->capacity > 0, "the store limits itself")                \
	X(FREE_FLOOR, "free_floor",     o->free_floor > 0, "is for file tiers")                    \
	X(TMP_DIR,    "tmp_dir",        o->tmp_dir != NULL, "is for file tiers")                   \
	X(DIRECT,     "direct",         o->direct, "is for file tiers")

enum kvr_setting {
#define X(name, text, given, why) KVR_SETTING_##name,
	KVR_SETTING_TABLE(X)
#undef X
	KVR_SETTING_N
};
#define KVR_TAKES(name) (UINT32_C(1) << KVR_SETTING_##name)

/*
 * takes: KVR_TAKES bits. no[i]: the store's own words for refusing i. NULL, for an entry or for no
 * as a whole: the words of the table.
 */
enum kvr_err kvr_settings_only(const struct kvr_store_opts *, uint32_t takes,
    const char *const no[KVR_SETTING_N], const struct kvr_why *);

#endif
