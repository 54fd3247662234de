/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathered and scattered bit for bit like a loop over single elements, whatever the layout; memory
 * that has no part in it is left alone; pieces are as few as can be.
 */
#include "kvr_pages.h"
#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

enum { GUARD = 64, POISON = 0xa5, CAP = 7 };

static uint64_t
draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % below;
}

static void
scramble(uint64_t *seed, uint8_t *at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i += sizeof(*seed)) {
		draw(seed, 2);
		memcpy(at + i, seed, KVR_MIN(len - i, sizeof(*seed)));
	}
}

/* A cache, tokens of it, and a chunk of them. */
struct world {
	uint64_t seed;
	struct kvr_pages pages;
	uint8_t *base[64];
	uint32_t dtype, element, head_size, layer;
	uint8_t *memory, *chunk;
	uint64_t memory_len, chunk_len;
	uint32_t *slot; /* of each token; KVR_NO_SLOT */
	uint32_t tokens;
	struct kvr_run *runs;
	uint32_t n_runs;
};

enum order { PER_PLANE, PER_LAYER, PLANES_IN_BLOCKS, ONE_ALLOCATION, ORDERS };

static void *
must(void *at)
{
	ck_assert_ptr_nonnull(at);
	return at;
}

/* Heads before tokens inside a block, or after them; pages with a gap behind each block, or not. */
static void
lay_out(struct world *w, enum order order, bool heads_first, uint64_t gap)
{
	struct kvr_pages *p = &w->pages;
	uint64_t row = kvr_pages_row(p), block = row * p->block_tokens + gap;
	uint64_t plane = block * p->n_blocks, at = GUARD;
	uint64_t per_block = order == PLANES_IN_BLOCKS ? block * p->n_planes
	                     : order == ONE_ALLOCATION ? block * p->n_planes * p->n_layers
	                                               : block;

	p->token_stride = heads_first ? p->head_bytes : row;
	p->head_stride = heads_first ? p->head_bytes * p->block_tokens : p->head_bytes;
	p->block_stride = per_block;
	w->memory_len = plane * p->n_planes * p->n_layers + 2 * GUARD;
	w->memory = must(malloc(w->memory_len));
	scramble(&w->seed, w->memory, w->memory_len);
	for (uint32_t i = 0; i < p->n_layers * p->n_planes; i++) {
		uint64_t off = order == PLANES_IN_BLOCKS
		                   ? i / p->n_planes * plane * p->n_planes + i % p->n_planes * block
		               : order == ONE_ALLOCATION ? i * block
		                                         : i * plane;
		w->base[i] = w->memory + at + off;
	}
	p->base = w->base;
}

/* Every slot at most once, in no order or in runs. */
static void
choose_slots(struct world *w, uint32_t tokens, uint32_t run, bool holes)
{
	uint32_t all = w->pages.n_blocks * w->pages.block_tokens;
	uint32_t *order = must(malloc(all * sizeof(*order)));

	w->tokens = tokens;
	w->slot = must(malloc(tokens * sizeof(*w->slot)));
	for (uint32_t i = 0; i < all; i++)
		order[i] = i;
	for (uint32_t i = 0; i + run <= all; i += run) {
		uint32_t k = (uint32_t)draw(&w->seed, all / run) * run;

		for (uint32_t j = 0; j < run; j++) {
			uint32_t keep = order[i + j];

			order[i + j] = order[k + j];
			order[k + j] = keep;
		}
	}
	for (uint32_t i = 0; i < tokens; i++)
		w->slot[i] = holes && draw(&w->seed, 8) == 0 ? KVR_NO_SLOT : order[i];
	free(order);
}

