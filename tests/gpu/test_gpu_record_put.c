/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event that a put records: an engine overwrites its memory behind it, long before a store has
 * what was there, and what the stores get is what was there.
 */
#include "gpu_engine.h"

#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>

enum { KEYS = 24, LEN = 70001 };

static char keys[KEYS * 8];
static uint64_t len[KEYS];
static uint8_t value[KEYS][LEN], back[KEYS][LEN];
static uint8_t *far; /* KEYS * LEN bytes of the device */
static void *event;
static cudaStream_t engine;

static struct kvr *
open_on(const char *json)
{
	const struct kvr_cuda_machine m = { .memory = 32 << 20 };

	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	for (uint32_t i = 0; i < KEYS; i++)
		len[i] = LEN - i;
	struct kvr *k = bed_open(json, NULL, NULL, NULL);

	far = gpu_alloc((size_t)KEYS * LEN);
	event = gpu_event();
	ck_assert_int_eq(cudaStreamCreateWithFlags(&engine, cudaStreamNonBlocking), cudaSuccess);
	return k;
}

static void
close_all(struct kvr *k)
{
	bed_close(k);
	ck_assert_int_eq(cudaStreamDestroy(engine), cudaSuccess);
	gpu_event_free(event);
	gpu_free(far);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}

/* Keys of their own each time: one that is still being written back would be a duplicate. */
static void
fill(uint32_t seed)
{
	char *at = keys;

	for (uint32_t i = 0; i < KEYS; i++) {
		at += snprintf(at, 8, "%u-%u", seed, i) + 1;
		bed_fill(value[i], LEN, seed * 100 + i);
		gpu_put(far + (size_t)i * LEN, value[i], LEN);
	}
}

static enum kvr_err
submit(struct kvr *k, uint32_t kind, void *const *at, void *recorded, kvr_op *ret)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = KEYS,
		.keys = keys,
		.at = at,
		.len = len,
		.recorded = recorded };
	const struct kvr_opts o = { .size = sizeof(o),
		.flags = recorded != NULL ? KVR_RECORD : 0,
		.until_ns = bed_in_ms(60000) };

	return kvr_submit(k, &b, &o, ret);
}

static kvr_op
put(struct kvr *k)
{
	void *at[KEYS];
	kvr_op op;

	for (uint32_t i = 0; i < KEYS; i++)
		at[i] = far + (size_t)i * LEN;
	OK(submit(k, KVR_PUT, at, event, &op));
	return op;
}

/* The completion ahead of the end: what follows overwrites all of it, behind the event. */
static void
told(struct kvr *k, kvr_op op, struct kvr_done *d)
{
	int32_t of[KEYS];
	struct kvr_results res = { .size = sizeof(res), .cap = KEYS, .err = of };

	d->flags = 0;
	ERR(kvr_wait(k, op, 0, d, &res), KVR_E_UNFINISHED);
	ck_assert_uint_ne(d->flags & KVR_DONE_RECORDED, 0);
	ck_assert_uint_eq(d->flags & KVR_DONE_QUIET, 0);
	for (uint32_t i = 0; i < KEYS; i++)
		ck_assert(of[i] == KVR_E_UNFINISHED || of[i] == KVR_OK);
}

static void
overwrite(void)
{
	ck_assert_int_eq(cudaStreamWaitEvent(engine, event, 0), cudaSuccess);
	ck_assert_int_eq(cudaMemsetAsync(far, 0xee, (size_t)KEYS * LEN, engine), cudaSuccess);
}

static void
end_of(struct kvr *k, kvr_op op, enum kvr_err want)
{
	struct kvr_done d = { .size = sizeof(d) };

	ERR(kvr_wait(k, op, 0, &d, NULL), want);
	ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_STALE);
}

/* Told ahead, and then its end; or the end alone, where that came first. */
static void
may_have_ended(struct kvr *k, kvr_op op, const struct kvr_done *d, enum kvr_err err)
{
	bool ahead = err == KVR_E_UNFINISHED;

	ck_assert(ahead || err == KVR_OK);
	ck_assert_uint_eq((d->flags & KVR_DONE_RECORDED) != 0, ahead);
	ck_assert_uint_eq((d->flags & KVR_DONE_QUIET) != 0, !ahead);
	if (ahead)
		end_of(k, op, KVR_OK);
}

