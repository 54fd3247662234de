/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payload where an engine keeps it: tokens of a paged cache go to real stores and come back, bit
 * for bit, whatever the layout of the cache and of the chunk; the store sees nothing of blocks.
 */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"
#include "kvr_stores.h"

enum {
	LAYERS = 3,
	HEADS = 2,
	HEAD = 16,
	BLOCK = 16,
	BLOCKS = 24,
	CHUNK = 32,
	CHUNKS = 4,
	ROW = HEADS * HEAD * 2
};
enum { TOKENS = CHUNK * CHUNKS - 5 }; /* the last chunk is a short one */

struct engine {
	struct kvr *kvr;
	struct kvr_cache *cache;
	uint32_t planes;
	bool layerwise;
	uint8_t *memory[LAYERS];
	size_t layer_bytes;
	int32_t block[TOKENS / BLOCK + 1];
	int64_t slot[TOKENS];
};

/* Tokens of layer and plane lie as FlashAttention has them: [plane, block, token, head]. */
static uint8_t *
row_of(const struct engine *e, uint32_t layer, uint32_t plane, uint32_t token)
{
	return e->memory[layer] + ((size_t)plane * BLOCKS * BLOCK + (size_t)e->slot[token]) * ROW;
}

static void
engine_open(struct engine *e, struct kvr *k, uint32_t format, bool layerwise)
{
	void *base[LAYERS];

	memset(e, 0, sizeof(*e));
	e->kvr = k;
	e->planes = format == KVR_FMT_KV_MLA ? 1 : 2;
	e->layerwise = layerwise;
	e->layer_bytes = (size_t)e->planes * BLOCKS * BLOCK * ROW;
	for (uint32_t l = 0; l < LAYERS; l++) {
		base[l] = e->memory[l] = malloc(e->layer_bytes);
		ck_assert_ptr_nonnull(base[l]);
		bed_fill(e->memory[l], e->layer_bytes, l + 1);
	}
	for (uint32_t i = 0; i <= TOKENS / BLOCK; i++)
		e->block[i] =
		    (int32_t)((i * 11 + 5) % BLOCKS); /* 11 and 24 have no common divisor */
	for (uint32_t t = 0; t < TOKENS; t++)
		e->slot[t] = (int64_t)e->block[t / BLOCK] * BLOCK + t % BLOCK;
	const struct kvr_cache_shape s = { .size = sizeof(s),
		.order = KVR_CACHE_LAYERS,
		.format = format,
		.dtype = KVR_DT_BFLOAT16,
		.n_layers = LAYERS,
		.n_planes = e->planes,
		.n_heads = HEADS,
		.head_size = HEAD,
		.block_tokens = BLOCK,
		.n_blocks = BLOCKS,
		.layerwise = format == KVR_FMT_KV_MLA && layerwise,
		.n_base = LAYERS,
		.base = base };

	OK(kvr_cache_open(k, &s, &e->cache));
}

static void
engine_close(struct engine *e)
{
	enum kvr_err err;
	uint64_t until_ns = bed_in_ms(20000);

	/* An operation lets go of its cache a moment after its completion. */
	do
		err = kvr_cache_close(e->cache);
	while (err == KVR_E_BUSY && bed_now_ns() < until_ns);
	OK(err);
	for (uint32_t l = 0; l < LAYERS; l++)
		free(e->memory[l]);
}

enum { KEYS_MAX = CHUNKS * LAYERS };

struct keys {
	uint32_t n, per_chunk;
	char text[KEYS_MAX * 24];
	uint64_t len[KEYS_MAX];
};

static void
name_keys(const struct engine *e, const char *name, struct keys *ret)
{
	char *at = ret->text;

	ret->per_chunk = e->layerwise ? LAYERS : 1;
	ret->n = CHUNKS * ret->per_chunk;
	for (uint32_t i = 0; i < ret->n; i++) {
		uint32_t chunk = i / ret->per_chunk;
		uint32_t tokens = chunk == CHUNKS - 1 ? TOKENS - CHUNK * (CHUNKS - 1) : CHUNK;

		at += snprintf(at, 24, "%s-%u-%u", name, chunk, i % ret->per_chunk) + 1;
		ret->len[i] = (uint64_t)tokens * ROW * e->planes * (e->layerwise ? 1 : LAYERS);
	}
}

