/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own code on the host; kvr_kernel_copy there takes no stream and returns when done. */
#ifndef KVR_KERNEL_HOST_H
#define KVR_KERNEL_HOST_H

#include "kvr_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif
/* In which order a launch runs its threads. */
extern enum kvr_kernel_order { KVR_KERNEL_UP, KVR_KERNEL_DOWN } kvr_kernel_order;
/* What the driver is for, as CUDA counts versions. */
extern int kvr_kernel_driver;
#ifdef __cplusplus
}
#endif

#endif
