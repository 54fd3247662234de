/* SPDX-License-Identifier: Apache-2.0 */
/* A library by the name of CUDA's driver, with the three calls that are looked up in there. */
#include "kvr_driver_fake.h"

#include <stddef.h>

__attribute__((visibility("default"))) struct kvr_driver_fake kvr_driver_fake;

__attribute__((visibility("default"))) CUresult CUDAAPI
cuPointerGetAttributes(unsigned int n, CUpointer_attribute *what, void **to, CUdeviceptr at)
{
	struct kvr_driver_fake *f = &kvr_driver_fake;

	f->at = at;
	if (f->answer != CUDA_SUCCESS)
		return f->answer;
	for (unsigned int i = 0; i < n; i++) {
		if (what[i] == CU_POINTER_ATTRIBUTE_MEMORY_TYPE)
			*(unsigned int *)to[i] = f->type;
		else if (what[i] == CU_POINTER_ATTRIBUTE_IS_MANAGED)
			*(unsigned char *)to[i] = f->managed; /* a boolean, of whatever size a driver takes it for */
		else if (what[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
			*(int *)to[i] = f->device;
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

__attribute__((visibility("default"))) CUresult CUDAAPI
cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	struct kvr_driver_fake *f = &kvr_driver_fake;
	CUstreamCaptureMode before = f->mode;

	if (f->exchange != CUDA_SUCCESS)
		return f->exchange;
	f->mode = *mode;
	*mode = before;
	return CUDA_SUCCESS;
}

__attribute__((visibility("default"))) CUresult CUDAAPI
cuMemHostUnregister(void *at)
{
	struct kvr_driver_fake *f = &kvr_driver_fake;

	f->unlocked = at;
	f->mode_then = f->mode;
	return f->answer;
}
