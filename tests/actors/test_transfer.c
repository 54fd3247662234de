/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_check.h"
#include "kvr_sim.h"

#include <string.h>

enum { PLACES = 2, SERDES = 2, SERDE_PLACES = 2, COPY_NS = 1000, BUDGET = 1000 };

static struct kvr_sim *sim;
static struct kvr_sim_hands *hands;
static uint32_t begun[KVR_PARTS_MAX], answers[KVR_PARTS_MAX], n_answers, n_stopped, n_timed;
static int32_t err_of[KVR_PARTS_MAX];
static uint32_t order[KVR_PARTS_MAX];
static enum kvr_msg_type kind[KVR_PARTS_MAX];

static void
outside(void *arg, struct kvr_sim *s, const struct kvr_msg *msg)
{
	uint32_t slot = KVR_PART_SLOT(msg->part);

	(void)arg;
	(void)s;
	if (msg->to == KVR_ID_METRICS) {
		ck_assert_uint_eq(msg->type, KVR_MSG_STAGE_STAT);
		n_timed++;
		return;
	}
	ck_assert_uint_eq(msg->to, KVR_ID_ROUTER);
	if (msg->type == KVR_MSG_STOPPED) {
		n_stopped++;
		return;
	}
	if (msg->type == KVR_MSG_BEGUN) {
		ck_assert_uint_eq(msg->rows, kvr_part_rows(msg->part));
		ck_assert_uint_eq(answers[slot], 0);
		begun[slot]++;
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
open_with(bool transcript)
{
	const struct kvr_transfer_config config = {
		.version = 1, .size = sizeof(config), .places = PLACES, .n_serde = SERDES,
		.budget_bytes = BUDGET
	};

	sim = kvr_sim_new(
	    &(struct kvr_sim_options){
	        .seed = 1, .verify_every = 1, .transcript = transcript, .outside = outside });
	hands = kvr_sim_callers(sim);
	hands->min_ns = COPY_NS;
	kvr_sim_add(sim, KVR_ID_TRANSFER, &kvr_transfer_spec);
	kvr_sim_start(sim, KVR_ID_TRANSFER, &config, sizeof(config), 0);
}

static void
open_sim(void)
{
	open_with(false);
}

/* Parts of no rows: what is done to them is the hands' business, here it is about order. */
static void
post_work(struct kvr_msg msg, enum kvr_msg_type type, uint32_t slot, uint64_t deadline_ns)
{
	msg.type = (uint16_t)type;
	msg.from = KVR_ID_ROUTER;
	msg.deadline_ns = deadline_ns;
	msg.part = slot | 1U << 16;
	msg.rows = kvr_part_rows(msg.part);
	kind[slot] = type;
	kvr_sim_post(sim, KVR_ID_TRANSFER, &msg);
}

static void
work(enum kvr_msg_type type, uint32_t slot, uint64_t deadline_ns)
{
	post_work((struct kvr_msg){ 0 }, type, slot, deadline_ns);
}

static void
copy_that(uint32_t slot, bool out, uint32_t bytes, bool device, bool tells)
{
	struct kvr_msg msg = { 0 };

	msg.COPY.to_caller = out;
	msg.COPY.bytes = bytes;
	msg.COPY.device = device;
	msg.COPY.tells = tells;
	post_work(msg, KVR_MSG_COPY, slot, KVR_SEC(1));
}

static void
copy_of(uint32_t slot, bool out, uint32_t bytes, bool device)
{
	copy_that(slot, out, bytes, device, false);
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
	ck_assert_uint_eq(n_timed, 100);
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

static void
expect_and_close(const char *name, uint32_t n)
{
	send(KVR_MSG_STOP, 0);
	kvr_sim_run(sim, KVR_SEC(2));
	ck_assert_uint_eq(n_stopped, 1);
	kvr_sim_expect(sim, name);
	close_sim(n);
}

/* Gets have a way of their own: puts that fill theirs do not make them wait. */
START_TEST(each_way_is_in_order_and_knows_nothing_of_the_other)
{
	open_with(true);
	kvr_sim_note(sim, "puts fill their way, gets come later and go first; a put that waits is called back");
	for (uint32_t i = 0; i < 5; i++)
		copy_of(i, false, 100, false);
	copy_of(5, true, 100, false);
	copy_of(6, true, 100, true);
	kvr_sim_run(sim, 0);
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), 2 * PLACES);
	send(KVR_MSG_PART_CANCEL, 4);
	send(KVR_MSG_PART_CANCEL, 0); /* runs: it is over when it is over */
	kvr_sim_run(sim, KVR_SEC(1));
	for (uint32_t i = 0; i < 7; i++)
		ck_assert_int_eq(err_of[i], i == 4 ? KVR_E_CANCELLED : KVR_OK);
	expect_and_close("transfer_ways", 7);
}
END_TEST

/* The bytes of a way are bounded too; a part that is longer than the bound goes alone. */
START_TEST(a_way_holds_no_more_bytes_than_its_budget)
{
	open_with(true);
	kvr_sim_note(sim, "600 and 400 of 1000 go together, the next 600 waits for the first, 5000 for all");
	copy_of(0, false, 600, false);
	copy_of(1, false, 400, false);
	copy_of(2, false, 600, false);
	copy_of(3, false, 5000, false);
	copy_of(4, false, 1, false);
	kvr_sim_run(sim, 0);
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), 2);
	kvr_sim_run(sim, KVR_SEC(1));
	for (uint32_t i = 0; i < 5; i++)
		ck_assert_uint_eq(order[i], i);
	expect_and_close("transfer_budget", 5);
}
END_TEST

