/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_timers.h"
#include "kvr_actor.h"
#include "kvr_check.h"

#include <string.h>

static struct kvr_msg
timer(uint16_t actor, uint32_t number, uint32_t gen)
{
	struct kvr_msg m = { .type = KVR_MSG_TIMER, .from = actor, .to = actor };

	m.TIMER.timer = number;
	m.TIMER.gen = gen;
	return m;
}

static void
set(struct kvr_timers *t, uint16_t actor, uint32_t number, uint32_t gen, uint64_t at_ns)
{
	struct kvr_msg m = timer(actor, number, gen);

	ck_assert(kvr_timers_set(t, &m, at_ns));
}

START_TEST(fire_in_order_and_not_too_early)
{
	struct kvr_timers *t = kvr_timers_new(8);
	struct kvr_msg m;

	ck_assert_uint_eq(kvr_timers_next(t), UINT64_MAX);
	set(t, 2, 0, 1, 300);
	set(t, 3, 0, 2, 100);
	set(t, 2, 1, 3, 200);
	ck_assert_uint_eq(kvr_timers_next(t), 100);
	ck_assert(!kvr_timers_pop(t, 99, &m));
	ck_assert(kvr_timers_pop(t, 100, &m));
	ck_assert_uint_eq(m.TIMER.gen, 2);
	ck_assert(kvr_timers_pop(t, 1000, &m));
	ck_assert_uint_eq(m.TIMER.gen, 3);
	ck_assert(kvr_timers_pop(t, 1000, &m));
	ck_assert_uint_eq(m.TIMER.gen, 1);
	ck_assert(!kvr_timers_pop(t, 1000, &m));
	kvr_timers_free(t);
}
END_TEST

START_TEST(the_same_number_moves)
{
	struct kvr_timers *t = kvr_timers_new(2);
	struct kvr_msg m;

	for (uint32_t i = 0; i < 1000; i++)
		set(t, 2, 7, i, 1000 - i);
	set(t, 2, 8, 5, 500);
	ck_assert_uint_eq(kvr_timers_count(t), 2);
	ck_assert_uint_eq(kvr_timers_next(t), 1);
	set(t, 2, 7, 2000, 900);
	ck_assert(kvr_timers_pop(t, 1000, &m));
	ck_assert_uint_eq(m.TIMER.timer, 8);
	ck_assert(kvr_timers_pop(t, 1000, &m));
	ck_assert_uint_eq(m.TIMER.gen, 2000);
	kvr_timers_free(t);
}
END_TEST

START_TEST(full_is_said_and_a_free_place_is_found_again)
{
	struct kvr_timers *t = kvr_timers_new(3);
	struct kvr_msg m = timer(9, 9, 9);

	for (uint32_t i = 0; i < 3; i++)
		set(t, 1, i, 0, i);
	ck_assert(!kvr_timers_set(t, &m, 5));
	set(t, 1, 2, 1, 7); /* one that is there still moves */
	ck_assert(kvr_timers_pop(t, 0, &m));
	set(t, 9, 9, 9, 5);
	kvr_timers_clear(t);
	ck_assert_uint_eq(kvr_timers_next(t), UINT64_MAX);
	for (uint32_t i = 0; i < 3; i++)
		set(t, 1, i, 0, i);
	kvr_timers_free(t);
}
END_TEST

/* Against a table that is searched from end to end. */
START_TEST(agrees_with_the_simplest_thing)
{
	enum { N = 97, ACTORS = 5, NUMBERS = 40 };
	struct kvr_timers *t = kvr_timers_new(ACTORS * NUMBERS);
	static uint64_t at[ACTORS][NUMBERS];
	uint64_t rand = 1, now = 0, fired = 0;

	for (uint32_t round = 0; round < 20000; round++) {
		uint32_t a = (uint32_t)(kvr_rand(&rand) % ACTORS);
		uint32_t k = (uint32_t)(kvr_rand(&rand) % NUMBERS);
		uint64_t when = now + 1 + kvr_rand(&rand) % N;
		struct kvr_msg m;

		set(t, (uint16_t)a, k, (uint32_t)when, when);
		at[a][k] = when;
		now += kvr_rand(&rand) % 2;
		for (;;) {
			uint32_t best = ACTORS * NUMBERS;
			for (uint32_t i = 0; i < ACTORS * NUMBERS; i++) {
				uint64_t x = at[i / NUMBERS][i % NUMBERS];
				if (x != 0 && x <= now &&
				    (best == ACTORS * NUMBERS ||
				        x < at[best / NUMBERS][best % NUMBERS]))
					best = i;
			}
			bool got = kvr_timers_pop(t, now, &m);
			ck_assert_int_eq(got, best < ACTORS * NUMBERS);
			if (!got)
				break;
			ck_assert_uint_eq(m.to, best / NUMBERS);
			ck_assert_uint_eq(m.TIMER.timer, best % NUMBERS);
			ck_assert_uint_eq(
			    m.TIMER.gen, (uint32_t)at[best / NUMBERS][best % NUMBERS]);
			at[best / NUMBERS][best % NUMBERS] = 0;
			fired++;
		}
	}
	ck_assert_uint_gt(fired, 5000);
	kvr_timers_free(t);
}
END_TEST

KVR_CHECK_MAIN("runtime.timers", fire_in_order_and_not_too_early, the_same_number_moves,
    full_is_said_and_a_free_place_is_found_again, agrees_with_the_simplest_thing)
