/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_paged_world.h"

#include <stdlib.h>
#include <string.h>

uint64_t
paged_draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % below;
}

void
paged_scramble(uint64_t *seed, uint8_t *at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i += sizeof(*seed)) {
		paged_draw(seed, 2);
		memcpy(at + i, seed, KVR_MIN(len - i, sizeof(*seed)));
	}
}

static void *
must(void *at)
{
	KVR_CHECK(at != NULL);
	return at;
}

/* Heads before tokens inside a block, or after them; pages with a gap behind each block, or not. */
void
paged_lay_out(struct paged_world *w, enum paged_order order, bool heads_first, uint64_t gap)
{
	struct kvr_pages *p = &w->pages;
	uint64_t row = kvr_pages_row(p), block = row * p->block_tokens + gap;
	uint64_t plane = block * p->n_blocks, at = PAGED_GUARD;
	uint64_t per_block = order == PAGED_PLANES_IN_BLOCKS ? block * p->n_planes
	                     : order == PAGED_ONE_ALLOCATION ? block * p->n_planes * p->n_layers
	                                                     : block;

	p->token_stride = heads_first ? p->head_bytes : row;
	p->head_stride = heads_first ? p->head_bytes * p->block_tokens : p->head_bytes;
	p->block_stride = per_block;
	w->memory_len = plane * p->n_planes * p->n_layers + 2 * PAGED_GUARD;
	w->memory = must(malloc(w->memory_len));
	paged_scramble(&w->seed, w->memory, w->memory_len);
	for (uint32_t i = 0; i < p->n_layers * p->n_planes; i++) {
		uint64_t off = order == PAGED_PLANES_IN_BLOCKS
		                   ? i / p->n_planes * plane * p->n_planes + i % p->n_planes * block
		               : order == PAGED_ONE_ALLOCATION ? i * block
		                                               : i * plane;
		w->base[i] = w->memory + at + off;
	}
	p->base = w->base;
}

/* Every slot at most once, in no order or in runs. */
void
paged_choose_slots(struct paged_world *w, uint32_t tokens, uint32_t run, bool holes)
{
	uint32_t all = w->pages.n_blocks * w->pages.block_tokens;
	uint32_t *order = must(malloc(all * sizeof(*order)));

	w->tokens = tokens;
	w->slot = must(malloc(tokens * sizeof(*w->slot)));
	for (uint32_t i = 0; i < all; i++)
		order[i] = i;
	for (uint32_t i = 0; i + run <= all; i += run) {
		uint32_t k = (uint32_t)paged_draw(&w->seed, all / run) * run;

		for (uint32_t j = 0; j < run; j++) {
			uint32_t keep = order[i + j];

			order[i + j] = order[k + j];
			order[k + j] = keep;
		}
	}
	for (uint32_t i = 0; i < tokens; i++)
		w->slot[i] = holes && paged_draw(&w->seed, 8) == 0 ? KVR_NO_SLOT : order[i];
	free(order);
}

void
paged_find_runs(struct paged_world *w)
{
	struct kvr_runs r = { .cap = UINT32_MAX };

	for (uint32_t i = 0; i < w->tokens; i++)
		KVR_CHECK(kvr_runs_add(&r, w->slot[i], 1));
	w->n_runs = r.n;
	w->runs = must(calloc(r.n, sizeof(*w->runs)));
	r = (struct kvr_runs){ .at = w->runs, .cap = w->n_runs };
	for (uint32_t i = 0; i < w->tokens; i++)
		KVR_CHECK(kvr_runs_add(&r, w->slot[i], 1));
	KVR_CHECK(r.n == w->n_runs);
	KVR_CHECK(!kvr_runs_add(&r, 0, 1)); /* slot 0 never goes on from another */
}

void
paged_free(struct paged_world *w)
{
	free(w->memory);
	free(w->chunk);
	free(w->slot);
	free(w->runs);
}

static const struct {
	uint32_t memfmt;
	bool layerwise;
} kinds[] = { { KVR_MEMFMT_KV_2LTD, false }, { KVR_MEMFMT_KV_MLA, false },
	{ KVR_MEMFMT_KV_T2D, true }, { KVR_MEMFMT_KV_2TD, true }, { KVR_MEMFMT_KV_MLA, true } };

void
paged_shape(struct paged_world *w, uint32_t kind)
{
	static const uint32_t dtype[] = { KVR_DTYPE_BFLOAT16, KVR_DTYPE_FLOAT16, KVR_DTYPE_FLOAT32,
		KVR_DTYPE_FP8_E4M3FN, KVR_DTYPE_FP8_E5M2, KVR_DTYPE_UINT8, KVR_DTYPE_FLOAT64,
		KVR_DTYPE_HALF };
	struct kvr_pages *p = &w->pages;
	uint32_t memfmt = kinds[kind % KVR_LEN(kinds)].memfmt;
	bool layerwise = kinds[kind % KVR_LEN(kinds)].layerwise;

	w->dtype = dtype[paged_draw(&w->seed, KVR_LEN(dtype))];
	w->element = kvr_dtype_size(w->dtype);
	w->head_size = 1 + (uint32_t)paged_draw(&w->seed, 9);
	p->memfmt = memfmt;
	p->dtype = w->dtype;
	p->layerwise = layerwise;
	p->n_layers = 1 + (uint32_t)paged_draw(&w->seed, 4);
	p->n_planes = memfmt == KVR_MEMFMT_KV_MLA ? 1 : 2;
	p->n_heads = 1 + (uint32_t)paged_draw(&w->seed, 3);
	p->head_bytes = (uint64_t)w->head_size * w->element;
	p->block_tokens = 1 + (uint32_t)paged_draw(&w->seed, 20);
	p->n_blocks = 1 + (uint32_t)paged_draw(&w->seed, 9);
	w->layer = layerwise ? (uint32_t)paged_draw(&w->seed, p->n_layers) : 0;
}

/* Each draw has a line of its own: compilers evaluate arguments in different orders. */
void
paged_draw_world(struct paged_world *w, uint32_t i)
{
	*w = (struct paged_world){ .seed = i * 977 + 1 };
	paged_shape(w, i);
	uint32_t all = w->pages.n_blocks * w->pages.block_tokens;
	uint64_t order = paged_draw(&w->seed, PAGED_ORDERS);
	bool heads_first = paged_draw(&w->seed, 2) == 0;
	uint64_t gap = paged_draw(&w->seed, 3) * 8;
	uint64_t tokens = 1 + paged_draw(&w->seed, all);
	uint64_t run = 1 + paged_draw(&w->seed, w->pages.block_tokens);
	bool holes = paged_draw(&w->seed, 3) == 0;

	paged_lay_out(w, (enum paged_order)order, heads_first, gap);
	paged_choose_slots(w, (uint32_t)tokens, (uint32_t)run, holes);
	paged_find_runs(w);
}
