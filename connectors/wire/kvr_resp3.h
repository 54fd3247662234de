/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP3 as far as a connection needs it that has said HELLO 3: nil has a type of its own, an error
 * may come as a bulk, and what nobody asked for (pushes, attributes) may stand between replies and
 * is read over. All other types would answer commands that are not sent here.
 *
 * Written here and not left to hiredis, for the one of Debian 12 takes no type of RESP3.
 */
#ifndef KVR_RESP3_H
#define KVR_RESP3_H

#include "kvr_resp.h"

#define KVR_RESP3_TEXT 112U

/* As kvr_resp_read. The text of an error that comes as a bulk is put into room, and cut there. */
KVR_MUST_USE enum kvr_err kvr_resp3_read(
    struct kvr_sock *s, char room[KVR_RESP3_TEXT], struct kvr_resp *ret);

/*
 * HELLO 3, with AUTH when there is a password; a server that is asked for RESP3 by a user of RESP2
 * needs both in one command. KVR_OK: ret_error is empty, or has the server's words, cut.
 */
KVR_MUST_USE enum kvr_err kvr_resp3_hello(
    struct kvr_sock *s, const char *user, const char *password, char *ret_error, size_t error_cap);

#endif
