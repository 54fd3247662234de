/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_mailbox.h"
#include "kvr_thread.h"
#include "kvr_check.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { PRODUCERS = 4, EACH = KVR_ROUNDS(25000), PLACES = 64 };

static struct kvr_msg
numbered(uint16_t from, uint64_t n)
{
	struct kvr_msg m = { .type = KVR_MSG_CONTINUE, .from = from, .op = n };

	m.word[2] = ~n;
	return m;
}

static const uint64_t soon = KVR_SEC(100);

/* How many threads the system still gives; -1: it does not count them. */
static _Atomic int threads_left = -1;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int
__wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	if (atomic_load(&threads_left) == 0)
		return EAGAIN;
	if (atomic_load(&threads_left) > 0)
		atomic_fetch_sub(&threads_left, 1);
	return __real_pthread_create(id, attr, fn, arg);
}

static void
no_mail(void *arg, const struct kvr_msg *msg)
{
	(void)arg;
	(void)msg;
}

/* nng aborts the process where it gets some of its threads and not all: so it is not begun there. */
START_TEST(without_threads_there_is_no_mailbox_and_later_there_is)
{
	struct kvr_mailbox *box = NULL;

	for (int n = 0; n <= 8; n++) {
		atomic_store(&threads_left, n);
		ck_assert_int_eq(kvr_mailbox_open("t", 4, no_mail, NULL, &box), KVR_E_NOMEM);
		ck_assert_ptr_null(box);
	}
	atomic_store(&threads_left, -1);
	ck_assert_int_eq(kvr_mailbox_open("t", 4, no_mail, NULL, &box), KVR_OK);
	kvr_mailbox_close(box);
}
END_TEST

START_TEST(what_goes_in_comes_out_in_order)
{
	struct kvr_mailbox *box;
	struct kvr_msg m;

	ck_assert_int_eq(kvr_mailbox_open("a", PLACES, NULL, NULL, &box), KVR_OK);
	for (uint64_t round = 0; round < 50; round++) {
		for (uint64_t i = 0; i < PLACES; i++) {
			m = numbered(7, round * PLACES + i);
			ck_assert_int_eq(kvr_mailbox_post(box, &m), KVR_OK);
		}
		ck_assert_int_eq(kvr_mailbox_post(box, &m), KVR_E_BUSY);
		for (uint64_t i = 0; i < PLACES; i++) {
			struct kvr_msg want = numbered(7, round * PLACES + i);
			ck_assert_int_eq(kvr_mailbox_take(box, kvr_now_ns() + soon, &m), KVR_OK);
			ck_assert_mem_eq(&m, &want, sizeof(m));
		}
	}
	ck_assert_int_eq(kvr_mailbox_take(box, 0, &m), KVR_E_TIMEOUT);
	kvr_mailbox_close(box);
}
END_TEST

START_TEST(a_full_mailbox_refuses_and_a_reserved_place_is_kept)
{
	struct kvr_mailbox *box;
	struct kvr_msg m = numbered(1, 1);

	ck_assert_int_eq(kvr_mailbox_open("b", 3, NULL, NULL, &box), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_reserve(box), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_post(box, &m), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_post(box, &m), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_post(box, &m), KVR_E_BUSY);
	ck_assert_int_eq(kvr_mailbox_reserve(box), KVR_E_BUSY);
	m.op = 2;
	kvr_mailbox_post_reserved(box, &m);
	ck_assert_int_eq(kvr_mailbox_take(box, kvr_now_ns() + soon, &m), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_reserve(box), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_post(box, &m), KVR_E_BUSY);
	kvr_mailbox_unreserve(box);
	ck_assert_int_eq(kvr_mailbox_post(box, &m), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_take(box, kvr_now_ns() + soon, &m), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_take(box, kvr_now_ns() + soon, &m), KVR_OK);
	ck_assert_uint_eq(m.op, 2);
	kvr_mailbox_close(box); /* with a message inside */
}
END_TEST

START_TEST(take_keeps_its_deadline)
{
	struct kvr_mailbox *box;
	struct kvr_msg m;

	ck_assert_int_eq(kvr_mailbox_open("c", 1, NULL, NULL, &box), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_take(box, 0, &m), KVR_E_TIMEOUT);
	uint64_t until_ns = kvr_now_ns() + KVR_MS(10);
	ck_assert_int_eq(kvr_mailbox_take(box, until_ns, &m), KVR_E_TIMEOUT);
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
	ck_assert_int_eq(kvr_mailbox_take(box, 1, &m), KVR_E_TIMEOUT);
	kvr_mailbox_close(box);
}
END_TEST

