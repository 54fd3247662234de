/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the caller's that is registered: what that changes, what is refused, and that it is
 * given back when nobody uses it and not before.
 */
#include "kvr_api_bed.h"

#include "gpu_bed.h"
#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 64, LEN = PAGES * PAGE, KEYS = 3 };

static const char keys[] = "k0\0k1\0k2";
static uint8_t *memory; /* LEN bytes */

static struct kvr *
open_tier(const char *device, const char *url, struct bed_log *log)
{
	char json[256];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"8MiB\",\"device\":\"%s\"},"
	    "\"tiers\":[{\"name\":\"a\",\"url\":\"%s\"}]}",
	    device, url);
	return bed_open(json, NULL, NULL, log);
}

static void
machine(struct kvr_cuda_machine m)
{
	m.memory = 32 << 20;
	kvr_cuda_fake_machine(&m);
	memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(memory != MAP_FAILED);
}

static void
is_clean(void)
{
	munmap(memory, LEN);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}

static bool
is_locked(const void *at)
{
	struct cudaPointerAttributes a;

	ck_assert_int_eq(cudaPointerGetAttributes(&a, at), cudaSuccess);
	return a.type == cudaMemoryTypeHost;
}

static enum kvr_err
submit(struct kvr *k, uint32_t kind, uint32_t flags, uint8_t *at, uint64_t each, kvr_op *ret)
{
	void *const place[KEYS] = { at, at + each, at + 2 * each };
	const uint64_t len[KEYS] = { each, each, each };
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = KEYS, .keys = keys, .at = place, .len = len
	};
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = flags, .until_ns = bed_in_ms(60000)
	};

	return kvr_submit(k, &b, &o, ret);
}

static void
run(struct kvr *k, uint32_t kind, uint8_t *at, uint64_t each)
{
	kvr_op op;

	OK(submit(k, kind, 0, at, each, &op));
	OK(kvr_wait(k, op, 0, NULL, NULL));
}

/* ---- what it is good for ---- */

