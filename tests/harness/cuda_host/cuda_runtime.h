/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kvr_kernel.cu uses of CUDA, for a C++ compiler of the host: so its own code runs under the
 * sanitizers of every build. A launch is a loop over blocks and threads (kvr_kernel_host.cc).
 */
#ifndef KVR_HARNESS_CUDA_HOST_H
#define KVR_HARNESS_CUDA_HOST_H

#include <stddef.h>
#include <stdint.h>

#define __device__
#define __global__
#define __grid_constant__

typedef int                cudaError_t;
typedef struct stream     *cudaStream_t;
struct cudaFuncAttributes { int spare; };
struct index3 { unsigned x; };
/* Aligned as on a device, where a piece at another address would be a misaligned access. */
struct alignas(16) uint4 { unsigned x, y, z, w; };

static thread_local index3 threadIdx, blockIdx;

#define CUDART_VERSION 13000

cudaError_t cudaDriverGetVersion(int *ret);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, const void *function);
cudaError_t cudaLaunchKernel(const void *function, unsigned blocks, unsigned threads,
    void **arguments, size_t shared, cudaStream_t stream);

#endif
