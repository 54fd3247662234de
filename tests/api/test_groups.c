/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches of several groups of layers: whatever blocks, elements and order of memory each group has,
 * a chunk is the groups back to back, the store is told of each, and everything comes back bit for
 * bit.
 */
#include "kvr_api_bed.h"
#include "kvr_golden.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"
#include "kvr_stores.h"

enum { GROUPS = 8, KEYS = 4 };

static uint64_t
draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % below;
}

struct group {
	uint32_t dtype, element, layers, heads, head_size, block, n_blocks, order;
	size_t row, len;
	uint8_t *memory, *want;
	int32_t *table;
	int64_t *slot;
	uint32_t number[16];
};

struct world {
	uint64_t seed;
	struct kvr *kvr;
	struct kvr_cache *cache;
	uint32_t n, planes, tokens, each, layers, n_keys;
	bool by_slot, numbered;
	struct group g[GROUPS];
	struct kvr_tokens t[GROUPS];
	char keys[KEYS * 16];
	uint64_t len[KEYS];
};

static uint32_t
tokens_of(const struct world *w, uint32_t key)
{
	return key == w->n_keys - 1 ? w->tokens - w->each * key : w->each;
}

/* [plane, block, token] of a layer, or [block, layer, plane, token] of all. */
static uint8_t *
row_of(const struct world *w, const struct group *g, uint32_t l, uint32_t p, uint32_t token)
{
	size_t slot = (size_t)g->slot[token], block = slot / g->block, in = slot % g->block;
	size_t at = g->order == KVR_CACHE_BLOCKS
	                ? ((block * g->layers + l) * w->planes + p) * g->block + in
	                : ((size_t)l * w->planes + p) * g->n_blocks * g->block + slot;

	return g->memory + at * g->row;
}

/* Every block once, in another order each time. */
static void
choose_blocks(struct world *w, struct group *g)
{
	for (uint32_t i = 0; i < g->n_blocks; i++)
		g->table[i] = (int32_t)i;
	for (uint32_t i = g->n_blocks; i > 1; i--) {
		uint32_t k = (uint32_t)draw(&w->seed, i);
		int32_t keep = g->table[i - 1];

		g->table[i - 1] = g->table[k];
		g->table[k] = keep;
	}
	for (uint32_t t = 0; t < w->tokens; t++)
		g->slot[t] = (int64_t)g->table[t / g->block] * g->block + t % g->block;
}

static void
fill(struct world *w, struct group *g)
{
	for (size_t i = 0; i < g->len; i += sizeof(w->seed)) {
		size_t left = g->len - i;

		draw(&w->seed, 2);
		memcpy(g->memory + i, &w->seed, left < sizeof(w->seed) ? left : sizeof(w->seed));
	}
}

static void
make_group(struct world *w, struct group *g)
{
	g->row = (size_t)g->heads * g->head_size * g->element;
	g->n_blocks = (w->tokens + g->block - 1) / g->block + 2;
	g->len = (size_t)g->layers * w->planes * g->n_blocks * g->block * g->row;
	g->memory = malloc(g->len);
	g->want = malloc(g->len);
	g->table = calloc(g->n_blocks, sizeof(*g->table));
	g->slot = calloc(w->tokens, sizeof(*g->slot));
	ck_assert(g->memory != NULL && g->want != NULL && g->table != NULL && g->slot != NULL);
	choose_blocks(w, g);
	w->layers += g->layers;
}

static void
world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		free(w->g[i].memory);
		free(w->g[i].want);
		free(w->g[i].table);
		free(w->g[i].slot);
	}
}

