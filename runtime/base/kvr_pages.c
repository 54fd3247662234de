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
	uint32_t plane = planes_inside(p) ? 0 : w->outer / layers;
	uint32_t layer = planes_inside(p) ? w->layer : w->layer + w->outer % layers;

	return p->base[layer * p->n_planes + plane];
}

static void
advance(struct kvr_walk *w, uint64_t n)
{
	w->chunk += n * w->token_bytes;
	w->token += n;
	w->in_run += (uint32_t)n;
	if (w->in_run == w->runs[w->run].n) {
		w->in_run = 0;
		w->run++;
	}
}

/* Tokens from here on that are alike: all have a place, or none has. */
static uint64_t
left_of_run(const struct kvr_walk *w)
{
	return KVR_MIN(w->tokens - w->token, (uint64_t)w->runs[w->run].n - w->in_run);
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
	w->inside = false;
}

/* One loop over parts of a token. */
struct loop {
	uint32_t n;
	int64_t step;
};

/* The loops of a token, from the inside; unit is what they go over. Returns how many of them do anything. */
static uint32_t
loops_of_token(const struct kvr_walk *w, uint64_t *unit, struct loop *loop)
{
	const struct kvr_pages *p = w->pages;
	uint8_t *const *base = &p->base[w->layer * p->n_planes];
	uint32_t n = 0;
	struct loop all[] = { { p->n_heads, (int64_t)p->head_stride }, { 1, 0 } };

	if (planes_inside(p) && p->n_planes > 1)
		all[1] = (struct loop){ p->n_planes, (int64_t)((uintptr_t)base[1] - (uintptr_t)base[0]) };
	*unit = p->head_bytes;
	for (uint32_t i = 0; i < KVR_LEN(all); i++) {
		if (n == 0 && (all[i].n == 1 || all[i].step == (int64_t)*unit))
			*unit *= all[i].n;
		else if (all[i].n > 1)
			loop[n++] = all[i];
	}
	return n;
}

/* What all pieces of a layer and plane have in common. */
static void
enter(struct kvr_walk *w)
{
	const struct kvr_pages *p = w->pages;
	struct loop loop[2] = { { 1, 0 }, { 1, 0 } };
	uint64_t unit;
	uint32_t n = loops_of_token(w, &unit, loop);

	w->inside = true;
	w->base = base_of(w);
	w->token_bytes = kvr_pages_row(p) * (planes_inside(p) ? p->n_planes : 1);
	w->like = (struct kvr_piece){ 0 };
	w->tokens_at_most = UINT32_MAX;
	if (n == 0 && p->token_stride == unit)
		return;
	if (n < 2)
		loop[1].step = (int64_t)p->token_stride;
	w->like = (struct kvr_piece){
		.unit = (uint32_t)unit, .inner = loop[0].n, .unit_step = loop[0].step, .row_step = loop[1].step
	};
	/* Tokens would be a third loop where heads and planes are two. */
	w->tokens_at_most =
	    n == 2 ? 1 : KVR_MAX((uint32_t)(KVR_PIECE_TILE / w->token_bytes), UINT32_C(1));
}

/* The token at the walk's position, with as many behind it as one piece can have. */
static void
take_tokens(struct kvr_walk *w, struct kvr_piece *ret)
{
	const struct kvr_pages *p = w->pages;
	uint32_t slot = w->runs[w->run].slot + w->in_run;
	uint32_t block = slot / p->block_tokens, in_block = slot - block * p->block_tokens;
	uint64_t n = KVR_MIN(left_of_run(w), (uint64_t)KVR_MIN(p->block_tokens - in_block, w->tokens_at_most));

	*ret = w->like;
	ret->cache = w->base + block * p->block_stride + in_block * p->token_stride;
	ret->chunk = w->chunk;
	ret->len = n * w->token_bytes;
	if (ret->len == ret->unit)
		ret->unit = 0; /* of one token, and that is contiguous */
	advance(w, n);
}

/* Goes to the next layer and plane that is wanted. False at the end. */
static bool
come_inside(struct kvr_walk *w)
{
	for (;;) {
		if (w->outer == n_outer(w->pages)) {
			if (!next_group(w))
				return false;
		} else if (!is_wanted(w)) {
			w->chunk += w->tokens * kvr_pages_row(w->pages);
			next_outer(w);
		} else {
			enter(w);
			return true;
		}
	}
}

/* The next bytes that are one piece by shape alone. False at the end. */
static bool
next_unit(struct kvr_walk *w, struct kvr_piece *ret)
{
	while (w->tokens > 0) {
		if (!w->inside) {
			if (!come_inside(w))
				return false;
		} else if (w->token == w->tokens) {
			next_outer(w);
		} else if (w->runs[w->run].slot == KVR_NO_SLOT) {
			advance(w, left_of_run(w));
		} else {
			take_tokens(w, ret);
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

		if (n > 0 && last->unit == 0 && unit.unit == 0 && last->cache + last->len == unit.cache &&
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
