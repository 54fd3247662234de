/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches that name addresses: which memory each of them is found to be, whom that costs a
 * question, and what is refused.
 */
#include "gpu_engine.h"

#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>

enum { LEN = 300000, KEYS = 3 };

static const char keys[] = "k0\0k1\0k2";
static uint8_t value[KEYS][LEN];
static const uint64_t len[KEYS] = { LEN, 1, 70001 };

static void
machine(struct kvr_cuda_machine m)
{
	m.memory = 32 << 20;
	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	for (uint32_t i = 0; i < KEYS; i++)
		bed_fill(value[i], LEN, i + 1);
}

static void
is_clean(void)
{
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_uint_eq(kvr_cuda_fake_synchronous(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}

static enum kvr_err
run(struct kvr *k, uint32_t kind, void *const *at, void *ready, struct kvr_done *d)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = KEYS,
		.keys = keys,
		.at = at,
		.len = len,
		.ready = ready };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };

	return kvr_run(k, &b, &o, d, NULL);
}

static void
has(const void *far, uint32_t key, const uint8_t *want)
{
	static uint8_t got[LEN];

	gpu_fetch(got, far, len[key]);
	ck_assert_int_eq(memcmp(got, want, len[key]), 0);
}

/* ---- what is copied ---- */

static void
there_and_back(struct kvr *k, bool managed)
{
	static const uint8_t poison[LEN];
	void *at[KEYS];

	for (uint32_t i = 0; i < KEYS; i++) {
		ck_assert_int_eq(managed ? cudaMallocManaged(&at[i], LEN, cudaMemAttachGlobal)
		                         : cudaMalloc(&at[i], LEN),
		    cudaSuccess);
		gpu_put(at[i], value[i], LEN);
	}
	OK(run(k, KVR_PUT, at, NULL, NULL));
	for (uint32_t i = 0; i < KEYS; i++)
		gpu_put(at[i], poison, LEN);
	OK(run(k, KVR_GET, at, NULL, NULL));
	for (uint32_t i = 0; i < KEYS; i++) {
		has(at[i], i, value[i]);
		/* Not a byte beyond what the key has. */
		if (len[i] < LEN) {
			uint8_t next = 1;

			gpu_fetch(&next, (uint8_t *)at[i] + len[i], 1);
			ck_assert_uint_eq(next, 0);
		}
		gpu_free(at[i]);
	}
}

START_TEST(addresses_of_a_device_go_there_and_back)
{
	static const char *const tier[] = { "", ",\"format\":\"sealed\",\"serde\":\"zstd\"",
		",\"format\":\"sealed\",\"serde\":\"planes\"" };

	machine((struct kvr_cuda_machine){ 0 });
	for (uint32_t i = 0; i < 3; i++) {
		struct kvr *k = gpu_open_store("memory://", tier[i]);

		there_and_back(k, false);
		there_and_back(k, true);
		bed_close(k);
	}
	is_clean();
}
END_TEST

START_TEST(what_was_put_from_the_device_is_got_by_the_host_and_the_reverse)
{
	static uint8_t back[KEYS][LEN];
	void *host[KEYS] = { value[0], value[1], value[2] },
	     *to[KEYS] = { back[0], back[1], back[2] };
	void *at[KEYS];

	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = gpu_open_store("memory://", "");

	OK(run(k, KVR_PUT, host, NULL, NULL));
	for (uint32_t i = 0; i < KEYS; i++)
		at[i] = gpu_alloc(LEN);
	OK(run(k, KVR_GET, at, NULL, NULL));
	for (uint32_t i = 0; i < KEYS; i++) {
		has(at[i], i, value[i]);
		bed_fill(value[i], LEN, i + 50);
		gpu_put(at[i], value[i], LEN);
	}
	OK(run(k, KVR_PUT, at, NULL, NULL));
	OK(run(k, KVR_GET, to, NULL, NULL));
	for (uint32_t i = 0; i < KEYS; i++) {
		ck_assert_int_eq(memcmp(back[i], value[i], len[i]), 0);
		gpu_free(at[i]);
	}
	bed_close(k);
	is_clean();
}
END_TEST

