/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef KVR_WITH_CUDA
#include "kvr_kernel.h"
#include "kvr_stage.h"

#include <cuda_runtime_api.h>
#endif
#ifdef KVR_STAND_IN
#include "kvr_cuda_fake.h"
#endif

static const struct kvr_device *device;
static bool no_errors;
static struct gpu_machine on;
static char name[192];

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#ifdef KVR_WITH_CUDA
#define CUDA(x)                                                                                    \
	do {                                                                                       \
		cudaError_t rc_ = (x);                                                             \
		if (rc_ != cudaSuccess) {                                                          \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x,                 \
			    cudaGetErrorString(rc_));                                              \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* What the kernel's module says of itself; CUDA has no call for it. */
static void
find_driver(char *ret, size_t cap)
{
	char line[256] = "";
	FILE *f = fopen("/proc/driver/nvidia/version", "r");

	if (f != NULL && fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	if (f != NULL)
		fclose(f);
	snprintf(ret, cap, "unknown");
	for (char *rest = NULL, *word = strtok_r(line, " \t\n", &rest); word != NULL;
	     word = strtok_r(NULL, " \t\n", &rest)) {
		if (strspn(word, "0123456789.") == strlen(word) && strchr(word, '.') != NULL) {
			snprintf(ret, cap, "%.31s", word);
			return;
		}
	}
}

static void
name_device(void)
{
	struct cudaDeviceProp prop;
	int driver = 0;

	CUDA(cudaGetDeviceProperties(&prop, (int)device->copy->current()));
	CUDA(cudaDriverGetVersion(&driver));
	snprintf(on.name, sizeof(on.name), "%.90s", prop.name);
	find_driver(on.driver, sizeof(on.driver));
	snprintf(on.driver_cuda, sizeof(on.driver_cuda), "%d.%d", driver / 1000, driver % 1000 / 10);
	snprintf(on.toolkit, sizeof(on.toolkit), "%d.%d", CUDART_VERSION / 1000,
	    CUDART_VERSION % 1000 / 10);
	snprintf(name, sizeof(name), "%s, driver %s for CUDA %s, toolkit %s", on.name, on.driver,
	    on.driver_cuda, on.toolkit);
}
#else
/* Never reached: without CUDA there is only the twin. */
#define CUDA(x) abort()

static void
name_device(void)
{
	abort();
}
#endif

void
gpu_open(int argc, char **argv)
{
	char why[128] = "this build has no CUDA";

	for (int i = 1; i < argc; i++) {
		no_errors = no_errors || strcmp(argv[i], "--no-errors") == 0;
		if (strcmp(argv[i], "--twin") == 0) {
			device = &kvr_device_host;
			snprintf(on.name, sizeof(on.name), "the host's twin");
			snprintf(name, sizeof(name), "%s", on.name);
			return;
		}
	}
	device = kvr_device_find("cuda");
	if (device == NULL || device->count(why, sizeof(why)) == 0) {
		fprintf(stderr, "not run: no device: %s\n", why);
		exit(77);
	}
	name_device();
}

bool
gpu_is_twin(void)
{
	return device == &kvr_device_host;
}

bool
gpu_may_err(void)
{
	return !gpu_is_twin() && !no_errors;
}

const struct kvr_device *
gpu_device(void)
{
	return device;
}

const char *
gpu_name(void)
{
	return name;
}

const struct gpu_machine *
gpu_machine(void)
{
	return &on;
}

#ifdef KVR_WITH_CUDA
/* Two pieces in one call, as the worker has them. */
static cudaError_t
try_batch(void)
{
	cudaError_t rc = cudaSuccess;
#if CUDART_VERSION >= 12080
	enum { LEN = 1 << 16 };
	struct cudaMemcpyAttributes how = { .srcAccessOrder = cudaMemcpySrcAccessOrderStream,
		.flags = cudaMemcpyFlagPreferOverlapWithCompute };
	uint8_t *far = gpu_alloc(2 * LEN), *near = gpu_pin(2 * LEN);
	void *to[2] = { far + LEN, far }, *from[2] = { near, near + LEN };
	size_t len[2] = { LEN, LEN }, first = 0;
	cudaStream_t stream;

	CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
#if CUDART_VERSION >= 13000
	rc = cudaMemcpyBatchAsync(to, (const void *const *)from, len, 2, &how, &first, 1, stream);
#else
	size_t bad;

	rc = cudaMemcpyBatchAsync(to, from, len, 2, &how, &first, 1, &bad, stream);
#endif
	(void)cudaGetLastError();
	CUDA(cudaStreamSynchronize(stream));
	CUDA(cudaStreamDestroy(stream));
	gpu_free(far);
	gpu_unpin(near, 2 * LEN);
#endif
	return rc;
}

const char *
gpu_lacks(void)
{
	static char why[128];
	struct kvr_stage stage;
	cudaError_t kernel = cudaSuccess, batch = try_batch();
	uint32_t most = KVR_KERNEL_PIECES;

#ifdef KVR_WITH_KERNEL /* a toolkit without a compiler makes none */
	kernel = (cudaError_t)kvr_kernel_load(&most);
#endif
	(void)cudaGetLastError();
	kvr_stage_open(&stage, most);
	bool staging = stage.on;

	kvr_stage_close(&stage);
	if (kernel != cudaSuccess)
		snprintf(why, sizeof(why), "the copy kernel: %s", cudaGetErrorString(kernel));
	else if (batch != cudaSuccess && batch != cudaErrorCallRequiresNewerDriver)
		snprintf(why, sizeof(why), "cudaMemcpyBatchAsync: %s", cudaGetErrorString(batch));
	else if (most < KVR_KERNEL_PIECES && batch == cudaSuccess) /* a driver of an age for one is for the other */
		snprintf(why, sizeof(why), "launches of %u pieces", (unsigned)KVR_KERNEL_PIECES);
	else if (!staging)
		snprintf(why, sizeof(why), "memory of the device for small pieces");
	else
		return NULL;
	return why;
}
#else
const char *
gpu_lacks(void)
{
	return NULL;
}
#endif

void *
gpu_alloc(size_t len)
{
	void *at = NULL;

	if (gpu_is_twin())
		at = malloc(len);
	else
		CUDA(cudaMalloc(&at, len));
	MUST(at != NULL);
	return at;
}

void
gpu_free(void *take)
{
	if (gpu_is_twin())
		free(take);
	else
		CUDA(cudaFree(take));
}

struct rest {
	void *at[64];
	uint32_t n;
};

void *
gpu_fill_up(void)
{
	struct rest *r = calloc(1, sizeof(*r));

	MUST(r != NULL && !gpu_is_twin());
	/* The driver's own needs are not what is to be tried: a page of its size is left to them. */
	void *left = gpu_alloc(2 << 20);

#ifdef KVR_WITH_CUDA
	for (size_t len = (size_t)1 << 40; len >= 1 << 20 && r->n < KVR_LEN(r->at);) {
		if (cudaMalloc(&r->at[r->n], len) == cudaSuccess)
			r->n++;
		else
			len /= 2;
		(void)cudaGetLastError();
	}
#endif
	gpu_free(left);
	return r;
}

void
gpu_empty(void *take)
{
	struct rest *r = take;

	while (r->n > 0)
		gpu_free(r->at[--r->n]);
	free(r);
}

void
gpu_put(void *at, const void *host, size_t len)
{
	if (gpu_is_twin()) {
		memcpy(at, host, len);
		return;
	}
	CUDA(cudaMemcpy(at, host, len, cudaMemcpyHostToDevice));
	/* Of memory that is not page-locked it has taken a copy, and that is still on its way. */
	CUDA(cudaStreamSynchronize(cudaStreamLegacy));
}

void
gpu_fetch(void *host, const void *at, size_t len)
{
	if (gpu_is_twin())
		memcpy(host, at, len);
	else
		CUDA(cudaMemcpy(host, at, len, cudaMemcpyDeviceToHost));
}

void
gpu_wait(void)
{
	if (!gpu_is_twin())
		CUDA(cudaDeviceSynchronize());
}

void *
gpu_pin(size_t len)
{
	char why[128] = "";
	void *at = mmap(
	    NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(at != MAP_FAILED);
	enum kvr_err err = kvr_device_lock(
	    device, at, len, KVR_DEVICE_PIECE, KVR_TOUCH_FRESH, UINT64_MAX, why, sizeof(why));

	if (err != KVR_OK)
		fprintf(stderr, "%s\n", why);
	MUST(err == KVR_OK);
	return at;
}

void
gpu_unpin(void *take, size_t len)
{
	kvr_device_unlock(device, take, len, KVR_DEVICE_PIECE);
	munmap(take, len);
}

bool
gpu_is_pinned(const void *at)
{
#ifdef KVR_WITH_CUDA
	if (!gpu_is_twin()) {
		struct cudaPointerAttributes a;

		CUDA(cudaPointerGetAttributes(&a, at));
		return a.type == cudaMemoryTypeHost;
	}
#endif
	(void)at;
	return false;
}

void *
gpu_fill_later(void *at, int byte, size_t len)
{
#ifdef KVR_WITH_CUDA
	if (!gpu_is_twin()) {
		cudaStream_t stream;
		cudaEvent_t event;

		CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
		CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
		for (int i = 0; i < 200; i++) /* the last one counts, the others take their time */
			CUDA(cudaMemsetAsync(at, i == 199 ? byte : i, len, stream));
		CUDA(cudaEventRecord(event, stream));
		CUDA(cudaStreamDestroy(stream)); /* ends when its work does */
		return event;
	}
#endif
	memset(at, byte, len);
	return NULL;
}

void *
gpu_event(void)
{
	void *event = NULL;

#ifdef KVR_WITH_CUDA
	if (!gpu_is_twin()) {
		cudaEvent_t e;

		CUDA(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
		event = e;
	}
#endif
	return event;
}

void
gpu_fetch_behind(void *event, void *host, const void *at, size_t len)
{
#ifdef KVR_WITH_CUDA
	if (!gpu_is_twin()) {
		cudaStream_t stream;

		CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
		CUDA(cudaStreamWaitEvent(stream, event, 0));
		CUDA(cudaMemcpyAsync(host, at, len, cudaMemcpyDeviceToHost, stream));
		CUDA(cudaStreamSynchronize(stream));
		CUDA(cudaStreamDestroy(stream));
		return;
	}
#endif
	(void)event;
	memcpy(host, at, len);
}

void
gpu_fill_behind(void *event, void *at, int byte, size_t len)
{
#ifdef KVR_WITH_CUDA
	if (!gpu_is_twin()) {
		cudaStream_t stream;

		CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
		CUDA(cudaStreamWaitEvent(stream, event, 0));
		CUDA(cudaMemsetAsync(at, byte, len, stream));
		CUDA(cudaStreamSynchronize(stream));
		CUDA(cudaStreamDestroy(stream));
		return;
	}
#endif
	(void)event;
	memset(at, byte, len);
}

void
gpu_event_free(void *take)
{
	if (take != NULL)
		CUDA(cudaEventDestroy(take));
}

void *
gpu_capture(void *at, size_t len)
{
	void *take = NULL;

#ifdef KVR_WITH_CUDA
	if (!gpu_is_twin()) {
		cudaStream_t stream;

		CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
		CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
		CUDA(cudaMemsetAsync(at, 0, len, stream));
		take = stream;
	}
#endif
	(void)at;
	(void)len;
	return take;
}

bool
gpu_capture_end(void *take)
{
	bool whole = true;

#ifdef KVR_WITH_CUDA
	if (take != NULL) {
		cudaGraph_t graph = NULL;

		whole = cudaStreamEndCapture(take, &graph) == cudaSuccess && graph != NULL;
		(void)cudaGetLastError();
		if (whole)
			CUDA(cudaGraphDestroy(graph));
		CUDA(cudaStreamDestroy(take));
	}
#endif
	(void)take;
	return whole;
}

void
gpu_reset(void)
{
	CUDA(cudaDeviceReset());
}

bool
gpu_spoil(void)
{
#if defined(KVR_WITH_KERNEL)
	cudaStream_t stream;
	uint8_t *far = gpu_alloc(4096);
	const struct kvr_piece nowhere = { .cache = (uint8_t *)(uintptr_t)16, .chunk = far, .len = 16 };

	CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
#if defined(KVR_STAND_IN)
	(void)nowhere;
	kvr_cuda_fake_fail_work(1, cudaErrorIllegalAddress);
	CUDA(cudaMemsetAsync(far, 0, 4096, stream));
#else
	MUST(kvr_kernel_copy(&nowhere, 1, 1, stream) == 0);
#endif
	MUST(cudaStreamSynchronize(stream) == cudaErrorIllegalAddress);
	(void)cudaGetLastError();
	return true;
#else
	return false;
#endif
}

double
gpu_raw(void *at, void *host, size_t len, uint32_t n, bool in, bool both)
{
	uint64_t begin_ns = kvr_now_ns();
#ifdef KVR_WITH_CUDA
	if (!gpu_is_twin()) {
		cudaStream_t way[2];
		uint8_t *far = at, *near = host;

		CUDA(cudaStreamCreateWithFlags(&way[0], cudaStreamNonBlocking));
		CUDA(cudaStreamCreateWithFlags(&way[1], cudaStreamNonBlocking));
		begin_ns = kvr_now_ns();
		for (uint32_t i = 0; i < n; i++) {
			if (in || both)
				CUDA(cudaMemcpyAsync(
				    near, far, len, cudaMemcpyDeviceToHost, way[0]));
			if (!in || both)
				CUDA(cudaMemcpyAsync(far + (both ? len : 0),
				    near + (both ? len : 0), len, cudaMemcpyHostToDevice, way[1]));
		}
		CUDA(cudaStreamSynchronize(way[0]));
		CUDA(cudaStreamSynchronize(way[1]));
		double s = (double)(kvr_now_ns() - begin_ns) / 1e9;

		CUDA(cudaStreamDestroy(way[0]));
		CUDA(cudaStreamDestroy(way[1]));
		return s;
	}
#endif
	for (uint32_t i = 0; i < n; i++) {
		if (in || both)
			memcpy(host, at, len);
		if (!in || both)
			memcpy((uint8_t *)at + (both ? len : 0), (uint8_t *)host + (both ? len : 0),
			    len);
	}
	return (double)(kvr_now_ns() - begin_ns) / 1e9;
}

struct kvr_copier *
gpu_copier(void)
{
	struct kvr_copier *c = NULL;
	char why[128] = "";
	enum kvr_err err = device->copy->open(device->copy->current(), &c, why, sizeof(why));

	if (err != KVR_OK)
		fprintf(stderr, "%s\n", why);
	MUST(err == KVR_OK);
	return c;
}

enum kvr_err
gpu_copy(struct kvr_copier *c, enum kvr_way way, struct kvr_walk walk, char *why, size_t why_cap)
{
	struct kvr_piece piece[300];
	enum kvr_err err = KVR_OK, end;
	uint32_t n;

	while (err == KVR_OK && (n = kvr_walk_next(&walk, piece, KVR_LEN(piece))) > 0)
		err = device->copy->copy(c, way, piece, n, why, why_cap);
	end = device->copy->mark(c, way, why, why_cap);
	if (end != KVR_OK)
		return end;
	do
		end = device->copy->poll(c, way, why, why_cap);
	while (end == KVR_E_UNFINISHED);
	return err == KVR_OK ? end : err;
}
