/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library from outside with a cache in a device's memory: to real stores and back, bit for bit,
 * behind the engine's own work, several at once.
 */
#include "gpu_check.h"
#include "gpu_engine.h"
#include "kvr_stores.h"

#include <pthread.h>
#include <sys/mman.h>

static void
there_and_back(struct kvr *k)
{
	for (uint32_t block = 8; block <= 32; block *= 2) {
		struct gpu_engine e;

		gpu_engine_open(&e, k, block, block);
		gpu_engine_moves(&e, KVR_PUT, block == 8 ? "a" : block == 16 ? "b" : "c");
		gpu_engine_poison(&e);
		gpu_engine_moves(&e, KVR_GET, block == 8 ? "a" : block == 16 ? "b" : "c");
		gpu_engine_came_back(&e);
		gpu_engine_close(&e);
	}
	bed_close(k);
}

START_TEST(to_every_store_and_back)
{
	KVR_EACH_STORE(bed, there_and_back(gpu_open_store(kvr_store_bed_url(bed), "")));
	KVR_EACH_STORE(bed, there_and_back(gpu_open_store(kvr_store_bed_url(bed),
	                        ",\"format\":\"sealed\",\"serde\":\"zstd\"")));
}
END_TEST

/* A get is behind the engine's kernels on these blocks: what they wrote does not win. */
START_TEST(copies_wait_for_the_engines_event)
{
	struct gpu_engine e;

	gpu_engine_open(&e, gpu_open_store("memory://", ""), 5, 16);
	gpu_engine_moves(&e, KVR_PUT, "k");
	e.tokens.ready = gpu_fill_later(e.far, 0xa5, e.w.memory_len);
	gpu_engine_moves(&e, KVR_GET, "k");
	gpu_wait();
	gpu_engine_came_back(&e);
	gpu_event_free(e.tokens.ready);
	bed_close(e.kvr);
	gpu_engine_close(&e);
}
END_TEST

START_TEST(several_at_once_both_ways)
{
	enum { ENGINES = 6 };
	struct kvr *k = gpu_open_store("memory://", "");
	struct gpu_engine e[ENGINES];
	kvr_op op[ENGINES];
	char name[16];

	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < ENGINES; i++) {
			bool put = round % 2 == 0;

			if (put)
				gpu_engine_open(&e[i], k, i + round + 1, 8U << i % 3);
			else
				gpu_engine_poison(&e[i]);
			snprintf(name, sizeof(name), "e%u", i);
			OK(gpu_engine_submit(&e[i], put ? KVR_PUT : KVR_GET, name, 60000, &op[i]));
		}
		for (uint32_t i = 0; i < ENGINES; i++) {
			OK(kvr_wait(k, op[i], 0, NULL, NULL));
			if (round % 2 == 1) {
				gpu_engine_came_back(&e[i]);
				gpu_engine_close(&e[i]);
			}
		}
	}
	bed_close(k);
}
END_TEST

/* What is told ahead is there for whoever reads behind the event, over every tier and serde. */
START_TEST(what_is_told_ahead_may_be_read_behind_its_event)
{
	static const char *const tier[] = { "", ",\"format\":\"sealed\",\"serde\":\"zstd\"" };

	for (uint32_t i = 0; i < 4; i++) {
		struct gpu_engine e;
		struct kvr_done d = { .size = sizeof(d) };
		void *event = gpu_event();
		kvr_op op;

		gpu_engine_open(&e, gpu_open_store("memory://", tier[i % 2]), i + 1, 16);
		gpu_engine_moves(&e, KVR_PUT, "k");
		gpu_engine_poison(&e);
		const struct kvr_opts o = {
			.size = sizeof(o), .flags = KVR_RECORD, .until_ns = bed_in_ms(60000)
		};

		OK(gpu_engine_record(&e, KVR_GET, "k", event, &o, &op));
		OK(kvr_wait(e.kvr, op, 0, &d, NULL));
		ck_assert_uint_ne(d.flags & KVR_DONE_RECORDED, 0);
		ck_assert_uint_eq(d.n_ok, GPU_KEYS);
		gpu_engine_came_back_behind(&e, event);
		if ((d.flags & KVR_DONE_QUIET) == 0) {
			OK(kvr_wait(e.kvr, op, 0, &d, NULL));
			ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
		}
		ERR(kvr_wait(e.kvr, op, 0, &d, NULL), KVR_E_STALE);
		gpu_engine_came_back(&e);
		bed_close(e.kvr);
		gpu_event_free(event);
		gpu_engine_close(&e);
	}
}
END_TEST

