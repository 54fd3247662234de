/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hybrid model's cache in a device's memory, layer by layer: two groups with blocks and elements
 * of their own. A put fetches each layer behind the event that the engine has recorded for it; a
 * get tells of a layer when the device has it.
 */
#include "kvr_api_bed.h"

#include "gpu_bed.h"
#include "gpu_check.h"
#include "kvr_stores.h"

#include <stdlib.h>

enum { LAYERS = 8, TOKENS = 3 * 64 + 11, EACH = 64, KEYS = 4, POISON = 0xa5 };

/* Layers 0, 2, 5, 7 have rows of 2,048 bytes in blocks of 16, the others of 96 in blocks of 7. */
static const struct {
	uint32_t heads, head_size, dtype, element, block, blocks;
	uint32_t number[LAYERS / 2];
} of[] = { { 8, 128, KVR_DT_BFLOAT16, 2, 16, 16, { 0, 2, 5, 7 } },
	{ 3, 32, KVR_DT_UINT8, 1, 7, 32, { 1, 3, 4, 6 } } };

struct engine {
	struct kvr *kvr;
	struct kvr_cache *cache;
	uint8_t *far[LAYERS]; /* by the model's number: both planes */
	void *event[LAYERS];
	int64_t slot[2][TOKENS];
	struct kvr_tokens tokens[2];
	uint64_t len[KEYS];
};

static uint32_t
group_of(uint32_t layer)
{
	return layer == 0 || layer == 2 || layer == 5 || layer == 7 ? 0 : 1;
}

static size_t
row_of(uint32_t g)
{
	return (size_t)of[g].heads * of[g].head_size * of[g].element;
}

static size_t
layer_bytes(uint32_t layer)
{
	uint32_t g = group_of(layer);

	return 2 * row_of(g) * of[g].block * of[g].blocks;
}

/* Blocks in no order: 5 and 16, and 5 and 32, have no common divisor. */
static void
choose_slots(struct engine *e, uint32_t from)
{
	for (uint32_t g = 0; g < 2; g++)
		for (uint32_t t = 0; t < TOKENS; t++)
			e->slot[g][t] =
			    (int64_t)((t / of[g].block * 5 + from) % of[g].blocks) * of[g].block +
			    t % of[g].block;
}

static void
shapes_of(struct engine *e, struct kvr_cache_shape s[2], void *base[2][LAYERS / 2])
{
	for (uint32_t g = 0; g < 2; g++) {
		for (uint32_t l = 0; l < LAYERS / 2; l++)
			base[g][l] = e->far[of[g].number[l]];
		s[g] = (struct kvr_cache_shape){ .size = sizeof(s[g]),
			.order = KVR_CACHE_LAYERS,
			.format = KVR_FMT_KV_2LTD,
			.dtype = of[g].dtype,
			.n_layers = LAYERS / 2,
			.n_planes = 2,
			.n_heads = of[g].heads,
			.head_size = of[g].head_size,
			.block_tokens = of[g].block,
			.n_blocks = of[g].blocks,
			.n_base = LAYERS / 2,
			.memory = gpu_is_twin() ? KVR_MEMORY_HOST : KVR_MEMORY_DEVICE,
			.base = base[g],
			.number = of[g].number };
		e->tokens[g] = (struct kvr_tokens){
			.size = sizeof(e->tokens[g]), .n = TOKENS, .slot = e->slot[g]
		};
	}
	s[0].next = &s[1];
	e->tokens[0].next = &e->tokens[1];
}

static void
engine_open(struct engine *e, struct kvr *k)
{
	struct kvr_cache_shape s[2];
	void *base[2][LAYERS / 2];

	memset(e, 0, sizeof(*e));
	e->kvr = k;
	for (uint32_t l = 0; l < LAYERS; l++)
		e->far[l] = gpu_alloc(layer_bytes(l));
	shapes_of(e, s, base);
	choose_slots(e, 3);
	OK(kvr_cache_open(k, s, &e->tokens[0].cache));
	for (uint32_t i = 0; i < KEYS; i++)
		e->len[i] = (uint64_t)(i == KEYS - 1 ? TOKENS - EACH * (KEYS - 1) : EACH) *
		            (row_of(0) + row_of(1)) * LAYERS;
}