/* Whether an asynchronous copy of an engine's own, of all of this memory, was asynchronous. */
static bool
is_asynchronous(void *far, uint8_t *at, size_t len)
{
	uint64_t before = kvr_cuda_fake_synchronous();
	cudaStream_t stream;

	ck_assert_int_eq(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
	ck_assert_int_eq(
	    cudaMemcpyAsync(far, at, len, cudaMemcpyHostToDevice, stream), cudaSuccess);
	ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
	ck_assert_int_eq(cudaStreamDestroy(stream), cudaSuccess);
	return kvr_cuda_fake_synchronous() == before;
}

START_TEST(an_engines_copies_are_asynchronous_until_it_is_given_back)
{
	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", NULL);
	uint8_t *at =
	    memory + 100; /* pages are locked whole, wherever in them it begins and ends */
	size_t len = LEN - 333;
	void *far = gpu_alloc(LEN);

	memset(memory, 3, LEN);
	ck_assert(!is_asynchronous(far, at, len));
	for (uint32_t i = 0; i < 3; i++) {
		OK(kvr_memory_register(k, at, len, 0));
		ck_assert(is_asynchronous(far, at, len));
		OK(kvr_memory_unregister(k, at));
		ck_assert(!is_asynchronous(far, at, len));
	}
	for (size_t i = 0; i < LEN; i++)
		ck_assert(memory[i] == 3);
	gpu_free(far);
	bed_close(k);
	is_clean();
}
END_TEST

START_TEST(the_driver_is_not_asked_where_registered_memory_lies)
{
	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", NULL);
	uint64_t before, n;

	kvr_cuda_fake_wait("cudaDeviceGetAttribute", 1); /* the copy worker is there, and asks no more */
	OK(kvr_memory_register(k, memory, LEN / 2, 0));
	OK(kvr_memory_register(k, memory + LEN / 2, LEN / 2, 0));
	before = kvr_cuda_fake_calls("kvr_pointer_look");
	bed_fill(memory, LEN, 5);
	run(k, KVR_PUT, memory, LEN / 4); /* in both of them */
	memset(memory, 0, LEN / 4 * 3);
	run(k, KVR_GET, memory, LEN / 4);
	bed_same(memory, LEN, 5);
	ck_assert_uint_eq(kvr_cuda_fake_calls("kvr_pointer_look"), before);
	/* A place that lies half in it is as any other, and so is what was given back. */
	run(k, KVR_PUT, memory + LEN / 4, LEN / 4 + 1 - LEN / 12);
	n = kvr_cuda_fake_calls("kvr_pointer_look");
	ck_assert_uint_eq(n, before + KEYS);
	OK(kvr_memory_unregister(k, memory));
	run(k, KVR_PUT, memory, LEN / 8);
	/* The driver was asked once more when it was given back. */
	ck_assert_uint_eq(kvr_cuda_fake_calls("kvr_pointer_look"), n + KEYS + 1);
	bed_close(k);
	is_clean();
}
END_TEST

/* ---- what is refused ---- */

static const struct mistake {
	const char *said;
	size_t from, len; /* of memory */
} mistakes[] = {
	{ "are no memory", 0, 0 },
	{ "are no memory", 0, SIZE_MAX - PAGE },
	{ "share pages with 8185 at", PAGE, 2 * PAGE - 7 },
	{ "share pages with 8185 at", 2 * PAGE, 1 },
	{ "share pages with 8185 at", 0, LEN },
	{ "share pages with 8185 at", PAGE - 1, 2 },
	{ "share pages with 8185 at", 3 * PAGE - 1, 1 },
};

/*
 * The same with and without a device: an engine learns of them on any machine. first: nothing was
 * logged before, for a place in the code has ten lines a second.
 */
static void
refuses(const char *device, bool first)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = open_tier(device, "memory://", &log);

	OK(kvr_memory_register(k, memory + PAGE, 2 * PAGE - 7, 0));
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];

		ERR(kvr_memory_register(k, memory + m->from, m->len, 0), KVR_E_INVALID);
		if (first)
			bed_log_has(&log, m->said);
	}
	/* Nothing is mapped there, ever. */
	ERR(kvr_memory_register(k, (void *)(uintptr_t)PAGE, PAGE, 0), KVR_E_INVALID);
	if (first)
		bed_log_has(&log, "some are not mapped");
	ERR(kvr_memory_register(k, NULL, PAGE, 0), KVR_E_INVALID);
	ERR(kvr_memory_register(k, memory, PAGE, 5), KVR_E_INVALID); /* a duration by mistake */
	ERR(kvr_memory_register(k, memory, PAGE, KVR_NEVER), KVR_E_INVALID);
	ERR(kvr_memory_unregister(k, memory), KVR_E_INVALID);
	ERR(kvr_memory_unregister(k, memory + 2 * PAGE), KVR_E_INVALID);
	ERR(kvr_memory_unregister(k, NULL), KVR_E_INVALID);
	/* Its neighbours are free. */
	OK(kvr_memory_register(k, memory, PAGE, 0));
	OK(kvr_memory_register(k, memory + 3 * PAGE, 1, 0));
	OK(kvr_memory_unregister(k, memory + PAGE));
	ERR(kvr_memory_unregister(k, memory + PAGE), KVR_E_INVALID);
	bed_close(k);
}

START_TEST(mistakes_are_the_same_on_every_machine)
{
	static const char *const device[] = { "none", "auto", "auto", "cuda" };

	for (uint32_t i = 0; i < sizeof(device) / sizeof(device[0]); i++) {
		machine((struct kvr_cuda_machine){ .no_driver = i == 1 });
		refuses(device[i], i == 0);
		munmap(memory, LEN);
		ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	}
}
END_TEST