/* A put reads what the engine's kernels have written by then, and not what was there before. */
START_TEST(copies_wait_for_the_event_of_the_batch)
{
	static uint8_t want[LEN], back[KEYS][LEN];
	void *at[KEYS], *to[KEYS] = { back[0], back[1], back[2] };

	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = gpu_open_store("memory://", "");
	uint8_t *far = gpu_alloc(KEYS * LEN);

	for (uint32_t i = 0; i < KEYS; i++)
		at[i] = far + (size_t)i * LEN;
	void *ready = gpu_fill_later(far, 0x5a, KEYS * LEN);

	OK(run(k, KVR_PUT, at, ready, NULL));
	OK(run(k, KVR_GET, to, NULL, NULL));
	memset(want, 0x5a, LEN);
	for (uint32_t i = 0; i < KEYS; i++)
		ck_assert_int_eq(memcmp(back[i], want, len[i]), 0);
	gpu_event_free(ready);
	gpu_free(far);
	bed_close(k);
	is_clean();
}
END_TEST

/* ---- whom it disturbs ---- */

static void *
on_number_0(void *arg)
{
	static uint8_t back[KEYS][LEN];
	struct kvr *k = arg;
	void *from[KEYS] = { value[0], value[1], value[2] }, *to[KEYS] = { back[0], back[1], back[2] };

	OK(run(k, KVR_PUT, from, NULL, NULL));
	OK(run(k, KVR_GET, to, NULL, NULL));
	for (uint32_t i = 0; i < KEYS; i++)
		ck_assert_int_eq(memcmp(back[i], value[i], len[i]), 0);
	return NULL;
}

/* A thread that has chosen no device is on number 0, and a context there is some hundred MiB of it. */
START_TEST(no_thread_that_submits_makes_a_context)
{
	pthread_t thread;

	machine((struct kvr_cuda_machine){ .devices = 2 });
	ck_assert_int_eq(cudaSetDevice(1), cudaSuccess);
	struct kvr *k = gpu_open_store("memory://", "");

	ck_assert_int_eq(pthread_create(&thread, NULL, on_number_0, k), 0);
	pthread_join(thread, NULL);
	there_and_back(k, false);
	bed_close(k);
	ck_assert(kvr_cuda_fake_context_on(1) && !kvr_cuda_fake_context_on(0));
	is_clean();
	ck_assert_int_eq(cudaSetDevice(0), cudaSuccess);
}
END_TEST

/* Copies that begin and end while an engine captures a graph do not break that off. */
START_TEST(a_capture_on_another_thread_goes_on)
{
	void *at[KEYS], *host[KEYS] = { value[0], value[1], value[2] };

	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = gpu_open_store("memory://", "");

	for (uint32_t i = 0; i < KEYS; i++)
		at[i] = gpu_alloc(LEN);
	OK(run(k, KVR_PUT, host, NULL, NULL));
	void *other = gpu_alloc(LEN), *capture = gpu_capture(other, LEN);

	for (uint32_t i = 0; i < 3; i++)
		OK(run(k, i == 1 ? KVR_PUT : KVR_GET, at, NULL, NULL));
	ck_assert(gpu_capture_end(capture));
	gpu_free(other);
	for (uint32_t i = 0; i < KEYS; i++) {
		has(at[i], i, value[i]);
		gpu_free(at[i]);
	}
	bed_close(k);
	is_clean();
}
END_TEST

/* ---- what is refused ---- */

