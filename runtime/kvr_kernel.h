/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs on a device: one kernel that copies many small pieces at once. kvr_kernel.cu is only
 * compiled where the toolkit has a compiler; without it the copy engines take small pieces, too.
 */
#ifndef KVR_KERNEL_H
#define KVR_KERNEL_H

#include "kvr_piece.h"

/*
 * Pieces of one launch: they are its arguments, of which every driver takes 4 KiB, and those for
 * CUDA 12.1 and later 32 KiB. A launch costs the processor about 4 us, and with so many pieces 2 us
 * more.
 */
enum { KVR_KERNEL_FEW = 85, KVR_KERNEL_PIECES = 512 };

#ifdef __cplusplus
extern "C" {
#endif
/*
 * Both return a cudaError_t. load: loads the kernel into the thread's device, if it has one; *ret_most
 * is what a launch takes there.
 */
int kvr_kernel_load(uint32_t *ret_most);
/* in: from the cache to the chunk. stream: a cudaStream_t. n is at least 1. */
int kvr_kernel_copy(const struct kvr_piece *piece, uint32_t n, int in, void *stream);
#ifdef __cplusplus
}
#endif

#endif
