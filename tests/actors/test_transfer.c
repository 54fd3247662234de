/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_check.h"
#include "kvr_sim.h"

#include <string.h>

enum { PLACES = 2, SERDES = 2, SERDE_PLACES = 2, COPY_NS = 1000, BUDGET = 1000 };

static struct kvr_sim *sim;
static uint32_t answers[KVR_PARTS_MAX], n_answers, n_stopped;
static int32_t err_of[KVR_PARTS_MAX];
static uint32_t order[KVR_PARTS_MAX];
static enum kvr_msg_type kind[KVR_PARTS_MAX];

static void
outside(void *arg, struct kvr_sim *s, const struct kvr_msg *msg)
{
	uint32_t slot = KVR_PART_SLOT(msg->part);

	(void)arg;
	(void)s;
	ck_assert_uint_eq(msg->to, KVR_ID_ROUTER);
	if (msg->type == KVR_MSG_STOPPED) {
		n_stopped++;
		return;
	}
	ck_assert_uint_eq(msg->type, kind[slot] == KVR_MSG_ENCODE ? KVR_MSG_ENCODED
	                           : kind[slot] == KVR_MSG_DECODE   ? KVR_MSG_DECODED
	                                                            : KVR_MSG_COPIED);
	ck_assert_uint_eq(msg->rows, kvr_part_rows(msg->part));
	answers[slot]++;
	err_of[slot] = msg->COPIED.err;
	order[n_answers++] = slot;
}

static void
open_sim(void)
{
	const struct kvr_transfer_config config = {
		.version = 1, .size = sizeof(config), .places = PLACES, .n_serde = SERDES,
		.budget_bytes = BUDGET
	};

	sim = kvr_sim_new(
	    &(struct kvr_sim_options){ .seed = 1, .verify_every = 1, .outside = outside });
	kvr_sim_callers(sim)->min_ns = COPY_NS;
	kvr_sim_add(sim, KVR_ID_TRANSFER, &kvr_transfer_spec);
	kvr_sim_start(sim, KVR_ID_TRANSFER, &config, sizeof(config), 0);
}

/* Parts of no rows: what is done to them is the hands' business, here it is about order. */
static void
work(enum kvr_msg_type type, uint32_t slot, uint64_t deadline_ns)
{
	struct kvr_msg msg = { .type = (uint16_t)type,
		.from = KVR_ID_ROUTER,
		.deadline_ns = deadline_ns,
		.part = slot | 1U << 16 };

	kind[slot] = type;
	msg.rows = kvr_part_rows(msg.part);
	kvr_sim_post(sim, KVR_ID_TRANSFER, &msg);
}

static void
copy(uint32_t slot, uint64_t deadline_ns)
{
	work(KVR_MSG_COPY, slot, deadline_ns);
}

static void
send(enum kvr_msg_type type, uint32_t slot)
{
	struct kvr_msg msg = { .type = (uint16_t)type, .from = KVR_ID_ROUTER };

	if (type == KVR_MSG_PART_CANCEL)
		msg.part = slot | 1U << 16;
	kvr_sim_post(sim, KVR_ID_TRANSFER, &msg);
}

static void
close_sim(uint32_t n)
{
	kvr_sim_run(sim, UINT64_MAX);
	ck_assert_uint_eq(n_answers, n);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(answers[i], 1);
	ck_assert_uint_eq(kvr_sim_parts_out(sim), 0);
	kvr_sim_verify(sim);
	kvr_sim_free(sim);
}

START_TEST(copies_go_in_order_two_at_a_time)
{
	open_sim();
	for (uint32_t i = 0; i < 100; i++)
		copy(i, KVR_SEC(1));
	kvr_sim_run(sim, 0);
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), PLACES);
	kvr_sim_run(sim, KVR_SEC(1));
	for (uint32_t i = 0; i < 100; i++) {
		ck_assert_uint_eq(order[i], i);
		ck_assert_int_eq(err_of[i], KVR_OK);
	}
	close_sim(100);
}
END_TEST

