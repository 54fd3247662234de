/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control commands (AUTH, SELECT, PING): one at a time, formatted and parsed by hiredis, sent over
 * our own stream. Only kvr_control.c includes hiredis, and it never uses redisContext, which does
 * its own connecting, waiting and buffering.
 */
#ifndef KVR_CONTROL_H
#define KVR_CONTROL_H

#include "kvr_resp.h"

/* A control reply is one word; anything longer than this is not one. */
#define KVR_CONTROL_REPLY_MAX 8192U

struct kvr_control {
	enum kvr_resp_kind kind; /* never an array */
	int64_t n;               /* INTEGER */
	char    text[160];       /* STATUS, ERROR, BULK; truncated to fit */
};

/*
 * Sends argc words and waits for the reply. An error reply is KVR_OK with kind ERROR. PROTO also if
 * more bytes arrive than were asked for.
 */
KVR_MUST_USE enum kvr_err kvr_control(
    struct kvr_sock *s, uint32_t argc, const char *const *argv, struct kvr_control *ret);
/* The version of hiredis that this was compiled with; hiredis does not report one at run time. */
const char *kvr_control_library(void);

#endif
