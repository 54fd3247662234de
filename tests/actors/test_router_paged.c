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

KVR_CHECK_MAIN("actors.router_paged", what_is_paged_meets_neither_tiers_nor_serdes,
    a_serde_and_a_paged_cache_need_two_slots)
