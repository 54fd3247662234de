/* SPDX-License-Identifier: Apache-2.0 */
/* The router where only the copy worker can reach a payload: which slots it goes through, and when. */
#include "router_bed.h"

#include "kvr_check.h"

static const uint32_t keys[] = { 0, 1, 2 };

static uint32_t
in_world(const struct bed *b, enum kvr_msg_type type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n_world; i++)
		n += b->world[i].type == type;
	return n;
}

/* Before a serde and after it the payload is in a slot; whoever moves it to the caller is asked last. */
START_TEST(what_is_paged_meets_neither_tiers_nor_serdes)
{
	struct kvr_router_config c = bed_config(2);
	c.tier[1].serde = 1;
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, KVR_OPF_PAGED, KVR_SEC(1));

	ck_assert_uint_eq(in_world(b, KVR_MSG_COPY), 2); /* a part for each tier */
	ck_assert_uint_eq(b->n_world, 2);
	ck_assert(bed_answer(b, 0) && bed_answer(b, 0));
	ck_assert_uint_eq(in_world(b, KVR_MSG_PART), 1);
	ck_assert_uint_eq(in_world(b, KVR_MSG_ENCODE), 1);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 3);
	b->has[0][0] = b->has[0][1] = b->has[0][2] = false;
	slot = bed_submit(b, KVR_OP_GET, keys, 3, KVR_OPF_PAGED, KVR_SEC(1));
	for (uint32_t i = 0; i < 3; i++)
		bed_answer(b, 0); /* tier 0 has none, tier 1 all, the serde gives them */
	ck_assert_uint_eq(in_world(b, KVR_MSG_COPY), 1);
	ck_assert_uint_eq(b->n_world, 1);
	ck_assert_uint_eq(b->world[0].COPY.to_caller, 1);
	ck_assert_uint_eq(b->world[0].COPY.device, 0);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 3);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/* An engine computes for longer than any store may take: that is nobody's fault, and costs nothing. */
START_TEST(a_tiers_time_begins_when_it_has_all_layers)
{
	for (uint32_t serde = 0; serde < 2; serde++) {
		struct kvr_router_config c = bed_config(1);

		c.tier[0].timeout_ns = KVR_MS(20);
		c.tier[0].serde = serde;
		struct bed *b = bed_new(&c);
		uint32_t slot = bed_submit(
		    b, KVR_OP_PUT, keys, 3, KVR_OPF_PAGED | KVR_OPF_LAYERS, KVR_SEC(1));
		uint64_t end_ns = b->now_ns + KVR_SEC(1);

		ck_assert_uint_eq(b->world[0].COPY.by_layer, 1);
		ck_assert_uint_eq(b->world[0].deadline_ns, end_ns);
		bed_advance(b, KVR_MS(500));
		ck_assert(bed_answer(b, 0));
		ck_assert_uint_eq(b->world[0].deadline_ns, b->now_ns + KVR_MS(20));
		bed_settle(b);
		bed_is_over(b, slot, KVR_OK, 3);
		/* And never beyond its operation. */
		slot = bed_submit(
		    b, KVR_OP_PUT, keys, 3, KVR_OPF_PAGED | KVR_OPF_LAYERS, KVR_SEC(1));
		end_ns = b->now_ns + KVR_SEC(1);
		bed_advance(b, KVR_MS(990));
		ck_assert(bed_answer(b, 0));
		ck_assert_uint_eq(b->world[0].deadline_ns, end_ns);
		bed_settle(b);
		bed_is_home(b);
		bed_free(b);
	}
}
END_TEST

/* Two slots at once and there is one: said at once, not at the deadline. */
START_TEST(a_serde_and_a_paged_cache_need_two_slots)
{
	struct kvr_router_config c = bed_config(1);
	c.tier[0].serde = 1;
	c.staging_pages = 1;
	struct bed *b = bed_new(&c);
	uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, KVR_OPF_PAGED, KVR_SEC(1));

	bed_settle(b);
	bed_is_over(b, slot, KVR_E_NOMEM, 0);
	c.staging_pages = 2;
	bed_is_home(b);
	bed_free(b);
	b = bed_new(&c);
	slot = bed_submit(b, KVR_OP_PUT, keys, 3, KVR_OPF_PAGED | KVR_OPF_DEVICE, KVR_SEC(1));
	ck_assert_uint_eq(b->world[0].COPY.device, 1);
	bed_settle(b);
	bed_is_over(b, slot, KVR_OK, 3);
	bed_is_home(b);
	bed_free(b);
}
END_TEST

/*
 * A copy that a device does not end: the answer goes out without the memory, and its return tells
 * that it is the caller's again. The host's copies end in any case, so there its return is the
 * answer.
 */
START_TEST(a_copy_that_hangs_is_answered_twice_where_it_is_a_devices)
{
	struct kvr_router_config c = bed_config(1);

	for (uint32_t device = 0; device < 2; device++) {
		struct bed *b = bed_new(&c);
		uint32_t flags = KVR_OPF_PAGED | (device ? KVR_OPF_DEVICE : 0);
		uint32_t slot = bed_submit(b, KVR_OP_PUT, keys, 3, flags, KVR_MS(10));

		ck_assert_uint_eq(in_world(b, KVR_MSG_COPY), 1);
		bed_advance(b, KVR_MS(10));
		bed_advance(b, c.grace_ns);
		ck_assert_uint_eq(b->op[slot].completed, 0);
		bed_advance(b, KVR_MS(99));
		ck_assert_uint_eq(b->op[slot].completed, 0);
		bed_advance(b, KVR_MS(2));
		ck_assert_uint_eq(b->op[slot].completed, device);
		if (device) {
			ck_assert_int_eq(b->op[slot].done.COMPLETE.err, KVR_E_STUCK);
			ck_assert_uint_eq(b->op[slot].done.COMPLETE.flags & KVR_DONEB_QUIET, 0);
			ck_assert_uint_eq(b->op[slot].released, 0);
		}
		bed_settle(b);
		ck_assert_uint_eq(b->op[slot].completed, 1 + device);
		ck_assert_int_eq(
		    b->op[slot].done.COMPLETE.err, device ? KVR_E_STUCK : KVR_E_TIMEOUT);
		ck_assert_uint_ne(b->op[slot].done.COMPLETE.flags & KVR_DONEB_QUIET, 0);
		ck_assert_uint_eq(b->op[slot].released, 1);
		bed_is_home(b);
		bed_free(b);
	}
}
END_TEST

/* Less than that is a slow copy: one answer, with the memory. */
START_TEST(a_copy_that_is_late_is_answered_once)
{
	struct kvr_router_config c = bed_config(1);
	struct bed *b = bed_new(&c);
	uint32_t slot =
	    bed_submit(b, KVR_OP_PUT, keys, 3, KVR_OPF_PAGED | KVR_OPF_DEVICE, KVR_MS(10));

	bed_advance(b, KVR_MS(10));
	bed_advance(b, KVR_MS(50));
	bed_settle(b);
	bed_is_over(b, slot, KVR_E_TIMEOUT, 0);
	bed_advance(b, KVR_MS(200));
	bed_is_home(b);
	bed_free(b);
}
END_TEST

KVR_CHECK_MAIN("actors.router_paged", a_tiers_time_begins_when_it_has_all_layers,
    what_is_paged_meets_neither_tiers_nor_serdes,
    a_serde_and_a_paged_cache_need_two_slots,
    a_copy_that_hangs_is_answered_twice_where_it_is_a_devices, a_copy_that_is_late_is_answered_once)
