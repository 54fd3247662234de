/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP3 as far as a connection needs it after HELLO 3: nil has its own type, an error may come as a
 * bulk, and data that nobody asked for (pushes, attributes) may come between replies and is
 * skipped. All other types answer commands that are never sent here.
 *
 * hiredis is not used for this because Debian 12's version accepts no RESP3 types.
 */
#ifndef KVR_RESP3_H
#define KVR_RESP3_H

#include "kvr_resp.h"

#define KVR_RESP3_TEXT 112U

/*
 * Like kvr_resp_read. The text of an error that comes as a bulk is put into room, truncated to fit.
 */
KVR_MUST_USE enum kvr_err kvr_resp3_read(
    struct kvr_sock *s, char room[KVR_RESP3_TEXT], struct kvr_resp *ret);

/*
 * HELLO 3, with AUTH if there is a password: a server that demands one refuses HELLO alone. KVR_OK:
 * ret_error is empty, or has the server's error, truncated.
 */
KVR_MUST_USE enum kvr_err kvr_resp3_hello(
    struct kvr_sock *s, const char *user, const char *password, char *ret_error, size_t error_cap);

#endif
