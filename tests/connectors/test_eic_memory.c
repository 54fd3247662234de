/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EIC over GDR: staging is registered once, taken back at the end, and what lies in it is marked in
 * every call. The fake compares each mark with where the buffer lies.
 */
#include "kvr_eic_bed.h"

enum { PAGES = 64 * 1024 };

static _Alignas(64) uint8_t staging[PAGES];
static uint8_t outside[LEN];

static struct kvr_store_opts
gdr_opts(void)
{
	struct kvr_store_opts opts = eic_opts();
	opts.eic.trans_type = KVR_EIC_GDR;
	opts.staging = (struct kvr_span){ staging, sizeof(staging) };
	look();
	return opts;
}

START_TEST(staging_is_registered_once_and_taken_back)
{
	struct kvr_store_opts opts = gdr_opts();
	struct kvr_connector *second = NULL;
	uint8_t *last = staging + sizeof(staging) - LEN;
	struct bed b;
	bed_up(&b, &opts);
	/* Lanes share the client, and so what it knows. */
	ck_assert_int_eq(b.ops->dial(b.store, bed_in(BED_LONG), NULL, &second, b.why,
	                     sizeof(b.why)), KVR_OK);
	ck_assert_uint_eq(atomic_load(&fake->regs), 1);
	ck_assert_ptr_eq(fake->reg_at, staging);
	ck_assert_uint_eq(fake->reg_len, sizeof(staging));
	memset(last, 7, LEN);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", last, LEN), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", staging, LEN), KVR_OK);
	ck_assert_mem_eq(staging, last, LEN);
	/* Two payloads; their headers lie in the lane. */
	ck_assert_uint_eq(atomic_load(&fake->direct), 2);
	b.ops->hang_up(second);
	ck_assert_uint_eq(atomic_load(&fake->unregs), 0);
	down(&b);
	ck_assert_uint_eq(atomic_load(&fake->unregs), 1);
}
END_TEST

START_TEST(memory_of_others_goes_unmarked)
{
	struct kvr_store_opts opts = gdr_opts();
	struct bed b;
	bed_up(&b, &opts);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", outside, LEN), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", outside, LEN), KVR_OK);
	ck_assert_uint_eq(atomic_load(&fake->direct), 0);
	down(&b);
	/* It ends within: all of a buffer must lie in there. */
	opts.staging.len = LEN - 1;
	bed_up(&b, &opts);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", staging, LEN), KVR_OK);
	ck_assert_uint_eq(atomic_load(&fake->direct), 0);
	down(&b);
}
END_TEST

START_TEST(other_transports_register_nothing)
{
	static const int32_t others[] = { KVR_EIC_TCP, KVR_EIC_RDMA };
	for (size_t i = 0; i < KVR_LEN(others); i++) {
		struct kvr_store_opts opts = gdr_opts();
		struct bed b;
		opts.eic.trans_type = others[i];
		bed_up(&b, &opts);
		ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", staging, LEN), KVR_OK);
		down(&b);
	}
	ck_assert_uint_eq(atomic_load(&fake->regs), 0);
	ck_assert_uint_eq(atomic_load(&fake->direct), 0);
}
END_TEST

static void
refused(const struct kvr_store_opts *opts, const char *says)
{
	struct bed b;
	ck_assert_int_eq(bed_try(&b, opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_msg(strstr(b.why, says) != NULL, "%s", b.why);
	ck_assert_msg(strstr(b.why, "eic.trans_type 2") != NULL, "%s", b.why);
	/* No client is kept that was not what had been asked for. */
	ck_assert_uint_eq(atomic_load(&fake->clients), 0);
	bed_down(&b);
}

START_TEST(memory_that_cannot_be_registered_is_a_tier_that_is_down)
{
	struct kvr_store_opts opts = gdr_opts();
	struct bed b;
	atomic_store(&fake->fail_reg, 12);
	refused(&opts, "the fake pins no memory");
	atomic_store(&fake->fail_reg, 0);
	bed_up(&b, &opts);
	down(&b);
	opts.eic.library = KVR_EIC_PLAIN;
	refused(&opts, "the adapter cannot register memory");
	opts.eic.trans_type = KVR_EIC_RDMA;
	bed_up(&b, &opts);
	down(&b);
}
END_TEST

KVR_CHECK_MAIN("connectors.eic_memory", staging_is_registered_once_and_taken_back,
    memory_of_others_goes_unmarked, other_transports_register_nothing,
    memory_that_cannot_be_registered_is_a_tier_that_is_down)
