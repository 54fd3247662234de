/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over a stream. One struct kvr_tls per store, shared by its lanes, which may all dial at once.
 *
 * TLS 1.2 and newer. The server must show a certificate that is signed by a known CA, is valid now,
 * and names the host (a name or an address), unless the options say otherwise. All waits, including
 * those of the handshake, obey the deadline and the kick of the stream.
 *
 * Certificates may be rotated while the process runs: a dial that finds changed files reads them
 * again. Existing connections keep what they had.
 *
 * A dial resumes the session of the last finished connection to the same name and address, if the
 * server allows it. That never bypasses the certificate: see kvr_tls_keep.h and kvr_tls_conn_offer.
 * Changed files discard all sessions, and a failed handshake discards those of its server.
 *
 * In a build without OpenSSL, opening a context is an error that says what to do.
 */
#ifndef KVR_STREAM_TLS_H
#define KVR_STREAM_TLS_H

#include "kvr_stream.h"

struct kvr_tls;

bool kvr_tls_is_built(void);

/* Texts are copied and files are read. KVR_E_CONFIG or KVR_E_NOMEM with a sentence in why. */
KVR_MUST_USE enum kvr_err kvr_tls_open(
    const struct kvr_tls_opts *, struct kvr_tls **ret, char *why, size_t why_cap);
void kvr_tls_close(struct kvr_tls *take); /* after the last handshake; NULL is fine */
/* What it was opened with. With a cert, key is not NULL. */
const struct kvr_tls_opts *kvr_tls_opts_of(const struct kvr_tls *);

/*
 * The handshake, on a stream that was just connected to host. From then on the stream speaks TLS;
 * after an error only kvr_stream_hang_up is useful, as always.
 */
KVR_MUST_USE enum kvr_err kvr_stream_tls(
    struct kvr_sock *s, struct kvr_tls *, const char *host, uint64_t until_ns);

/* Whether the handshake resumed the session of an earlier connection. */
bool kvr_stream_tls_resumed(const struct kvr_sock *s);

/*
 * Whether the handshake failed because it tried to resume a session that this server hands out but
 * does not accept. The next handshake will be a full one, and so will all others for an hour.
 */
bool kvr_stream_tls_choked(const struct kvr_sock *s);

/*
 * Days until the server's certificate expires; negative: it has. False: the stream does not use
 * TLS.
 */
bool kvr_stream_tls_days(const struct kvr_sock *s, int64_t *ret_days);

#endif
