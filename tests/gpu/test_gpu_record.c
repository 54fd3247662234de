/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event that a get records: it is told when it may be waited for, while the copies are still on
 * their way; what they come to is told afterwards, as it was.
 */
#include "gpu_engine.h"

#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>
#include <stdatomic.h>

enum { KEYS = 3, LEN = 70001 };

static const char keys[] = "k0\0k1\0k2";
static const uint64_t len[KEYS] = { LEN, LEN - 1, LEN - 2 };
static uint8_t value[KEYS][LEN];
static void *at[KEYS];
static void *event;

/* One part, so that all of it has begun though the device does nothing. */
static enum kvr_err
submit(struct kvr *k, void *recorded, const struct kvr_opts *o, kvr_op *ret)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_GET,
		.n = KEYS,
		.keys = keys,
		.at = at,
		.len = len,
		.recorded = recorded };

	return kvr_submit(k, &b, o, ret);
}

static struct kvr_opts
recording(void)
{
	return (struct kvr_opts){
		.size = sizeof(struct kvr_opts), .flags = KVR_RECORD, .until_ns = bed_in_ms(60000)
	};
}

static void
poison(void)
{
	static const uint8_t zero[LEN];

	for (uint32_t i = 0; i < KEYS; i++)
		gpu_put(at[i], zero, LEN);
}

/* For whoever reads behind the event, and so without waiting for anything else. */
static void
is_there_behind(void *recorded)
{
	static uint8_t got[LEN];

	for (uint32_t i = 0; i < KEYS; i++) {
		gpu_fetch_behind(recorded, got, at[i], len[i]);
		ck_assert_int_eq(memcmp(got, value[i], len[i]), 0);
	}
}

static struct kvr *
open_on(struct kvr_cuda_machine m)
{
	const void *from[KEYS] = { value[0], value[1], value[2] };
	const struct kvr_batch put = { .size = sizeof(put),
		.kind = KVR_PUT,
		.n = KEYS,
		.keys = keys,
		.at = (void *const *)from,
		.len = len };

	m.memory = 32 << 20;
	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	struct kvr *k = gpu_open_store("memory://", "");

	for (uint32_t i = 0; i < KEYS; i++) {
		bed_fill(value[i], LEN, i + 1);
		at[i] = gpu_alloc(LEN);
	}
	OK(kvr_run(k, &put, NULL, NULL, NULL));
	poison();
	event = gpu_event();
	return k;
}

static void
close_all(struct kvr *k)
{
	bed_close(k);
	gpu_event_free(event);
	for (uint32_t i = 0; i < KEYS; i++)
		gpu_free(at[i]);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
}

/* The first completion, while no copy has been made. */
static kvr_op
told(struct kvr *k, struct kvr_done *d)
{
	int32_t of[KEYS];
	struct kvr_results res = { .size = sizeof(res), .cap = KEYS, .err = of };
	const struct kvr_opts o = recording();
	kvr_op op;

	kvr_cuda_fake_hold(true);
	OK(submit(k, event, &o, &op));
	OK(kvr_wait(k, op, 0, d, &res));
	ck_assert_uint_ne(d->flags & KVR_DONE_RECORDED, 0);
	ck_assert_uint_eq(d->flags & KVR_DONE_QUIET, 0);
	ck_assert_uint_eq(d->n_ok, KEYS);
	for (uint32_t i = 0; i < KEYS; i++)
		ck_assert_int_eq(of[i], KVR_OK);
	ck_assert_int_eq(cudaEventQuery(event), cudaErrorNotReady);
	(void)cudaGetLastError();
	return op;
}

START_TEST(it_is_told_before_the_copies_and_stands_behind_them)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };

	for (uint32_t i = 0; i < 5; i++) {
		kvr_op op = told(k, &d);

		ERR(kvr_wait(k, op, KVR_NOW, &d, NULL), KVR_E_UNFINISHED);
		kvr_cuda_fake_hold(false);
		is_there_behind(event);
		OK(kvr_wait(k, op, 0, &d, NULL));
		ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
		ck_assert_uint_eq(d.n_ok, KEYS);
		poison();
	}
	close_all(k);
}
END_TEST