static void
find_runs(struct world *w)
{
	struct kvr_runs r = { .cap = UINT32_MAX };

	for (uint32_t i = 0; i < w->tokens; i++)
		KVR_CHECK(kvr_runs_add(&r, w->slot[i], 1));
	w->n_runs = r.n;
	w->runs = must(calloc(r.n, sizeof(*w->runs)));
	r = (struct kvr_runs){ .at = w->runs, .cap = w->n_runs };
	for (uint32_t i = 0; i < w->tokens; i++)
		KVR_CHECK(kvr_runs_add(&r, w->slot[i], 1));
	ck_assert_uint_eq(r.n, w->n_runs);
	ck_assert(!kvr_runs_add(&r, 0, 1)); /* slot 0 never goes on from another */
}

static void
unmake(struct world *w)
{
	free(w->memory);
	free(w->chunk);
	free(w->slot);
	free(w->runs);
}

/* ---- the loop over single elements ---- */

static uint8_t *
in_cache(const struct world *w, uint32_t layer, uint32_t plane, uint32_t slot, uint32_t element)
{
	const struct kvr_pages *p = &w->pages;
	uint32_t head = element / w->head_size;

	return w->base[layer * p->n_planes + plane] + slot / p->block_tokens * p->block_stride +
	       slot % p->block_tokens * p->token_stride + head * p->head_stride +
	       (uint64_t)(element % w->head_size) * w->element;
}

/* By the dims of the shape that is written into the value's header. */
static uint64_t
in_chunk(const struct kvr_shape *s, uint32_t memfmt, uint32_t layer, uint32_t plane, uint32_t token,
    uint32_t element)
{
	uint64_t index[KVR_DIMS], at = 0;
	uint32_t n = 0;

	index[n++] = memfmt == KVR_MEMFMT_KV_T2D ? token : plane;
	if (s->n_dims == 4)
		index[n++] = layer;
	index[n++] = memfmt == KVR_MEMFMT_KV_T2D ? plane : token;
	index[n++] = element;
	KVR_CHECK(n == s->n_dims);
	for (uint32_t d = 0; d < n; d++) {
		KVR_CHECK(index[d] < s->dim[d]);
		at = at * s->dim[d] + index[d];
	}
	return at;
}

static void
naively(const struct world *w, uint8_t *memory, uint8_t *chunk, bool scatter)
{
	const struct kvr_pages *p = &w->pages;
	uint32_t layers = p->layerwise ? 1 : p->n_layers, hidden = p->n_heads * w->head_size;
	struct kvr_meta meta;
	uint64_t bytes = 0;

	kvr_pages_meta(p, w->dtype, w->tokens, &meta);
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_OK);
	ck_assert_uint_eq(bytes, w->chunk_len);
	for (uint32_t l = 0; l < layers; l++)
		for (uint32_t v = 0; v < p->n_planes; v++)
			for (uint32_t t = 0; t < w->tokens; t++)
				for (uint32_t e = 0; e < hidden && w->slot[t] != KVR_NO_SLOT; e++) {
					uint8_t *a = memory - w->memory +
					             in_cache(w, p->layerwise ? w->layer : l, v,
					                 w->slot[t], e);
					uint8_t *b = chunk + in_chunk(&meta.group[0], meta.memfmt,
					                         l, v, t, e) *
					                         w->element;

					memcpy(scatter ? a : b, scatter ? b : a, w->element);
				}
}

/* ---- and the walk ---- */

static uint64_t
walk(const struct world *w, bool scatter)
{
	struct kvr_walk at = { .pages = &w->pages,
		.runs = w->runs,
		.tokens = w->tokens,
		.layer = w->layer,
		.chunk = w->chunk + GUARD };
	struct kvr_piece piece[CAP], last = { 0 };
	uint64_t n_all = 0;
	uint32_t n;

	while ((n = kvr_walk_next(&at, piece, (uint32_t)(1 + n_all % CAP))) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			const struct kvr_piece *q = &piece[i];

			memcpy(
			    scatter ? q->cache : q->chunk, scatter ? q->chunk : q->cache, q->len);
			if (last.len > 0 && last.cache + last.len == q->cache &&
			    last.chunk + last.len == q->chunk)
				ck_abort_msg("two pieces that are one");
			last = *q;
		}
		n_all += n;
	}
	return n_all;
}

