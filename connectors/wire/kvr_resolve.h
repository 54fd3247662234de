/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names to addresses, under a deadline and a kick.
 *
 * getaddrinfo cannot be interrupted, so a thread of its own looks up a name while the caller waits.
 * A caller that gives up leaves the thread behind; the thread frees what it holds when getaddrinfo
 * returns. A process has at most KVR_RESOLVE_THREADS of them. A caller that finds all in use waits
 * for one; so if a resolver hangs, later look-ups are refused instead of piling up threads. A
 * numeric address needs no thread and never fails for that reason.
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
 * DOWN: no such name, the resolver failed, or too many look-ups hang. Also TIMEOUT and CANCELLED.
 * Each with a sentence in why. kick may be NULL.
 */
KVR_MUST_USE enum kvr_err kvr_resolve(const char *host, uint16_t port, uint64_t until_ns,
    struct kvr_kick *kick, struct kvr_addrs *ret, char *why, size_t why_cap);

#endif
