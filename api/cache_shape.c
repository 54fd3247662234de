/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine's description of a paged cache, group by group: checked, and completed where it is 0.
 */
#include "kvr_cache.h"

#include "kvr_entry.h"
#include "kvr_user_log.h"

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

/* Members that are one of a few numbers. */
static const char *
wrong_choice(const struct kvr_cache_shape *s)
{
	if (s->order > KVR_CACHE_BLOCKS)
		return "order is none of LAYERS, PLANES, BLOCKS";
	if (s->memory > KVR_MEMORY_DEVICE)
		return "memory is neither HOST nor DEVICE";
	if (s->layerwise > 1)
		return "layerwise is neither 0 nor 1";
	if (s->spare != 0)
		return "spare is not 0";
	return kvr_dtype_size(s->dtype) == 0 ? "dtype is none that has a size" : NULL;
}

static const char *
wrong_count(const struct kvr_cache_shape *s)
{
	if (s->n_layers == 0)
		return "n_layers is 0";
	if (s->n_layers > KVR_PAGES_PLACES_MAX)
		return "n_layers is more than 1024";
	if (s->n_heads == 0)
		return "n_heads is 0";
	if (s->head_size == 0)
		return "head_size is 0";
	if (s->block_tokens == 0)
		return "block_tokens is 0";
	return s->n_blocks == 0 ? "n_blocks is 0" : NULL;
}

/* NULL: nothing is wrong. Sizes are checked before what is computed from them. */
static const char *
wrong(const struct kvr_cache_shape *s)
{
	const char *why = wrong_choice(s);

	if (why == NULL)
		why = wrong_count(s);
	if (why == NULL)
		why = wrong_format(s);
	if (why != NULL)
		return why;
	if (s->n_layers * s->n_planes > KVR_PAGES_PLACES_MAX)
		return "layers times planes is more than 1024";
	if ((uint64_t)s->block_tokens * s->n_blocks >= KVR_NO_SLOT)
		return "blocks times their tokens is not below 2^32 - 1";
	if (s->n_heads > UINT32_MAX / kvr_dtype_size(s->dtype) / s->head_size)
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

/* A stride of 0 becomes that of a dense cache. False: does not fit into a 64-bit address space. */
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

/* ---- groups ---- */

static bool
layerwise(const struct kvr_cache_shape *s)
{
	return s->layerwise != 0 || s->format == KVR_FMT_KV_T2D || s->format == KVR_FMT_KV_2TD;
}

/* Checks what every group must have in common with the first. NULL: nothing is wrong. */
static const char *
wrong_beside(const struct kvr_cache_shape *first, const struct kvr_cache_shape *s)
{
	if (layerwise(first) || layerwise(s))
		return "a chunk of several groups has all layers: KV_2LTD, or KV_MLA without "
		       "layerwise";
	if (s->format != first->format)
		return "format is another than the first group's, and a chunk has one";
	if (s->memory != first->memory)
		return "memory is another than the first group's";
	if ((s->number == NULL) != (first->number == NULL))
		return "number is given for some groups and not for all";
	return NULL;
}

/* Every layer of the model must appear exactly once. */
static const char *
wrong_numbers(const struct kvr_cache_shape *s, uint32_t n, uint32_t layers)
{
	uint8_t seen[KVR_PAGES_PLACES_MAX] = { 0 };

	for (uint32_t g = 0; g < n && s[g].number != NULL; g++) {
		for (uint32_t l = 0; l < s[g].n_layers; l++) {
			if (s[g].number[l] >= layers)
				return "a number is not below the number of layers in all groups";
			if (seen[s[g].number[l]]++ != 0)
				return "two layers have one number";
		}
	}
	return NULL;
}

static const char *
wrong_sum(const struct kvr_cache_shape *s, uint32_t n)
{
	uint32_t layers = 0;

	for (uint32_t g = 0; g < n; g++)
		layers += s[g].n_layers;
	return layers > KVR_PAGES_PLACES_MAX ? "more than 1024 layers in all groups"
	                                     : wrong_numbers(s, n, layers);
}

static enum kvr_err
bad(struct kvr *k, const char *what)
{
	return kvr_bad(k, KVR_E_INVALID, "kvr_cache_open: %s", what);
}

/* A cache of one group has no need to hear its number. */
static enum kvr_err
bad_group(struct kvr *k, uint32_t group, const struct kvr_cache_shape *next, const char *what)
{
	if (group == 0 && next == NULL)
		return bad(k, what);
	return kvr_bad(k, KVR_E_INVALID, "kvr_cache_open: group %u: %s", group, what);
}

enum kvr_err
kvr_cache_shapes_read(struct kvr *k, const struct kvr_cache_shape *from,
    struct kvr_cache_shape ret[KVR_GROUPS_MAX], uint32_t *ret_n)
{
	uint32_t n = 0;

	do {
		struct kvr_cache_shape *s = &ret[n];
		const char *why = NULL;

		if (n == KVR_GROUPS_MAX)
			return bad(k, "more than 8 groups, or next goes in a circle");
		if (!kvr_read_struct(s, sizeof(*s), KVR_CACHE_SHAPE_LEAST, from))
			return bad_group(k, n, NULL, "size of kvr_cache_shape is not set");
		why = wrong(s);
		if (why == NULL && n > 0)
			why = wrong_beside(&ret[0], s);
		if (why == NULL && !fill_strides(s))
			why = "strides reach beyond any address";
		if (why != NULL)
			return bad_group(k, n, s->next, why);
		from = s->next;
		n++;
	} while (from != NULL);
	*ret_n = n;
	const char *why = wrong_sum(ret, n);

	return why == NULL ? KVR_OK : bad(k, why);
}
