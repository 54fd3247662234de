/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA, in plain C and linked statically: its runtime looks for a driver when it is first called,
 * so one binary runs with and without.
 *
 * The calls act on the device that is current on the calling thread, and make its context when there
 * is none yet. So they belong on the thread that calls kvr_open, where an engine has chosen its
 * device; on a thread of ours every rank of a node would make a context on device 0.
 */
#include "kvr_device.h"
#include "kvr_kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

static uint32_t
count(char *why, size_t why_cap)
{
	int n = 0;
	cudaError_t rc = cudaGetDeviceCount(&n);

	if (rc == cudaSuccess && n > 0)
		return (uint32_t)n;
	/* The runtime keeps the last error for whoever asks next, and it was no error to us. */
	(void)cudaGetLastError();
	snprintf(why, why_cap, "%s",
	    rc == cudaSuccess ? "the driver knows of no device" : cudaGetErrorString(rc));
	return 0;
}

static enum kvr_err
lock(void *at, uint64_t len, enum kvr_touch use, char *why, size_t why_cap)
{
	kvr_device_touch(at, len, use, kvr_device_touchers(len));
	/* For every device, also those whose context is made later; and for kernels. */
	cudaError_t rc = cudaHostRegister(at, len, cudaHostRegisterPortable | cudaHostRegisterMapped);

	if (rc == cudaSuccess)
		return KVR_OK;
	(void)cudaGetLastError();
	snprintf(why, why_cap, "page-locking %llu bytes failed: %s", (unsigned long long)len,
	    cudaGetErrorString(rc));
	if (rc == cudaErrorMemoryAllocation)
		return KVR_E_NOMEM;
	return rc == cudaErrorInvalidValue || rc == cudaErrorHostMemoryAlreadyRegistered ? KVR_E_INVALID
	                                                                                 : KVR_E_DEVICE;
}

static void
unlock(void *at, uint64_t len)
{
	(void)len;
	/*
	 * Fails when the process is ending and the driver has gone before us, or when the embedder has
	 * reset the device: the lock went with the context, so there is nothing left to undo.
	 */
	if (cudaHostUnregister(at) != cudaSuccess)
		(void)cudaGetLastError();
}

/* ---- copies ---- */

/*
 * Pieces of at least BIG bytes go to the copy engines, which move them faster than any kernel and
 * leave the multiprocessors to the engine's own work; below it what each piece costs there is more
 * than its bytes, and a kernel takes hundreds at once.
 */
enum { BIG = 32768, BATCH = 256 };
#ifdef KVR_WITH_KERNEL
enum { WITH_KERNEL = 1 };
#else
enum { WITH_KERNEL = 0 };
#endif

struct way {
	cudaStream_t stream;
	cudaEvent_t mark[KVR_MARKS_MAX];
	uint32_t first, n; /* marks that are on their way */
};

struct kvr_copier {
	struct way way[KVR_WAYS];
	bool lost;
	bool batches; /* cudaMemcpyBatchAsync is there, as far as is known */
	bool kernels; /* a kernel reaches page-locked memory by the host's addresses */
	void *to[BATCH], *from[BATCH];
	size_t len[BATCH];
	struct kvr_kernel_piece small[KVR_KERNEL_PIECES];
};

static uint32_t
current(void)
{
	int number = 0;

	if (cudaGetDevice(&number) != cudaSuccess)
		(void)cudaGetLastError();
	return (uint32_t)number;
}

