/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where payload may lie besides the caller's plain memory: in counted objects of the library's pool,
 * in memory that the library has page-locked, and in the blocks of an engine's paged KV cache. What
 * is done with it there is kvrelay.h's matter, and what the head of kvrelay.h says of threads, time,
 * structs and errors holds here too.
 */
#ifndef KVRELAY_MEMORY_H
#define KVRELAY_MEMORY_H

#include "kvrelay.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory objects: slots of the pool, counted ---- */

/*
 * The pool of the instance; it lives as long as the instance. NULL for a scheduler, if
 * memory.objects is "0B", and in a forked child; functions that are given this NULL answer
 * UNSUPPORTED.
 */
KVR_API struct kvr_pool *kvr_get_allocator_backend(struct kvr *kvr);

/*
 * A new object with one reference, the caller's, and 4096-aligned memory that is not cleared.
 * layout NULL: len plain bytes. Otherwise len bytes of that shape; 0 means all of it, less means
 * fewer tokens. Waits for a free slot until until_ns (0: the limit of a blocking call) and never
 * evicts: NOMEM (KVR_NOW) or TIMEOUT. TOO_BIG: more than the pool could ever provide; INVALID: an
 * invalid layout, more than it has, len 0 without one, or not a whole number of tokens. Works while
 * the instance drains. LMCache's allocate(busy_loop), but bounded.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_alloc(struct kvr_pool *pool, const struct kvr_layout *layout,
    size_t len, uint64_t until_ns, kvr_obj *ret);
/*
 * One reference more; one less. With the last one the memory goes back to the pool. STALE: the
 * object is gone (a reference too many was dropped).
 */
KVR_API enum kvr_err kvr_ref(struct kvr_pool *pool, kvr_obj obj);
KVR_API enum kvr_err kvr_unref(struct kvr_pool *pool, kvr_obj obj);
/* Pins count too: an object lives while it has a reference or a pin. INVALID: no pin to undo. */
KVR_API enum kvr_err kvr_obj_pin(struct kvr_pool *pool, kvr_obj obj, bool pin);
/*
 * Reduces len, by whole tokens if there is a layout; the memory behind it stays the object's.
 * INVALID: more than it has, zero, or not a whole number of tokens. BUSY: an operation is using it.
 */
KVR_API enum kvr_err kvr_obj_shrink(struct kvr_pool *pool, kvr_obj obj, size_t len);

struct kvr_obj_info {
	uint32_t                size;
	uint32_t                format;   /* enum kvr_format */
	uint32_t                n_groups; /* 0: plain bytes */
	uint32_t                refs;     /* including those of operations in flight */
	uint32_t                pins, spare;
	void                   *at;   /* valid while the caller holds a reference */
	uint64_t                len;  /* bytes in use; after a get: bytes that were found */
	uint64_t                room; /* bytes of the slot */
	const struct kvr_group *group; /* dims for the tokens in len; lives as long as the object */
};
/* ret->size must be set. */
KVR_API KVR_MUST_USE enum kvr_err kvr_obj_look(struct kvr_pool *pool, kvr_obj obj,
    struct kvr_obj_info *ret);

/* ---- the caller's own memory, page-locked ---- */

/*
 * Page-locks [at, at + len) of host memory for the instance's device (memory.device) until
 * kvr_memory_unregister or kvr_close. The engine's own asynchronous copies between a device and
 * that memory then really are asynchronous and run at the speed of the link, and a batch whose
 * places (at) all lie in it need not ask the driver where each one is. The library's copies gain
 * nothing: they run between the device and staging, which is page-locked anyway, and nothing is
 * copied between this memory and a store.
 *
 * The memory must stay mapped until then; its content may be used freely meanwhile, also by
 * operations. Whole pages are locked, so no two ranges may share one. It is the caller's memory,
 * and not part of the sum that `kvrelay config check` prints. A driver locks at most 64 GiB at
 * once, so longer ranges are locked in pieces, which begin at the first page and every 64 GiB from
 * there; a copy by the engine must not cross from one piece into the next. EIC is not told: its SDK
 * only ever gets staging memory, because its calls cannot be interrupted.
 *
 * An instance without a device (none, or auto without a driver) locks nothing and refuses the same
 * mistakes, so an engine need not know on which machine it runs.
 *
 * Blocks while the driver works, some tenths of a second per GiB; until_ns (0: a minute) is checked
 * between pieces. Call it where the instance's device is current. Never in a callback. INVALID: no
 * memory, not all of it mapped, or a device's; it shares pages with a registered range; the driver
 * has locked it for somebody else, or cannot lock this kind of memory; another device is current on
 * this thread. BUSY: the instance has 64 ranges. NOMEM: the driver locks no more. TIMEOUT. DEVICE:
 * the device is lost. The log says which.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_memory_register(struct kvr *kvr, void *at, size_t len,
    uint64_t until_ns);
/*
 * The reverse, for the whole range that was registered with this first byte; then it may be
 * unmapped. Any thread may call it, whatever device is current there. Blocks while the driver
 * works. INVALID: no such range; in a callback. BUSY, and the log says which: an operation with a
 * place in it has not completed, a kvr_cache or memory from mem_get lies in it, another thread is
 * registering it. kvr_close unregisters what nobody uses, so nothing is left to do after it; if a
 * thread hangs, all of it stays page-locked until kvr_free, or for good if the thread hangs then
 * too.
 */
KVR_API enum kvr_err kvr_memory_unregister(struct kvr *kvr, void *at);

/* ---- paged KV caches: payload where the engine keeps it ---- */