/* What is told ahead of a put may be overwritten behind the event, whatever the store has by then. */
START_TEST(what_is_put_may_be_overwritten_behind_its_event)
{
	static const char *const tier[] = { "", ",\"format\":\"sealed\",\"serde\":\"zstd\"" };

	for (uint32_t i = 0; i < 4; i++) {
		struct gpu_engine e;
		struct kvr_done d = { .size = sizeof(d) };
		void *event = gpu_event();
		kvr_op op;

		gpu_engine_open(&e, gpu_open_store("memory://", tier[i % 2]), i + 1, 16);
		const struct kvr_opts o = {
			.size = sizeof(o), .flags = KVR_RECORD, .until_ns = bed_in_ms(60000)
		};

		OK(gpu_engine_record(&e, KVR_PUT, "k", event, &o, &op));
		enum kvr_err err = kvr_wait(e.kvr, op, 0, &d, NULL);

		if (err == KVR_E_UNFINISHED) {
			ck_assert_uint_ne(d.flags & KVR_DONE_RECORDED, 0);
			gpu_fill_behind(event, e.far, 0xa5, e.w.memory_len);
			err = kvr_wait(e.kvr, op, 0, &d, NULL);
		}
		OK(err);
		ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
		gpu_engine_poison(&e);
		gpu_engine_moves(&e, KVR_GET, "k");
		gpu_engine_came_back(&e);
		bed_close(e.kvr);
		gpu_event_free(event);
		gpu_engine_close(&e);
	}
}
END_TEST

enum { PLACES = 3, PLACE = 300000 };

static void
run_places(struct kvr *k, uint32_t kind, void *const *at)
{
	static const uint64_t len[PLACES] = { PLACE, 1, 70001 };
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = PLACES, .keys = "p0\0p1\0p2", .at = at, .len = len
	};
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };
	struct kvr_done d = { .size = sizeof(d) };

	ck_assert_msg(kvr_run(k, &b, &o, &d, NULL) == KVR_OK, "%s: %s", kvr_err_name(d.err), d.why);
}

/* No cache, but addresses, of which the driver says whose they are. */
START_TEST(places_in_either_memory_go_there_and_back)
{
	static uint8_t value[PLACES * PLACE], back[PLACES * PLACE], want[PLACES * PLACE];
	struct kvr *k = gpu_open_store("memory://", "");
	uint8_t *far = gpu_alloc(PLACES * PLACE);
	void *host[PLACES], *device[PLACES], *to[PLACES];

	for (uint32_t i = 0; i < PLACES; i++) {
		host[i] = value + (size_t)i * PLACE;
		to[i] = back + (size_t)i * PLACE;
		device[i] = far + (size_t)i * PLACE;
	}
	memset(want, 0xa5, sizeof(want));
	gpu_put(far, want, sizeof(want));
	bed_fill(value, sizeof(value), 1);
	run_places(k, KVR_PUT, host);
	run_places(k, KVR_GET, device);
	memcpy(want, value, PLACE);
	want[PLACE] = value[PLACE];
	memcpy(want + 2 * PLACE, value + 2 * PLACE, 70001);
	gpu_fetch(back, far, sizeof(back));
	ck_assert_int_eq(memcmp(back, want, sizeof(back)), 0);
	bed_fill(want, sizeof(want), 2);
	gpu_put(far, want, sizeof(want));
	run_places(k, KVR_PUT, device);
	memset(back, 0, sizeof(back));
	run_places(k, KVR_GET, to);
	ck_assert_int_eq(memcmp(back, want, PLACE), 0);
	ck_assert_uint_eq(back[PLACE], want[PLACE]);
	ck_assert_int_eq(memcmp(back + 2 * PLACE, want + 2 * PLACE, 70001), 0);
	bed_close(k);
	gpu_free(far);
}
END_TEST

static void *
give_back(void *arg)
{
	void **a = arg;

	OK(kvr_memory_unregister(a[0], a[1]));
	return NULL;
}

