/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the nodes of a cluster say about it: which node has which hash slot (CLUSTER SLOTS), and
 * where to ask for a single key (MOVED, ASK).
 *
 * CLUSTER SHARDS is not used, although Redis calls SLOTS deprecated since 7.0. Every version from 3
 * on answers SLOTS (also Redis 8, and Valkey, which has withdrawn the deprecation). SLOTS names the
 * port for a connection of the asker's kind, plain or TLS, and leaves out replicas that are down.
 * SHARDS exists only from 7.0 on and leaves both to the client. A server without SLOTS would return
 * an error, which doctor and the log show.
 */
#ifndef KVR_TOPOLOGY_H
#define KVR_TOPOLOGY_H

#include "kvr_resp.h"
#include "kvr_url.h"

#define KVR_SLOTS     16384U
#define KVR_NODES_MAX 32U /* masters of one cluster */
#define KVR_NO_NODE   0xffU

struct kvr_topology {
	uint32_t turn; /* in: which replica of each master is wanted, modulo their number */
	uint32_t n_nodes;
	struct kvr_url_host node[KVR_NODES_MAX];
	struct kvr_url_host replica[KVR_NODES_MAX]; /* of that node; port 0: it has none */
	uint8_t of[KVR_SLOTS]; /* index of the slot's node; KVR_NO_NODE: no node has it */
};

/*
 * The hash slot of a key: CRC-16 (XMODEM) of the text between the first '{' and the '}' after it,
 * or of the whole key if that text is empty or missing.
 */
uint16_t kvr_slot_of(const char *key, size_t len);

/*
 * Asks a server for CLUSTER SLOTS. self: the address that was dialed, because a node may leave out
 * its own host. An unusable answer ends the stream: CONFIG (not a cluster, or too large), PROTO;
 * ret then means nothing.
 */
KVR_MUST_USE enum kvr_err kvr_topology_ask(
    struct kvr_sock *, const struct kvr_url_host *self, struct kvr_topology *ret);

struct kvr_redirect {
	bool asks; /* ASK; otherwise MOVED */
	uint16_t slot;
	struct kvr_url_host to; /* name "": the host that sent the redirection */
};

/* False: the error reply is neither MOVED nor ASK, or names no address. */
bool kvr_redirect_parse(const struct kvr_resp *, struct kvr_redirect *ret);

#endif