static enum kvr_err
move(const struct engine *e, uint32_t kind, const struct keys *keys,
    const struct kvr_tokens *tokens, uint32_t flags, struct kvr_results *res)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = keys->n,
		.per_chunk = keys->per_chunk,
		.keys = keys->text,
		.len = keys->len,
		.tokens = tokens };
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = flags, .until_ns = bed_in_ms(60000)
	};

	return kvr_run(e->kvr, &b, &o, NULL, res);
}

/* The bytes that a chunk must have in the store, written down by the format's definition. */
static void
chunk_of(const struct engine *e, uint32_t format, uint32_t chunk, uint32_t layer, uint32_t tokens,
    uint8_t *ret)
{
	for (uint32_t p = 0; p < e->planes; p++)
		for (uint32_t l = 0; l < (e->layerwise ? 1 : (uint32_t)LAYERS); l++)
			for (uint32_t t = 0; t < tokens; t++) {
				size_t at = format == KVR_FMT_KV_T2D ? (size_t)t * e->planes + p
				            : e->layerwise           ? (size_t)p * tokens + t
				                           : ((size_t)p * LAYERS + l) * tokens + t;

				memcpy(ret + at * ROW,
				    row_of(e, e->layerwise ? layer : l, p, chunk * CHUNK + t), ROW);
			}
}

/* Read as plain spans: what is stored is a chunk like any other's. */
static void
stored_as_chunks(const struct engine *e, uint32_t format, const struct keys *keys)
{
	static uint8_t got[KEYS_MAX][CHUNK * ROW * 2 * LAYERS], want[CHUNK * ROW * 2 * LAYERS];
	void *at[KEYS_MAX];
	struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_GET,
		.n = keys->n,
		.keys = keys->text,
		.at = at,
		.len = keys->len };

	for (uint32_t i = 0; i < keys->n; i++)
		at[i] = got[i];
	OK(kvr_run(e->kvr, &b, NULL, NULL, NULL));
	for (uint32_t i = 0; i < keys->n; i++) {
		uint32_t chunk = i / keys->per_chunk;
		uint32_t tokens = chunk == CHUNKS - 1 ? TOKENS - CHUNK * (CHUNKS - 1) : CHUNK;

		chunk_of(e, format, chunk, i % keys->per_chunk, tokens, want);
		ck_assert_msg(
		    memcmp(got[i], want, keys->len[i]) == 0, "key %u of format %u", i, format);
	}
}

/* Only the tokens' own rows may have changed. */
static void
came_back(struct engine *e, uint8_t *const want[LAYERS])
{
	for (uint32_t l = 0; l < LAYERS; l++)
		ck_assert_msg(
		    memcmp(e->memory[l], want[l], e->layer_bytes) == 0, "layer %u is another", l);
}

/* Another cache, other blocks: everything poisoned, the tokens are to come, the rest is to stay. */
static void
poison(struct engine *e, uint8_t *want[LAYERS])
{
	static uint8_t rows[LAYERS][2][TOKENS][ROW];

	for (uint32_t i = 0; i < LAYERS * e->planes * TOKENS; i++)
		memcpy(rows[i / TOKENS / e->planes][i / TOKENS % e->planes][i % TOKENS],
		    row_of(e, i / TOKENS / e->planes, i / TOKENS % e->planes, i % TOKENS), ROW);
	for (uint32_t i = 0; i <= TOKENS / BLOCK; i++)
		e->block[i] = (int32_t)((i * 7 + 2) % BLOCKS);
	for (uint32_t t = 0; t < TOKENS; t++)
		e->slot[t] = (int64_t)e->block[t / BLOCK] * BLOCK + t % BLOCK;
	for (uint32_t l = 0; l < LAYERS; l++) {
		memset(e->memory[l], 0xa5, e->layer_bytes);
		for (uint32_t i = 0; i < e->planes * TOKENS; i++)
			memcpy(row_of(e, l, i / TOKENS, i % TOKENS),
			    rows[l][i / TOKENS][i % TOKENS], ROW);
		want[l] = malloc(e->layer_bytes);
		ck_assert_ptr_nonnull(want[l]);
		memcpy(want[l], e->memory[l], e->layer_bytes);
		memset(e->memory[l], 0xa5, e->layer_bytes);
	}
}

