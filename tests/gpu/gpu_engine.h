/* SPDX-License-Identifier: Apache-2.0 */
/* An engine for tests: a paged cache in the device's memory, and what is to be found in it. */
#ifndef KVR_GPU_ENGINE_H
#define KVR_GPU_ENGINE_H

#include "kvr_api_bed.h"

#include "gpu_bed.h"
#include "kvr_paged_world.h"

enum { GPU_KEYS = 6 };

struct gpu_engine {
	struct paged_world w;
	struct kvr *kvr;
	struct kvr_cache *cache;
	uint8_t *far;
	int64_t *slot;
	uint64_t len[GPU_KEYS];
	struct kvr_tokens tokens;
};

/* Per layer, planes outermost, as FlashAttention has it: 32 KiB and 16 KiB pieces, and odd ones. */
void gpu_engine_open(struct gpu_engine *, struct kvr *, uint32_t seed, uint32_t block);
/* The same with heads before tokens in a block. */
void gpu_engine_open_heads(struct gpu_engine *, struct kvr *, uint32_t seed, uint32_t block);
/* Other bytes in all of it. */
void gpu_engine_renew(struct gpu_engine *);
void gpu_engine_close(struct gpu_engine *);
void gpu_engine_forget(struct gpu_engine *); /* the device's memory has gone already */
/* All keys of that name, in until_ms. */
enum kvr_err gpu_engine_submit(
    struct gpu_engine *, uint32_t kind, const char *name, uint64_t until_ms, kvr_op *ret);
/* One that is told ahead: the event (twin: NULL) is recorded behind its copies. */
enum kvr_err gpu_engine_record(struct gpu_engine *, uint32_t kind, const char *name, void *event,
    const struct kvr_opts *, kvr_op *ret);
void gpu_engine_moves(struct gpu_engine *, uint32_t kind, const char *name);
void gpu_engine_poison(struct gpu_engine *);
/* Nothing has come since. */
void gpu_engine_is_poison(struct gpu_engine *);
/* The tokens are as they were put, everything else is poison. */
void gpu_engine_came_back(struct gpu_engine *);
/* The same for whoever reads behind that event. */
void gpu_engine_came_back_behind(struct gpu_engine *, void *event);
/* One tier with the device's memory, or with the host's as its twin. */
struct kvr *gpu_open_store(const char *url, const char *tier);

#endif
