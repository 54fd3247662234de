/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_kernel.h"

#include <cuda_runtime.h>
#include <string.h>

/* AT_ONCE: what a thread has asked for before it writes the first of it; the bus answers in microseconds. */
enum { THREADS = 256, AT_ONCE = 4 };

template <int N> struct arguments {
	struct kvr_piece piece[N];
	int in;
};
static_assert(sizeof(struct arguments<KVR_KERNEL_FEW>) <= 4096, "what a launch takes on every driver");
static_assert(sizeof(struct arguments<KVR_KERNEL_PIECES>) <= 32764, "what a launch takes since CUDA 12.1");

/* Where the i-th T of a piece is in the cache. */
template <typename T, bool UNITS>
static __device__ T *
in_cache(const struct kvr_piece &p, uint32_t i)
{
	if (!UNITS)
		return reinterpret_cast<T *>(p.cache) + i;
	uint32_t each = p.unit / (uint32_t)sizeof(T), unit = i / each, row = unit / p.inner;

	return reinterpret_cast<T *>(p.cache + row * p.row_step + (unit - row * p.inner) * p.unit_step) +
	       (i - unit * each);
}

/* All threads of a block together; T is the widest that addresses, steps and lengths are multiples of. */
template <typename T, bool UNITS>
static __device__ void
copy_as(const struct kvr_piece &p, bool in)
{
	T *chunk = reinterpret_cast<T *>(p.chunk);
	uint32_t n = (uint32_t)(p.len / sizeof(T));

	/* In two loops: the compiler lets no read pass a write that may be to the same place. */
	for (uint32_t i = threadIdx.x; i < n; i += AT_ONCE * THREADS) {
		T x[AT_ONCE], *to[AT_ONCE];

#pragma unroll
		for (int k = 0; k < AT_ONCE; k++) {
			uint32_t at = i + k * THREADS;

			if (at < n) {
				T *cache = in_cache<T, UNITS>(p, at);

				to[k] = in ? chunk + at : cache;
				x[k] = in ? *cache : chunk[at];
			}
		}
#pragma unroll
		for (int k = 0; k < AT_ONCE; k++) {
			if (i + k * THREADS < n)
				*to[k] = x[k];
		}
	}
}

template <typename T>
static __device__ void
copy_piece(const struct kvr_piece &p, bool in)
{
	if (p.unit == 0)
		copy_as<T, false>(p, in);
	else
		copy_as<T, true>(p, in);
}

/* A block for each piece. */
template <int N>
static __global__ void
copy_pieces(const __grid_constant__ struct arguments<N> a)
{
	const struct kvr_piece &p = a.piece[blockIdx.x];
	uint64_t bits = reinterpret_cast<uint64_t>(p.cache) | reinterpret_cast<uint64_t>(p.chunk) | p.len |
	                p.unit | (uint64_t)p.unit_step | (uint64_t)p.row_step;

	if (bits % sizeof(uint4) == 0)
		copy_piece<uint4>(p, a.in);
	else if (bits % sizeof(uint32_t) == 0)
		copy_piece<uint32_t>(p, a.in);
	else
		copy_piece<uint8_t>(p, a.in);
}

template <int N>
static const void *
kernel_of(void)
{
	return reinterpret_cast<const void *>(copy_pieces<N>);
}

template <int N>
static int
launch(const struct kvr_piece *piece, uint32_t n, int in, cudaStream_t stream)
{
	struct arguments<N> a;
	void *all[] = { &a };

	memcpy(a.piece, piece, n * sizeof(*piece));
	a.in = in;
	/* Answers for this launch alone. What <<<>>> leaves for cudaGetLastError may be somebody else's. */
	return cudaLaunchKernel(kernel_of<N>(), n, THREADS, all, 0, stream);
}

int
kvr_kernel_load(uint32_t *ret_most)
{
	cudaFuncAttributes a;
	cudaError_t rc = cudaFuncGetAttributes(&a, kernel_of<KVR_KERNEL_FEW>());

	*ret_most = KVR_KERNEL_FEW;
#if CUDART_VERSION >= 12010
	int driver = 0;

	if (rc == 0 && cudaDriverGetVersion(&driver) == 0 && driver >= 12010) {
		rc = cudaFuncGetAttributes(&a, kernel_of<KVR_KERNEL_PIECES>());
		*ret_most = KVR_KERNEL_PIECES;
	}
#endif
	return rc;
}

int
kvr_kernel_copy(const struct kvr_piece *piece, uint32_t n, int in, void *stream)
{
	cudaStream_t on = static_cast<cudaStream_t>(stream);

#if CUDART_VERSION >= 12010
	if (n > KVR_KERNEL_FEW)
		return launch<KVR_KERNEL_PIECES>(piece, n, in, on);
#endif
	return launch<KVR_KERNEL_FEW>(piece, n, in, on);
}
