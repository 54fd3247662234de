/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names to addresses, under a deadline and a kick.
 *
 * getaddrinfo cannot be interrupted, so a name is looked up by a thread of its own while the
 * caller waits. A caller that gives up leaves the thread behind; it frees what it holds when
 * getaddrinfo returns. At most KVR_RESOLVE_THREADS of them exist in the process; who comes when all
 * are taken waits for one, and when a resolver hangs, later look-ups are refused instead of piling
 * up threads. A numeric address needs no thread and never fails for that reason.
 */
#ifndef KVR_RESOLVE_H
#define KVR_RESOLVE_H

#include <sys/socket.h>

#include "kvr_connector.h"

#define KVR_RESOLVE_THREADS 8U
#define KVR_RESOLVE_MAX 16U

struct kvr_addr {
	struct sockaddr_storage at;
	socklen_t               len;
};

struct kvr_addrs {
	uint32_t        n; /* at least 1 */
	struct kvr_addr addr[KVR_RESOLVE_MAX];
};

/*
 * DOWN: no such name, the resolver failed, or too many look-ups hang; TIMEOUT; CANCELLED; with a
 * sentence in why. kick may be NULL.
 */
KVR_MUST_USE enum kvr_err kvr_resolve(const char *host, uint16_t port, uint64_t until_ns,
    struct kvr_kick *kick, struct kvr_addrs *ret, char *why, size_t why_cap);

#endif
