/* SPDX-License-Identifier: Apache-2.0 */
/* How completions come: to who waits, into a queue, to a callback; early, cancelled, with words. */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#include <poll.h>
#include <sched.h>
#include <stdatomic.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

START_TEST(an_operation_is_waited_for_and_cancelled)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	const struct kvr_opts o = { .size = sizeof(o), .request = "request 7" };
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op[3], old;

	kvr_fake_hold(true);
	for (int i = 0; i < 3; i++)
		OK(kvr_submit(k, &b, i == 0 ? NULL : &o, &op[i]));
	ERR(kvr_wait(k, op[0], KVR_NOW, &d, NULL), KVR_E_UNFINISHED);
	ERR(kvr_wait(k, op[0], bed_in_ms(5), &d, NULL), KVR_E_UNFINISHED);
	OK(kvr_cancel(k, op[0]));
	ERR(kvr_wait(k, op[0], KVR_NEVER, &d, NULL), KVR_E_CANCELLED);
	ck_assert_uint_eq(d.op, op[0]);
	ERR(kvr_wait(k, op[0], KVR_NEVER, &d, NULL), KVR_E_STALE);
	ERR(kvr_cancel(k, op[0]), KVR_E_STALE);
	ERR(kvr_cancel_request(k, "request 8"), KVR_E_MISS);
	ERR(kvr_cancel_request(k, NULL), KVR_E_INVALID);
	OK(kvr_cancel_request(k, "request 7"));
	for (int i = 1; i < 3; i++)
		ERR(kvr_wait(k, op[i], 0, &d, NULL), KVR_E_CANCELLED);
	ERR(kvr_wait(k, 0, 0, NULL, NULL), KVR_E_STALE);
	ERR(kvr_wait(k, UINT64_MAX, 0, NULL, NULL), KVR_E_STALE);
	/* The slot is used again, and the old handle is not the new operation's. */
	old = op[0];
	kvr_fake_hold(false);
	for (int i = 0; i < 5; i++) {
		OK(kvr_submit(k, &b, NULL, &op[0]));
		ck_assert_uint_ne(op[0], old);
		ERR(kvr_wait(k, old, 0, NULL, NULL), KVR_E_STALE);
		ERR(kvr_wait(k, op[0], 0, NULL, NULL), KVR_E_MISS);
		old = op[0];
	}
	bed_close(k);
}
END_TEST

/* Nothing is fetched by a call that is wrong or has too little room. */
START_TEST(a_wait_without_room_can_be_tried_again)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 3, .keys = "a\0b\0c" };
	struct kvr_done d = { .size = 8, .tag = 77 };
	int32_t err[3] = { 7, 7, 7 };
	struct kvr_results r = { .size = sizeof(r), .cap = 2, .err = err };
	uint64_t left = 7;
	kvr_op op;

	OK(kvr_submit(k, &b, NULL, &op));
	OK(kvr_quiet(k, 0, &left));
	ck_assert_uint_eq(left, 0);
	ERR(kvr_wait(k, op, 0, &d, &r), KVR_E_INVALID);
	bed_log_has(&log, "kvr_wait: size of kvr_done or kvr_results");
	d.size = sizeof(d);
	ERR(kvr_wait(k, op, 0, &d, &r), KVR_E_TOO_SMALL);
	ck_assert_uint_eq(r.need, 3);
	ck_assert_int_eq(err[0], 7);
	ck_assert_uint_eq(d.tag, 77);
	r.cap = 3;
	r.size = 8;
	ERR(kvr_wait(k, op, 0, &d, &r), KVR_E_INVALID);
	r.size = sizeof(r);
	ERR(kvr_wait(k, op, 0, &d, &r), KVR_E_MISS);
	ck_assert_int_eq(err[2], KVR_E_MISS);
	ck_assert_uint_eq(d.tag, 0);
	/* Nobody needs to take anything of an outcome. */
	OK(kvr_submit(k, &b, NULL, &op));
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_MISS);
	bed_close(k);
}
END_TEST

/* What was written of the outcome is what was written before. */
START_TEST(a_wait_that_ends_first_writes_nothing)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	struct kvr_done d, before;
	kvr_op op;

	memset(&d, 0x5a, sizeof(d));
	d.size = sizeof(d);
	before = d;
	kvr_fake_hold(true);
	OK(kvr_submit(k, &b, NULL, &op));
	ERR(kvr_wait(k, op, KVR_NOW, &d, NULL), KVR_E_UNFINISHED);
	ERR(kvr_wait(k, op, bed_in_ms(5), &d, NULL), KVR_E_UNFINISHED);
	ERR(kvr_wait(k, 0, 0, &d, NULL), KVR_E_STALE);
	ck_assert_int_eq(memcmp(&d, &before, sizeof(d)), 0);
	kvr_fake_hold(false);
	ERR(kvr_wait(k, op, 0, &d, NULL), KVR_E_MISS);
	bed_close(k);
}
END_TEST

