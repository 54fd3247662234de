/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the device "cuda", and what its files say to each other.
 *
 *   kvr_device_cuda.c   page-locked memory, what lies where
 *   kvr_copier_cuda.c   copies; see kvr_copier_own.h
 *   kvr_pointer_cuda.c  what is asked of the driver itself, past the runtime
 */
#ifndef KVR_CUDA_OWN_H
#define KVR_CUDA_OWN_H

#include "kvr_device.h"

/* kvr_device_cuda.c */
uint32_t       kvr_cuda_current(void);
enum kvr_where kvr_cuda_where(uint32_t number, const void *at);

/* kvr_copier_cuda.c */
extern const struct kvr_copy_ops kvr_cuda_copy_ops;

#endif