static void
there_and_back(struct kvr *k, uint32_t format, bool layerwise, bool by_block, const char *name)
{
	struct engine e;
	struct keys keys;
	uint8_t *want[LAYERS];

	engine_open(&e, k, format, layerwise);
	struct kvr_tokens t = { .size = sizeof(t), .n = TOKENS, .cache = e.cache, .slot = e.slot };

	if (by_block)
		t = (struct kvr_tokens){ .size = sizeof(t),
			.n = TOKENS / BLOCK + 1,
			.cache = e.cache,
			.block = e.block };
	name_keys(&e, name, &keys);
	ERR(move(&e, KVR_PUT, &keys, &t, 0, NULL), KVR_OK);
	stored_as_chunks(&e, format, &keys);
	poison(&e, want);
	ERR(move(&e, KVR_GET, &keys, &t, 0, NULL), KVR_OK);
	came_back(&e, want);
	for (uint32_t l = 0; l < LAYERS; l++)
		free(want[l]);
	engine_close(&e);
}

static void
every_format(struct kvr *k)
{
	there_and_back(k, KVR_FMT_KV_2LTD, false, true, "2ltd-b");
	there_and_back(k, KVR_FMT_KV_2LTD, false, false, "2ltd-s");
	there_and_back(k, KVR_FMT_KV_MLA, false, true, "mla");
	there_and_back(k, KVR_FMT_KV_MLA, true, false, "mla-l");
	there_and_back(k, KVR_FMT_KV_T2D, true, true, "t2d");
	there_and_back(k, KVR_FMT_KV_2TD, true, false, "2td");
	bed_close(k);
}

static struct kvr *
open_store(const char *url, const char *tier)
{
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"8MiB\",\"objects\":\"4MiB\"},\"tiers\":[{\"name\":\"a\","
	    "\"url\":\"%s\"%s}]}",
	    url, tier);
	return bed_open(json, NULL, NULL, NULL);
}

START_TEST(chunks_go_to_every_store_and_come_back)
{
	KVR_EACH_STORE(bed, every_format(open_store(kvr_store_bed_url(bed), "")));
	KVR_EACH_STORE(bed, every_format(open_store(kvr_store_bed_url(bed),
	                        ",\"format\":\"sealed\",\"serde\":\"zstd\"")));
}
END_TEST

/* ---- what is refused, and in which words ---- */

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

static const struct kvr_cache_shape small = { .size = sizeof(small),
	.order = KVR_CACHE_BLOCKS,
	.format = KVR_FMT_KV_2LTD,
	.dtype = KVR_DT_HALF,
	.n_layers = 2,
	.n_planes = 2,
	.n_heads = 1,
	.head_size = 4,
	.block_tokens = 4,
	.n_blocks = 8,
	.n_base = 1 };
enum { MIB = 1 << 20, SMALL_TOKEN = 2 * 2 * 4 * 2, SMALL_BYTES = SMALL_TOKEN * 4 * 8 };

static void
forget(struct bed_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->text[0] = '\0';
	pthread_mutex_unlock(&log->lock);
}

static void
no_cache(struct kvr *k, const struct kvr_cache_shape *s, enum kvr_err err, struct bed_log *log,
    const char *why)
{
	struct kvr_cache *cache = NULL;

	forget(log);
	ERR(kvr_cache_open(k, s, &cache), err);
	ck_assert_ptr_null(cache);
	bed_log_has(log, why);
}

#define SHAPE(err, why, ...)                                                                       \
	do {                                                                                       \
		struct kvr_cache_shape s = small;                                                  \
		s.base = base;                                                                     \
		__VA_ARGS__;                                                                       \
		no_cache(k, &s, err, &log, why);                                                   \
	} while (0)

/* Such lines are rationed, ten a second and instance: hence more tests than one. */
START_TEST(a_member_of_a_shape_that_is_wrong_is_named)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	void *base[] = { &log };

	SHAPE(KVR_E_INVALID, "order is none", s.order = 3);
	SHAPE(KVR_E_INVALID, "memory is neither", s.memory = 2);
	SHAPE(KVR_E_INVALID, "layerwise is neither", s.layerwise = 2);
	SHAPE(KVR_E_INVALID, "spare is not 0", s.spare = 1);
	SHAPE(KVR_E_INVALID, "n_layers is 0", s.n_layers = 0);
	SHAPE(KVR_E_INVALID, "n_heads is 0", s.n_heads = 0);
	SHAPE(KVR_E_INVALID, "head_size is 0", s.head_size = 0);
	SHAPE(KVR_E_INVALID, "block_tokens is 0", s.block_tokens = 0);
	SHAPE(KVR_E_INVALID, "n_blocks is 0", s.n_blocks = 0);
	bed_close(k);
}
END_TEST