static void
came_back(struct kvr *k)
{
	void *to[KEYS];
	kvr_op op;

	memset(back, 0, sizeof(back));
	for (uint32_t i = 0; i < KEYS; i++)
		to[i] = back[i];
	OK(submit(k, KVR_GET, to, NULL, &op));
	OK(kvr_wait(k, op, 0, NULL, NULL));
	for (uint32_t i = 0; i < KEYS; i++)
		ck_assert_msg(memcmp(back[i], value[i], len[i]) == 0, "key %u", i);
}

#define ONE(rest)                                                                                  \
	"{\"memory\":{\"staging\":\"16MiB\",\"device\":\"cuda\"},"                                 \
	"\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"" rest "}]}"

/* While the device does nothing at all: the host waits for none of it. */
START_TEST(it_is_told_before_the_copies_and_they_are_in_front_of_it)
{
	struct kvr *k = open_on(ONE(""));

	for (uint32_t i = 0; i < 5; i++) {
		struct kvr_done d = { .size = sizeof(d) };

		fill(i);
		kvr_cuda_fake_hold(true);
		kvr_op op = put(k);

		told(k, op, &d);
		ck_assert_int_eq(cudaEventQuery(event), cudaErrorNotReady);
		(void)cudaGetLastError();
		overwrite();
		ERR(kvr_wait(k, op, KVR_NOW, &d, NULL), KVR_E_UNFINISHED);
		kvr_cuda_fake_hold(false);
		end_of(k, op, KVR_OK);
		came_back(k);
		ck_assert_int_eq(cudaStreamSynchronize(engine), cudaSuccess);
	}
	close_all(k);
}
END_TEST

/* As engines do: told or not, at whatever moment. Each tier has copies of its own, or a second slot. */
START_TEST(whatever_is_overwritten_behind_it_was_read_before)
{
	static const char *const json[] = { ONE(""),
		ONE(",\"format\":\"sealed\",\"serde\":\"zstd\""),
		"{\"memory\":{\"staging\":\"16MiB\",\"device\":\"cuda\"},\"tiers\":["
		"{\"name\":\"a\",\"url\":\"memory://\"},{\"name\":\"b\",\"url\":\"memory://\"}]}",
		"{\"memory\":{\"staging\":\"16MiB\",\"device\":\"cuda\"},\"tiers\":["
		"{\"name\":\"a\",\"url\":\"memory://\"},"
		"{\"name\":\"b\",\"url\":\"memory://\",\"write\":\"back\"}]}",
		/* Room for half of them: the others wait for those that are written. */
		"{\"memory\":{\"staging\":\"1MiB\",\"slot_size\":\"72KiB\",\"device\":\"cuda\"},"
		"\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}" };

	for (uint32_t j = 0; j < sizeof(json) / sizeof(json[0]); j++) {
		struct kvr *k = open_on(json[j]);

		for (uint32_t i = 0; i < 3; i++) {
			struct kvr_done d = { .size = sizeof(d) };

			fill(j * 10 + i);
			kvr_op op = put(k);
			enum kvr_err err = kvr_wait(k, op, 0, &d, NULL);

			overwrite();
			may_have_ended(k, op, &d, err);
			came_back(k);
			ck_assert_int_eq(cudaStreamSynchronize(engine), cudaSuccess);
		}
		close_all(k);
	}
}
END_TEST

/* No store has it then: what was overwritten is lost, and it is said. */
START_TEST(a_copy_that_fails_after_it_was_told_is_told_too)
{
	struct kvr *k = open_on(ONE(""));
	struct kvr_done d = { .size = sizeof(d) };

	fill(1);
	kvr_cuda_fake_hold(true);
	kvr_op op = put(k);

	told(k, op, &d);
	kvr_cuda_fake_fail_work(1, cudaErrorECCUncorrectable);
	kvr_cuda_fake_hold(false);
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_DEVICE);
	ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
	ck_assert_uint_eq(d.n_ok, 0);
	ck_assert_msg(strncmp(d.why, "cuda", 4) == 0, "'%s'", d.why);
	const struct kvr_batch look = {
		.size = sizeof(look), .kind = KVR_LOOKUP, .n = KEYS, .keys = keys
	};

	ERR(kvr_run(k, &look, NULL, &d, NULL), KVR_E_MISS);
	ck_assert_uint_eq(d.n_ok, 0);
	bed_close(k);
	ck_assert_int_eq(cudaDeviceReset(), cudaSuccess);
}
END_TEST

