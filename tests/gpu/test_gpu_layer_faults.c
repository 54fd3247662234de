/* SPDX-License-Identifier: Apache-2.0 */
/* A device that fails between two layers of a get: those that were told of are right, and it says which. */
#include "gpu_engine.h"

#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>

enum { LAYERS = 4 };

static struct gpu_engine engine;

static kvr_op
begin(void)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_GET,
		.n = GPU_KEYS,
		.keys = "k-0\0k-1\0k-2\0k-3\0k-4\0k-5",
		.len = engine.len,
		.tokens = &engine.tokens };
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = KVR_LAYERS, .until_ns = bed_in_ms(120000)
	};
	kvr_op op;

	OK(kvr_submit(engine.kvr, &b, &o, &op));
	return op;
}

/* The leading layers of a key's tokens are what was put. */
static void
are_right(const uint8_t *got, uint32_t key, uint32_t layers)
{
	uint64_t row = kvr_pages_row(&engine.w.pages), token = kvr_pages_token(&engine.w.pages);
	uint64_t first = 0;

	for (uint32_t i = 0; i < key; i++)
		first += engine.len[i] / token;
	for (uint64_t t = first; t < first + engine.len[key] / token; t++)
		for (uint32_t p = 0; p < 2 * layers; p++) {
			const uint8_t *at =
			    engine.w.base[p] + (uint64_t)engine.slot[t] * row;

			ck_assert_msg(memcmp(got + (at - engine.w.memory), at, row) == 0,
			    "key %u, layer %u of %u", key, p / 2, layers);
		}
}

static void
try(uint32_t nth)
{
	uint32_t layers[GPU_KEYS], failed = 0;
	int32_t err[GPU_KEYS];
	struct kvr_results r = {
		.size = sizeof(r), .cap = GPU_KEYS, .layers = layers, .err = err
	};
	uint8_t *got = malloc(engine.w.memory_len);

	ck_assert_ptr_nonnull(got);
	gpu_engine_poison(&engine);
	kvr_cuda_fake_fail("cudaMemcpyBatchAsync", nth, cudaErrorMemoryAllocation);
	kvr_op op = begin();

	ERR(kvr_layer_wait(engine.kvr, op, LAYERS - 1, 0, NULL), KVR_E_DEVICE);
	ERR(kvr_wait(engine.kvr, op, 0, NULL, &r), KVR_E_DEVICE);
	gpu_fetch(got, engine.far, engine.w.memory_len);
	for (uint32_t i = 0; i < GPU_KEYS; i++) {
		are_right(got, i, layers[i]);
		if (err[i] == KVR_OK) {
			ck_assert_uint_eq(layers[i], LAYERS);
			continue;
		}
		/* A part is a key, and a layer of it one call: so many calls had been made for it. */
		ERR(err[i], KVR_E_DEVICE);
		ck_assert_uint_eq(layers[i], (nth - 1) % LAYERS);
		failed++;
	}
	ck_assert_uint_eq(failed, 1);
	free(got);
}

START_TEST(layers_that_were_told_of_before_a_failure_are_right)
{
	const struct kvr_cuda_machine m = { .memory = 32 << 20 };

	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	struct kvr *k = gpu_open_store("memory://", "");

	gpu_engine_open(&engine, k, 7, 16);
	gpu_engine_moves(&engine, KVR_PUT, "k");
	for (uint32_t nth = 1; nth <= 2 * LAYERS; nth++)
		try(nth);
	gpu_engine_poison(&engine);
	kvr_op op = begin();

	for (uint32_t l = 0; l < LAYERS; l++)
		OK(kvr_layer_wait(k, op, l, 0, NULL));
	OK(kvr_wait(k, op, 0, NULL, NULL));
	gpu_engine_came_back(&engine);
	bed_close(k);
	gpu_engine_close(&engine);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
}
END_TEST

KVR_CHECK_MAIN("gpu.layer_faults", layers_that_were_told_of_before_a_failure_are_right)
