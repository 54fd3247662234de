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

	kvr_pages_meta(p, w->tokens, &meta);
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

/* Rows of units that lie apart, and no more of them than one block of a kernel is to have. */
static void
is_sound(const struct kvr_piece *p)
{
	uint64_t row = (uint64_t)p->unit * p->inner;

	ck_assert_uint_gt(p->len, 0);
	if (p->unit == 0)
		return;
	ck_assert_uint_gt(p->inner, 0);
	ck_assert_uint_eq(p->len % row, 0);
	ck_assert(p->len <= KVR_PIECE_TILE || p->len == row ||
	    p->len == row * 2); /* a token of heads and planes */
	ck_assert(p->inner == 1 || p->unit_step != (int64_t)p->unit);
	ck_assert(p->inner > 1 || (p->len > p->unit && p->row_step != (int64_t)p->unit));
}

static uint64_t
walk_on(struct kvr_walk at, bool scatter)
{
	struct kvr_piece piece[CAP], last = { 0 };
	uint64_t n_all = 0;
	uint32_t n;

	while ((n = kvr_walk_next(&at, piece, (uint32_t)(1 + n_all % CAP))) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			const struct kvr_piece *q = &piece[i];

			is_sound(q);
			for (uint64_t u = 0; u < kvr_piece_units(q); u++) {
				struct kvr_piece p = kvr_piece_unit(q, u);

				memcpy(scatter ? p.cache : p.chunk, scatter ? p.chunk : p.cache, p.len);
			}
			if (last.len > 0 && last.unit == 0 && q->unit == 0 &&
			    last.cache + last.len == q->cache && last.chunk + last.len == q->chunk)
				ck_abort_msg("two pieces that are one");
			last = *q;
		}
		n_all += n;
	}
	return n_all;
}

static struct kvr_walk
start_of(const struct paged_world *w)
{
	return (struct kvr_walk){ .pages = &w->pages,
		.runs = w->runs,
		.tokens = w->tokens,
		.layer = w->layer,
		.chunk = w->chunk + PAGED_GUARD };
}

static uint64_t
walk(const struct paged_world *w, bool scatter)
{
	return walk_on(start_of(w), scatter);
}