START_TEST(sizes_that_cannot_be_are_refused)
{
	struct kvr_mailbox *box;

	ck_assert_int_eq(kvr_mailbox_open("d", 0, NULL, NULL, &box), KVR_E_INVALID);
	ck_assert_int_eq(kvr_mailbox_open("d", 1000000, NULL, NULL, &box), KVR_E_INVALID);
	ck_assert_int_eq(kvr_mailbox_open("d", 8192, NULL, NULL, &box), KVR_OK);
	kvr_mailbox_close(box);
	kvr_mailbox_close(NULL);
}
END_TEST

/* ---- allocations ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifndef SANITIZED
/* In front of the C library's, also for nng: what is allocated by whom does not matter here. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
static _Atomic uint64_t n_allocations;

void *
malloc(size_t n)
{
	atomic_fetch_add(&n_allocations, 1);
	return __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	atomic_fetch_add(&n_allocations, 1);
	return __libc_calloc(n, size);
}

static void
post_and_take(struct kvr_mailbox *box, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct kvr_msg m = numbered(1, i);

		if (kvr_mailbox_post(box, &m) != KVR_OK ||
		    kvr_mailbox_take(box, kvr_now_ns() + soon, &m) != KVR_OK)
			ck_abort_msg("message %u does not come through", (unsigned)i);
	}
}

static void
one_more(void *arg, const struct kvr_msg *m)
{
	_Atomic uint64_t *n = arg;

	(void)m;
	atomic_fetch_add(n, 1);
}

static void
post_and_see(struct kvr_mailbox *box, _Atomic uint64_t *seen, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		const struct kvr_msg m = numbered(1, i);
		uint64_t want = atomic_load(seen) + 1, until_ns = kvr_now_ns() + soon;

		if (kvr_mailbox_post(box, &m) != KVR_OK)
			ck_abort_msg("message %u is refused", (unsigned)i);
		while (atomic_load(seen) < want && kvr_now_ns() < until_ns)
			sched_yield();
	}
}

/* Neither by the ring that is taken from nor by nng, which carries what a function gets. */
START_TEST(posting_allocates_nothing)
{
	struct kvr_mailbox *ring, *carried;
	_Atomic uint64_t seen = 0;
	uint64_t before = n_allocations;

	ck_assert_int_eq(kvr_mailbox_open("g", PLACES, NULL, NULL, &ring), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_open("h", PLACES, one_more, &seen, &carried), KVR_OK);
	ck_assert_uint_gt(n_allocations, before + PLACES); /* they are counted */
	post_and_take(ring, 2 * PLACES);
	post_and_see(carried, &seen, 2 * PLACES);
	before = n_allocations;
	post_and_take(ring, 20 * PLACES);
	post_and_see(carried, &seen, 20 * PLACES);
	uint64_t after = n_allocations;
	ck_assert_uint_eq(after, before);
	ck_assert_uint_eq(seen, 22 * PLACES);
	kvr_mailbox_close(ring);
	kvr_mailbox_close(carried);
}
END_TEST
#define ALLOCATION_TESTS , posting_allocates_nothing
#else
#define ALLOCATION_TESTS /* a sanitizer's allocator cannot be stood in front of */
#endif

/* ---- many producers ---- */

struct crowd {
	struct kvr_mailbox *box;
	uint16_t id;
	_Atomic uint64_t *refused;
};

static void
produce(void *arg)
{
	struct crowd *c = arg;

	for (uint64_t i = 0; i < EACH; i++) {
		struct kvr_msg m = numbered(c->id, i);

		while (kvr_mailbox_post(c->box, &m) != KVR_OK) {
			atomic_fetch_add(c->refused, 1);
			sched_yield();
		}
	}
}

struct tally {
	uint64_t next[PRODUCERS];
	uint64_t wrong, n;
	_Atomic int running;
};

static void
count(void *arg, const struct kvr_msg *m)
{
	struct tally *t = arg;

	if (atomic_fetch_add(&t->running, 1) != 0)
		t->wrong++; /* two at a time */
	if (m->from >= PRODUCERS || m->op != t->next[m->from] || m->word[2] != ~m->op)
		t->wrong++;
	else
		t->next[m->from]++;
	t->n++;
	atomic_fetch_sub(&t->running, 1);
}

static void
start_crowd(struct kvr_mailbox *box, struct crowd *c, struct kvr_thread **threads,
    _Atomic uint64_t *refused)
{
	for (uint16_t i = 0; i < PRODUCERS; i++) {
		c[i] = (struct crowd){ .box = box, .id = i, .refused = refused };
		ck_assert_int_eq(
		    kvr_thread_start("kvr-crowd", produce, &c[i], &threads[i]), KVR_OK);
	}
}

