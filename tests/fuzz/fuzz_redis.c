/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server may answer to a batch of the Redis connector. The first byte says which verb in
 * which format; the rest is what the server sends. No byte may land behind a span, every item of a
 * batch that ends well has a status, and what a sealed get calls a hit is the value that was put.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvr_fuzz.h"
#include "kvr_redis.h"
#include "kvr_redis_map.h"

enum { ITEMS = 3, LEN = 8, ROOM = 64, GUARD = 0x5A, FORMATS = 11, LARGE = 7 };
/* Two pieces, and beyond what is read whole without a seal. */
#define LARGE_LEN (2 * KVR_REDIS_PIECE)

static const char *const keys[ITEMS] = { "m@1@0@0@half", "m@1@0@1@half", "m@1@0@2@half" };
static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_GET, KVR_VERB_STAT, KVR_VERB_PUT,
	KVR_VERB_DEL };
static _Alignas(64) uint8_t scratch[KVR_FRAME_SCRATCH];

static struct kvr_store stores[FORMATS] = {
	{ .kind = &kvr_redis_kind_redis,
	    .window_bytes = 4096,
	    .rules = { .format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD } },
	{ .kind = &kvr_redis_kind_redis,
	    .window_bytes = 4096,
	    .rules = { .format = KVR_FORMAT_BARE } },
	{ .kind = &kvr_redis_kind_redis,
	    .window_bytes = 4096,
	    .lm_head_len = 28,
	    .rules = { .format = KVR_FORMAT_LMCACHE, .n_groups = 1 } },
	{ .kind = &kvr_redis_kind_redis, .window_bytes = 4096, .resp3 = true, .ttl_ms = 1500,
	    .rules = { .format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD } },
	{ .kind = &kvr_redis_kind_redis, .window_bytes = 4096, .resp3 = true,
	    .rules = { .format = KVR_FORMAT_BARE } },
	/* Nodes of a cluster: with a map, see set_up. */
	{ .kind = &kvr_redis_kind_redis, .window_bytes = 4096,
	    .rules = { .format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD } },
	{ .kind = &kvr_redis_kind_redis,
	    .window_bytes = 4096,
	    .lm_head_len = 28,
	    .rules = { .format = KVR_FORMAT_LMCACHE, .n_groups = 1 } },
	/* LARGE and beyond: there is room for so much that values are asked for in pieces. */
	{ .kind = &kvr_redis_kind_redis,
	    .window_bytes = 4096,
	    .rules = { .format = KVR_FORMAT_SEALED, .seal_head = KVR_SEAL_HEAD } },
	{ .kind = &kvr_redis_kind_redis,
	    .window_bytes = 4096,
	    .rules = { .format = KVR_FORMAT_BARE } },
	{ .kind = &kvr_redis_kind_redis, .window_bytes = 4096, .resp3 = true,
	    .rules = { .format = KVR_FORMAT_BARE } },
	{ .kind = &kvr_redis_kind_redis,
	    .window_bytes = 4096,
	    .lm_head_len = 28,
	    .rules = { .format = KVR_FORMAT_LMCACHE, .n_groups = 1 } },
};
enum { FIRST_NODE = 5 };
static uint8_t room[LARGE_LEN + ROOM];
static const struct kvr_url_host node = { "127.0.0.1", 1 };

__attribute__((constructor)) static void
set_up(void)
{
	for (int i = FIRST_NODE; i < LARGE; i++) {
		stores[i].map = kvr_redis_map_new(&node, 1);
		KVR_CHECK(stores[i].map != NULL);
	}
}

__attribute__((destructor)) static void
clean_up(void)
{
	for (int i = FIRST_NODE; i < LARGE; i++)
		kvr_redis_map_free(stores[i].map);
}

static void
item_of(struct kvr_item *item, uint32_t i, struct kvr_meta *meta, uint8_t *at)
{
	memset(item, 0, sizeof(*item));
	item->key = keys[i];
	item->key_len = (uint32_t)strlen(keys[i]);
	item->meta = meta;
	item->span = (struct kvr_span){ at, LEN };
	item->raw_len = LEN;
	item->flags = i == 1 ? KVR_ITEM_AT_MOST : 0;
	atomic_init(&item->status, KVR_PENDING);
}

static void
payload_of(uint32_t i, uint8_t *ret)
{
	memset(ret, 'a' + (int)i, LEN);
}

