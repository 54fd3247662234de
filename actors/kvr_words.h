/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier's words: what its store has said. Lanes and the canary write them, anybody may read them.
 * What goes on for a while keeps words of its own, because the last ones may be about something
 * else by the time somebody asks.
 */
#ifndef KVR_WORDS_H
#define KVR_WORDS_H

#include "kvr_base.h"

#include <pthread.h>

enum kvr_words_of {
	KVR_WORDS_LAST,   /* the last error, whatever it was */
	KVR_WORDS_PUT,    /* the last put that was refused */
	KVR_WORDS_FULL,   /* the last put that found no room */
	KVR_WORDS_AWAY,   /* the last key whose node, one of many, was away */
	KVR_WORDS_CANARY, /* the canary's last failure */
	KVR_WORDS_N
};

enum { KVR_WORDS_ERRS = 32, KVR_WORDS_VERBS = 8, KVR_WORDS_LEN = 112 };
struct kvr_stats_words;
struct kvr_words {
	pthread_mutex_t lock;
	char            text[KVR_WORDS_N][KVR_WORDS_LEN];
	int32_t         err;   /* what the last ones are about */
	uint64_t        at_ns; /* when they were said */
	/* When each error was last logged; the row of PING: ends of connections. */
	uint64_t        logged_ns[KVR_WORDS_VERBS][KVR_WORDS_ERRS];
	struct kvr_stats_words *shown; /* a copy of each text for other processes; NULL: none */
};
/* The last ones. */
void kvr_words_set(struct kvr_words *, int32_t err, const char *text);
/* ret_err and ret_at_ns may be NULL. */
void kvr_words_get(
    struct kvr_words *, char *ret, size_t cap, int32_t *ret_err, uint64_t *ret_at_ns);
/* Those of something that goes on for a while. */
void kvr_words_keep(struct kvr_words *, enum kvr_words_of, const char *text);
void kvr_words_kept(struct kvr_words *, enum kvr_words_of, char *ret, size_t cap);

#endif