START_TEST(a_shape_that_is_none_is_refused_in_words)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	void *base[] = { &log };

	SHAPE(KVR_E_INVALID, "size of kvr_cache_shape", s.size = 8);
	SHAPE(KVR_E_INVALID, "dtype", s.dtype = KVR_DT_NONE);
	SHAPE(KVR_E_INVALID, "n_layers is more than 1024", s.n_layers = 1025);
	SHAPE(KVR_E_INVALID, "layers times planes", s.n_layers = 513);
	SHAPE(KVR_E_INVALID, "one is KV_MLA", s.n_planes = 1);
	SHAPE(KVR_E_INVALID, "KV_MLA has 1 plane", s.format = KVR_FMT_KV_MLA);
	SHAPE(KVR_E_INVALID, "one layer is KV_T2D", s.layerwise = 1);
	bed_close(k);
}
END_TEST

START_TEST(a_cache_without_memory_is_refused_in_words)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	void *base[] = { &log, NULL };

	SHAPE(KVR_E_INVALID, "format is none", s.format = KVR_FMT_BINARY);
	SHAPE(KVR_E_INVALID, "not below 2^32", s.n_blocks = UINT32_MAX);
	SHAPE(KVR_E_INVALID, "not below 4 GiB", s.head_size = UINT32_MAX);
	SHAPE(KVR_E_INVALID, "n_base", s.n_base = 2);
	SHAPE(KVR_E_INVALID, "n_base", s.order = KVR_CACHE_PLANES);
	SHAPE(KVR_E_INVALID, "a base is NULL", s.base = base + 1);
	SHAPE(KVR_E_INVALID, "beyond any address", s.block_stride = UINT64_MAX / 4);
	SHAPE(KVR_E_UNSUPPORTED, "no device", s.memory = KVR_MEMORY_DEVICE);
	bed_close(k);
}
END_TEST

/* A cache of 32 tokens, and one key of the first four tokens of a table. */
struct one {
	struct kvr *kvr;
	struct bed_log *log;
	struct kvr_tokens tokens;
	struct kvr_batch batch;
};

static void
refused(struct one *o, enum kvr_err err, const char *why)
{
	forget(o->log);
	o->batch.tokens = &o->tokens;
	ERR(kvr_run(o->kvr, &o->batch, NULL, NULL, NULL), err);
	bed_log_has(o->log, why);
}

#define REFUSED(why, ...)                                                                          \
	do {                                                                                       \
		struct one o = one;                                                                \
		__VA_ARGS__;                                                                       \
		refused(&o, KVR_E_INVALID, why);                                                   \
	} while (0)

static struct one
one_open(struct bed_log *log, void *base)
{
	static const int64_t slot[] = { 31, 0, 1, 2, 32, -1, 4, 5 };
	static const uint64_t len[] = { 4 * SMALL_TOKEN };
	struct kvr_cache_shape shape = small;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, log);
	struct kvr_cache *cache;

	shape.base = &base;
	OK(kvr_cache_open(k, &shape, &cache));
	return (struct one){ .kvr = k,
		.log = log,
		.tokens = { .size = sizeof(struct kvr_tokens),
		    .n = 4,
		    .cache = cache,
		    .slot = slot },
		.batch = { .size = sizeof(struct kvr_batch),
		    .kind = KVR_PUT,
		    .n = 1,
		    .keys = "k",
		    .len = len } };
}

static void
one_close(struct one *o)
{
	OK(kvr_cache_close(o->tokens.cache));
	bed_close(o->kvr);
}

START_TEST(tokens_that_are_said_wrongly_are_refused_in_words)
{
	static uint8_t memory[SMALL_BYTES];
	struct bed_log log = BED_LOG, quiet = BED_LOG;
	struct one one = one_open(&log, memory), other = one_open(&quiet, memory);
	const int32_t block[] = { 7 };
	const uint32_t layer[] = { 0 };
	const uint64_t odd[] = { 4 * SMALL_TOKEN - 2 };
	void *at[] = { memory };

	REFUSED("size of kvr_tokens", o.tokens.size = 4);
	REFUSED("no cache of this instance", o.tokens.cache = NULL);
	REFUSED("no cache of this instance", o.tokens.cache = other.tokens.cache);
	REFUSED("slot or block, one of them", o.tokens.block = block);
	REFUSED("slot or block, one of them", o.tokens.slot = NULL);
	REFUSED("comes with first", o.tokens.layer = layer);
	REFUSED("ready is an event of a device", o.tokens.ready = memory);
	REFUSED("at, obj or tokens, one of them", o.batch.at = at);
	REFUSED("tokens without len", o.batch.len = NULL);
	REFUSED("key 0 has 126 bytes, and a token of that cache 32", o.batch.len = odd);
	one_close(&one);
	one_close(&other);
}
END_TEST

