/* SPDX-License-Identifier: Apache-2.0 */
/* Paged KV caches: what an engine says of one, checked once, so that a batch only names tokens. */
#include "kvr_instance.h"

#include <stdlib.h>
#include <string.h>

/* A number for each thing that can be wrong, and the sentence for it. */
static enum kvr_err
bad(struct kvr *k, const char *what)
{
	return kvr_bad(k, KVR_E_INVALID, "kvr_cache_open: %s", what);
}

static const char *
wrong_format(const struct kvr_cache_shape *s)
{
	switch (s->format) {
	case KVR_FMT_KV_2LTD:
		if (s->layerwise != 0)
			return "a chunk of KV_2LTD has all layers: one layer is KV_T2D or KV_2TD";
		return s->n_planes == 2 ? NULL : "KV_2LTD has 2 planes: one is KV_MLA";
	case KVR_FMT_KV_MLA:
		return s->n_planes == 1 ? NULL : "KV_MLA has 1 plane";
	case KVR_FMT_KV_T2D:
	case KVR_FMT_KV_2TD:
		return s->n_planes == 2 ? NULL : "KV_T2D and KV_2TD have 2 planes: one is KV_MLA";
	default:
		return "format is none of KV_2LTD, KV_MLA, KV_T2D, KV_2TD";
	}
}

static uint32_t
n_base_of(const struct kvr_cache_shape *s)
{
	return s->order == KVR_CACHE_BLOCKS   ? 1
	       : s->order == KVR_CACHE_LAYERS ? s->n_layers
	                                      : s->n_layers * s->n_planes;
}

/* NULL: nothing. Sizes come before what is computed from them. */
static const char *
wrong(const struct kvr_cache_shape *s)
{
	uint32_t element = kvr_dtype_size(s->dtype);

	if (s->order > KVR_CACHE_BLOCKS || s->layerwise > 1 || s->memory > KVR_MEMORY_DEVICE ||
	    s->spare != 0)
		return "no such order or memory, layerwise is neither 0 nor 1, or spare is not 0";
	if (element == 0)
		return "dtype is none that has a size";
	if (s->n_layers == 0 || s->n_layers > KVR_PAGES_PLACES_MAX || s->n_heads == 0 ||
	    s->head_size == 0 || s->block_tokens == 0 || s->n_blocks == 0)
		return "a member that counts is 0, or more than 1024 layers";
	const char *why = wrong_format(s);

	if (why != NULL)
		return why;
	if (s->n_layers * s->n_planes > KVR_PAGES_PLACES_MAX)
		return "layers times planes is more than 1024";
	if ((uint64_t)s->block_tokens * s->n_blocks >= KVR_NO_SLOT)
		return "blocks times their tokens is not below 2^32 - 1";
	if (s->n_heads > UINT32_MAX / element / s->head_size)
		return "a token of one layer and plane is not below 4 GiB";
	if (s->base == NULL || s->n_base != n_base_of(s))
		return "n_base: LAYERS has a base for each layer, PLANES for each plane, BLOCKS "
		       "one";
	for (uint32_t i = 0; i < s->n_base; i++) {
		if (s->base[i] == NULL)
			return "a base is NULL";
	}
	return NULL;
}

/* What was left 0 becomes that of a dense cache. False: it is no place in a 64-bit address space. */
static bool
fill_strides(struct kvr_cache_shape *s)
{
	uint64_t head = (uint64_t)s->head_size * kvr_dtype_size(s->dtype);
	uint64_t block = head * s->n_heads, all;
	bool blocks = s->order == KVR_CACHE_BLOCKS;

	if (s->token_stride == 0)
		s->token_stride = block;
	if (s->head_stride == 0)
		s->head_stride = head;
	if (__builtin_mul_overflow(block, s->block_tokens, &block))
		return false;
	if (s->plane_stride == 0 && blocks)
		s->plane_stride = block;
	if (s->layer_stride == 0 && blocks)
		s->layer_stride = s->plane_stride * s->n_planes;
	if (s->block_stride == 0)
		s->block_stride = blocks ? s->layer_stride * s->n_layers : block;
	if (s->plane_stride == 0 &&
	    __builtin_mul_overflow(s->block_stride, s->n_blocks, &s->plane_stride))
		return false;
	const uint64_t stride[] = { s->layer_stride, s->plane_stride, s->block_stride,
		s->token_stride, s->head_stride };
	const uint64_t n[] = { s->n_layers, s->n_planes, s->n_blocks, s->block_tokens, s->n_heads };
	uint64_t end = 0;

	for (size_t i = 0; i < KVR_LEN(n); i++) {
		if (__builtin_mul_overflow(stride[i], n[i], &all) ||
		    __builtin_add_overflow(end, all, &end))
			return false;
	}
	return end < (uint64_t)INT64_MAX;
}

