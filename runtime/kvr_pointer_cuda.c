/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_pointer.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cuda.h>

static __typeof__(cuPointerGetAttributes) *look;
static __typeof__(cuMemHostUnregister) *unlock;
static __typeof__(cuThreadExchangeStreamCaptureMode) *exchange;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* By its name, as CUDA's runtime finds it: linked against it this binary would not start without a driver. */
static void
find(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

	if (driver == NULL)
		return;
	*(void **)&look = dlsym(driver, "cuPointerGetAttributes");
	*(void **)&unlock = dlsym(driver, "cuMemHostUnregister");
	*(void **)&exchange = dlsym(driver, "cuThreadExchangeStreamCaptureMode");
}

/* What the manual has it say of memory that no context knows, where it does not just say nothing of it. */
static bool
is_of_no_context(CUresult rc)
{
	return rc == CUDA_ERROR_INVALID_CONTEXT || rc == CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

bool
kvr_pointer_look(const void *at, struct kvr_pointer *ret)
{
	CUpointer_attribute what[] = { CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
		CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL };
	unsigned int type = 0, managed = 0;
	int device = -1;
	void *to[] = { &type, &managed, &device };

	pthread_once(&once, find);
	if (look == NULL)
		return false;
	CUresult rc = look(KVR_LEN(what), what, to, (CUdeviceptr)(uintptr_t)at);

	if (is_of_no_context(rc)) {
		/* A copier that took this for silence would go on with the handles of a device that was reset. */
		*ret = (struct kvr_pointer){ .type = KVR_POINTER_NOBODYS, .device = -1 };
		return true;
	}
	if (rc != CUDA_SUCCESS)
		return false;
	/* Where managed memory lies at the moment is what its type says: of no use to anybody. */
	ret->type = managed != 0                  ? KVR_POINTER_MANAGED
	            : type == CU_MEMORYTYPE_DEVICE ? KVR_POINTER_DEVICE
	            : type == CU_MEMORYTYPE_HOST   ? KVR_POINTER_LOCKED
	                                           : KVR_POINTER_NOBODYS;
	ret->device = device;
	return true;
}

bool
kvr_pointer_unlock(void *at)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

	pthread_once(&once, find);
	if (unlock == NULL || exchange == NULL)
		return false;
	/* Nothing that is captured touches this memory: its users are over. */
	bool relaxed = exchange(&mode) == CUDA_SUCCESS;
	bool done = unlock(at) == CUDA_SUCCESS;

	if (relaxed)
		(void)exchange(&mode);
	return done;
}
