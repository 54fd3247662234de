/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of the driver's answers, by its manual; over a library that has its name. */
#include "kvr_pointer.h"

#include "kvr_check.h"
#include "kvr_driver_fake.h"

#include <dlfcn.h>

static struct kvr_driver_fake *driver;
static char memory[64];

static void
find_driver(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW);

	ck_assert_msg(lib != NULL, "%s", dlerror());
	driver = dlsym(lib, "kvr_driver_fake");
	ck_assert_msg(driver != NULL, "another libcuda.so.1 is found first");
	*driver = (struct kvr_driver_fake){ .device = -2 };
}

static struct kvr_pointer
look(void)
{
	struct kvr_pointer p = { .type = KVR_POINTER_MANAGED, .device = 99 };

	ck_assert(kvr_pointer_look(memory, &p));
	ck_assert_uint_eq(driver->at, (CUdeviceptr)(uintptr_t)memory);
	return p;
}

START_TEST(memory_is_what_the_driver_says)
{
	static const struct {
		unsigned int type;
		unsigned char managed;
		enum kvr_pointer_type is;
	} of[] = { { 0, 0, KVR_POINTER_NOBODYS }, { CU_MEMORYTYPE_HOST, 0, KVR_POINTER_LOCKED },
		{ CU_MEMORYTYPE_DEVICE, 0, KVR_POINTER_DEVICE }, { CU_MEMORYTYPE_DEVICE, 1, KVR_POINTER_MANAGED },
		{ CU_MEMORYTYPE_HOST, 1, KVR_POINTER_MANAGED }, { CU_MEMORYTYPE_UNIFIED, 1, KVR_POINTER_MANAGED } };

	find_driver();
	driver->device = 3;
	for (size_t i = 0; i < KVR_LEN(of); i++) {
		driver->type = of[i].type;
		driver->managed = of[i].managed;
		const struct kvr_pointer p = look();

		ck_assert_int_eq(p.type, of[i].is);
		ck_assert_int_eq(p.device, 3);
	}
}
END_TEST

/* Its context is gone, or it never had one: that is an answer, which after a reset everything hangs on. */
START_TEST(memory_of_no_context_is_nobodys)
{
	static const CUresult of[] = { CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_CONTEXT_IS_DESTROYED };

	find_driver();
	for (size_t i = 0; i < KVR_LEN(of); i++) {
		driver->answer = of[i];
		ck_assert_int_eq(look().type, KVR_POINTER_NOBODYS);
	}
}
END_TEST

START_TEST(a_driver_that_answers_nothing_says_nothing)
{
	static const CUresult of[] = { CUDA_ERROR_NOT_INITIALIZED, CUDA_ERROR_DEINITIALIZED, CUDA_ERROR_ILLEGAL_ADDRESS,
		CUDA_ERROR_ECC_UNCORRECTABLE, CUDA_ERROR_UNKNOWN };
	struct kvr_pointer p;

	find_driver();
	for (size_t i = 0; i < KVR_LEN(of); i++) {
		driver->answer = of[i];
		ck_assert(!kvr_pointer_look(memory, &p));
	}
}
END_TEST

/* While a graph is captured no other mode may unlock, and afterwards the thread has its own again. */
START_TEST(memory_is_unlocked_in_a_mode_that_breaks_nothing_off)
{
	static const CUresult of[] = { CUDA_SUCCESS, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED };

	for (size_t i = 0; i < KVR_LEN(of); i++) {
		find_driver();
		driver->mode = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
		driver->answer = of[i];
		ck_assert_int_eq(kvr_pointer_unlock(memory), of[i] == CUDA_SUCCESS);
		ck_assert_ptr_eq(driver->unlocked, memory);
		ck_assert_int_eq(driver->mode_then, CU_STREAM_CAPTURE_MODE_RELAXED);
		ck_assert_int_eq(driver->mode, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	}
	find_driver();
	driver->mode = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
	driver->exchange = CUDA_ERROR_NOT_INITIALIZED;
	ck_assert(kvr_pointer_unlock(memory));
	ck_assert_int_eq(driver->mode, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}
END_TEST

KVR_CHECK_MAIN("gpu.pointer", memory_is_what_the_driver_says, memory_of_no_context_is_nobodys,
    a_driver_that_answers_nothing_says_nothing,
    memory_is_unlocked_in_a_mode_that_breaks_nothing_off)
