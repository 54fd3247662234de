/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_pages.h"

#include <string.h>

void
kvr_pages_meta(const struct kvr_pages *p, uint32_t dtype, uint64_t tokens, struct kvr_meta *ret)
{
	struct kvr_shape *s = &ret->group[0];
	uint64_t hidden = kvr_pages_row(p) / kvr_dtype_size(dtype);
	bool token_first = p->memfmt == KVR_MEMFMT_KV_T2D;

	memset(ret, 0, sizeof(*ret));
	ret->memfmt = p->memfmt;
	ret->n_groups = 1;
	s->dtype = dtype;
	s->dim[s->n_dims++] = token_first ? tokens : p->n_planes;
	if (!p->layerwise)
		s->dim[s->n_dims++] = p->n_layers;
	s->dim[s->n_dims++] = token_first ? p->n_planes : tokens;
	s->dim[s->n_dims++] = hidden;
}

bool
kvr_runs_add(struct kvr_runs *r, uint32_t slot, uint32_t n)
{
	bool none = slot == KVR_NO_SLOT;
	bool goes_on = r->last.n > 0 &&
	               (none ? r->last.slot == KVR_NO_SLOT
	                     : r->last.slot != KVR_NO_SLOT && r->last.slot + r->last.n == slot);

	if (goes_on) {
		r->last.n += n;
	} else {
		if (r->n == r->cap)
			return false;
		r->last = (struct kvr_run){ .slot = slot, .n = n };
		r->n++;
	}
	if (r->at != NULL)
		r->at[r->n - 1] = r->last;
	return true;
}

/* ---- the walk ---- */

/* KV_T2D has a token's planes side by side; in the others a plane is a matter of the outer loop. */
static bool
planes_inside(const struct kvr_pages *p)
{
	return p->memfmt == KVR_MEMFMT_KV_T2D;
}

static uint8_t *
base_of(const struct kvr_walk *w)
{
	const struct kvr_pages *p = w->pages;
	uint32_t layers = p->layerwise ? 1 : p->n_layers;
	uint32_t plane = planes_inside(p) ? w->inner : w->outer / layers;
	uint32_t layer = planes_inside(p) ? w->layer : w->layer + w->outer % layers;

	return p->base[layer * p->n_planes + plane];
}

/* How many tokens from here on lie side by side in the cache and in the chunk. */
static uint32_t
dense_tokens(const struct kvr_walk *w, uint32_t slot)
{
	const struct kvr_pages *p = w->pages;
	uint64_t left = KVR_MIN(w->tokens - w->token, (uint64_t)w->runs[w->run].n - w->in_run);

	if (planes_inside(p) && p->n_planes > 1)
		return 1;
	if (p->token_stride != kvr_pages_row(p))
		return 1;
	return (uint32_t)KVR_MIN(left, (uint64_t)(p->block_tokens - slot % p->block_tokens));
}

/* n tokens are done in this plane; then it is the next plane's, or the next tokens', turn. */
static void
advance(struct kvr_walk *w, uint32_t n)
{
	uint32_t inner = planes_inside(w->pages) ? w->pages->n_planes : 1;

	if (++w->inner < inner)
		return;
	w->inner = 0;
	w->token += n;
	w->in_run += n;
	if (w->in_run == w->runs[w->run].n) {
		w->in_run = 0;
		w->run++;
	}
}

/* At a token that has no place: what the chunk has for the rest of this run is passed over. */
static void
pass_over(struct kvr_walk *w)
{
	uint32_t inner = planes_inside(w->pages) ? w->pages->n_planes : 1;
	uint64_t n = KVR_MIN(w->tokens - w->token, (uint64_t)w->runs[w->run].n - w->in_run);

	w->chunk += n * inner * kvr_pages_row(w->pages);
	w->inner = inner - 1;
	advance(w, (uint32_t)n);
}

/* The next bytes that are dense by the shape alone. False at the end. */
static bool
next_unit(struct kvr_walk *w, struct kvr_piece *ret)
{
	const struct kvr_pages *p = w->pages;
	uint32_t layers = p->layerwise ? 1 : p->n_layers;
	uint32_t outer = planes_inside(p) ? 1 : layers * p->n_planes;
	bool dense_heads = p->n_heads == 1 || p->head_stride == p->head_bytes;

	while (w->tokens > 0 && w->outer < outer) {
		if (w->token == w->tokens) {
			w->outer++;
			w->token = 0;
			w->run = w->in_run = 0;
			continue;
		}
		if (w->runs[w->run].slot == KVR_NO_SLOT) {
			pass_over(w);
			continue;
		}
		uint32_t slot = w->runs[w->run].slot + w->in_run;
		uint32_t n = dense_heads ? dense_tokens(w, slot) : 1;

		ret->cache = base_of(w) + slot / p->block_tokens * p->block_stride +
		             slot % p->block_tokens * p->token_stride + w->head * p->head_stride;
		ret->chunk = w->chunk;
		ret->len = dense_heads ? n * kvr_pages_row(p) : p->head_bytes;
		w->chunk += ret->len;
		if (!dense_heads && ++w->head < p->n_heads)
			return true;
		w->head = 0;
		advance(w, n);
		return true;
	}
	return false;
}

uint32_t
kvr_walk_next(struct kvr_walk *w, struct kvr_piece *ret, uint32_t cap)
{
	uint32_t n = 0;
	struct kvr_piece unit;

	if (w->held.len > 0)
		ret[n++] = w->held;
	w->held.len = 0;
	while (next_unit(w, &unit)) {
		struct kvr_piece *last = &ret[n == 0 ? 0 : n - 1];

		if (n > 0 && last->cache + last->len == unit.cache &&
		    last->chunk + last->len == unit.chunk) {
			last->len += unit.len;
		} else if (n < cap) {
			ret[n++] = unit;
		} else {
			w->held = unit;
			break;
		}
	}
	return n;
}
