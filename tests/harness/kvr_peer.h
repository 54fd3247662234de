/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that plays a script on a loopback port: for each connection in turn it waits for bytes,
 * sends bytes, stalls or closes, exactly as told. It runs in a thread of its own and ends with
 * kvr_peer_stop, whatever it is doing.
 */
#ifndef KVR_HARNESS_PEER_H
#define KVR_HARNESS_PEER_H

#include <stddef.h>
#include <stdint.h>

enum kvr_peer_do {
	KVR_PEER_AWAIT, /* until text has been seen in what came since the last AWAIT */
	KVR_PEER_SEND,  /* len bytes of text */
	KVR_PEER_FILL,  /* len times the first byte of text */
	KVR_PEER_STALL, /* reads and sends nothing until the other side closes or stop */
	KVR_PEER_CLOSE, /* and accepts the next connection */
	KVR_PEER_RESET  /* closes with RST */
};

struct kvr_peer_act {
	enum kvr_peer_do what;
	const char      *text;
	size_t           len; /* 0: strlen(text) */
};

struct kvr_peer;

/* acts must outlive the peer. After the last act the connection is closed. */
struct kvr_peer *kvr_peer_start(const struct kvr_peer_act *acts, size_t n);
uint16_t         kvr_peer_port(const struct kvr_peer *);
const char      *kvr_peer_url(const struct kvr_peer *); /* redis://127.0.0.1:port */
/* Blocks until the script has reached act number nth. */
void             kvr_peer_wait(struct kvr_peer *, size_t nth);
void             kvr_peer_stop(struct kvr_peer *take);

#endif