/* Asks the kernel: what a device holds the processor cannot read, and would die of it. */
static bool
host_reads(const void *at)
{
	char byte;
	struct iovec to = { .iov_base = &byte, .iov_len = 1 },
	             from = { .iov_base = (void *)(uintptr_t)at, .iov_len = 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1;
}

/*
 * Managed memory is the device's: the processor may reach it only while no kernel runs, on machines
 * that do not page it, and a copy always may.
 */
static enum kvr_where
where(uint32_t number, const void *at)
{
	struct cudaPointerAttributes a = { 0 };

	if (cudaPointerGetAttributes(&a, at) != cudaSuccess) {
		/* A context that is lost answers nothing any more, and the host's memory goes on. */
		(void)cudaGetLastError();
		return host_reads(at) ? KVR_IN_HOST : KVR_IN_DEVICE;
	}
	if (a.type == cudaMemoryTypeManaged)
		return KVR_IN_DEVICE;
	if (a.type != cudaMemoryTypeDevice)
		return KVR_IN_HOST;
	return a.device == (int)number ? KVR_IN_DEVICE : KVR_IN_ELSEWHERE;
}

/* An error that does not go away is one of the context: its streams answer with it from then on. */
static enum kvr_err
failed(struct kvr_copier *c, enum kvr_way way, const char *call, cudaError_t rc, char *why,
    size_t why_cap)
{
	snprintf(why, why_cap, "%s: %s", call, cudaGetErrorString(rc));
	(void)cudaGetLastError();
	cudaError_t still = cudaStreamQuery(c->way[way].stream);

	(void)cudaGetLastError();
	if (still != cudaSuccess && still != cudaErrorNotReady)
		c->lost = true;
	return KVR_E_DEVICE;
}

static void
close_copier(struct kvr_copier *take)
{
	if (take == NULL)
		return;
	for (uint32_t w = 0; w < KVR_WAYS; w++) {
		struct way *way = &take->way[w];

		if (way->stream != NULL)
			(void)cudaStreamSynchronize(way->stream);
		for (uint32_t i = 0; i < KVR_MARKS_MAX; i++) {
			if (way->mark[i] != NULL)
				(void)cudaEventDestroy(way->mark[i]);
		}
		if (way->stream != NULL)
			(void)cudaStreamDestroy(way->stream);
	}
	(void)cudaGetLastError();
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

static enum kvr_err
open_copier(uint32_t number, struct kvr_copier **ret, char *why, size_t why_cap)
{
	struct kvr_copier *c = calloc(1, sizeof(*c));
	const char *call = "cudaSetDevice";
	int same = 0;

	if (c == NULL) {
		snprintf(why, why_cap, "no memory");
		return KVR_E_NOMEM;
	}
	cudaError_t rc = cudaSetDevice((int)number);

	for (uint32_t w = 0; w < KVR_WAYS && rc == cudaSuccess; w++)
		rc = open_way(&c->way[w], &call);
	if (rc == cudaSuccess) {
		call = "cudaDeviceGetAttribute";
		rc = cudaDeviceGetAttribute(
		    &same, cudaDevAttrCanUseHostPointerForRegisteredMem, (int)number);
	}
	if (rc != cudaSuccess) {
		snprintf(why, why_cap, "%s: %s", call, cudaGetErrorString(rc));
		(void)cudaGetLastError();
		close_copier(c);
		return KVR_E_DEVICE;
	}
	c->batches = CUDART_VERSION >= 12080;
	c->kernels = WITH_KERNEL && same != 0;
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

/* The n pieces that stand in small. */
static enum kvr_err
copy_small(struct kvr_copier *c, enum kvr_way way, uint32_t n, char *why, size_t why_cap)
{
	cudaError_t rc = cudaSuccess;

#ifdef KVR_WITH_KERNEL
	if (n > 0)
		rc = (cudaError_t)kvr_kernel_copy(c->small, n, c->way[way].stream);
#else
	KVR_CHECK(n == 0);
#endif
	return rc == cudaSuccess ? KVR_OK : failed(c, way, "the copy kernel", rc, why, why_cap);
}

static enum kvr_err
copy(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n, char *why,
    size_t why_cap)
{
	uint32_t n_big = 0, n_small = 0;
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		bool in = way == KVR_WAY_IN;
		void *to = in ? piece[i].chunk : piece[i].cache;
		void *from = in ? piece[i].cache : piece[i].chunk;

		if (c->kernels && piece[i].len < BIG) {
			c->small[n_small++] =
			    (struct kvr_kernel_piece){ .to = to, .from = from, .len = piece[i].len };
		} else {
			c->to[n_big] = to;
			c->from[n_big] = from;
			c->len[n_big++] = piece[i].len;
		}
		if (n_small == KVR_KERNEL_PIECES) {
			err = copy_small(c, way, n_small, why, why_cap);
			n_small = 0;
		}
		if (n_big == BATCH) {
			err = copy_big(c, way, n_big, why, why_cap);
			n_big = 0;
		}
	}
	if (err == KVR_OK)
		err = copy_small(c, way, n_small, why, why_cap);
	return err == KVR_OK ? copy_big(c, way, n_big, why, why_cap) : err;
}

static enum kvr_err
await(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t why_cap)
{
	cudaError_t rc = cudaStreamWaitEvent(c->way[way].stream, event, 0);

	return rc == cudaSuccess ? KVR_OK : failed(c, way, "cudaStreamWaitEvent", rc, why, why_cap);
}

static enum kvr_err
record(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t why_cap)
{
	cudaError_t rc = cudaEventRecord(event, c->way[way].stream);

	return rc == cudaSuccess ? KVR_OK : failed(c, way, "cudaEventRecord", rc, why, why_cap);
}

static enum kvr_err
mark(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	struct way *w = &c->way[way];

	KVR_CHECK(w->n < KVR_MARKS_MAX);
	cudaError_t rc = cudaEventRecord(w->mark[(w->first + w->n) % KVR_MARKS_MAX], w->stream);

	if (rc == cudaSuccess) {
		w->n++;
		return KVR_OK;
	}
	/* Nobody would hear of its end, and until then it writes into memory that was lent. */
	(void)cudaStreamSynchronize(w->stream);
	return failed(c, way, "cudaEventRecord", rc, why, why_cap);
}

static enum kvr_err
poll(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	struct way *w = &c->way[way];

	KVR_CHECK(w->n > 0);
	cudaError_t rc = cudaEventQuery(w->mark[w->first]);

	if (rc == cudaErrorNotReady) {
		(void)cudaGetLastError(); /* it is kept like an error, and the next launch would answer it */
		return KVR_E_UNFINISHED;
	}
	w->first = (w->first + 1) % KVR_MARKS_MAX;
	w->n--;
	return rc == cudaSuccess ? KVR_OK : failed(c, way, "cudaEventQuery", rc, why, why_cap);
}

static bool
lost(const struct kvr_copier *c)
{
	return c->lost;
}

static const struct kvr_copy_ops copy_ops = { .current = current,
	.where = where,
	.open = open_copier,
	.close = close_copier,
	.await = await,
	.record = record,
	.copy = copy,
	.mark = mark,
	.poll = poll,
	.lost = lost };

const struct kvr_device kvr_device_cuda = { "cuda", count, lock, unlock, &copy_ops };
