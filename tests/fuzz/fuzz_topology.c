/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers may say of a deployment. The first byte says what was asked: CLUSTER SLOTS, a
 * command that was redirected, the sentinels for a master or for replicas, ROLE, or what doctor
 * asks.
 *
 * A map that is taken has no hole in it: every slot names a node that is there, or none. A host
 * that is taken has a printable name and a port, and is taken again when it is said anew. An error
 * has a sentence.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvr_fuzz.h"
#include "kvr_redis.h"
#include "kvr_sentinel.h"
#include "kvr_topology.h"

enum { SLOTS, REDIRECT, MASTER, REPLICAS, ROLE, DOCTOR, N };

#define TEXT(len, text) "$" #len "\r\n" text "\r\n"
#define REPLICA TEXT(2, "ip") TEXT(9, "127.0.0.1") TEXT(4, "port") TEXT(4, "6380") TEXT(5, "flags") \
	TEXT(5, "slave") TEXT(18, "master-link-status") TEXT(2, "ok")

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const struct {
		uint8_t asked;
		const char *said;
	} seeds[] = {
		{ SLOTS, "*1\r\n*4\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n"
		         "*4\r\n$9\r\n127.0.0.1\r\n:7002\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\n"
		         "h\r\n" },
		{ SLOTS, "*2\r\n*3\r\n:0\r\n:1\r\n*2\r\n$0\r\n\r\n:1\r\n*3\r\n:9\r\n:9\r\n*2\r\n"
		         "$-1\r\n:2\r\n" },
		{ SLOTS, "-ERR This instance has cluster support disabled\r\n" },
		{ REDIRECT, "-MOVED 3999 127.0.0.1:6381" },
		{ REDIRECT, "-ASK 16383 2001:db8::1:7000" },
		{ REDIRECT, "-MOVED 0 :6381" },
		{ MASTER, "*2\r\n" TEXT(9, "127.0.0.1") TEXT(4, "6379") },
		{ MASTER, "*-1\r\n" },
		{ REPLICAS, "*2\r\n*8\r\n" REPLICA "*9\r\n" REPLICA TEXT(1, "x") },
		{ REPLICAS, "*2\r\n%4\r\n" REPLICA "%0\r\n" },
		{ ROLE, "*3\r\n" TEXT(6, "master") ":17\r\n*1\r\n*3\r\n" TEXT(1, "h") TEXT(1, "1")
		            TEXT(1, "0") },
		{ ROLE + N, "*5\r\n" TEXT(5, "slave") TEXT(1, "h") ":1\r\n" TEXT(9, "connected") ":3\r\n" },
		{ DOCTOR + 2 * N, "$91\r\nredis_version:7.0.15\r\nrole:slave\r\nloading:1\r\nmaxmemory:9\r\n"
		          "used_memory:9\r\ncluster_enabled:1\r\r\n*2\r\n" TEXT(18, "proto-max-bulk-len")
		              TEXT(9, "536870912") "$43\r\ncluster_slots_ok:16384\r\n"
		                                   "cluster_state:ok\r\nx\r\n" },
		{ DOCTOR + 3 * N, "$86\r\nvalkey_version:8.1\r\nmem_allocator:jemalloc-5\r\nmaxmemory_policy:"
		          "noeviction\r\nmaxmemory:\r\r\n-NOPERM no\r\n" },
	};
	if (i >= KVR_LEN(seeds))
		return 0;
	ret[0] = seeds[i].asked;
	memcpy(ret + 1, seeds[i].said, strlen(seeds[i].said));
	return 1 + strlen(seeds[i].said);
}

/* A stream from which that can be read, and no more; the other end of it. */
static int
listen_to(struct kvr_sock *s, const void *at, size_t len)
{
	int pair[2];

	KVR_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	KVR_CHECK(len == 0 || write(pair[1], at, len) == (ssize_t)len);
	shutdown(pair[1], SHUT_WR);
	kvr_stream_take(s, pair[0], NULL);
	(void)!kvr_stream_begin(s, kvr_now_ns() + KVR_SEC(20), KVR_STREAM_AHEAD);
	return pair[1];
}

static void
is_explained(const struct kvr_sock *s, enum kvr_err err)
{
	KVR_CHECK(err == KVR_OK || s->err == (int32_t)err);
	KVR_CHECK(err == KVR_OK || s->why[0] != '\0');
}

static void
is_host(const struct kvr_url_host *h)
{
	size_t len = strnlen(h->name, sizeof(h->name));

	KVR_CHECK(h->port > 0 && len > 0 && len < sizeof(h->name));
	for (size_t i = 0; i < len; i++)
		KVR_CHECK(isprint((unsigned char)h->name[i]));
}

/* ---- clusters ---- */

static void
read_map(const uint8_t *at, size_t len)
{
	static const struct kvr_url_host self = { "self", 1 };
	static struct kvr_topology t;
	static struct kvr_sock s;
	int far = listen_to(&s, at, len);
	enum kvr_err err = kvr_topology_ask(&s, &self, &t);

	is_explained(&s, err);
	if (err == KVR_OK) {
		KVR_CHECK(t.n_nodes > 0 && t.n_nodes <= KVR_NODES_MAX);
		for (uint32_t i = 0; i < KVR_SLOTS; i++)
			KVR_CHECK(t.of[i] == KVR_NO_NODE || t.of[i] < t.n_nodes);
		for (uint32_t i = 0; i < t.n_nodes; i++) {
			is_host(&t.node[i]);
			if (t.replica[i].port > 0)
				is_host(&t.replica[i]);
		}
	}
	kvr_stream_hang_up(&s);
	close(far);
}