/* A few layers of the model at a time, as an engine comes to them. */
static void
walk_by_layers(const struct kvr_walk *start, uint64_t *seed, bool scatter)
{
	uint32_t layers = kvr_pages_layers(start->pages);

	for (uint32_t from = 0, n; from < layers; from += n) {
		struct kvr_walk at = *start;

		n = 1 + (uint32_t)paged_draw(seed, 3);
		at.from = from;
		at.to = from + n;
		walk_on(at, scatter);
	}
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

/* What has gone layer by layer is the same chunk. */
static void
try_by_layers(struct paged_world *w, const uint8_t *want)
{
	struct kvr_walk start = start_of(w);

	if (w->pages.layerwise)
		return;
	memset(w->chunk, POISON, w->chunk_len + 2 * PAGED_GUARD);
	walk_by_layers(&start, &w->seed, false);
	same(w, w->chunk, want, w->chunk_len + 2 * PAGED_GUARD, "gathered by layers");
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
	try_by_layers(w, want);
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

/* What a kernel is given: a block's heads or a token's planes are one piece, as long as it is not long. */
START_TEST(what_lies_apart_in_equal_steps_is_one_piece)
{
	static const struct {
		uint32_t memfmt, planes, heads, head, block, pieces;
		enum paged_order order;
		bool heads_first;
	} of[] = {
		/* Two planes of a layer, and four blocks of sixteen tokens. */
		{ KVR_MEMFMT_KV_2LTD, 2, 8, 256, 16, 2 * 4, PAGED_PER_PLANE, true },
		{ KVR_MEMFMT_KV_2LTD, 2, 8, 256, 64, 2 * 2, PAGED_PER_PLANE, true },
		{ KVR_MEMFMT_KV_MLA, 1, 2, 64, 16, 4, PAGED_PER_LAYER, true },
		{ KVR_MEMFMT_KV_T2D, 2, 1, 512, 16, 4, PAGED_PER_PLANE, false },
		/* Heads and planes and tokens are a loop more than a piece has. */
		{ KVR_MEMFMT_KV_T2D, 2, 4, 64, 16, 64, PAGED_PER_PLANE, true },
	};

	for (uint32_t i = 0; i < KVR_LEN(of); i++) {
		struct paged_world w = { .seed = i + 1, .dtype = KVR_DTYPE_UINT8, .element = 1 };

		w.head_size = of[i].head;
		w.pages = (struct kvr_pages){ .memfmt = of[i].memfmt,
			.n_layers = 1,
			.n_planes = of[i].planes,
			.n_heads = of[i].heads,
			.layerwise = of[i].memfmt == KVR_MEMFMT_KV_T2D,
			.head_bytes = of[i].head,
			.block_tokens = of[i].block,
			.n_blocks = 9 };
		paged_lay_out(&w, of[i].order, of[i].heads_first, 0);
		w.tokens = 64;
		w.slot = must(calloc(w.tokens, sizeof(*w.slot)));
		for (uint32_t t = 0; t < w.tokens; t++)
			w.slot[t] = (t / of[i].block * 2 + 1) * of[i].block + t % of[i].block;
		w.chunk_len = kvr_pages_token(&w.pages) * w.tokens;
		w.chunk = must(calloc(1, w.chunk_len + 2 * PAGED_GUARD));
		paged_find_runs(&w);
		ck_assert_uint_eq(walk(&w, false), of[i].pieces);
		paged_free(&w);
	}
}
END_TEST

/* ---- groups ---- */

enum { GROUPS = 4 };

/* Caches of different layers, blocks and elements, and the same number of tokens in each. */
static uint32_t
draw_groups(struct paged_world *w, uint64_t *seed, uint32_t *ret_tokens)
{
	uint32_t n = 1 + (uint32_t)paged_draw(seed, GROUPS);
	uint32_t tokens = 1 + (uint32_t)paged_draw(seed, 40), kind = (uint32_t)paged_draw(seed, 2);

	for (uint32_t g = 0; g < n; g++) {
		w[g] = (struct paged_world){ .seed = paged_draw(seed, 1U << 30) };
		paged_shape(&w[g], kind); /* KV_2LTD or KV_MLA, whole */
		w[g].pages.n_blocks = tokens / w[g].pages.block_tokens + 2;
		uint64_t order = paged_draw(seed, PAGED_ORDERS);
		bool heads_first = paged_draw(seed, 2) == 0;
		uint64_t run = 1 + paged_draw(seed, w[g].pages.block_tokens);
		bool holes = paged_draw(seed, 3) == 0;

		paged_lay_out(&w[g], (enum paged_order)order, heads_first, 8);
		paged_choose_slots(&w[g], tokens, (uint32_t)run, holes);
		paged_find_runs(&w[g]);
	}
	for (uint32_t g = 0; g + 1 < n; g++)
		w[g].pages.next = &w[g + 1].pages;
	*ret_tokens = tokens;
	return n;
}

/* Layers of the model go to the groups as they come: 0, 2, 5 to one, 1, 3, 4 to another. */
static void
number_layers(struct paged_world *w, uint32_t n, uint64_t *seed, uint32_t number[GROUPS][8])
{
	uint32_t used[GROUPS] = { 0 };

	for (uint32_t at = 0; at < kvr_pages_layers(&w[0].pages); at++) {
		uint32_t g = (uint32_t)paged_draw(seed, n);

		while (used[g] == w[g].pages.n_layers)
			g = (g + 1) % n;
		number[g][used[g]++] = at;
	}
	for (uint32_t g = 0; g < n; g++)
		w[g].pages.number = number[g];
}

static void
try_groups(uint32_t i)
{
	struct paged_world w[GROUPS];
	struct kvr_run runs[GROUPS * 64];
	uint32_t number[GROUPS][8], tokens, n_runs = 0;
	uint64_t seed = i * 31 + 7, at = 0;
	uint32_t n = draw_groups(w, &seed, &tokens);
	uint64_t len = kvr_pages_token(&w[0].pages) * tokens;
	uint8_t *chunk = must(malloc(len)), *want = must(malloc(len));

	if (paged_draw(&seed, 2) == 0)
		number_layers(w, n, &seed, number);
	memset(chunk, POISON, len);
	memset(want, POISON, len);
	/* Fewer tokens than there are in the runs: a value may be shorter than its room. */
	uint32_t found = 1 + (uint32_t)paged_draw(&seed, tokens);

	for (uint32_t g = 0; g < n; g++) {
		struct paged_world one = w[g];

		memcpy(runs + n_runs, w[g].runs, w[g].n_runs * sizeof(runs[0]));
		n_runs += w[g].n_runs;
		one.pages.next = NULL;
		one.tokens = found;
		one.chunk_len = kvr_pages_token(&one.pages) * found;
		naively(&one, w[g].memory, want + at, false);
		at += one.chunk_len;
	}
	struct kvr_walk start = { .pages = &w[0].pages,
		.runs = runs,
		.tokens = found,
		.room = tokens,
		.chunk = chunk };

	walk_on(start, false);
	same(w, chunk, want, len, "gathered from groups");
	memset(chunk, POISON, len);
	walk_by_layers(&start, &seed, false);
	same(w, chunk, want, len, "gathered from groups by layers");
	/* Back into caches that look otherwise, and out of them again. */
	for (uint32_t g = 0; g < n; g++)
		paged_scramble(&seed, w[g].memory, w[g].memory_len);
	if (i % 2 == 0)
		walk_on(start, true);
	else
		walk_by_layers(&start, &seed, true);
	memset(chunk, POISON, len);
	walk_on(start, false);
	same(w, chunk, want, len, "there and back");
	for (uint32_t g = 0; g < n; g++)
		paged_free(&w[g]);
	free(chunk);
	free(want);
}

START_TEST(groups_lie_back_to_back_in_a_chunk)
{
	for (uint32_t i = 0; i < 600; i++)
		try_groups(i);
}
END_TEST

KVR_CHECK_MAIN("base.pages", every_layout_is_gathered_and_scattered_like_single_elements,
    groups_lie_back_to_back_in_a_chunk, from_one_token_to_64_mib, neighbours_become_one_piece,
    what_lies_apart_in_equal_steps_is_one_piece)
