/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the nodes of a cluster say of it: which of them has which hash slot (CLUSTER SLOTS), and
 * where a single key is to be asked for (MOVED, ASK).
 *
 * Not CLUSTER SHARDS, though Redis calls SLOTS deprecated since 7.0: every version from 3 on answers
 * SLOTS (Redis 8 and Valkey, which has taken the deprecation back, too), and it names the port that
 * is meant for a connection of the asker's kind, plain or TLS, and leaves out replicas that are
 * down. SHARDS exists from 7.0 on only and leaves both to the client. A server without SLOTS would
 * say so in an error, which doctor and the log show.
 */
#ifndef KVR_TOPOLOGY_H
#define KVR_TOPOLOGY_H

#include "kvr_resp.h"
#include "kvr_url.h"

#define KVR_SLOTS     16384U
#define KVR_NODES_MAX 32U /* masters of one cluster */
#define KVR_NO_NODE   0xffU

struct kvr_topology {
	uint32_t turn; /* in: which replica of each master is wanted, counted round */
	uint32_t n_nodes;
	struct kvr_url_host node[KVR_NODES_MAX];
	struct kvr_url_host replica[KVR_NODES_MAX]; /* of that node; port 0: it has none */
	uint8_t of[KVR_SLOTS]; /* index of the slot's node; KVR_NO_NODE: nobody has it */
};

/*
 * The hash slot of a key: CRC-16 (XMODEM) of what stands between the first '{' and the '}' after
 * it, or of all of it when nothing stands there.
 */
uint16_t kvr_slot_of(const char *key, size_t len);

/*
 * Asks a server for CLUSTER SLOTS. self: what it was dialed as, for a node may leave out its own
 * host. An answer that cannot be used ends the stream: CONFIG (it is no cluster, or too large a
 * one), PROTO. Of ret nothing counts then.
 */
KVR_MUST_USE enum kvr_err kvr_topology_ask(
    struct kvr_sock *, const struct kvr_url_host *self, struct kvr_topology *ret);

struct kvr_redirect {
	bool asks; /* ASK; else MOVED */
	uint16_t slot;
	struct kvr_url_host to; /* name "": the host that said it */
};

/* False: the error reply is neither MOVED nor ASK, or names no place. */
bool kvr_redirect_parse(const struct kvr_resp *, struct kvr_redirect *ret);

#endif