START_TEST(many_producers_one_taker)
{
	struct kvr_mailbox *box;
	struct crowd c[PRODUCERS];
	struct kvr_thread *threads[PRODUCERS];
	struct tally t = { .n = 0 };
	struct kvr_msg m;
	_Atomic uint64_t refused = 0;

	ck_assert_int_eq(kvr_mailbox_open("e", PLACES, NULL, NULL, &box), KVR_OK);
	start_crowd(box, c, threads, &refused);
	for (uint32_t i = 0; i < PRODUCERS * EACH; i++) {
		ck_assert_int_eq(kvr_mailbox_take(box, kvr_now_ns() + soon, &m), KVR_OK);
		ck_assert_uint_lt(m.from, PRODUCERS);
		ck_assert_uint_eq(m.op, t.next[m.from]);
		ck_assert_uint_eq(m.word[2], ~m.op);
		t.next[m.from]++;
	}
	for (int i = 0; i < PRODUCERS; i++)
		ck_assert_int_eq(kvr_thread_join(threads[i], kvr_now_ns() + soon), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_take(box, 0, &m), KVR_E_TIMEOUT);
	kvr_mailbox_close(box);
}
END_TEST

START_TEST(many_producers_one_callback_at_a_time)
{
	struct kvr_mailbox *box;
	struct crowd c[PRODUCERS];
	struct kvr_thread *threads[PRODUCERS];
	struct tally t = { .n = 0 };
	_Atomic uint64_t refused = 0;

	ck_assert_int_eq(kvr_mailbox_open("f", PLACES, count, &t, &box), KVR_OK);
	start_crowd(box, c, threads, &refused);
	for (int i = 0; i < PRODUCERS; i++)
		ck_assert_int_eq(kvr_thread_join(threads[i], kvr_now_ns() + soon), KVR_OK);
	kvr_mailbox_close(box); /* after it, the callback has seen everything */
	ck_assert_uint_eq(t.n, PRODUCERS * EACH);
	ck_assert_uint_eq(t.wrong, 0);
}
END_TEST

/* ---- posters who help ---- */

enum { HELPED = KVR_ROUNDS(3000) };

struct helpers {
	struct kvr_mailbox *box;
	struct tally tally;
	_Atomic uint64_t done[PRODUCERS];
	_Atomic uint64_t by_poster; /* messages that the poster's own thread has worked on */
};

static _Thread_local bool is_worker;

static void
work_on(void *arg, const struct kvr_msg *m)
{
	struct helpers *h = arg;

	count(&h->tally, m);
	if (!is_worker)
		atomic_fetch_add(&h->by_poster, 1);
	atomic_fetch_add(&h->done[m->from], 1);
}

static void
worker(void *arg)
{
	struct helpers *h = arg;
	struct kvr_msg m;

	is_worker = true;
	do {
		kvr_mailbox_take_turn(h->box, &m);
		if (m.type == KVR_MSG_PART)
			work_on(h, &m);
		kvr_mailbox_end_turn(h->box);
	} while (m.type == KVR_MSG_PART);
}

struct helper {
	struct helpers *all;
	uint16_t id;
};

static void
ask_and_help(void *arg)
{
	struct helper *me = arg;
	struct helpers *h = me->all;
	uint64_t op = UINT64_MAX;

	for (uint64_t i = 0; i < HELPED; i++) {
		struct kvr_msg m = numbered(me->id, i);

		m.type = KVR_MSG_PART;
		op = i;
		if (i % 8 != 7) /* the others just wait, as other operations do */
			kvr_help_offer(&op);
		while (kvr_mailbox_post(h->box, &m) != KVR_OK)
			sched_yield();
		kvr_help_give();
		while (atomic_load(&h->done[me->id]) <= i)
			sched_yield();
	}
}

/* Each message once, one at a time, in each poster's order, whoever works; and nobody sleeps for ever. */
START_TEST(posters_help_one_at_a_time)
{
	static struct helpers h;
	struct kvr_thread *threads[PRODUCERS], *taker;
	struct helper me[PRODUCERS];
	const struct kvr_msg last = numbered(PRODUCERS, 0);

	ck_assert_int_eq(kvr_mailbox_open("i", PLACES, NULL, NULL, &h.box), KVR_OK);
	kvr_mailbox_lend(h.box, work_on, &h);
	ck_assert_int_eq(kvr_thread_start("kvr-taker", worker, &h, &taker), KVR_OK);
	for (uint16_t i = 0; i < PRODUCERS; i++) {
		me[i] = (struct helper){ &h, i };
		ck_assert_int_eq(
		    kvr_thread_start("kvr-helper", ask_and_help, &me[i], &threads[i]), KVR_OK);
	}
	for (int i = 0; i < PRODUCERS; i++)
		ck_assert_int_eq(kvr_thread_join(threads[i], kvr_now_ns() + soon), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_post(h.box, &last), KVR_OK);
	ck_assert_int_eq(kvr_thread_join(taker, kvr_now_ns() + soon), KVR_OK);
	kvr_mailbox_close(h.box);
	ck_assert_uint_eq(h.tally.n, PRODUCERS * HELPED);
	ck_assert_uint_eq(h.tally.wrong, 0);
	ck_assert_uint_gt(h.by_poster, 0);
}
END_TEST

