/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer by layer: what a get tells of is in the cache, bit for bit, before it tells of it; a put
 * does not look at a layer before its engine has named it; errors say which layers are right.
 */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"
#include "kvr_stores.h"

enum {
	LAYERS = 5,
	HEADS = 2,
	HEAD = 32,
	BLOCK = 8,
	BLOCKS = 40,
	CHUNK = 32,
	CHUNKS = 9,
	ROW = HEADS * HEAD * 2,
	TOKENS = CHUNK * CHUNKS - 13, /* the last chunk is a short one */
	PLACES = LAYERS * 2
};

struct engine {
	struct kvr *kvr;
	struct kvr_tokens tokens;
	uint32_t planes;
	uint8_t memory[PLACES][BLOCKS * BLOCK * ROW], want[PLACES][BLOCKS * BLOCK * ROW];
	int32_t block[TOKENS / BLOCK + 1];
	char keys[CHUNKS * 16];
	uint64_t len[CHUNKS];
};

static struct engine *
engine_open(struct kvr *k, uint32_t format, const char *name)
{
	struct engine *e = calloc(1, sizeof(*e));
	void *base[PLACES];
	char *at = e->keys;

	ck_assert_ptr_nonnull(e);
	e->kvr = k;
	e->planes = format == KVR_FMT_KV_MLA ? 1 : 2;
	for (uint32_t i = 0; i < LAYERS * e->planes; i++)
		base[i] = e->memory[i];
	const struct kvr_cache_shape s = { .size = sizeof(s),
		.order = KVR_CACHE_PLANES,
		.format = format,
		.dtype = KVR_DT_BFLOAT16,
		.n_layers = LAYERS,
		.n_planes = e->planes,
		.n_heads = HEADS,
		.head_size = HEAD,
		.block_tokens = BLOCK,
		.n_blocks = BLOCKS,
		.n_base = LAYERS * e->planes,
		.base = base };

	for (uint32_t i = 0; i <= TOKENS / BLOCK; i++)
		e->block[i] = (int32_t)((i * 7 + 3) % BLOCKS);
	for (uint32_t i = 0; i < CHUNKS; i++) {
		uint32_t n = i == CHUNKS - 1 ? TOKENS - CHUNK * (CHUNKS - 1) : CHUNK;

		at += snprintf(at, 16, "%s-%u", name, i) + 1;
		e->len[i] = (uint64_t)n * ROW * LAYERS * e->planes;
	}
	e->tokens = (struct kvr_tokens){
		.size = sizeof(e->tokens), .n = TOKENS / BLOCK + 1, .block = e->block
	};
	OK(kvr_cache_open(k, &s, &e->tokens.cache));
	return e;
}

static void
engine_close(struct engine *e)
{
	enum kvr_err err;
	uint64_t until_ns = bed_in_ms(60000);

	/* An operation lets go of its cache a moment after its completion. */
	do
		err = kvr_cache_close(e->tokens.cache);
	while (err == KVR_E_BUSY && bed_now_ns() < until_ns);
	OK(err);
	free(e);
}

static kvr_op
begin(struct engine *e, uint32_t kind, uint32_t flags, uint64_t ms)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = CHUNKS,
		.keys = e->keys,
		.len = e->len,
		.tokens = &e->tokens };
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = KVR_LAYERS | flags, .until_ns = bed_in_ms(ms)
	};
	kvr_op op = 0;

	OK(kvr_submit(e->kvr, &b, &o, &op));
	return op;
}

/* What layer l of the cache is when the engine has computed it. */
static void
compute(struct engine *e, uint32_t l, uint32_t seed)
{
	for (uint32_t p = 0; p < e->planes; p++)
		bed_fill(e->memory[l * e->planes + p], sizeof(e->memory[0]), seed + l * 2 + p);
}

/* Poison everywhere; only what the tokens are is to come. */
static void
poison(struct engine *e)
{
	memset(e->want, 0xa5, sizeof(e->want));
	for (uint32_t i = 0; i < LAYERS * e->planes; i++)
		for (uint32_t t = 0; t < TOKENS; t++) {
			size_t at = ((size_t)e->block[t / BLOCK] * BLOCK + t % BLOCK) * ROW;

			memcpy(e->want[i] + at, e->memory[i] + at, ROW);
		}
	memset(e->memory, 0xa5, sizeof(e->memory));
}

static bool
is_there(const struct engine *e, uint32_t l)
{
	return memcmp(e->memory[(size_t)l * e->planes], e->want[(size_t)l * e->planes],
	           e->planes * sizeof(e->memory[0])) == 0;
}