START_TEST(only_so_many_and_not_one_more)
{
	enum { MOST = 64 };
	struct bed_log log = BED_LOG;

	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", &log);
	uint8_t *at = mmap(
	    NULL, (MOST + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(at != MAP_FAILED);
	for (size_t i = 0; i < MOST; i++)
		OK(kvr_memory_register(k, at + i * PAGE, PAGE, 0));
	ERR(kvr_memory_register(k, at + (size_t)MOST * PAGE, PAGE, 0), KVR_E_BUSY);
	bed_log_has(&log, "64 ranges are registered already");
	/* Every one of them is known, the last one too. */
	run(k, KVR_PUT, at + (size_t)(MOST - 1) * PAGE, PAGE / 4);
	OK(kvr_memory_unregister(k, at + (size_t)7 * PAGE));
	OK(kvr_memory_register(k, at + (size_t)MOST * PAGE, PAGE, 0));
	bed_close(k);
	munmap(at, (MOST + 1) * PAGE);
	is_clean();
}
END_TEST

/* What the driver refuses leaves nothing locked and no place taken. */
START_TEST(what_the_driver_refuses_can_be_tried_again)
{
	struct bed_log log = BED_LOG;

	/* Staging, a page of the copy worker's, and seven. */
	machine((struct kvr_cuda_machine){ .locked = (8 << 20) + 8 * PAGE });
	struct kvr *k = open_tier("cuda", "memory://", &log);

	kvr_cuda_fake_wait("cudaDeviceGetAttribute", 1); /* the copy worker has locked its page */
	ERR(kvr_memory_register(k, memory, 9 * PAGE, 0), KVR_E_NOMEM);
	bed_log_has(&log, "page-locking 36864 bytes failed: ");
	ERR(kvr_memory_register(k, memory, PAGE, KVR_NOW), KVR_E_TIMEOUT);
	/* What a driver says of memory that is a file's, or read-only. */
	kvr_cuda_fake_fail("cudaHostRegister", 1, cudaErrorNotSupported);
	ERR(kvr_memory_register(k, memory, PAGE, 0), KVR_E_INVALID);
	/* The engine has locked it by itself: for somebody else, as far as we know. */
	ck_assert_int_eq(cudaHostRegister(memory, PAGE, cudaHostRegisterPortable), cudaSuccess);
	ERR(kvr_memory_register(k, memory, 2 * PAGE, 0), KVR_E_INVALID);
	ck_assert_int_eq(cudaHostUnregister(memory), cudaSuccess);
	OK(kvr_memory_register(k, memory, 7 * PAGE, 0));
	OK(kvr_memory_unregister(k, memory));
	void *far = gpu_alloc(LEN);

	ERR(kvr_memory_register(k, far, LEN, 0), KVR_E_INVALID);
	bed_log_has(&log, "lies in a device's memory");
	gpu_free(far);
	kvr_cuda_fake_fail("cudaHostRegister", 1, cudaErrorECCUncorrectable);
	ERR(kvr_memory_register(k, memory, PAGE, 0), KVR_E_DEVICE);
	/* Nobody is left who could lock or unlock, and the host's memory goes on. */
	ERR(kvr_memory_register(k, memory, PAGE, 0), KVR_E_DEVICE);
	run(k, KVR_PUT, memory, PAGE);
	bed_close(k);
	ck_assert_int_eq(cudaDeviceReset(), cudaSuccess);
	is_clean();
}
END_TEST

/* Read-only memory is the driver's to judge: nobody dies of looking at it. */
START_TEST(read_only_memory_is_not_written_to)
{
	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", NULL);

	ck_assert_int_eq(mprotect(memory, LEN, PROT_READ), 0);
	enum kvr_err err = kvr_memory_register(k, memory, LEN, 0);

	ck_assert(err == KVR_OK || err == KVR_E_INVALID);
	bed_close(k);
	is_clean();
}
END_TEST

/* ---- when it may be given back ---- */

/* A store that thinks for longer than anybody waits, until it is called off. */
START_TEST(what_an_operation_uses_is_not_given_back)
{
	static const char *const device[] = { "none", "cuda" };

	for (uint32_t i = 0; i < 2; i++) {
		struct bed_log log = BED_LOG;
		struct kvr_done d = { .size = sizeof(d) };
		kvr_op op;

		machine((struct kvr_cuda_machine){ 0 });
		struct kvr *k = open_tier(device[i], "mock://1?peeking_latency=100000", &log);

		OK(kvr_memory_register(k, memory, LEN / 2, 0));
		OK(kvr_memory_register(k, memory + LEN / 2, LEN / 4, 0));
		OK(kvr_memory_register(k, memory + LEN / 4 * 3, LEN / 4, 0));
		OK(submit(k, KVR_PUT, KVR_IF_ABSENT, memory + LEN / 4, LEN / 8, &op));
		ERR(kvr_memory_unregister(k, memory), KVR_E_BUSY);
		bed_log_has(&log, "an operation uses it");
		ERR(kvr_memory_unregister(k, memory + LEN / 2), KVR_E_BUSY);
		OK(kvr_memory_unregister(k, memory + LEN / 4 * 3)); /* where none of its keys is */
		OK(kvr_cancel(k, op));
		ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_CANCELLED);
		ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
		OK(kvr_memory_unregister(k, memory));
		OK(kvr_memory_unregister(k, memory + LEN / 2));
		bed_close(k);
		is_clean();
	}
}
END_TEST

/* One that was refused uses nothing. */
START_TEST(an_operation_that_never_was_keeps_nothing)
{
	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", NULL);
	void *const place[2] = { memory, NULL };
	const uint64_t len[2] = { PAGE, PAGE };
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 2, .keys = keys, .at = place, .len = len
	};

	OK(kvr_memory_register(k, memory, LEN, 0));
	ERR(kvr_submit(k, &b, NULL, NULL), KVR_E_INVALID);
	for (uint32_t i = 0; i < 50; i++)
		run(k, i % 2 == 0 ? KVR_PUT : KVR_GET, memory, PAGE);
	OK(kvr_memory_unregister(k, memory));
	bed_close(k);
	is_clean();
}
END_TEST

