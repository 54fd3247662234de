/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_bus.h"

#include <cuda_runtime_api.h>

void
kvr_bus_add(struct kvr_bus *b, enum kvr_way way, uint8_t *chunk, uint8_t *far, uint64_t len)
{
	KVR_CHECK(b->n < KVR_BUS_COPIES);
	b->to[b->n] = way == KVR_WAY_IN ? chunk : far;
	b->from[b->n] = way == KVR_WAY_IN ? far : chunk;
	b->len[b->n++] = len;
}

#if CUDART_VERSION >= 12080
/* The order of the stream also for what is read: an event that it waits for counts for each piece. */
static cudaError_t
copy_batch(struct kvr_bus *b, uint32_t n, cudaStream_t stream)
{
	struct cudaMemcpyAttributes how = { .srcAccessOrder = cudaMemcpySrcAccessOrderStream,
		.flags = cudaMemcpyFlagPreferOverlapWithCompute };
	size_t first = 0;

#if CUDART_VERSION >= 13000
	return cudaMemcpyBatchAsync(
	    b->to, (const void *const *)b->from, b->len, n, &how, &first, 1, stream);
#else
	size_t bad;

	return cudaMemcpyBatchAsync(b->to, b->from, b->len, n, &how, &first, 1, &bad, stream);
#endif
}
#endif

int
kvr_bus_go(struct kvr_bus *b, enum kvr_way way, cudaStream_t stream, bool *batches, const char **ret_call)
{
	enum cudaMemcpyKind kind =
	    way == KVR_WAY_IN ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice;
	cudaError_t rc = cudaSuccess;
	uint32_t n = b->n;

	b->n = 0;
#if CUDART_VERSION >= 12080
	if (*batches && n > 1) {
		*ret_call = "cudaMemcpyBatchAsync";
		rc = copy_batch(b, n, stream);
		if (rc != cudaErrorCallRequiresNewerDriver && rc != cudaErrorNotSupported)
			return (int)rc;
		(void)cudaGetLastError();
		*batches = false; /* an older driver than the toolkit: one by one from now on */
		rc = cudaSuccess;
	}
#else
	(void)batches;
#endif
	*ret_call = "cudaMemcpyAsync";
	for (uint32_t i = 0; i < n && rc == cudaSuccess; i++)
		rc = cudaMemcpyAsync(b->to[i], b->from[i], b->len[i], kind, stream);
	return (int)rc;
}
