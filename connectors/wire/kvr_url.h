/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheme://[user[:password]@]host[:port][,host[:port]...][/path][?name=value&...]
 *
 * A host may be an IPv6 address in brackets. User, password, path and the values of options are
 * percent-decoded. The user's part ends at the last '@' before the path, so a password may contain
 * an '@' as it is, but '/', '?', '#' and '%' only as %2F, %3F, %23 and %25. unix:///path has no
 * host.
 *
 * Each store decides which parts it needs and which options it knows. No message repeats a user or
 * a password, because messages end up in logs.
 */
#ifndef KVR_URL_H
#define KVR_URL_H

#include "kvr_err.h"

#define KVR_URL_HOSTS_MAX 32U
#define KVR_URL_HOST_LEN_MAX 253U /* of a DNS name */

struct kvr_url_host {
	char     name[KVR_URL_HOST_LEN_MAX + 1]; /* without brackets */
	uint16_t port;                           /* 0: none was given */
};

/* A single block without pointers, so it may be copied. */
struct kvr_url {
	char     scheme[32];
	bool     has_user, has_password;
	char     user[256];
	char     password[2048]; /* tokens of cloud services are this long */
	uint32_t n_hosts;        /* 0: none was given */
	struct kvr_url_host host[KVR_URL_HOSTS_MAX];
	char     path[1024];     /* starts with '/'; "" if there is none */
	char     query[1024];    /* without '?', not decoded */
};

/* KVR_E_CONFIG, with a sentence in why: which part is wrong and what to write instead. */
KVR_MUST_USE enum kvr_err kvr_url_parse(
    const char *text, struct kvr_url *ret, char *why, size_t why_cap);

struct kvr_url_option {
	char name[64];
	char value[256]; /* decoded */
};

/*
 * Steps through the options: *at starts at 0. KVR_E_MISS: there are no more. KVR_E_CONFIG: this one
 * cannot be parsed.
 */
KVR_MUST_USE enum kvr_err kvr_url_option_next(const struct kvr_url *, size_t *at,
    struct kvr_url_option *ret, char *why, size_t why_cap);

#endif