/* What waits for a device that is lost, and what comes later, is answered at once; the host goes on. */
START_TEST(a_lost_device_answers_for_all_that_need_it)
{
	open_with(true);
	hands->lost = true;
	kvr_sim_note(sim,
	    "the first two find it lost, the third never gets there, the fourth is of the host and "
	    "waits for nobody");
	for (uint32_t i = 0; i < 3; i++)
		copy_of(i, true, 100, true);
	copy_of(3, true, 100, false);
	kvr_sim_run(sim, KVR_MS(1));
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), 3);
	kvr_sim_note(sim, "later, the other way");
	copy_of(4, false, 100, true);
	copy_of(5, false, 100, false);
	kvr_sim_run(sim, KVR_SEC(1));
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), 4);
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_int_eq(err_of[i], i == 3 || i == 5 ? KVR_OK : KVR_E_DEVICE);
	expect_and_close("transfer_lost", 6);
}
END_TEST

static void
put_by_layers(uint32_t slot, uint32_t op)
{
	struct kvr_msg msg = { .op = op };

	msg.COPY.bytes = 100;
	msg.COPY.by_layer = 1;
	post_work(msg, KVR_MSG_COPY, slot, KVR_MS(50));
}

static void
ready(uint32_t op, uint32_t n, uint32_t of)
{
	struct kvr_msg msg = { .type = KVR_MSG_LAYERS, .from = KVR_ID_API, .op = op };

	msg.LAYERS.ready = (uint16_t)n;
	msg.LAYERS.of = (uint16_t)of;
	kvr_sim_post(sim, KVR_ID_TRANSFER, &msg);
	kvr_sim_run(sim, kvr_sim_now(sim) + 2 * COPY_NS);
}

/* A part comes in as far as its engine is; meanwhile the others have the worker. */
START_TEST(a_put_by_layers_comes_in_as_its_engine_has_them)
{
	open_with(true);
	kvr_sim_note(sim, "operation 1 has 4 layers, of which 1 is ready before its part comes; 2 has none yet");
	ready(1, 1, 4);
	put_by_layers(0, 1);
	put_by_layers(1, 2);
	copy_of(2, false, 100, false);
	copy_of(3, false, 100, false);
	kvr_sim_run(sim, KVR_MS(1));
	ck_assert_uint_eq(n_answers, 2);
	kvr_sim_note(sim, "it has 3, says 2 too late, and has all");
	ready(1, 3, 4);
	ready(1, 2, 4);
	ck_assert_uint_eq(n_answers, 2);
	ready(1, 4, 4);
	ck_assert_uint_eq(order[2], 0);
	kvr_sim_note(sim, "2 has all at once; a word for what is over changes nothing");
	ready(2, 7, 7);
	ck_assert_uint_eq(order[3], 1);
	ready(1, 4, 4);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(err_of[i], KVR_OK);
	ck_assert_uint_eq(kvr_sim_seen(sim, KVR_ID_COPY, KVR_MSG_COPY), 2 + 3 + 1);
	expect_and_close("transfer_layers", 4);
}
END_TEST