/* The three values as a server would send them to a get in the sealed format. */
static size_t
sealed_seed(uint8_t *ret)
{
	struct kvr_meta meta = { 0 };
	struct kvr_frame frame;
	struct kvr_item item;
	uint8_t payload[LEN];
	size_t len = 1;

	ret[0] = 1; /* GET, sealed */
	for (uint32_t i = 0; i < ITEMS; i++) {
		struct kvr_const_span span;
		item_of(&item, i, &meta, payload);
		payload_of(i, payload);
		enum kvr_err err = kvr_frame_out_begin(&frame, &stores[0].rules, &item, scratch);
		KVR_CHECK(err == KVR_OK);
		len += (size_t)sprintf(
		    (char *)ret + len, "$%u\r\n", (unsigned)kvr_frame_out_len(&frame));
		while ((span = kvr_frame_out_next(&frame, 4096)).len > 0) {
			memcpy(ret + len, span.at, span.len);
			len += span.len;
		}
		memcpy(ret + len, "\r\n", 2);
		len += 2;
	}
	return len;
}

/* Every verb in every format, and replies of which some fit. */
static size_t
any_seed(size_t i, uint8_t *ret)
{
	static const char replies[] = ":0\r\n:1\r\n$-1\r\n$8\r\n12345678\r\n+OK\r\n:600\r\n:0\r\n"
	                              "-OOM x\r\n$0\r\n\r\n-ERR no\r\n:1\r\n:1\r\n$3\r\nabc\r\n";

	ret[0] = (uint8_t)i;
	memcpy(ret + 1, replies, sizeof(replies) - 1);
	return sizeof(replies);
}

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const struct {
		const char *at;
		size_t len;
	} seeds[] = {
#define SEED(text) { text, sizeof(text) - 1 }
		SEED("\0:1\r\n:0\r\n-WRONGTYPE no\r\n"),
		SEED("\6$8\r\n12345678\r\n$-1\r\n-LOADING wait\r\n"),
		SEED("\6$9\r\n123456789\r\n$3\r\nabc\r\n$8\r\n12345678\r\n"),
		SEED("\2:600\r\n$0\r\n\r\n:0\r\n$-1\r\n-OOM x\r\n-OOM x\r\n"),
		SEED("\3+OK\r\n-OOM command not allowed\r\n+OK\r\n"),
		SEED(
		    "\13$28\r\n\10\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\r\n$-1\r\n"
		    "$3\r\nabc\r\n$8\r\n12345678\r\n"),
		SEED("\15+OK\r\n+OK\r\n-READONLY x\r\n+OK\r\n-OOM x\r\n:2\r\n"),
		SEED("\16:2\r\n:0\r\n-MOVED 1 a:1\r\n"),
		SEED("\20>2\r\n+a\r\n:1\r\n_\r\n|1\r\n+k\r\n%1\r\n+a\r\n#t\r\n!5\r\nOOM x\r\n_\r\n"),
		SEED("\31:1\r\n-MOVED 1 127.0.0.1:7000\r\n-ASK 2 :7001\r\n"),
		SEED("\37-TRYAGAIN x\r\n-CLUSTERDOWN x\r\n$-1\r\n"),
		SEED("\41+OK\r\n-MOVED 1 h:1\r\n-OOM x\r\n+OK\r\n:1\r\n:1\r\n"),
		SEED("\25$8\r\n12345678\r\n_\r\n!9\r\nLOADING x\r\n"),
		SEED("\44:700\r\n$700\r\n$0\r\n\r\n:0\r\n$0\r\n\r\n$0\r\n\r\n-ERR x\r\n$-1\r\n$-1\r\n"),
		/* GET in formats 8, 9 and 10: watched, of 3 bytes, and one request to spare. */
		SEED("\51+OK\r\n:3\r\n$3\r\nabc\r\n$0\r\n\r\n+OK\r\n*0\r\n"
		     "+OK\r\n:3\r\n$3\r\nabc\r\n$0\r\n\r\n+OK\r\n*-1\r\n"
		     "-NOPERM x\r\n:3\r\n$3\r\nabc\r\n$0\r\n\r\n-NOPERM x\r\n-ERR x\r\n"
		     "$3\r\nabc\r\n$3\r\nabc\r\n"),
		SEED("\56+OK\r\n:3\r\n$3\r\nabc\r\n$0\r\n\r\n+OK\r\n_\r\n"
		     "+OK\r\n:0\r\n$0\r\n\r\n$0\r\n\r\n+OK\r\n*0\r\n"
		     "+OK\r\n:3\r\n$3\r\nabc\r\n$0\r\n\r\n+OK\r\n-EXECABORT x\r\n"
		     "$3\r\nabc\r\n_\r\n$3\r\nabc\r\n"),
		SEED("\63$28\r\n\10\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\r\n$-1\r\n"
		     "$3\r\nabc\r\n+OK\r\n:8\r\n$8\r\n12345678\r\n$0\r\n\r\n+OK\r\n*0\r\n"),
#undef SEED
	};
	if (i == KVR_LEN(seeds))
		return sealed_seed(ret);
	if (i > KVR_LEN(seeds) + FORMATS * KVR_LEN(verbs))
		return 0;
	if (i > KVR_LEN(seeds))
		return any_seed(i - KVR_LEN(seeds) - 1, ret);
	memcpy(ret, seeds[i].at, seeds[i].len);
	return seeds[i].len;
}

