/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathered and scattered bit for bit like a loop over single elements, whatever the layout; memory
 * that has no part in it is left alone; pieces are as few as can be.
 */
#include "kvr_check.h"
#include "kvr_paged_world.h"

#include <stdio.h>
#include <string.h>

enum { POISON = 0xa5, CAP = 7 };

static void *
must(void *at)
{
	ck_assert_ptr_nonnull(at);
	return at;
}

/* ---- the loop over single elements ---- */

static uint8_t *
in_cache(
    const struct paged_world *w, uint32_t layer, uint32_t plane, uint32_t slot, uint32_t element)
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
naively(const struct paged_world *w, uint8_t *memory, uint8_t *chunk, bool scatter)
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
walk(const struct paged_world *w, bool scatter)
{
	struct kvr_walk at = { .pages = &w->pages,
		.runs = w->runs,
		.tokens = w->tokens,
		.layer = w->layer,
		.chunk = w->chunk + PAGED_GUARD };
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
same(const struct paged_world *w, const uint8_t *got, const uint8_t *want, uint64_t len,
    const char *what)
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
try(struct paged_world *w)
{
	uint8_t *want, *before = must(malloc(w->memory_len));

	w->chunk_len = kvr_pages_token(&w->pages) * w->tokens;
	w->chunk = must(malloc(w->chunk_len + 2 * PAGED_GUARD));
	want = must(malloc(w->chunk_len + 2 * PAGED_GUARD));
	memcpy(before, w->memory, w->memory_len);
	memset(w->chunk, POISON, w->chunk_len + 2 * PAGED_GUARD);
	memset(want, POISON, w->chunk_len + 2 * PAGED_GUARD);
	naively(w, w->memory, want + PAGED_GUARD, false);
	walk(w, false);
	same(w, w->chunk, want, w->chunk_len + 2 * PAGED_GUARD, "gathered");
	same(w, w->memory, before, w->memory_len, "read only");
	/* Back into a cache of other bytes: what is not a token's stays as it was. */
	paged_scramble(&w->seed, w->memory, w->memory_len);
	memcpy(before, w->memory, w->memory_len);
	naively(w, before, want + PAGED_GUARD, true);
	walk(w, true);
	same(w, w->memory, before, w->memory_len, "scattered");
	free(before);
	free(want);
}

START_TEST(every_layout_is_gathered_and_scattered_like_single_elements)
{
	for (uint32_t i = 0; i < 1500; i++) {
		struct paged_world w;

		paged_draw_world(&w, i);
		try(&w);
		paged_free(&w);
	}
}
END_TEST

/* Layers, planes and blocks of a real model; from one token to 64 MiB. */
START_TEST(from_one_token_to_64_mib)
{
	static const uint32_t tokens[] = { 1, 15, 16, 17, 255, 512 };

	for (uint32_t i = 0; i < KVR_LEN(tokens); i++) {
		uint32_t n = tokens[i];
		struct paged_world w = {
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
		paged_lay_out(&w, i % 2 == 0 ? PAGED_PER_LAYER : PAGED_ONE_ALLOCATION, false, 0);
		paged_choose_slots(&w, n, 16, false);
		w.chunk_len = kvr_pages_token(&w.pages) * n;
		w.chunk = must(malloc(w.chunk_len + 2 * PAGED_GUARD));
		paged_find_runs(&w);
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
		same(&w, w.chunk + PAGED_GUARD, want, w.chunk_len, "gathered");
		memset(w.memory, POISON, w.memory_len);
		walk(&w, true);
		memset(w.chunk, POISON, w.chunk_len + 2 * PAGED_GUARD);
		walk(&w, false);
		same(&w, w.chunk + PAGED_GUARD, want, w.chunk_len, "there and back");
		free(before);
		free(want);
		paged_free(&w);
	}
}
END_TEST

/* What a copy engine is given: one piece for what lies side by side, across blocks and planes. */
START_TEST(neighbours_become_one_piece)
{
	struct paged_world w = {
		.seed = 7, .dtype = KVR_DTYPE_UINT8, .element = 1, .head_size = 32
	};

	w.pages = (struct kvr_pages){ .memfmt = KVR_MEMFMT_KV_2LTD,
		.n_layers = 3,
		.n_planes = 2,
		.n_heads = 2,
		.head_bytes = 32,
		.block_tokens = 4,
		.n_blocks = 8 };
	paged_lay_out(&w, PAGED_PER_PLANE, false, 0);
	w.tokens = 20;
	w.slot = must(calloc(w.tokens, sizeof(*w.slot)));
	for (uint32_t i = 0; i < w.tokens; i++)
		w.slot[i] = i < 16 ? i + 4 : i + 8; /* blocks 1 to 4, then 6 */
	w.chunk_len = kvr_pages_token(&w.pages) * w.tokens;
	w.chunk = must(calloc(1, w.chunk_len + 2 * PAGED_GUARD));
	paged_find_runs(&w);
	ck_assert_uint_eq(w.n_runs, 2);
	ck_assert_uint_eq(walk(&w, false), 2 * 3 * 2);
	paged_free(&w);
}
END_TEST

KVR_CHECK_MAIN("base.pages", every_layout_is_gathered_and_scattered_like_single_elements,
    from_one_token_to_64_mib, neighbours_become_one_piece)
