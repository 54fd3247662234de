/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sessions of connections that are over, for those that will follow them to the same server.
 * Whoever goes on with a session is shown no certificate, so each knows when its server last proved
 * to have the key of one, and is not handed out an hour after that: a session that a resumed
 * connection got is as old as the one that it went on with. Else a key that was taken away from a
 * server would be believed for as long as it keeps its connections short.
 *
 * Nothing here locks. In bounds: 64 slots of 400 bytes, and a session has its server's certificates
 * and a ticket, 2 to 6 KiB together and by the limits of TLS less than 200.
 */
#ifndef KVR_TLS_KEEP_H
#define KVR_TLS_KEEP_H

#include <sys/socket.h>

#include "kvr_base.h"

/* A tier has 16 lanes or less, and those of a cluster lines to several nodes. */
#define KVR_TLS_KEEP_MAX 64U
#define KVR_TLS_KEEP_NS KVR_SEC(3600)

struct kvr_tls_session;

/* Compared as bytes: begins as zeroes. */
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

/* The oldest one goes when there is no room. */
void kvr_tls_keep_put(
    struct kvr_tls_keep *, const struct kvr_tls_peer *, struct kvr_tls_kept take, uint64_t now_ns);
/* The newest one of that server, which is then the caller's alone. session NULL: none. */
struct kvr_tls_kept kvr_tls_keep_take(
    struct kvr_tls_keep *, const struct kvr_tls_peer *, uint64_t now_ns);
/* Those of that server; NULL: of all. */
void kvr_tls_keep_forget(struct kvr_tls_keep *, const struct kvr_tls_peer *);

#endif
