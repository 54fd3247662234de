/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_pages.h"

#include <string.h>

void
kvr_pages_meta(const struct kvr_pages *p, uint64_t tokens, struct kvr_meta *ret)
{
	bool token_first = p->memfmt == KVR_MEMFMT_KV_T2D;

	memset(ret, 0, sizeof(*ret));
	ret->memfmt = p->memfmt;
	for (; p != NULL; p = p->next) {
		KVR_CHECK(ret->n_groups < KVR_GROUPS_MAX);
		struct kvr_shape *s = &ret->group[ret->n_groups++];

		s->dtype = p->dtype;
		s->dim[s->n_dims++] = token_first ? tokens : p->n_planes;
		if (!p->layerwise)
			s->dim[s->n_dims++] = p->n_layers;
		s->dim[s->n_dims++] = token_first ? p->n_planes : tokens;
		s->dim[s->n_dims++] = kvr_pages_row(p) / kvr_dtype_size(p->dtype);
	}
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

/* In KV_T2D the planes of a token are adjacent; otherwise the outer loop goes over planes. */
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

/* How many tokens from here on are contiguous both in the cache and in the chunk. */
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

/* n tokens are done in this plane; next is the next plane, or else the next tokens. */
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

/* At a token without a place: skips the chunk's bytes for the rest of this run. */
static void
pass_over(struct kvr_walk *w)
{
	uint32_t inner = planes_inside(w->pages) ? w->pages->n_planes : 1;
	uint64_t n = KVR_MIN(w->tokens - w->token, (uint64_t)w->runs[w->run].n - w->in_run);

	w->chunk += n * inner * kvr_pages_row(w->pages);
	w->inner = inner - 1;
	advance(w, (uint32_t)n);
}

static uint32_t
n_outer(const struct kvr_pages *p)
{
	return planes_inside(p) ? 1 : (p->layerwise ? 1 : p->n_layers) * p->n_planes;
}

/* Whether the walk was asked for the layer that it stands at. */
static bool
is_wanted(const struct kvr_walk *w)
{
	const struct kvr_pages *p = w->pages;
	uint32_t layer = w->outer % p->n_layers;
	uint32_t number = p->number != NULL ? p->number[layer] : w->before + layer;

	return w->to == 0 || (number >= w->from && number < w->to);
}

/* The chunk goes on with the next group, and so do the runs, behind those of unused tokens. */
static bool
next_group(struct kvr_walk *w)
{
	uint64_t left = w->room != 0 ? w->room : w->tokens;

	if (w->pages->next == NULL)
		return false;
	for (; left > 0; w->runs++)
		left -= KVR_MIN(left, (uint64_t)w->runs->n);
	w->before += w->pages->n_layers;
	w->pages = w->pages->next;
	w->outer = 0;
	return true;
}

/* One layer of one plane is done, or not wanted. */
static void
next_outer(struct kvr_walk *w)
{
	w->outer++;
	w->token = 0;
	w->run = w->in_run = 0;
}

/* The token at the walk's position, with those contiguous to it. */
static void
take_unit(struct kvr_walk *w, struct kvr_piece *ret)
{
	const struct kvr_pages *p = w->pages;
	bool dense_heads = p->n_heads == 1 || p->head_stride == p->head_bytes;
	uint32_t slot = w->runs[w->run].slot + w->in_run;
	uint32_t n = dense_heads ? dense_tokens(w, slot) : 1;

	ret->cache = base_of(w) + slot / p->block_tokens * p->block_stride +
	             slot % p->block_tokens * p->token_stride + w->head * p->head_stride;
	ret->chunk = w->chunk;
	ret->len = dense_heads ? n * kvr_pages_row(p) : p->head_bytes;
	w->chunk += ret->len;
	if (!dense_heads && ++w->head < p->n_heads)
		return;
	w->head = 0;
	advance(w, n);
}

/* The next bytes that are contiguous by shape alone. False at the end. */
static bool
next_unit(struct kvr_walk *w, struct kvr_piece *ret)
{
	while (w->tokens > 0) {
		if (w->outer == n_outer(w->pages)) {
			if (!next_group(w))
				return false;
		} else if (!is_wanted(w)) {
			w->chunk += w->tokens * kvr_pages_row(w->pages);
			next_outer(w);
		} else if (w->token == w->tokens) {
			next_outer(w);
		} else if (w->runs[w->run].slot == KVR_NO_SLOT) {
			pass_over(w);
		} else {
			take_unit(w, ret);
			return true;
		}
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