static void
shapes_of(struct world *w, struct kvr_cache_shape s[GROUPS], void *base[GROUPS][16])
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct group *g = &w->g[i];

		for (uint32_t l = 0; l < g->layers && g->order == KVR_CACHE_LAYERS; l++)
			base[i][l] = g->memory + l * (g->len / g->layers);
		if (g->order == KVR_CACHE_BLOCKS)
			base[i][0] = g->memory;
		s[i] = (struct kvr_cache_shape){ .size = sizeof(s[i]),
			.order = g->order,
			.format = w->planes == 1 ? KVR_FMT_KV_MLA : KVR_FMT_KV_2LTD,
			.dtype = g->dtype,
			.n_layers = g->layers,
			.n_planes = w->planes,
			.n_heads = g->heads,
			.head_size = g->head_size,
			.block_tokens = g->block,
			.n_blocks = g->n_blocks,
			.n_base = g->order == KVR_CACHE_BLOCKS ? 1 : g->layers,
			.base = base[i],
			.number = w->numbered ? g->number : NULL,
			.next = i + 1 < w->n ? &s[i + 1] : NULL };
	}
}

static void
tables_of(struct world *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct group *g = &w->g[i];
		bool slots = w->by_slot != (i % 2 == 1); /* one way here, the other there */

		w->t[i] = (struct kvr_tokens){ .size = sizeof(w->t[i]),
			.n = slots ? w->tokens : g->n_blocks,
			.cache = i == 0 ? w->cache : NULL,
			.slot = slots ? g->slot : NULL,
			.block = slots ? NULL : g->table,
			.next = i + 1 < w->n ? &w->t[i + 1] : NULL };
	}
}

static void
world_open(struct world *w, struct kvr *k, const char *name)
{
	struct kvr_cache_shape s[GROUPS];
	void *base[GROUPS][16];
	char *at = w->keys;
	uint64_t token = 0;

	w->kvr = k;
	shapes_of(w, s, base);
	OK(kvr_cache_open(k, s, &w->cache));
	tables_of(w);
	for (uint32_t i = 0; i < w->n; i++)
		token += w->g[i].row * w->planes * w->g[i].layers;
	for (uint32_t i = 0; i < w->n_keys; i++) {
		at += snprintf(at, 16, "%s-%u", name, i) + 1;
		w->len[i] = token * tokens_of(w, i);
	}
}

static enum kvr_err
move(struct world *w, uint32_t kind)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = w->n_keys,
		.keys = w->keys,
		.len = w->len,
		.tokens = w->t };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };

	return kvr_run(w->kvr, &b, &o, NULL, NULL);
}

/* A chunk by its definition: [plane, layer, token, hidden] of each group. */
static void
chunk_of(const struct world *w, uint32_t key, uint8_t *ret)
{
	for (uint32_t i = 0; i < w->n; i++)
		for (uint32_t p = 0; p < w->planes; p++)
			for (uint32_t l = 0; l < w->g[i].layers; l++)
				for (uint32_t t = 0; t < tokens_of(w, key); t++) {
					memcpy(ret, row_of(w, &w->g[i], l, p, key * w->each + t),
					    w->g[i].row);
					ret += w->g[i].row;
				}
}

static void
stored_as_chunks(const struct world *w)
{
	const char *key = w->keys;

	for (uint32_t i = 0; i < w->n_keys; i++, key += strlen(key) + 1) {
		uint8_t *got = malloc(w->len[i]), *want = malloc(w->len[i]);
		void *at = got;
		const struct kvr_batch b = { .size = sizeof(b),
			.kind = KVR_GET,
			.n = 1,
			.keys = key,
			.at = &at,
			.len = &w->len[i] };

		ck_assert(got != NULL && want != NULL);
		chunk_of(w, i, want);
		ERR(kvr_run(w->kvr, &b, NULL, NULL, NULL), KVR_OK);
		ck_assert_int_eq(memcmp(got, want, w->len[i]), 0);
		free(got);
		free(want);
	}
}

/* Other blocks, everything poisoned: the tokens' rows are to come, nothing else is to change. */
static void
poison(struct world *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct group *g = &w->g[i];
		size_t n = 0, rows = (size_t)g->layers * w->planes * w->tokens;
		uint8_t *row = malloc(rows * g->row);

		ck_assert_ptr_nonnull(row);
		for (uint32_t l = 0; l < g->layers; l++)
			for (uint32_t p = 0; p < w->planes; p++)
				for (uint32_t t = 0; t < w->tokens; t++)
					memcpy(row + n++ * g->row, row_of(w, g, l, p, t), g->row);
		choose_blocks(w, g);
		memset(g->memory, 0xa5, g->len);
		n = 0;
		for (uint32_t l = 0; l < g->layers; l++)
			for (uint32_t p = 0; p < w->planes; p++)
				for (uint32_t t = 0; t < w->tokens; t++)
					memcpy(row_of(w, g, l, p, t), row + n++ * g->row, g->row);
		memcpy(g->want, g->memory, g->len);
		memset(g->memory, 0xa5, g->len);
		free(row);
	}
}