static void
expect(struct kvr_queue *q, short events)
{
	struct pollfd p = { .fd = kvr_queue_fd(q), .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, events != 0 ? 10000 : 0), events != 0 ? 1 : 0);
}

START_TEST(a_queue_holds_completions)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 3, .keys = "a\0b\0c" };
	struct kvr_queue *q, *other;
	struct kvr_done d[4] = { { .size = sizeof(d[0]) } };
	int32_t err[5];
	struct kvr_results r = { .size = sizeof(r), .cap = 5, .err = err };

	OK(kvr_queue_open(k, &q));
	OK(kvr_queue_open(k, &other));
	struct kvr_opts o = { .size = sizeof(o), .queue = q };
	kvr_op op;

	expect(q, 0);
	ck_assert_int_eq(kvr_drain(q, d, 4, &r), 0);
	for (o.tag = 1; o.tag <= 3; o.tag++) {
		b.n = (uint32_t)o.tag;
		OK(kvr_submit(k, &b, &o, &op));
	}
	OK(kvr_quiet(k, 0, NULL));
	expect(q, POLLIN);
	expect(other, 0);
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_INVALID);
	ck_assert_int_eq(kvr_drain(q, d, 4, &r), 2); /* the third does not fit any more */
	ck_assert_uint_eq(d[0].first, 0);
	ck_assert_uint_eq(d[1].first, d[0].n);
	expect(q, POLLIN);
	r.cap = 0;
	ck_assert_int_eq(kvr_drain(q, d, 4, &r), KVR_E_TOO_SMALL);
	ck_assert_uint_eq(r.need, d[0].n + d[1].n == 3 ? 3 : 6 - d[0].n - d[1].n);
	ck_assert_int_eq(kvr_drain(q, d, 4, NULL), 1);
	expect(q, 0);
	kvr_queue_wake(q);
	expect(q, POLLIN);
	ck_assert_int_eq(kvr_drain(q, d, 4, &r), 0);
	expect(q, 0);
	d[0].size = 8;
	ck_assert_int_eq(kvr_drain(q, d, 4, &r), KVR_E_INVALID);
	ck_assert_int_eq(kvr_drain(NULL, d, 4, &r), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

struct heard {
	struct kvr *k;
	_Atomic int n;
	_Atomic int err, inner, forbidden;
	_Atomic uint64_t tag;
};

static void
hear(void *arg, const struct kvr_done *d, const struct kvr_results *r)
{
	struct heard *h = arg;
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	const struct kvr_opts o = {
		.size = sizeof(o), .done = hear, .done_arg = h, .tag = d->tag - 1
	};
	kvr_op op;

	h->tag = d->tag;
	h->err = r->err[0];
	if (kvr_run(h->k, &b, NULL, NULL, NULL) == KVR_E_INVALID &&
	    kvr_close(h->k, 0, KVR_ABORT, NULL) == KVR_E_INVALID &&
	    kvr_quiet(h->k, 0, NULL) == KVR_E_INVALID &&
	    kvr_wait(h->k, d->op, 0, NULL, NULL) == KVR_E_INVALID)
		h->forbidden++;
	if (d->tag > 0 && kvr_submit(h->k, &b, &o, &op) == KVR_OK)
		h->inner++;
	h->n++;
}

START_TEST(a_callback_may_submit_and_not_wait)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct heard h = { .k = k };
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	const struct kvr_opts o = { .size = sizeof(o), .done = hear, .done_arg = &h, .tag = 10 };

	OK(kvr_submit(k, &b, &o, NULL));
	while (h.n < 11)
		OK(kvr_quiet(k, 0, NULL));
	ck_assert_int_eq(h.inner, 10);
	ck_assert_int_eq(h.forbidden, 11);
	ck_assert_int_eq(h.err, KVR_E_MISS);
	ck_assert_uint_eq(h.tag, 0);
	bed_close(k);
}
END_TEST

START_TEST(early_has_two_completions)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	struct kvr_opts o = { .size = sizeof(o), .flags = KVR_EARLY };
	struct kvr_done d = { .size = sizeof(d) };
	uint64_t left = 0;

	kvr_fake_hold_memory(true);
	ERR(kvr_run(k, &b, &o, &d, NULL), KVR_E_MISS);
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, 0);
	ERR(kvr_wait(k, d.op, KVR_NOW, &d, NULL), KVR_E_UNFINISHED);
	ERR(kvr_quiet(k, bed_in_ms(5), &left), KVR_E_TIMEOUT);
	ck_assert_uint_eq(left, 1);
	kvr_fake_hold_memory(false);
	ERR(kvr_wait(k, d.op, KVR_NEVER, &d, NULL), KVR_E_MISS);
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, KVR_DONE_QUIET);
	ERR(kvr_wait(k, d.op, KVR_NEVER, &d, NULL), KVR_E_STALE);
	bed_close(k);
}
END_TEST

