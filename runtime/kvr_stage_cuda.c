/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_stage.h"

#include <string.h>

#include <cuda_runtime_api.h>

/* Tests have smaller ones, so that each of them is filled often. */
#ifndef KVR_STAGE_BYTES
#define KVR_STAGE_BYTES KVR_DEVICE_STAGE_BYTES
#endif

/* Slots keep a chunk's place within so many bytes: what is aligned there is so in the slot, for the kernel. */
enum { ALIGNED = 256, ROOM = KVR_STAGE_BYTES + KVR_DEVICE_STAGE_SPARE };
_Static_assert((int)KVR_DEVICE_STAGE_SPARE == (int)KVR_PIECE_TILE + (int)ALIGNED, "a piece fits behind a full slot");

void
kvr_stage_open(struct kvr_stage *s, uint32_t most)
{
	memset(s, 0, sizeof(*s));
	cudaError_t rc = cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking);

	for (uint32_t i = 0; i < KVR_DEVICE_STAGE_SLOTS && rc == cudaSuccess; i++) {
		rc = cudaMalloc((void **)&s->slot[i], ROOM);
		if (rc == cudaSuccess)
			rc = cudaEventCreateWithFlags(&s->full[i], cudaEventDisableTiming);
		if (rc == cudaSuccess)
			rc = cudaEventCreateWithFlags(&s->empty[i], cudaEventDisableTiming);
	}
	s->len = KVR_STAGE_BYTES;
	s->most = most;
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

/* ---- what a slot is to have ---- */

/* What begins anew in the chunk begins at the next place in the slot that is aligned as it is. */
static uint64_t
place_of(const struct kvr_stage *s, const struct kvr_piece *p)
{
	if (s->n > 0 && s->end == p->chunk)
		return s->filled;
	return (s->filled + ALIGNED - 1) / ALIGNED * ALIGNED + (uintptr_t)p->chunk % ALIGNED;
}

bool
kvr_stage_has_room(const struct kvr_stage *s, const struct kvr_piece *p)
{
	return s->n < KVR_STAGE_PIECES && s->bus.n < KVR_BUS_COPIES && place_of(s, p) + p->len <= ROOM;
}

void
kvr_stage_add(struct kvr_stage *s, enum kvr_way way, const struct kvr_piece *p)
{
	uint64_t at = place_of(s, p);
	uint8_t *in_slot = s->slot[s->next] + at;

	if (s->n > 0 && s->end == p->chunk)
		s->bus.len[s->bus.n - 1] += p->len;
	else
		kvr_bus_add(&s->bus, way, p->chunk, in_slot, p->len);
	s->end = p->chunk + p->len;
	s->filled = at + p->len;
	s->piece[s->n] = *p;
	s->piece[s->n++].chunk = in_slot;
}

/* ---- both halves of its way ---- */

/* Between the cache and the slot. */
static cudaError_t
by_kernel(const struct kvr_stage *s, enum kvr_way way, cudaStream_t stream)
{
	cudaError_t rc = cudaSuccess;

	for (uint32_t i = 0; i < s->n && rc == cudaSuccess; i += s->most)
		rc = (cudaError_t)kvr_kernel_copy(
		    &s->piece[i], KVR_MIN(s->n - i, s->most), way == KVR_WAY_IN, stream);
	return rc;
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

/* The half that crosses the bus is the second one from a device, and the first one to it. */
static cudaError_t
half(struct kvr_stage *s, enum kvr_way way, bool bus, cudaStream_t stream, bool *batches, const char **ret_call)
{
	if (bus)
		return (cudaError_t)kvr_bus_go(&s->bus, way, stream, batches, ret_call);
	*ret_call = "the copy kernel";
	return by_kernel(s, way, stream);
}

static cudaError_t
begin(struct kvr_stage *s, enum kvr_way way, cudaStream_t stream, bool *batches, const char **ret_call)
{
	uint32_t i = s->next;
	const char *unheard;
	cudaError_t rc = cudaSuccess;

	*ret_call = "cudaStreamWaitEvent";
	if (s->used[i])
		rc = cudaStreamWaitEvent(s->stream, s->empty[i], 0);
	if (rc == cudaSuccess)
		rc = half(s, way, way == KVR_WAY_OUT, s->stream, batches, ret_call);
	/* Also after a failure: kernels that were begun before it read a cache that was lent. */
	cudaError_t over = hand_over(s->stream, stream, s->full[i], rc == cudaSuccess ? ret_call : &unheard);

	if (rc == cudaSuccess)
		rc = over;
	if (rc == cudaSuccess)
		rc = half(s, way, way == KVR_WAY_IN, stream, batches, ret_call);
	if (rc == cudaSuccess) {
		*ret_call = "cudaEventRecord";
		rc = cudaEventRecord(s->empty[i], stream);
	}
	s->used[i] = true;
	return rc;
}

int
kvr_stage_go(struct kvr_stage *s, enum kvr_way way, cudaStream_t stream, bool *batches, const char **ret_call)
{
	if (s->n == 0)
		return (int)cudaSuccess;
	cudaError_t rc = begin(s, way, stream, batches, ret_call);

	s->next = (s->next + 1) % KVR_DEVICE_STAGE_SLOTS;
	kvr_stage_forget(s);
	s->on = rc == cudaSuccess;
	return (int)rc;
}

void
kvr_stage_forget(struct kvr_stage *s)
{
	s->n = s->bus.n = 0;
	s->filled = 0;
}