static void
came_back(const struct world *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		ck_assert_msg(memcmp(w->g[i].memory, w->g[i].want, w->g[i].len) == 0,
		    "group %u of %u is another", i, w->n);
}

/* In the order of the model: a layer of any group, when its turn has come. */
static bool
layer_is_there(const struct world *w, uint32_t number)
{
	uint32_t before = 0;

	for (uint32_t i = 0; i < w->n; before += w->g[i].layers, i++)
		for (uint32_t l = 0; l < w->g[i].layers; l++) {
			const struct group *g = &w->g[i];

			if ((w->numbered ? g->number[l] : before + l) != number)
				continue;
			for (uint32_t p = 0; p < w->planes; p++)
				for (uint32_t t = 0; t < w->tokens; t++) {
					const uint8_t *at = row_of(w, g, l, p, t);

					if (memcmp(at, g->want + (at - g->memory), g->row) != 0)
						return false;
				}
			return true;
		}
	return false;
}

static void
get_by_layers(struct world *w)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_GET,
		.n = w->n_keys,
		.keys = w->keys,
		.len = w->len,
		.tokens = w->t };
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = KVR_LAYERS, .until_ns = bed_in_ms(60000)
	};
	kvr_op op;

	OK(kvr_submit(w->kvr, &b, &o, &op));
	for (uint32_t l = 0; l < w->layers; l++) {
		ERR(kvr_layer_wait(w->kvr, op, l, 0, NULL), KVR_OK);
		ck_assert_msg(layer_is_there(w, l), "layer %u of the model is not there", l);
	}
	OK(kvr_wait(w->kvr, op, 0, NULL, NULL));
}

static void
there_and_back(struct world *w, struct kvr *k, const char *name)
{
	enum kvr_err err;
	uint64_t until_ns = bed_in_ms(60000);

	world_open(w, k, name);
	for (uint32_t i = 0; i < w->n; i++)
		fill(w, &w->g[i]);
	ERR(move(w, KVR_PUT), KVR_OK);
	stored_as_chunks(w);
	poison(w);
	ERR(move(w, KVR_GET), KVR_OK);
	came_back(w);
	poison(w);
	get_by_layers(w);
	came_back(w);
	do
		err = kvr_cache_close(w->cache);
	while (err == KVR_E_BUSY && bed_now_ns() < until_ns);
	OK(err);
}

/* ---- worlds ---- */

/* Full attention in layers 0, 2, 5 and a window in 1, 3, 4, with blocks and elements of its own. */
static struct world
hybrid(uint64_t seed)
{
	struct world w = { .seed = seed, .n = 2, .planes = 2, .tokens = 3 * 32 + 7, .each = 32, .n_keys = KEYS,
		.numbered = true };

	w.g[0] = (struct group){ .dtype = KVR_DT_BFLOAT16, .element = 2, .layers = 3, .heads = 2,
		.head_size = 16, .block = 16, .order = KVR_CACHE_LAYERS, .number = { 0, 2, 5 } };
	w.g[1] = (struct group){ .dtype = KVR_DT_FP8_E4M3FN, .element = 1, .layers = 3, .heads = 1,
		.head_size = 24, .block = 5, .order = KVR_CACHE_BLOCKS, .number = { 1, 3, 4 } };
	for (uint32_t i = 0; i < w.n; i++)
		make_group(&w, &w.g[i]);
	return w;
}

static struct kvr *
open_store(const char *url, const char *tier, const struct kvr_layout *layout)
{
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"128MiB\"},\"tiers\":[{\"name\":\"a\",\"url\":\"%s\"%s}]}", url,
	    tier);
	return bed_open(json, NULL, layout, NULL);
}

