/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies by CUDA: two streams of one device and their marks, and what becomes of errors. One thread
 * owns a copier, and no other calls any of this.
 */
#include "kvr_copier_own.h"
#include "kvr_cuda_own.h"
#include "kvr_pointer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

/*
 * Somebody has reset the device: its streams and events are no handles any more, and CUDA promises
 * nothing of a call that is given one, not even an error. What tells is that the page is not
 * page-locked any more. A reset while such a call runs nobody can be safe from.
 */
static bool
is_reset(struct kvr_copier *c)
{
	struct kvr_pointer p;

	if (!c->reset && c->watched && kvr_pointer_look(c->page, &p) &&
	    p.type == KVR_POINTER_NOBODYS)
		c->reset = c->lost = true;
	return c->reset;
}

static enum kvr_err
was_reset(char *why, size_t why_cap)
{
	snprintf(why, why_cap, "cudaDeviceReset: somebody in this process has reset the device");
	return KVR_E_DEVICE;
}

/* An error that does not go away is one of the context: its streams answer with it from then on. */
enum kvr_err
kvr_copier_failed(struct kvr_copier *c, enum kvr_way way, const char *call, int rc, char *why,
    size_t why_cap)
{
	snprintf(why, why_cap, "%s: %s", call, cudaGetErrorString((cudaError_t)rc));
	(void)cudaGetLastError();
	if (is_reset(c))
		return KVR_E_DEVICE;
	cudaError_t still = cudaStreamQuery(c->way[way].stream);

	(void)cudaGetLastError();
	if (still != cudaSuccess && still != cudaErrorNotReady)
		c->lost = true;
	return KVR_E_DEVICE;
}

static void
close_way(struct way *way)
{
	if (way->stream != NULL)
		(void)cudaStreamSynchronize(way->stream);
	kvr_stage_close(&way->stage);
	for (uint32_t i = 0; i < KVR_MARKS_MAX; i++) {
		if (way->mark[i] != NULL)
			(void)cudaEventDestroy(way->mark[i]);
	}
	if (way->stream != NULL)
		(void)cudaStreamDestroy(way->stream);
}

static void
close_copier(struct kvr_copier *take)
{
	if (take == NULL)
		return;
	if (take->page != NULL && !is_reset(take)) {
		for (uint32_t w = 0; w < KVR_WAYS; w++)
			close_way(&take->way[w]);
		(void)cudaHostUnregister(take->page);
	}
	(void)cudaGetLastError();
	free(take->page);
	free(take);
}

/* Streams that know nothing of the default one: the engine's work and ours do not wait for each other. */
static cudaError_t
open_way(struct way *way, const char **ret_call)
{
	cudaError_t rc = cudaStreamCreateWithFlags(&way->stream, cudaStreamNonBlocking);

	*ret_call = "cudaStreamCreateWithFlags";
	for (uint32_t i = 0; i < KVR_MARKS_MAX && rc == cudaSuccess; i++) {
		*ret_call = "cudaEventCreateWithFlags";
		rc = cudaEventCreateWithFlags(&way->mark[i], cudaEventDisableTiming);
	}
	return rc;
}

/*
 * Loads it too, which may wait for all that a device does; not in the first copy. A device that
 * nothing was compiled for, or a driver that makes nothing of it, costs speed only.
 */
static uint32_t
load_kernel(void)
{
	uint32_t most = 0;

	if (kvr_kernel_load(&most) == (int)cudaSuccess)
		return most;
	(void)cudaGetLastError();
	return 0;
}

static cudaError_t
open_ways(struct kvr_copier *c, uint32_t number, const char **ret_call)
{
	/*
	 * An engine that captures a graph forbids other threads what might disturb it, and breaks
	 * it off when one does so: asking for an event's state is such a thing. We touch nothing
	 * that is captured.
	 */
	enum cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal;
	struct kvr_pointer p;
	int same = 0;
	cudaError_t rc = cudaSetDevice((int)number);

	*ret_call = "cudaSetDevice";
	if (rc == cudaSuccess) {
		*ret_call = "cudaThreadExchangeStreamCaptureMode";
		rc = cudaThreadExchangeStreamCaptureMode(&mode);
	}
	if (rc == cudaSuccess) {
		*ret_call = "cudaHostRegister";
		rc = c->page == NULL ? cudaErrorMemoryAllocation
		                     : cudaHostRegister(c->page, c->page_bytes, cudaHostRegisterPortable);
	}
	if (rc != cudaSuccess) {
		free(c->page);
		c->page = NULL;
	} else {
		c->watched = kvr_pointer_look(c->page, &p) && p.type == KVR_POINTER_LOCKED;
	}
	for (uint32_t w = 0; w < KVR_WAYS && rc == cudaSuccess; w++)
		rc = open_way(&c->way[w], ret_call);
	if (rc == cudaSuccess) {
		*ret_call = "cudaDeviceGetAttribute";
		rc = cudaDeviceGetAttribute(
		    &same, cudaDevAttrCanUseHostPointerForRegisteredMem, (int)number);
	}
	c->most = rc == cudaSuccess && same != 0 ? load_kernel() : 0;
	for (uint32_t w = 0; w < KVR_WAYS && c->most > 0; w++)
		kvr_stage_open(&c->way[w].stage, c->most);
	return rc;
}

