/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sentinels answer, and what a server says that they have named. Nothing in an answer is
 * trusted: a name that is returned is printable and not empty, a port is not 0.
 */
#ifndef KVR_SENTINEL_H
#define KVR_SENTINEL_H

#include "kvr_url.h"

struct kvr_sock;

struct kvr_sentinel_replicas {
	uint32_t n; /* those that are well; what is beyond the room is left out */
	struct kvr_url_host at[KVR_URL_HOSTS_MAX];
};

/* Reads an answer about a service. An error is the stream's too, and its why says what is wrong. */
typedef enum kvr_err kvr_sentinel_reader(struct kvr_sock *, const char *service, void *ret);

/* To get-master-addr-by-name; ret: struct kvr_url_host. CONFIG: it does not watch that service. */
kvr_sentinel_reader kvr_sentinel_master;
/* To replicas; ret: struct kvr_sentinel_replicas. DOWN: none is well. */
kvr_sentinel_reader kvr_sentinel_replicas;

/*
 * Asks for its role. word: "master" or "slave". DOWN: it has another, or is a replica that is not
 * connected to its master.
 */
enum kvr_err kvr_redis_role(struct kvr_sock *, const char *word);

#endif
