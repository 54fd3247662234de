/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's own server, lm://host:port. Signed 32-bit little-endian numbers without gaps:
 *
 *   request, 186 bytes      answer, 36 bytes
 *     0  command              0  200: yes, 400: no
 *     4  payload bytes        4  payload bytes
 *     8  memory format        8  memory format
 *    12  dtype               12  dtype
 *    16  location, 0         16  four dims
 *    20  four dims           32  location
 *    36  key, 150 bytes, padded with spaces
 *
 * Bytes 4 to 32 of an answer are an LMCache header as in other stores. Payload follows a PUT and a
 * GET's answer of 200. Answers come in the order of the requests, so requests may be sent without
 * waiting. A PUT has no answer, which is why an EXIST follows each (lm_batch.c). LIST is never
 * answered and so never sent. There is no command that deletes.
 */
#ifndef KVR_LM_H
#define KVR_LM_H

#include "kvr_frame.h"
#include "kvr_stream.h"

#define KVR_LM_KEY_MAX 150U
#define KVR_LM_ASK_LEN (36U + KVR_LM_KEY_MAX)
#define KVR_LM_TELL_LEN 36U
#define KVR_LM_HEAD_LEN 28U

enum kvr_lm_command {
	KVR_LM_PUT = 1,
	KVR_LM_GET = 2,
	KVR_LM_EXIST = 3,
	KVR_LM_HEALTH = 5
};

struct kvr_store {
	uint32_t magic;
	uint16_t port;
	uint16_t prefix_len;
	uint64_t connect_ns, window_bytes;
	struct kvr_frame_rules rules;
	char prefix[KVR_LM_KEY_MAX + 1];
	char host[256];
	char where[320]; /* for messages */
};

struct kvr_connector {
	uint32_t magic;
	uint32_t spare;
	struct kvr_store *store;
	uint8_t *scratch;
	struct kvr_frame frame;
	char why[256];
	struct kvr_sock s;
};

/* ---- lm_message.c ---- */

/* head: an LMCache header of one group; NULL: the header that verbs without payload send. */
void kvr_lm_ask(uint8_t ret[KVR_LM_ASK_LEN], enum kvr_lm_command, const uint8_t *head,
    struct kvr_const_span prefix, struct kvr_const_span key);

struct kvr_lm_tell {
	bool    yes;
	uint8_t head[KVR_LM_HEAD_LEN];
	uint64_t len; /* payload bytes that follow, after a GET's yes */
};

/* ahead: see kvr_stream_read. PROTO as soon as the received bytes cannot be an answer. */
KVR_MUST_USE enum kvr_err kvr_lm_read_tell(
    struct kvr_sock *, size_t ahead, struct kvr_lm_tell *ret);

/* ---- lm_key.c ---- */

/*
 * Whether the server can hold this key, of 1 to KVR_KEY_LEN_MAX bytes. TOO_BIG: prefix and key are
 * longer than 150 bytes. UNSUPPORTED: the server could not decode the key, and would close the
 * connection, or would confuse it with another key. why: a sentence.
 */
enum kvr_err kvr_lm_key(
    const struct kvr_store *, const char *key, uint32_t key_len, const char **why);

/* ---- lm_batch.c ---- */

enum kvr_err kvr_lm_run(
    struct kvr_connector *, enum kvr_verb, struct kvr_item *items, uint32_t n);

/* ---- lm_open.c ---- */

enum kvr_err kvr_lm_open(
    const struct kvr_store_opts *, struct kvr_store **ret, char *why, size_t why_cap);

#endif
