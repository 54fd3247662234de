/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nested replies (ROLE, SENTINEL, CLUSTER SLOTS), read part by part as they arrive. Nothing is
 * allocated, so a peer that announces a huge reply costs nothing until it sends it. A RESP3 server
 * sends some of them as maps; here a map of n pairs is an ARRAY of 2 n parts.
 */
#ifndef KVR_NEST_H
#define KVR_NEST_H

#include "kvr_resp.h"

#define KVR_NEST_TEXT_MAX 255U /* a DNS host name fits, and so does an error's sentence */
/* No cluster needs so many parts; a peer that sends more is assumed never to end. */
#define KVR_NEST_PARTS_MAX 1048576U

struct kvr_nest_part {
	enum kvr_resp_kind kind;
	int64_t n;         /* INTEGER: its value; BULK: its length; ARRAY: parts that follow */
	uint32_t text_len; /* of STATUS, ERROR and BULK, which are truncated if too long */
	char text[KVR_NEST_TEXT_MAX + 1]; /* bytes that are not text are replaced by '?' */
};

/* Sends a command of text words. */
KVR_MUST_USE enum kvr_err kvr_nest_ask(struct kvr_sock *s, uint32_t argc, const char *const *argv);
/* Reads one part: a complete one, or the head of an array. */
KVR_MUST_USE enum kvr_err kvr_nest_next(struct kvr_sock *s, struct kvr_nest_part *ret);
/* Skips everything that belongs to a part that was read. */
KVR_MUST_USE enum kvr_err kvr_nest_skip(struct kvr_sock *s, const struct kvr_nest_part *head);
/* Skips the next n parts, each with everything that belongs to it. */
KVR_MUST_USE enum kvr_err kvr_nest_skip_n(struct kvr_sock *s, int64_t n);

#endif