static void *
give_part(void *arg, size_t len, size_t align)
{
	(void)arg;
	(void)align;
	ck_assert_uint_le(len, LEN - PAGE);
	return memory + PAGE;
}

static void
take_part(void *arg, void *at, size_t len)
{
	(void)arg;
	(void)len;
	ck_assert_ptr_eq(at, memory + PAGE);
}

START_TEST(where_a_cache_or_objects_lie_is_not_given_back)
{
	struct bed_log log = BED_LOG;

	machine((struct kvr_cuda_machine){ 0 });
	const struct kvr_options o = { .size = sizeof(o),
		.config_text =
		    "{\"memory\":{\"staging\":\"8MiB\",\"objects\":\"128KiB\","
		    "\"slot_size\":\"64KiB\"},\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
		.log = bed_log,
		.log_arg = &log,
		.mem_get = give_part,
		.mem_put = take_part,
		BED_SET };
	struct kvr *k;
	kvr_obj obj;

	OK(kvr_open(&o, 0, &k, NULL, 0));
	OK(kvr_memory_register(k, memory + PAGE, LEN - PAGE, 0));
	void *const base[1] = { memory + 48 * PAGE };
	const struct kvr_cache_shape shape = { .size = sizeof(shape),
		.order = KVR_CACHE_LAYERS,
		.format = KVR_FMT_KV_2LTD,
		.dtype = KVR_DT_UINT8,
		.n_layers = 1,
		.n_planes = 2,
		.n_heads = 1,
		.head_size = 64,
		.block_tokens = 16,
		.n_blocks = 4,
		.n_base = 1,
		.base = base };
	struct kvr_cache *cache;

	OK(kvr_cache_open(k, &shape, &cache));
	ERR(kvr_memory_unregister(k, memory + PAGE), KVR_E_BUSY);
	bed_log_has(&log, "a cache lies in it");
	OK(kvr_cache_close(cache));
	OK(kvr_memory_unregister(k, memory + PAGE));
	OK(kvr_memory_register(k, memory + PAGE, LEN - PAGE, 0));
	OK(kvr_alloc(kvr_get_allocator_backend(k), NULL, 1000, 0, &obj));
	ERR(kvr_memory_unregister(k, memory + PAGE), KVR_E_BUSY);
	bed_log_has(&log, "memory of objects (mem_get) lies in it");
	OK(kvr_unref(kvr_get_allocator_backend(k), obj));
	bed_close(k);
	is_clean();
}
END_TEST

