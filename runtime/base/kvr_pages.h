/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paged KV caches as engines keep them, and the walk that turns a chunk and its tokens into pieces
 * to copy: gathered from the cache before a put, scattered into it after a get.
 *
 *   slot    where one token lies: block * block_tokens + its place in the block. One slot number
 *           means one place in every layer and plane.
 *   run     tokens of a chunk with consecutive slots
 *   piece   bytes that are contiguous in the chunk, and in the cache too or in equal steps; as long
 *           as possible
 *
 * Pure arithmetic: nothing here touches the cache or the chunk, so it is the same for host and
 * device memory.
 */
#ifndef KVR_PAGES_H
#define KVR_PAGES_H

#include "kvr_meta.h"
#include "kvr_piece.h"

#define KVR_NO_SLOT UINT32_MAX

enum { KVR_PAGES_PLACES_MAX = 1024 }; /* layers times planes */

struct kvr_pages {
	uint32_t n_layers, n_planes, n_heads;
	uint32_t block_tokens, n_blocks;
	uint32_t memfmt; /* of the chunk: KV_2LTD, KV_MLA, KV_T2D, KV_2TD */
	uint32_t dtype;
	bool layerwise;  /* a chunk has one layer */
	bool device;     /* base points into device memory */
	uint64_t head_bytes;
	uint64_t block_stride, token_stride, head_stride; /* bytes from one to the next */
	uint8_t *const *base; /* block 0 of layer l and plane p: base[l * n_planes + p] */
	/*
	 * The number of each layer in the model: all groups together have 0, 1, 2, ... without
	 * gaps. NULL: counted on from the previous group.
	 */
	const uint32_t *number;
	const struct kvr_pages *next; /* the group behind this one in a chunk; NULL: none */
};

/* Bytes of one token in one layer and plane. */
static inline uint64_t
kvr_pages_row(const struct kvr_pages *p)
{
	return p->n_heads * p->head_bytes;
}

/* Bytes that one token takes in a chunk, in all groups. */
static inline uint64_t
kvr_pages_token(const struct kvr_pages *p)
{
	uint64_t bytes = 0;

	for (; p != NULL; p = p->next)
		bytes += kvr_pages_row(p) * p->n_planes * (p->layerwise ? 1 : p->n_layers);
	return bytes;
}

/* Layers of all groups. */
static inline uint32_t
kvr_pages_layers(const struct kvr_pages *p)
{
	uint32_t n = 0;

	for (; p != NULL; p = p->next)
		n += p->n_layers;
	return n;
}

/* The shape of a chunk of that many tokens. */
void kvr_pages_meta(const struct kvr_pages *, uint64_t tokens, struct kvr_meta *ret);

struct kvr_run {
	uint32_t slot; /* of the first token; KVR_NO_SLOT: these tokens are skipped */
	uint32_t n;
};

/* Collects the runs of one chunk after another. at NULL: only counts them. */
struct kvr_runs {
	struct kvr_run *at;
	uint32_t n, cap;
	struct kvr_run last; /* at[n - 1], which may still grow; n 0 in it: the next begins a new one */
};

/* False: no room left. Set last.n to 0 to begin a new chunk. */
KVR_MUST_USE bool kvr_runs_add(struct kvr_runs *, uint32_t slot, uint32_t n);

/* The position of a walk. Set the upper part, zero the rest. */
struct kvr_walk {
	const struct kvr_pages *pages;
	/* Per group, one group after the other: runs of at least `tokens` tokens; more are ignored. */
	const struct kvr_run *runs;
	uint64_t tokens;
	uint64_t room;  /* tokens that each group has in runs; 0: as many as tokens */
	uint32_t layer; /* of the chunk, if it has only one */
	/* Only layers of the model from `from` up to, not including, `to`. Both 0: all. */
	uint32_t from, to;
	uint8_t *chunk;

	uint32_t outer, run, in_run;
	uint32_t before; /* layers in the groups before this one */
	uint64_t token;
	/* Of the layer and plane that it stands in, found when it came there. */
	bool inside;
	uint8_t *base;
	struct kvr_piece like;   /* a token there; unit 0: contiguous */
	uint64_t token_bytes;    /* of the chunk */
	uint32_t tokens_at_most; /* of one piece */
	struct kvr_piece held; /* found but not handed out yet; len 0: none */
};

/* The next pieces, in the order of the chunk: at most cap, 0 at the end. cap must be at least 1. */
uint32_t kvr_walk_next(struct kvr_walk *, struct kvr_piece *ret, uint32_t cap);

#endif