START_TEST(a_copy_that_fails_after_it_was_told_is_told_too)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op = told(k, &d);

	kvr_cuda_fake_fail_work(1, cudaErrorECCUncorrectable);
	kvr_cuda_fake_hold(false);
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_DEVICE);
	ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
	ck_assert_uint_eq(d.n_ok, 0);
	ck_assert_msg(strncmp(d.why, "cuda", 4) == 0, "'%s'", d.why);
	bed_close(k);
	ck_assert_int_eq(cudaDeviceReset(), cudaSuccess);
}
END_TEST

/* Three times: begun, when it is wanted back, and when the device has let go. */
START_TEST(a_device_that_hangs_after_it_was_told)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op = told(k, &d);

	OK(kvr_cancel(k, op));
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_STUCK);
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, 0);
	ck_assert_uint_eq(d.n_ok, 0);
	kvr_cuda_fake_hold(false);
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_STUCK);
	ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_STALE);
	close_all(k);
}
END_TEST

/* It costs the operation; the device and the others' copies are none the worse. */
START_TEST(an_event_of_another_device_is_recorded_for_nobody)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ .devices = 2 });
	struct kvr_done d = { .size = sizeof(d) };
	const struct kvr_opts o = recording();
	kvr_op op;

	ck_assert_int_eq(cudaSetDevice(1), cudaSuccess);
	void *foreign = gpu_event();

	ck_assert_int_eq(cudaSetDevice(0), cudaSuccess);
	OK(submit(k, foreign, &o, &op));
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_DEVICE);
	ck_assert_msg(strncmp(d.why, "cudaEventRecord", 15) == 0, "'%s'", d.why);
	ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
	ck_assert_uint_eq(d.flags & KVR_DONE_RECORDED, 0);
	OK(submit(k, event, &o, &op));
	OK(kvr_wait(k, op, 0, &d, NULL));
	is_there_behind(event);
	OK((d.flags & KVR_DONE_QUIET) != 0 ? KVR_OK : kvr_wait(k, op, 0, &d, NULL));
	gpu_event_free(foreign);
	close_all(k);
}
END_TEST

/* ---- who is told how ---- */

struct heard {
	_Atomic uint32_t n, recorded, quiet;
	_Atomic int32_t err;
};

static void
hear(void *arg, const struct kvr_done *done, const struct kvr_results *results)
{
	struct heard *h = arg;

	ck_assert_int_eq(results->err[0], done->err);
	atomic_store(&h->err, done->err);
	atomic_fetch_add(&h->recorded, (done->flags & KVR_DONE_RECORDED) != 0);
	atomic_fetch_add(&h->quiet, (done->flags & KVR_DONE_QUIET) != 0);
	atomic_fetch_add(&h->n, 1);
}

static void
wait_heard(struct heard *h, _Atomic uint32_t *what, uint32_t n)
{
	const struct timespec a_moment = { .tv_nsec = 20000 };
	uint64_t until_ns = bed_in_ms(60000);

	while (atomic_load(what) < n && bed_now_ns() < until_ns)
		nanosleep(&a_moment, NULL);
	ck_assert_uint_eq(atomic_load(what), n);
	ck_assert_uint_ge(atomic_load(&h->n), n);
}

START_TEST(callbacks_and_queues_hear_of_all_three)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	struct heard h = { 0 };
	struct kvr_opts o = recording();
	struct kvr_queue *q;
	kvr_op op;

	o.done = hear;
	o.done_arg = &h;
	kvr_cuda_fake_hold(true);
	OK(submit(k, event, &o, &op));
	wait_heard(&h, &h.n, 1);
	ck_assert_int_eq(atomic_load(&h.err), KVR_OK);
	ck_assert_uint_eq(atomic_load(&h.recorded), 1);
	OK(kvr_cancel(k, op));
	wait_heard(&h, &h.n, 2);
	ck_assert_int_eq(atomic_load(&h.err), KVR_E_STUCK);
	kvr_cuda_fake_hold(false);
	wait_heard(&h, &h.quiet, 1);
	ck_assert_uint_eq(atomic_load(&h.n), 3);
	/* A queue, with nothing fetched in between: the rows of each are as they were. */
	OK(kvr_queue_open(k, &q));
	o = recording();
	o.queue = q;
	o.tag = 9;
	OK(submit(k, event, &o, NULL));
	OK(kvr_quiet(k, bed_in_ms(60000), NULL));
	int32_t of[3 * KEYS];
	struct kvr_results res = { .size = sizeof(res), .cap = 3 * KEYS, .err = of };
	struct kvr_done d[3] = { { .size = sizeof(d[0]) } };
	int n = kvr_drain(q, d, 3, &res);

	ck_assert_int_ge(n, 1);
	ck_assert_int_le(n, 2);
	for (int i = 0; i < n; i++) {
		ck_assert_uint_eq(d[i].tag, 9);
		ck_assert_uint_ne(d[i].flags & KVR_DONE_RECORDED, 0);
		ck_assert_uint_eq((d[i].flags & KVR_DONE_QUIET) != 0, i + 1 == n);
		for (uint32_t key = 0; key < KEYS; key++)
			ck_assert_int_eq(of[d[i].first + key], KVR_OK);
	}
	is_there_behind(event);
	close_all(k);
}
END_TEST

