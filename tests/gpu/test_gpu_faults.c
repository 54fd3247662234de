/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker for CUDA over a stand-in that fails as the test says: each error has its call's name
 * and costs what it must, nothing is left behind, and nothing of it is left for the embedder to
 * find.
 */
#include "gpu_bed.h"
#include "kvr_big_pages.h"
#include "kvr_check.h"
#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEN = 2 << 20, SMALL = 4096, PIECES = 40 };

static const struct kvr_copy_ops *ops;
static const struct kvr_device *cuda;
static char why[128];

struct bed {
	struct kvr_copier *copier;
	uint8_t *near, *far;
};

static void
machine(struct kvr_cuda_machine m)
{
	m.memory = 4 * LEN;
	kvr_cuda_fake_machine(&m);
	cuda = kvr_device_find("cuda");
	ck_assert_ptr_nonnull(cuda);
	ops = cuda->copy;
	why[0] = '\0';
}

static struct bed
bed_open(struct kvr_cuda_machine m)
{
	struct bed b = { 0 };

	machine(m);
	gpu_open(0, NULL);
	b.copier = gpu_copier();
	b.near = gpu_pin(2 * LEN);
	b.far = gpu_alloc(2 * LEN);
	return b;
}

static void
bed_close(struct bed *b)
{
	ops->close(b->copier);
	gpu_free(b->far);
	gpu_unpin(b->near, 2 * LEN);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	ck_assert_uint_eq(kvr_cuda_fake_synchronous(), 0);
}

/* PIECES of that length, and the mark behind them. */
static enum kvr_err
begin(const struct bed *b, enum kvr_way way, uint64_t len)
{
	struct kvr_piece piece[PIECES];
	uint64_t at = way == KVR_WAY_OUT ? LEN : 0; /* the ways run at once */
	uint64_t step = len + 512 > LEN / PIECES ? LEN / PIECES : len + 512;

	for (uint32_t i = 0; i < PIECES; i++)
		piece[i] = (struct kvr_piece){ .cache = b->far + at + i * step,
			.chunk = b->near + at + i * step,
			.len = KVR_MIN(len, step) };
	enum kvr_err err = ops->copy(b->copier, way, piece, PIECES, why, sizeof(why));
	char first[sizeof(why)];

	memcpy(first, why, sizeof(first));
	enum kvr_err marked = ops->mark(b->copier, way, why, sizeof(why));

	if (err == KVR_OK)
		return marked;
	memcpy(why, first, sizeof(first));
	/* What was begun before the failure ends too. */
	while (marked == KVR_OK &&
	       (marked = ops->poll(b->copier, way, first, sizeof(first))) == KVR_E_UNFINISHED)
		marked = KVR_OK;
	return err;
}

static enum kvr_err
end(const struct bed *b, enum kvr_way way)
{
	enum kvr_err err;

	do
		err = ops->poll(b->copier, way, why, sizeof(why));
	while (err == KVR_E_UNFINISHED);
	return err;
}

static enum kvr_err
move(const struct bed *b, enum kvr_way way, uint64_t len)
{
	enum kvr_err err = begin(b, way, len);

	return err == KVR_OK ? end(b, way) : err;
}

static void
begins_with(const char *call)
{
	ck_assert_msg(strncmp(why, call, strlen(call)) == 0, "'%s' is not of %s", why, call);
}

/* ---- errors of calls ---- */

static const struct {
	const char *call, *said;
	uint64_t len;
} of_a_copy[] = { { "cudaMemcpyBatchAsync", "cudaMemcpyBatchAsync: ", LEN / PIECES },
	{ "kvr_kernel_copy", "the copy kernel: ", SMALL },
	{ "cudaEventRecord", "cudaEventRecord: ", SMALL },
	{ "cudaEventQuery", "cudaEventQuery: ", SMALL } };

START_TEST(a_call_that_fails_costs_one_copy)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });

	for (uint32_t i = 0; i < KVR_LEN(of_a_copy); i++) {
		for (uint32_t way = 0; way < KVR_WAYS; way++) {
			kvr_cuda_fake_fail(of_a_copy[i].call, 1, cudaErrorMemoryAllocation);
			ck_assert_int_eq(
			    move(&b, (enum kvr_way)way, of_a_copy[i].len), KVR_E_DEVICE);
			begins_with(of_a_copy[i].said);
			ck_assert(!ops->lost(b.copier));
			ck_assert_int_eq(move(&b, (enum kvr_way)way, of_a_copy[i].len), KVR_OK);
		}
	}
	bed_close(&b);
}
END_TEST

