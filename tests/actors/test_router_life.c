/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router among tiers, links and callers, told as transcripts: router_*.txt. What each of them
 * is about is also said as a check, so that a transcript cannot be accepted that has lost it.
 */
#include "kvr_check.h"
#include "kvr_router_own.h"
#include "kvr_sim_instance.h"

static struct kvr_sim_instance in;
static const uint64_t names[] = { 101, 102, 103, 104 };

static void
small(uint32_t n_tiers)
{
	kvr_sim_instance_defaults(&in, n_tiers);
	for (uint32_t t = 0; t < n_tiers; t++) {
		in.tier[t].n_links = 1;
		in.tier[t].n_control = 0;
		in.router.tier[t].bulk_lanes = 1;
	}
}

static void
pass(uint64_t ns)
{
	kvr_sim_run(in.sim, kvr_sim_now(in.sim) + ns);
}

static void
begin(void)
{
	kvr_sim_instance_open(
	    &in, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1, .transcript = true });
	kvr_sim_instance_start(&in);
	pass(KVR_MS(10));
}

static uint32_t
ask(enum kvr_op_kind kind, uint32_t flags, uint32_t n, uint64_t within_ns)
{
	return kvr_sim_ask(in.sim, &(struct kvr_sim_ask){ .kind = kind,
	                               .flags = flags,
	                               .n = n,
	                               .len = 4096,
	                               .deadline_ns = kvr_sim_now(in.sim) + within_ns,
	                               .names = names });
}

static void
is_over(uint32_t number, int32_t err, uint32_t n_ok)
{
	const struct kvr_sim_answer *a = kvr_sim_answer_to(in.sim, number);

	ck_assert_int_eq(a->err, err);
	ck_assert_uint_eq(a->n_ok, n_ok);
	ck_assert_uint_ge(a->n_complete, 1);
	ck_assert_uint_ne(a->released_ns, 0);
}

static void
end(const char *name)
{
	if (in.n_stopped == 0) {
		kvr_sim_note(in.sim, "the end");
		kvr_sim_instance_stop(&in, true);
	}
	kvr_sim_run(in.sim, UINT64_MAX);
	ck_assert_uint_eq(in.n_stopped, 1);
	ck_assert_uint_eq(kvr_sim_open(in.sim), 0);
	ck_assert_uint_eq(kvr_sim_parts_out(in.sim), 0);
	kvr_sim_expect(in.sim, name);
	kvr_sim_instance_close(&in);
}