/* One pointer for each layer and plane, whatever the order: what the walk wants. */
static void
place(struct kvr_cache *c, const struct kvr_cache_shape *s)
{
	for (uint32_t l = 0; l < s->n_layers; l++) {
		for (uint32_t p = 0; p < s->n_planes; p++) {
			uint32_t i = s->order == KVR_CACHE_BLOCKS   ? 0
			             : s->order == KVR_CACHE_LAYERS ? l
			                                            : l * s->n_planes + p;
			uint64_t off = s->order == KVR_CACHE_BLOCKS
			                   ? l * s->layer_stride + p * s->plane_stride
			               : s->order == KVR_CACHE_LAYERS ? p * s->plane_stride
			                                              : 0;

			c->base[l * s->n_planes + p] = (uint8_t *)s->base[i] + off;
		}
	}
}

static struct kvr_cache *
make(struct kvr *k, const struct kvr_cache_shape *s)
{
	struct kvr_cache *c =
	    calloc(1, sizeof(*c) + (size_t)s->n_layers * s->n_planes * sizeof(c->base[0]));

	if (c == NULL)
		return NULL;
	c->magic = KVR_CACHE_MAGIC;
	c->kvr = k;
	c->pages = (struct kvr_pages){ .n_layers = s->n_layers,
		.n_planes = s->n_planes,
		.n_heads = s->n_heads,
		.block_tokens = s->block_tokens,
		.n_blocks = s->n_blocks,
		.memfmt = s->format,
		.dtype = s->dtype,
		.layerwise =
		    s->layerwise != 0 || s->format == KVR_FMT_KV_T2D || s->format == KVR_FMT_KV_2TD,
		.device = s->memory == KVR_MEMORY_DEVICE,
		.head_bytes = (uint64_t)s->head_size * kvr_dtype_size(s->dtype),
		.block_stride = s->block_stride,
		.token_stride = s->token_stride,
		.head_stride = s->head_stride,
		.base = c->base };
	place(c, s);
	return c;
}

/* A chunk of it and what the instance was told of chunks must be the same thing. */
static bool
agrees(struct kvr *k, const struct kvr_cache *c)
{
	struct kvr_meta mine;

	if (!atomic_load_explicit(&k->has_layout, memory_order_acquire) ||
	    k->layout.memfmt != c->pages.memfmt)
		return true;
	kvr_pages_meta(&c->pages, 1, &mine);
	return kvr_meta_fits(&k->layout, &mine);
}

static enum kvr_err
enlist(struct kvr *k, struct kvr_cache *c)
{
	enum kvr_err err = KVR_E_BUSY;

	pthread_mutex_lock(&k->end_lock);
	for (uint32_t i = 0; i < KVR_CACHES_MAX && err != KVR_OK; i++) {
		if (k->cache[i] == NULL) {
			k->cache[i] = c;
			err = KVR_OK;
		}
	}
	pthread_mutex_unlock(&k->end_lock);
	return err;
}

static enum kvr_err
open_cache(struct kvr *k, const struct kvr_cache_shape *shape, struct kvr_cache **ret)
{
	struct kvr_cache_shape s;

	if (ret == NULL || shape == NULL || !kvr_read_struct(&s, sizeof(s), sizeof(s), shape))
		return bad(k, "size of kvr_cache_shape is not set");
	const char *why = wrong(&s);

	if (why == NULL && !fill_strides(&s))
		why = "strides reach beyond any address";
	if (why != NULL)
		return bad(k, why);
	if (s.memory == KVR_MEMORY_DEVICE && kvr_device_memory(k) == NULL)
		return kvr_bad(k, KVR_E_UNSUPPORTED,
		    "kvr_cache_open: the instance has no device: memory.device \"cuda\" insists on "
		    "one and "
		    "says what is missing");
	struct kvr_cache *c = make(k, &s);
	enum kvr_err err = c == NULL ? KVR_E_NOMEM : KVR_OK;

	if (err == KVR_OK && !agrees(k, c))
		err = bad(k, "its chunks are not of the instance's layout");
	if (err == KVR_OK)
		err = enlist(k, c);
	if (err == KVR_OK)
		*ret = c;
	else
		free(c);
	return err;
}

enum kvr_err
kvr_cache_open(struct kvr *k, const struct kvr_cache_shape *shape, struct kvr_cache **ret)
{
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	err = open_cache(k, shape, ret);
	kvr_leave(k);
	return err;
}

/* Works after kvr_close too: an engine gives its memory back then. */
enum kvr_err
kvr_cache_close(struct kvr_cache *take)
{
	enum kvr_err err = KVR_OK;

	if (kvr_forked())
		return KVR_E_FORKED;
	if (take == NULL)
		return KVR_OK;
	if (take->magic != KVR_CACHE_MAGIC)
		return KVR_E_INVALID;
	struct kvr *k = take->kvr;

	kvr_call_reap(k); /* what is over must not keep it */
	pthread_mutex_lock(&k->end_lock);
	if (atomic_load(&take->users) > 0)
		err = KVR_E_BUSY;
	for (uint32_t i = 0; i < KVR_CACHES_MAX && err == KVR_OK; i++) {
		if (k->cache[i] == take)
			k->cache[i] = NULL;
	}
	pthread_mutex_unlock(&k->end_lock);
	if (err == KVR_OK) {
		take->magic = 0;
		free(take);
	}
	return err;
}
