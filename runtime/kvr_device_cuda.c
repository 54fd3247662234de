/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA, in plain C and linked statically: its runtime looks for a driver when it is first called,
 * so one binary runs with and without.
 *
 * The calls act on the device that is current on the calling thread, and make its context when
 * there is none yet. So they belong on the thread that calls kvr_open, where an engine has chosen
 * its device; on a thread of ours every rank of a node would make a context on device 0. What may
 * happen on any thread goes past the runtime.
 */
#include "kvr_cuda_own.h"
#include "kvr_pointer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

/* The same error is of none and of one that is too old, and two different people can do something about them. */
static void
say_of_driver(char *why, size_t why_cap)
{
	int knows = 0;

	if (cudaDriverGetVersion(&knows) != cudaSuccess)
		(void)cudaGetLastError();
	if (knows == 0)
		snprintf(why, why_cap, "no driver is installed: libcuda.so.1 is missing");
	else
		snprintf(why, why_cap, "the driver is one for CUDA %d.%d, and this build needs one for %d.%d",
		    knows / 1000, knows % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
}

static uint32_t
count(char *why, size_t why_cap)
{
	int n = 0;
	cudaError_t rc = cudaGetDeviceCount(&n);

	if (rc == cudaSuccess && n > 0)
		return (uint32_t)n;
	/* The runtime keeps the last error for whoever asks next, and it was no error to us. */
	(void)cudaGetLastError();
	if (rc == cudaErrorInsufficientDriver)
		say_of_driver(why, why_cap);
	else
		snprintf(why, why_cap, "%s",
		    rc == cudaSuccess ? "the driver knows of no device" : cudaGetErrorString(rc));
	return 0;
}

/* The driver has told of page-locked memory that it is so; what it says of others is worth something then. */
static _Atomic bool tells;

/*
 * For every device, also those whose context is made later; and for kernels. A graph that the
 * engine captures meanwhile, on this thread or another, would be broken off by it, and has nothing
 * to do with this memory.
 */
static cudaError_t
host_register(void *at, uint64_t len)
{
	enum cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
	bool relaxed = cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess;

	if (!relaxed)
		(void)cudaGetLastError();
	cudaError_t rc = cudaHostRegister(at, len, cudaHostRegisterPortable | cudaHostRegisterMapped);

	if (relaxed)
		(void)cudaThreadExchangeStreamCaptureMode(&mode);
	return rc;
}

/* What the manuals of both calls name, and the kernel's refusal; any other is what became of the device before. */
static bool
is_of_memory(cudaError_t rc)
{
	return rc == cudaErrorInvalidValue || rc == cudaErrorHostMemoryAlreadyRegistered ||
	    rc == cudaErrorNotSupported || rc == cudaErrorNotPermitted || rc == cudaErrorOperatingSystem;
}

static enum kvr_err
lock(void *at, uint64_t len, enum kvr_touch use, char *why, size_t why_cap)
{
	/*
	 * A fork gives the child copies of page-locked pages at once, all of them, or leaves the
	 * driver with pages that are the child's from then on, by the kernel's age. What is ours no
	 * child wants.
	 */
	if (use == KVR_TOUCH_FRESH)
		(void)madvise(at, len, MADV_DONTFORK);
	/* Connectors copy there by processor; and a driver has few pages to lock, not many. */
	if (use == KVR_TOUCH_FRESH)
		(void)madvise(at, len, MADV_HUGEPAGE);
	kvr_device_touch(at, len, use, kvr_device_touchers(len));
	cudaError_t rc = host_register(at, len);

	if (rc == cudaSuccess) {
		struct kvr_pointer p;

		if (kvr_pointer_look(at, &p) && p.type == KVR_POINTER_LOCKED)
			atomic_store(&tells, true);
		return KVR_OK;
	}
	(void)cudaGetLastError();
	snprintf(why, why_cap, "page-locking %llu bytes failed: %s", (unsigned long long)len,
	    cudaGetErrorString(rc));
	if (rc == cudaErrorMemoryAllocation)
		return KVR_E_NOMEM;
	return is_of_memory(rc) ? KVR_E_INVALID : KVR_E_DEVICE;
}

static void
unlock(void *at, uint64_t len)
{
	struct kvr_pointer p;

	(void)len;
	/* A lock goes with its context; whoever asked for it back would make a new one. */
	if (atomic_load(&tells) && kvr_pointer_look(at, &p) && p.type == KVR_POINTER_NOBODYS)
		return;
	/* Both fail when the process is ending and the driver has gone before us. */
	if (!kvr_pointer_unlock(at) && cudaHostUnregister(at) != cudaSuccess)
		(void)cudaGetLastError();
}

uint32_t
kvr_cuda_current(void)
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

/* The last address that the driver knew as a device's memory, by the device's number; 0: none. */
enum { DEVICES = 16 };
static _Atomic uintptr_t named[DEVICES];

static bool
is_device(const struct kvr_pointer *p, uint32_t number)
{
	return p->type == KVR_POINTER_MANAGED ||
	    (p->type == KVR_POINTER_DEVICE && p->device == (int)number);
}

/*
 * After a reset the driver knows nothing of what was a device's before, and the processor dies of
 * it as ever. The kernel takes microseconds to say so, for each key, so it is asked only where the
 * address that was named last is the device's no more; and it is not heeded where it says so of our
 * own memory.
 */
static bool
was_device(uint32_t number, const void *at)
{
	uintptr_t last = atomic_load(&named[number % DEVICES]);
	struct kvr_pointer p;

	if (last == 0 || (kvr_pointer_look((const void *)last, &p) && is_device(&p, number)))
		return false;
	return !host_reads(at) && host_reads(&tells);
}

/*
 * Managed memory is the device's: the processor may reach it only while no kernel runs, on machines
 * that do not page it, and a copy always may.
 */
enum kvr_where
kvr_cuda_where(uint32_t number, const void *at)
{
	struct kvr_pointer p;

	/* A context that is lost answers nothing any more, and the host's memory goes on. */
	if (!kvr_pointer_look(at, &p))
		return host_reads(at) ? KVR_IN_HOST : KVR_IN_DEVICE;
	if (p.type == KVR_POINTER_NOBODYS)
		return was_device(number, at) ? KVR_IN_DEVICE : KVR_IN_HOST;
	if (p.type == KVR_POINTER_LOCKED)
		return KVR_IN_HOST;
	if (!is_device(&p, number))
		return KVR_IN_ELSEWHERE;
	atomic_store_explicit(&named[number % DEVICES], (uintptr_t)at, memory_order_relaxed);
	return KVR_IN_DEVICE;
}

const struct kvr_device kvr_device_cuda = { "cuda", count, lock, unlock, &kvr_cuda_copy_ops };
