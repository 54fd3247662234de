/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the lm server share: one serves, the other lets a test look and meddle. */
#ifndef KVR_HARNESS_LM_OWN_H
#define KVR_HARNESS_LM_OWN_H

#include <pthread.h>

#include "kvr_lm_server.h"
#include "kvr_lm_words.h"

enum { CONNECTIONS_MAX = 128, LOG_MAX = 1 << 16 };

struct value {
	struct value *next;
	char     key[KVR_LM_WORDS_KEY + 1];
	uint8_t  head[KVR_LM_WORDS_HEAD]; /* as it stands in an answer */
	uint8_t *bytes;                   /* NULL: a put that broke off */
	size_t   len;
};

struct log {
	uint8_t at[LOG_MAX];
	size_t  len;
};

struct connection {
	struct kvr_lm_server *server;
	pthread_t thread;
	int       fd;
};

struct kvr_lm_server {
	int       listen_fd, stop_fd;
	uint16_t  port;
	char      url[40];
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t  moved;
	/* Under lock. */
	struct value       *values;
	struct kvr_lm_count count;
	struct log came, went;
	uint64_t hold_at;
	uint32_t over;
	int      holds, forgets;

	/* The accepting thread's, until it has been joined. */
	struct connection connections[CONNECTIONS_MAX];
	uint32_t          n;
};

#endif
