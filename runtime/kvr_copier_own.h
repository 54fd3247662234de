/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a copier of CUDA's, and what its files say to each other.
 *
 *   kvr_copier_cuda.c         its life, its marks, and what becomes of errors
 *   kvr_copier_pieces_cuda.c  pieces, and by what each of them crosses the bus
 */
#ifndef KVR_COPIER_OWN_H
#define KVR_COPIER_OWN_H

#include "kvr_bus.h"
#include "kvr_copy_plan.h"
#include "kvr_device.h"
#include "kvr_stage.h"

struct way {
	struct CUstream_st *stream;
	struct kvr_stage stage;
	struct CUevent_st *mark[KVR_MARKS_MAX];
	uint32_t first, n; /* marks that are on their way */
};

struct kvr_copier {
	struct way way[KVR_WAYS];
	bool lost;
	/* Page-locked, and looked at: see is_reset. Whole, for no page may lie in two locks. */
	uint8_t *page;
	size_t page_bytes;
	bool watched;  /* the driver does tell of it */
	bool reset;
	bool batches; /* cudaMemcpyBatchAsync is there, as far as is known */
	/* Pieces of a launch. 0: there is no kernel for this device, or it reaches page-locked memory elsewhere. */
	uint32_t most;
	struct kvr_copy_plan plan;
	struct kvr_bus bus; /* for the engines */
	uint32_t n_small;   /* for the kernel, over the bus */
	struct kvr_piece small[KVR_KERNEL_PIECES];
};

/* kvr_copier_cuda.c */
/* A call that failed, as an int of CUDA's: what it is to whoever asked, and whether it stays. */
enum kvr_err kvr_copier_failed(struct kvr_copier *, enum kvr_way, const char *call, int rc, char *why,
    size_t why_cap);

/* kvr_copier_pieces_cuda.c */
KVR_MUST_USE enum kvr_err kvr_copier_pieces(struct kvr_copier *, enum kvr_way, const struct kvr_piece *,
    uint32_t n, char *why, size_t why_cap);

#endif
