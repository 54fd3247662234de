/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole instances over a device that fails as the test says: operations end with a reason and when
 * they must, what lies in the host's memory goes on, closing has a bound, and nothing of the
 * driver's is left behind.
 */
#include "gpu_engine.h"

#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>
#include <stdatomic.h>

static struct gpu_engine engine;

static struct kvr *
open_on(struct kvr_cuda_machine m)
{
	m.memory = 32 << 20;
	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	struct kvr *k = gpu_open_store("memory://", "");

	gpu_engine_open(&engine, k, 7, 16);
	return k;
}

/* Nothing of the driver's is left, and none of its errors. */
static void
is_clean(void)
{
	gpu_engine_close(&engine);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_uint_eq(kvr_cuda_fake_synchronous(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}

/* A put and a get out of the host's memory. */
static void
host_goes_on(struct kvr *k)
{
	static uint8_t value[70000], back[70000];
	const uint64_t len = sizeof(value);
	void *at = value;
	struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 1, .keys = "host", .at = &at, .len = &len
	};

	bed_fill(value, sizeof(value), 3);
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	b.kind = KVR_GET;
	at = back;
	memset(back, 0, sizeof(back));
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	ck_assert_int_eq(memcmp(value, back, sizeof(back)), 0);
}

static void
ends_with_device(enum kvr_err err, const struct kvr_done *d)
{
	ERR(err, KVR_E_DEVICE);
	ck_assert_msg(
	    strncmp(d->why, "cuda", 4) == 0 || strncmp(d->why, "the copy", 8) == 0, "'%s'", d->why);
	ck_assert((d->flags & KVR_DONE_QUIET) != 0);
}

/* ---- errors ---- */

START_TEST(a_call_that_fails_costs_an_operation_and_no_more)
{
	static const char *const call[] = { "kvr_kernel_copy", "cudaEventRecord",
		"cudaEventQuery" };
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	gpu_engine_moves(&engine, KVR_PUT, "k");
	for (uint32_t i = 0; i < sizeof(call) / sizeof(call[0]); i++) {
		kvr_cuda_fake_fail(call[i], 1, cudaErrorMemoryAllocation);
		OK(gpu_engine_submit(&engine, KVR_GET, "k", 60000, &op));
		enum kvr_err err = kvr_wait(k, op, 0, &d, NULL);

		ends_with_device(err, &d);
		gpu_engine_poison(&engine);
		gpu_engine_moves(&engine, KVR_GET, "k");
		gpu_engine_came_back(&engine);
	}
	bed_close(k);
	is_clean();
}
END_TEST

START_TEST(a_device_that_is_lost_costs_what_lies_in_it)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	gpu_engine_moves(&engine, KVR_PUT, "k");
	kvr_cuda_fake_fail_work(1, cudaErrorECCUncorrectable);
	for (uint32_t i = 0; i < 3; i++) {
		OK(gpu_engine_submit(&engine, i == 1 ? KVR_PUT : KVR_GET, "k", 60000, &op));
		enum kvr_err err = kvr_wait(k, op, 0, &d, NULL);

		ends_with_device(err, &d);
		host_goes_on(k);
	}
	bed_close(k);
	gpu_engine_forget(&engine);
	/* The process may begin a new context, as the manual says, and then all is well again. */
	ck_assert_int_eq(cudaDeviceReset(), cudaSuccess);
	k = gpu_open_store("memory://", "");
	gpu_engine_open(&engine, k, 8, 8);
	gpu_engine_moves(&engine, KVR_PUT, "n");
	gpu_engine_poison(&engine);
	gpu_engine_moves(&engine, KVR_GET, "n");
	gpu_engine_came_back(&engine);
	bed_close(k);
	is_clean();
}
END_TEST

