/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_kernel.h"

#include <cuda_runtime.h>
#include <string.h>

/* AT_ONCE: what a thread has asked for before it writes the first of it; the bus answers in microseconds. */
enum { THREADS = 256, AT_ONCE = 4 };

struct arguments {
	struct kvr_kernel_piece piece[KVR_KERNEL_PIECES];
};
static_assert(sizeof(struct arguments) <= 4096, "what a launch takes on every driver");

/* All threads of a block together; T is the widest that addresses and length are multiples of. */
template <typename T>
static __device__ void
copy_as(const struct kvr_kernel_piece &p)
{
	const T *from = static_cast<const T *>(p.from);
	T *to = static_cast<T *>(p.to);
	uint64_t n = p.len / sizeof(T);

	/* In two loops: the compiler lets no read pass a write that may be to the same place. */
	for (uint64_t i = threadIdx.x; i < n; i += AT_ONCE * THREADS) {
		T x[AT_ONCE];

#pragma unroll
		for (int k = 0; k < AT_ONCE; k++) {
			if (i + k * THREADS < n)
				x[k] = from[i + k * THREADS];
		}
#pragma unroll
		for (int k = 0; k < AT_ONCE; k++) {
			if (i + k * THREADS < n)
				to[i + k * THREADS] = x[k];
		}
	}
}

/* A block for each piece. */
static __global__ void
copy_pieces(const __grid_constant__ struct arguments a)
{
	const struct kvr_kernel_piece &p = a.piece[blockIdx.x];
	uint64_t bits = reinterpret_cast<uint64_t>(p.to) | reinterpret_cast<uint64_t>(p.from) | p.len;

	if (bits % sizeof(uint4) == 0)
		copy_as<uint4>(p);
	else if (bits % sizeof(uint32_t) == 0)
		copy_as<uint32_t>(p);
	else
		copy_as<uint8_t>(p);
}

int
kvr_kernel_load(void)
{
	cudaFuncAttributes a;

	return cudaFuncGetAttributes(&a, reinterpret_cast<const void *>(copy_pieces));
}

int
kvr_kernel_copy(const struct kvr_kernel_piece *piece, uint32_t n, void *stream)
{
	struct arguments a;
	void *all[] = { &a };

	memcpy(a.piece, piece, n * sizeof(*piece));
	/* Answers for this launch alone. What <<<>>> leaves for cudaGetLastError may be somebody else's. */
	return cudaLaunchKernel(reinterpret_cast<const void *>(copy_pieces), n, THREADS, all, 0,
	    static_cast<cudaStream_t>(stream));
}
