/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs on a device: one kernel that copies many small pieces at once. In C, for kvr_kernel.cu is
 * not compiled where the toolkit has no compiler; then nothing here is called.
 */
#ifndef KVR_KERNEL_H
#define KVR_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "kvr_pages.h"

/* Pieces of one launch: they travel as its arguments, which may be 4 KiB on every driver. */
enum { KVR_KERNEL_PIECES = 160 };

#ifdef KVR_WITH_KERNELS
static inline bool
kvr_kernel_here(void)
{
	return true;
}
/* stream: a cudaStream_t. in: from the cache into the chunk. Answers a cudaError_t. */
int kvr_kernel_copy(const struct kvr_piece *piece, uint32_t n, bool in, void *stream);
#else
static inline bool
kvr_kernel_here(void)
{
	return false;
}
static inline int
kvr_kernel_copy(const struct kvr_piece *piece, uint32_t n, bool in, void *stream)
{
	(void)piece;
	(void)n;
	(void)in;
	(void)stream;
	KVR_WRONG("a kernel that is not in this build");
}
#endif

#endif
