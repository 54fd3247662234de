/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the nodes of a cluster may say of it: a reply to CLUSTER SLOTS, or the text of an error
 * reply that may be a redirection. The first byte says which. A map that is taken has no hole in
 * it: every slot names a node that is there, or none.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvr_fuzz.h"
#include "kvr_topology.h"

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const char *const seeds[] = {
		"0*1\r\n*4\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n"
		"*4\r\n$9\r\n127.0.0.1\r\n:7002\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\nh\r\n",
		"0*2\r\n*3\r\n:0\r\n:1\r\n*2\r\n$0\r\n\r\n:1\r\n*3\r\n:9\r\n:9\r\n*2\r\n$-1\r\n:"
		"2\r\n",
		"0-ERR This instance has cluster support disabled\r\n",
		"1-MOVED 3999 127.0.0.1:6381", "1-ASK 16383 2001:db8::1:7000", "1-MOVED 0 :6381"
	};
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

static void
read_map(const uint8_t *at, size_t len)
{
	static const struct kvr_url_host self = { "self", 1 };
	static struct kvr_topology t;
	static struct kvr_sock s;
	int pair[2];
	KVR_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	if (len > 0)
		KVR_CHECK(write(pair[1], at, len) == (ssize_t)len);
	shutdown(pair[1], SHUT_WR);
	kvr_stream_take(&s, pair[0], NULL);
	(void)!kvr_stream_begin(&s, kvr_now_ns() + KVR_SEC(20), KVR_STREAM_AHEAD);
	enum kvr_err err = kvr_topology_ask(&s, &self, &t);
	KVR_CHECK(err == KVR_OK || s.err == (int32_t)err);
	KVR_CHECK(err == KVR_OK || s.why[0] != '\0');
	if (err == KVR_OK) {
		KVR_CHECK(t.n_nodes > 0 && t.n_nodes <= KVR_NODES_MAX);
		for (uint32_t i = 0; i < KVR_SLOTS; i++)
			KVR_CHECK(t.of[i] == KVR_NO_NODE || t.of[i] < t.n_nodes);
		for (uint32_t i = 0; i < t.n_nodes; i++)
			KVR_CHECK(t.node[i].port > 0 &&
			          memchr(t.node[i].name, 0, sizeof(t.node[i].name)) != NULL);
	}
	kvr_stream_hang_up(&s);
	close(pair[1]);
}

static void
read_redirect(const uint8_t *at, size_t len)
{
	struct kvr_resp r;
	struct kvr_redirect to;
	if (!kvr_resp_parse(at, len, &r) || !kvr_redirect_parse(&r, &to))
		return;
	KVR_CHECK(r.kind == KVR_RESP_ERROR && to.slot < KVR_SLOTS && to.to.port > 0);
	KVR_CHECK(strlen(to.to.name) < sizeof(to.to.name));
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	if (len == 0)
		return 0;
	if (at[0] % 2 == 0)
		read_map(at + 1, len - 1);
	else
		read_redirect(at + 1, len - 1);
	(void)kvr_slot_of((const char *)at, len);
	return 0;
}