/* Memory of the library's own would be locked by whichever thread makes the first object, or not at all. */
START_TEST(objects_are_locked_where_their_memory_is)
{
	machine((struct kvr_cuda_machine){ 0 });
	const struct kvr_options o = { .size = sizeof(o),
		.config_text = "{\"memory\":{\"staging\":\"8MiB\",\"objects\":\"128KiB\","
		               "\"slot_size\":\"64KiB\",\"device\":\"cuda\"},"
		               "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
		.mem_get = give_part,
		.mem_put = take_part,
		BED_SET };
	struct kvr_obj_info info = { .size = sizeof(info) };
	void *far = gpu_alloc(LEN);
	struct kvr *k;
	kvr_obj obj;

	OK(kvr_open(&o, 0, &k, NULL, 0));
	OK(kvr_memory_register(k, memory + PAGE, LEN - PAGE, 0));
	struct kvr_pool *pool = kvr_get_allocator_backend(k);

	OK(kvr_alloc(pool, NULL, 60000, 0, &obj));
	OK(kvr_obj_look(pool, obj, &info));
	memset(info.at, 7, info.len);
	ck_assert(is_asynchronous(far, info.at, info.len));
	const uint64_t len[1] = { info.len };
	struct kvr_batch b = { .size = sizeof(b), .kind = KVR_PUT, .n = 1, .keys = "o", .obj = &obj, .len = len };

	OK(kvr_run(k, &b, NULL, NULL, NULL));
	memset(info.at, 0, info.len);
	b.kind = KVR_GET;
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	for (uint64_t i = 0; i < info.len; i++)
		ck_assert_int_eq(((uint8_t *)info.at)[i], 7);
	ck_assert(is_asynchronous(far, info.at, info.len));
	OK(kvr_unref(pool, obj));
	gpu_free(far);
	bed_close(k);
	is_clean();
}
END_TEST

START_TEST(close_gives_back_what_the_engine_did_not)
{
	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", NULL);

	for (size_t i = 0; i < 5; i++)
		OK(kvr_memory_register(k, memory + 2 * i * PAGE, PAGE, 0));
	run(k, KVR_PUT, memory, PAGE / 2);
	ck_assert(is_locked(memory));
	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	for (size_t i = 0; i < 5; i++)
		ck_assert(!is_locked(memory + 2 * i * PAGE));
	ERR(kvr_memory_register(k, memory, PAGE, 0), KVR_E_SHUTDOWN);
	ERR(kvr_memory_unregister(k, memory), KVR_E_SHUTDOWN);
	kvr_free(k);
	is_clean();
}
END_TEST

/* ---- several at once ---- */

struct racer {
	struct kvr *k;
	_Atomic uint32_t *go, *n_ok;
};

static void *
race(void *arg)
{
	struct racer *r = arg;

	atomic_fetch_add(r->go, 1);
	while (atomic_load(r->go) < 3)
		;
	for (uint32_t i = 0; i < 30; i++) {
		enum kvr_err err = kvr_memory_register(r->k, memory, LEN, 0);

		if (err == KVR_OK) {
			ck_assert_uint_eq(atomic_fetch_add(r->n_ok, 1), 0);
			atomic_fetch_sub(r->n_ok, 1);
			err = kvr_memory_unregister(r->k, memory);
			ck_assert(err == KVR_OK || err == KVR_E_SHUTDOWN);
		} else {
			ck_assert(err == KVR_E_INVALID || err == KVR_E_SHUTDOWN);
		}
	}
	return NULL;
}

/* Two of them and kvr_close: one has it at a time, and nobody afterwards. */
START_TEST(one_at_a_time_has_it_and_nobody_after_the_end)
{
	for (uint32_t i = 0; i < 4; i++) {
		_Atomic uint32_t go = 0, n_ok = 0;
		pthread_t thread[2];

		machine((struct kvr_cuda_machine){ 0 });
		struct kvr *k = open_tier("cuda", "memory://", NULL);
		struct racer r = { .k = k, .go = &go, .n_ok = &n_ok };

		for (uint32_t t = 0; t < 2; t++)
			ck_assert_int_eq(pthread_create(&thread[t], NULL, race, &r), 0);
		atomic_fetch_add(&go, 1);
		if (i % 2 == 0)
			OK(kvr_close(k, 0, KVR_DRAIN, NULL));
		for (uint32_t t = 0; t < 2; t++)
			pthread_join(thread[t], NULL);
		ck_assert(!is_locked(memory));
		bed_close(k);
		is_clean();
	}
}
END_TEST

/* ---- on whose device ---- */

struct elsewhere {
	struct kvr *k;
	struct bed_log *log;
};

/* A thread that has chosen no device is on number 0, and a context there is some hundred MiB of it. */
static void *
on_number_0(void *arg)
{
	struct elsewhere *e = arg;

	ERR(kvr_memory_register(e->k, memory + LEN / 2, LEN / 2, 0), KVR_E_INVALID);
	bed_log_has(e->log, "device 0 is current on this thread, and the instance's is number 1");
	OK(kvr_memory_unregister(e->k, memory));
	OK(kvr_close(e->k, 0, KVR_DRAIN, NULL));
	kvr_free(e->k);
	return NULL;
}