/* It waits, or has just given some layers to the worker: it is answered in any case, and once. */
START_TEST(a_put_by_layers_is_called_back_or_late_or_ended)
{
	open_with(true);
	kvr_sim_note(sim, "0 waits, 1 is in the worker and has layers to come, 2 has its last there");
	for (uint32_t i = 0; i < 5; i++)
		put_by_layers(i, i + 1);
	for (uint32_t i = 1; i < 3; i++) {
		struct kvr_msg msg = { .type = KVR_MSG_LAYERS, .from = KVR_ID_API, .op = i + 1 };

		msg.LAYERS.ready = (uint16_t)i;
		msg.LAYERS.of = 2;
		kvr_sim_post(sim, KVR_ID_TRANSFER, &msg);
	}
	kvr_sim_run(sim, 0);
	for (uint32_t i = 0; i < 3; i++)
		send(KVR_MSG_PART_CANCEL, i);
	kvr_sim_run(sim, KVR_MS(1));
	ck_assert_int_eq(err_of[0], KVR_E_CANCELLED);
	ck_assert_int_eq(err_of[1], KVR_E_CANCELLED);
	ck_assert_int_eq(err_of[2], KVR_OK);
	kvr_sim_note(sim, "a layer of 3 comes after its time");
	kvr_sim_run(sim, KVR_MS(60));
	ready(4, 1, 2);
	ck_assert_int_eq(err_of[3], KVR_E_TIMEOUT);
	ck_assert_int_eq(err_of[4], KVR_E_TIMEOUT);
	kvr_sim_note(sim, "the end comes for one that waits");
	struct kvr_msg msg = { .op = 9 };

	msg.COPY.by_layer = 1;
	msg.COPY.device = 1;
	post_work(msg, KVR_MSG_COPY, 5, KVR_SEC(1));
	kvr_sim_run(sim, KVR_MS(70));
	send(KVR_MSG_STOP, 0);
	kvr_sim_run(sim, KVR_MS(80));
	ck_assert_int_eq(err_of[5], KVR_E_SHUTDOWN);
	ready(9, 1, 2);
	ck_assert_uint_eq(n_stopped, 1);
	kvr_sim_expect(sim, "transfer_late_layers");
	close_sim(6);
}
END_TEST

/* A copy that tells is heard of twice, and the second time is its answer; also while all of it ends. */
START_TEST(what_has_begun_is_passed_on_and_stays_where_it_is)
{
	open_with(true);
	kvr_sim_note(sim, "two tell and one does not; the fourth waits, and is called back before it begins");
	for (uint32_t i = 0; i < 4; i++)
		copy_that(i, true, 100, true, i != 1);
	kvr_sim_run(sim, 0);
	ck_assert_uint_eq(begun[0], 1);
	ck_assert_uint_eq(answers[0], 0);
	send(KVR_MSG_PART_CANCEL, 3);
	kvr_sim_run(sim, COPY_NS);
	send(KVR_MSG_STOP, 0);
	kvr_sim_run(sim, KVR_SEC(1));
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(begun[i], i == 0 || i == 2);
	ck_assert_uint_eq(n_stopped, 1);
	kvr_sim_expect(sim, "transfer_begun");
	close_sim(4);
}
END_TEST

/* An event behind its first layers would stand in front of the others. */
START_TEST(a_put_by_layers_tells_with_its_last)
{
	struct kvr_msg msg = { .op = 1 };

	open_with(true);
	kvr_sim_note(sim, "three layers, one by one; then all at once");
	msg.COPY.bytes = 100;
	msg.COPY.by_layer = msg.COPY.tells = 1;
	post_work(msg, KVR_MSG_COPY, 0, KVR_MS(50));
	for (uint32_t i = 1; i <= 3; i++) {
		ck_assert_uint_eq(begun[0], 0);
		ready(1, i, 3);
	}
	ck_assert_uint_eq(begun[0], 1);
	msg.op = 2;
	post_work(msg, KVR_MSG_COPY, 1, KVR_MS(50));
	ready(2, 3, 3);
	ck_assert_uint_eq(begun[1], 1);
	expect_and_close("transfer_begun_layers", 2);
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
    each_way_is_in_order_and_knows_nothing_of_the_other,
    a_way_holds_no_more_bytes_than_its_budget, a_lost_device_answers_for_all_that_need_it,
    a_put_by_layers_comes_in_as_its_engine_has_them,
    a_put_by_layers_is_called_back_or_late_or_ended,
    what_has_begun_is_passed_on_and_stays_where_it_is, a_put_by_layers_tells_with_its_last,
    the_end_waits_for_the_worker_and_answers_the_rest, the_end_of_an_idle_one_is_at_once)