/* Whole pages of the engine's, which another runtime of CUDA's in this process copies from; any thread gives back. */
START_TEST(memory_that_is_registered_is_page_locked_until_it_is_given_back)
{
	enum { LEN = 4 << 20 };
	struct kvr *k = gpu_open_store("memory://", "");
	uint8_t *near = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *far = gpu_alloc(LEN), *back = malloc(LEN);
	bool locks = !gpu_is_twin();
	pthread_t thread;

	ck_assert(near != MAP_FAILED && back != NULL);
	for (uint32_t i = 0; i < 3; i++) {
		void *mine[2] = { k, near + 100 };

		bed_fill(near, LEN, i);
		ck_assert(!gpu_is_pinned(near));
		OK(kvr_memory_register(k, near + 100, LEN - 333, 0));
		ck_assert(gpu_is_pinned(near) == locks && gpu_is_pinned(near + LEN - 1) == locks);
		(void)gpu_raw(far, near, LEN, 1, false, false);
		gpu_fetch(back, far, LEN);
		bed_same(back, LEN, i);
		ck_assert_int_eq(pthread_create(&thread, NULL, give_back, mine), 0);
		pthread_join(thread, NULL);
	}
	ck_assert(!gpu_is_pinned(near));
	OK(kvr_memory_register(k, near, LEN, 0));
	bed_close(k);
	ck_assert(!gpu_is_pinned(near));
	gpu_free(far);
	munmap(near, LEN);
	free(back);
}
END_TEST

/* An engine captures graphs while parts of its cache come and go. */
START_TEST(a_graph_that_is_captured_meanwhile_is_whole)
{
	struct gpu_engine e;

	gpu_engine_open(&e, gpu_open_store("memory://", ""), 7, 16);
	gpu_engine_moves(&e, KVR_PUT, "k");
	gpu_engine_poison(&e);
	void *other = gpu_alloc(4096), *capture = gpu_capture(other, 4096);

	for (uint32_t i = 0; i < 3; i++)
		gpu_engine_moves(&e, i == 1 ? KVR_PUT : KVR_GET, "k");
	ck_assert(gpu_capture_end(capture));
	gpu_engine_came_back(&e);
	bed_close(e.kvr);
	gpu_free(other);
	gpu_engine_close(&e);
}
END_TEST

/* Last, and only for a device. The process goes on, and so does what is in the host's memory. */
START_TEST(a_reset_costs_misses)
{
	static uint8_t host[1000];
	struct kvr *k = gpu_open_store("memory://", "");
	const uint64_t len = sizeof(host);
	void *at = host;
	const struct kvr_batch put = {
		.size = sizeof(put), .kind = KVR_PUT, .n = 1, .keys = "h", .at = &at, .len = &len
	};
	struct kvr_done d = { .size = sizeof(d) };
	struct gpu_engine e;
	kvr_op op;

	gpu_engine_open(&e, k, 1, 16);
	gpu_engine_moves(&e, KVR_PUT, "k");
	gpu_reset();
	for (uint32_t i = 0; i < 2; i++) {
		OK(gpu_engine_submit(&e, KVR_GET, "k", 60000, &op));
		ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_DEVICE);
		ck_assert_msg(strncmp(d.why, "cuda", 4) == 0, "'%s'", d.why);
		OK(kvr_run(k, &put, NULL, NULL, NULL));
	}
	bed_close(k);
	gpu_engine_forget(&e);
}
END_TEST

int
main(int argc, char **argv)
{
	const TTest *const tests[] = { to_every_store_and_back, copies_wait_for_the_engines_event,
		several_at_once_both_ways, what_is_told_ahead_may_be_read_behind_its_event,
		what_is_put_may_be_overwritten_behind_its_event,
		places_in_either_memory_go_there_and_back,
		memory_that_is_registered_is_page_locked_until_it_is_given_back,
		a_graph_that_is_captured_meanwhile_is_whole, a_reset_costs_misses };

	gpu_open(argc, argv);
	printf("on %s\n", gpu_name());
	return gpu_run("gpu.api", tests, sizeof(tests) / sizeof(tests[0]) - (gpu_may_err() ? 0 : 1));
}