static void
judge(const struct kvr_store *store, enum kvr_verb verb, const struct kvr_item *item, uint32_t i,
    const uint8_t *bytes)
{
	uint8_t want[LEN];
	bool hit = kvr_item_status(item) == KVR_OK && verb == KVR_VERB_GET;

	payload_of(i, want);
	if (store >= &stores[LARGE]) /* all three have the same place */
		return;
	KVR_CHECK(!hit || item->len <= LEN);
	KVR_CHECK(!hit || store->rules.format != KVR_FORMAT_SEALED ||
	          (item->len == LEN && memcmp(bytes, want, LEN) == 0));
	for (size_t b = LEN; b < ROOM; b++)
		KVR_CHECK(bytes[b] == GUARD);
}

static void
answer(struct kvr_store *store, enum kvr_verb verb, const uint8_t *at, size_t len)
{
	static struct kvr_connector c;
	static struct kvr_redis_note notes[KVR_REDIS_GROUP];
	static uint8_t heads[KVR_REDIS_GROUP * 28];
	uint8_t bytes[ITEMS][ROOM];
	struct kvr_meta metas[ITEMS] = { 0 };
	struct kvr_item items[ITEMS];
	int pair[2];

	KVR_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	KVR_CHECK(len == 0 || write(pair[1], at, len) == (ssize_t)len);
	shutdown(pair[1], SHUT_WR);
	c.store = store;
	c.scratch = scratch;
	c.heads = heads;
	c.note = notes;
	c.peer = &node;
	kvr_stream_take(&c.s, pair[0], NULL);
	(void)!kvr_stream_begin(&c.s, kvr_now_ns() + KVR_SEC(20), KVR_STREAM_AHEAD);
	memset(bytes, GUARD, sizeof(bytes));
	for (uint32_t i = 0; i < ITEMS; i++) {
		item_of(&items[i], i, &metas[i], bytes[i]);
		if (store >= &stores[LARGE]) {
			items[i].span = (struct kvr_span){ room, LARGE_LEN };
			items[i].flags = KVR_ITEM_AT_MOST;
		}
		if (verb == KVR_VERB_PUT)
			payload_of(i, bytes[i]);
	}
	enum kvr_err err = kvr_redis_run(&c, verb, items, ITEMS);
	KVR_CHECK(err == KVR_OK || err == KVR_E_PROTO || err == KVR_E_DOWN);
	for (uint32_t i = 0; i < ITEMS; i++) {
		KVR_CHECK(err != KVR_OK || kvr_item_status(&items[i]) != KVR_PENDING);
		judge(store, verb, &items[i], i, bytes[i]);
	}
	kvr_stream_hang_up(&c.s);
	close(pair[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	if (len == 0)
		return 0;
	struct kvr_store *store = &stores[at[0] / KVR_LEN(verbs) % FORMATS];
	enum kvr_verb verb = verbs[at[0] % KVR_LEN(verbs)];

	/* Nobody would take what a large put sends. */
	if (store >= &stores[LARGE] && verb == KVR_VERB_PUT)
		return 0;
	memset(room + LARGE_LEN, GUARD, ROOM);
	/* What one server has refused is no other's matter. */
	atomic_store(&store->no_watch_until_ns, 0);
	answer(store, verb, at + 1, len - 1);
	for (size_t i = 0; i < ROOM; i++)
		KVR_CHECK(room[LARGE_LEN + i] == GUARD);
	return 0;
}
