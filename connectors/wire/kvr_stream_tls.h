/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over a stream. One struct kvr_tls per store, shared by its lanes, which may all dial at once.
 *
 * TLS 1.2 and newer. The server must show a certificate that a known CA has signed, that is valid
 * now, and that names the host (a name or an address), unless the options say otherwise. All waits
 * obey the deadline and the kick of the stream, the handshake's too.
 *
 * Certificates are rotated while a process runs: a dial that finds other files than the one before
 * reads them again. Connections that are up go on with what they had.
 *
 * A dial goes on with the session of the last connection to the same name and address that is over,
 * where the server lets it. That is never a way round the certificate: see kvr_tls_keep.h and
 * kvr_tls_conn_offer. Other files end all sessions, and a handshake that fails those of its server.
 *
 * In a build without OpenSSL opening a context is an error that says what to do.
 */
#ifndef KVR_STREAM_TLS_H
#define KVR_STREAM_TLS_H

#include "kvr_stream.h"

struct kvr_tls;

bool kvr_tls_is_built(void);

/* Texts are copied, files are read. KVR_E_CONFIG or KVR_E_NOMEM with a sentence in why. */
KVR_MUST_USE enum kvr_err kvr_tls_open(
    const struct kvr_tls_opts *, struct kvr_tls **ret, char *why, size_t why_cap);
void kvr_tls_close(struct kvr_tls *take); /* after the last handshake; NULL is fine */
/* What it was opened with; key is never NULL beside a cert. */
const struct kvr_tls_opts *kvr_tls_opts_of(const struct kvr_tls *);

/*
 * The handshake, on a stream that has just been connected to host. From then on the stream speaks
 * TLS; after an error only kvr_stream_hang_up is of use, as always.
 */
KVR_MUST_USE enum kvr_err kvr_stream_tls(
    struct kvr_sock *s, struct kvr_tls *, const char *host, uint64_t until_ns);

/* Whether the handshake went on with a session of an earlier connection. */
bool kvr_stream_tls_resumed(const struct kvr_sock *s);

/*
 * Whether the handshake failed because it went on with a session, which this server hands out and does not
 * take. The next one will be a full one, and so will all for an hour.
 */
bool kvr_stream_tls_choked(const struct kvr_sock *s);

/* Until the server's certificate ends; negative: it has. False: the stream is none of TLS. */
bool kvr_stream_tls_days(const struct kvr_sock *s, int64_t *ret_days);

#endif