/* Compares in one check: each costs a message to Check's parent process. */
static void
same(const struct world *w, const uint8_t *got, const uint8_t *want, uint64_t len, const char *what)
{
	uint64_t i = 0;

	if (memcmp(got, want, len) == 0)
		return;
	while (got[i] == want[i])
		i++;
	ck_abort_msg("%s: byte %llu of %llu; seed %llu, format %u, %u tokens", what,
	    (unsigned long long)i, (unsigned long long)len, (unsigned long long)w->seed,
	    w->pages.memfmt, w->tokens);
}

static void
try(struct world *w)
{
	uint8_t *want, *before = must(malloc(w->memory_len));

	w->chunk_len = kvr_pages_token(&w->pages) * w->tokens;
	w->chunk = must(malloc(w->chunk_len + 2 * GUARD));
	want = must(malloc(w->chunk_len + 2 * GUARD));
	find_runs(w);
	memcpy(before, w->memory, w->memory_len);
	memset(w->chunk, POISON, w->chunk_len + 2 * GUARD);
	memset(want, POISON, w->chunk_len + 2 * GUARD);
	naively(w, w->memory, want + GUARD, false);
	walk(w, false);
	same(w, w->chunk, want, w->chunk_len + 2 * GUARD, "gathered");
	same(w, w->memory, before, w->memory_len, "read only");
	/* Back into a cache of other bytes: what is not a token's stays as it was. */
	scramble(&w->seed, w->memory, w->memory_len);
	memcpy(before, w->memory, w->memory_len);
	naively(w, before, want + GUARD, true);
	walk(w, true);
	same(w, w->memory, before, w->memory_len, "scattered");
	free(before);
	free(want);
}

static void
shape(struct world *w, uint32_t memfmt, bool layerwise)
{
	static const uint32_t dtype[] = { KVR_DTYPE_BFLOAT16, KVR_DTYPE_FLOAT16, KVR_DTYPE_FLOAT32,
		KVR_DTYPE_FP8_E4M3FN, KVR_DTYPE_FP8_E5M2, KVR_DTYPE_UINT8, KVR_DTYPE_FLOAT64,
		KVR_DTYPE_HALF };
	struct kvr_pages *p = &w->pages;

	w->dtype = dtype[draw(&w->seed, KVR_LEN(dtype))];
	w->element = kvr_dtype_size(w->dtype);
	w->head_size = 1 + (uint32_t)draw(&w->seed, 9);
	p->memfmt = memfmt;
	p->layerwise = layerwise;
	p->n_layers = 1 + (uint32_t)draw(&w->seed, 4);
	p->n_planes = memfmt == KVR_MEMFMT_KV_MLA ? 1 : 2;
	p->n_heads = 1 + (uint32_t)draw(&w->seed, 3);
	p->head_bytes = (uint64_t)w->head_size * w->element;
	p->block_tokens = 1 + (uint32_t)draw(&w->seed, 20);
	p->n_blocks = 1 + (uint32_t)draw(&w->seed, 9);
	w->layer = layerwise ? (uint32_t)draw(&w->seed, p->n_layers) : 0;
}

static const struct {
	uint32_t memfmt;
	bool layerwise;
} kinds[] = { { KVR_MEMFMT_KV_2LTD, false }, { KVR_MEMFMT_KV_MLA, false },
	{ KVR_MEMFMT_KV_T2D, true }, { KVR_MEMFMT_KV_2TD, true }, { KVR_MEMFMT_KV_MLA, true } };

START_TEST(every_layout_is_gathered_and_scattered_like_single_elements)
{
	for (uint32_t i = 0; i < 1500; i++) {
		struct world w = { .seed = i * 977 + 1 };

		shape(&w, kinds[i % KVR_LEN(kinds)].memfmt, kinds[i % KVR_LEN(kinds)].layerwise);
		lay_out(&w, (enum order)draw(&w.seed, ORDERS), draw(&w.seed, 2) == 0,
		    draw(&w.seed, 3) * 8);
		uint32_t all = w.pages.n_blocks * w.pages.block_tokens;

		choose_slots(&w, 1 + (uint32_t)draw(&w.seed, all),
		    1 + (uint32_t)draw(&w.seed, w.pages.block_tokens), draw(&w.seed, 3) == 0);
		try(&w);
		unmake(&w);
	}
}
END_TEST