static enum kvr_err
open_copier(uint32_t number, struct kvr_copier **ret, char *why, size_t why_cap)
{
	struct kvr_copier *c = calloc(1, sizeof(*c));
	const char *call;

	if (c == NULL) {
		snprintf(why, why_cap, "no memory");
		return KVR_E_NOMEM;
	}
	c->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	c->page = aligned_alloc(c->page_bytes, c->page_bytes);
	cudaError_t rc = open_ways(c, number, &call);

	if (rc != cudaSuccess) {
		snprintf(why, why_cap, "%s: %s", call, cudaGetErrorString(rc));
		(void)cudaGetLastError();
		close_copier(c);
		return KVR_E_DEVICE;
	}
	c->batches = CUDART_VERSION >= 12080;
	*ret = c;
	return KVR_OK;
}

static enum kvr_err
copy(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n, char *why,
    size_t why_cap)
{
	return is_reset(c) ? was_reset(why, why_cap) : kvr_copier_pieces(c, way, piece, n, why, why_cap);
}

static enum kvr_err
await(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t why_cap)
{
	if (is_reset(c))
		return was_reset(why, why_cap);
	struct way *w = &c->way[way];
	cudaError_t rc = cudaStreamWaitEvent(w->stream, event, 0);

	/* What is gathered is read before the way's own stream has it. */
	if (rc == cudaSuccess && way == KVR_WAY_IN && w->stage.on)
		rc = cudaStreamWaitEvent(w->stage.stream, event, 0);
	return rc == cudaSuccess ? KVR_OK : kvr_copier_failed(c, way, "cudaStreamWaitEvent", (int)rc, why, why_cap);
}

static enum kvr_err
record(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t why_cap)
{
	if (is_reset(c))
		return was_reset(why, why_cap);
	cudaError_t rc = cudaEventRecord(event, c->way[way].stream);

	return rc == cudaSuccess ? KVR_OK : kvr_copier_failed(c, way, "cudaEventRecord", (int)rc, why, why_cap);
}

static enum kvr_err
mark(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	struct way *w = &c->way[way];

	KVR_CHECK(w->n < KVR_MARKS_MAX);
	if (is_reset(c))
		return was_reset(why, why_cap);
	cudaError_t rc = cudaEventRecord(w->mark[(w->first + w->n) % KVR_MARKS_MAX], w->stream);

	if (rc == cudaSuccess) {
		w->n++;
		return KVR_OK;
	}
	/* Nobody would hear of its end, and until then it writes into memory that was lent. */
	if (!is_reset(c))
		(void)cudaStreamSynchronize(w->stream);
	return kvr_copier_failed(c, way, "cudaEventRecord", (int)rc, why, why_cap);
}

static enum kvr_err
poll(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	struct way *w = &c->way[way];

	KVR_CHECK(w->n > 0);
	bool reset = is_reset(c);
	cudaError_t rc = reset ? cudaSuccess : cudaEventQuery(w->mark[w->first]);

	if (rc == cudaErrorNotReady) {
		(void)cudaGetLastError(); /* it is kept like an error, and the next launch would answer it */
		return KVR_E_UNFINISHED;
	}
	w->first = (w->first + 1) % KVR_MARKS_MAX;
	w->n--;
	if (reset)
		return was_reset(why, why_cap);
	return rc == cudaSuccess ? KVR_OK : kvr_copier_failed(c, way, "cudaEventQuery", (int)rc, why, why_cap);
}

static bool
lost(const struct kvr_copier *c)
{
	return c->lost;
}

const struct kvr_copy_ops kvr_cuda_copy_ops = { .current = kvr_cuda_current,
	.where = kvr_cuda_where,
	.open = open_copier,
	.close = close_copier,
	.await = await,
	.record = record,
	.copy = copy,
	.mark = mark,
	.poll = poll,
	.lost = lost };