/* Somebody else in the process resets the device while copies are on their way. */
START_TEST(a_reset_in_the_middle_ends_every_operation)
{
	for (uint32_t round = 0; round < 6; round++) {
		struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
		struct kvr_done d = { .size = sizeof(d) };
		kvr_op op[8];

		gpu_engine_moves(&engine, KVR_PUT, "k");
		uint64_t before = kvr_cuda_fake_calls("cudaEventRecord");

		kvr_cuda_fake_hold(round % 2 == 0);
		for (uint32_t i = 0; i < 8; i++)
			OK(gpu_engine_submit(&engine, KVR_GET, "k", 60000, &op[i]));
		kvr_cuda_fake_wait("cudaEventRecord", before + round % 3 + 1);
		gpu_reset();
		kvr_cuda_fake_hold(false);
		for (uint32_t i = 0; i < 8; i++) {
			enum kvr_err err = kvr_wait(k, op[i], 0, &d, NULL);

			if (round % 2 == 0 || err != KVR_OK)
				ends_with_device(err, &d);
		}
		host_goes_on(k);
		bed_close(k);
		gpu_engine_forget(&engine);
	}
}
END_TEST

/* ---- time ---- */

START_TEST(cancel_while_a_copy_runs_waits_for_the_copy)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	for (uint32_t i = 0; i < 2; i++) {
		uint64_t before = kvr_cuda_fake_calls("cudaEventRecord");

		kvr_cuda_fake_hold(true);
		OK(gpu_engine_submit(&engine, KVR_PUT, i == 0 ? "x" : "y", 60000, &op));
		kvr_cuda_fake_wait("cudaEventRecord", before + 1);
		OK(kvr_cancel(k, op));
		ERR(kvr_wait(k, op, KVR_NOW, &d, NULL), KVR_E_UNFINISHED);
		kvr_cuda_fake_hold(false);
		enum kvr_err err = kvr_wait(k, op, 0, &d, NULL);

		/* On a busy machine the hold may last longer than a copy is waited for. */
		if ((d.flags & KVR_DONE_QUIET) == 0)
			err = kvr_wait(k, op, 0, &d, NULL);
		ck_assert_msg(
		    err == KVR_E_CANCELLED || err == KVR_E_STUCK, "%s", kvr_err_name(err));
		ck_assert((d.flags & KVR_DONE_QUIET) != 0);
	}
	gpu_engine_moves(&engine, KVR_PUT, "z");
	bed_close(k);
	is_clean();
}
END_TEST

/* A driver that hangs: the answer comes all the same, and says whose the memory is. */
START_TEST(a_driver_that_hangs_costs_its_operations_and_holds_nobody_else)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op[12];

	gpu_engine_moves(&engine, KVR_PUT, "k");
	uint64_t before = kvr_cuda_fake_calls("cudaEventRecord");

	kvr_cuda_fake_hold(true);
	OK(gpu_engine_submit(&engine, KVR_GET, "k", 3000, &op[0]));
	kvr_cuda_fake_wait("cudaEventRecord", before + 1);
	for (uint32_t i = 1; i < 12; i++)
		OK(gpu_engine_submit(&engine, KVR_GET, "k", 200, &op[i]));
	host_goes_on(k);
	for (uint32_t i = 0; i < 12; i++) {
		int32_t of[GPU_KEYS];
		struct kvr_results res = { .size = sizeof(res), .cap = GPU_KEYS, .err = of };
		enum kvr_err err = kvr_wait(k, op[i], 0, &d, &res);
		bool quiet = (d.flags & KVR_DONE_QUIET) != 0, stuck = false;

		/* What the driver has is stuck; what never reached it is late. */
		ck_assert(err == KVR_E_TIMEOUT || err == KVR_E_STUCK);
		for (uint32_t key = 0; key < GPU_KEYS; key++)
			stuck = stuck || of[key] == KVR_E_STUCK;
		ck_assert(stuck != quiet);
		ck_assert(i > 0 || !quiet); /* it has begun */
		ck_assert_uint_lt(d.took_ns, UINT64_C(20000000000));
	}
	kvr_cuda_fake_hold(false);
	for (uint32_t i = 0; i < 12; i++) {
		enum kvr_err err = kvr_wait(k, op[i], 0, &d, NULL);

		ck_assert(err == KVR_E_STALE || (d.flags & KVR_DONE_QUIET) != 0);
		ck_assert(i > 0 || err != KVR_E_STALE);
	}
	gpu_engine_poison(&engine);
	gpu_engine_moves(&engine, KVR_GET, "k");
	gpu_engine_came_back(&engine);
	OK(kvr_quiet(k, 0, NULL));
	bed_close(k);
	is_clean();
}
END_TEST

