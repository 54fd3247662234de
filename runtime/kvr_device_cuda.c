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

#include <stdio.h>

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
lock(void *at, uint64_t len, char *why, size_t why_cap)
{
	/* Portable: locked for every device, also for those whose context is made later. */
	cudaError_t rc = cudaHostRegister(at, len, cudaHostRegisterPortable);

	if (rc == cudaSuccess)
		return KVR_OK;
	(void)cudaGetLastError();
	snprintf(why, why_cap, "page-locking %llu bytes failed: %s", (unsigned long long)len,
	    cudaGetErrorString(rc));
	return KVR_E_NOMEM;
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

const struct kvr_device kvr_device_cuda = { "cuda", count, lock, unlock };
