/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paged KV caches: an engine's description of one is checked once, so that a batch only names
 * tokens.
 */
#include "kvr_cache.h"

#include "kvr_call.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_instance_device.h"
#include "kvr_user_log.h"

#include <stdlib.h>
#include <string.h>

/* One pointer for each layer and plane, whatever the order, as the walk needs it. */
static void
place(uint8_t **base, const struct kvr_cache_shape *s)
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

			base[l * s->n_planes + p] = (uint8_t *)s->base[i] + off;
		}
	}
}

static struct kvr_pages
pages_of(const struct kvr_cache_shape *s)
{
	return (struct kvr_pages){ .n_layers = s->n_layers,
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
		.head_stride = s->head_stride };
}

/* Groups one after the other: first their bases, then their numbers. */
static struct kvr_cache *
make(struct kvr *k, const struct kvr_cache_shape *s, uint32_t n)
{
	size_t places = 0, layers = 0;

	for (uint32_t g = 0; g < n; g++) {
		places += (size_t)s[g].n_layers * s[g].n_planes;
		layers += s[g].n_layers;
	}
	struct kvr_cache *c = calloc(
	    1, sizeof(*c) + places * sizeof(c->base[0]) + layers * sizeof(uint32_t));

	if (c == NULL)
		return NULL;
	uint8_t **base = c->base;
	uint32_t *number = (uint32_t *)(c->base + places);

	c->magic = KVR_CACHE_MAGIC;
	c->kvr = k;
	c->n_groups = n;
	for (uint32_t g = 0; g < n; g++) {
		struct kvr_pages *p = g == 0 ? &c->pages : &c->more[g - 1];

		*p = pages_of(&s[g]);
		p->base = base;
		p->next = g + 1 < n ? &c->more[g] : NULL;
		place(base, &s[g]);
		base += (size_t)s[g].n_layers * s[g].n_planes;
		if (s[g].number == NULL)
			continue;
		memcpy(number, s[g].number, s[g].n_layers * sizeof(*number));
		p->number = number;
		number += s[g].n_layers;
	}
	return c;
}

/* Whether its chunks agree with the layout that the instance was given. */
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

/*
 * The range from the first byte of the first block to the last byte of the last one, with any gaps.
 */
static bool
base_overlaps(const struct kvr_pages *p, const uint8_t *base, uintptr_t first, uint64_t bytes)
{
	uint64_t len = (p->n_blocks - 1) * p->block_stride +
	               (p->block_tokens - 1) * p->token_stride +
	               (p->n_heads - 1) * p->head_stride + p->head_bytes;

	return (uintptr_t)base < first + bytes && first < (uintptr_t)base + len;
}

static bool
cache_overlaps(const struct kvr_cache *c, uintptr_t first, uint64_t bytes)
{
	for (const struct kvr_pages *p = &c->pages; p != NULL && !p->device; p = p->next) {
		for (uint32_t i = 0; i < p->n_layers * p->n_planes; i++) {
			if (base_overlaps(p, p->base[i], first, bytes))
				return true;
		}
	}
	return false;
}

bool
kvr_caches_overlap(struct kvr *k, uintptr_t first, uint64_t bytes)
{
	bool yes = false;

	pthread_mutex_lock(&k->end_lock);
	for (uint32_t i = 0; i < KVR_CACHES_MAX && !yes; i++)
		yes = k->cache[i] != NULL && cache_overlaps(k->cache[i], first, bytes);
	pthread_mutex_unlock(&k->end_lock);
	return yes;
}

/* A header of LMCache's has as many groups as the instance was opened with. */
static bool
fits_headers(const struct kvr *k, const struct kvr_cache *c)
{
	bool header = false;

	for (uint32_t t = 0; t < k->config->n_tiers; t++)
		header = header || k->config->tier[t].format == KVR_CONFIG_FORMAT_LMCACHE;
	return !header || c->n_groups == k->header_groups;
}

static enum kvr_err
check_chunks(struct kvr *k, const struct kvr_cache *c)
{
	if (!agrees(k, c))
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_cache_open: its chunks are not of the instance's layout");
	if (!fits_headers(k, c))
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_cache_open: %u groups, and a tier in LMCache's format has headers for %u: "
		    "give the groups to kvr_open as layout",
		    c->n_groups, k->header_groups);
	return KVR_OK;
}

static enum kvr_err
open_cache(struct kvr *k, const struct kvr_cache_shape *shape, struct kvr_cache **ret)
{
	struct kvr_cache_shape s[KVR_GROUPS_MAX];
	uint32_t n = 0;

	if (ret == NULL || shape == NULL)
		return kvr_bad(k, KVR_E_INVALID, "kvr_cache_open: no shape, or no place for the cache");
	enum kvr_err err = kvr_cache_shapes_read(k, shape, s, &n);

	if (err != KVR_OK)
		return err;
	if (s[0].memory == KVR_MEMORY_DEVICE && kvr_device_memory(k) == NULL)
		return kvr_bad(k, KVR_E_UNSUPPORTED,
		    "kvr_cache_open: the instance has no device: memory.device \"cuda\" insists on "
		    "one and "
		    "says what is missing");
	struct kvr_cache *c = make(k, s, n);

	err = c == NULL ? KVR_E_NOMEM : check_chunks(k, c);
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

/* Also works after kvr_close, because that is when an engine gives its memory back. */
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

	kvr_call_reap(k); /* operations that are over must not keep it */
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