START_TEST(an_error_that_stays_is_a_lost_device)
{
	for (uint32_t i = 0; i < KVR_LEN(of_a_copy); i++) {
		struct bed b = bed_open((struct kvr_cuda_machine){ 0 });

		kvr_cuda_fake_fail(of_a_copy[i].call, 1, cudaErrorECCUncorrectable);
		ck_assert_int_eq(move(&b, KVR_WAY_OUT, of_a_copy[i].len), KVR_E_DEVICE);
		begins_with(of_a_copy[i].said);
		ck_assert(ops->lost(b.copier));
		ops->close(b.copier);
		ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	}
}
END_TEST

/* Nobody is told when it happens: the mark behind it says so. */
START_TEST(work_that_fails_on_the_device_is_heard_of_at_its_mark)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });

	kvr_cuda_fake_hold(true);
	kvr_cuda_fake_fail_work(1, cudaErrorLaunchFailure);
	ck_assert_int_eq(begin(&b, KVR_WAY_IN, SMALL), KVR_OK);
	ck_assert_int_eq(ops->poll(b.copier, KVR_WAY_IN, why, sizeof(why)), KVR_E_UNFINISHED);
	kvr_cuda_fake_hold(false);
	ck_assert_int_eq(end(&b, KVR_WAY_IN), KVR_E_DEVICE);
	begins_with("cudaEventQuery: ");
	ck_assert(ops->lost(b.copier));
	ck_assert_int_eq(begin(&b, KVR_WAY_OUT, SMALL), KVR_E_DEVICE);
	ops->close(b.copier);
}
END_TEST

/* A device that does not see page-locked memory where the host does: no kernel may go there. */
START_TEST(without_common_addresses_small_pieces_go_to_the_copy_engine)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ .other_addresses = true });

	ck_assert_int_eq(move(&b, KVR_WAY_IN, SMALL), KVR_OK);
	ck_assert_int_eq(move(&b, KVR_WAY_OUT, SMALL), KVR_OK);
	ck_assert_uint_eq(kvr_cuda_fake_calls("kvr_kernel_copy"), 0);
	ck_assert_uint_eq(kvr_cuda_fake_calls("cudaMemcpyBatchAsync"), 2);
	bed_close(&b);
}
END_TEST

START_TEST(a_driver_older_than_the_toolkit_copies_one_by_one)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ .old_driver = true });

	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(move(&b, KVR_WAY_IN, LEN / PIECES - 512), KVR_OK);
	ck_assert_uint_le(kvr_cuda_fake_calls("cudaMemcpyBatchAsync"), 1);
	kvr_cuda_fake_fail("cudaMemcpyAsync", 3, cudaErrorMemoryAllocation);
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < 3 && err == KVR_OK; i++) {
		const struct kvr_piece one = { .cache = b.far, .chunk = b.near, .len = LEN };

		err = ops->copy(b.copier, KVR_WAY_IN, &one, 1, why, sizeof(why));
	}
	ck_assert_int_eq(err, KVR_E_DEVICE);
	begins_with("cudaMemcpyAsync: ");
	bed_close(&b);
}
END_TEST