START_TEST(tokens_that_the_cache_does_not_have_are_refused_in_words)
{
	static uint8_t memory[SMALL_BYTES];
	struct bed_log log = BED_LOG;
	struct one one = one_open(&log, memory);
	const int32_t block[] = { 8, -1 };
	const uint32_t first[] = { 4 };

	REFUSED("key 0 is tokens 4 to 8, and the table has 4", o.tokens.first = first);
	REFUSED("key 0: token 4 has slot 32, and the cache has 32", o.tokens.n = 8;
	        o.tokens.first = first);
	REFUSED("token 0 has slot -1", o.tokens.slot += 5; o.tokens.n = 4);
	REFUSED("token 0 is in block 8, and the cache has 8", o.tokens.slot = NULL;
	        o.tokens.block = block);
	REFUSED("token 0 is in block -1", o.tokens.slot = NULL; o.tokens.block = block + 1);
	one_close(&one);
	ERR(kvr_cache_close(NULL), KVR_OK);
}
END_TEST

/* ---- gets ---- */

/* Tokens without a slot are left out; a value that is shorter than its room is its first tokens. */
START_TEST(a_get_may_leave_tokens_out_and_be_shorter)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	uint8_t *memory = malloc(SMALL_BYTES), want[SMALL_BYTES];
	void *base[] = { memory };
	struct kvr_cache_shape shape = small;
	struct kvr_cache *cache;
	int64_t slot[] = { 8, 9, 30, 11, 12 };
	uint64_t len[] = { 4 * SMALL_TOKEN }, found = 0;
	struct kvr_tokens t = { .size = sizeof(t), .n = 5, .slot = slot };
	struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 1, .keys = "k", .len = len, .tokens = &t
	};
	struct kvr_results r = { .size = sizeof(r), .cap = 1, .len = &found };
	const struct kvr_opts at_most = { .size = sizeof(at_most), .flags = KVR_AT_MOST };

	bed_fill(memory, SMALL_BYTES, 3);
	memcpy(want, memory, SMALL_BYTES);
	shape.base = base;
	OK(kvr_cache_open(k, &shape, &t.cache));
	cache = t.cache;
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	memset(memory, 0xa5, SMALL_BYTES);
	for (uint32_t i = 0; i < SMALL_BYTES; i++) {
		uint32_t token =
		    i / (SMALL_TOKEN * 4) * 4 + i / 8 % 4; /* [block, layer, plane, token] */

		if (token != 8 && token != 9 && token != 11)
			want[i] = 0xa5;
	}
	slot[2] = -1;
	b.kind = KVR_GET;
	len[0] = 5 * SMALL_TOKEN;
	ERR(kvr_run(k, &b, NULL, NULL, &r), KVR_E_LENGTH);
	OK(kvr_run(k, &b, &at_most, NULL, &r));
	ck_assert_uint_eq(found, 4 * SMALL_TOKEN);
	ck_assert_int_eq(memcmp(memory, want, SMALL_BYTES), 0);
	bed_close(k);
	(void)cache; /* kvr_free has taken it */
	free(memory);
}
END_TEST