START_TEST(what_is_late_or_cancelled_never_reaches_the_worker)
{
	open_sim();
	for (uint32_t i = 0; i < 10; i++)
		copy(i, i == 5 ? 500 : KVR_SEC(1)); /* ns: over before its turn */
	send(KVR_MSG_PART_CANCEL, 7);
	send(KVR_MSG_PART_CANCEL, 0); /* is in the worker: a copy is short */
	send(KVR_MSG_PART_CANCEL, 99);
	kvr_sim_run(sim, KVR_SEC(1));
	for (uint32_t i = 0; i < 10; i++)
		ck_assert_int_eq(err_of[i], i == 5   ? KVR_E_TIMEOUT
		                            : i == 7 ? KVR_E_CANCELLED
		                                     : KVR_OK);
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), 8);
	close_sim(10);
}
END_TEST

START_TEST(the_end_waits_for_the_worker_and_answers_the_rest)
{
	open_sim();
	for (uint32_t i = 0; i < 200; i++)
		copy(i, KVR_SEC(1));
	kvr_sim_run(sim, 0);
	send(KVR_MSG_STOP, 0);
	kvr_sim_run(sim, 0);
	ck_assert_uint_eq(n_stopped, 0);
	copy(200, KVR_SEC(1));
	kvr_sim_run(sim, KVR_SEC(1));
	ck_assert_uint_eq(n_stopped, 1);
	for (uint32_t i = 0; i <= 200; i++)
		ck_assert_int_eq(err_of[i], i < PLACES ? KVR_OK : KVR_E_SHUTDOWN);
	close_sim(201);
}
END_TEST

static uint64_t
in_serdes(void)
{
	return kvr_sim_seen(sim, KVR_ID_SERDE, KVR_MSG_ENCODE) +
	    kvr_sim_seen(sim, KVR_ID_SERDE, KVR_MSG_DECODE) +
	    kvr_sim_seen(sim, KVR_ID_SERDE + 1, KVR_MSG_ENCODE) +
	    kvr_sim_seen(sim, KVR_ID_SERDE + 1, KVR_MSG_DECODE);
}

/* Serdes and copies have hands of their own: neither waits for the other. */
START_TEST(serdes_share_the_work_and_what_waits_for_them_can_be_called_back)
{
	open_sim();
	for (uint32_t i = 0; i < 20; i++)
		work(i % 2 == 0 ? KVR_MSG_ENCODE : KVR_MSG_DECODE, i, KVR_SEC(1));
	copy(20, KVR_SEC(1));
	send(KVR_MSG_PART_CANCEL, 0); /* runs */
	send(KVR_MSG_PART_CANCEL, 11);
	send(KVR_MSG_PART_CANCEL, 19);
	kvr_sim_run(sim, 0);
	ck_assert_uint_eq(in_serdes(), SERDES * SERDE_PLACES);
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_SERDE, KVR_MSG_ENCODE), 2);
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), 1);
	ck_assert_uint_eq(n_answers, 2); /* not when their turn comes: at once */
	ck_assert_int_eq(err_of[11], KVR_E_CANCELLED);
	ck_assert_int_eq(err_of[19], KVR_E_CANCELLED);
	kvr_sim_run(sim, KVR_SEC(1));
	ck_assert_uint_eq(in_serdes(), 18);
	for (uint32_t i = 0; i <= 20; i++)
		ck_assert_int_eq(err_of[i], i == 11 || i == 19 ? KVR_E_CANCELLED : KVR_OK);
	close_sim(21);
}
END_TEST

START_TEST(the_end_of_an_idle_one_is_at_once)
{
	open_sim();
	send(KVR_MSG_STOP, 0);
	kvr_sim_run(sim, 0);
	ck_assert_uint_eq(n_stopped, 1);
	close_sim(0);
}
END_TEST

KVR_CHECK_MAIN("actors.transfer", copies_go_in_order_two_at_a_time,
    what_is_late_or_cancelled_never_reaches_the_worker,
    serdes_share_the_work_and_what_waits_for_them_can_be_called_back,
    the_end_waits_for_the_worker_and_answers_the_rest, the_end_of_an_idle_one_is_at_once)
