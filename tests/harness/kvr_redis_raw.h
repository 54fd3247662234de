/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plainest client that can speak to a Redis server: a socket and nothing of the library, so
 * that a test can look at what the library has stored, and store what it should read. Every wait
 * is bounded; whatever goes wrong ends the test with a message.
 */
#ifndef KVR_HARNESS_REDIS_RAW_H
#define KVR_HARNESS_REDIS_RAW_H

#include <stddef.h>
#include <stdint.h>

struct kvr_raw;

struct kvr_raw *kvr_raw_open(uint16_t port, const char *password); /* NULL: none */
void            kvr_raw_close(struct kvr_raw *take);

/* Of the last command, good until the next one. */
struct kvr_raw_reply {
	char    kind;  /* '+', '-', ':', '$', or '0' for nil */
	int64_t n;     /* of ':' */
	size_t  len;   /* of '+', '-' and '$' */
	const uint8_t *bytes; /* with a NUL behind them */
};

/* Words of any bytes. */
struct kvr_raw_word {
	const void *at;
	size_t      len;
};
struct kvr_raw_reply kvr_raw_words(struct kvr_raw *, const struct kvr_raw_word *, size_t n);
/* Words without NUL, blanks separate them: kvr_raw(raw, "CONFIG SET maxmemory 1mb"). */
struct kvr_raw_reply kvr_raw(struct kvr_raw *, const char *line);

/* One more reply, of a command that has several: MONITOR. */
struct kvr_raw_reply kvr_raw_more(struct kvr_raw *);

struct kvr_raw_reply kvr_raw_get(struct kvr_raw *, const char *key);
void                 kvr_raw_set(struct kvr_raw *, const char *key, const void *at, size_t len);

#endif
