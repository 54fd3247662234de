/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between a client and a server on loopback, one connection at a time, and does to the bytes
 * that the server sends what a bad network does: stops them, ends them, changes one. Positions
 * count from the first byte of the server on the current connection.
 */
#ifndef KVR_HARNESS_FAULT_PROXY_H
#define KVR_HARNESS_FAULT_PROXY_H

#include <stdint.h>

struct kvr_fault_proxy;

#define KVR_FAULT_NEVER UINT64_MAX

struct kvr_fault_proxy *kvr_fault_proxy_start(uint16_t server_port);
const char             *kvr_fault_proxy_url(const struct kvr_fault_proxy *); /* redis://... */
void                    kvr_fault_proxy_stop(struct kvr_fault_proxy *take);

/* For the connections that are opened from now on. */
void kvr_fault_proxy_cut_at(struct kvr_fault_proxy *, uint64_t at);  /* closes behind it */
void kvr_fault_proxy_flip_at(struct kvr_fault_proxy *, uint64_t at); /* one bit of that byte */
void kvr_fault_proxy_hold_at(struct kvr_fault_proxy *, uint64_t at); /* stops until let_go */

void kvr_fault_proxy_wait_held(struct kvr_fault_proxy *); /* until it has come to hold_at */
void kvr_fault_proxy_let_go(struct kvr_fault_proxy *);

/* Bytes that the server has sent on the last connection. */
uint64_t kvr_fault_proxy_sent(struct kvr_fault_proxy *);

#endif