struct told {
	_Atomic uint32_t n, quiet;
	_Atomic int32_t err[2];
};

static void
note(void *arg, const struct kvr_done *done, const struct kvr_results *results)
{
	struct told *t = arg;
	uint32_t i = atomic_load(&t->n);

	(void)results;
	ck_assert_uint_lt(i, 2);
	atomic_store(&t->err[i], done->err);
	atomic_fetch_add(&t->quiet, (done->flags & KVR_DONE_QUIET) != 0);
	atomic_fetch_add(&t->n, 1);
}

static void
wait_told(struct told *t, uint32_t n)
{
	const struct timespec a_moment = { .tv_nsec = 20000 };
	uint64_t until_ns = bed_in_ms(60000);

	while (atomic_load(&t->n) < n && bed_now_ns() < until_ns)
		nanosleep(&a_moment, NULL);
	ck_assert_uint_eq(atomic_load(&t->n), n);
}

START_TEST(callbacks_hear_twice_of_what_hangs_and_else_once)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = 1,
		.keys = "k-0",
		.len = engine.len,
		.tokens = &engine.tokens };

	for (uint32_t i = 0; i < 40; i++) {
		struct told t = { 0 };
		const struct kvr_opts o = { .size = sizeof(o),
			.until_ns = bed_in_ms(60000),
			.done = note,
			.done_arg = &t };

		OK(kvr_submit(k, &b, &o, NULL));
		wait_told(&t, 1);
		ck_assert_uint_eq(atomic_load(&t.quiet), 1);
	}
	struct told t = { 0 };
	const struct kvr_opts o = {
		.size = sizeof(o), .until_ns = bed_in_ms(50), .done = note, .done_arg = &t
	};

	kvr_cuda_fake_hold(true);
	OK(kvr_submit(k, &b, &o, NULL));
	wait_told(&t, 1);
	kvr_cuda_fake_hold(false);
	if (atomic_load(&t.quiet) == 0)
		wait_told(&t, 2);
	ck_assert_uint_eq(atomic_load(&t.quiet), 1);
	bed_close(k);
	is_clean();
}
END_TEST

/* Room for a second completion that does not come is given back: more of them than there are places. */
START_TEST(a_second_completion_that_does_not_come_takes_no_place)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	const struct kvr_batch none = { .size = sizeof(none), .kind = KVR_PUT };

	for (uint32_t i = 0; i < 2100; i++) {
		struct told t = { 0 };
		const struct kvr_opts o = {
			.size = sizeof(o), .flags = KVR_EARLY, .done = note, .done_arg = &t
		};

		OK(kvr_submit(k, &none, &o, NULL));
		wait_told(&t, 1);
		ck_assert_uint_eq(atomic_load(&t.quiet), 1);
	}
	bed_close(k);
	is_clean();
}
END_TEST

