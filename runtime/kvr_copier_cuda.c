/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies by CUDA: two streams of one device, what goes to the copy engines and what to the kernel,
 * and what becomes of errors. One thread owns a copier, and no other calls any of this.
 */
#include "kvr_cuda_own.h"
#include "kvr_kernel.h"
#include "kvr_limits.h"
#include "kvr_pointer.h"
#include "kvr_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

/*
 * Pieces of at least BIG bytes go to the copy engines, which move them faster than any kernel and
 * leave the multiprocessors to the engine's own work; below it what each piece costs there is more
 * than its bytes, and a kernel takes hundreds at once. Reports of H100s have the copy engines at a
 * seventh of their speed below 28 KiB, from host to device; of ours there is no figure yet.
 *
 * Where at least MANY bytes of such pieces lie side by side in a chunk, they meet in the device's
 * memory and cross the bus at once; for fewer the kernel crosses it by itself, which is three calls
 * less.
 */
#ifndef KVR_COPY_BIG
#define KVR_COPY_BIG 32768 /* tests/bench/bench_gpu.c builds others, to measure it */
#endif
#ifndef KVR_COPY_MANY
#define KVR_COPY_MANY (256 << 10)
#endif
#ifndef KVR_COPY_BATCH
#define KVR_COPY_BATCH 256
#endif
enum { BIG = KVR_COPY_BIG, BATCH = KVR_COPY_BATCH, SMALL = 512 };

struct way {
	cudaStream_t stream;
	struct kvr_stage stage;
	cudaEvent_t mark[KVR_MARKS_MAX];
	uint32_t first, n; /* marks that are on their way */
};

