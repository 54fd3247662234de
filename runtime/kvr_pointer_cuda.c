/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_pointer.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cuda.h>

typedef __typeof__(cuPointerGetAttributes) look_fn;

static look_fn *look;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* By its name, as CUDA's runtime finds it: linked against it this binary would not start without a driver. */
static void
find(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

	if (driver != NULL)
		*(void **)&look = dlsym(driver, "cuPointerGetAttributes");
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
	if (look == NULL ||
	    look(KVR_LEN(what), what, to, (CUdeviceptr)(uintptr_t)at) != CUDA_SUCCESS)
		return false;
	/* Where managed memory lies at the moment is what its type says: of no use to anybody. */
	ret->type = managed != 0                  ? KVR_POINTER_MANAGED
	            : type == CU_MEMORYTYPE_DEVICE ? KVR_POINTER_DEVICE
	            : type == CU_MEMORYTYPE_HOST   ? KVR_POINTER_LOCKED
	                                           : KVR_POINTER_NOBODYS;
	ret->device = device;
	return true;
}