/* Room for completions that do not come is given back: more of them than there are places. */
START_TEST(completions_that_do_not_come_take_no_place)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	const struct kvr_batch none = { .size = sizeof(none), .kind = KVR_GET };
	struct heard h = { 0 };

	for (uint32_t i = 0; i < 3200; i++) {
		const struct kvr_opts o = { .size = sizeof(o),
			.flags = KVR_RECORD | KVR_EARLY,
			.done = hear,
			.done_arg = &h };

		OK(kvr_submit(k, &none, &o, NULL));
		wait_heard(&h, &h.n, i + 1);
	}
	close_all(k);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(what_nobody_could_record_is_refused)
{
	struct kvr *k = open_on((struct kvr_cuda_machine){ 0 });
	static uint8_t host[64];
	const uint64_t n_host = sizeof(host);
	void *near = host, *far = at[0];
	kvr_obj obj = 0;
	const struct {
		uint32_t kind, flags;
		void *const *at;
		kvr_obj *obj;
		void *event;
	} bad[] = {
		{ KVR_PUT, KVR_RECORD, &far, NULL, NULL },
		{ KVR_PUT, KVR_RECORD, &near, NULL, event },
		{ KVR_PUT, KVR_RECORD, NULL, &obj, NULL },
		{ KVR_LOOKUP, KVR_RECORD, NULL, NULL, NULL },
		{ KVR_GET, KVR_RECORD, NULL, &obj, NULL },
		{ KVR_GET, KVR_RECORD, &far, NULL, NULL },
		{ KVR_GET, 0, &far, NULL, event },
		{ KVR_PUT, 0, &far, NULL, event },
		{ KVR_GET, KVR_RECORD, &near, NULL, event },
		{ KVR_GET, 0, &near, NULL, event },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct kvr_batch b = { .size = sizeof(b),
			.kind = bad[i].kind,
			.n = 1,
			.keys = "k",
			.at = bad[i].at,
			.len = &n_host,
			.obj = bad[i].obj,
			.recorded = bad[i].event };
		const struct kvr_opts o = { .size = sizeof(o), .flags = bad[i].flags };

		ERR(kvr_run(k, &b, &o, NULL, NULL), KVR_E_INVALID);
	}
	/* In the host's memory there is nothing to record, and the same completions come. */
	const struct kvr_batch put = { .size = sizeof(put),
		.kind = KVR_PUT,
		.n = 1,
		.keys = "h",
		.at = &near,
		.len = &n_host };
	const struct kvr_batch get = { .size = sizeof(get),
		.kind = KVR_GET,
		.n = 1,
		.keys = "h",
		.at = &near,
		.len = &n_host };
	const struct kvr_opts o = { .size = sizeof(o), .flags = KVR_RECORD };
	struct kvr_done d = { .size = sizeof(d) };

	OK(kvr_run(k, &put, NULL, NULL, NULL));
	OK(kvr_run(k, &get, &o, &d, NULL));
	ck_assert_uint_ne(d.flags & KVR_DONE_RECORDED, 0);
	ck_assert_uint_ne(d.flags & KVR_DONE_QUIET, 0);
	close_all(k);
}
END_TEST

KVR_CHECK_MAIN("gpu.record", it_is_told_before_the_copies_and_stands_behind_them,
    a_copy_that_fails_after_it_was_told_is_told_too, a_device_that_hangs_after_it_was_told,
    an_event_of_another_device_is_recorded_for_nobody, callbacks_and_queues_hear_of_all_three,
    completions_that_do_not_come_take_no_place, what_nobody_could_record_is_refused)