START_TEST(no_thread_that_gives_back_makes_a_context)
{
	struct bed_log log = BED_LOG;
	pthread_t thread;

	machine((struct kvr_cuda_machine){ .devices = 2 });
	ck_assert_int_eq(cudaSetDevice(1), cudaSuccess);
	struct elsewhere e = { .k = open_tier("cuda", "memory://", &log), .log = &log };

	OK(kvr_memory_register(e.k, memory, LEN / 4, 0));
	OK(kvr_memory_register(e.k, memory + LEN / 4, LEN / 4, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, on_number_0, &e), 0);
	pthread_join(thread, NULL);
	ck_assert(kvr_cuda_fake_context_on(1) && !kvr_cuda_fake_context_on(0));
	is_clean();
	ck_assert_int_eq(cudaSetDevice(0), cudaSuccess);
}
END_TEST

/* Without the driver's own call, as by its manual the runtime's will do. */
START_TEST(a_driver_that_does_not_unlock_leaves_it_to_the_runtime)
{
	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", NULL);

	OK(kvr_memory_register(k, memory, LEN, 0));
	kvr_cuda_fake_fail("kvr_pointer_unlock", 1, cudaErrorDeviceUninitialized);
	OK(kvr_memory_unregister(k, memory));
	ck_assert(!is_locked(memory));
	bed_close(k);
	is_clean();
}
END_TEST

/* An engine that captures a graph, here or on another thread, finds it whole. */
START_TEST(a_graph_that_is_captured_meanwhile_is_whole)
{
	machine((struct kvr_cuda_machine){ 0 });
	gpu_open(0, NULL);
	void *far = gpu_alloc(LEN), *capture = gpu_capture(far, LEN);
	struct kvr *k = open_tier("cuda", "memory://", NULL);

	OK(kvr_memory_register(k, memory, LEN, 0));
	OK(kvr_memory_unregister(k, memory));
	OK(kvr_memory_register(k, memory, LEN / 2, 0));
	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	kvr_free(k);
	ck_assert(gpu_capture_end(capture));
	gpu_free(far);
	is_clean();
}
END_TEST

static void
from_callback(void *arg, const struct kvr_done *done, const struct kvr_results *results)
{
	struct racer *r = arg;

	(void)done;
	(void)results;
	ERR(kvr_memory_register(r->k, memory, PAGE, 0), KVR_E_INVALID);
	ERR(kvr_memory_unregister(r->k, memory), KVR_E_INVALID);
	atomic_store(r->go, 1);
}

START_TEST(a_callback_may_not_wait_for_a_driver)
{
	_Atomic uint32_t go = 0;

	machine((struct kvr_cuda_machine){ 0 });
	struct kvr *k = open_tier("cuda", "memory://", NULL);
	struct racer r = { .k = k, .go = &go };
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	const struct kvr_opts o = { .size = sizeof(o), .done = from_callback, .done_arg = &r };

	OK(kvr_submit(k, &b, &o, NULL));
	OK(kvr_quiet(k, bed_in_ms(60000), NULL));
	for (uint64_t until_ns = bed_in_ms(60000); atomic_load(&go) == 0;)
		ck_assert(bed_now_ns() < until_ns);
	bed_close(k);
	is_clean();
}
END_TEST

KVR_CHECK_MAIN("gpu.registered", an_engines_copies_are_asynchronous_until_it_is_given_back,
    the_driver_is_not_asked_where_registered_memory_lies, mistakes_are_the_same_on_every_machine,
    only_so_many_and_not_one_more, what_the_driver_refuses_can_be_tried_again,
    read_only_memory_is_not_written_to, what_an_operation_uses_is_not_given_back,
    an_operation_that_never_was_keeps_nothing, where_a_cache_or_objects_lie_is_not_given_back,
    objects_are_locked_where_their_memory_is, close_gives_back_what_the_engine_did_not,
    one_at_a_time_has_it_and_nobody_after_the_end, no_thread_that_gives_back_makes_a_context,
    a_driver_that_does_not_unlock_leaves_it_to_the_runtime,
    a_graph_that_is_captured_meanwhile_is_whole, a_callback_may_not_wait_for_a_driver)