/* The shape of a full chunk of tokens, as an engine gives it to kvr_open. */
static struct kvr_layout
layout_of(const struct world *w, uint32_t tokens, struct kvr_group group[GROUPS])
{
	for (uint32_t i = 0; i < w->n; i++)
		group[i] = (struct kvr_group){ .dtype = w->g[i].dtype,
			.n_dims = 4,
			.dim = { w->planes, w->g[i].layers, tokens, w->g[i].row / w->g[i].element } };
	return (struct kvr_layout){ .size = sizeof(struct kvr_layout),
		.format = w->planes == 1 ? KVR_FMT_KV_MLA : KVR_FMT_KV_2LTD,
		.n_groups = w->n,
		.group = group };
}

static void
try_store(const char *url, const char *tier)
{
	struct world w = hybrid(5);
	struct kvr_group group[GROUPS];
	const struct kvr_layout layout = layout_of(&w, w.each, group);
	struct kvr *k = open_store(url, tier, &layout);

	there_and_back(&w, k, "m@1@0@7@half");
	bed_close(k);
	world_free(&w);
}

START_TEST(groups_go_to_every_store_and_come_back)
{
	KVR_EACH_STORE(bed, try_store(kvr_store_bed_url(bed), ""));
	KVR_EACH_STORE(bed, try_store(kvr_store_bed_url(bed), ",\"format\":\"sealed\",\"serde\":\"zstd\""));
}
END_TEST

static struct world
any_world(uint64_t seed)
{
	static const struct {
		uint32_t dtype, element;
	} kind[] = { { KVR_DT_BFLOAT16, 2 }, { KVR_DT_UINT8, 1 }, { KVR_DT_FLOAT32, 4 },
		{ KVR_DT_FLOAT64, 8 } };
	struct world w = { .seed = seed, .n_keys = KEYS };

	w.n = 1 + (uint32_t)draw(&w.seed, GROUPS);
	w.planes = 1 + (uint32_t)draw(&w.seed, 2);
	w.each = 1 + (uint32_t)draw(&w.seed, 40);
	w.tokens = w.each * (KEYS - 1) + 1 + (uint32_t)draw(&w.seed, w.each);
	w.by_slot = draw(&w.seed, 2) == 0;
	for (uint32_t i = 0; i < w.n; i++) {
		struct group *g = &w.g[i];
		uint64_t k = draw(&w.seed, sizeof(kind) / sizeof(kind[0]));

		g->dtype = kind[k].dtype;
		g->element = kind[k].element;
		g->layers = 1 + (uint32_t)draw(&w.seed, 4);
		g->heads = w.planes == 1 ? 1 : 1 + (uint32_t)draw(&w.seed, 3);
		g->head_size = 1 + (uint32_t)draw(&w.seed, 20);
		g->block = 1 + (uint32_t)draw(&w.seed, 20);
		g->order = draw(&w.seed, 2) == 0 ? KVR_CACHE_LAYERS : KVR_CACHE_BLOCKS;
		make_group(&w, g);
	}
	return w;
}

START_TEST(groups_of_any_shape_come_back)
{
	struct kvr *k = open_store("memory://", "", NULL);
	char name[16];

	for (uint32_t i = 0; i < 40; i++) {
		struct world w = any_world(i * 7 + 1);

		snprintf(name, sizeof(name), "w%u", i);
		there_and_back(&w, k, name);
		world_free(&w);
	}
	bed_close(k);
}
END_TEST

/* ---- LMCache's bytes ---- */

