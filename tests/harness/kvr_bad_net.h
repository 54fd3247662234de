/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad network between any number of clients and a server on loopback. Its mode holds for all
 * connections, those that are open included, and may change at any time. Faults happen to what the
 * server sends; kvr_fault_proxy.h has the exact positions, this one has the many connections.
 */
#ifndef KVR_HARNESS_BAD_NET_H
#define KVR_HARNESS_BAD_NET_H

#include <stdint.h>

enum kvr_net_mode {
	KVR_NET_PASS,
	KVR_NET_BLACKHOLE, /* accepts, takes what is sent, never answers */
	KVR_NET_DRIP,      /* one byte of the server every 100 ms */
	KVR_NET_RESET,     /* RST behind the first `at` bytes of a connection from now on */
	KVR_NET_CUT,       /* closes there in order */
	KVR_NET_FLIP,      /* one bit of every at-th byte */
	KVR_NET_SCRIPT     /* what the time line says: kvr_bad_net_script */
};

struct kvr_bad_net;

struct kvr_bad_net *kvr_bad_net_start(uint16_t server_port);
const char *kvr_bad_net_url(const struct kvr_bad_net *); /* redis://127.0.0.1:port */
void kvr_bad_net_mode(struct kvr_bad_net *, enum kvr_net_mode, uint64_t at);
/*
 * From now on a time line as in connectors/wire/kvr_fault_script.h, without "on": there are no
 * operations here. What it says of batches happens to what the server sends at once, of values to
 * the same bytes, of keys to commands. 0: the script is wrong, and a line on stderr says where.
 */
int kvr_bad_net_script(struct kvr_bad_net *, const char *text);
/* Connections that were accepted so far. */
uint64_t kvr_bad_net_accepted(struct kvr_bad_net *);
void kvr_bad_net_stop(struct kvr_bad_net *take);

#endif