START_TEST(memory_of_two_kinds_is_two_batches)
{
	struct bed_log log = BED_LOG;

	machine((struct kvr_cuda_machine){ .devices = 2 });
	struct kvr *k = bed_open("{\"memory\":{\"staging\":\"8MiB\",\"device\":\"cuda\"},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, &log);
	uint8_t *far = gpu_alloc(LEN);
	void *mixed[KEYS] = { value[0], far, value[2] };

	ERR(run(k, KVR_PUT, mixed, NULL, NULL), KVR_E_INVALID);
	bed_log_has(
	    &log, "key 1 lies in the device's memory and those before it in the host's memory");
	ck_assert_int_eq(cudaSetDevice(1), cudaSuccess);
	uint8_t *other = gpu_alloc(LEN);

	ck_assert_int_eq(cudaSetDevice(0), cudaSuccess);
	void *elsewhere[KEYS] = { other, other, other },
	     *host[KEYS] = { value[0], value[1], value[2] };

	ERR(run(k, KVR_GET, elsewhere, NULL, NULL), KVR_E_INVALID);
	bed_log_has(&log, "key 0 lies in another device than number 0");
	ERR(run(k, KVR_PUT, host, far, NULL), KVR_E_INVALID);
	bed_log_has(&log, "ready is an event of a device, and the places are in the host's memory");
	bed_close(k);
	gpu_free(far);
	gpu_free(other);
	is_clean();
}
END_TEST

static struct kvr *
open_with(const char *device, struct bed_log *log)
{
	char json[256];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"8MiB\",\"device\":\"%s\"},"
	    "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    device);
	return bed_open(json, NULL, NULL, log);
}

/* There is a device, and no memory could be page-locked for it. */
START_TEST(a_device_that_could_not_be_taken_is_no_host)
{
	struct bed_log log = BED_LOG;

	machine((struct kvr_cuda_machine){ .locked = 1 << 20 });
	struct kvr *k = open_with("auto", &log);
	uint8_t *far = gpu_alloc(LEN);
	void *at[KEYS] = { far, far, far }, *host[KEYS] = { value[0], value[1], value[2] };

	ERR(run(k, KVR_PUT, at, NULL, NULL), KVR_E_UNSUPPORTED);
	bed_log_has(&log, "places in a device's memory, and the instance has no device");
	OK(run(k, KVR_PUT, host, NULL, NULL));
	bed_close(k);
	gpu_free(far);
	is_clean();
}
END_TEST

START_TEST(without_a_device_nobody_is_asked)
{
	static const char *const device[] = { "none", "auto", "cuda" };

	for (uint32_t i = 0; i < 3; i++) {
		void *host[KEYS] = { value[0], value[1], value[2] };

		machine((struct kvr_cuda_machine){ 0 });
		if (i == 1)
			kvr_cuda_fake_machine(&(struct kvr_cuda_machine){ .no_driver = true });
		struct kvr *k = open_with(device[i], NULL);

		/* By then the copy worker has asked about its own. */
		if (i == 2)
			kvr_cuda_fake_wait("cudaDeviceGetAttribute", 1);
		uint64_t before = kvr_cuda_fake_calls("kvr_pointer_look");

		ck_assert(i == 2 || before == 0);
		OK(run(k, KVR_PUT, host, NULL, NULL));
		ck_assert_uint_eq(
		    kvr_cuda_fake_calls("kvr_pointer_look"), before + (i == 2 ? KEYS : 0));
		bed_close(k);
		is_clean();
	}
}
END_TEST

static struct kvr *
open_and_put(void **at)
{
	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = gpu_open_store("memory://", "");

	for (uint32_t i = 0; i < KEYS; i++)
		at[i] = gpu_alloc(LEN);
	OK(run(k, KVR_PUT, at, NULL, NULL));
	return k;
}

/* The driver answers nothing any more: the host's memory is known as such all the same. */
START_TEST(a_lost_device_costs_its_addresses_and_not_the_hosts)
{
	void *at[KEYS], *host[KEYS] = { value[0], value[1], value[2] };
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr *k = open_and_put(at);

	kvr_cuda_fake_fail_work(1, cudaErrorECCUncorrectable);
	for (uint32_t i = 0; i < 3; i++) {
		ERR(run(k, i == 1 ? KVR_PUT : KVR_GET, at, NULL, &d), KVR_E_DEVICE);
		ck_assert_msg(strncmp(d.why, "cuda", 4) == 0, "'%s'", d.why);
		OK(run(k, KVR_PUT, host, NULL, NULL));
	}
	bed_close(k);
	ck_assert_int_eq(cudaDeviceReset(), cudaSuccess);
}
END_TEST

/* What was the device's is nobody's then, and the processor would die of it as before. */
START_TEST(addresses_from_before_a_reset_are_no_hosts)
{
	void *at[KEYS], *host[KEYS] = { value[0], value[1], value[2] };
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr *k = open_and_put(at);

	ck_assert_int_eq(cudaDeviceReset(), cudaSuccess);
	for (uint32_t i = 0; i < 3; i++) {
		ERR(run(k, i == 1 ? KVR_PUT : KVR_GET, at, NULL, &d), KVR_E_DEVICE);
		ck_assert_msg(strncmp(d.why, "cudaDeviceReset: ", 17) == 0, "'%s'", d.why);
		OK(run(k, KVR_PUT, host, NULL, NULL));
	}
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("gpu.places", addresses_of_a_device_go_there_and_back,
    what_was_put_from_the_device_is_got_by_the_host_and_the_reverse,
    copies_wait_for_the_event_of_the_batch, no_thread_that_submits_makes_a_context,
    a_capture_on_another_thread_goes_on, memory_of_two_kinds_is_two_batches,
    a_device_that_could_not_be_taken_is_no_host, without_a_device_nobody_is_asked,
    a_lost_device_costs_its_addresses_and_not_the_hosts, addresses_from_before_a_reset_are_no_hosts)
