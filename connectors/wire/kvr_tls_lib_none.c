/* SPDX-License-Identifier: Apache-2.0 */
/* Used instead of kvr_tls_lib.c in a build without OpenSSL: no context can exist. */
#include "kvr_tls_lib.h"

#include <stdio.h>

#define NEVER KVR_WRONG("TLS in a build that has none")

bool
kvr_tls_lib_is_built(void)
{
	return false;
}

enum kvr_err
kvr_tls_ctx_new(
    const struct kvr_tls_opts *o, struct kvr_tls_ctx **ret, char *why, size_t why_cap)
{
	(void)o;
	(void)ret;
	snprintf(why, why_cap,
	    "this build cannot speak TLS; install OpenSSL's development files (libssl-dev) and "
	    "build with -DKVR_TLS=ON");
	return KVR_E_CONFIG;
}

void
kvr_tls_ctx_free(struct kvr_tls_ctx *take)
{
	KVR_CHECK(take == NULL);
}

struct kvr_tls_conn *
kvr_tls_conn_new(
    struct kvr_tls_ctx *ctx, const struct kvr_tls_opts *o, const char *name, int fd)
{
	(void)ctx;
	(void)o;
	(void)name;
	(void)fd;
	NEVER;
}

void
kvr_tls_conn_free(struct kvr_tls_conn *take)
{
	KVR_CHECK(take == NULL);
}

enum kvr_tls_step
kvr_tls_conn_shake(struct kvr_tls_conn *c)
{
	(void)c;
	NEVER;
}

enum kvr_tls_step
kvr_tls_conn_read(struct kvr_tls_conn *c, void *to, size_t len, size_t *ret_n)
{
	(void)c;
	(void)to;
	(void)len;
	(void)ret_n;
	NEVER;
}

enum kvr_tls_step
kvr_tls_conn_write(struct kvr_tls_conn *c, const void *from, size_t len, size_t *ret_n)
{
	(void)c;
	(void)from;
	(void)len;
	(void)ret_n;
	NEVER;
}

enum kvr_tls_step
kvr_tls_conn_drain(struct kvr_tls_conn *c)
{
	(void)c;
	NEVER;
}

void
kvr_tls_session_free(struct kvr_tls_session *take)
{
	KVR_CHECK(take == NULL);
}

bool
kvr_tls_conn_offer(struct kvr_tls_conn *c, struct kvr_tls_session *take)
{
	(void)c;
	(void)take;
	NEVER;
}

bool
kvr_tls_conn_resumed(const struct kvr_tls_conn *c)
{
	(void)c;
	NEVER;
}

struct kvr_tls_session *
kvr_tls_conn_session(struct kvr_tls_conn *c)
{
	(void)c;
	NEVER;
}

bool
kvr_tls_conn_days(const struct kvr_tls_conn *c, int64_t *ret_days)
{
	(void)c;
	(void)ret_days;
	NEVER;
}

bool
kvr_tls_cert_times(const char *path, int64_t *ret_from_s, int64_t *ret_until_s)
{
	(void)path;
	(void)ret_from_s;
	(void)ret_until_s;
	return false;
}

enum kvr_tls_fault
kvr_tls_conn_why(const struct kvr_tls_conn *c, const char **ret_text)
{
	(void)c;
	(void)ret_text;
	NEVER;
}

struct kvr_sha256 *
kvr_sha256_new(void)
{
	NEVER;
}

void
kvr_sha256_free(struct kvr_sha256 *take)
{
	KVR_CHECK(take == NULL);
}

void
kvr_sha256_begin(struct kvr_sha256 *sum)
{
	(void)sum;
	NEVER;
}

void
kvr_sha256_add(struct kvr_sha256 *sum, const void *at, size_t len)
{
	(void)sum;
	(void)at;
	(void)len;
	NEVER;
}

void
kvr_sha256_end(struct kvr_sha256 *sum, uint8_t ret[KVR_SHA256_LEN])
{
	(void)sum;
	(void)ret;
	NEVER;
}
