/* SPDX-License-Identifier: Apache-2.0 */
/* Straight copies over a stand-in: in one call where the driver has it, and what is left when one fails. */
#include "gpu_bed.h"
#include "kvr_bus.h"
#include "kvr_check.h"
#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>
#include <string.h>

enum { EACH = 4096, N = 40, LEN = N * EACH };

static struct kvr_bus bus;
static uint8_t *near, *far;
static cudaStream_t stream;
static bool batches;
static const char *call;

static void
open_bed(struct kvr_cuda_machine m)
{
	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	near = gpu_pin(LEN);
	far = gpu_alloc(LEN);
	ck_assert_int_eq(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
	batches = true;
	call = NULL;
	for (uint32_t i = 0; i < LEN; i++)
		near[i] = (uint8_t)(i / EACH + i);
}

static void
close_bed(void)
{
	ck_assert_int_eq(cudaStreamDestroy(stream), cudaSuccess);
	gpu_free(far);
	gpu_unpin(near, LEN);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}

/* The first n blocks, in reverse in the device. */
static int
go(enum kvr_way way, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		kvr_bus_add(&bus, way, near + i * EACH, far + (N - 1 - i) * EACH, EACH);
	int rc = kvr_bus_go(&bus, way, stream, &batches, &call);

	ck_assert_uint_eq(bus.n, 0);
	ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
	return rc;
}

static void
goes_there_and_back(void)
{
	uint8_t *want = malloc(LEN);

	ck_assert_ptr_nonnull(want);
	memcpy(want, near, LEN);
	ck_assert_int_eq(go(KVR_WAY_OUT, N), cudaSuccess);
	memset(near, 0, LEN);
	ck_assert_int_eq(go(KVR_WAY_IN, N), cudaSuccess);
	ck_assert_int_eq(memcmp(near, want, LEN), 0);
	free(want);
}

START_TEST(many_are_one_call)
{
	open_bed((struct kvr_cuda_machine){ .memory = 4 << 20 });
	goes_there_and_back();
	ck_assert_uint_eq(kvr_cuda_fake_calls("cudaMemcpyBatchAsync"), 2);
	ck_assert_uint_eq(kvr_cuda_fake_calls("cudaMemcpyAsync"), 0);
	/* And one by itself is not a batch. */
	ck_assert_int_eq(go(KVR_WAY_IN, 1), cudaSuccess);
	ck_assert_int_eq(go(KVR_WAY_IN, 0), cudaSuccess);
	ck_assert_uint_eq(kvr_cuda_fake_calls("cudaMemcpyBatchAsync"), 2);
	ck_assert_uint_eq(kvr_cuda_fake_calls("cudaMemcpyAsync"), 1);
	ck_assert(batches);
	close_bed();
}
END_TEST

/* It is asked once, and nobody else hears of the answer. */
START_TEST(without_batches_they_go_one_by_one)
{
	open_bed((struct kvr_cuda_machine){ .memory = 4 << 20, .old_driver = true });
	goes_there_and_back();
	goes_there_and_back();
	ck_assert_uint_le(kvr_cuda_fake_calls("cudaMemcpyBatchAsync"), 1);
	ck_assert_uint_eq(kvr_cuda_fake_calls("cudaMemcpyAsync"), 4 * N);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	close_bed();
}
END_TEST

START_TEST(a_failure_has_its_calls_name_and_leaves_nothing)
{
	open_bed((struct kvr_cuda_machine){ .memory = 4 << 20 });
	kvr_cuda_fake_fail("cudaMemcpyBatchAsync", 1, cudaErrorMemoryAllocation);
	ck_assert_int_eq(go(KVR_WAY_OUT, N), cudaErrorMemoryAllocation);
	ck_assert_str_eq(call, "cudaMemcpyBatchAsync");
	ck_assert(batches);
	kvr_cuda_fake_fail("cudaMemcpyAsync", 1, cudaErrorMemoryAllocation);
	ck_assert_int_eq(go(KVR_WAY_OUT, 1), cudaErrorMemoryAllocation);
	ck_assert_str_eq(call, "cudaMemcpyAsync");
	(void)cudaGetLastError();
	goes_there_and_back();
	close_bed();
}
END_TEST

KVR_CHECK_MAIN("gpu.bus", many_are_one_call, without_batches_they_go_one_by_one,
    a_failure_has_its_calls_name_and_leaves_nothing)