/* A batch for each layer: the engine hears of each and may begin with layer 0. */
START_TEST(each_layer_has_a_completion)
{
	struct engine e;
	struct keys keys;
	struct kvr_queue *q;
	uint8_t *want[LAYERS];
	uint32_t first[CHUNKS], layer[CHUNKS], heard = 0;
	uint64_t len[CHUNKS], until_ns = bed_in_ms(60000);
	const char *key[CHUNKS];

	engine_open(&e, open_store("memory://", ""), KVR_FMT_KV_T2D, true);
	struct kvr_tokens t = { .size = sizeof(t), .n = TOKENS, .cache = e.cache, .slot = e.slot };

	name_keys(&e, "k", &keys);
	ERR(move(&e, KVR_PUT, &keys, &t, 0, NULL), KVR_OK);
	poison(&e, want);
	OK(kvr_queue_open(e.kvr, &q));
	t.first = first;
	t.layer = layer;
	for (uint32_t l = 0; l < LAYERS; l++) {
		const struct kvr_batch b = { .size = sizeof(b),
			.kind = KVR_GET,
			.n = CHUNKS,
			.key = key,
			.len = len,
			.tokens = &t };
		const struct kvr_opts o = { .size = sizeof(o), .queue = q, .tag = l };
		const char *at = keys.text;

		for (uint32_t i = 0; i < keys.n; i++, at += strlen(at) + 1) {
			if (i % LAYERS != l)
				continue;
			key[i / LAYERS] = at;
			len[i / LAYERS] = keys.len[i];
			first[i / LAYERS] = i / LAYERS * CHUNK;
			layer[i / LAYERS] = l;
		}
		OK(kvr_submit(e.kvr, &b, &o, NULL));
	}
	while (heard < LAYERS && bed_now_ns() < until_ns) {
		struct kvr_done d = { .size = sizeof(d) };

		if (kvr_drain(q, &d, 1, NULL) == 0)
			continue;
		ERR(d.err, KVR_OK);
		ck_assert_int_eq(memcmp(e.memory[d.tag], want[d.tag], e.layer_bytes), 0);
		heard++;
	}
	ck_assert_uint_eq(heard, LAYERS);
	for (uint32_t l = 0; l < LAYERS; l++)
		free(want[l]);
	struct kvr *k = e.kvr;

	engine_close(&e);
	bed_close(k);
}
END_TEST

/* What staging can never hold is said at once. */
START_TEST(limits_are_said_at_once)
{
	struct kvr *k = bed_open("{\"memory\":{\"staging\":\"1MiB\"},\"tiers\":[{\"name\":\"a\","
	                         "\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);
	struct kvr *z = bed_open(
	    "{\"memory\":{\"staging\":\"1MiB\",\"slot_size\":\"1MiB\"},\"tiers\":[{\"name\":\"a\","
	    "\"url\":\"memory://\",\"format\":\"sealed\",\"serde\":\"zstd\"}]}",
	    NULL, NULL, NULL);
	uint8_t *memory = calloc(4, MIB);
	void *base[] = { memory };
	const int32_t block[] = { 0, 1, 2, 3 };
	const uint64_t len[] = { 3 * MIB, MIB };
	struct kvr_cache_shape shape = small;
	struct kvr_tokens t = { .size = sizeof(t), .n = 4, .block = block };
	struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 1, .keys = "k", .len = len, .tokens = &t
	};

	shape.block_tokens = MIB / SMALL_TOKEN;
	shape.n_blocks = 4;
	shape.base = base;
	OK(kvr_cache_open(k, &shape, &t.cache));
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_TOO_BIG);
	b.len = len + 1;
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	bed_close(k);
	OK(kvr_cache_open(z, &shape, &t.cache));
	ERR(kvr_run(z, &b, NULL, NULL, NULL), KVR_E_NOMEM);
	bed_close(z);
	free(memory);
}
END_TEST

/* The store stands still, so the put goes on; its memory may not go. */
START_TEST(a_cache_in_use_is_not_closed)
{
	struct kvr_redis_server *server;
	struct engine e;
	struct keys keys;
	kvr_op op;

	if (kvr_redis_server_missing()) {
		fprintf(stderr, "without redis: redis-server is not installed\n");
		return;
	}
	server = kvr_redis_server_start(NULL, NULL);
	engine_open(&e, open_store(server->url, ""), KVR_FMT_KV_2LTD, false);
	const struct kvr_tokens t = { .size = sizeof(t), .n = TOKENS, .cache = e.cache, .slot = e.slot };

	name_keys(&e, "k", &keys);
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = keys.n,
		.keys = keys.text,
		.len = keys.len,
		.tokens = &t };

	kvr_redis_server_pause(server);
	OK(kvr_submit(e.kvr, &b, NULL, &op));
	ERR(kvr_cache_close(e.cache), KVR_E_BUSY);
	kvr_redis_server_resume(server);
	ERR(kvr_wait(e.kvr, op, 0, NULL, NULL), KVR_OK);
	struct kvr *k = e.kvr;

	engine_close(&e);
	bed_close(k);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("api.paged", chunks_go_to_every_store_and_come_back,
    a_member_of_a_shape_that_is_wrong_is_named, a_shape_that_is_none_is_refused_in_words,
    a_cache_without_memory_is_refused_in_words,
    tokens_that_are_said_wrongly_are_refused_in_words,
    tokens_that_the_cache_does_not_have_are_refused_in_words,
    a_get_may_leave_tokens_out_and_be_shorter, each_layer_has_a_completion, limits_are_said_at_once,
    a_cache_in_use_is_not_closed)