/* A cache of which LMCache would write a chunk like this. False: there is none. */
static bool
golden_world(const struct kvr_golden *c, struct world *ret)
{
	static const struct {
		const char *name;
		uint32_t dtype, element;
	} kind[] = { { "half", KVR_DT_HALF, 2 }, { "bfloat16", KVR_DT_BFLOAT16, 2 },
		{ "uint8", KVR_DT_UINT8, 1 } };
	const struct kvr_golden *dtype = kvr_golden_first(kvr_golden_get(c, "dtypes"));

	*ret = (struct world){ .seed = 3, .planes = 2, .n_keys = 1 };
	if (kvr_golden_find(c, "hex") == NULL || kvr_golden_int_of(c, "groups") < 2 ||
	    strcmp(kvr_golden_text_of(c, "fmt"), "KV_2LTD") != 0)
		return false;
	KVR_GOLDEN_EACH(shape, kvr_golden_get(c, "shapes"))
	{
		const struct kvr_golden *dim = kvr_golden_first(shape);
		int64_t d[4];
		struct group *g = &ret->g[ret->n++];

		for (uint32_t i = 0; i < 4; i++, dim = kvr_golden_next(dim))
			d[i] = kvr_golden_int(dim);
		if (d[0] != 2 || (ret->n > 1 && d[2] != ret->each))
			return false;
		ret->each = (uint32_t)d[2];
		*g = (struct group){
			.layers = (uint32_t)d[1], .heads = 1, .head_size = (uint32_t)d[3], .block = 16
		};
		for (uint32_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++)
			if (strcmp(kvr_golden_text(dtype), kind[i].name) == 0) {
				g->dtype = kind[i].dtype;
				g->element = kind[i].element;
			}
		ck_assert_uint_ne(g->dtype, 0);
		dtype = kvr_golden_next(dtype);
		g->order = KVR_CACHE_BLOCKS;
	}
	ret->tokens = ret->each;
	for (uint32_t i = 0; i < ret->n; i++)
		make_group(ret, &ret->g[i]);
	return true;
}

/* One full chunk in LMCache's layout on Redis: the header and the bytes that LMCache has. */
static void
audit(struct kvr_redis_server *server, const struct kvr_golden *c, struct world *w)
{
	static const char *const key = "m@1@0@0@half";
	struct kvr_group group[GROUPS];
	const struct kvr_layout layout = layout_of(w, w->each, group);
	struct kvr *k = open_store(server->url, ",\"format\":\"lmcache\"", &layout);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	size_t n;
	uint8_t *header = kvr_golden_hex_of(c, "hex", &n);

	world_open(w, k, key);
	for (uint32_t i = 0; i < w->n; i++)
		fill(w, &w->g[i]);
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = 1,
		.key = &key,
		.len = w->len,
		.tokens = w->t };
	uint8_t *want = malloc(w->len[0]);

	ck_assert_uint_eq(w->len[0], (uint64_t)kvr_golden_int_of(c, "length"));
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_OK);
	struct kvr_raw_reply r = kvr_raw_get(raw, "m@1@0@0@halfmetadata");

	ck_assert_uint_eq(r.len, n);
	ck_assert_int_eq(memcmp(r.bytes, header, n), 0);
	ck_assert_ptr_nonnull(want);
	chunk_of(w, 0, want);
	r = kvr_raw_get(raw, "m@1@0@0@halfkv_bytes");
	ck_assert_uint_eq(r.len, w->len[0]);
	ck_assert_int_eq(memcmp(r.bytes, want, r.len), 0);
	free(want);
	free(header);
	kvr_raw_close(raw);
	bed_close(k);
}

START_TEST(what_is_stored_is_lmcaches_chunk_of_several_shapes)
{
	struct kvr_golden *all = kvr_golden_open("remote_metadata.json");
	struct kvr_redis_server *server;
	uint32_t n = 0;

	if (kvr_redis_server_missing()) {
		fprintf(stderr, "without redis: redis-server is not installed\n");
		return;
	}
	server = kvr_redis_server_start(NULL, NULL);
	KVR_GOLDEN_EACH(c, kvr_golden_get(all, "cases"))
	{
		struct world w;

		if (golden_world(c, &w)) {
			audit(server, c, &w);
			n++;
		}
		world_free(&w);
	}
	ck_assert_uint_eq(n, 2);
	kvr_redis_server_stop(server);
	kvr_golden_close(all);
}
END_TEST

/* ---- what is refused, and in which words ---- */

static void
forget(struct bed_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->text[0] = '\0';
	pthread_mutex_unlock(&log->lock);
}

