/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of the lm:// protocol on a free loopback port: a thread per connection, values in memory
 * until stop. It does what LMCache's server was seen to do, its faults included:
 *
 *   - a put is not answered, neither is LIST;
 *   - a key or a dtype that cannot be read closes the connection, also that of a HEALTH;
 *   - a connection that ends (not: is reset) inside a payload leaves a value without bytes, which
 *     EXIST confirms and which closes the connection of whoever gets it.
 *
 * Whatever LMCache's client never sends is a deviation, also where its server takes it: the number
 * of them is kept, and the first one in words.
 */
#ifndef KVR_HARNESS_LM_SERVER_H
#define KVR_HARNESS_LM_SERVER_H

#include <stddef.h>
#include <stdint.h>

struct kvr_lm_server;

struct kvr_lm_server *kvr_lm_server_start(void);
/* Ends every connection. NULL is fine. */
void kvr_lm_server_stop(struct kvr_lm_server *take);

uint16_t    kvr_lm_server_port(const struct kvr_lm_server *);
const char *kvr_lm_server_url(const struct kvr_lm_server *); /* lm://127.0.0.1:port */

struct kvr_lm_count {
	uint32_t connections, requests, puts;
	uint32_t broken;  /* values without bytes */
	uint32_t resets;  /* connections that were reset */
	uint32_t ends;    /* connections that the client closed */
	uint32_t deviations;
	char     first_deviation[160];
};

/* Waits until n connections in all are over, so that what they left can be looked at. */
void kvr_lm_server_wait_over(struct kvr_lm_server *, uint32_t n);
struct kvr_lm_count kvr_lm_server_count(struct kvr_lm_server *);

/* The bytes that came and went since the last call with rewind, over all connections. */
size_t kvr_lm_server_came(struct kvr_lm_server *, const uint8_t **ret);
size_t kvr_lm_server_went(struct kvr_lm_server *, const uint8_t **ret);
void   kvr_lm_server_rewind(struct kvr_lm_server *);

/* From now on: stops reading behind so many bytes of a payload, until let_go or stop. */
void kvr_lm_server_hold_at(struct kvr_lm_server *, uint64_t payload_bytes);
void kvr_lm_server_wait_held(struct kvr_lm_server *);
void kvr_lm_server_let_go(struct kvr_lm_server *);

/* From now on: forgets what is put, as a server that drops values would. */
void kvr_lm_server_forget(struct kvr_lm_server *, int on);

#endif
