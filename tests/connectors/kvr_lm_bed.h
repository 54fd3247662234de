/* SPDX-License-Identifier: Apache-2.0 */
/* What the lm tests have beyond kvr_redis_bed.h: a strict server, and a client of socket calls. */
#ifndef KVR_LM_BED_H
#define KVR_LM_BED_H

#include <arpa/inet.h>
#include <sys/socket.h>

#include "kvr_lm_server.h"
#include "kvr_redis_bed.h"

static inline void
lm_up(struct bed *b, const struct kvr_lm_server *server)
{
	struct kvr_store_opts opts = bed_opts(kvr_lm_server_url(server), KVR_FORMAT_LMCACHE);
	bed_up(b, &opts);
}

/* Stops the server, which must not have seen anything that LMCache's client would not send. */
static inline void
lm_stop(struct kvr_lm_server *take)
{
	struct kvr_lm_count count = kvr_lm_server_count(take);
	ck_assert_msg(count.deviations == 0, "%u deviations, the first: %s", count.deviations,
	    count.first_deviation);
	kvr_lm_server_stop(take);
}

static inline int
lm_raw(const struct kvr_lm_server *server)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(kvr_lm_server_port(server)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static inline void
lm_raw_send(int fd, const void *at, size_t len)
{
	ck_assert_int_eq(send(fd, at, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* What comes until len bytes are there or the server closes. */
static inline size_t
lm_raw_read(int fd, uint8_t *to, size_t len)
{
	size_t have = 0;
	for (ssize_t n = 1; n > 0 && have < len; have += n > 0 ? (size_t)n : 0)
		n = recv(fd, to + have, len - have, 0);
	return have;
}

#endif