/* As a model runs: a layer is computed, and given away while the next one is computed. */
static void
put(struct engine *e, uint32_t seed, uint32_t step)
{
	memset(e->memory, 0x5a, sizeof(e->memory));
	kvr_op op = begin(e, KVR_PUT, 0, 60000);

	for (uint32_t l = 0; l < LAYERS; l++) {
		compute(e, l, seed);
		if (l % step == step - 1 || l == LAYERS - 1)
			OK(kvr_layer_ready(e->kvr, op, l, NULL));
	}
	OK(kvr_wait(e->kvr, op, 0, NULL, NULL));
	ERR(kvr_layer_ready(e->kvr, op, 0, NULL), KVR_E_STALE);
}

/* What is written behind an answer is there a little later. */
static void
wait_until_stored(struct engine *e)
{
	const char *key[CHUNKS], *at = e->keys;
	uint64_t until_ns = bed_in_ms(60000);
	uint32_t n = 0;

	for (uint32_t i = 0; i < CHUNKS; i++) {
		key[i] = at;
		at += strlen(at) + 1;
	}
	while (n < CHUNKS && bed_now_ns() < until_ns)
		OK(kvr_batched_contains(e->kvr, key, CHUNKS, false, 0, &n));
	ck_assert_uint_eq(n, CHUNKS);
}

static void
get(struct engine *e)
{
	uint32_t layers[CHUNKS], n = 0;
	struct kvr_results r = { .size = sizeof(r), .cap = CHUNKS, .layers = layers };

	wait_until_stored(e);
	poison(e);
	kvr_op op = begin(e, KVR_GET, 0, 60000);

	for (uint32_t l = 0; l < LAYERS; l++) {
		ERR(kvr_layer_wait(e->kvr, op, l, 0, &n), KVR_OK);
		ck_assert_uint_eq(n, CHUNKS);
		ck_assert_msg(is_there(e, l), "layer %u was told of and is not there", l);
	}
	OK(kvr_layer_wait(e->kvr, op, 0, KVR_NOW, NULL));
	OK(kvr_wait(e->kvr, op, 0, NULL, &r));
	for (uint32_t i = 0; i < CHUNKS; i++)
		ck_assert_uint_eq(layers[i], LAYERS);
	ERR(kvr_layer_wait(e->kvr, op, 0, KVR_NOW, NULL), KVR_E_STALE);
}

static void
there_and_back(struct kvr *k)
{
	struct engine *e = engine_open(k, KVR_FMT_KV_2LTD, "kv");
	struct engine *m = engine_open(k, KVR_FMT_KV_MLA, "mla");

	put(e, 1, 1);
	get(e);
	put(m, 50, 2);
	get(m);
	engine_close(e);
	engine_close(m);
	bed_close(k);
}

static struct kvr *
open_store(const char *url, const char *tier)
{
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"16MiB\"},\"tiers\":[{\"name\":\"a\",\"url\":\"%s\"%s}]}", url,
	    tier);
	return bed_open(json, NULL, NULL, NULL);
}

START_TEST(layers_go_to_every_store_and_come_back)
{
	KVR_EACH_STORE(bed, there_and_back(open_store(kvr_store_bed_url(bed), "")));
	KVR_EACH_STORE(bed, there_and_back(open_store(kvr_store_bed_url(bed),
	                        ",\"format\":\"sealed\",\"serde\":\"zstd\"")));
	there_and_back(open_store("memory://", ",\"write\":\"back\""));
}
END_TEST

/* The layout of what is stored is that of a put in one go, and either can be read either way. */
START_TEST(a_chunk_is_the_same_either_way)
{
	struct engine *e = engine_open(open_store("memory://", ""), KVR_FMT_KV_2LTD, "k");
	struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_GET,
		.n = CHUNKS,
		.keys = e->keys,
		.len = e->len,
		.tokens = &e->tokens };
	struct kvr *k = e->kvr;

	put(e, 9, 1);
	poison(e);
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	for (uint32_t l = 0; l < LAYERS; l++)
		ck_assert(is_there(e, l));
	b.kind = KVR_PUT;
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	get(e);
	engine_close(e);
	bed_close(k);
}
END_TEST

/* ---- what does not come ---- */

START_TEST(a_key_that_is_missing_says_which_layers_the_others_have)
{
	struct engine *e = engine_open(open_store("memory://", ""), KVR_FMT_KV_2LTD, "k");
	struct kvr *k = e->kvr;
	uint32_t layers[CHUNKS], n = 99;
	int32_t err[CHUNKS];
	struct kvr_results r = { .size = sizeof(r), .cap = CHUNKS, .layers = layers, .err = err };

	put(e, 3, 1);
	OK(kvr_remove(k, "k-3", false, 0));
	poison(e);
	kvr_op op = begin(e, KVR_GET, 0, 60000);

	ERR(kvr_layer_wait(k, op, LAYERS - 1, 0, &n), KVR_E_MISS);
	ck_assert_uint_eq(n, 3);
	ERR(kvr_wait(k, op, 0, NULL, &r), KVR_E_MISS);
	for (uint32_t i = 0; i < CHUNKS; i++) {
		ERR(err[i], i == 3 ? KVR_E_MISS : KVR_OK);
		ck_assert_uint_eq(layers[i], i == 3 ? 0 : LAYERS);
	}
	engine_close(e);
	bed_close(k);
}
END_TEST

