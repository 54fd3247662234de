/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_check.h"
#include "kvr_lock.h"

#include <pthread.h>
#include <sched.h>

enum { ADDERS = 4, ADDS = 20000 };

struct sum {
	struct kvr_lock lock;
	uint64_t n, gave_up;
	int impatient;
};

static void *
add(void *arg)
{
	struct sum *s = arg;

	for (int i = 0; i < ADDS; i++) {
		uint64_t until_ns =
		    s->impatient != 0 && i % 2 == 0 ? kvr_now_ns() + 1000 : UINT64_MAX;
		bool got = kvr_lock_until(&s->lock, until_ns);

		if (!got)
			kvr_lock(&s->lock);
		s->n++;
		s->gave_up += !got;
		kvr_unlock(&s->lock);
	}
	return NULL;
}

static void
add_together(int impatient)
{
	struct sum s = { .impatient = impatient };
	pthread_t t[ADDERS];

	for (int i = 0; i < ADDERS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, add, &s), 0);
	for (int i = 0; i < ADDERS; i++)
		ck_assert_int_eq(pthread_join(t[i], NULL), 0);
	ck_assert_uint_eq(s.n, ADDERS * ADDS);
	ck_assert(kvr_lock_try(&s.lock)); /* and nobody has it */
}

START_TEST(a_lock_is_held_by_one_and_no_sleeper_is_forgotten)
{
	add_together(0);
	add_together(1); /* with some that give up sleeping and leave their mark */
}
END_TEST

START_TEST(a_lock_that_is_taken_is_waited_for_until_its_instant)
{
	struct kvr_lock l = { 0 };

	ck_assert(kvr_lock_try(&l));
	ck_assert(!kvr_lock_try(&l));
	uint64_t until_ns = kvr_now_ns() + KVR_MS(5);
	ck_assert(!kvr_lock_until(&l, until_ns));
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
	ck_assert(!kvr_lock_until(&l, 0));
	kvr_unlock(&l);
	ck_assert(kvr_lock_until(&l, 0)); /* a free one is had at any time */
	kvr_unlock(&l);
}
END_TEST

/* ---- words ---- */

struct bell {
	_Atomic uint32_t rung, sleeping, woken;
};

static void *
wait_for_two_rings(void *arg)
{
	struct bell *b = arg;

	for (uint32_t ring = 0; ring < 2; ring++) {
		atomic_fetch_add(&b->sleeping, 1);
		while (atomic_load(&b->rung) == ring)
			ck_assert(kvr_sleep_on(&b->rung, ring, UINT64_MAX));
		atomic_fetch_add(&b->woken, 1);
	}
	return NULL;
}

START_TEST(a_ring_wakes_all_who_sleep_on_a_word)
{
	struct bell b = { 0 };
	pthread_t t[ADDERS];

	for (int i = 0; i < ADDERS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, wait_for_two_rings, &b), 0);
	for (uint32_t ring = 0; ring < 2; ring++) {
		while (atomic_load(&b.sleeping) < ADDERS * (ring + 1))
			sched_yield();
		ck_assert_uint_eq(atomic_load(&b.woken), ADDERS * ring);
		atomic_fetch_add(&b.rung, 1);
		kvr_wake_every(&b.rung);
	}
	for (int i = 0; i < ADDERS; i++)
		ck_assert_int_eq(pthread_join(t[i], NULL), 0);
	ck_assert_uint_eq(atomic_load(&b.woken), 2 * ADDERS);
}
END_TEST

START_TEST(a_word_that_changed_is_not_slept_on_and_an_instant_ends_the_sleep)
{
	_Atomic uint32_t word = 7;

	ck_assert(kvr_sleep_on(&word, 6, UINT64_MAX));
	uint64_t until_ns = kvr_now_ns() + KVR_MS(5);
	while (kvr_sleep_on(&word, 7, until_ns))
		;
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
}
END_TEST

KVR_CHECK_MAIN("base.lock", a_lock_is_held_by_one_and_no_sleeper_is_forgotten,
    a_lock_that_is_taken_is_waited_for_until_its_instant, a_ring_wakes_all_who_sleep_on_a_word,
    a_word_that_changed_is_not_slept_on_and_an_instant_ends_the_sleep)
