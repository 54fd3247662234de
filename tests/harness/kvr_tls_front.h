/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS in front of a server that speaks none: takes connections on a loopback port of its own, and
 * hands their plain bytes on to the server's. A thread for each connection, in this process.
 * A function that cannot do its work ends the program with a message.
 */
#ifndef KVR_HARNESS_TLS_FRONT_H
#define KVR_HARNESS_TLS_FRONT_H

#include <stdint.h>

struct kvr_tls_front;

/* PEM files. clients: the authority that has to have signed theirs; NULL: they need none. */
struct kvr_tls_front *kvr_tls_front_start(
    uint16_t server_port, const char *cert, const char *key, const char *clients);
uint16_t kvr_tls_front_port(const struct kvr_tls_front *);
/* Connections whose handshake was good. */
uint32_t kvr_tls_front_served(const struct kvr_tls_front *);
/* Ends all connections. NULL is fine. */
void kvr_tls_front_stop(struct kvr_tls_front *take);

#endif