START_TEST(closing_has_a_bound_also_when_the_driver_hangs)
{
	static _Alignas(4096) uint8_t own[4096];
	struct kvr_close_report r = { .size = sizeof(r) };
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };
	uint64_t before = kvr_cuda_fake_calls("cudaEventRecord");
	kvr_op op;

	OK(kvr_memory_register(k, own, sizeof(own), 0)); /* a driver does not give that back while it hangs */
	kvr_cuda_fake_hold(true);
	OK(gpu_engine_submit(&engine, KVR_PUT, "k", 60000, &op));
	kvr_cuda_fake_wait("cudaEventRecord", before + 1);
	uint64_t begin_ns = bed_now_ns();

	ERR(kvr_close(k, bed_in_ms(300), KVR_DRAIN, &r), KVR_E_STUCK);
	ck_assert_uint_lt(bed_now_ns() - begin_ns, UINT64_C(20000000000));
	ck_assert_uint_eq(r.stuck_threads, 1);
	ck_assert_uint_eq(r.not_quiet, GPU_KEYS);
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_STUCK);
	ck_assert((d.flags & KVR_DONE_QUIET) == 0);
	kvr_free(k); /* keeps what the driver may still write to */
	ck_assert_uint_ge(kvr_cuda_fake_leaks(), 3);
	/* It goes on later, into memory that is still there. */
	kvr_cuda_fake_hold(false);
	uint64_t until_ns = bed_in_ms(60000);
	const struct timespec ms = { .tv_nsec = 1000000 };

	while (kvr_cuda_fake_streams_on(0) > 0 && bed_now_ns() < until_ns)
		nanosleep(&ms, NULL);
	ck_assert_int_eq(kvr_cuda_fake_streams_on(0), 0);
}
END_TEST

/* ---- at the beginning ---- */

static enum kvr_err
open_with(const char *device, struct bed_log *log, struct kvr **ret, char *why, size_t cap)
{
	char json[256];
	const struct kvr_options o = {
		.size = sizeof(o), .config_text = json, .log = bed_log, .log_arg = log, BED_SET
	};

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"8MiB\",\"device\":\"%s\"},"
	    "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    device);
	return kvr_open(&o, 0, ret, why, cap);
}

START_TEST(too_little_page_locked_memory_or_no_driver_is_said_at_the_beginning)
{
	const struct kvr_cuda_machine poor[] = { { .locked = 1 << 20 }, { .no_driver = true } };

	for (uint32_t i = 0; i < 2; i++) {
		struct bed_log log = BED_LOG;
		struct kvr *k = NULL;
		char why[512] = "";

		kvr_cuda_fake_machine(&poor[i]);
		ERR(open_with("cuda", &log, &k, why, sizeof(why)),
		    i == 0 ? KVR_E_NOMEM : KVR_E_CONFIG);
		ck_assert_msg(strstr(why, "memory.device is \"cuda\": ") != NULL, "'%s'", why);
		ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
		OK(open_with("auto", &log, &k, why, sizeof(why)));
		bed_log_has(&log, "the host serves");
		host_goes_on(k);
		bed_close(k);
		ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
		ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	}
}
END_TEST

/* The context is made, and then there is no memory for a stream: a lost device, not a lost instance. */
START_TEST(no_memory_for_streams_is_a_lost_device)
{
	const struct kvr_cuda_machine m = { 0 };
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	kvr_cuda_fake_fail("cudaStreamCreateWithFlags", 2, cudaErrorMemoryAllocation);
	struct kvr *k = gpu_open_store("memory://", "");

	gpu_engine_open(&engine, k, 7, 16);
	OK(gpu_engine_submit(&engine, KVR_PUT, "k", 60000, &op));
	enum kvr_err err = kvr_wait(k, op, 0, &d, NULL);

	ends_with_device(err, &d);
	host_goes_on(k);
	bed_close(k);
	is_clean();
}
END_TEST

KVR_CHECK_MAIN("gpu.api_faults", a_call_that_fails_costs_an_operation_and_no_more,
    a_device_that_is_lost_costs_what_lies_in_it, a_reset_in_the_middle_ends_every_operation,
    cancel_while_a_copy_runs_waits_for_the_copy,
    a_driver_that_hangs_costs_its_operations_and_holds_nobody_else,
    callbacks_hear_twice_of_what_hangs_and_else_once,
    a_second_completion_that_does_not_come_takes_no_place,
    closing_has_a_bound_also_when_the_driver_hangs,
    too_little_page_locked_memory_or_no_driver_is_said_at_the_beginning,
    no_memory_for_streams_is_a_lost_device)