/* Compiled for none of the kind, or for a newer driver: slower, and not an error of each copy. */
START_TEST(without_a_kernel_for_this_device_small_pieces_go_to_the_copy_engine)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });

	ops->close(b.copier);
	kvr_cuda_fake_fail("kvr_kernel_load", 1, cudaErrorNoKernelImageForDevice);
	b.copier = gpu_copier();
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	ck_assert_int_eq(move(&b, KVR_WAY_IN, SMALL), KVR_OK);
	ck_assert_int_eq(move(&b, KVR_WAY_OUT, SMALL), KVR_OK);
	/* What lies apart in steps, unit by unit: more of them than a batch has. */
	const struct kvr_piece heads = { .cache = b.far,
		.chunk = b.near,
		.len = 400 * 64,
		.unit = 64,
		.inner = 8,
		.unit_step = 50 * 64,
		.row_step = 64 };
	uint8_t *got = malloc(heads.len);

	ck_assert_ptr_nonnull(got);
	for (uint64_t i = 0; i < heads.len; i++)
		b.near[i] = (uint8_t)(i / 64 * 3 + i % 64);
	ck_assert_int_eq(ops->copy(b.copier, KVR_WAY_OUT, &heads, 1, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(ops->mark(b.copier, KVR_WAY_OUT, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(end(&b, KVR_WAY_OUT), KVR_OK);
	gpu_fetch(got, b.far, heads.len);
	for (uint64_t i = 0; i < heads.len; i++) {
		uint64_t of = i / 64, head = of % 8, token = of / 8;

		ck_assert_uint_eq(got[(head * 50 + token) * 64 + i % 64], b.near[i]);
	}
	free(got);
	ck_assert_uint_eq(kvr_cuda_fake_calls("kvr_kernel_copy"), 0);
	bed_close(&b);
}
END_TEST

/* ---- order ---- */

/* The copy is behind the event of another stream, and the host waits for neither. */
START_TEST(a_copy_waits_for_an_event_on_the_device)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });
	uint8_t *want = malloc(LEN);

	ck_assert_ptr_nonnull(want);
	kvr_cuda_fake_hold(true);
	void *event = gpu_fill_later(b.far, 0x5c, LEN);

	ck_assert_int_eq(ops->await(b.copier, KVR_WAY_IN, event, why, sizeof(why)), KVR_OK);
	const struct kvr_piece all = { .cache = b.far, .chunk = b.near, .len = LEN };

	ck_assert_int_eq(ops->copy(b.copier, KVR_WAY_IN, &all, 1, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(ops->mark(b.copier, KVR_WAY_IN, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(ops->poll(b.copier, KVR_WAY_IN, why, sizeof(why)), KVR_E_UNFINISHED);
	kvr_cuda_fake_hold(false);
	ck_assert_int_eq(end(&b, KVR_WAY_IN), KVR_OK);
	memset(want, 0x5c, LEN);
	ck_assert_int_eq(memcmp(b.near, want, LEN), 0);
	kvr_cuda_fake_fail("cudaStreamWaitEvent", 1, cudaErrorMemoryAllocation);
	ck_assert_int_eq(ops->await(b.copier, KVR_WAY_IN, event, why, sizeof(why)), KVR_E_DEVICE);
	begins_with("cudaStreamWaitEvent: ");
	gpu_event_free(event);
	free(want);
	bed_close(&b);
}
END_TEST

START_TEST(streams_are_of_the_engines_device_and_end_with_the_copier)
{
	struct kvr_copier *c = NULL;

	machine((struct kvr_cuda_machine){ .devices = 3 });
	ck_assert_uint_eq(cuda->count(why, sizeof(why)), 3);
	ck_assert_int_eq(ops->open(2, &c, why, sizeof(why)), KVR_OK);
	ck_assert_uint_eq(ops->current(), 2);
	ck_assert_int_eq(kvr_cuda_fake_streams_on(2), 2 * KVR_WAYS);
	ops->close(c);
	ck_assert_int_eq(ops->open(3, &c, why, sizeof(why)), KVR_E_DEVICE);
	begins_with("cudaSetDevice: ");
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}
END_TEST

/* ---- too little of something ---- */

START_TEST(a_copier_that_cannot_be_had_leaves_nothing)
{
	static const char *const call[] = { "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags",
		"cudaSetDevice", "cudaThreadExchangeStreamCaptureMode", "cudaHostRegister",
		"cudaDeviceGetAttribute" };
	struct kvr_copier *c = NULL;

	machine((struct kvr_cuda_machine){ 0 });
	for (uint32_t i = 0; i < KVR_LEN(call); i++) {
		for (uint32_t nth = 1; nth <= (i >= 2 ? 1 : 2); nth++) {
			kvr_cuda_fake_fail(call[i], nth, cudaErrorMemoryAllocation);
			ck_assert_int_eq(ops->open(0, &c, why, sizeof(why)), KVR_E_DEVICE);
			begins_with(call[i]);
			ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
			ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
		}
	}
}
END_TEST

START_TEST(what_cannot_be_locked_whole_is_not_locked)
{
	uint8_t *at =
	    mmap(NULL, 8 * LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(at != MAP_FAILED);
	machine((struct kvr_cuda_machine){ .locked = 5 * LEN });
	ck_assert_int_eq(
	    kvr_device_lock(cuda, at, 8 * LEN, LEN, KVR_TOUCH_FRESH, UINT64_MAX, why, sizeof(why)),
	    KVR_E_NOMEM);
	begins_with("page-locking 2097152 bytes failed: ");
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(
	    kvr_device_lock(cuda, at, 4 * LEN, LEN, KVR_TOUCH_FRESH, UINT64_MAX, why, sizeof(why)),
	    KVR_OK);
	/* Twice the same memory: the driver refuses, and what was there stays. */
	ck_assert_int_eq(
	    kvr_device_lock(
	        cuda, at + 3 * LEN, LEN, LEN, KVR_TOUCH_FRESH, UINT64_MAX, why, sizeof(why)),
	    KVR_E_INVALID);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 4);
	kvr_device_unlock(cuda, at, 4 * LEN, LEN);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	munmap(at, 8 * LEN);
}
END_TEST

/* Staging is no child's: it would be copied whole at the fork, or its pages be mixed up. */
START_TEST(a_child_has_no_page_of_what_is_locked_for_us)
{
	int status = -1;

	machine((struct kvr_cuda_machine){ 0 });
	gpu_open(0, NULL);
	uint8_t *at = gpu_pin(LEN);
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(msync(at, LEN, MS_ASYNC) == -1 && errno == ENOMEM ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	memset(at, 1, LEN);
	gpu_unpin(at, LEN);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
}
END_TEST

START_TEST(no_driver_is_a_sentence)
{
	machine((struct kvr_cuda_machine){ .no_driver = true });
	ck_assert_uint_eq(cuda->count(why, sizeof(why)), 0);
	begins_with("no driver is installed");
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	machine((struct kvr_cuda_machine){ .driver_cuda = 10020 });
	ck_assert_uint_eq(cuda->count(why, sizeof(why)), 0);
	begins_with("the driver is one for CUDA 10.2, and this build needs one for ");
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}
END_TEST

/* Copies that are under way when somebody resets the device: an end for each mark, whichever. */
START_TEST(a_reset_under_copies_ends_them_all)
{
	for (uint32_t round = 0; round < 20; round++) {
		struct bed b = bed_open((struct kvr_cuda_machine){ 0 });

		for (uint32_t i = 0; i < KVR_MARKS_MAX; i++)
			ck_assert_int_eq(
			    begin(&b, (enum kvr_way)(i % KVR_WAYS), UINT64_C(4096) << i % 4),
			    KVR_OK);
		void *event = gpu_event();

		gpu_reset();
		ck_assert_int_eq(ops->await(b.copier, KVR_WAY_IN, event, why, sizeof(why)), KVR_E_DEVICE);
		ck_assert_int_eq(
		    ops->record(b.copier, KVR_WAY_OUT, event, why, sizeof(why)), KVR_E_DEVICE);
		begins_with("cudaDeviceReset: ");
		for (uint32_t i = 0; i < KVR_MARKS_MAX; i++)
			ck_assert_int_eq(end(&b, (enum kvr_way)(i % KVR_WAYS)), KVR_E_DEVICE);
		ck_assert(ops->lost(b.copier));
		ops->close(b.copier);
		kvr_device_unlock(cuda, b.near, 2 * LEN, KVR_DEVICE_PIECE);
		munmap(b.near, 2 * LEN);
		ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
		/* Nor is the device set up again for what is left of us. */
		ck_assert(!kvr_cuda_fake_context_on(0));
	}
}
END_TEST

/* The page that tells a copier of a device's reset is its own, however large pages are. */
START_TEST(copiers_open_side_by_side_where_pages_are_large)
{
	enum { N = 8 };
	struct kvr_copier *copier[N];

	machine((struct kvr_cuda_machine){ 0 });
	kvr_big_pages = true;
	for (int i = 0; i < N; i++)
		ck_assert_msg(ops->open(0, &copier[i], why, sizeof(why)) == KVR_OK, "%d: %s", i, why);
	for (int i = 0; i < N; i++)
		ops->close(copier[i]);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
}
END_TEST

KVR_CHECK_MAIN("gpu.faults", a_call_that_fails_costs_one_copy, an_error_that_stays_is_a_lost_device,
    work_that_fails_on_the_device_is_heard_of_at_its_mark,
    without_common_addresses_small_pieces_go_to_the_copy_engine,
    a_driver_older_than_the_toolkit_copies_one_by_one,
    without_a_kernel_for_this_device_small_pieces_go_to_the_copy_engine,
    a_copy_waits_for_an_event_on_the_device,
    streams_are_of_the_engines_device_and_end_with_the_copier,
    a_copier_that_cannot_be_had_leaves_nothing, copiers_open_side_by_side_where_pages_are_large,
    what_cannot_be_locked_whole_is_not_locked, a_child_has_no_page_of_what_is_locked_for_us,
    no_driver_is_a_sentence, a_reset_under_copies_ends_them_all)
