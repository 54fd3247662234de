/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP2 as far as data verbs need it: commands are put into the stream part by part, replies are
 * read head by head, and payload never passes through here.
 *
 * An error reply is a value: the stream stays in step, and kvr_resp_error returns what it means.
 */
#ifndef KVR_RESP_H
#define KVR_RESP_H

#include "kvr_stream.h"

/* More than any server is configured to hold; a greater length is treated as garbage. */
#define KVR_RESP_BULK_MAX (INT64_C(1) << 40)
#define KVR_RESP_ARRAY_MAX INT64_C(1048576)

enum kvr_resp_kind {
	KVR_RESP_STATUS,  /* text */
	KVR_RESP_ERROR,   /* text */
	KVR_RESP_INTEGER, /* n */
	KVR_RESP_BULK,    /* n bytes and CR LF follow */
	KVR_RESP_NIL,     /* of a bulk or an array */
	KVR_RESP_ARRAY    /* n replies follow */
};

struct kvr_resp {
	enum kvr_resp_kind kind;
	int64_t     n;
	const char *text; /* points into the line: valid until the next read */
	size_t      text_len;
};

/* line is one line without CR LF. False: not RESP2. */
bool kvr_resp_parse(const void *line, size_t len, struct kvr_resp *ret);

/*
 * The error code for an error reply. NOSPACE: OOM. AUTH: NOAUTH, WRONGPASS, NOPERM, DENIED. LENGTH:
 * WRONGTYPE, because what is stored under that key is not a string of ours; REFUSED would count
 * against the whole store, and one odd key must not open its breaker. REFUSED: everything else,
 * including LOADING, READONLY, BUSY, MASTERDOWN, MOVED, ASK, CLUSTERDOWN, TRYAGAIN.
 */
int32_t kvr_resp_error(const char *text, size_t len);

/* Whether it is an error reply that begins with this word. */
bool kvr_resp_is_code(const struct kvr_resp *, const char *code);

/* PROTO ends the stream; every well-formed reply is KVR_OK. */
KVR_MUST_USE enum kvr_err kvr_resp_read(struct kvr_sock *s, struct kvr_resp *ret);
/* The same for a line that was already read. */
KVR_MUST_USE enum kvr_err kvr_resp_of(
    struct kvr_sock *s, const struct kvr_const_span *line, struct kvr_resp *ret);
/* Reads the CR LF after a bulk. */
KVR_MUST_USE enum kvr_err kvr_resp_bulk_end(struct kvr_sock *s);

/* Writes the head of a command with argc parts, and of one part of len bytes, which must follow. */
KVR_MUST_USE enum kvr_err kvr_resp_put_array(struct kvr_sock *s, uint32_t argc);
KVR_MUST_USE enum kvr_err kvr_resp_put_head(struct kvr_sock *s, uint64_t len);
/* A whole part: head, bytes, CR LF. */
KVR_MUST_USE enum kvr_err kvr_resp_put(struct kvr_sock *s, const void *at, size_t len);
KVR_MUST_USE enum kvr_err kvr_resp_put_number(struct kvr_sock *s, uint64_t number);
/*
 * The beginning of a command, up to the head of its first argument, for callers that build a
 * request before they write it: KVR_RESP_VERB(2, 6, "EXISTS") is "*2\r\n$6\r\nEXISTS\r\n$". All of
 * `at` is copied whatever len is, because a copy of constant size is a few instructions and not a
 * call.
 */
#define KVR_RESP_VERB_MAX 32U
struct kvr_resp_verb {
	char at[KVR_RESP_VERB_MAX];
	uint32_t len;
};
#define KVR_RESP_VERB(argc, verb_len, verb)                                                        \
	{                                                                                          \
		"*" #argc "\r\n$" #verb_len "\r\n" verb "\r\n$",                                   \
		    sizeof("*" #argc "\r\n$" #verb_len "\r\n" verb "\r\n$") - 1 +                  \
		        0 * sizeof(char[sizeof(verb) - 1 == (verb_len) ? 1 : -1])                  \
	}
/*
 * Returns the end of what it wrote: at most KVR_RESP_VERB_ROOM bytes, of which it may overwrite
 * all.
 */
char *kvr_resp_put_verb(char *to, const struct kvr_resp_verb *, uint64_t next_len);
#define KVR_RESP_VERB_ROOM (KVR_RESP_VERB_MAX + 22U)

#endif