/* DEVICE: memory of the instance's device (memory.device); UNSUPPORTED if it has none. */
enum kvr_memory { KVR_MEMORY_HOST, KVR_MEMORY_DEVICE };

enum kvr_cache_order {
	KVR_CACHE_LAYERS, /* base: one for each layer; its planes lie in there */
	KVR_CACHE_PLANES, /* base: one for each plane of each layer: K, V of layer 0, then of 1 */
	KVR_CACHE_BLOCKS  /* base: one; a block has all layers, and a layer in it both planes */
};

/*
 * One group of layers of one shape. Token t of a block, in layer l and plane p (K is 0, V is 1),
 * head h: head_size adjacent elements at base[...] + l * layer_stride + p * plane_stride + block *
 * block_stride + t * token_stride + h * head_stride. Strides are in bytes; 0 means that of a dense
 * cache:
 *
 *	LAYERS   [plane, block, token, head]         FlashInfer's [block, plane, token, head]: give
 *	                                             plane_stride (a block) and block_stride (two)
 *	PLANES   [block, token, head]
 *	BLOCKS   [block, layer, plane, token, head]
 *
 * For blocks that have heads before tokens, head_stride is block_tokens heads and token_stride one
 * head. With MLA there is one plane, one head and format KV_MLA.
 *
 * Several groups, for models whose layers differ in shape (full and sliding attention, MLA and its
 * index): one struct per group, each naming the next. A chunk then holds all groups back to back in
 * this order, each laid out as if it were alone, which is what LMCache stores under several shapes.
 * A tier in LMCache's format with headers needs the same groups in kvr_options.layout.
 */
struct kvr_cache_shape {
	uint32_t     size;
	uint32_t     order;        /* enum kvr_cache_order */
	uint32_t     format;       /* of chunks: KV_2LTD, KV_MLA; of one layer: KV_T2D, KV_2TD */
	uint32_t     dtype;        /* enum kvr_dtype */
	/* Of this rank; layers x planes up to 1024. */
	uint32_t     n_layers, n_planes, n_heads, head_size;
	uint32_t     block_tokens; /* tokens per block; 1 for slots without blocks */
	uint32_t     n_blocks;     /* of the cache; a block table with a larger number is refused */
	uint32_t     layerwise;    /* KV_MLA: 1 for chunks of one layer, as KV_T2D and KV_2TD are */
	uint32_t     n_base;       /* as many as order needs */
	uint32_t     memory;       /* enum kvr_memory: where base points */
	uint32_t     spare;
	void *const *base;
	uint64_t     layer_stride, plane_stride, block_stride, token_stride, head_stride;
	/*
	 * With several groups: the numbers, in the model, of this group's n_layers layers;
	 * KVR_LAYERS goes by them. Either all groups give it or none, and the numbers of all groups
	 * together are 0, 1, 2, ... without gaps or repeats. NULL: counted on from the previous
	 * group.
	 */
	const uint32_t               *number;
	const struct kvr_cache_shape *next; /* the next group of up to 8; same format, memory */
};

/*
 * The cache lives until kvr_cache_close or kvr_free, and its memory must live as long. BUSY: the
 * instance has 64 of them. INVALID: an invalid shape; the log names the member and the group.
 * UNSUPPORTED: no device. NOMEM.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_cache_open(struct kvr *kvr,
    const struct kvr_cache_shape *shape, struct kvr_cache **ret);
/*
 * BUSY: an operation is moving tokens of it; nothing was done. No other call may name it meanwhile.
 * NULL is fine. Also works after kvr_close, but not after kvr_free, which frees it.
 */
KVR_API enum kvr_err kvr_cache_close(struct kvr_cache *take);

/*
 * The payload of a batch as tokens of a cache. Key i is a chunk of len[i] bytes, a whole number of
 * tokens, beginning with token first[i] of the table. A token has n_layers (1 in chunks of one
 * layer) * n_planes * n_heads * head_size elements; with several groups, the sum over them. How the
 * chunk looks in the store depends on the shape's format, not on blocks.
 *
 * Chunks of one layer: key i belongs to layer[i]. With one batch per layer, all submitted at once,
 * every layer has a completion of its own, and those of the first layers come first.
 */
struct kvr_tokens {
	uint32_t          size;
	uint32_t          n; /* entries of slot or block */
	struct kvr_cache *cache;
	/*
	 * Exactly one of these two. slot: where each token lies, block * block_tokens + place in
	 * the block; a get skips tokens with a negative slot, a put must have none. block: the
	 * block table; token t lies in block[t / block_tokens], at t % block_tokens.
	 */
	const int64_t    *slot;
	const int32_t    *block;
	const uint32_t   *first; /* one per key. NULL: each begins where the previous one ends */
	/*
	 * Formats of one layer. NULL: key i is of layer i % n_layers, and the n_layers keys of a
	 * chunk share its tokens (per_chunk is n_layers then). With it, first is needed too.
	 */
	const uint32_t   *layer;
	/*
	 * Device memory: a cudaEvent_t that the engine has recorded behind its last kernel that
	 * writes or reads these tokens. Copies wait for it on the device; no host thread does. It
	 * must live until the completion. An event that was never recorded is not waited for, and
	 * one recorded inside a captured graph cannot be. NULL: copies may begin now.
	 */
	void             *ready;
	/*
	 * Several groups: where the same tokens lie in the next group, which has its own blocks. In
	 * that struct only size, n, next, and slot or block are set.
	 */
	const struct kvr_tokens *next;
};

#ifdef __cplusplus
}
#endif

#endif