static void
read_redirect(const uint8_t *at, size_t len)
{
	struct kvr_resp r;
	struct kvr_redirect to, again;
	char text[400];

	if (!kvr_resp_parse(at, len, &r) || !kvr_redirect_parse(&r, &to))
		return;
	KVR_CHECK(r.kind == KVR_RESP_ERROR && to.slot < KVR_SLOTS && to.to.port > 0);
	KVR_CHECK(strlen(to.to.name) < sizeof(to.to.name));
	size_t n = (size_t)snprintf(text, sizeof(text), "-%s %u %s:%u", to.asks ? "ASK" : "MOVED",
	    (unsigned)to.slot, to.to.name, (unsigned)to.to.port);
	KVR_CHECK(kvr_resp_parse(text, n, &r) && kvr_redirect_parse(&r, &again));
	KVR_CHECK(again.asks == to.asks && again.slot == to.slot && again.to.port == to.to.port);
	KVR_CHECK(strcmp(again.to.name, to.to.name) == 0);
}

/* ---- sentinels ---- */

static enum kvr_err
read_answer(kvr_sentinel_reader *read, const void *at, size_t len, void *ret)
{
	static struct kvr_sock s;
	int far = listen_to(&s, at, len);
	enum kvr_err err = read(&s, "service", ret);

	is_explained(&s, err);
	kvr_stream_hang_up(&s);
	close(far);
	return err;
}

static void
read_master(const uint8_t *at, size_t len)
{
	struct kvr_url_host h = { .port = 0 }, again = { .port = 0 };
	char text[400], port[8];

	if (read_answer(kvr_sentinel_master, at, len, &h) != KVR_OK)
		return;
	is_host(&h);
	snprintf(port, sizeof(port), "%u", (unsigned)h.port);
	size_t n = (size_t)snprintf(text, sizeof(text), "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
	    strlen(h.name), h.name, strlen(port), port);
	KVR_CHECK(read_answer(kvr_sentinel_master, text, n, &again) == KVR_OK);
	KVR_CHECK(again.port == h.port && strcmp(again.name, h.name) == 0);
}

static void
read_replicas(const uint8_t *at, size_t len)
{
	struct kvr_sentinel_replicas found = { .n = 0 };

	if (read_answer(kvr_sentinel_replicas, at, len, &found) != KVR_OK)
		return;
	KVR_CHECK(found.n > 0 && found.n <= KVR_URL_HOSTS_MAX);
	for (uint32_t i = 0; i < found.n; i++)
		is_host(&found.at[i]);
}

static void
read_role(const uint8_t *at, size_t len)
{
	static struct kvr_sock s;
	int far = listen_to(&s, at + 1, len - 1);

	is_explained(&s, kvr_redis_role(&s, at[0] / N % 2 == 0 ? "master" : "slave"));
	kvr_stream_hang_up(&s);
	close(far);
}

/* ---- doctor ---- */

static void
found(void *n, const struct kvr_finding *f)
{
	KVR_CHECK(f->topic != NULL && f->text[0] != '\0' && f->level <= KVR_FOUND_FAIL);
	KVR_CHECK(f->level == KVR_FOUND_OK || (f->advice != NULL && f->advice[0] != '\0'));
	++*(uint32_t *)n;
}

static void
read_for_doctor(const uint8_t *at, size_t len)
{
	static struct kvr_store store = { .rules = { .format = KVR_FORMAT_SEALED } };
	static struct kvr_connector c;
	uint32_t n = 0, how = at[0] / N;
	const struct kvr_examination e = { .until_ns = kvr_now_ns() + KVR_SEC(20),
		.slot_bytes = how & 1 ? 5 << 20 : 0,
		.writes = (how & 2) != 0,
		.expires = (how & 4) != 0,
		.found = found,
		.arg = &n };

	c.store = &store;
	store.resp3 = (how & 8) != 0;
	int far = listen_to(&c.s, at + 1, len - 1);

	kvr_redis_examine(&store, &c, &e);
	/* At least that it says nothing, and each thing once. */
	KVR_CHECK(n > 0 && n < 12);
	kvr_stream_hang_up(&c.s);
	close(far);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static void (*const read[N])(const uint8_t *at, size_t len) = { [SLOTS] = read_map,
		[REDIRECT] = read_redirect, [MASTER] = read_master, [REPLICAS] = read_replicas,
		[ROLE] = read_role, [DOCTOR] = read_for_doctor };

	if (len < 2)
		return 0;
	(void)kvr_slot_of((const char *)at, len);
	/* ROLE and doctor: the same byte chooses what else is known. */
	uint32_t asked = at[0] % N;
	size_t from = asked >= ROLE ? 0 : 1;

	read[asked](at + from, len - from);
	return 0;
}
