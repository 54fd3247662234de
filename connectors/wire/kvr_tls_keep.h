/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of finished connections, for later connections to the same server. A connection that
 * resumes a session is shown no certificate. So each session records when its server last proved
 * that it has the key of a certificate, and is not used from an hour after that; a session received
 * on a resumed connection is as old as the one that was resumed. Otherwise a key that was taken
 * away from a server would be trusted for as long as the server keeps its connections short.
 *
 * Nothing here locks. Memory is bounded: 64 slots of 400 bytes, and each session has its server's
 * certificates and a ticket, typically 2 to 6 KiB together and by the limits of TLS less than 200.
 */
#ifndef KVR_TLS_KEEP_H
#define KVR_TLS_KEEP_H

#include <sys/socket.h>

#include "kvr_base.h"

/* A tier has at most 16 lanes; those of a cluster have connections to several nodes. */
#define KVR_TLS_KEEP_MAX 64U
#define KVR_TLS_KEEP_NS KVR_SEC(3600)

struct kvr_tls_session;

/* Compared as bytes, so zero it before filling it in. */
struct kvr_tls_peer {
	char name[256]; /* that its certificate had to have */
	struct sockaddr_storage at;
};

struct kvr_tls_kept {
	struct kvr_tls_session *session;
	uint64_t proved_ns; /* when its server last showed a certificate */
};

struct kvr_tls_keep {
	uint32_t n; /* the oldest first */
	struct {
		struct kvr_tls_peer peer;
		struct kvr_tls_kept kept;
	} slot[KVR_TLS_KEEP_MAX];
};

/* If there is no room, the oldest one is dropped. */
void kvr_tls_keep_put(
    struct kvr_tls_keep *, const struct kvr_tls_peer *, struct kvr_tls_kept take, uint64_t now_ns);
/* The newest one of that server, which then belongs to the caller alone. session NULL: none. */
struct kvr_tls_kept kvr_tls_keep_take(
    struct kvr_tls_keep *, const struct kvr_tls_peer *, uint64_t now_ns);
/* Forgets those of that server; NULL: all. */
void kvr_tls_keep_forget(struct kvr_tls_keep *, const struct kvr_tls_peer *);

#endif
