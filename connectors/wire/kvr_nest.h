/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies with parts inside (ROLE, SENTINEL, CLUSTER SLOTS), read part by part as they come.
 * Nothing is allocated, so what a peer claims to send costs nothing until it sends it. A RESP3
 * server sends some of them as maps; here a map of n pairs is an ARRAY of 2 n parts.
 */
#ifndef KVR_NEST_H
#define KVR_NEST_H

#include "kvr_resp.h"

#define KVR_NEST_TEXT_MAX 255U /* a host name of a DNS fits, and so does an error's sentence */
/* No cluster has so many; beyond it the peer is taken for one that never ends. */
#define KVR_NEST_PARTS_MAX 1048576U

struct kvr_nest_part {
	enum kvr_resp_kind kind;
	int64_t n;         /* INTEGER: itself; BULK: its length; ARRAY: parts that follow */
	uint32_t text_len; /* of STATUS, ERROR and BULK; what does not fit is cut off */
	char text[KVR_NEST_TEXT_MAX + 1]; /* bytes that are no text are shown as '?' */
};

/* Sends a command of text words. */
KVR_MUST_USE enum kvr_err kvr_nest_ask(struct kvr_sock *s, uint32_t argc, const char *const *argv);
/* One part: a whole one, or the head of an array. */
KVR_MUST_USE enum kvr_err kvr_nest_next(struct kvr_sock *s, struct kvr_nest_part *ret);
/* All that belongs to a part that was read. */
KVR_MUST_USE enum kvr_err kvr_nest_skip(struct kvr_sock *s, const struct kvr_nest_part *head);
/* The next n parts, each with all that belongs to it. */
KVR_MUST_USE enum kvr_err kvr_nest_skip_n(struct kvr_sock *s, int64_t n);

#endif
