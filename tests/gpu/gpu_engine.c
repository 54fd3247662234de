/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_engine.h"

/*
 * Tokens of a chunk, and of the last one: a part has more pieces than one call takes. A thread
 * sanitizer writes down four bytes for each that is copied, and a put and its get copy each a dozen
 * times.
 */
#if defined(__SANITIZE_THREAD__)
enum { TOKENS = 36, TOKENS_LAST = 21 };
#else
enum { TOKENS = 100, TOKENS_LAST = 37 };
#endif

static void
open_engine(struct gpu_engine *e, struct kvr *k, uint32_t seed, uint32_t block, bool heads_first)
{
	void *base[64];
	uint32_t layers = 4, each = TOKENS, last = TOKENS_LAST;

	memset(e, 0, sizeof(*e));
	e->kvr = k;
	e->w.seed = seed;
	e->w.pages = (struct kvr_pages){ .memfmt = KVR_FMT_KV_2LTD,
		.n_layers = layers,
		.n_planes = 2,
		.n_heads = 8,
		.head_bytes = 256,
		.block_tokens = block,
		.n_blocks = each * GPU_KEYS / block + 2 };
	paged_lay_out(&e->w, PAGED_PER_LAYER, heads_first, 0);
	paged_choose_slots(&e->w, each * (GPU_KEYS - 1) + last, block, false);
	e->far = gpu_alloc(e->w.memory_len);
	gpu_put(e->far, e->w.memory, e->w.memory_len);
	for (uint32_t l = 0; l < layers; l++)
		base[l] = e->far + (e->w.base[2 * l] - e->w.memory);
	for (uint32_t i = 0; i < GPU_KEYS; i++)
		e->len[i] = kvr_pages_token(&e->w.pages) * (i == GPU_KEYS - 1 ? last : each);
	e->slot = calloc(e->w.tokens, sizeof(e->slot[0]));
	ck_assert_ptr_nonnull(e->slot);
	for (uint32_t i = 0; i < e->w.tokens; i++)
		e->slot[i] = e->w.slot[i];
	const struct kvr_cache_shape s = { .size = sizeof(s),
		.order = KVR_CACHE_LAYERS,
		.format = KVR_FMT_KV_2LTD,
		.dtype = KVR_DT_BFLOAT16,
		.n_layers = layers,
		.n_planes = 2,
		.n_heads = 8,
		.head_size = 128,
		.block_tokens = block,
		.n_blocks = e->w.pages.n_blocks,
		.n_base = layers,
		.token_stride = e->w.pages.token_stride,
		.head_stride = e->w.pages.head_stride,
		.memory = gpu_is_twin() ? KVR_MEMORY_HOST : KVR_MEMORY_DEVICE,
		.base = base };

	OK(kvr_cache_open(k, &s, &e->cache));
	e->tokens = (struct kvr_tokens){
		.size = sizeof(e->tokens), .n = e->w.tokens, .cache = e->cache, .slot = e->slot
	};
}

void
gpu_engine_open(struct gpu_engine *e, struct kvr *k, uint32_t seed, uint32_t block)
{
	open_engine(e, k, seed, block, false);
}

void
gpu_engine_open_heads(struct gpu_engine *e, struct kvr *k, uint32_t seed, uint32_t block)
{
	open_engine(e, k, seed, block, true);
}

void
gpu_engine_renew(struct gpu_engine *e)
{
	paged_scramble(&e->w.seed, e->w.memory, e->w.memory_len);
	gpu_put(e->far, e->w.memory, e->w.memory_len);
}

void
gpu_engine_close(struct gpu_engine *e)
{
	gpu_free(e->far);
	gpu_engine_forget(e);
}

void
gpu_engine_forget(struct gpu_engine *e)
{
	free(e->slot);
	paged_free(&e->w);
}

