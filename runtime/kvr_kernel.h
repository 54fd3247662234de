/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs on a device: one kernel that copies many small pieces at once. kvr_kernel.cu is only
 * compiled where the toolkit has a compiler; without it the copy engines take small pieces, too.
 */
#ifndef KVR_KERNEL_H
#define KVR_KERNEL_H

#include <stdint.h>

/* Pieces of one launch: they are its arguments, of which every driver takes 4 KiB. */
enum { KVR_KERNEL_PIECES = 160 };

struct kvr_kernel_piece {
	void       *to;
	const void *from;
	uint64_t    len;
};

#ifdef __cplusplus
extern "C" {
#endif
/* Both return a cudaError_t. load: loads the kernel into the thread's device, if it has one. */
int kvr_kernel_load(void);
/* stream: a cudaStream_t. n is at least 1. */
int kvr_kernel_copy(const struct kvr_kernel_piece *piece, uint32_t n, void *stream);
#ifdef __cplusplus
}
#endif

#endif