/* Layers, planes and blocks of a real model; from one token to 64 MiB. */
START_TEST(from_one_token_to_64_mib)
{
	static const uint32_t tokens[] = { 1, 15, 16, 17, 255, 512 };

	for (uint32_t i = 0; i < KVR_LEN(tokens); i++) {
		uint32_t n = tokens[i];
		struct world w = {
			.seed = i + 1, .dtype = KVR_DTYPE_BFLOAT16, .element = 2, .head_size = 128
		};

		w.pages = (struct kvr_pages){ .memfmt = KVR_MEMFMT_KV_2LTD,
			.n_layers = 32,
			.n_planes = 2,
			.n_heads = 8,
			.head_bytes = 256,
			.block_tokens = 16,
			.n_blocks = 33 };
		if (n < 512)
			w.pages.n_layers = 3;
		lay_out(&w, i % 2 == 0 ? PER_LAYER : ONE_ALLOCATION, false, 0);
		choose_slots(&w, n, 16, false);
		w.chunk_len = kvr_pages_token(&w.pages) * n;
		w.chunk = must(malloc(w.chunk_len + 2 * GUARD));
		find_runs(&w);
		uint8_t *before = must(malloc(w.memory_len)), *want = must(malloc(w.chunk_len));

		memcpy(before, w.memory, w.memory_len);
		walk(&w, false);
		/* One element would take minutes: here rows are compared, which the test above has earned. */
		for (uint32_t o = 0; o < 2 * w.pages.n_layers; o++)
			for (uint32_t t = 0; t < n; t++)
				memcpy(want + ((uint64_t)o * n + t) * 2048,
				    in_cache(&w, o % w.pages.n_layers, o / w.pages.n_layers,
				        w.slot[t], 0),
				    2048);
		same(&w, w.chunk + GUARD, want, w.chunk_len, "gathered");
		memset(w.memory, POISON, w.memory_len);
		walk(&w, true);
		memset(w.chunk, POISON, w.chunk_len + 2 * GUARD);
		walk(&w, false);
		same(&w, w.chunk + GUARD, want, w.chunk_len, "there and back");
		free(before);
		free(want);
		unmake(&w);
	}
}
END_TEST

/* What a copy engine is given: one piece for what lies side by side, across blocks and planes. */
START_TEST(neighbours_become_one_piece)
{
	struct world w = { .seed = 7, .dtype = KVR_DTYPE_UINT8, .element = 1, .head_size = 32 };

	w.pages = (struct kvr_pages){ .memfmt = KVR_MEMFMT_KV_2LTD,
		.n_layers = 3,
		.n_planes = 2,
		.n_heads = 2,
		.head_bytes = 32,
		.block_tokens = 4,
		.n_blocks = 8 };
	lay_out(&w, PER_PLANE, false, 0);
	w.tokens = 20;
	w.slot = must(calloc(w.tokens, sizeof(*w.slot)));
	for (uint32_t i = 0; i < w.tokens; i++)
		w.slot[i] = i < 16 ? i + 4 : i + 8; /* blocks 1 to 4, then 6 */
	w.chunk_len = kvr_pages_token(&w.pages) * w.tokens;
	w.chunk = must(calloc(1, w.chunk_len + 2 * GUARD));
	find_runs(&w);
	ck_assert_uint_eq(w.n_runs, 2);
	ck_assert_uint_eq(walk(&w, false), 2 * 3 * 2);
	unmake(&w);
}
END_TEST

KVR_CHECK_MAIN("base.pages", every_layout_is_gathered_and_scattered_like_single_elements,
    from_one_token_to_64_mib, neighbours_become_one_piece)