START_TEST(a_device_that_hangs_after_it_was_told)
{
	struct kvr *k = open_on(ONE(""));
	struct kvr_done d = { .size = sizeof(d) };

	fill(1);
	kvr_cuda_fake_hold(true);
	kvr_op op = put(k);

	told(k, op, &d);
	OK(kvr_cancel(k, op));
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_STUCK);
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, 0);
	kvr_cuda_fake_hold(false);
	end_of(k, op, KVR_E_STUCK);
	close_all(k);
}
END_TEST

/* ---- layer by layer ---- */

static struct gpu_engine e;

static kvr_op
put_layers(void)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = GPU_KEYS,
		.keys = "l-0\0l-1\0l-2\0l-3\0l-4\0l-5",
		.len = e.len,
		.tokens = &e.tokens,
		.recorded = event };
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = KVR_RECORD | KVR_LAYERS, .until_ns = bed_in_ms(60000)
	};
	kvr_op op;

	OK(kvr_submit(e.kvr, &b, &o, &op));
	return op;
}

/* Not before the last layer has been named, and behind all of them. */
START_TEST(layers_are_overwritten_when_the_last_has_begun)
{
	struct kvr *k = open_on(ONE(""));
	uint32_t layers;

	gpu_engine_open(&e, k, 3, 16);
	layers = e.w.pages.n_layers;
	for (uint32_t i = 0; i < 5; i++) {
		struct kvr_done d = { .size = sizeof(d) };

		gpu_put(e.far, e.w.memory, e.w.memory_len);
		kvr_op op = put_layers();

		for (uint32_t l = 0; l < layers; l++) {
			ERR(kvr_wait(k, op, KVR_NOW, &d, NULL), KVR_E_UNFINISHED);
			ck_assert_uint_eq(d.flags, 0);
			OK(kvr_layer_ready(k, op, l, NULL));
		}
		enum kvr_err err = kvr_wait(k, op, 0, &d, NULL);

		ck_assert_int_eq(cudaStreamWaitEvent(engine, event, 0), cudaSuccess);
		ck_assert_int_eq(cudaMemsetAsync(e.far, 0xa5, e.w.memory_len, engine), cudaSuccess);
		may_have_ended(k, op, &d, err);
		ck_assert_int_eq(cudaStreamSynchronize(engine), cudaSuccess);
		gpu_engine_moves(&e, KVR_GET, "l");
		gpu_engine_came_back(&e);
	}
	OK(kvr_cache_close(e.cache));
	gpu_engine_close(&e);
	close_all(k);
}
END_TEST

/* Somebody who looks at a queue only: ahead, and the end; or the end alone. */
START_TEST(a_queue_has_both)
{
	struct kvr *k = open_on(ONE(""));
	struct kvr_queue *q;
	void *at[KEYS];

	OK(kvr_queue_open(k, &q));
	fill(7);
	for (uint32_t i = 0; i < KEYS; i++)
		at[i] = far + (size_t)i * LEN;
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = KEYS,
		.keys = keys,
		.at = at,
		.len = len,
		.recorded = event };
	const struct kvr_opts o = { .size = sizeof(o),
		.flags = KVR_RECORD | KVR_EARLY,
		.queue = q,
		.until_ns = bed_in_ms(60000) };
	int32_t of[3 * KEYS];
	struct kvr_results res = { .size = sizeof(res), .cap = 3 * KEYS, .err = of };
	struct kvr_done d[3] = { { .size = sizeof(d[0]) } };

	OK(kvr_submit(k, &b, &o, NULL));
	OK(kvr_quiet(k, bed_in_ms(60000), NULL));
	int n = kvr_drain(q, d, 3, &res);

	ck_assert_int_ge(n, 2);
	for (int i = 0; i < n; i++) {
		bool ahead = n == 3 && i == 0;

		ERR(d[i].err, ahead ? KVR_E_UNFINISHED : KVR_OK);
		ck_assert_uint_eq((d[i].flags & KVR_DONE_RECORDED) != 0, n == 3);
		ck_assert_uint_eq((d[i].flags & KVR_DONE_QUIET) != 0, i + 1 == n);
		ck_assert_uint_eq(d[i].n_ok == KEYS, !ahead);
	}
	close_all(k);
}
END_TEST

KVR_CHECK_MAIN("gpu.record_put", it_is_told_before_the_copies_and_they_are_in_front_of_it,
    whatever_is_overwritten_behind_it_was_read_before,
    a_copy_that_fails_after_it_was_told_is_told_too, a_device_that_hangs_after_it_was_told,
    layers_are_overwritten_when_the_last_has_begun, a_queue_has_both)