/* The store stands still: nothing comes, and the wait ends when it is to end. */
START_TEST(a_wait_ends_at_its_own_instant)
{
	struct kvr_redis_server *server;
	uint32_t n = 99;

	if (kvr_redis_server_missing()) {
		fprintf(stderr, "without redis: redis-server is not installed\n");
		return;
	}
	server = kvr_redis_server_start(NULL, NULL);
	struct engine *e = engine_open(open_store(server->url, ""), KVR_FMT_KV_2LTD, "k");
	struct kvr *k = e->kvr;

	put(e, 3, 1);
	poison(e);
	kvr_redis_server_pause(server);
	kvr_op op = begin(e, KVR_GET, 0, 120000);

	ERR(kvr_layer_wait(k, op, 0, KVR_NOW, &n), KVR_E_UNFINISHED);
	ck_assert_uint_eq(n, 0);
	ERR(kvr_layer_wait(k, op, 0, bed_in_ms(20), NULL), KVR_E_UNFINISHED);
	kvr_redis_server_resume(server);
	OK(kvr_layer_wait(k, op, 0, 0, NULL));
	ck_assert(is_there(e, 0));
	OK(kvr_wait(k, op, 0, NULL, NULL));
	engine_close(e);
	bed_close(k);
	kvr_redis_server_stop(server);
}
END_TEST

/* Whatever it has fetched by then; and the next put of the key is a new one. */
START_TEST(a_put_whose_layers_do_not_come_ends_by_its_deadline)
{
	struct engine *e = engine_open(open_store("memory://", ""), KVR_FMT_KV_2LTD, "k");
	struct kvr *k = e->kvr;
	kvr_op op = begin(e, KVR_PUT, 0, 60);

	enum kvr_err err = kvr_layer_ready(k, op, 1, NULL);

	ck_assert(err == KVR_OK || err == KVR_E_STALE); /* if the machine took so long */
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_TIMEOUT);
	ERR(kvr_layer_ready(k, op, LAYERS - 1, NULL), KVR_E_STALE);
	op = begin(e, KVR_PUT, 0, 60000);
	OK(kvr_layer_ready(k, op, 0, NULL));
	OK(kvr_cancel(k, op));
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_CANCELLED);
	put(e, 77, 1);
	get(e);
	engine_close(e);
	bed_close(k);
}
END_TEST

/* A put that waits for its engine is in nobody's way, and one that is closed upon ends. */
START_TEST(others_pass_and_the_end_comes)
{
	struct kvr *k = open_store("memory://", "");
	struct engine *slow = engine_open(k, KVR_FMT_KV_2LTD, "slow");
	struct engine *e = engine_open(k, KVR_FMT_KV_MLA, "e");
	kvr_op op = begin(slow, KVR_PUT, 0, 60000);

	OK(kvr_layer_ready(k, op, 0, NULL));
	for (uint32_t i = 0; i < 3; i++) {
		put(e, i, 1);
		get(e);
	}
	ERR(kvr_wait(k, op, KVR_NOW, NULL, NULL), KVR_E_UNFINISHED);
	OK(kvr_close(k, 0, KVR_ABORT, NULL));
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_SHUTDOWN);
	kvr_free(k);
	free(slow);
	free(e);
}
END_TEST

/* ---- in a callback's company ---- */

struct heard {
	struct kvr *kvr;
	_Atomic uint32_t n;
	uint32_t layers[CHUNKS];
};

static void
on_done(void *arg, const struct kvr_done *done, const struct kvr_results *r)
{
	struct heard *h = arg;

	for (uint32_t i = 0; i < done->n; i++)
		h->layers[i] = r->layers[done->first + i];
	ERR(kvr_layer_wait(h->kvr, done->op, 0, KVR_NOW, NULL), KVR_E_INVALID);
	h->n++;
}