/* As somebody who waits for operation 5, and posts a part of it of this class. */
static void
post_part(struct helpers *h, enum kvr_class cls)
{
	static const uint64_t op = 5;
	struct kvr_msg m = numbered(0, op);

	m.type = KVR_MSG_PART;
	m.PART.cls = (uint8_t)cls;
	kvr_help_offer(&op);
	ck_assert_int_eq(kvr_mailbox_post(h->box, &m), KVR_OK);
	kvr_help_give();
}

/* A write behind the answer would keep whoever has his answer already. */
START_TEST(nobody_helps_with_what_he_does_not_wait_for)
{
	static struct helpers h;
	struct kvr_msg m;

	ck_assert_int_eq(kvr_mailbox_open("b", PLACES, NULL, NULL, &h.box), KVR_OK);
	kvr_mailbox_lend(h.box, work_on, &h);
	for (int cls = 0; cls < KVR_CLASS_N; cls++)
		if (cls != KVR_CLASS_BACKGROUND)
			post_part(&h, (enum kvr_class)cls);
	ck_assert_uint_eq(h.by_poster, KVR_CLASS_N - 1);
	ck_assert_int_eq(kvr_mailbox_take(h.box, 0, &m), KVR_E_TIMEOUT);
	post_part(&h, KVR_CLASS_BACKGROUND);
	ck_assert_uint_eq(h.by_poster, KVR_CLASS_N - 1);
	ck_assert_int_eq(kvr_mailbox_take(h.box, 0, &m), KVR_OK);
	ck_assert_uint_eq(m.op, 5);
	kvr_mailbox_close(h.box);
}
END_TEST

/* As somebody who waits for operation 5: four parts, the third of another's. */
START_TEST(a_helper_takes_all_of_his_own_and_stops_at_anothers)
{
	static struct helpers h;
	static const uint64_t op = 5, of[] = { 5, 5, 6, 5 };
	struct kvr_msg m;

	ck_assert_int_eq(kvr_mailbox_open("own", PLACES, NULL, NULL, &h.box), KVR_OK);
	kvr_mailbox_lend(h.box, work_on, &h);
	kvr_help_offer(&op);
	for (size_t i = 0; i < KVR_LEN(of); i++) {
		m = numbered(0, of[i]);
		m.type = KVR_MSG_PART;
		ck_assert_int_eq(kvr_mailbox_post(h.box, &m), KVR_OK);
	}
	kvr_help_give();
	ck_assert_uint_eq(h.by_poster, 2);
	ck_assert_int_eq(kvr_mailbox_take(h.box, 0, &m), KVR_OK);
	ck_assert_uint_eq(m.op, 6);
	ck_assert_int_eq(kvr_mailbox_take(h.box, 0, &m), KVR_OK);
	ck_assert_uint_eq(m.op, 5);
	ck_assert_int_eq(kvr_mailbox_take(h.box, 0, &m), KVR_E_TIMEOUT);
	kvr_mailbox_close(h.box);
}
END_TEST

START_TEST(mailboxes_of_one_name_do_not_meet)
{
	struct kvr_mailbox *box[8];
	struct kvr_msg m;

	for (uint64_t i = 0; i < 8; i++)
		ck_assert_int_eq(kvr_mailbox_open("same", 4, NULL, NULL, &box[i]), KVR_OK);
	for (uint64_t i = 0; i < 8; i++) {
		m = numbered(1, i);
		ck_assert_int_eq(kvr_mailbox_post(box[i], &m), KVR_OK);
	}
	for (uint64_t i = 8; i-- > 0;) {
		ck_assert_int_eq(kvr_mailbox_take(box[i], kvr_now_ns() + soon, &m), KVR_OK);
		ck_assert_uint_eq(m.op, i);
		kvr_mailbox_close(box[i]);
	}
}
END_TEST

KVR_CHECK_MAIN("runtime.mailbox", without_threads_there_is_no_mailbox_and_later_there_is,
    what_goes_in_comes_out_in_order, a_full_mailbox_refuses_and_a_reserved_place_is_kept,
    take_keeps_its_deadline, sizes_that_cannot_be_are_refused, many_producers_one_taker,
    many_producers_one_callback_at_a_time, posters_help_one_at_a_time,
    nobody_helps_with_what_he_does_not_wait_for,
    a_helper_takes_all_of_his_own_and_stops_at_anothers,
    mailboxes_of_one_name_do_not_meet ALLOCATION_TESTS)