/* The second shape of a hybrid cache is changed. */
#define SHAPE(why, ...)                                                                            \
	do {                                                                                       \
		struct kvr_cache_shape s[GROUPS];                                                  \
		void *base[GROUPS][16];                                                            \
		uint32_t number[3] = { 1, 3, 4 };                                                  \
		struct kvr_cache *cache = NULL;                                                    \
		shapes_of(&w, s, base);                                                            \
		s[1].number = number;                                                              \
		__VA_ARGS__;                                                                       \
		forget(&log);                                                                      \
		ERR(kvr_cache_open(k, s, &cache), KVR_E_INVALID);                                  \
		bed_log_has(&log, why);                                                            \
	} while (0)

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

/* Such lines are rationed, ten a second and instance: hence more tests than one. */
START_TEST(groups_that_do_not_go_together_are_refused_in_words)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	struct world w = hybrid(1);

	SHAPE("group 1: size of kvr_cache_shape", s[1].size = 8);
	SHAPE("group 0: n_blocks is 0", s[0].n_blocks = 0);
	SHAPE("group 1: n_heads is 0", s[1].n_heads = 0);
	SHAPE("group 1: format is another", s[1].format = KVR_FMT_KV_MLA; s[1].n_planes = 1);
	SHAPE("group 1: a chunk of several groups has all layers", s[1].format = KVR_FMT_KV_T2D);
	SHAPE("group 1: memory is another", s[1].memory = KVR_MEMORY_DEVICE);
	SHAPE("group 1: number is given for some", s[1].number = NULL);
	SHAPE("not below the number of layers", number[2] = 6);
	SHAPE("two layers have one number", number[2] = 5);
	SHAPE("more than 8 groups", s[1].next = &s[0]);
	bed_close(k);
	world_free(&w);
}
END_TEST

#define REFUSED(why, ...)                                                                          \
	do {                                                                                       \
		tables_of(&w);                                                                     \
		__VA_ARGS__;                                                                       \
		forget(&log);                                                                      \
		ERR(move(&w, KVR_PUT), KVR_E_INVALID);                                             \
		bed_log_has(&log, why);                                                            \
	} while (0)

START_TEST(tokens_of_groups_that_are_said_wrongly_are_refused_in_words)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	struct world w = hybrid(2);
	const uint32_t first[KEYS] = { 0 };

	world_open(&w, k, "k");
	REFUSED("tokens of 1 groups, and the cache has 2", w.t[0].next = NULL);
	REFUSED("size of kvr_tokens", w.t[1].size = 8);
	REFUSED("slot or block, one of them, in each group", w.t[1].block = NULL; w.t[1].slot = NULL);
	REFUSED("group 1 have only slot or block", w.t[1].first = first);
	REFUSED("more than 8 groups", w.t[1].next = &w.t[0]);
	REFUSED("key 3, group 1 is tokens 96 to 103, and the table has 100", w.t[1].n = 100);
	w.g[1].slot[40] = -1;
	REFUSED("key 1, group 1: token 40 has slot -1", w.by_slot = false);
	bed_close(k);
	world_free(&w);
}
END_TEST

START_TEST(headers_have_the_groups_that_the_instance_was_opened_with)
{
	struct kvr_redis_server *server;
	struct bed_log log = BED_LOG;
	struct world w = hybrid(1);
	char json[256];

	if (kvr_redis_server_missing()) {
		fprintf(stderr, "without redis: redis-server is not installed\n");
		return;
	}
	server = kvr_redis_server_start(NULL, NULL);
	snprintf(json, sizeof(json),
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"%s\",\"format\":\"lmcache\"}]}", server->url);
	struct kvr *k = bed_open(json, NULL, NULL, &log);

	SHAPE("2 groups, and a tier in LMCache's format has headers for 1", s[1].next = NULL);
	bed_close(k);
	kvr_redis_server_stop(server);
	world_free(&w);
}
END_TEST

KVR_CHECK_MAIN("api.groups", groups_go_to_every_store_and_come_back, groups_of_any_shape_come_back,
    what_is_stored_is_lmcaches_chunk_of_several_shapes,
    groups_that_do_not_go_together_are_refused_in_words,
    tokens_of_groups_that_are_said_wrongly_are_refused_in_words,
    headers_have_the_groups_that_the_instance_was_opened_with)