/* It is over, and told, before or while the engine waits for its layers: both are right. */
START_TEST(a_completion_may_come_before_the_layers_are_asked_for)
{
	struct engine *e = engine_open(open_store("memory://", ""), KVR_FMT_KV_MLA, "k");
	struct kvr *k = e->kvr;
	struct heard heard = { .kvr = k };
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_GET,
		.n = CHUNKS,
		.keys = e->keys,
		.len = e->len,
		.tokens = &e->tokens };
	const struct kvr_opts o = { .size = sizeof(o),
		.flags = KVR_LAYERS,
		.done = on_done,
		.done_arg = &heard,
		.until_ns = bed_in_ms(120000) };

	put(e, 1, 1);
	for (uint32_t round = 1; round <= 20; round++) {
		kvr_op op;

		OK(kvr_submit(k, &b, &o, &op));
		for (uint32_t l = 0; l < LAYERS; l++) {
			enum kvr_err err = kvr_layer_wait(k, op, l, 0, NULL);

			ck_assert_msg(err == KVR_OK || err == KVR_E_STALE, "%s", kvr_err_name(err));
		}
		uint64_t until_ns = bed_in_ms(60000);

		while (heard.n < round && bed_now_ns() < until_ns)
			nanosleep(&(const struct timespec){ .tv_nsec = 100000 }, NULL);
		ck_assert_uint_eq(heard.n, round);
		ck_assert_uint_eq(heard.layers[CHUNKS - 1], LAYERS);
	}
	engine_close(e);
	bed_close(k);
}
END_TEST

/* ---- what is refused, and in which words ---- */

static void
refused(struct engine *e, struct kvr_batch b, struct bed_log *log, const char *why)
{
	const struct kvr_opts o = { .size = sizeof(o), .flags = KVR_LAYERS };
	kvr_op op;

	pthread_mutex_lock(&log->lock);
	log->text[0] = '\0';
	pthread_mutex_unlock(&log->lock);
	ERR(kvr_submit(e->kvr, &b, &o, &op), KVR_E_INVALID);
	bed_log_has(log, why);
}

START_TEST(what_has_no_layers_is_refused_in_words)
{
	static uint8_t memory[64];
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}", NULL, NULL, &log);
	struct engine *e = engine_open(k, KVR_FMT_KV_2LTD, "k");
	void *at[] = { memory };
	struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_GET, .n = 1, .keys = "k", .len = e->len, .at = at
	};
	const uint64_t until_ns = bed_in_ms(60000);
	void *base[] = { memory };
	const struct kvr_cache_shape one = { .size = sizeof(one),
		.order = KVR_CACHE_BLOCKS,
		.format = KVR_FMT_KV_MLA,
		.dtype = KVR_DT_UINT8,
		.n_layers = 2,
		.n_planes = 1,
		.n_heads = 1,
		.head_size = 4,
		.block_tokens = 2,
		.n_blocks = 4,
		.layerwise = 1,
		.n_base = 1,
		.base = base };
	struct kvr_tokens t = e->tokens;
	const uint64_t eight = 8;

	refused(e, b, &log, "gets and puts of tokens");
	b.kind = KVR_LOOKUP;
	refused(e, b, &log, "gets and puts of tokens");
	b.kind = KVR_PUT;
	b.at = NULL;
	b.tokens = &t;
	b.len = &eight;
	OK(kvr_cache_open(k, &one, &t.cache));
	refused(e, b, &log, "submit a batch for each layer");
	kvr_op get = begin(e, KVR_GET, 0, 60000), put = begin(e, KVR_PUT, 0, 60000);

	ERR(kvr_layer_wait(k, get, LAYERS, until_ns, NULL), KVR_E_INVALID);
	bed_log_has(&log, "layer 5, and the cache has 5");
	ERR(kvr_layer_wait(k, put, 0, until_ns, NULL), KVR_E_INVALID);
	bed_log_has(&log, "no get with KVR_LAYERS");
	ERR(kvr_layer_ready(k, put, LAYERS, NULL), KVR_E_INVALID);
	ERR(kvr_layer_ready(k, put, 0, memory), KVR_E_INVALID);
	bed_log_has(&log, "event of a device");
	ERR(kvr_layer_wait(k, put, 0, 5, NULL), KVR_E_INVALID);
	ERR(kvr_layer_ready(k, put + (UINT64_C(1) << 40), 0, NULL), KVR_E_STALE);
	ERR(kvr_wait(k, get, 0, NULL, NULL), KVR_E_MISS);
	OK(kvr_layer_ready(k, put, LAYERS - 1, NULL));
	OK(kvr_wait(k, put, 0, NULL, NULL));
	engine_close(e);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.layers", layers_go_to_every_store_and_come_back, a_chunk_is_the_same_either_way,
    a_key_that_is_missing_says_which_layers_the_others_have, a_wait_ends_at_its_own_instant,
    a_put_whose_layers_do_not_come_ends_by_its_deadline, others_pass_and_the_end_comes,
    a_completion_may_come_before_the_layers_are_asked_for, what_has_no_layers_is_refused_in_words)