struct kvr_copier {
	struct way way[KVR_WAYS];
	bool lost;
	/* Page-locked, and looked at: see is_reset. Whole, for no page may lie in two locks. */
	uint8_t *page;
	size_t page_bytes;
	bool watched;  /* the driver does tell of it */
	bool reset;
	bool batches; /* cudaMemcpyBatchAsync is there, as far as is known */
	bool kernels; /* there is one for this device, and it reaches page-locked memory where the host does */
	void *to[BATCH], *from[BATCH];
	size_t len[BATCH];
	/* The last n_adjacent of the n_small, adjacent_len bytes, lie side by side in a chunk. */
	uint32_t n_small, n_adjacent;
	uint64_t adjacent_len;
	struct kvr_kernel_piece small[SMALL];
};

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
static enum kvr_err
failed(struct kvr_copier *c, enum kvr_way way, const char *call, cudaError_t rc, char *why,
    size_t why_cap)
{
	snprintf(why, why_cap, "%s: %s", call, cudaGetErrorString(rc));
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
static bool
has_kernel(void)
{
	if (kvr_kernel_load() == (int)cudaSuccess)
		return true;
	(void)cudaGetLastError();
	return false;
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
	c->kernels = rc == cudaSuccess && same != 0 && has_kernel();
	for (uint32_t w = 0; w < KVR_WAYS && c->kernels; w++)
		kvr_stage_open(&c->way[w].stage);
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

#if CUDART_VERSION >= 12080
/* The order of the stream also for what is read: an event that it waits for counts for each piece. */
static cudaError_t
copy_batch(struct kvr_copier *c, uint32_t n, cudaStream_t stream)
{
	struct cudaMemcpyAttributes how = { .srcAccessOrder = cudaMemcpySrcAccessOrderStream,
		.flags = cudaMemcpyFlagPreferOverlapWithCompute };
	size_t first = 0;

#if CUDART_VERSION >= 13000
	return cudaMemcpyBatchAsync(
	    c->to, (const void *const *)c->from, c->len, n, &how, &first, 1, stream);
#else
	size_t bad;

	return cudaMemcpyBatchAsync(c->to, c->from, c->len, n, &how, &first, 1, &bad, stream);
#endif
}
#endif

/* The n pieces that stand in to, from and len. */
static enum kvr_err
copy_big(struct kvr_copier *c, enum kvr_way way, uint32_t n, char *why, size_t why_cap)
{
	enum cudaMemcpyKind kind =
	    way == KVR_WAY_IN ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice;
	cudaStream_t stream = c->way[way].stream;

#if CUDART_VERSION >= 12080
	if (c->batches && n > 1) {
		cudaError_t rc = copy_batch(c, n, stream);

		if (rc == cudaSuccess)
			return KVR_OK;
		if (rc != cudaErrorCallRequiresNewerDriver && rc != cudaErrorNotSupported)
			return failed(c, way, "cudaMemcpyBatchAsync", rc, why, why_cap);
		(void)cudaGetLastError();
		c->batches = false; /* an older driver than the toolkit: one by one from now on */
	}
#endif
	for (uint32_t i = 0; i < n; i++) {
		cudaError_t rc = cudaMemcpyAsync(c->to[i], c->from[i], c->len[i], kind, stream);

		if (rc != cudaSuccess)
			return failed(c, way, "cudaMemcpyAsync", rc, why, why_cap);
	}
	return KVR_OK;
}

/* All small pieces that are left, by the kernel itself. */
static enum kvr_err
copy_small(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	uint32_t n = c->n_small;

	c->n_small = c->n_adjacent = 0;
	for (uint32_t i = 0; i < n; i += KVR_KERNEL_PIECES) {
		cudaError_t rc = (cudaError_t)kvr_kernel_copy(
		    &c->small[i], KVR_MIN(n - i, (uint32_t)KVR_KERNEL_PIECES), c->way[way].stream);

		if (rc != cudaSuccess)
			return failed(c, way, "the copy kernel", rc, why, why_cap);
	}
	return KVR_OK;
}

/* What lies side by side ends here: it goes by way of the device's memory where it is worth it. */
static enum kvr_err
end_adjacent(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	struct way *w = &c->way[way];
	uint32_t n = c->n_adjacent;
	const char *call;

	c->n_adjacent = 0;
	if (c->adjacent_len < KVR_COPY_MANY || n < 2 || !w->stage.on)
		return KVR_OK;
	c->n_small -= n;
	cudaError_t rc = (cudaError_t)kvr_stage_copy(
	    &w->stage, way, &c->small[c->n_small], n, w->stream, &call);

	return rc == cudaSuccess ? KVR_OK : failed(c, way, call, rc, why, why_cap);
}

static enum kvr_err
add_small(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, char *why, size_t why_cap)
{
	bool in = way == KVR_WAY_IN;
	const struct kvr_kernel_piece *last = c->n_adjacent > 0 ? &c->small[c->n_small - 1] : NULL;
	const void *end = last == NULL ? NULL : in ? last->to : last->from;
	enum kvr_err err = KVR_OK;

	if (last == NULL || (const uint8_t *)end + last->len != piece->chunk ||
	    c->adjacent_len + piece->len > c->way[way].stage.len || c->n_small == SMALL) {
		err = end_adjacent(c, way, why, why_cap);
		if (err == KVR_OK && c->n_small == SMALL)
			err = copy_small(c, way, why, why_cap);
		c->adjacent_len = 0;
	}
	if (err != KVR_OK)
		return err;
	c->small[c->n_small++] = (struct kvr_kernel_piece){ .to = in ? piece->chunk : piece->cache,
		.from = in ? piece->cache : piece->chunk,
		.len = piece->len };
	c->n_adjacent++;
	c->adjacent_len += piece->len;
	return KVR_OK;
}

static enum kvr_err
copy(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n, char *why,
    size_t why_cap)
{
	uint32_t n_big = 0;
	enum kvr_err err = is_reset(c) ? was_reset(why, why_cap) : KVR_OK;

	c->n_small = c->n_adjacent = 0;
	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		if (c->kernels && piece[i].len < BIG) {
			err = add_small(c, way, &piece[i], why, why_cap);
			continue;
		}
		c->to[n_big] = way == KVR_WAY_IN ? piece[i].chunk : piece[i].cache;
		c->from[n_big] = way == KVR_WAY_IN ? piece[i].cache : piece[i].chunk;
		c->len[n_big++] = piece[i].len;
		if (n_big == BATCH) {
			err = copy_big(c, way, n_big, why, why_cap);
			n_big = 0;
		}
	}
	if (err == KVR_OK)
		err = end_adjacent(c, way, why, why_cap);
	if (err == KVR_OK)
		err = copy_small(c, way, why, why_cap);
	return err == KVR_OK ? copy_big(c, way, n_big, why, why_cap) : err;
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
	return rc == cudaSuccess ? KVR_OK : failed(c, way, "cudaStreamWaitEvent", rc, why, why_cap);
}

static enum kvr_err
record(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t why_cap)
{
	if (is_reset(c))
		return was_reset(why, why_cap);
	cudaError_t rc = cudaEventRecord(event, c->way[way].stream);

	return rc == cudaSuccess ? KVR_OK : failed(c, way, "cudaEventRecord", rc, why, why_cap);
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
	return failed(c, way, "cudaEventRecord", rc, why, why_cap);
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
	return rc == cudaSuccess ? KVR_OK : failed(c, way, "cudaEventQuery", rc, why, why_cap);
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