START_TEST(the_stores_words_come_with_the_error)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	struct kvr_done d = { .size = sizeof(d) };

	kvr_fake_fail(KVR_E_REFUSED);
	ERR(kvr_run(k, &b, NULL, &d, NULL), KVR_E_REFUSED);
	ck_assert_str_eq(d.why, "tier 0 said no");
	kvr_fake_fail(KVR_E_BUSY); /* by nobody in particular: the tier's words are of something else */
	ERR(kvr_run(k, &b, NULL, &d, NULL), KVR_E_BUSY);
	ck_assert_str_eq(d.why, "");
	kvr_fake_fail(0);
	ERR(kvr_run(k, &b, NULL, &d, NULL), KVR_E_MISS);
	ck_assert_str_eq(d.why, "");
	bed_close(k);
}
END_TEST

static void
cancel_it(void *arg)
{
	OK(kvr_cancel_request(arg, "request 9"));
}

/* Another thread knows the request, and is quicker than the one that has just begun to submit. */
START_TEST(a_cancel_that_comes_before_its_operation_counts)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	const struct kvr_opts o = {
		.size = sizeof(o), .request = "request 9", .until_ns = bed_in_ms(20000)
	};
	kvr_op op;

	kvr_fake_hold(true);
	kvr_fake_at(KVR_FAKE_SUBMIT, cancel_it, k);
	OK(kvr_submit(k, &b, &o, &op));
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_CANCELLED);
	bed_close(k);
}
END_TEST

/* Fetches one completion, and is held up in the middle of telling it. */
struct fetcher {
	struct kvr *k;
	struct kvr_queue *q; /* NULL: kvr_wait */
	kvr_op op;
	int32_t err;
	_Atomic int in, let_go;
};

static void
stay(void *arg)
{
	struct fetcher *f = arg;

	f->in = 1;
	while (!f->let_go)
		sched_yield();
}

static void *
fetch(void *arg)
{
	struct fetcher *f = arg;
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_results r = { .size = sizeof(r), .cap = 1, .err = &f->err };

	if (f->q != NULL)
		ck_assert_int_eq(kvr_drain(f->q, &d, 1, &r), 1);
	else
		ERR(kvr_wait(f->k, f->op, 0, &d, &r), KVR_E_REFUSED);
	ck_assert_uint_eq(d.op, f->op);
	return NULL;
}

/* The other thread fetches the last one meanwhile. Nobody else may have the operation's slot then. */
START_TEST(two_threads_fetch_two_completions_of_one_operation)
{
	for (int queue = 0; queue < 2; queue++) {
		struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
		const struct kvr_batch b = {
			.size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
		};
		struct fetcher f = { .k = k };
		struct kvr_done d = { .size = sizeof(d) };
		pthread_t id;
		kvr_op op;

		if (queue)
			OK(kvr_queue_open(k, &f.q));
		const struct kvr_opts o = { .size = sizeof(o), .flags = KVR_EARLY, .queue = f.q };

		kvr_fake_fail(KVR_E_REFUSED);
		kvr_fake_hold_memory(true);
		kvr_fake_at(KVR_FAKE_WHY, stay, &f);
		OK(kvr_submit(k, &b, &o, &f.op));
		if (queue)
			expect(f.q, POLLIN);
		ck_assert_int_eq(pthread_create(&id, NULL, fetch, &f), 0);
		while (!f.in)
			sched_yield();
		kvr_fake_hold_memory(false);
		if (queue) {
			expect(f.q, POLLIN);
			ck_assert_int_eq(kvr_drain(f.q, &d, 1, NULL), 1);
		} else {
			ERR(kvr_wait(k, f.op, 0, &d, NULL), KVR_E_REFUSED);
		}
		ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, KVR_DONE_QUIET);
		kvr_fake_wait_held(0); /* what the router still had to say it has said */
		kvr_fake_fail(0);
		kvr_fake_hold(true);
		OK(kvr_submit(k, &b, NULL, &op));
		ck_assert_uint_ne((uint32_t)op, (uint32_t)f.op);
		f.let_go = 1;
		pthread_join(id, NULL);
		ERR(f.err, KVR_E_REFUSED);
		kvr_fake_hold(false);
		bed_close(k);
	}
}
END_TEST

KVR_CHECK_MAIN("api.call", an_operation_is_waited_for_and_cancelled,
    a_wait_without_room_can_be_tried_again, a_wait_that_ends_first_writes_nothing, a_queue_holds_completions,
    a_callback_may_submit_and_not_wait, early_has_two_completions,
    the_stores_words_come_with_the_error, a_cancel_that_comes_before_its_operation_counts,
    two_threads_fetch_two_completions_of_one_operation)
