/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we need of a TLS library, in our own terms: a context that has read the certificates, and
 * connections over non-blocking sockets. Nothing here waits.
 *
 * kvr_tls_lib.c implements it with OpenSSL. Builds without OpenSSL have kvr_tls_lib_none.c instead.
 */
#ifndef KVR_TLS_LIB_H
#define KVR_TLS_LIB_H

#include "kvr_connector.h"
#include "kvr_tls_fault.h"

struct kvr_tls_ctx;
struct kvr_tls_conn;

bool kvr_tls_lib_is_built(void);

/* SHA-256, which comes with the same library, over bytes that arrive in pieces. NULL: no memory. */
enum { KVR_SHA256_LEN = 32 };
struct kvr_sha256;
struct kvr_sha256 *kvr_sha256_new(void);
void kvr_sha256_free(struct kvr_sha256 *take); /* NULL is fine */
void kvr_sha256_begin(struct kvr_sha256 *);
void kvr_sha256_add(struct kvr_sha256 *, const void *at, size_t len);
void kvr_sha256_end(struct kvr_sha256 *, uint8_t ret[KVR_SHA256_LEN]);

/* KVR_E_CONFIG: which file is wrong, and how. A context may be freed before its connections. */
KVR_MUST_USE enum kvr_err kvr_tls_ctx_new(
    const struct kvr_tls_opts *, struct kvr_tls_ctx **ret, char *why, size_t why_cap);
void kvr_tls_ctx_free(struct kvr_tls_ctx *take); /* NULL is fine */

/*
 * name: the host or address that the certificate must name. NULL: no memory. The socket stays the
 * caller's and must stay open as long as the connection exists.
 */
struct kvr_tls_conn *kvr_tls_conn_new(
    struct kvr_tls_ctx *, const struct kvr_tls_opts *, const char *name, int fd);
/* Tells the other side, if that is possible without waiting. */
void kvr_tls_conn_free(struct kvr_tls_conn *take);

enum kvr_tls_step {
	KVR_TLS_DONE,
	KVR_TLS_READ,  /* call again when there is something to read */
	KVR_TLS_WRITE, /* call again when there is room to write */
	KVR_TLS_OVER   /* kvr_tls_conn_why says how it ended */
};

enum kvr_tls_step kvr_tls_conn_shake(struct kvr_tls_conn *);
/* DONE: 1 to len bytes. Also works after a write was OVER, for what had arrived before. */
enum kvr_tls_step kvr_tls_conn_read(struct kvr_tls_conn *, void *to, size_t len, size_t *ret_n);
/* DONE: 1 to len bytes are encrypted. They have left when kvr_tls_conn_drain says DONE. */
enum kvr_tls_step kvr_tls_conn_write(
    struct kvr_tls_conn *, const void *from, size_t len, size_t *ret_n);
enum kvr_tls_step kvr_tls_conn_drain(struct kvr_tls_conn *);

/*
 * Sessions, with which a later connection to the same server needs no certificate and less of the
 * server's time. A session may be offered only to a connection with the same name, of a context
 * with the same options and files.
 */
struct kvr_tls_session;
void kvr_tls_session_free(struct kvr_tls_session *take); /* NULL is fine */
/*
 * Before the handshake. The certificate that the server showed back then is verified again, with
 * what the context has read and as of now. False: it is no longer trusted; the handshake will be a
 * full one.
 */
bool kvr_tls_conn_offer(struct kvr_tls_conn *, struct kvr_tls_session *take);
/* After the handshake: whether the server resumed it. */
bool kvr_tls_conn_resumed(const struct kvr_tls_conn *);
/* For the next connection. The caller owns it and uses it after this one is freed. NULL: none. */
struct kvr_tls_session *kvr_tls_conn_session(struct kvr_tls_conn *);

/* Whole days until the peer's certificate expires, below 0 when it has. False: it showed none. */
bool kvr_tls_conn_days(const struct kvr_tls_conn *, int64_t *ret_days);
/*
 * Seconds until the first certificate in a PEM file becomes valid, and until it expires; below 0:
 * in the past. False: there is none, or no library to read it.
 */
bool kvr_tls_cert_times(const char *path, int64_t *ret_from_s, int64_t *ret_until_s);
/* A certificate with fewer days left gets a warning. */
enum { KVR_TLS_SOON_DAYS = 14, KVR_TLS_DAY_S = 86400 };

/* After OVER. *ret_text lives as long as the connection. */
enum kvr_tls_fault kvr_tls_conn_why(const struct kvr_tls_conn *, const char **ret_text);

#endif