static void
engine_close(struct engine *e)
{
	for (uint32_t l = 0; l < LAYERS; l++) {
		gpu_free(e->far[l]);
		if (e->event[l] != NULL)
			gpu_event_free(e->event[l]);
	}
}

static kvr_op
begin(struct engine *e, uint32_t kind)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = KEYS,
		.keys = "h-0\0h-1\0h-2\0h-3",
		.len = e->len,
		.tokens = e->tokens };
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = KVR_LAYERS, .until_ns = bed_in_ms(120000)
	};
	kvr_op op;

	OK(kvr_submit(e->kvr, &b, &o, &op));
	return op;
}

static void
fill(struct engine *e, uint32_t layer, int byte)
{
	uint8_t *bytes = malloc(layer_bytes(layer));

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, byte, layer_bytes(layer));
	gpu_put(e->far[layer], bytes, layer_bytes(layer));
	free(bytes);
}

/* The engine's kernels are still to come when it says that a layer is ready: the event stands for them. */
static void
put(struct engine *e)
{
	for (uint32_t l = 0; l < LAYERS; l++)
		fill(e, l, POISON);
	kvr_op op = begin(e, KVR_PUT);

	for (uint32_t l = 0; l < LAYERS; l++) {
		e->event[l] = gpu_fill_later(e->far[l], (int)l + 1, layer_bytes(l));
		OK(kvr_layer_ready(e->kvr, op, l, e->event[l]));
	}
	ERR(kvr_wait(e->kvr, op, 0, NULL, NULL), KVR_OK);
	gpu_wait();
}

/* The tokens' rows are the layer's, and every other is poison. */
static bool
is_there(const struct engine *e, uint32_t layer)
{
	uint32_t g = group_of(layer);
	size_t plane = layer_bytes(layer) / 2;
	uint8_t *got = malloc(2 * plane), *want = malloc(2 * plane);

	ck_assert(got != NULL && want != NULL);
	memset(want, POISON, 2 * plane);
	for (uint32_t t = 0; t < TOKENS; t++)
		for (uint32_t p = 0; p < 2; p++)
			memset(want + p * plane + (size_t)e->slot[g][t] * row_of(g), (int)layer + 1,
			    row_of(g));
	gpu_fetch(got, e->far[layer], 2 * plane);
	bool same = memcmp(got, want, 2 * plane) == 0;

	free(got);
	free(want);
	return same;
}

static void
get(struct engine *e)
{
	uint32_t layers[KEYS];
	struct kvr_results r = { .size = sizeof(r), .cap = KEYS, .layers = layers };

	choose_slots(e, 9);
	for (uint32_t l = 0; l < LAYERS; l++)
		fill(e, l, POISON);
	kvr_op op = begin(e, KVR_GET);

	for (uint32_t l = 0; l < LAYERS; l++) {
		ERR(kvr_layer_wait(e->kvr, op, l, 0, NULL), KVR_OK);
		ck_assert_msg(is_there(e, l), "layer %u was told of and is not there", l);
	}
	ERR(kvr_wait(e->kvr, op, 0, NULL, &r), KVR_OK);
	for (uint32_t i = 0; i < KEYS; i++)
		ck_assert_uint_eq(layers[i], LAYERS);
}

static void
there_and_back(const char *url, const char *tier)
{
	char json[512];
	struct engine e;

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"64MiB\",\"device\":\"%s\"},\"tiers\":[{\"name\":\"a\","
	    "\"url\":\"%s\"%s}]}",
	    gpu_is_twin() ? "none" : "cuda", url, tier);
	struct kvr *k = bed_open(json, NULL, NULL, NULL);

	engine_open(&e, k);
	put(&e);
	get(&e);
	bed_close(k);
	engine_close(&e);
}

START_TEST(layers_of_groups_go_to_stores_and_come_back)
{
	KVR_EACH_STORE(bed, there_and_back(kvr_store_bed_url(bed), ""));
	there_and_back("memory://", ",\"format\":\"sealed\",\"serde\":\"zstd\"");
}
END_TEST

int
main(int argc, char **argv)
{
	const TTest *const tests[] = { layers_of_groups_go_to_stores_and_come_back };

	gpu_open(argc, argv);
	printf("on %s\n", gpu_name());
	return gpu_run("gpu.layers", tests, KVR_LEN(tests));
}
