/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies by CUDA: two streams of one device, what goes to the copy engines and what to the kernel,
 * and what becomes of errors. One thread owns a copier, and no other calls any of this.
 */
#include "kvr_cuda_own.h"
#include "kvr_copy_plan.h"
#include "kvr_kernel.h"
#include "kvr_limits.h"
#include "kvr_pointer.h"
#include "kvr_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

/*
 * Where the boundaries lie between what kvr_copy_plan.h knows; tests/bench/bench_gpu.c builds others,
 * which is how they were found. On an H200 the engines need 64 to 128 KiB to a call to be as fast as
 * the bus, both ways at once, and what is gathered costs three calls more, which 512 KiB are worth.
 */
#ifndef KVR_COPY_BIG
#define KVR_COPY_BIG 131072
#endif
#ifndef KVR_COPY_RUN
#define KVR_COPY_RUN KVR_COPY_BIG
#endif
#ifndef KVR_COPY_MANY
#define KVR_COPY_MANY (512 << 10)
#endif
#ifndef KVR_COPY_BATCH
#define KVR_COPY_BATCH KVR_BUS_COPIES
#endif
enum { SMALL = KVR_KERNEL_PIECES };

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
	/* Pieces of a launch. 0: there is no kernel for this device, or it reaches page-locked memory elsewhere. */
	uint32_t most;
	struct kvr_copy_plan plan;
	struct kvr_bus bus; /* for the engines */
	uint32_t n_small;   /* for the kernel, over the bus */
	struct kvr_piece small[SMALL];
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

/* All that has been collected for the engines. */
static enum kvr_err
copy_big(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	const char *call;
	cudaError_t rc = (cudaError_t)kvr_bus_go(&c->bus, way, c->way[way].stream, &c->batches, &call);

	return rc == cudaSuccess ? KVR_OK : failed(c, way, call, rc, why, why_cap);
}

/* And for the kernel itself. */
static enum kvr_err
copy_small(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	uint32_t n = c->n_small;

	c->n_small = 0;
	for (uint32_t i = 0; i < n; i += c->most) {
		cudaError_t rc = (cudaError_t)kvr_kernel_copy(
		    &c->small[i], KVR_MIN(n - i, c->most), way == KVR_WAY_IN, c->way[way].stream);

		if (rc != cudaSuccess)
			return failed(c, way, "the copy kernel", rc, why, why_cap);
	}
	return KVR_OK;
}

/* And for the device's memory. */
static enum kvr_err
copy_staged(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	struct way *w = &c->way[way];
	const char *call;
	cudaError_t rc = (cudaError_t)kvr_stage_go(&w->stage, way, w->stream, &c->batches, &call);

	return rc == cudaSuccess ? KVR_OK : failed(c, way, call, rc, why, why_cap);
}

/* Each of its units, for a copy engine goes in straight lines. */
static enum kvr_err
add_big(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, char *why, size_t why_cap)
{
	uint64_t n = kvr_piece_units(piece);
	enum kvr_err err = KVR_OK;

	for (uint64_t i = 0; i < n && err == KVR_OK; i++) {
		struct kvr_piece unit = kvr_piece_unit(piece, i);

		kvr_bus_add(&c->bus, way, unit.chunk, unit.cache, unit.len);
		if (c->bus.n == KVR_COPY_BATCH)
			err = copy_big(c, way, why, why_cap);
	}
	return err;
}

static enum kvr_err
add_small(struct kvr_copier *c, enum kvr_way way, struct kvr_piece rest, char *why, size_t why_cap)
{
	enum kvr_err err = KVR_OK;

	while (rest.len > 0 && err == KVR_OK) {
		c->small[c->n_small++] = kvr_piece_take(&rest, KVR_PIECE_TILE);
		if (c->n_small == SMALL)
			err = copy_small(c, way, why, why_cap);
	}
	return err;
}

static enum kvr_err
add_staged(struct kvr_copier *c, enum kvr_way way, struct kvr_piece rest, char *why, size_t why_cap)
{
	struct kvr_stage *s = &c->way[way].stage;
	enum kvr_err err = KVR_OK;

	while (rest.len > 0 && err == KVR_OK) {
		struct kvr_piece part = kvr_piece_take(&rest, KVR_PIECE_TILE);

		if (!kvr_stage_has_room(s, &part))
			err = copy_staged(c, way, why, why_cap);
		if (err == KVR_OK)
			kvr_stage_add(s, way, &part);
		if (err == KVR_OK && s->filled >= c->plan.share)
			err = copy_staged(c, way, why, why_cap);
	}
	return err;
}

/* At most KVR_PLAN_PIECES. */
static enum kvr_err
copy_some(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n, char *why,
    size_t why_cap)
{
	const struct kvr_stage *s = &c->way[way].stage;
	const struct kvr_copy_rules rules = { .kernel = c->most > 0,
		.big = KVR_COPY_BIG,
		.huge = 8 * (uint64_t)KVR_COPY_BIG,
		.run = KVR_COPY_RUN,
		.many = KVR_COPY_MANY,
		.slot = s->on ? s->len : 0 };
	enum kvr_err err = KVR_OK;

	kvr_copy_plan(&rules, piece, n, &c->plan);
	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		if (c->plan.by[i] == KVR_BY_STAGE)
			err = add_staged(c, way, piece[i], why, why_cap);
		else if (c->plan.by[i] == KVR_BY_KERNEL)
			err = add_small(c, way, piece[i], why, why_cap);
		else
			err = add_big(c, way, &piece[i], why, why_cap);
	}
	if (err == KVR_OK)
		err = copy_staged(c, way, why, why_cap);
	if (err == KVR_OK)
		err = copy_small(c, way, why, why_cap);
	return err == KVR_OK ? copy_big(c, way, why, why_cap) : err;
}

static enum kvr_err
copy(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n, char *why,
    size_t why_cap)
{
	enum kvr_err err = is_reset(c) ? was_reset(why, why_cap) : KVR_OK;

	for (uint32_t i = 0; i < n && err == KVR_OK; i += KVR_PLAN_PIECES)
		err = copy_some(c, way, &piece[i], KVR_MIN(n - i, (uint32_t)KVR_PLAN_PIECES), why, why_cap);
	/* What a failure left behind. */
	c->bus.n = c->n_small = 0;
	kvr_stage_forget(&c->way[way].stage);
	return err;
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