static enum kvr_err
submit(struct gpu_engine *e, uint32_t kind, const char *name, void *event, const struct kvr_opts *o,
    kvr_op *ret)
{
	char keys[GPU_KEYS * 32], *at = keys;

	for (uint32_t i = 0; i < GPU_KEYS; i++)
		at += snprintf(at, 32, "%s-%u", name, i) + 1;
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = GPU_KEYS,
		.keys = keys,
		.len = e->len,
		.tokens = &e->tokens,
		.recorded = event };

	return kvr_submit(e->kvr, &b, o, ret);
}

enum kvr_err
gpu_engine_record(struct gpu_engine *e, uint32_t kind, const char *name, void *event,
    const struct kvr_opts *o, kvr_op *ret)
{
	return submit(e, kind, name, event, o, ret);
}

enum kvr_err
gpu_engine_submit(
    struct gpu_engine *e, uint32_t kind, const char *name, uint64_t until_ms, kvr_op *ret)
{
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(until_ms) };

	return submit(e, kind, name, NULL, &o, ret);
}

void
gpu_engine_moves(struct gpu_engine *e, uint32_t kind, const char *name)
{
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	OK(gpu_engine_submit(e, kind, name, 60000, &op));
	ck_assert_msg(
	    kvr_wait(e->kvr, op, 0, &d, NULL) == KVR_OK, "%s: %s", kvr_err_name(d.err), d.why);
}

static void
is_as_it_was(struct gpu_engine *e, uint8_t *got)
{
	uint8_t *want = malloc(e->w.memory_len);
	const struct kvr_pages *p = &e->w.pages;

	ck_assert_ptr_nonnull(want);
	memset(want, 0xa5, e->w.memory_len);
	for (uint32_t i = 0; i < p->n_layers * 2 * e->w.tokens * p->n_heads; i++) {
		uint32_t head = i % p->n_heads, token = i / p->n_heads % e->w.tokens;
		uint32_t slot = (uint32_t)e->slot[token];
		const uint8_t *from = e->w.base[i / p->n_heads / e->w.tokens] +
		                      slot / p->block_tokens * p->block_stride +
		                      slot % p->block_tokens * p->token_stride + head * p->head_stride;

		memcpy(want + (from - e->w.memory), from, p->head_bytes);
	}
	ck_assert_int_eq(memcmp(got, want, e->w.memory_len), 0);
	free(got);
	free(want);
}

void
gpu_engine_came_back(struct gpu_engine *e)
{
	uint8_t *got = malloc(e->w.memory_len);

	ck_assert_ptr_nonnull(got);
	gpu_fetch(got, e->far, e->w.memory_len);
	is_as_it_was(e, got);
}

/* Not page-locked memory: the copy into it is on its own stream all the same. */
void
gpu_engine_came_back_behind(struct gpu_engine *e, void *event)
{
	uint8_t *got = malloc(e->w.memory_len);

	ck_assert_ptr_nonnull(got);
	gpu_fetch_behind(event, got, e->far, e->w.memory_len);
	is_as_it_was(e, got);
}

void
gpu_engine_poison(struct gpu_engine *e)
{
	uint8_t *bad = malloc(e->w.memory_len);

	ck_assert_ptr_nonnull(bad);
	memset(bad, 0xa5, e->w.memory_len);
	gpu_put(e->far, bad, e->w.memory_len);
	free(bad);
}

void
gpu_engine_is_poison(struct gpu_engine *e)
{
	uint8_t *got = malloc(e->w.memory_len);

	ck_assert_ptr_nonnull(got);
	gpu_fetch(got, e->far, e->w.memory_len);
	ck_assert_msg(got[0] == 0xa5 && memcmp(got, got + 1, e->w.memory_len - 1) == 0, "something came late");
	free(got);
}

struct kvr *
gpu_open_store(const char *url, const char *tier)
{
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"64MiB\",\"device\":\"%s\"},\"tiers\":[{\"name\":\"a\","
	    "\"url\":\"%s\"%s}]}",
	    gpu_is_twin() ? "none" : "cuda", url, tier);
	return bed_open(json, NULL, NULL, NULL);
}
