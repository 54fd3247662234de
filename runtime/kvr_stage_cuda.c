/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_stage.h"

#include <string.h>

#include <cuda_runtime_api.h>

/* Tests have smaller ones, so that each of them is filled often. */
#ifndef KVR_STAGE_BYTES
#define KVR_STAGE_BYTES KVR_DEVICE_STAGE_BYTES
#endif

/* Slots keep a chunk's place within so many bytes: what is aligned there is so in the slot, for the kernel. */
enum { ALIGNED = 256 };

void
kvr_stage_open(struct kvr_stage *s)
{
	memset(s, 0, sizeof(*s));
	cudaError_t rc = cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking);

	for (uint32_t i = 0; i < KVR_DEVICE_STAGE_SLOTS && rc == cudaSuccess; i++) {
		rc = cudaMalloc((void **)&s->slot[i], KVR_STAGE_BYTES + ALIGNED);
		if (rc == cudaSuccess)
			rc = cudaEventCreateWithFlags(&s->full[i], cudaEventDisableTiming);
		if (rc == cudaSuccess)
			rc = cudaEventCreateWithFlags(&s->empty[i], cudaEventDisableTiming);
	}
	s->len = KVR_STAGE_BYTES;
	s->on = rc == cudaSuccess;
	if (!s->on)
		kvr_stage_close(s);
}

void
kvr_stage_close(struct kvr_stage *s)
{
	if (s->stream != NULL)
		(void)cudaStreamSynchronize(s->stream);
	for (uint32_t i = 0; i < KVR_DEVICE_STAGE_SLOTS; i++) {
		if (s->full[i] != NULL)
			(void)cudaEventDestroy(s->full[i]);
		if (s->empty[i] != NULL)
			(void)cudaEventDestroy(s->empty[i]);
		if (s->slot[i] != NULL)
			(void)cudaFree(s->slot[i]);
	}
	if (s->stream != NULL)
		(void)cudaStreamDestroy(s->stream);
	(void)cudaGetLastError();
	memset(s, 0, sizeof(*s));
}

/* Where a byte of the chunk stands in the slot. */
struct shift {
	uint8_t *slot;
	const uint8_t *chunk;
};

static cudaError_t
by_kernel(const struct shift *shift, enum kvr_way way, const struct kvr_kernel_piece *piece, uint32_t n,
    cudaStream_t stream)
{
	struct kvr_kernel_piece part[KVR_KERNEL_PIECES];
	cudaError_t rc = cudaSuccess;

	for (uint32_t i = 0; i < n && rc == cudaSuccess;) {
		uint32_t k = 0;

		for (; k < KVR_KERNEL_PIECES && i < n; k++, i++) {
			part[k] = piece[i];
			if (way == KVR_WAY_IN)
				part[k].to = shift->slot + ((const uint8_t *)piece[i].to - shift->chunk);
			else
				part[k].from = shift->slot + ((const uint8_t *)piece[i].from - shift->chunk);
		}
		rc = (cudaError_t)kvr_kernel_copy(part, k, stream);
	}
	return rc;
}

/* The half that crosses the bus is the second one from a device, and the first one to it. */
static cudaError_t
half(const struct shift *shift, enum kvr_way way, bool bus, const struct kvr_kernel_piece *piece, uint32_t n,
    cudaStream_t stream, const char **ret_call)
{
	const struct kvr_kernel_piece *last = &piece[n - 1];
	const void *end = way == KVR_WAY_IN ? last->to : last->from;
	size_t len = (size_t)((const uint8_t *)end - shift->chunk) + last->len;

	if (!bus) {
		*ret_call = "the copy kernel";
		return by_kernel(shift, way, piece, n, stream);
	}
	*ret_call = "cudaMemcpyAsync";
	if (way == KVR_WAY_IN)
		return cudaMemcpyAsync(piece[0].to, shift->slot, len, cudaMemcpyDeviceToHost, stream);
	return cudaMemcpyAsync(shift->slot, shift->chunk, len, cudaMemcpyHostToDevice, stream);
}

/* second waits for what first was given; not on the host, unless even that fails. */
static cudaError_t
hand_over(cudaStream_t first, cudaStream_t second, cudaEvent_t event, const char **ret_call)
{
	cudaError_t rc = cudaEventRecord(event, first);

	*ret_call = "cudaEventRecord";
	if (rc == cudaSuccess) {
		*ret_call = "cudaStreamWaitEvent";
		rc = cudaStreamWaitEvent(second, event, 0);
	}
	if (rc != cudaSuccess)
		(void)cudaStreamSynchronize(first);
	return rc;
}

int
kvr_stage_copy(struct kvr_stage *s, enum kvr_way way, const struct kvr_kernel_piece *piece, uint32_t n,
    cudaStream_t stream, const char **ret_call)
{
	uint32_t i = s->next++ % KVR_DEVICE_STAGE_SLOTS;
	const uint8_t *chunk = way == KVR_WAY_IN ? piece[0].to : piece[0].from;
	const struct shift shift = { .slot = s->slot[i] + (uintptr_t)chunk % ALIGNED, .chunk = chunk };
	const char *unheard;
	cudaError_t rc = cudaSuccess;

	*ret_call = "cudaStreamWaitEvent";
	if (s->used[i])
		rc = cudaStreamWaitEvent(s->stream, s->empty[i], 0);
	if (rc == cudaSuccess)
		rc = half(&shift, way, way == KVR_WAY_OUT, piece, n, s->stream, ret_call);
	/* Also after a failure: kernels that were begun before it read a cache that was lent. */
	cudaError_t over = hand_over(s->stream, stream, s->full[i], rc == cudaSuccess ? ret_call : &unheard);

	if (rc == cudaSuccess)
		rc = over;
	if (rc == cudaSuccess)
		rc = half(&shift, way, way == KVR_WAY_IN, piece, n, stream, ret_call);
	if (rc == cudaSuccess) {
		*ret_call = "cudaEventRecord";
		rc = cudaEventRecord(s->empty[i], stream);
	}
	s->used[i] = true;
	s->on = rc == cudaSuccess;
	return (int)rc;
}