START_TEST(a_put_and_a_get)
{
	small(1);
	begin();
	kvr_sim_note(in.sim, "a put of two keys");
	uint32_t put = ask(KVR_OP_PUT, 0, 2, KVR_SEC(1));

	pass(KVR_MS(10));
	kvr_sim_note(in.sim, "a get of three, the last is not there");
	uint32_t get = ask(KVR_OP_GET, 0, 3, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(put, KVR_OK, 2);
	is_over(get, KVR_E_MISS, 2);
	end("router_put_get");
}
END_TEST

START_TEST(a_get_through_two_tiers_with_promotion)
{
	small(2);
	in.router.tier[0].promote = 1;
	begin();
	kvr_sim_stored(in.sim, 0, names[0], 4096, kvr_sim_content(names[0]));
	kvr_sim_stored(in.sim, 1, names[1], 4096, kvr_sim_content(names[1]));
	kvr_sim_note(in.sim, "one key is in tier 0, one in tier 1, one nowhere");
	uint32_t get = ask(KVR_OP_GET, 0, 3, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(get, KVR_E_MISS, 2);
	ck_assert_int_eq(kvr_sim_has(in.sim, 0, names[1]), 4096);
	ck_assert_int_eq(kvr_sim_has(in.sim, 1, names[0]), -1);
	end("router_promotion");
}
END_TEST

START_TEST(a_put_with_write_back_through_a_serde)
{
	small(2);
	in.router.tier[1].write = KVR_WRITE_BACK;
	in.router.tier[1].serde = 1;
	begin();
	kvr_sim_note(in.sim, "tier 1 gets what it gets after the answer");
	uint32_t put = ask(KVR_OP_PUT, 0, 2, KVR_SEC(1));

	pass(KVR_MS(20));
	is_over(put, KVR_OK, 2);
	ck_assert_int_eq(kvr_sim_has(in.sim, 0, names[1]), 4096);
	ck_assert_int_eq(kvr_sim_has(in.sim, 1, names[1]), 2049); /* encoded */
	ck_assert_uint_lt(kvr_sim_answer_to(in.sim, put)->answered_ns,
	    kvr_sim_answer_to(in.sim, put)->released_ns);
	end("router_write_back");
}
END_TEST

START_TEST(a_paged_put_and_get_through_a_serde)
{
	small(1);
	in.router.tier[0].serde = 1;
	begin();
	kvr_sim_note(in.sim, "copied, encoded, stored");
	uint32_t put = ask(KVR_OP_PUT, KVR_OPF_PAGED, 2, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(put, KVR_OK, 2);
	ck_assert_int_eq(kvr_sim_has(in.sim, 0, names[1]), 2049); /* encoded */
	kvr_sim_note(in.sim, "fetched, decoded, copied");
	uint32_t get = ask(KVR_OP_GET, KVR_OPF_PAGED, 2, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(get, KVR_OK, 2);
	end("router_paged");
}
END_TEST

/* Told when the copies have begun, and again when they are over; the second time the device fails. */
START_TEST(a_get_that_is_told_ahead)
{
	uint32_t flags = KVR_OPF_PAGED | KVR_OPF_DEVICE | KVR_OPF_RECORD;

	small(1);
	begin();
	uint32_t put = ask(KVR_OP_PUT, 0, 2, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(put, KVR_OK, 2);
	kvr_sim_note(in.sim, "two of three are there");
	uint32_t get = ask(KVR_OP_GET, flags, 3, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(get, KVR_E_MISS, 2);
	in.hands->breaks = 1024;
	kvr_sim_note(in.sim, "the copies begin and fail");
	get = ask(KVR_OP_GET, flags, 2, KVR_SEC(1));
	pass(KVR_MS(10));
	is_over(get, KVR_E_DEVICE, 0);
	end("router_ahead");
}
END_TEST

/* Its memory may be overwritten when the copies have begun; the second time the device fails. */
START_TEST(a_put_that_is_told_ahead)
{
	uint32_t flags = KVR_OPF_PAGED | KVR_OPF_DEVICE | KVR_OPF_RECORD;

	small(2);
	begin();
	kvr_sim_note(in.sim, "two tiers, and a copy for each");
	uint32_t put = ask(KVR_OP_PUT, flags, 3, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(put, KVR_OK, 3);
	in.hands->breaks = 1024;
	kvr_sim_note(in.sim, "the copies begin and fail");
	put = ask(KVR_OP_PUT, flags, 2, KVR_SEC(1));
	pass(KVR_MS(10));
	is_over(put, KVR_E_DEVICE, 0);
	end("router_ahead_put");
}
END_TEST

/* Its memory is lost with it: what was to go there is a miss with a reason, and the host goes on. */
START_TEST(a_device_that_is_lost)
{
	small(1);
	begin();
	uint32_t put = ask(KVR_OP_PUT, KVR_OPF_PAGED | KVR_OPF_DEVICE, 2, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(put, KVR_OK, 2);
	in.hands->lost = true;
	kvr_sim_note(in.sim, "the device is gone when the payload is there");
	uint32_t get = ask(KVR_OP_GET, KVR_OPF_PAGED | KVR_OPF_DEVICE, 2, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(get, KVR_E_DEVICE, 0);
	kvr_sim_note(in.sim, "a put is answered at once, one from the host's memory is stored");
	put = ask(KVR_OP_PUT, KVR_OPF_PAGED | KVR_OPF_DEVICE, 1, KVR_SEC(1));
	uint32_t host = ask(KVR_OP_PUT, 0, 4, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(put, KVR_E_DEVICE, 0);
	is_over(host, KVR_OK, 4); /* also of the key that the put above had and could not store */
	end("router_device_lost");
}
END_TEST

START_TEST(a_deadline_that_calls_parts_back)
{
	small(2);
	in.router.tier[0].timeout_ns = KVR_SEC(10);
	begin();
	kvr_sim_store(in.sim, 0)->run_min_ns = kvr_sim_store(in.sim, 0)->run_max_ns = KVR_SEC(1);
	kvr_sim_note(in.sim, "tier 0 is slow, and only one part of three goes at a time");
	uint32_t get = ask(KVR_OP_GET, 0, 1, KVR_MS(100)), put = ask(KVR_OP_PUT, 0, 1, KVR_MS(50));
	uint32_t lookup = ask(KVR_OP_LOOKUP, 0, 2, KVR_MS(100));

	pass(KVR_MS(200));
	is_over(get, KVR_E_TIMEOUT, 0);
	is_over(put, KVR_E_PARTIAL, 0); /* tier 1 has it */
	is_over(lookup, KVR_E_TIMEOUT, 0);
	end("router_deadline");
}
END_TEST

START_TEST(puts_of_keys_that_are_being_put)
{
	small(1);
	begin();
	kvr_sim_note(in.sim, "a put; the same keys again; again, but only if new; a remove");
	uint32_t one = ask(KVR_OP_PUT, 0, 2, KVR_SEC(1)), two = ask(KVR_OP_PUT, 0, 3, KVR_SEC(1));
	uint32_t three = ask(KVR_OP_PUT, KVR_OPF_DUP_ERROR, 1, KVR_SEC(1));
	uint32_t four = ask(KVR_OP_REMOVE, 0, 1, KVR_SEC(1));

	pass(KVR_MS(20));
	is_over(one, KVR_OK, 2);
	is_over(two, KVR_OK, 3);
	is_over(three, KVR_E_DUPLICATE, 0);
	is_over(four, KVR_OK, 1);
	ck_assert_uint_eq(kvr_sim_answer_to(in.sim, two)->rows[0].flags & KVR_ROW_DUP, KVR_ROW_DUP);
	ck_assert_uint_eq(kvr_sim_answer_to(in.sim, two)->rows[2].flags & KVR_ROW_DUP, 0);
	ck_assert_int_eq(kvr_sim_has(in.sim, 0, names[0]), -1); /* the remove came after the put */
	ck_assert_int_eq(kvr_sim_has(in.sim, 0, names[1]), 4096);
	end("router_duplicates");
}
END_TEST

START_TEST(a_tier_that_dies_and_recovers)
{
	small(2);
	begin();
	uint32_t put = ask(KVR_OP_PUT, 0, 2, KVR_SEC(1));

	pass(KVR_MS(10));
	kvr_sim_note(in.sim, "tier 0 dies: a get finds out, and is served by tier 1");
	kvr_sim_down(in.sim, 0, true);
	uint32_t finds_out = ask(KVR_OP_GET, 0, 1, KVR_SEC(1));

	pass(KVR_MS(20));
	kvr_sim_note(in.sim, "while it is known to be down it is left out");
	uint32_t left_out = ask(KVR_OP_GET, 0, 1, KVR_SEC(1)),
	         partial = ask(KVR_OP_PUT, 0, 1, KVR_SEC(1));

	pass(KVR_MS(20));
	kvr_sim_note(in.sim, "it is back");
	kvr_sim_down(in.sim, 0, false);
	pass(KVR_MS(200));
	uint32_t again = ask(KVR_OP_GET, 0, 1, KVR_SEC(1));

	pass(KVR_MS(10));
	is_over(put, KVR_OK, 2);
	is_over(finds_out, KVR_OK, 1);
	is_over(left_out, KVR_OK, 1);
	ck_assert_uint_eq(kvr_sim_answer_to(in.sim, left_out)->rows[0].where, 1);
	ck_assert(kvr_sim_answer_to(in.sim, left_out)->done_bits & KVR_DONEB_DEGRADED);
	is_over(partial, KVR_E_PARTIAL, 0);
	is_over(again, KVR_OK, 1);
	ck_assert_uint_eq(kvr_sim_answer_to(in.sim, again)->rows[0].where, 0);
	end("router_recovery");
}
END_TEST

START_TEST(cancelled_while_it_runs_and_after)
{
	small(1);
	begin();
	kvr_sim_store(in.sim, 0)->stalls = 1024;
	uint32_t get = ask(KVR_OP_GET, 0, 2, KVR_SEC(1));
	uint32_t early = ask(KVR_OP_GET, KVR_OPF_EARLY, 2, KVR_SEC(1));

	pass(KVR_MS(5));
	kvr_sim_note(in.sim, "both are cancelled, one of them twice");
	kvr_sim_cancel(in.sim, get, KVR_E_CANCELLED);
	kvr_sim_cancel(in.sim, early, KVR_E_CANCELLED);
	kvr_sim_cancel(in.sim, early, KVR_E_CANCELLED);
	pass(KVR_MS(5));
	is_over(get, KVR_E_CANCELLED, 0);
	is_over(early, KVR_E_CANCELLED, 0);
	ck_assert_uint_eq(kvr_sim_answer_to(in.sim, early)->n_complete, 2);
	kvr_sim_note(in.sim, "and once more, when it is over");
	kvr_sim_cancel(in.sim, get, KVR_E_CANCELLED);
	kvr_sim_store(in.sim, 0)->stalls = 0;
	end("router_cancel");
}
END_TEST

static void
two_puts(uint32_t *one, uint32_t *two)
{
	small(2);
	in.router.tier[1].write = KVR_WRITE_BACK;
	begin();
	*one = ask(KVR_OP_PUT, 0, 4, KVR_SEC(1));
	pass(KVR_MS(1) + KVR_MS(1) / 2); /* answered; its write-back goes on */
	*two = ask(KVR_OP_GET, 0, 4, KVR_SEC(1));
}

START_TEST(a_drain_finishes_what_was_accepted)
{
	uint32_t put = 0, get = 0;

	two_puts(&put, &get);
	kvr_sim_note(in.sim, "STOP, drain");
	kvr_sim_instance_stop(&in, true);
	pass(KVR_MS(20));
	is_over(put, KVR_OK, 4);
	is_over(get, KVR_OK, 4);
	ck_assert_int_eq(kvr_sim_has(in.sim, 1, names[3]), 4096);
	end("router_drain");
}
END_TEST

START_TEST(an_abort_ends_all_at_once)
{
	uint32_t put = 0, get = 0;

	two_puts(&put, &get);
	kvr_sim_note(in.sim, "STOP, abort");
	kvr_sim_instance_stop(&in, false);
	pass(KVR_MS(20));
	ck_assert_int_eq(kvr_sim_answer_to(in.sim, get)->err, KVR_E_SHUTDOWN);
	ck_assert_uint_ne(kvr_sim_answer_to(in.sim, get)->released_ns, 0);
	ck_assert_uint_ne(kvr_sim_answer_to(in.sim, put)->released_ns, 0);
	end("router_abort");
}
END_TEST

enum { MANY = 20 * KVR_SLICE_KEYS };
static uint64_t many[MANY];

/* Three operations of more keys than one step may change, of which hardly one finds what it needs. */
START_TEST(what_finds_no_slot_is_passed_over_in_many_steps)
{
	static const struct {
		const char *what;
		enum kvr_op_kind kind;
		uint32_t len;
		uint8_t write, give_up;
		int32_t err;
		uint32_t n_ok;
	} table[] = {
		{ "copies for write-back", KVR_OP_PUT, 1, KVR_WRITE_BACK, 1, KVR_OK, MANY },
		{ "promotions", KVR_OP_GET, 1, KVR_WRITE_THROUGH, 1, KVR_OK, MANY },
		{ "payloads that fit nowhere", KVR_OP_PUT, 257 * KVR_PAGE, KVR_WRITE_THROUGH, 0,
		    KVR_E_TOO_BIG, 0 },
	};

	for (uint32_t i = 0; i < MANY; i++)
		many[i] = i + 1;
	for (uint32_t i = 0; i < KVR_LEN(table); i++) {
		kvr_sim_instance_defaults(&in, 2);
		in.router.tier[0].promote = 1;
		in.router.tier[1].write = table[i].write;
		in.router.tier[0].give_up = in.router.tier[1].give_up = table[i].give_up;
		kvr_sim_instance_open(&in, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1000 });
		kvr_sim_instance_start(&in);
		pass(KVR_MS(10));
		for (uint32_t k = 0; k < MANY && table[i].kind == KVR_OP_GET; k++)
			kvr_sim_stored(in.sim, 1, many[k], table[i].len, kvr_sim_content(many[k]));
		uint32_t number = kvr_sim_ask(in.sim, &(struct kvr_sim_ask){ .kind = table[i].kind,
		                                          .n = MANY,
		                                          .len = table[i].len,
		                                          .deadline_ns = KVR_SEC(1000),
		                                          .names = many });

		pass(KVR_SEC(100));
		const struct kvr_sim_answer *a = kvr_sim_answer_to(in.sim, number);

		ck_assert_msg(a->released_ns != 0, "%s", table[i].what);
		ck_assert_msg(a->err == table[i].err && a->n_ok == table[i].n_ok, "%s: %s, %u keys",
		    table[i].what, kvr_err_name(a->err), a->n_ok);
		kvr_sim_instance_stop(&in, true);
		kvr_sim_run(in.sim, UINT64_MAX);
		kvr_sim_instance_close(&in);
	}
}
END_TEST

/* Of gets all parts that there are, of puts three quarters. What finds none is asked for later. */
START_TEST(more_parts_are_wanted_than_there_are)
{
	enum { CALLS = 45, KEYS = 25 * KVR_PART_KEYS };
	static const enum kvr_op_kind kinds[] = { KVR_OP_PUT, KVR_OP_GET };

	for (uint32_t i = 0; i < MANY; i++)
		many[i] = i + 1;
	kvr_sim_instance_defaults(&in, 1);
	kvr_sim_instance_open(&in, &(struct kvr_sim_options){ .seed = 1, .verify_every = 1000 });
	kvr_sim_instance_start(&in);
	pass(KVR_MS(10));
	for (uint32_t k = 0; k < KVR_LEN(kinds); k++) {
		uint32_t first = kvr_sim_asked(in.sim);

		for (uint32_t i = 0; i < CALLS; i++)
			kvr_sim_ask(in.sim, &(struct kvr_sim_ask){ .kind = kinds[k],
			                        .n = KEYS,
			                        .len = 1,
			                        .deadline_ns = KVR_SEC(1000),
			                        .names = &many[i * KEYS] });
		pass(KVR_SEC(100));
		for (uint32_t i = first; i < first + CALLS; i++)
			is_over(i, KVR_OK, KEYS);
	}
	kvr_sim_instance_stop(&in, true);
	kvr_sim_run(in.sim, UINT64_MAX);
	kvr_sim_instance_close(&in);
}
END_TEST

/* An answer of thousands of keys takes some steps, and the abort comes between two of them. */
static bool
is_answering(void *arg)
{
	const struct router *me = kvr_sim_actor(in.sim, KVR_ID_ROUTER)->self;

	(void)arg;
	return me->op[0].state == OP_ANSWERING;
}

START_TEST(an_abort_in_the_middle_of_an_answer_writes_nothing_behind_it)
{
	struct kvr_sim_ask get = { .kind = KVR_OP_GET, .n = MANY, .len = 1, .names = many };

	small(2);
	in.router.tier[0].promote = 1;
	kvr_sim_instance_open(&in, &(struct kvr_sim_options){ .seed = 1 });
	kvr_sim_instance_start(&in);
	pass(KVR_MS(10));
	for (uint32_t i = 0; i < MANY; i++) {
		many[i] = i + 1;
		kvr_sim_stored(in.sim, 1, i + 1, 1, kvr_sim_content(i + 1));
	}
	get.deadline_ns = kvr_sim_now(in.sim) + KVR_SEC(100);
	uint32_t number = kvr_sim_ask(in.sim, &get);

	ck_assert(kvr_sim_run_until(in.sim, get.deadline_ns, is_answering, NULL));
	kvr_sim_store(in.sim, 0)->run_min_ns = kvr_sim_store(in.sim, 0)->run_max_ns = KVR_SEC(10);
	kvr_sim_instance_stop(&in, false);
	pass(KVR_MS(100));
	ck_assert_uint_ne(kvr_sim_answer_to(in.sim, number)->released_ns, 0);
	ck_assert_uint_eq(kvr_sim_answer_to(in.sim, number)->n_ok, MANY);
	ck_assert_uint_eq(in.n_stopped, 1);
	kvr_sim_run(in.sim, UINT64_MAX);
	kvr_sim_instance_close(&in);
}
END_TEST

KVR_CHECK_MAIN("actors.router_life", a_get_that_is_told_ahead, a_put_that_is_told_ahead,
    a_paged_put_and_get_through_a_serde, a_device_that_is_lost,
    a_put_and_a_get, a_get_through_two_tiers_with_promotion,
    a_put_with_write_back_through_a_serde, a_deadline_that_calls_parts_back,
    puts_of_keys_that_are_being_put, a_tier_that_dies_and_recovers,
    cancelled_while_it_runs_and_after, a_drain_finishes_what_was_accepted,
    an_abort_ends_all_at_once, what_finds_no_slot_is_passed_over_in_many_steps,
    more_parts_are_wanted_than_there_are,
    an_abort_in_the_middle_of_an_answer_writes_nothing_behind_it)
